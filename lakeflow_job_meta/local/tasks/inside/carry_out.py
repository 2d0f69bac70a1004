"""From the order to what runs it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from lakeflow_job_meta.errors import LakeflowJobMetaError, UsageError
from lakeflow_job_meta.local.tasks.inside.assignment import Assignment, read_assignment
from lakeflow_job_meta.local.tasks.inside.guard import limit_memory
from lakeflow_job_meta.local.tasks.inside.report import Report, told_error

Runner = Callable[[Assignment, Report], int]


def carry_out(folder: Path) -> int:
    """Do what the folder's order says; returns the process's exit code."""
    assignment, report = read_assignment(folder), Report(folder)
    limit_memory(assignment.memory_bytes)
    try:
        runner = RUNNERS.get(assignment.kind)
        if runner is None:
            raise UsageError(f"a {assignment.kind} has no process of its own", hint=f"known: {', '.join(RUNNERS)}")
        return runner(assignment, report)
    except LakeflowJobMetaError as problem:
        error = told_error(problem, 0)
        print(error[1] or f"error: {error[0]}", file=sys.stderr)
        report.end(error=error)
        return 1


# Each imports its own only: what a task doesn't need shall not cost it time.


def _python_file(assignment: Assignment, report: Report) -> int:
    from lakeflow_job_meta.local.tasks.inside.python_file import run

    return run(assignment, report)


def _python_wheel(assignment: Assignment, report: Report) -> int:
    from lakeflow_job_meta.local.tasks.inside.wheel import run

    return run(assignment, report)


def _notebook(assignment: Assignment, report: Report) -> int:
    from lakeflow_job_meta.local.tasks.inside.notebook import run

    return run(assignment, report)


def _dbt(assignment: Assignment, report: Report) -> int:
    from lakeflow_job_meta.local.tasks.inside.dbt import run

    return run(assignment, report)


RUNNERS: Mapping[str, Runner] = {
    "spark_python_task": _python_file,
    "python_wheel_task": _python_wheel,
    "notebook_task": _notebook,
    "dbt_task": _dbt,
}
