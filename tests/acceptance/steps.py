"""What several files of tests do to a project, each step in the words of who does it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from lakeflow_job_meta import JobOrchestrator
from lakeflow_job_meta.model.plan import Action
from lakeflow_job_meta.store.delta import DeltaStore
from tests.conftest import TABLE, Project

SQL = {"task_type": "sql_query", "sql_task": {"warehouse_id": "w1", "sql_query": "SELECT 1"}}
SCHEDULE = {"quartz_cron_expression": "0 0 6 * * ?", "timezone_id": "UTC"}


def kinds(project: Project, **given: Any) -> dict[str, str]:
    return {action.module: str(action.kind) for action in project.orchestrator.plan(**given).actions}


def apply(project: Project, **given: Any) -> dict[str, str]:
    """Plan and apply; what was done by module."""
    plan = project.orchestrator.plan(**given)
    return {outcome.action.module: str(outcome.action.kind) for outcome in project.orchestrator.apply(plan)}


def ids(project: Project) -> dict[str, int]:
    return {row["module"]: row["job_id"] for row in project.orchestrator.status()}


def only(project: Project, module: str, **given: Any) -> Action:
    return next(action for action in project.orchestrator.plan(**given).actions if action.module == module)


def make_job(project: Project, settings: Mapping[str, Any]) -> int:
    """What a person makes in the UI."""
    return project.client.api_client.do("POST", "/api/2.2/jobs/create", body=dict(settings))["job_id"]


def with_settings(project: Project, **changed: Any) -> JobOrchestrator:
    settings = replace(project.settings, **changed)
    return JobOrchestrator(TABLE, project.client, store=DeltaStore(project.home), settings=settings)


def retries(project: Project, job_id: int, number: int, task: str = "a") -> None:
    settings = project.raw_job(job_id)["settings"]
    tasks = [{**each, "max_retries": number} if each["task_key"] == task else each for each in settings["tasks"]]
    project.update_job(job_id, tasks=tasks)


def notebook(**more: Any) -> dict[str, Any]:
    return {"task_type": "notebook", "notebook_path": "/etl/a", **more}


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until it is true; what never comes fails the test."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
