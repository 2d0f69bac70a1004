"""The stage's tables as declarations, and how one is overwritten: whole, in one commit."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from lakeflow_job_meta.control.schema_version import Standing, refuse_others
from lakeflow_job_meta.errors import LakeflowJobMetaError, TableNotFound
from lakeflow_job_meta.model.column import REQUIRED, Column
from lakeflow_job_meta.model.table import Changes, Row, Snapshot, TableName, TableSpec
from lakeflow_job_meta.store.base import Store, TableStore

ALWAYS = ("config", "credentials", "portfolio")
ENDPOINTS = "endpoints"
LOG = "log"
KINDS = (*ALWAYS, ENDPOINTS, LOG)
POSITION = "_position"
"""The key of a sample table: the record's place in the API's order, from 0."""


@cache
def _schema(kind: str) -> dict[str, Any]:
    return json.loads((resources.files("lakeflow_job_meta.stages") / "schemas" / f"{kind}.json").read_text("utf-8"))


@dataclass(frozen=True, slots=True)
class StageTables:
    """Where the tables of one source system are.

    >>> tables = StageTables("main", "source", "log")
    >>> str(tables.spec("config").name), str(tables.spec("log").name)
    ('main.source.config', 'main.log.source')
    """

    catalog: str
    schema: str
    log_schema: str

    def spec(self, kind: str) -> TableSpec:
        """The declaration of a table by the name of its schema file."""
        return TableSpec.from_json(self.name(kind), _schema(kind))

    def name(self, kind: str) -> TableName:
        """The name of a table; samples have the name that the stage file gives them."""
        if kind == LOG:
            return TableName(self.catalog, self.log_schema, "source")
        return TableName(self.catalog, self.schema, kind.lower())

    def sample(self, table: str, columns: Sequence[Column]) -> TableSpec:
        """The declaration of a sample table."""
        place = Column(POSITION, "INT", REQUIRED, "The record's place in the API's order, from 0")
        text = "First records of an endpoint. Overwritten with preview only."
        return TableSpec(self.name(table), (place, *columns), key=(POSITION,), description=text)


Make = Callable[[Sequence[Row]], Sequence[Row]]
"""The rows that a table is to have, from those that it has."""


def overwrite(store: TableStore, spec: TableSpec, make: Make) -> int:
    """Make the table unless it exists, and give it exactly these rows, in one commit.

    Returns:
        The version that holds them: readers of it see all of them and no others.

    Raises:
        StoreError: it can't be written; what was in it still is.
    """
    if not make_table(store, spec):
        info = store.info(spec.name)
        if info is not None:
            refuse_others([Standing.of(spec, info)])
    written = store.transact(spec, lambda snapshot: _replaced(spec, snapshot, make))
    if written is not None:
        return written
    info = store.info(spec.name)
    return info.version if info is not None else 0


def make_table(store: TableStore, spec: TableSpec) -> bool:
    """Make the table unless it exists, and its schema if that is what is missing; says whether it was made.

    The schema only then: who may not make schemas may still make tables in one.

    Raises:
        StoreError: it can't be made.
    """
    try:
        return store.create(spec)
    except LakeflowJobMetaError as first:
        try:
            store.ensure_schema(spec.name.catalog, spec.name.schema)
        except LakeflowJobMetaError:
            raise first from None
        return store.create(spec)


def rows_of(store: Store, table: TableName, **arguments: Any) -> tuple[Row, ...] | None:
    """A table's rows; None where there is no table."""
    try:
        return store.read(table, **arguments).rows
    except TableNotFound:
        return None


def _replaced(spec: TableSpec, snapshot: Snapshot, make: Make) -> Changes:
    wanted = tuple(make(snapshot.rows))
    keys = {tuple(row[name] for name in spec.key) for row in wanted}
    here = {tuple(row[name] for name in spec.key) for row in snapshot.rows}
    gone = [dict(zip(spec.key, key, strict=True)) for key in sorted(here - keys, key=repr)]
    return Changes(wanted, tuple(gone))
