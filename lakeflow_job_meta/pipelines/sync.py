"""Keeping the control table's generated rows equal to what is registered: compare, write what differs, tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.diagnostics import Diagnostic, counted, errors_in
from lakeflow_job_meta.errors import InputError, TableNotFound
from lakeflow_job_meta.model.table import Changes, Row, Snapshot, TableSpec
from lakeflow_job_meta.pipelines.check import check_registry
from lakeflow_job_meta.pipelines.generate import Extras, Generated, generate
from lakeflow_job_meta.pipelines.sync_changes import OverwrittenEdit, SyncChanges, by_module, sync_changes
from lakeflow_job_meta.pipelines.tables import BUILT_IN_STAGES, STAGES, TABLES, RegistryRows, RegistryTables
from lakeflow_job_meta.settings import EMBEDDED, LOCAL, Settings
from lakeflow_job_meta.store.base import Store

FEW = 100
"""So many modules are read by their names for a write; more are cheaper to read with all others."""

SHOWN = 50


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync did, by module. `frozen` are those whose rows in the registry are bad: they stay as they are."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    paused: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    unchanged: int = 0
    frozen: tuple[str, ...] = ()
    overwritten: tuple[OverwrittenEdit, ...] = ()
    findings: tuple[Diagnostic, ...] = ()
    control_version: int | None = None
    modules_version: int | None = None
    dry_run: bool = False

    @property
    def wrote(self) -> bool:
        """Whether any row was written, or would be."""
        return bool(self.added or self.changed or self.paused or self.deleted)

    @property
    def failed(self) -> bool:
        """Whether something that is registered can't be generated."""
        return bool(errors_in(self.findings))

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-ready values."""
        return {
            "added": list(self.added),
            "changed": list(self.changed),
            "paused": list(self.paused),
            "deleted": list(self.deleted),
            "unchanged": self.unchanged,
            "frozen": list(self.frozen),
            "overwritten": [
                {"module_name": each.module_name, "source_id": each.source_id, "columns": list(each.columns)}
                for each in self.overwritten
            ],
            "diagnostics": [each.to_dict() for each in self.findings],
            "control_version": self.control_version,
            "modules_version": self.modules_version,
            "dry_run": self.dry_run,
        }

    def __str__(self) -> str:
        kinds = (("+", "added", self.added), ("~", "changed", self.changed), ("-", "paused", self.paused),
                 ("x", "deleted", self.deleted))  # fmt: skip
        counts = [f"{len(names)} {what}" for _, what, names in kinds if names]
        if self.frozen:
            counts.append(f"{len(self.frozen)} left alone, their rows are bad")
        if self.unchanged or not counts:
            counts.append(f"{self.unchanged} unchanged")
        would = " would be" if self.dry_run and self.wrote else ""
        first, _, rest = counts[0].partition(" ")
        counts[0] = f"{counted(int(first), 'module')}{would} {rest}"
        lines = [f"{', '.join(counts)}"]
        shown = [f"  {sign} {name}" for sign, _, names in kinds for name in names]
        shown += [f"  ! {each} – an edit that is overwritten" for each in self.overwritten]
        more = len(shown) - SHOWN
        return "\n".join([*lines, *shown[:SHOWN], *([f"  … and {more} more"] if more > 0 else [])])


@dataclass(frozen=True, slots=True)
class Syncing:
    """One registry, and the control table that it writes."""

    store: Store
    control: ControlTables
    registry: RegistryTables
    settings: Settings

    def run(self, now: datetime, *, dry_run: bool = False) -> SyncReport:
        """Make generated rows equal to what is registered; one commit a table, and none where nothing differs.

        Raises:
            TableNotFound: there is no registry, or no control table.
            InputError: the registry is empty, and generated rows are there: that never means to delete all of them.
        """
        rows = self._read()
        found = check_registry(rows, self.registry, self.settings.lake_schema)
        generated = generate(rows, found, extras_of(self.settings, self.registry))
        sources, modules = self._present(self.control.control), self._present(self.control.modules)
        present = by_module(sources, modules)
        if not rows[TABLES]:
            self._refuse_empty([name for name, each in present.items() if each.is_ours])
        name = str(self.control.control.name)
        changes = sync_changes(generated, present, name, now)
        touched = changes.touched

        def decided(source_rows: Sequence[Row], module_rows: Sequence[Row]) -> SyncChanges:
            return sync_changes(generated, by_module(source_rows, module_rows), name, now, touched)

        written: list[int | None] = [None, None]
        # Modules first: a source without its module's row would be a job without its schedule.
        if changes.modules and not dry_run:
            written[1] = self._write(self.control.modules, touched, lambda rows: decided(sources, rows).modules)
        if changes.sources and not dry_run:
            written[0] = self._write(self.control.control, touched, lambda rows: decided(rows, modules).sources)
        findings = (*(each.diagnostic for each in found), *changes.findings)
        return _report(changes, generated, findings, written, dry_run=dry_run)

    def _read(self) -> RegistryRows:
        rows = self.registry.read(self.store)
        if rows[TABLES] and not rows[STAGES]:
            self.store.append(self.registry.spec(STAGES), BUILT_IN_STAGES)
            rows = {**rows, STAGES: tuple(BUILT_IN_STAGES)}
        return rows

    def _present(self, spec: TableSpec) -> tuple[Row, ...]:
        try:
            return self.store.read(spec.name).rows
        except TableNotFound:
            if spec == self.control.modules:
                return ()
            raise

    def _write(
        self, spec: TableSpec, touched: frozenset[str], decide: Callable[[Sequence[Row]], Changes]
    ) -> int | None:
        def on(snapshot: Snapshot) -> Changes:
            return decide(snapshot.rows)

        where = {"module_name": sorted(touched)} if len(touched) <= FEW else None
        return self.store.transact(spec, on, where=where)

    def _refuse_empty(self, ours: Sequence[str]) -> None:
        if ours:
            table = self.registry.spec(TABLES).name
            raise InputError(
                f"{table} has no rows, but {counted(len(ours), 'module')} of it are there: refusing to delete them",
                hint=f"restore the rows (RESTORE TABLE {table} TO VERSION AS OF …); to stop all, deactivate them",
            )


def extras_of(settings: Settings, registry: RegistryTables) -> Extras:
    """What generated rows say of the settings: only what a task's process can't find out by itself."""
    given: dict[str, str] = {"pipelines_schema": registry.schema, "lake_schema": settings.lake_schema}
    if settings.store == EMBEDDED:
        given["home"] = str(settings.home.resolve())
    elif settings.workspace == LOCAL:
        given["store"] = settings.store
    return Extras(given, settings.pipelines_job, settings.pipelines_task, settings.driver_environments)


def _report(
    changes: SyncChanges,
    generated: Generated,
    findings: Sequence[Diagnostic],
    written: Sequence[int | None],
    *,
    dry_run: bool,
) -> SyncReport:
    return SyncReport(
        tuple(changes.added),
        tuple(changes.changed),
        tuple(changes.paused),
        tuple(changes.deleted),
        len([name for name in changes.unchanged if name not in generated.frozen]),
        tuple(sorted(generated.frozen)),
        tuple(sorted(changes.overwritten)),
        tuple(findings),
        control_version=written[0],
        modules_version=written[1],
        dry_run=dry_run,
    )
