"""Bringing our tables to the schema version that this product writes: planned first, in place, step by step.

Each step is one statement of Databricks SQL, the same for every store, and is left out where it was done before. The
version is noted last: a migration that was interrupted is found unfinished, and goes on where it stopped. Nobody
reconciles meanwhile: the leases of all workspaces are held.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from lakeflow_job_meta.control.schema_version import Standing, refuse_newer
from lakeflow_job_meta.control.tables import KINDS, LEDGER, ControlTables
from lakeflow_job_meta.control.tenure import Tenure, workspace_of
from lakeflow_job_meta.errors import SqlError, StoreError, TableNotFound
from lakeflow_job_meta.model.table import Changes, Column, Snapshot, TableInfo, TableName, TableSpec
from lakeflow_job_meta.store import table_statements
from lakeflow_job_meta.store.base import SCHEMA_VERSION, Store


class Step(Protocol):
    """One statement that brings a table nearer to a schema version."""

    @property
    def words(self) -> str:
        """What people read."""
        ...

    def statement(self, table: TableName) -> str:
        """As it is run."""
        ...

    def is_done(self, table: TableInfo) -> bool:
        """Whether the table is as the step would leave it.

        Raises:
            StoreError: something else is in its place.
        """
        ...


@dataclass(frozen=True, slots=True)
class AddColumn:
    """A new column, NULL in the rows that there are; it comes last."""

    column: Column

    @property
    def words(self) -> str:
        return f"add the column {self.column.name} {self.column.type}, NULL in the rows that there are"

    def statement(self, table: TableName) -> str:
        return table_statements.add_column(table, self.column)

    def is_done(self, table: TableInfo) -> bool:
        for each in table.columns:
            if each.name.lower() == self.column.name.lower():
                if each.type != self.column.type:
                    raise StoreError(
                        f"{table.name} has a column {each.name} already, of type {each.type}, not {self.column.type}",
                        hint="who added it? rename or drop it first",
                    )
                return True
        return False


@dataclass(frozen=True, slots=True)
class NoteVersion:
    """The last step to each version."""

    version: int

    @property
    def words(self) -> str:
        return f"note schema version {self.version}"

    def statement(self, table: TableName) -> str:
        return table_statements.set_properties(table, {SCHEMA_VERSION: str(self.version)})

    def is_done(self, table: TableInfo) -> bool:
        return table.properties.get(SCHEMA_VERSION) == str(self.version)


ADDED: Mapping[tuple[str, int], tuple[str, ...]] = {
    ("jobs", 2): ("modules_version",),
    ("task_runs", 2): ("loop_run_id",),
}
"""The columns that each schema version of each table has beside those of the version before."""


def steps_of(kind: str, spec: TableSpec, found: int) -> list[Step]:
    """The steps from one schema version to the declared one.

    >>> from lakeflow_job_meta.model.table import TableName
    >>> tables = ControlTables.of(TableName.parse("main.etl.control"))
    >>> [step.words for step in steps_of("jobs", tables.jobs, 1)][-1]
    'note schema version 2'
    """
    declared = {column.name: column for column in spec.columns}
    steps: list[Step] = []
    for version in range(found + 1, spec.schema_version + 1):
        steps += [AddColumn(declared[name]) for name in ADDED.get((kind, version), ())]
        steps.append(NoteVersion(version))
    return steps


@dataclass(frozen=True, slots=True)
class TableMigration:
    """What there is to do with one table."""

    standing: Standing
    steps: tuple[Step, ...] = ()

    @property
    def table(self) -> TableName:
        return self.standing.table

    def to_dict(self) -> dict[str, Any]:
        """The migration as JSON-ready values."""
        return {
            "table": str(self.table),
            "found": self.standing.found,
            "wanted": self.standing.wanted,
            "steps": [{"words": each.words, "statement": each.statement(self.table)} for each in self.steps],
        }


@dataclass(frozen=True, slots=True)
class MigrationPlan:
    """What there is to do with each table that exists."""

    tables: tuple[TableMigration, ...]

    @property
    def effective(self) -> tuple[TableMigration, ...]:
        return tuple(each for each in self.tables if each.steps)

    def __str__(self) -> str:
        lines: list[str] = []
        for each in self.tables:
            found = "unknown" if each.standing.found is None else each.standing.found
            to = f" → {each.standing.wanted}" if each.steps else ", as wanted"
            lines.append(f"{each.table}: schema version {found}{to}")
            lines += [f"  + {step.words}" for step in each.steps]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Migrated:
    """A table that was migrated, and its version before."""

    table: TableName
    before: int

    @property
    def undo(self) -> str:
        """The statement that takes the migration back, with all that was written since."""
        return f"RESTORE TABLE {self.table} TO VERSION AS OF {self.before}"

    def to_dict(self) -> dict[str, Any]:
        """What was done as JSON-ready values."""
        return {"table": str(self.table), "version_before": self.before, "undo": self.undo}


def plan_migration(store: Store, tables: ControlTables) -> MigrationPlan:
    """What there is to do; changes nothing.

    Raises:
        TableNotFound: there is no control table.
        StoreError: a table that a later version of this product wrote, or that lacks more than a migration adds.
    """
    found = tables.infos(store, (*KINDS, *LEDGER))
    if found["control"] is None:
        tables.require(store)
    there = [(kind, tables.by_kind[kind], info) for kind, info in found.items() if info is not None]
    refuse_newer(Standing.of(spec, info) for _, spec, info in there)
    return MigrationPlan(tuple(_plan_table(*each) for each in there))


def _plan_table(kind: str, spec: TableSpec, info: TableInfo) -> TableMigration:
    standing = Standing.of(spec, info)
    # A table that doesn't tell its version may be of any: what it has already is left out.
    steps = steps_of(kind, spec, standing.found or 0)
    left = [step for step in steps[:-1] if not step.is_done(info) and not isinstance(step, NoteVersion)]
    added = {step.column.name for step in left if isinstance(step, AddColumn)}
    if more := [name for name in standing.lacking if name not in added]:
        raise StoreError(
            f"{spec.name} lacks {', '.join(more)}, which no migration adds",
            hint="name a table that this product made, or restore it to a version that had them",
        )
    return TableMigration(standing, (*left, *steps[-1:]))


@dataclass(frozen=True, slots=True)
class Migrating:
    """Carries out what plan_migration tells. `ttl` and `lock_timeout` are in seconds, as in Tenure; `on_step` is told
    each step that is done."""

    store: Store
    tables: ControlTables
    ttl: float
    lock_timeout: float = 0.0
    on_step: Callable[[TableName, Step], None] = lambda table, step: None

    def migrate(self) -> list[Migrated]:
        """Do what there is to do now; returns what was done.

        Raises:
            ConflictError: a run is under way, or took over; steps before that stay done.
            StoreError: a step failed; those before it stay done, and to migrate again goes on from there.
        """
        done: list[Migrated] = []
        with self._alone() as (check, state_before):
            for each in plan_migration(self.store, self.tables).effective:
                before = self._version(each.table)
                if each.table == self.tables.jobs.name and state_before is not None:
                    before = state_before  # when the lease wasn't ours yet
                for step in each.steps:
                    check()
                    self._do(each.table, step)
                done.append(Migrated(each.table, before))
        return done

    def _do(self, table: TableName, step: Step) -> None:
        try:
            self.store.sql(step.statement(table))
        except SqlError:
            # Somebody who doesn't know of the lease may have been faster.
            info = self.store.info(table)
            if info is None or not step.is_done(info):
                raise
        self.on_step(table, step)

    def _version(self, table: TableName) -> int:
        info = self.store.info(table)
        return info.version if info else 0

    @contextmanager
    def _alone(self) -> Generator[tuple[Callable[[], None], int | None]]:
        """Hold the leases of all workspaces; gives what checks that they still are, and the version of the state
        before, None where nobody ever worked."""
        before: list[int] = []
        with ExitStack() as held:
            tenures: list[Tenure] = []
            found = self.tables.as_found(self.store)
            for workspace_id in self._workspaces():
                tenure = Tenure(self.store, found, workspace_id, self.ttl)
                before.append(_take(tenure, self.lock_timeout))
                held.callback(_release, tenure)
                tenures.append(tenure)

            def check() -> None:
                for tenure in tenures:
                    tenure.check()

            yield check, before[0] if before else None

    def _workspaces(self) -> list[str]:
        """All workspaces that anybody ever worked in."""
        try:
            rows = self.store.read(self.tables.jobs.name, columns=["workspace_id"]).rows
        except TableNotFound:
            return []
        return sorted({workspace_of(str(row["workspace_id"])) for row in rows})


def _take(tenure: Tenure, timeout: float) -> int:
    """Take the lease; returns the version of the state that it was taken on."""
    versions: list[int] = []

    def nothing(snapshot: Snapshot) -> Changes:
        versions.append(snapshot.version)
        return Changes()

    tenure.take(nothing, datetime.now(UTC), timeout)
    return versions[-1]


def _release(tenure: Tenure) -> None:
    tenure.within(lambda snapshot: Changes(), datetime.now(UTC), release=True)
