"""What a run may take, by the health rules of its job, and whether it keeps to that. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from lakeflow_job_meta.model.job import Settings, mapping
from lakeflow_job_meta.model.run import Run, TaskRun

SLOW, LATE = "slow", "late"
METRIC = "RUN_DURATION_SECONDS"


def limit_of(settings: Mapping[str, Any]) -> int | None:
    """The seconds that a job or a task may take: the least of its rules about that; None where there is none.

    >>> limit_of({"health": {"rules": [{"metric": "RUN_DURATION_SECONDS", "op": "GREATER_THAN", "value": 60}]}})
    60
    """
    rules = cast("Sequence[Any]", mapping(settings.get("health")).get("rules") or ())
    found = [mapping(rule).get("value") for rule in rules if mapping(rule).get("metric") == METRIC]
    return min((int(value) for value in found if isinstance(value, int | float)), default=None)


def task_limits(settings: Settings) -> dict[str, int]:
    """The seconds that each task may take, by task_key, of those that have a rule."""
    tasks = cast("Sequence[Any]", settings.get("tasks") or ())
    limits = {str(mapping(task).get("task_key")): limit_of(mapping(task)) for task in tasks}
    return {key: limit for key, limit in limits.items() if limit is not None}


def breach(run: Run | TaskRun, limit: int | None, now: datetime) -> str | None:
    """SLOW if it ran for longer than the limit, in seconds; LATE if only its wait in the queue made it so; else None.

    A run that goes on is measured up to now.
    """
    if limit is None or run.start is None:
        return None
    allowed, took = timedelta(seconds=limit), (run.end or now) - run.start
    if took <= allowed:
        return None
    waited = timedelta(milliseconds=run.queue_ms or 0)
    ran = took - waited if run.ended or run.state not in ("QUEUED", "PENDING", "BLOCKED") else timedelta()
    return SLOW if ran > allowed else LATE
