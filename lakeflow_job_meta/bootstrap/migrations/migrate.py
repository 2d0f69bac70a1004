"""The migrations of one dataset: planned first, then carried out; each of the results is a row of the record."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lakeflow_job_meta.bootstrap.migrations import planner
from lakeflow_job_meta.bootstrap.migrations.carry_out import CarryOut
from lakeflow_job_meta.bootstrap.migrations.entry import Entry, Run, Tables, Touched
from lakeflow_job_meta.bootstrap.migrations.files import MigrationFolder, read_migrations
from lakeflow_job_meta.bootstrap.migrations.migration_plan import MigrationAction, MigrationOutcome, MigrationPlan
from lakeflow_job_meta.bootstrap.migrations.record import Record, Recorded
from lakeflow_job_meta.diagnostics import Diagnostic, RowLocation, counted, errors_in
from lakeflow_job_meta.errors import ApplyError, ConflictError, InputError, LakeflowJobMetaError, UsageError
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.store.base import Store
from lakeflow_job_meta.store.statements import quoted

logger = logging.getLogger(__name__)

UPKEEP = ("OPTIMIZE", "VACUUM", "FSCK", "REORG")
"""Words that the operations begin with which change no row: to take back what came before them loses nothing."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one migration stands: a file and its row, of which one may be missing."""

    version: int
    name: str
    state: str
    entry: Entry | None = None

    def to_dict(self) -> dict[str, Any]:
        """The standing as JSON-ready values."""
        entry = self.entry
        tables: Tables = entry.tables if entry else {}
        return {
            "version": self.version,
            "name": self.name,
            "state": self.state,
            "begun_at": entry.begun_at.isoformat() if entry else None,
            "ended_at": entry.ended_at.isoformat() if entry and entry.ended_at else None,
            "actor": entry.actor if entry else None,
            "run_id": entry.run_id if entry else None,
            "error": entry.error if entry else None,
            "tables": [
                {"table": str(name), "before": each.before, "after": each.after} for name, each in tables.items()
            ],
        }


