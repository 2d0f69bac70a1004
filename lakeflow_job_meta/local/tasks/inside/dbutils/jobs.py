"""`dbutils.jobs.taskValues`: what tasks tell those after them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lakeflow_job_meta.diagnostics import nearest
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.local.tasks.inside.report import Report

MOST_BYTES = 48 * 1024
"""Of one value as JSON, as in Databricks."""


class TaskValues:
    """Task values.

    Args:
        known: what the tasks before this one have set, by task_key; report: where ours are told.
    """

    def __init__(self, known: Mapping[str, Mapping[str, Any]], report: Report) -> None:
        self._known = known
        self._report = report

    def set(self, key: str, value: Any) -> None:
        """Set one of ours.

        Raises:
            InputError: it can't be told as JSON, or is too big.
        """
        try:
            size = len(json.dumps(value).encode())
        except (TypeError, ValueError) as problem:
            raise InputError(
                f"task value '{key}': {problem}", hint="text, numbers, lists and dicts can be set"
            ) from None
        if size > MOST_BYTES:
            raise InputError(f"task value '{key}' has {size} bytes, expected at most {MOST_BYTES}")
        self._report.value(key, value)

    def get(self, taskKey: str, key: str, default: Any = None, debugValue: Any = None) -> Any:
        """A value that another task set, or the default; `debugValue` is for notebooks outside of jobs.

        Raises:
            InputError: no such value and no default.
        """
        del debugValue
        found = self._known.get(taskKey, {})
        if key in found:
            return found[key]
        if default is not None:
            return default
        if taskKey not in self._known:
            hint = nearest(taskKey, self._known) or "only tasks before this one, which have set values, can be asked"
            raise InputError(f"task '{taskKey}' has set no task values", hint=hint)
        raise InputError(f"task '{taskKey}' has set no task value '{key}'", hint=nearest(key, found))


class Jobs:
    """`dbutils.jobs`."""

    def __init__(self, taskValues: TaskValues) -> None:
        self.taskValues = taskValues
