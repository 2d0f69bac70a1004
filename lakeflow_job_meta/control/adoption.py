"""A job that exists as rows: so that from then on the rows declare it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from lakeflow_job_meta.engine.identity import TAG
from lakeflow_job_meta.model.job import ObservedJob, Settings, mapping
from lakeflow_job_meta.model.table import Row

NOT_DECLARED = ("tasks", "format", "deployment", "edit_mode")
"""Settings that don't go into job_config: sources declare the tasks, the others belong to tools and the server."""


def owned_by_another(job: ObservedJob) -> str:
    """Which other tool keeps this job; empty where none does."""
    deployment = mapping(job.settings.get("deployment"))
    if deployment:
        return f"a bundle deployment ({deployment.get('metadata_file_path', deployment.get('kind', '?'))})"
    return f"another control table (tag {TAG})" if TAG in job.tags else ""


def module_row(job: ObservedJob, module: str, now: datetime) -> Row:
    """The module's own row."""
    config = {name: value for name, value in job.settings.items() if name not in NOT_DECLARED and value != {}}
    return {
        "module_name": module,
        "description": None,
        "job_config": json.dumps(config, ensure_ascii=False),
        "is_active": True,
        "created_timestamp": now,
        "updated_timestamp": now,
    }


def source_rows(job: ObservedJob, module: str, now: datetime) -> list[Row]:
    """One row a task, which holds the task as it is; the order tells a reader how deep in the graph it lies."""
    tasks: list[dict[str, Any]] = list(job.settings.get("tasks", ()))
    depths = _depths(tasks)
    return [
        {
            "source_id": task["task_key"],
            "module_name": module,
            "source_type": next((key.removesuffix("_task") for key in task if key.endswith("_task")), None),
            "execution_order": depths[task["task_key"]],
            "source_config": None,
            "target_config": None,
            "transformation_config": json.dumps(_config(task), ensure_ascii=False),
            "is_active": True,
            "created_timestamp": now,
            "updated_timestamp": now,
        }
        for task in tasks
    ]


def _config(task: Mapping[str, Any]) -> Settings:
    rest = {name: value for name, value in task.items() if name not in ("task_key", "depends_on") and value != {}}
    return {"task_type": "task", "task": rest, "depends_on": list(task.get("depends_on", ()))}


def _depths(tasks: list[dict[str, Any]]) -> dict[str, int]:
    needs = {task["task_key"]: [each["task_key"] for each in task.get("depends_on", ())] for task in tasks}
    depths: dict[str, int] = {}
    while len(depths) < len(needs):
        ready = {key for key, before in needs.items() if key not in depths and all(each in depths for each in before)}
        if not ready:
            return dict.fromkeys(needs, 1) | depths  # a circle or a dangling name: the compiler tells it
        depths |= {key: 1 + max((depths[each] for each in needs[key]), default=0) for key in ready}
    return depths