class SetupMigrations:
    """The migrations of the tables of one dataset.

    Args:
        store: where the tables live.
        catalog: the catalog's name.
        dataset: the schema's name; `${dataset}` in the files stands for both.
        folder: where the files are.

    Example:
        migrations = SetupMigrations(store, "main", "tenants", Path("metadata/setup/migrations"))
        plan = migrations.plan_up()
        print(plan)
        migrations.apply(plan)
    """

    def __init__(self, store: Store, catalog: str, dataset: str, folder: Path) -> None:
        self.store = store
        self.dataset = f"{catalog}.{dataset}"
        self.folder = folder
        self.record = Record.of(store, catalog, dataset)
        self._names = {"dataset": f"{quoted(catalog)}.{quoted(dataset)}", "catalog": quoted(catalog)}

    def plan_up(self, to: int | None = None, *, take_over: bool = False) -> MigrationPlan:
        """What there is to apply, up to a version; by default all.

        Args:
            to: the newest version to apply.
            take_over: go on with what another run began, though it isn't sure that it is dead.

        Raises:
            InputError: with every finding about the files and the record.
            UsageError: there is no such version.
            ConflictError: another run is under way.
        """
        folder, recorded = self._look(take_over)
        return self._planned(recorded, planner.plan_up(folder, recorded, _version(folder, to)), folder)

    def plan_down(self, to: int | None = None, *, take_over: bool = False, discard: bool = False) -> MigrationPlan:
        """What there is to take back, down to a version that stays; by default the newest only.

        Args:
            to: the version that stays the newest; 0 for none.
            take_over: as in plan_up.
            discard: take back by RESTORE even what others wrote since.

        Raises:
            InputError: with every finding; also where what others wrote since would be lost.
            UsageError: there is no such version.
            ConflictError: another run is under way.
        """
        folder, recorded = self._look(take_over)
        if to is None:
            to = max(planner.newest(recorded) - 1, 0)
        actions = planner.plan_down(folder, recorded, _version(folder, to) if to else 0)
        found = planner.baseline_findings(actions)
        found += [] if discard else [each for action in actions for each in self._lost(action, recorded)]
        if found:
            raise InputError("these migrations can't be taken back", diagnostics=found)
        return self._planned(recorded, actions, folder)

    def plan_baseline(self, to: int | None = None, *, take_over: bool = False) -> MigrationPlan:
        """What there is to record as applied without running it: for tables that are made as newest already.

        Raises:
            InputError, UsageError, ConflictError: as for plan_up.
        """
        folder, recorded = self._look(take_over)
        return self._planned(recorded, planner.plan_baseline(folder, recorded, _version(folder, to)), folder)

    def apply(
        self, plan: MigrationPlan, on_outcome: Callable[[MigrationOutcome], None] = lambda outcome: None
    ) -> list[MigrationOutcome]:
        """Carry out a plan, one migration after the other; the first that fails is the last.

        Args:
            plan: what plan_up, plan_down or plan_baseline gave.
            on_outcome: called as each is done or has failed.

        Raises:
            ApplyError: one failed; its tables are as before it, those before it are done.
            ConflictError: another run began one of them since.
        """
        carry_out = CarryOut(self.record, Run())
        outcomes: list[MigrationOutcome] = []
        for action in plan.effective:
            began = time.monotonic()
            error = ""
            try:
                _ = carry_out.do(action)
            except ConflictError:
                raise
            except LakeflowJobMetaError as problem:
                error = str(problem)
            took = round((time.monotonic() - began) * 1000)
            outcomes.append(MigrationOutcome(action, not error, error=error, duration_ms=took))
            on_outcome(outcomes[-1])
            what = error or "done"
            logger.debug("%s: %s in %d ms, run %s", action.subject, what, took, carry_out.run.run_id)
            if error:
                done = len(outcomes) - 1
                raise ApplyError(
                    f"{done} of {counted(len(plan.effective), 'migration')} done, then one failed",
                    failures={action.subject: error},
                    outcomes=outcomes,
                )
        return outcomes

    def status(self) -> tuple[list[Standing], list[Diagnostic]]:
        """Where each migration stands, by version, and every finding about the files and the record."""
        folder, recorded = read_migrations(self.folder, self._names), self.record.read()
        names = {version: entry.name for version, entry in recorded.entries.items()}
        names |= {version: file.name for version, file in folder.by_version.items()}
        standings: list[Standing] = []
        for version, name in sorted(names.items()):
            entry = recorded.entries.get(version)
            state = "waits" if entry is None else "interrupted" if entry.abandoned else str(entry.state)
            standings.append(Standing(version, name, state, entry))
        return standings, [*folder.findings, *planner.record_findings(folder, recorded)]

    def _look(self, take_over: bool) -> tuple[MigrationFolder, Recorded]:
        """Files and record, when they go together and nobody else is at work."""
        folder, recorded = read_migrations(self.folder, self._names), self.record.read()
        found = [*folder.findings, *planner.record_findings(folder, recorded)]
        if errors_in(found):
            raise InputError(f"{self.folder}: these migrations can't be used", diagnostics=found)
        for entry in recorded.entries.values():
            if entry.state.under_way and not entry.abandoned and not take_over:
                raise ConflictError(
                    f"{entry.name} is {entry.state} since {entry.begun_at:%Y-%m-%d %H:%M} by {entry.actor}"
                    f" ({entry.holder})",
                    hint="let it end; if it is dead for sure: --take-over",
                )
        return folder, recorded

    def _planned(
        self, recorded: Recorded, actions: Sequence[MigrationAction], folder: MigrationFolder
    ) -> MigrationPlan:
        warnings = (*folder.findings, *planner.record_findings(folder, recorded))
        record, version = str(recorded.table), recorded.table_version
        return MigrationPlan(tuple(actions), self.dataset, self.store.label, record, version, warnings)

    def _lost(self, action: MigrationAction, recorded: Recorded) -> list[Diagnostic]:
        """What others wrote into the tables since, and taking the migration back by RESTORE would lose."""
        if action.entry is None or not action.restores:
            return []
        found: list[Diagnostic] = []
        for name, touched in action.entry.tables.items():
            if versions := self._written_since(name, touched, recorded):
                message = f"{action.subject} has no down section, and {name} was written since: {', '.join(versions)}"
                hint = "--discard-later-writes takes that back too; or a new migration changes what you want changed"
                found.append(Diagnostic(message, RowLocation(str(name)), hint))
        return found

    def _written_since(self, name: TableName, touched: Touched, recorded: Recorded) -> list[str]:
        info = self.store.info(name)
        if info is None or info.table_id != touched.table_id:
            return []
        before = -1 if touched.before is None else touched.before
        own = planner.own_versions(recorded).get(info.table_id, set())
        since = [
            each
            for each in self.store.history(name, info.version - before)
            if each.version > before and each.version not in own and not each.operation.startswith(UPKEEP)
        ]
        return [f"version {each.version} ({each.operation} at {each.timestamp:%Y-%m-%d %H:%M})" for each in since]


def _version(folder: MigrationFolder, to: int | None) -> int:
    known = list(folder.by_version)
    if to is None:
        return max(known, default=0)
    if to not in known:
        there = f"there are 1 to {max(known)}" if known else "there is none yet"
        raise UsageError(f"there is no migration of version {to}", hint=there)
    return to
