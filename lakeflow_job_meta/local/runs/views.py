"""Runs as the API shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lakeflow_job_meta.local.runs.dag import Outcome
from lakeflow_job_meta.local.runs.phases import STATES, termination_type
from lakeflow_job_meta.local.runs.record import LifeCycle, Phase, Run, TaskRun, phase_from

OF_THE_JOB = ("job_clusters", "git_source", "description")
"""What a run shows of its settings."""
RESOLVED: Mapping[str, tuple[str, ...]] = {
    "notebook_task": ("base_parameters",),
    "spark_python_task": ("parameters",),
    "python_wheel_task": ("parameters", "named_parameters"),
    "sql_task": ("parameters",),
    "dbt_task": ("commands",),
    "spark_jar_task": ("parameters",),
    "condition_task": ("left", "right"),
    "run_job_task": ("job_parameters", "parameters"),
}
"""The fields that `resolved_values` tells, by kind of task."""


def run_view(run: Run, origin: str) -> dict[str, Any]:
    """A run without its tasks."""
    view: dict[str, Any] = {
        "job_id": run.job_id, "run_id": run.run_id, "number_in_job": run.run_id, "job_run_id": run.run_id,
        "original_attempt_run_id": run.run_id, "creator_user_name": run.creator, "run_name": run.name,
        "run_type": run.kind, "trigger": run.trigger, "format": "MULTI_TASK", "start_time": run.start_ms,
        "setup_duration": 0, "execution_duration": 0, "cleanup_duration": 0, "end_time": run.end_ms,
        "run_page_url": _page(origin, run, run.run_id), **state_view(run.phase),
        **{name: run.settings[name] for name in OF_THE_JOB if name in run.settings},
    }  # fmt: skip
    if run.end_ms:
        view["run_duration"] = run.end_ms - run.start_ms
    if run.begun_ms:
        view["queue_duration"] = run.begun_ms - run.start_ms
    if run.overriding:
        view["overriding_parameters"] = dict(run.overriding)
    if run.parent:
        view["trigger_info"] = {"run_id": run.parent}
    if run.trigger == "PERIODIC" and "schedule" in run.settings:
        view["schedule"] = run.settings["schedule"]
    if run.parameters:
        declared = {each["name"]: each.get("default", "") for each in run.settings.get("parameters", ())}
        view["job_parameters"] = [
            {"name": name, "value": value, **({"default": declared[name]} if name in declared else {})}
            for name, value in run.parameters.items()
        ]
    return view


def task_view(run: Run, task: TaskRun, origin: str, *, resolved: bool = False) -> dict[str, Any]:
    """One task run."""
    view: dict[str, Any] = {
        **task.task, "run_id": task.run_id, "task_key": task.key, "attempt_number": task.attempt,
        "start_time": task.start_ms or run.start_ms, "setup_duration": task.setup_ms,
        "execution_duration": task.execution_ms, "cleanup_duration": 0, "end_time": task.end_ms,
        "run_page_url": _page(origin, run, task.run_id), **state_view(task.phase),
    }  # fmt: skip
    if task.queue_ms:
        view["queue_duration"] = task.queue_ms
    if task.original:
        view["original_attempt_run_id"] = task.original
    if task.outcome:
        view["condition_task"] = {**view["condition_task"], "outcome": task.outcome}
    if rows := rows_told(task):
        view["local"] = rows
    if resolved and task.resolved and task.kind in RESOLVED:
        body = task.resolved[task.kind]
        view["resolved_values"] = {task.kind: {name: body[name] for name in RESOLVED[task.kind] if name in body}}
    return view


def rows_told(task: TaskRun) -> dict[str, int]:
    """How many rows a task run read and wrote, as far as that is known; the API has no field for it."""
    told = {"rows_read": task.rows_read, "rows_written": task.rows_written}
    return {name: number for name, number in told.items() if number is not None}


def loop_view(view: dict[str, Any], iterations: Iterable[TaskRun]) -> dict[str, Any]:
    """A for_each task's view with the counts of its iterations."""
    newest = {each.iteration: each for each in iterations}.values()
    done = [each for each in newest if each.phase.ended]
    good = sum(each.phase.result is Outcome.SUCCESS for each in done)
    stats = {
        "total_iterations": len(newest), "completed_iterations": len(done), "succeeded_iterations": good,
        "failed_iterations": len(done) - good,
        "active_iterations": sum(bool(each.start_ms) and not each.phase.ended for each in newest),
        "scheduled_iterations": sum(bool(each.start_ms) for each in newest),
    }  # fmt: skip
    messages: dict[str, int] = {}
    for each in done:
        if each.phase.result is not Outcome.SUCCESS:
            messages[each.phase.message] = messages.get(each.phase.message, 0) + 1
    errors = [
        {"error_message": text, "count": count, "termination_category": "RUN_EXECUTION_ERROR"}
        for text, count in messages.items()
    ]
    told = {"task_run_stats": stats, **({"error_message_stats": errors} if errors else {})}
    return {**view, "for_each_task": {**view["for_each_task"], "stats": told}}


def history_view(run: Run, tasks: Sequence[TaskRun]) -> list[dict[str, Any]]:
    """A run's repairs, the original run first."""
    items: list[dict[str, Any]] = []
    for each in run.repairs or ({"type": "ORIGINAL", "start_time": run.start_ms},):
        item = {name: each[name] for name in ("type", "id", "start_time", "end_time") if name in each}
        told = each.get("phase")
        phase = phase_from(told) if told else run.phase
        if "end_time" not in item and run.end_ms:
            item["end_time"] = run.end_ms
        ids = [task.run_id for task in tasks if task.repair == each.get("id", 0)]
        items.append({**item, **state_view(phase), "task_run_ids": ids})
    return items


def state_view(phase: Phase) -> dict[str, Any]:
    """The older `state` and the newer `status`, side by side."""
    state: dict[str, Any] = {
        "life_cycle_state": phase.life_cycle, "state_message": phase.message,
        "user_cancelled_or_timedout": phase.result in (Outcome.CANCELED, Outcome.TIMEDOUT),
    }  # fmt: skip
    status: dict[str, Any] = {"state": STATES.get(phase.life_cycle, phase.life_cycle)}
    if phase.life_cycle is LifeCycle.QUEUED:
        state["queue_reason"] = phase.message
        status["queue_details"] = {"code": phase.code, "message": phase.message}
    elif phase.result is not None:
        state["result_state"] = phase.result
        kind = termination_type(phase)
        status["termination_details"] = {"code": phase.code, "type": kind, "message": phase.message}
    return {"state": state, "status": status}


def _page(origin: str, run: Run, run_id: int) -> str:
    return f"{origin}/?o={run.workspace}#job/{run.job_id}/run/{run_id}"
