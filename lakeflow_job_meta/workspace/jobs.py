"""The engine's Jobs port over the Jobs API 2.2."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lakeflow_job_meta.errors import NotFound, WorkspaceError
from lakeflow_job_meta.model.job import ObservedJob, Settings
from lakeflow_job_meta.workspace.api import Api

PAGE = 100
"""Jobs in one page of a list: the most that the API gives."""

PAGED_ARRAYS = ("tasks", "job_clusters", "environments", "parameters")


class ApiJobs:
    """Jobs of one workspace."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def list(self, name: str | None = None) -> Iterator[ObservedJob]:
        """All jobs, or those of this name (without regard to case)."""
        query: dict[str, Any] = {"limit": PAGE, "expand_tasks": True, **({"name": name} if name else {})}
        while True:
            page = self._api.get("/api/2.2/jobs/list", query)
            for job in page.get("jobs", ()):
                yield ObservedJob(int(job["job_id"]), job.get("settings", {}), complete=not job.get("has_more"))
            if not page.get("next_page_token"):
                return
            query = {**query, "page_token": page["next_page_token"]}

    def get(self, job_id: int) -> ObservedJob:
        """One job with all its pages.

        Raises:
            NotFound: the workspace says that this id does not exist.
        """
        first = self._get_page(job_id, None)
        settings: dict[str, Any] = first.get("settings", {})
        token = first.get("next_page_token")
        while token:
            page = self._get_page(job_id, token)
            # Later pages leave out arrays that were complete on earlier ones.
            for name in PAGED_ARRAYS:
                settings[name] = [*settings.get(name, ()), *page.get("settings", {}).get(name, ())]
            token = page.get("next_page_token")
        settings = {name: value for name, value in settings.items() if name not in PAGED_ARRAYS or value}
        return ObservedJob(job_id, settings)

    def _get_page(self, job_id: int, token: str | None) -> dict[str, Any]:
        query = {"job_id": job_id, **({"page_token": token} if token else {})}
        try:
            return self._api.get("/api/2.2/jobs/get", query)
        except WorkspaceError as error:
            if _says_absent(error, job_id):
                raise NotFound(error.message, status=error.status, error_code=error.error_code) from error
            if isinstance(error, NotFound):
                # A proxy's 404, or a path that isn't served, says nothing about the job.
                raise WorkspaceError(error.message, status=error.status, error_code=error.error_code) from error
            raise

    def create(self, settings: Settings) -> int:
        """Make a job; sent once. Raises Unreachable where it may or may not exist."""
        return int(self._api.send("POST", "/api/2.2/jobs/create", settings, safe=False)["job_id"])

    def reset(self, job_id: int, settings: Settings) -> None:
        """Replace all settings; the same again does no harm."""
        self._api.send("POST", "/api/2.2/jobs/reset", {"job_id": job_id, "new_settings": settings}, safe=True)

    def delete(self, job_id: int) -> None:
        """Delete a job; one that is gone already is no error."""
        try:
            self._api.send("POST", "/api/2.2/jobs/delete", {"job_id": job_id}, safe=True)
        except WorkspaceError as error:
            if not isinstance(error, NotFound) and not _says_absent(error, job_id):
                raise


def _says_absent(error: WorkspaceError, job_id: int) -> bool:
    """A deleted job answers 400 INVALID_PARAMETER_VALUE `Job N does not exist.`; only that, with our id, is absence."""
    return (
        error.status in (400, 404)
        and error.error_code in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST")
        and f"Job {job_id} does not exist" in error.message
    )
