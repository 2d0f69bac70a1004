"""What the record has to say of a run as the workspace tells it: of processes that were killed, of tasks that never
began, of runs that were cancelled. Pure.

While a run goes on, its stages write for themselves, and what they wrote stays. When it has ended, the workspace knows
how; why, the stage knew better, if it lived to tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lakeflow_job_meta.model.run import EPOCH, GOOD, Run, TaskRun
from lakeflow_job_meta.model.table import Row
from lakeflow_job_meta.pipelines.runs.rows import StageRun, begun_run, begun_stage, is_final, pending_run, told
from lakeflow_job_meta.pipelines.runs.words import FAILED, RUNNING, SUCCESS, time_taken, triggered_by
from lakeflow_job_meta.pipelines.stage_task import StageTask

WAITING = frozenset(("QUEUED", "PENDING", "BLOCKED", "WAITING_FOR_RETRY", "SKIPPED"))
"""Life cycles of a task that didn't begin."""
UNRUN = frozenset(("UPSTREAM_FAILED", "UPSTREAM_CANCELED", "EXCLUDED", "DISABLED"))
"""Results of a task that didn't begin."""
GOES_ON = {"status": RUNNING, "completed_at": None, "error_message": None}
UNKNOWN = "the run ended without success, and the workspace doesn't say why"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one run: how the workspace tells it, and its job's stages by task_key."""

    run: Run
    stages: Mapping[str, StageTask]

    def begun(self) -> list[tuple[TaskRun, StageTask]]:
        """The attempts of stages that began, in the order of the tasks."""
        return [
            (task, self.stages[task.task_key])
            for task in self.run.tasks
            if task.task_key in self.stages and self._began(task)
        ]

    def _began(self, task: TaskRun) -> bool:
        if task.start is None or task.state in WAITING or task.result in UNRUN:
            return False
        # A task that never began may be told with the start of its run, which no task can have that waits for another.
        return not task.depends_on or task.start > self.run.start


def settled_run(known: Known, before: Row | None) -> Row | None:
    """The run's row, given the one that is there; None where nothing can be said."""
    run, begun = known.run, known.begun()
    if before is None:
        if not known.stages:
            return None
        before = _first_row(known, begun)
    row = dict(before)
    row["triggered_by"] = row["triggered_by"] or triggered_by(run.trigger) or None
    ended = row["completed_at"]
    if is_final(row) and ended and any(task.start and task.start > ended for task, _ in begun):
        row |= GOES_ON  # it was repaired, and the stages since then don't write for themselves
    reached = {"current_stage": max([row["current_stage"] or 0, *(stage.position for _, stage in begun)])}
    if not run.ended:
        # A stage that has just told how it ended knows more than the look that was taken before.
        return row if is_final(row) else row | reached | ({"status": RUNNING} if begun else {})
    status = SUCCESS if run.result in GOOD else FAILED
    if row["status"] == status:
        return row
    error = None if status == SUCCESS else _error(known)
    return row | reached | {"status": status, "completed_at": run.end, "error_message": error}


def settled_stages(known: Known, there: Mapping[int, Row]) -> list[Row]:
    """The rows of the stages that began, given those that are there by id."""
    return [
        _stage(task, StageRun(stage, known.run.run_id, task.task_run_id), there.get(task.task_run_id))
        for task, stage in known.begun()
    ]


def _first_row(known: Known, begun: list[tuple[TaskRun, StageTask]]) -> Row:
    run = known.run
    if not begun:
        first = min(known.stages.values(), key=lambda stage: stage.position)
        return {**pending_run(run.run_id, first, run.start), "triggered_by": None}
    task, stage = begun[-1]
    return begun_run(StageRun(stage, run.run_id, task.task_run_id), None, run.start)


def _stage(task: TaskRun, run: StageRun, before: Row | None) -> Row:
    row = dict(before or begun_stage(run, task.start or EPOCH))
    if not task.ended:
        return row
    status = SUCCESS if task.result in GOOD else FAILED
    if row["status"] == status and is_final(row):
        return row
    rows = row["rows_processed"] if row["rows_processed"] is not None else task.rows_written
    taken = row["time_taken"] or time_taken(row["started_at"], task.end)
    return row | {"status": status, "rows_processed": rows, "time_taken": taken}


def _error(known: Known) -> str:
    """The task that failed by itself tells more than the run does."""
    run = known.run
    for task in run.latest:
        if task.failed and task.message and task.task_key in known.stages:
            return told(known.stages[task.task_key], task.message)
    if run.result == "CANCELED":
        return f"cancelled: {run.message}" if run.message else "cancelled"
    return run.message or UNKNOWN
