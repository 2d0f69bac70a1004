"""Runs over the Jobs API 2.2: started, looked at, ended, repaired."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from lakeflow_job_meta.errors import NotFound, WorkspaceError
from lakeflow_job_meta.model.masking import without
from lakeflow_job_meta.model.run import Run, TaskRun
from lakeflow_job_meta.workspace.api import Api

PAGE = 25
"""Runs in one page of a list: the most that the API gives."""


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs are listed; the times are of their start, in epoch milliseconds, and belong to the span."""

    start_from: int | None = None
    start_to: int | None = None
    job_id: int | None = None
    active_only: bool = False

    def to_query(self) -> dict[str, Any]:
        given = {"start_time_from": self.start_from, "start_time_to": self.start_to, "job_id": self.job_id}
        query: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        return query | ({"active_only": "true"} if self.active_only else {})


class ApiRuns:
    """Runs of one workspace."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def pages(self, wanted: RunQuery) -> Iterator[tuple[list[Run], bool]]:
        """Runs with their tasks, newest first, page by page; with each whether more follow."""
        query = {"limit": PAGE, "expand_tasks": "true", **wanted.to_query()}
        while True:
            page = self._api.get("/api/2.2/jobs/runs/list", query)
            token = page.get("next_page_token") if page.get("has_more") else None
            yield [Run.from_api(each) for each in page.get("runs", ())], bool(token)
            if not token:
                return
            query = {**query, "page_token": token}

    def get(self, run_id: int) -> Run:
        """One run with all its tasks.

        Raises:
            NotFound: the workspace says that there is no such run.
        """
        first, *others = self._get_pages(run_id)
        tasks = [task for page in (first, *others) for task in page.get("tasks", ())]
        return Run.from_api({**first, "tasks": tasks, "has_more": False})

    def with_iterations(self, run: Run) -> Run:
        """A run with the iterations of its loops: one request for each loop that began, and each hundred of them."""
        loops = [task.task_run_id for task in run.tasks if task.loop is not None and task.loop.total != 0]
        found = (self._iterations(loop, run.secrets) for loop in loops)
        return replace(run, iterations=tuple(each for one in found for each in one)) if loops else run

    def _iterations(self, loop: int, secrets: frozenset[str]) -> Iterator[TaskRun]:
        for page in self._get_pages(loop):
            for each in page.get("iterations") or ():
                iteration = TaskRun.from_api(each, loop)
                yield replace(iteration, message=without(iteration.message, secrets))

    def _get_pages(self, run_id: int) -> Iterator[dict[str, Any]]:
        token = None
        while True:
            page = self._get_page(run_id, token)
            yield page
            token = page.get("next_page_token")
            if not token:
                return

    def _get_page(self, run_id: int, token: str | None) -> dict[str, Any]:
        query = {"run_id": run_id, "include_history": "true", **({"page_token": token} if token else {})}
        with _absence_told(run_id):
            return self._api.get("/api/2.2/jobs/runs/get", query)

    def output(self, task_run_id: int) -> dict[str, Any]:
        """What a task run left: error, error_trace, logs, notebook_output, …

        Raises:
            WorkspaceError: it can't be told, for example while it runs, or for this kind of task.
        """
        with _absence_told(task_run_id):
            return self._api.get("/api/2.2/jobs/runs/get-output", {"run_id": task_run_id})

    def start(self, job_id: int, token: str, given: Mapping[str, Any]) -> int:
        """Run a job now; the same token always gives the same run, so that it may be sent again."""
        body = {"job_id": job_id, "idempotency_token": token, **given}
        return int(self._api.send("POST", "/api/2.2/jobs/run-now", body, safe=True)["run_id"])

    def cancel(self, run_id: int) -> None:
        """Ask for the end of a run; the end itself comes a little later."""
        _ = self._api.send("POST", "/api/2.2/jobs/runs/cancel", {"run_id": run_id}, safe=True)

    def repair(self, run_id: int, tasks: Sequence[str], latest_repair_id: int | None) -> int:
        """Run tasks of a run that has ended again, all that failed if none is named; returns the repair's id.

        Sent once: a second try would be a second repair.
        """
        what: dict[str, Any] = {"rerun_tasks": list(tasks)} if tasks else {"rerun_all_failed_tasks": True}
        known = {"latest_repair_id": latest_repair_id} if latest_repair_id is not None else {}
        body = {"run_id": run_id, **what, **known}
        return int(self._api.send("POST", "/api/2.2/jobs/runs/repair", body, safe=False)["repair_id"])


@contextmanager
def _absence_told(run_id: int) -> Generator[None]:
    """Only an answer that names our run says that it is gone; a proxy's 404 says nothing."""
    try:
        yield
    except WorkspaceError as error:
        absent = error.status in (400, 404) and f"{run_id} does not exist" in error.message
        if absent or isinstance(error, NotFound):
            kind = NotFound if absent else WorkspaceError
            raise kind(error.message, status=error.status, error_code=error.error_code) from error
        raise
