"""A project on an engine: one control table, one workspace, as many processes as a test wants to play."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from databricks.sdk import WorkspaceClient

from lakeflow_job_meta import JobOrchestrator, MetadataManager, MetadataMonitor
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.store.base import Store
from lakeflow_job_meta.store.databricks_sql import SqlStore
from tests.local_server import Site
from tests.parity.engines import Engine

PREFIX = "Metadata_Driven_ETL_"


@dataclass(frozen=True)
class Ground:
    """What no other test sees. Each store is one that another process would have."""

    engine: Engine
    site: Site
    client: WorkspaceClient

    @property
    def table(self) -> str:
        return f"{self.engine.schema}.control"

    @property
    def settings(self) -> Settings:
        return Settings(self.table, self.engine.home, list_lag_seconds=0.2)

    @property
    def manager(self) -> MetadataManager:
        return MetadataManager(self.table, self.engine.store, settings=self.settings)

    @property
    def orchestrator(self) -> JobOrchestrator:
        return self.on(self.engine.store)

    def on(self, store: Store) -> JobOrchestrator:
        return JobOrchestrator(self.table, self.client, store=store, settings=self.settings)

    def monitor(self, **given: Any) -> MetadataMonitor:
        return MetadataMonitor(
            self.table, store=self.engine.store, workspace_client=self.client, settings=self.settings, **given
        )

    def sql(self, text: str) -> list[dict[str, Any]]:
        """What somebody does who knows nothing of us, `{t}` being the control table."""
        return self.engine.store.sql(text.replace("{t}", self.table))

    def insert(self, *sources: str, module: str = "m") -> None:
        """Rows by position, eight values each, as the guide does it."""
        rows = ", ".join(
            f"('{source}', '{module}', 'x', 1, '{{}}', '{{}}', "
            f"""'{{"task_type": "notebook", "notebook_path": "/etl/{source}"}}', true)"""
            for source in sources
        )
        self.sql(f"INSERT INTO {{t}} VALUES {rows}")

    def versions(self) -> list[int]:
        """The version of each of the product's tables."""
        store = self.engine.open()
        tables = ("", "_modules", "_jobs", "_files", "_log")
        return [store.history(TableName.parse(f"{self.table}{each}"), 1)[0].version for each in tables]

    def jobs(self) -> dict[str, dict[str, Any]]:
        """The workspace's jobs, by name without our prefix."""
        listed = self.client.api_client.do("GET", "/api/2.2/jobs/list", query={"limit": 100, "expand_tasks": "true"})
        return {job["settings"]["name"].removeprefix(PREFIX): job for job in listed.get("jobs", [])}

    def tasks(self) -> dict[str, list[str]]:
        """The task keys of each job, by its name."""
        return {
            name: sorted(task["task_key"] for task in job["settings"].get("tasks", []))
            for name, job in self.jobs().items()
        }


@contextmanager
def at_most(store: Store, statements: int) -> Generator[Callable[[], int]]:
    """The block sends no more statements than that, where the engine is one of statements."""
    before = store.statements if isinstance(store, SqlStore) else 0

    def sent() -> int:
        return store.statements - before if isinstance(store, SqlStore) else 0

    yield sent
    assert sent() <= statements, f"{sent()} statements"
