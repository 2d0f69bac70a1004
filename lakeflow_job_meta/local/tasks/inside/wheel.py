"""A Python wheel task: an entry point of a package, found as Databricks finds it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from lakeflow_job_meta.diagnostics import nearest
from lakeflow_job_meta.errors import InputError, LakeflowJobMetaError
from lakeflow_job_meta.local.tasks.inside.assignment import Assignment
from lakeflow_job_meta.local.tasks.inside.libraries import put_on_path
from lakeflow_job_meta.local.tasks.inside.program import Program, failed, run_program
from lakeflow_job_meta.local.tasks.inside.report import Report


def run(assignment: Assignment, report: Report) -> int:
    """Call the entry point; returns the exit code.

    Raises:
        InputError: no such package or entry point.
    """
    what = assignment.what
    package, entry = str(what.get("package_name", "")), str(what.get("entry_point", ""))
    if not package or not entry:
        raise InputError("python_wheel_task needs package_name and entry_point")
    put_on_path(assignment)
    try:
        module, _, function = _found(package, entry).partition(":")
    except LakeflowJobMetaError:
        raise
    except Exception as problem:  # noqa: BLE001 (importing it runs the package's own code)
        return failed(problem, assignment, report)
    # As a program of its own, so that a trace begins with the package's own lines.
    text = f"import {module}\n{module}.{function}()\n"
    return run_program(Program(text, f"<{package}: {entry}>", [package, *arguments_of(what)]), assignment, report)


def arguments_of(what: Mapping[str, Any]) -> list[str]:
    """What the function finds behind `sys.argv[0]`.

    >>> arguments_of({"named_parameters": {"day": "2026-01-01", "full": "true"}})
    ['--day=2026-01-01', '--full=true']
    """
    named: Mapping[str, Any] = what.get("named_parameters") or {}
    return [*(str(each) for each in what.get("parameters") or ()), *(f"--{name}={named[name]}" for name in named)]


def _found(package: str, entry: str) -> str:
    """`module:function` of a named entry point of any group, else of the package itself."""
    module = package.replace("-", "_")
    try:
        points = metadata.distribution(package).entry_points
    except metadata.PackageNotFoundError:
        points = None
    for point in points or ():
        if point.name == entry:
            return f"{point.module}:{point.attr}"
    try:
        known = vars(importlib.import_module(module))
    except ModuleNotFoundError as problem:
        if problem.name != module:
            raise InputError(
                f"package '{package}' needs {problem.name}, which isn't installed",
                hint="install what the wheel requires beside lakeflow_job_meta: nothing is installed for a task",
            ) from problem
        raise InputError(
            f"there is no package '{package}'", hint="name its wheel in the task's libraries: [{whl: /Volumes/…}]"
        ) from None
    if entry in known:
        return f"{module}:{entry}"
    names = [point.name for point in points or ()] + [name for name in known if callable(known[name])]
    raise InputError(f"package '{package}' has no entry point '{entry}'", hint=nearest(entry, names))
