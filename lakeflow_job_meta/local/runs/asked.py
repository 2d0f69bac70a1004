"""What a request asks a run to be: its parameters, its tasks, and what in it can't be."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from lakeflow_job_meta.diagnostics import nearest
from lakeflow_job_meta.local.call import invalid
from lakeflow_job_meta.local.job_settings import Settings, parsed
from lakeflow_job_meta.local.runs.dag import needs_of, selected
from lakeflow_job_meta.local.runs.phases import PENDING
from lakeflow_job_meta.local.runs.record import Run
from lakeflow_job_meta.local.runs.references import UnknownReference, job_names, resolved, time_parts
from lakeflow_job_meta.local.state import new_id

MAX_TOKEN, MAX_PARAMETER_BYTES = 64, 10_000
Task = dict[str, Any]


def _merged(kind: str, field: str) -> Callable[[Task, Any], Task]:
    def change(task: Task, given: Any) -> Task:
        return {**task, kind: {**task[kind], field: {**task[kind].get(field, {}), **given}}} if kind in task else task

    return change


def _replaced(kind: str, field: str) -> Callable[[Task, Any], Task]:
    def change(task: Task, given: Any) -> Task:
        return {**task, kind: {**task[kind], field: given}} if kind in task else task

    return change


OVERRIDES: Mapping[str, tuple[str, tuple[Callable[[Task, Any], Task], ...]]] = {
    "notebook_params": ("map[str]", (_merged("notebook_task", "base_parameters"),)),
    "sql_params": ("map[str]", (_merged("sql_task", "parameters"),)),
    "python_named_params": ("map[str]", (_merged("python_wheel_task", "named_parameters"),)),
    "python_params": (
        "list[str]",
        (_replaced("spark_python_task", "parameters"), _replaced("python_wheel_task", "parameters")),
    ),
    "jar_params": ("list[str]", (_replaced("spark_jar_task", "parameters"),)),
    "spark_submit_params": ("list[str]", (_replaced("spark_submit_task", "parameters"),)),
    "dbt_commands": ("list[str]", (_replaced("dbt_task", "commands"),)),
    "pipeline_params": ("map[any]", ()),
}
"""The older parameters of a run, by what they are and what they do to tasks."""


def run_of_job(
    job: Mapping[str, Any],
    user: str,
    asked: Mapping[str, Any],
    now_ms: int,
    trigger: tuple[str, Mapping[str, Any]] = ("ONE_TIME", {}),
) -> Run:
    """The run that a job's row and a request ask for; nothing has begun yet.

    Args:
        job: the row; user: who asks; now_ms: the time.
        asked: the request's body.
        trigger: what starts it, in the API's word, and what references can name of it.

    Raises:
        Refusal: 400, for what the request can't ask.
    """
    settings = cast("Settings", json.loads(job["settings"]))
    overriding = overriding_of(asked)
    declared = {str(each["name"]): str(each.get("default", "")) for each in settings.get("parameters", ())}
    _refuse_mixed(overriding, declared)
    if asked.get("only") is not None:
        settings = {**settings, "tasks": _only(settings["tasks"], asked["only"])}
    run = Run(
        run_id=new_id(), workspace=int(job["workspace"]), job_id=int(job["job_id"]), kind="JOB_RUN",
        name=str(settings["name"]), creator=user, trigger=trigger[0], trigger_info=trigger[1], start_ms=now_ms,
        phase=PENDING, settings=settings, overriding=overriding, token=token_of(asked),
        queueing=_queueing(asked, settings),
    )  # fmt: skip
    return with_parameters(run, {**declared, **overriding.get("job_parameters", {})})


def overriding_of(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that a request gives, checked.

    Raises:
        Refusal: 400, for a wrong type, too much of one, or two that don't go together.
    """
    found: dict[str, Any] = {}
    for name, kind in {"job_parameters": "map[str]", **{name: kind for name, (kind, _) in OVERRIDES.items()}}.items():
        if asked.get(name) is not None:
            found[name] = parsed(asked[name], kind)
            if len(json.dumps({name: found[name]}).encode()) > MAX_PARAMETER_BYTES:
                invalid(f"The JSON representation of {name} cannot exceed {MAX_PARAMETER_BYTES} bytes.")
    if "jar_params" in found and "notebook_params" in found:
        invalid("jar_params cannot be specified in conjunction with notebook_params.")
    return found


