"""The ledger's tables: written row by row as runs go on, each row once; and how far the collector got."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.errors import TableNotFound
from lakeflow_job_meta.model.run import EPOCH, milliseconds, moment
from lakeflow_job_meta.model.table import Changes, Row, Snapshot, TableSpec
from lakeflow_job_meta.runs.rows import changed_only
from lakeflow_job_meta.store.base import Store

CHUNK = 1_000
"""So many rows are written at once."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How far runs were collected: all that started up to `until`, in epoch milliseconds of the workspace's clock.

    `open_runs` are to be looked at again, with their starts: those that go on, and those that the web hook is to be
    told of.
    """

    until: int
    open_runs: Mapping[int, int] = field(default_factory=dict[int, int])


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger of one workspace's runs."""

    store: Store
    tables: ControlTables
    workspace_id: str

    def ensure(self) -> None:
        """Make the tables that aren't there.

        Raises:
            StoreError: one is of another schema version.
        """
        _ = self.tables.ensure_ledger(self.store)

    def mark(self) -> Mark | None:
        """How far the collector got; None where it never did, or where somebody dropped what it had written."""
        rows = self._read(self.tables.collected, {})
        if not rows or self.store.info(self.tables.runs.name) is None:
            return None
        open_runs = {int(run): int(start) for run, start in json.loads(rows[0]["open_runs"]).items()}
        return Mark(milliseconds(rows[0]["collected_until"]), open_runs)

    def set_mark(self, mark: Mark, now: datetime) -> None:
        """Note how far the collector got."""
        row = {
            "workspace_id": self.workspace_id,
            "collected_until": moment(mark.until) or EPOCH,
            "open_runs": json.dumps({str(run): start for run, start in sorted(mark.open_runs.items())}),
            "collected_at": now,
        }
        where = {"workspace_id": [self.workspace_id]}
        _ = self.store.transact(self.tables.collected, lambda snapshot: Changes((row,)), where=where)

    def runs(self, days: Sequence[str], run_ids: Sequence[int] = ()) -> list[Row]:
        """Rows of runs that started on these days, or those of these ids among them."""
        return self._read(self.tables.runs, {"start_day": days, **({"run_id": run_ids} if run_ids else {})})

    def task_runs(self, days: Sequence[str], run_ids: Sequence[int]) -> list[Row]:
        """Rows of the tasks of these runs, which started on these days."""
        return self._read(self.tables.task_runs, {"start_day": days, "run_id": run_ids})

    def write(self, runs: Sequence[Row], tasks: Sequence[Row]) -> int:
        """Write rows, and return how many runs said anything new.

        Those of tasks first: a run's row that says that it ended says that its tasks are here too.
        """
        _ = self._upsert(self.tables.task_runs, tasks)
        return self._upsert(self.tables.runs, runs)

    def _upsert(self, spec: TableSpec, rows: Sequence[Row]) -> int:
        key, written = spec.key[-1], 0
        for first in range(0, len(rows), CHUNK):
            chunk = rows[first : first + CHUNK]
            new: list[tuple[Row, ...]] = []

            def decide(snapshot: Snapshot, chunk: Sequence[Row] = chunk, new: list[tuple[Row, ...]] = new) -> Changes:
                new[:] = [changed_only(chunk, snapshot.rows, key)]
                return Changes(new[0])

            days = sorted({row["start_day"] for row in chunk})
            where = {"workspace_id": [self.workspace_id], "start_day": days, key: [row[key] for row in chunk]}
            _ = self.store.transact(spec, decide, where=where)
            written += len(new[0])
        return written

    def _read(self, spec: TableSpec, where: Mapping[str, Sequence[Any]]) -> list[Row]:
        try:
            found = self.store.read(spec.name, where={"workspace_id": [self.workspace_id], **where})
        except TableNotFound:
            return []
        return list(found.rows)
