"""Whether and when a task is tried again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakeflow_job_meta.local.runs.dag import Outcome

NEVER_RETRIED = frozenset({"condition_task", "for_each_task"})
"""A condition "does not support retries"; a loop's iterations are retried by themselves."""


def retried_at(task: Mapping[str, Any], kind: str, outcome: Outcome, tries: int, started_ms: int) -> int | None:
    """When the next attempt may begin, in ms since the epoch; None if there is none.

    Args:
        task: its settings: max_retries (-1 for ever), min_retry_interval_millis, retry_on_timeout.
        kind: which of its fields says what to do.
        outcome: how the attempt ended.
        tries: attempts so far, this one included, since the run or its repair began.
        started_ms: when this attempt began; the interval counts from there, as documented.

    >>> retried_at({"max_retries": 1, "min_retry_interval_millis": 500}, "sql_task", Outcome.FAILED, 1, 1000)
    1500
    """
    if kind in NEVER_RETRIED:
        return None
    most = int(task.get("max_retries", 0))
    if outcome is Outcome.TIMEDOUT and not task.get("retry_on_timeout", False):
        return None
    if outcome not in (Outcome.FAILED, Outcome.TIMEDOUT) or (most != -1 and tries > most):
        return None
    return started_ms + int(task.get("min_retry_interval_millis", 0))
