"""Task runs as they are made and tried again: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lakeflow_job_meta.local.runs import phases
from lakeflow_job_meta.local.runs.dispatch import Times
from lakeflow_job_meta.local.runs.record import LifeCycle, Phase, Run, TaskRun, kind_of
from lakeflow_job_meta.local.state import new_id


def new_task_run(run: Run, task: Mapping[str, Any], phase: Phase) -> TaskRun:
    """The first attempt of a task."""
    return TaskRun(new_id(), run.run_id, str(task["task_key"]), kind_of(task), task, phase)


def new_attempt(task: TaskRun) -> TaskRun:
    """The next attempt of a task, or of an iteration; it knows nothing of the last one but its number."""
    return TaskRun(
        new_id(), task.job_run_id, task.key, task.kind, task.task, phases.BLOCKED, attempt=task.attempt + 1,
        original=task.original or task.run_id, parent=task.parent, iteration=task.iteration, input=task.input,
    )  # fmt: skip


def new_iterations(loop: TaskRun, nested: Mapping[str, Any], inputs: Sequence[Any]) -> list[TaskRun]:
    """The first attempts of a loop's iterations."""
    return [
        TaskRun(
            new_id(), loop.job_run_id, str(nested["task_key"]), kind_of(nested), nested, phases.BLOCKED,
            repair=loop.repair, parent=loop.run_id, iteration=position, input=each,
        )
        for position, each in enumerate(inputs)
    ]  # fmt: skip


def turn(iteration: TaskRun) -> str:
    """Where an iteration is, in the words of `loop.next_iterations`; one that waits for its retry has its turn."""
    if iteration.phase.ended:
        return "ended"
    return "waiting" if iteration.phase.life_cycle is LifeCycle.BLOCKED else "active"


def is_under_way(task: TaskRun) -> bool:
    """Whether a task run has begun and not ended."""
    return task.start_ms > 0 and not task.phase.ended


def timed(task: TaskRun, times: Times) -> TaskRun:
    """A task run with what the dispatcher measured."""
    started = times.started_ms
    return replace(
        task,
        queue_ms=max(0, times.began_ms - task.start_ms),
        setup_ms=max(0, started - times.began_ms) if started else 0,
        execution_ms=max(0, times.ended_ms - started) if times.ended_ms and started else 0,
    )


def gathered(iterations: Sequence[TaskRun]) -> dict[str, list[Any]]:
    """The values that a loop's iterations set: by key a list, in the iterations' order, null where one set none."""
    keys = {key for each in iterations for key in each.values}
    return {key: [each.values.get(key) for each in iterations] for key in sorted(keys)}


def rows_of(iterations: Sequence[TaskRun]) -> dict[str, int | None]:
    """How many rows a loop's iterations read and wrote in all, where that is known of any."""
    read = [each.rows_read for each in iterations if each.rows_read is not None]
    written = [each.rows_written for each in iterations if each.rows_written is not None]
    return {"rows_read": sum(read) if read else None, "rows_written": sum(written) if written else None}
