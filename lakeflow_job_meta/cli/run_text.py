"""Runs as text: durations, a Gantt chart in characters, what tasks left."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from textwrap import wrap
from typing import Any

from lakeflow_job_meta.model.job import mapping
from lakeflow_job_meta.model.run import Run, TaskRun

NAME, STATE, TIME = 24, 18, 9
"""Columns of the chart before its bars."""

SHOWN = 20
"""So many iterations of a loop have a line."""

STEP = timedelta(milliseconds=1)


def duration(ms: float | None) -> str:
    """A time as people say it.

    >>> [duration(ms) for ms in (40, 1_500, 75_000, 7_260_000, 200_000_000, None)]
    ['40 ms', '1.5 s', '1 m 15 s', '2 h 1 m', '2 d 7 h', '']
    """
    if ms is None:
        return ""
    seconds = ms / 1000
    if seconds < 1:
        return f"{ms:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    for size, large, small in ((3600, "m", "s"), (86_400, "h", "m"), (float("inf"), "d", "h")):
        if seconds < size:
            part = {"m": 60, "h": 3600, "d": 86_400}[large]
            rest = {"s": 1, "m": 60, "h": 3600}[small]
            return f"{int(seconds // part)} {large} {int(seconds % part // rest)} {small}"
    return ""


def headline(module: str, run: Run, now: datetime) -> str:
    """A run in one line."""
    took = duration(run.elapsed(now) / STEP)
    how = f"{run.word} after {took}" if run.ended else f"{run.word} for {took}"
    return f"run {run.run_id} of {module}: {how}"


def details(run: Run, width: int = 80) -> list[str]:
    """What else there is to say of a run as a whole: when and why it began, what it was given, why it failed."""
    told = [f"started {run.start:%Y-%m-%d %H:%M:%S} UTC, {run.trigger or 'trigger unknown'}"]
    told += [f"{name} = {value}" for name, value in (run.parameters or {}).items()]
    told += [run.message] if run.message and not run.succeeded else []
    return [line for text in told for line in wrap(text, width, initial_indent="  ", subsequent_indent="    ")]


def gantt(run: Run, now: datetime, width: int = 80) -> list[str]:
    """A line for each attempt of each task: when it ran within the run; of a loop's iterations those that failed and
    the first others, SHOWN in all."""
    room = max(10, width - NAME - STATE - TIME - 5)
    end = max([run.end or now, *(task.end for task in run.tasks if task.end)])
    span = max((end - run.start) / STEP, 1.0)
    lines: list[str] = []
    for task in run.tasks:
        lines.append(_bar(run, task, _name(task), now, span, room))
        iterations = [each for each in run.iterations if each.loop_run_id == task.task_run_id]
        names = names_of(iterations)
        first = {each.task_run_id for each in sorted(iterations, key=lambda each: not each.failed)[:SHOWN]}
        shown = [each for each in iterations if each.task_run_id in first]
        lines += [_bar(run, each, f"  {names[each.task_run_id]}", now, span, room) for each in shown]
        if len(iterations) > SHOWN:
            lines.append(f"    and {len(iterations) - SHOWN} more")
    return lines


def names_of(iterations: Iterable[TaskRun]) -> dict[int, str]:
    """What people call the iterations of loops, by their run: the task's key with the iteration's number in its loop.

    >>> names_of([TaskRun(7, "one", "TERMINATED", loop_run_id=1), TaskRun(8, "one", "TERMINATED", loop_run_id=1)])
    {7: 'one[1]', 8: 'one[2]'}
    """
    numbers: dict[int | None, dict[int, int]] = {}
    names: dict[int, str] = {}
    for each in iterations:
        of_loop = numbers.setdefault(each.loop_run_id, {})
        # A further attempt of an iteration names the first one.
        number = of_loop.setdefault(each.original_id or each.task_run_id, len(of_loop) + 1)
        names[each.task_run_id] = _name(each, f"[{number}]")
    return names


def _name(task: TaskRun, number: str = "") -> str:
    return f"{task.task_key}{number}" + (f" #{task.attempt}" if task.attempt > 1 else "")


def _bar(run: Run, task: TaskRun, name: str, now: datetime, span: float, room: int) -> str:
    name = name if len(name) <= NAME else f"{name[: NAME - 1]}…"
    began = task.start if task.start and task.word not in UNRUN else None
    if began is None:
        return f"  {name:<{NAME}} {task.word:<{STATE}}"
    until = task.end or (now if not task.ended else began)
    first = min(int((began - run.start) / STEP / span * room), room - 1)
    last = max(first + 1, round((until - run.start) / STEP / span * room))
    bar = " " * max(first, 0) + "█" * max(1, min(last, room) - first)
    return f"  {name:<{NAME}} {task.word:<{STATE}} {duration((until - began) / STEP):>{TIME}} {bar}"


UNRUN = ("BLOCKED", "UPSTREAM_FAILED", "UPSTREAM_CANCELED", "EXCLUDED", "DISABLED", "SKIPPED", "QUEUED", "PENDING")
"""Where a task that never began is."""


def output_lines(output: Mapping[str, Any]) -> list[str]:
    """What a task left, as `runs/get-output` tells it: error, result, logs.

    >>> output_lines({"error": "ValueError: no", "error_trace": "line 1: f()\\nValueError: no", "logs": "printed\\n"})
    ['line 1: f()', 'ValueError: no', 'printed']
    """
    error, trace = str(output.get("error") or ""), str(output.get("error_trace") or "")
    lines = [] if error in trace else error.splitlines()  # a trace mostly ends with its error
    lines += trace.splitlines()
    if (result := mapping(output.get("notebook_output")).get("result")) is not None:
        lines += [f"result: {result}"]
    if child := mapping(output.get("run_job_output")).get("run_id"):
        lines += [f"ran as run {child}"]
    lines += [json.dumps(row, ensure_ascii=False, default=str) for row in _rows(output)]
    return lines + str(output.get("logs") or "").splitlines()


def _rows(output: Mapping[str, Any]) -> Sequence[Any]:
    """The first rows of a SQL task's result, which only the embedded workspace tells."""
    return mapping(output.get("local")).get("rows") or ()
