"""The record's tables: written while runs go on, by several processes at once, each row decided on what is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lakeflow_job_meta.errors import TableNotFound
from lakeflow_job_meta.model.table import Changes, Row, Snapshot, TableSpec
from lakeflow_job_meta.pipelines.registry import Direction
from lakeflow_job_meta.pipelines.runs.rows import (
    StageRun,
    begun_run,
    begun_stage,
    ended_run,
    ended_stage,
    is_final,
    pending_run,
)
from lakeflow_job_meta.pipelines.runs.settled import Known, settled_run, settled_stages
from lakeflow_job_meta.pipelines.runs.words import FAILED, SUCCESS
from lakeflow_job_meta.pipelines.stage_task import StageTask
from lakeflow_job_meta.pipelines.stages.stage import StageOutcome
from lakeflow_job_meta.pipelines.tables import RUNS, STAGE_LOGS, TABLES, RegistryTables
from lakeflow_job_meta.store.base import Store

Decide = Callable[[Mapping[int, Row]], Iterable[Row]]
"""Gets rows by id, and says what they are to be."""

LOADER = "dl_to_sink_last_loader_run"
"""Begins the two columns of pipeline_config that repeat when the sink was last loaded, and how that went."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Who writes the record of runs, and what the registry repeats of it.

    Args:
        store: where the registry is.
        runs: declares pipeline_runs_master; stages: pipeline_run_stage_logs; config: pipeline_config.
    """

    store: Store
    runs: TableSpec
    stages: TableSpec
    config: TableSpec

    @classmethod
    def of(cls, store: Store, tables: RegistryTables) -> RunRecord:
        """The record beside a registry."""
        return cls(store, tables.spec(RUNS), tables.spec(STAGE_LOGS), tables.spec(TABLES))

    def pending(self, run_id: int, first: StageTask, now: datetime) -> None:
        """A run was asked for; one that has begun meanwhile says so itself."""
        self._write(self.runs, run_id, lambda before: before or pending_run(run_id, first, now))

    def begin(self, run: StageRun, now: datetime) -> None:
        """A stage begins."""
        self._write(self.runs, run.run_id, lambda before: begun_run(run, before, now))
        self._write(self.stages, run.task_run_id, lambda before: begun_stage(run, now))

    def succeed(self, run: StageRun, outcome: StageOutcome, watermark: datetime | None, now: datetime) -> None:
        """A stage did what it was meant to do.

        Args:
            watermark: what the registry is to repeat; None leaves it as it is.
        """
        direction = run.stage.direction
        repeated = {} if watermark is None else {f"{direction}_last_incremental_value": watermark}
        if run.stage.is_last:
            repeated |= _loaded(direction, SUCCESS, now)
        # The run's row last: who reads in it how it ended finds all else in its place.
        self.repeat(run.stage.source_tablename, repeated)
        self._write(self.stages, run.task_run_id, lambda before: ended_stage(run, before, outcome, now))
        self._write(self.runs, run.run_id, lambda before: ended_run(run, before, None, now))

    def fail(self, run: StageRun, error: str, now: datetime) -> None:
        """A stage failed, and with it its run, until somebody tries again."""
        self.repeat(run.stage.source_tablename, _loaded(run.stage.direction, FAILED, now))
        self._write(self.stages, run.task_run_id, lambda before: ended_stage(run, before, None, now))
        self._write(self.runs, run.run_id, lambda before: ended_run(run, before, error, now))

    def settle(self, runs: Sequence[Known]) -> int:
        """Bring the rows of these runs up to what the workspace tells of them; returns how many runs ended by that."""
        tasks = [task.task_run_id for known in runs for task, _ in known.begun()]
        if tasks:
            self._transact(self.stages, tasks, lambda there: _each(runs, lambda known: settled_stages(known, there)))
        ended = dict[int, Row]()

        def decide(there: Mapping[int, Row]) -> Iterable[Row]:
            ended.clear()
            for known in runs:
                before = there.get(known.run.run_id)
                row = settled_run(known, before)
                if row is not None and is_final(row) and (before is None or before["status"] != row["status"]):
                    ended[row["id"]] = row
                if row is not None:
                    yield row

        if runs:
            self._transact(self.runs, [known.run.run_id for known in runs], decide)
        for known in runs:
            direction = next((stage.direction for stage in known.stages.values()), None)
            if direction is not None and (row := ended.get(known.run.run_id)) and row["completed_at"]:
                self.repeat(row["source_tablename"], _loaded(direction, row["status"], row["completed_at"]))
        return len(ended)

    def repeat(self, source_tablename: str, columns: Mapping[str, Any]) -> None:
        """Write into the table's row of the registry what was committed elsewhere; an older end doesn't hide a newer
        one, and a row that was deleted stays so."""

        def decide(snapshot: Snapshot) -> Changes:
            rows = [row for row in snapshot.rows if row["source_tablename"] == source_tablename]
            return Changes(tuple(_repeated(row, columns) for row in rows))

        if columns:
            _ = self.store.transact(self.config, decide, where={"source_tablename": [source_tablename]})

    def rows(self, source_tablename: str | None = None) -> list[Row]:
        """Rows of runs, of one table or of all."""
        where = None if source_tablename is None else {"source_tablename": [source_tablename]}
        return self._read(self.runs, where)

    def known(self, run_ids: Sequence[int]) -> frozenset[int]:
        """Which of these runs have a row."""
        return frozenset(row["id"] for row in self._read(self.runs, {"id": run_ids}))

    def stage_rows(self, run_id: int) -> list[Row]:
        """Rows of a run's stages, in their order."""
        found = self._read(self.stages, {"pipeline_run_id": [run_id]})
        return sorted(found, key=lambda row: (row["started_at"], row["stage_order"]))

    def _read(self, spec: TableSpec, where: Mapping[str, Any] | None) -> list[Row]:
        try:
            return list(self.store.read(spec.name, where=where).rows)
        except TableNotFound:
            return []

    def _write(self, spec: TableSpec, row_id: int, make: Callable[[Row | None], Row]) -> None:
        self._transact(spec, [row_id], lambda there: [make(there.get(row_id))])

    def _transact(self, spec: TableSpec, ids: Sequence[int], decide: Decide) -> None:
        def changes(snapshot: Snapshot) -> Changes:
            return Changes(tuple(decide({row["id"]: row for row in snapshot.rows})))

        where = {"id": list(ids)}
        try:
            _ = self.store.transact(spec, changes, where=where)
        except TableNotFound:
            # Somebody dropped it: what there was is lost, but what is going on needn't be.
            _ = self.store.create(spec)
            _ = self.store.transact(spec, changes, where=where)


def _each(runs: Sequence[Known], rows: Callable[[Known], Iterable[Row]]) -> Iterable[Row]:
    return (row for known in runs for row in rows(known))


def _loaded(direction: Direction, status: str, at: datetime) -> dict[str, Any]:
    return {f"{LOADER}_timestamp": at, f"{LOADER}_status": status} if direction is Direction.DL_TO_SINK else {}


def _repeated(row: Row, columns: Mapping[str, Any]) -> Row:
    known, new = row.get(f"{LOADER}_timestamp"), columns.get(f"{LOADER}_timestamp")
    if known is not None and new is not None and new < known:
        columns = {name: value for name, value in columns.items() if not name.startswith(LOADER)}
    return {**row, **columns}
