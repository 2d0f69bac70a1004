"""What all tests share: a server for a whole run, and a project of its own for each test."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from databricks.sdk import WorkspaceClient

from lakeflow_job_meta import JobOrchestrator, MetadataManager, MetadataMonitor
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.store.delta import DeltaStore
from tests.databases.fixtures import mariadb_server, postgres_server
from tests.local_server import Site, running_server

__all__ = ["mariadb_server", "postgres_server"]

TABLE = "main.etl.control"

_ = os.environ.pop("COLUMNS", None)  # pytest-xdist sets it, and our commands would obey


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server that takes faults, and where each token is a workspace of its own."""
    with running_server(tmp_path_factory.mktemp("site"), "--faults", "--token-per-workspace") as running:
        yield running


@dataclass(frozen=True)
class Project:
    """One control table and one workspace that no other test sees."""

    home: Path
    site: Site
    client: WorkspaceClient
    settings: Settings
    store: DeltaStore

    @property
    def manager(self) -> MetadataManager:
        return MetadataManager(TABLE, self.store, settings=self.settings)

    @property
    def orchestrator(self) -> JobOrchestrator:
        """A new one each time, as a new process has."""
        return JobOrchestrator(TABLE, self.client, store=DeltaStore(self.home), settings=self.settings)

    def monitor(self, volume_path: str | Path | None = None, **given: Any) -> MetadataMonitor:
        return MetadataMonitor(
            TABLE,
            volume_path,
            store=DeltaStore(self.home),
            workspace_client=self.client,
            settings=self.settings,
            **given,
        )

    def sql(self, text: str) -> list[dict[str, Any]]:
        return self.manager.sql(text)

    def add(self, source_id: str, module: str = "m", order: int = 1, config: Any = None) -> None:
        """Insert one source by SQL."""
        text = json.dumps(config or {"task_type": "notebook", "notebook_path": f"/etl/{source_id}"})
        self.sql(
            f"INSERT INTO {TABLE} VALUES ('{source_id}', '{module}', 'delta', {order}, '{{}}', '{{}}', '{text}', true)"
        )

    def job_config(self, module: str = "m", **config: Any) -> None:
        """Set a module's job_config by SQL."""
        self.sql(
            f"MERGE INTO {TABLE}_modules t USING (SELECT '{module}' AS m, '{json.dumps(config)}' AS c) s "
            "ON t.module_name = s.m WHEN MATCHED THEN UPDATE SET t.job_config = s.c "
            "WHEN NOT MATCHED THEN INSERT (module_name, job_config) VALUES (s.m, s.c)"
        )

    def raw_jobs(self) -> list[dict[str, Any]]:
        """All jobs of the workspace as the API has them."""
        listed = self.client.api_client.do("GET", "/api/2.2/jobs/list", query={"limit": 100})
        return [self.raw_job(each["job_id"]) for each in listed.get("jobs", [])]

    def raw_job(self, job_id: int) -> dict[str, Any]:
        return self.client.api_client.do("GET", "/api/2.2/jobs/get", query={"job_id": job_id})

    def only_job(self) -> dict[str, Any]:
        (job,) = self.raw_jobs()
        return job

    def update_job(self, job_id: int, **settings: Any) -> None:
        """What a person does in the UI."""
        self.client.api_client.do("POST", "/api/2.2/jobs/update", body={"job_id": job_id, "new_settings": settings})

    def writes(self) -> list[tuple[str, str]]:
        """Requests since the last look that weren't reads."""
        found = [each for each in self.site.requests() if each[0] != "GET"]
        self.site.forget_requests()
        return found

    def versions(self) -> dict[str, int]:
        """The version of each of the product's tables."""
        names = (TABLE, *(f"{TABLE}_{kind}" for kind in ("modules", "jobs", "files", "log")))
        return {name: self.sql(f"DESCRIBE HISTORY {name} LIMIT 1")[0]["version"] for name in names}


@pytest.fixture
def project(tmp_path: Path, site: Site) -> Project:
    """A project on the shared server."""
    site.no_faults()
    site.forget_requests()
    home = tmp_path / "home"
    made = Project(home, site, site.client(uuid4().hex), Settings(TABLE, home, list_lag_seconds=0.5), DeltaStore(home))
    made.manager.ensure_exists()
    return made
