"""What a run is asked for, checked against the job that it is of. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, cast

from lakeflow_job_meta.diagnostics import Diagnostic, nearest
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.model.job import Settings, mapping

OLDER: Mapping[str, str] = {
    "notebook_task": "notebook_params",
    "sql_task": "sql_params",
    "python_wheel_task": "python_named_params",
}
"""Where parameters go, by kind of task, if the job itself declares none."""


def asked_of(
    module: str, settings: Settings, parameters: Mapping[str, str], only: Sequence[str] = ()
) -> dict[str, Any]:
    """The fields of run-now for these parameters, and for these tasks only.

    Args:
        module: The module, for what is told.
        settings: Its job's, as applied.
        parameters: Values by name: of the job's own parameters, or of its tasks' if it has none.
        only: Keys of tasks.

    Raises:
        InputError: a parameter or a task that the job hasn't; all findings at once.

    >>> asked_of("m", {"parameters": [{"name": "day", "default": "1"}]}, {"day": "2"})
    {'job_parameters': {'day': '2'}}
    """
    tasks = cast("Sequence[Mapping[str, Any]]", settings.get("tasks") or ())
    declared = [str(mapping(each).get("name")) for each in cast("Sequence[Any]", settings.get("parameters") or ())]
    fields = [field for kind, field in OLDER.items() if any(kind in task for task in tasks)]
    found = _unknown("task", only, [str(task.get("task_key")) for task in tasks])
    if declared:
        found += _unknown("parameter", parameters, declared)
    elif parameters and not fields:
        found.append(Diagnostic(f"module {module} takes no parameters", hint="declare them in job_config.parameters"))
    if found:
        raise InputError(f"module {module} can't be run like that", diagnostics=found)
    given: dict[str, Any] = {"only": list(only)} if only else {}
    if parameters:
        given |= {field: dict(parameters) for field in (["job_parameters"] if declared else fields)}
    return given


def _unknown(what: str, names: Iterable[str], known: Collection[str]) -> list[Diagnostic]:
    told = "known: " + ", ".join(sorted(known))
    return [
        Diagnostic(f"unknown {what} '{name}'", hint=nearest(name, known) or told) for name in names if name not in known
    ]
