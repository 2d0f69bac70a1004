"""The set of tables that belong to one control table, and how they come to be."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any
from uuid import uuid4

from lakeflow_job_meta.errors import StoreError, TableNotFound
from lakeflow_job_meta.model.table import TableInfo, TableName, TableSpec
from lakeflow_job_meta.store.base import Store

OWNER_PROPERTY = "lakeflow_job_meta.owner"
NAME_PROPERTY = "lakeflow_job_meta.control_table"
"""The name that the control table was made under: a copy carries the original's."""


@cache
def _schema(kind: str) -> dict[str, Any]:
    return json.loads((resources.files("lakeflow_job_meta.control") / "schemas" / f"{kind}.json").read_text("utf-8"))


@dataclass(frozen=True, slots=True)
class ControlTables:
    """The declarations of one control table and its four siblings.

    >>> str(ControlTables.of(TableName.parse("main.etl.control")).jobs.name)
    'main.etl.control_jobs'
    """

    control: TableSpec
    modules: TableSpec
    jobs: TableSpec
    files: TableSpec
    log: TableSpec

    @classmethod
    def of(cls, control_table: TableName) -> ControlTables:
        """The five declarations for a control table of this name."""

        def sibling(kind: str) -> TableSpec:
            return TableSpec.from_json(control_table.sibling(kind), _schema(kind))

        return cls(
            TableSpec.from_json(control_table, _schema("control")),
            *(sibling(kind) for kind in ("modules", "jobs", "files", "log")),
        )

    @property
    def all(self) -> tuple[TableSpec, ...]:
        return (self.control, self.modules, self.jobs, self.files, self.log)

    def ensure(self, store: Store) -> list[TableName]:
        """Make those tables that don't exist; returns their names. Mints the owner UUID with the control table."""
        made: list[TableName] = []
        for spec in self.all:
            if spec is self.control:
                spec = _with_owner(spec)
            if store.info(spec.name) is None and store.create(spec):
                made.append(spec.name)
        return made

    def require(self, store: Store) -> TableInfo:
        """What the store says of the control table.

        Raises:
            TableNotFound: there is none.
            StoreError: the table lacks columns that we need.
        """
        found = store.info(self.control.name)
        if found is None:
            raise TableNotFound(
                f"there is no control table {self.control.name} in {store.label}",
                hint="make it with `ljm init`, or with MetadataManager(…).ensure_exists()",
            )
        present = {column.name.lower() for column in found.columns}
        if missing := [name for name in self.control.column_names if name not in present]:
            raise StoreError(
                f"{self.control.name} is no control table: it lacks {', '.join(missing)}",
                hint="name a table that this product made, or add the columns",
            )
        return found


def owner_of(info: TableInfo) -> str:
    """The UUID that tells whose the jobs of this control table are.

    Raises:
        StoreError: the table carries none: something else made it.
    """
    owner = info.properties.get(OWNER_PROPERTY, "")
    if not owner:
        raise StoreError(
            f"{info.name} has no owner: its property {OWNER_PROPERTY} is missing",
            hint=f"set it to a fresh UUID: ALTER TABLE {info.name} SET TBLPROPERTIES ('{OWNER_PROPERTY}' = '…')",
        )
    return owner


def _with_owner(spec: TableSpec) -> TableSpec:
    return replace(spec, properties={**spec.properties, OWNER_PROPERTY: str(uuid4()), NAME_PROPERTY: str(spec.name)})
