"""Rows of the record, as a stage's own process writes them. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lakeflow_job_meta.model.table import Row
from lakeflow_job_meta.pipelines.runs.words import FAILED, FINAL, MANUAL, PENDING, RUNNING, SUCCESS, time_taken
from lakeflow_job_meta.pipelines.stage_task import StageTask
from lakeflow_job_meta.pipelines.stages.stage import StageOutcome

ERROR_LENGTH = 2_000
"""So many characters of an error are kept: the task's own output has the rest."""


@dataclass(frozen=True, slots=True)
class StageRun:
    """One stage in one run: the workspace's ids of the run and of the stage's task in it."""

    stage: StageTask
    run_id: int
    task_run_id: int


def pending_run(run_id: int, first: StageTask, now: datetime) -> Row:
    """A run that was asked for and hasn't begun."""
    return _run(run_id, first) | {"status": PENDING, "current_stage": 0, "triggered_by": MANUAL, "started_at": now}


def begun_run(run: StageRun, before: Row | None, now: datetime) -> Row:
    """The run once a stage of it has begun; one that was repaired goes on."""
    known = before or {"started_at": now, "triggered_by": None}
    return _run(run.run_id, run.stage) | {
        "status": RUNNING,
        "current_stage": run.stage.position,
        "triggered_by": run.stage.triggered_by or known["triggered_by"],
        "started_at": known["started_at"],
    }


def ended_run(run: StageRun, before: Row | None, error: str | None, now: datetime) -> Row:
    """The run once a stage of it has ended: over if that failed, or was the last."""
    row = dict(begun_run(run, before, now))
    if error is not None:
        return row | {"status": FAILED, "completed_at": now, "error_message": told(run.stage, error)}
    return row | ({"status": SUCCESS, "completed_at": now} if run.stage.is_last else {})


def begun_stage(run: StageRun, now: datetime) -> Row:
    """The stage's row while it works."""
    return {
        "id": run.task_run_id,
        "pipeline_run_id": run.run_id,
        "stage_order": run.stage.stage_order,
        "status": RUNNING,
        "rows_processed": None,
        "file_paths": None,
        "time_taken": None,
        "started_at": now,
    }


def ended_stage(run: StageRun, before: Row | None, outcome: StageOutcome | None, now: datetime) -> Row:
    """The stage's row when it has ended; without an outcome it failed."""
    row = dict(before or begun_stage(run, now))
    return row | {
        "status": FAILED if outcome is None else SUCCESS,
        "rows_processed": outcome and outcome.rows_processed,
        "file_paths": paths_text(outcome.file_paths) if outcome else None,
        "time_taken": time_taken(row["started_at"], now),
    }


def paths_text(paths: Sequence[str]) -> str | None:
    """Paths as the column holds them: a JSON list."""
    return json.dumps(list(paths), ensure_ascii=False) if paths else None


def told(stage: StageTask, error: str) -> str:
    """An error as the run's row tells it: with the stage that it stopped at."""
    return f"{stage.stage_name}: {error}"[:ERROR_LENGTH]


def is_final(row: Row | None) -> bool:
    """Whether a row says how it ended."""
    return row is not None and row["status"] in FINAL


def _run(run_id: int, stage: StageTask) -> dict[str, Any]:
    return {
        "id": run_id,
        "source_tablename": stage.source_tablename,
        "pipeline_name": stage.pipeline_name,
        "status": PENDING,
        "current_stage": stage.position,
        "total_stages": stage.count,
        "triggered_by": None,
        "started_at": None,
        "completed_at": None,
        "error_message": None,
    }
