"""The history of a run's repairs: pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lakeflow_job_meta.local.runs import phases
from lakeflow_job_meta.local.runs.record import Run, phase_json


def reopened(run: Run, repair_id: int, now_ms: int) -> Run:
    """An ended run as a repair takes it up: its history begins with how it first ended."""
    history = list(run.repairs) or [{"type": "ORIGINAL", "start_time": run.start_ms, **_ending_of(run)}]
    mark = {"type": "REPAIR", "id": repair_id, "start_time": now_ms}
    return replace(run, phase=phases.PENDING, end_ms=0, repairs=(*history, mark))


def closed(run: Run) -> Run:
    """A run that has ended, with that end in its history, if it has one."""
    if not run.repairs:
        return run
    return replace(run, repairs=(*run.repairs[:-1], {**run.repairs[-1], **_ending_of(run)}))


def _ending_of(run: Run) -> dict[str, Any]:
    return {"end_time": run.end_ms, "phase": phase_json(run.phase)}
