"""Runs to rows of the ledger. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lakeflow_job_meta.model.job import Settings, canonical
from lakeflow_job_meta.model.run import GOOD, Run, TaskRun
from lakeflow_job_meta.model.table import Row
from lakeflow_job_meta.runs.history import History
from lakeflow_job_meta.runs.sla import breach, limit_of, task_limits

ERROR_LENGTH = 2_000
"""So many characters of an error are kept: its end is in the task's own output."""


@dataclass(frozen=True, slots=True)
class About:
    """What is known of our jobs beside their runs.

    `modules` and `settings` (as recorded) are by job id, `sources` by module and task_key; `workspace_id` is where, and
    `now` when this is written.
    """

    workspace_id: str
    now: datetime
    modules: Mapping[int, str]
    settings: Mapping[int, Settings] = field(default_factory=dict[int, Settings])
    sources: Mapping[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])


def day_of(start: datetime) -> str:
    """The partition that a run is in.

    >>> from datetime import UTC
    >>> day_of(datetime(2026, 11, 21, 23, 59, tzinfo=UTC))
    '2026-11-21'
    """
    return start.date().isoformat()


def run_row(run: Run, about: About) -> dict[str, Any]:
    """The run's row in `{control_table}_runs`, but for what it was made of, which stays as it was."""
    limit = limit_of(about.settings.get(run.job_id, {}))
    return {
        "workspace_id": about.workspace_id,
        "start_day": day_of(run.start),
        "run_id": run.run_id,
        "job_id": run.job_id,
        "module_name": about.modules[run.job_id],
        "state": run.state,
        "result": run.result,
        "error": _run_error(run),
        "trigger": run.trigger or None,
        "parameters": canonical(run.parameters) if run.parameters else None,
        "attempts": run.attempts,
        "start_time": run.start,
        "end_time": run.end,
        "duration_ms": run.duration_ms,
        "queue_ms": run.queue_ms,
        "rows_read": _sum(task.rows_read for task in run.latest),
        "rows_written": _sum(task.rows_written for task in run.latest),
        "sla": breach(run, limit, about.now),
        "sla_seconds": limit,
        "page_url": run.page_url or None,
        "collected_at": about.now,
    }


def made_of(run: Run, history: History) -> dict[str, Any]:
    """The rest of a run's row: what its job was made of when it started."""
    made = history.at(run.job_id, run.start)
    return {
        "control_version": made.control_version if made else None,
        "fingerprint": made.fingerprint if made else None,
        "correlation_id": made.correlation_id if made else None,
    }


def task_rows(run: Run, about: About) -> list[dict[str, Any]]:
    """The rows of the run's tasks, and of its loops' iterations, in `{control_table}_task_runs`."""
    module, limits = about.modules[run.job_id], task_limits(about.settings.get(run.job_id, {}))
    keys = {task.task_run_id: task.task_key for task in run.tasks}

    def declared(task: TaskRun) -> str:
        return keys.get(task.loop_run_id or 0, task.task_key)  # an iteration is of the source that its loop is of

    return [
        {
            "workspace_id": about.workspace_id,
            "start_day": day_of(run.start),
            "task_run_id": task.task_run_id,
            "run_id": run.run_id,
            "job_id": run.job_id,
            "module_name": module,
            "source_id": about.sources.get((module, declared(task))),
            "task_key": task.task_key,
            "attempt": task.attempt,
            "state": task.state,
            "result": task.result,
            "error": _error(task),
            "start_time": task.start,
            "end_time": task.end,
            "duration_ms": task.duration_ms,
            "queue_ms": task.queue_ms,
            "rows_read": task.rows_read,
            "rows_written": task.rows_written,
            "sla": breach(task, None if task.loop_run_id else limits.get(task.task_key), about.now),
            "collected_at": about.now,
            "loop_run_id": task.loop_run_id,
        }
        for task in (*run.tasks, *run.iterations)
    ]


def changed_only(wanted: Iterable[Row], there: Sequence[Row], key: str) -> tuple[Row, ...]:
    """The rows that say something new; when they were collected is no news."""
    known = {row[key]: row for row in there}

    def new(row: Row) -> bool:
        old = known.get(row[key])
        return old is None or any(old[name] != value for name, value in row.items() if name != "collected_at")

    return tuple(row for row in wanted if new(row))


def _run_error(run: Run) -> str | None:
    """The error of the first task that failed tells more than what the API says of the run."""
    failed = next((task for task in run.latest if task.failed and task.message), None)
    error = _error(run)
    return f"{failed.task_key}: {failed.message}"[:ERROR_LENGTH] if error and failed else error


def _error(run: Run | TaskRun) -> str | None:
    if run.result is None or run.result in GOOD:
        return None
    return run.message[:ERROR_LENGTH] or None


def _sum(numbers: Iterable[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None
