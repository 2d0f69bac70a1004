"""The set of tables that belong to one control table, and how they come to be."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any
from uuid import uuid4

from lakeflow_job_meta.control.schema_version import MIGRATE, Standing, refuse_newer, refuse_others, warnings
from lakeflow_job_meta.diagnostics import Diagnostic
from lakeflow_job_meta.errors import StoreError, TableNotFound
from lakeflow_job_meta.model.table import TableInfo, TableName, TableSpec
from lakeflow_job_meta.store.base import Store

OWNER_PROPERTY = "lakeflow_job_meta.owner"
NAME_PROPERTY = "lakeflow_job_meta.control_table"
"""The name that the control table was made under: a copy carries the original's."""

KINDS = ("control", "modules", "jobs", "files", "log")
"""Our tables by the names of their schema files."""

APPLIED = ("control", "modules", "jobs", "log")
"""Those that applying a plan reads and writes: the files' is the loader's."""

LEDGER = ("runs", "task_runs", "collected")
"""Those that record runs: made when the first run is collected, so that who never collects has none."""


@cache
def _schema(kind: str) -> dict[str, Any]:
    return json.loads((resources.files("lakeflow_job_meta.control") / "schemas" / f"{kind}.json").read_text("utf-8"))


@dataclass(frozen=True, slots=True)
class ControlTables:
    """The declarations of one control table and its siblings.

    >>> str(ControlTables.of(TableName.parse("main.etl.control")).jobs.name)
    'main.etl.control_jobs'
    """

    control: TableSpec
    modules: TableSpec
    jobs: TableSpec
    files: TableSpec
    log: TableSpec
    runs: TableSpec
    task_runs: TableSpec
    collected: TableSpec

    @classmethod
    def of(cls, control_table: TableName) -> ControlTables:
        """The declarations for a control table of this name."""

        def sibling(kind: str) -> TableSpec:
            return TableSpec.from_json(control_table.sibling(kind), _schema(kind))

        return cls(
            TableSpec.from_json(control_table, _schema("control")),
            *(sibling(kind) for kind in (*KINDS[1:], *LEDGER)),
        )

    @property
    def by_kind(self) -> Mapping[str, TableSpec]:
        """The declarations by the names of their schema files."""
        core = (self.control, self.modules, self.jobs, self.files, self.log)
        ledger = (self.runs, self.task_runs, self.collected)
        return dict(zip((*KINDS, *LEDGER), (*core, *ledger), strict=True))

    @property
    def all(self) -> tuple[TableSpec, ...]:
        return tuple(self.by_kind.values())

    def infos(self, store: Store, kinds: Sequence[str] = KINDS) -> dict[str, TableInfo | None]:
        """What the store says of each table, by kind; of the ledger's only if they are asked for."""
        return {kind: store.info(self.by_kind[kind].name) for kind in kinds}

    def as_found(self, store: Store) -> ControlTables:
        """The declarations with the columns that the table of state has now: it may be of another schema version."""
        info = store.info(self.jobs.name)
        return self if info is None else replace(self, jobs=replace(self.jobs, columns=info.columns))

    def ensure(self, store: Store, kinds: Sequence[str] = KINDS) -> list[TableName]:
        """Make those tables that don't exist; returns their names. Mints the owner UUID with the control table.

        Raises:
            StoreError: a table is of another schema version; none was made.
        """
        found = self.infos(store, kinds)
        refuse_others(self._standings(found))
        return self._make(store, found)

    def ensure_ledger(self, store: Store) -> list[TableName]:
        """Make those of the ledger's tables that don't exist; returns their names.

        Raises:
            StoreError: one is of another schema version; none was made.
        """
        return self.ensure(store, LEDGER)

    def make(self, store: Store) -> list[TableName]:
        """Make those that don't exist, of whatever schema versions the others are: for who doesn't write them."""
        return self._make(store, self.infos(store))

    def check_writable(self, store: Store) -> None:
        """Refuse to write tables of another schema version.

        Raises:
            StoreError: there is one.
        """
        refuse_others(self._standings(self.infos(store)))

    def check_readable(self, store: Store, *kinds: str) -> tuple[Diagnostic, ...]:
        """Refuse to read tables of a newer schema version; returns warnings about those of an older one.

        Raises:
            StoreError: there is one.
        """
        standings = self._standings({kind: store.info(self.by_kind[kind].name) for kind in kinds})
        refuse_newer(standings)
        return warnings(standings)

    def _standings(self, found: Mapping[str, TableInfo | None]) -> list[Standing]:
        return [Standing.of(self.by_kind[kind], info) for kind, info in found.items() if info is not None]

    def _make(self, store: Store, found: Mapping[str, TableInfo | None]) -> list[TableName]:
        made: list[TableName] = []
        for kind, info in found.items():
            spec = _with_owner(self.control) if kind == "control" else self.by_kind[kind]
            if info is None and store.create(spec):
                made.append(spec.name)
        return made

    def require(self, store: Store) -> TableInfo:
        """What the store says of the control table.

        Raises:
            TableNotFound: there is none.
            StoreError: the table is of a newer schema version, or lacks columns that we need.
        """
        found = store.info(self.control.name)
        if found is None:
            raise TableNotFound(
                f"there is no control table {self.control.name} in {store.label}",
                hint="make it with `ljm init`, or with MetadataManager(…).ensure_exists()",
            )
        standing = Standing.of(self.control, found)
        refuse_newer([standing])
        if standing.lacking:
            known = standing.found is not None and standing.older
            raise StoreError(
                f"{self.control.name} is no control table: it lacks {', '.join(standing.lacking)}",
                hint=MIGRATE if known else "name a table that this product made, or add the columns",
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