def token_of(asked: Mapping[str, Any]) -> str:
    """The idempotency token of a request, empty without one.

    Raises:
        Refusal: 400, if it is too long.
    """
    token = str(asked.get("idempotency_token") or "")
    if len(token) > MAX_TOKEN:
        invalid(f"idempotency_token must have at most {MAX_TOKEN} characters, got {len(token)}.")
    return token


def overridden(task: Task, overriding: Mapping[str, Any]) -> Task:
    """A task with the older parameters of its run put in."""
    for name, given in overriding.items():
        for change in OVERRIDES.get(name, ("", ()))[1]:
            task = change(task, given)
    return task


def pushed_down(task: Task, parameters: Mapping[str, str]) -> Task:
    """A task with the job's parameters put in where it takes names and values: the job's come first, as documented."""
    if "sql_task" in task:
        return _merged("sql_task", "parameters")(task, parameters)
    if task.get("python_wheel_task", {}).get("named_parameters"):
        return _merged("python_wheel_task", "named_parameters")(task, parameters)
    own = task.get("notebook_task", {}).get("base_parameters", {})
    return _merged("notebook_task", "base_parameters")(task, {k: v for k, v in parameters.items() if k in own})


def with_parameters(run: Run, values: Mapping[str, str]) -> Run:
    """The run with its job parameters, references in them put in.

    Raises:
        Refusal: 400, for a reference to what isn't there.
    """
    start, trigger = run.start_ms, trigger_names(run)
    job = job_names(start, id=run.job_id, name=run.name, run_id=run.run_id, repair_count=0, trigger=trigger)
    names = {"job": job, "workspace": {"id": run.workspace}}
    try:
        return replace(run, parameters=resolved(dict(values), names))
    except UnknownReference as problem:
        invalid(f"Invalid job parameter: {problem}.")


def trigger_names(run: Run) -> dict[str, Any]:
    """What references can name of a run's trigger."""
    info = dict(run.trigger_info)
    if (due := info.pop("time_ms", None)) is not None:
        info["time"] = time_parts(due)
    return {"type": TRIGGER_WORDS.get(run.trigger, run.trigger.lower()), **info}


TRIGGER_WORDS = {"ONE_TIME": "onetime"}
"""Where `job.trigger.type` has another word than the API's trigger."""


def _refuse_mixed(overriding: Mapping[str, Any], declared: Mapping[str, str]) -> None:
    old = [name for name in OVERRIDES if name in overriding]
    if old and (declared or "job_parameters" in overriding):
        invalid(f"{', '.join(old)} cannot be used with a job that has job parameters; use job_parameters.")


def _only(tasks: list[Task], only: object) -> list[Task]:
    wanted = cast("list[str]", parsed(only, "list[str]"))
    needs = needs_of(tasks)
    try:
        keys = selected(wanted, needs)
    except KeyError as unknown:
        key = str(unknown.args[0])
        hint = nearest(key, needs)
        invalid(f"Task '{key}' of `only` is not a task of this job{f' ({hint})' if hint else ''}.")
    if not keys:
        invalid("`only` names no task.")
    return [task for task in tasks if task["task_key"] in keys]


def _queueing(asked: Mapping[str, Any], settings: Settings) -> bool:
    queue = cast("Mapping[str, Any]", parsed(asked.get("queue") or settings.get("queue") or {}, "QueueSettings"))
    return bool(queue.get("enabled", False))
