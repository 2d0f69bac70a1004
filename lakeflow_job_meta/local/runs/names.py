"""What the references of a task can name: the run, the task, the tasks before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from lakeflow_job_meta.local.runs.asked import trigger_names
from lakeflow_job_meta.local.runs.record import Run, TaskRun
from lakeflow_job_meta.local.runs.references import Value, job_names


def names_for(run: Run, task: TaskRun, ended: Iterable[TaskRun], url: str) -> dict[str, Any]:
    """The namespaces of one task run.

    Args:
        ended: the last attempts of the tasks that have ended.
        url: of the workspace.
    """
    start = run.begun_ms or run.start_ms
    names: dict[str, Any] = {
        "job": job_names(
            start, id=run.job_id, name=run.name, run_id=run.run_id, repair_count=len(_repairs(run)),
            parameters=dict(run.parameters),
            trigger=trigger_names(run),
        ),
        "task": {"name": task.key, "run_id": task.run_id, "execution_count": task.attempt + 1, **_notebook(task.task)},
        "tasks": {each.key: _of_task(each) for each in ended},
        "workspace": {"id": run.workspace, "url": url},
        # The older names, without a namespace.
        "job_id": run.job_id, "run_id": task.run_id, "parent_run_id": run.run_id, "task_key": task.key,
        "task_retry_count": task.attempt, "start_time": start, "start_date": job_names(start)["start_time"]["iso_date"],
    }  # fmt: skip
    if task.iteration >= 0:
        names["input"] = _whole(task.input)
    return names


def _repairs(run: Run) -> list[Mapping[str, Any]]:
    return [each for each in run.repairs if each["type"] == "REPAIR"]


def _of_task(task: TaskRun) -> dict[str, Any]:
    known: dict[str, Any] = {
        "run_id": task.run_id, "result_state": task.phase.result.value.lower() if task.phase.result else "",
        "execution_count": task.attempt + 1, "values": {key: _whole(value) for key, value in task.values.items()},
        "error_code": "" if task.phase.code == "SUCCESS" else _camel(task.phase.code), **_notebook(task.task),
    }  # fmt: skip
    if task.kind == "sql_task":
        first = {"first_row": dict(task.rows[0])} if task.rows else {}
        known["output"] = {"rows": list(task.rows), **first}
    return known


def _whole(value: Any) -> Any:
    return Value(cast("dict[str, Any]", value)) if isinstance(value, dict) else value


def _notebook(task: Mapping[str, Any]) -> dict[str, Any]:
    path = task.get("notebook_task", {}).get("notebook_path")
    return {"notebook_path": path} if path else {}


def _camel(code: str) -> str:
    return "".join(word.capitalize() for word in code.split("_"))
