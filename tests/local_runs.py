"""Runs in tests: SQL tasks of saved queries, and waiting for a run's end by the raw API."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from databricks.sdk import WorkspaceClient

from tests.local_server import Reply, Site

TERMINAL = ("TERMINATED", "SKIPPED", "INTERNAL_ERROR")
SLOW = "SELECT count(*) FROM range(1000000000000) WHERE id % 7 = 3"
"""Takes hours."""
BROKEN = "SELECT * FROM no.such.table"


@dataclass(frozen=True)
class Runs:
    """Jobs and runs of one workspace of a server."""

    site: Site
    token: str | None = None

    @property
    def client(self) -> WorkspaceClient:
        return self.site.client(self.token)

    def call(self, method: str, name: str, body: Any = None) -> Reply:
        return self.site.call(method, f"/api/2.2/jobs/{name}", body, token=self.token)

    def done(self, method: str, name: str, body: Any = None) -> Any:
        answer = self.call(method, name, body)
        assert answer.status == 200, answer.body
        return answer.data

    def query(self, text: str, **more: Any) -> str:
        """The id of a saved query."""
        body = {"query": {"display_name": uuid4().hex, "query_text": text, "warehouse_id": "w", **more}}
        answer = self.site.call("POST", "/api/2.0/sql/queries", body, token=self.token)
        assert answer.status == 200, answer.body
        return str(answer.data["id"])

    def sql(self, key: str, text: str = "SELECT 1", *after: str, **more: Any) -> dict[str, Any]:
        """A SQL task; `parameters` are the query's, all else is the task's."""
        parameters = {"parameters": more.pop("parameters")} if "parameters" in more else {}
        needs = {"depends_on": [{"task_key": each} for each in after]} if after else {}
        body = {"warehouse_id": "w", "query": {"query_id": self.query(text)}, **parameters}
        return {"task_key": key, "sql_task": body, **needs, **more}

    def create(self, *tasks: dict[str, Any], **more: Any) -> int:
        return int(self.done("POST", "create", {"name": "j", "tasks": list(tasks), **more})["job_id"])

    def start(self, job_id: int, **more: Any) -> int:
        return int(self.done("POST", "run-now", {"job_id": job_id, **more})["run_id"])

    def get(self, run_id: int, **asked: Any) -> dict[str, Any]:
        query = "".join(
            f"&{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in asked.items()
        )
        return dict(self.done("GET", f"runs/get?run_id={run_id}{query}"))

    def output(self, run_id: int) -> dict[str, Any]:
        return dict(self.done("GET", f"runs/get-output?run_id={run_id}"))

    def until(self, run_id: int, holds: Callable[[dict[str, Any]], bool], seconds: float = 30) -> dict[str, Any]:
        """The run as it is when something holds of it."""
        end = time.monotonic() + seconds
        while not holds(run := self.get(run_id)):
            assert time.monotonic() < end, run
            time.sleep(0.02)
        return run

    def ended(self, run_id: int, seconds: float = 30) -> dict[str, Any]:
        """The run when it has ended."""
        return self.until(run_id, lambda run: run["state"]["life_cycle_state"] in TERMINAL, seconds)

    def running(self, run_id: int, key: str = "") -> dict[str, Any]:
        """The run when it, or a task of it, is running."""
        return self.until(run_id, lambda run: (states(run)[key][0] if key else life(run)) == "RUNNING")

    def run(self, *tasks: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Make a job, run it once, and wait for its end."""
        asked = more.pop("asked", {})
        return self.ended(self.start(self.create(*tasks, **more), **asked))


def life(run: dict[str, Any]) -> str:
    return str(run["state"]["life_cycle_state"])


def result(run: dict[str, Any]) -> str:
    return str(run["state"].get("result_state", ""))


def states(run: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Life cycle and result of the last attempt of each task."""
    return {each["task_key"]: (life(each), result(each)) for each in run["tasks"]}


def results(run: dict[str, Any]) -> dict[str, str]:
    """The result of the last attempt of each task."""
    return {each["task_key"]: result(each) for each in run["tasks"]}


def task_run(run: dict[str, Any], key: str, attempt: int = -1) -> dict[str, Any]:
    """An attempt of a task, the last unless told otherwise."""
    return dict([each for each in run["tasks"] if each["task_key"] == key][attempt])


def after(*keys: str, **outcomes: str) -> list[dict[str, str]]:
    """A task's depends_on: keys, and keys with the outcome wanted of them."""
    return [{"task_key": key} for key in keys] + [{"task_key": k, "outcome": o} for k, o in outcomes.items()]
