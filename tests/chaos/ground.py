"""A project on which faults are tried: its rows, its workspace, and what has to hold of both when all is over."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

from databricks.sdk import WorkspaceClient

from lakeflow_job_meta import MetadataManager
from lakeflow_job_meta.control.tenure import LEASE
from lakeflow_job_meta.engine.identity import TAG, Identity, module_hash
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.store.delta import DeltaStore
from tests.chaos.applier import TABLE, Errand, Kill, Report, client_of, send
from tests.local_server import Site

MODULES = 20
QUERY_EVERY = 4
"""Each fourth module has a task with a saved query."""
LAG_MARGIN = 0.3
"""Seconds that the product is told to allow for beyond the server's lag."""
OWN_FILE = "own.py"
"""A notebook of this machine that rows may name; an apply puts it into the workspace."""
SCHEDULE = {"quartz_cron_expression": "0 0 6 * * ?", "timezone_id": "UTC"}


def module_names(numbers: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"m{number:02}" for number in numbers)


def rows_of(numbers: Sequence[int]) -> tuple[str, ...]:
    """SQL that declares these modules: two notebooks, some a saved query too, each with a name and a schedule."""
    sources: list[str] = []
    settings: list[str] = []
    for number, module in zip(numbers, module_names(numbers), strict=True):
        configs: dict[str, Any] = {
            f"{module}_{order}": {"task_type": "notebook", "notebook_path": f"/v1/{order}"} for order in (1, 2)
        }
        if number % QUERY_EVERY == 0:
            task = {"warehouse_id": "w1", "sql_query": "SELECT 1"}
            configs[f"{module}_q"] = {"task_type": "sql_query", "sql_task": task}
        sources += [
            f"('{source}', '{module}', 'delta', 1, '{{}}', '{{}}', '{json.dumps(config)}', true)"
            for source, config in configs.items()
        ]
        settings.append(f"('{module}', '{json.dumps({'name': f'Job {module}', 'schedule': SCHEDULE})}')")
    return (
        f"INSERT INTO {TABLE} VALUES {', '.join(sources)}",
        f"INSERT INTO {TABLE}_modules (module_name, job_config) VALUES {', '.join(settings)}",
    )


@dataclass(frozen=True)
class Ground:
    """One control table, and one workspace that nothing else uses."""

    home: Path
    site: Site
    token: str
    lag: float = 0.0

    @cached_property
    def store(self) -> DeltaStore:
        return DeltaStore(self.home)

    @cached_property
    def client(self) -> WorkspaceClient:
        return client_of(self.site.server.url, self.token)

    @cached_property
    def manager(self) -> MetadataManager:
        return MetadataManager(TABLE, self.store, settings=Settings(TABLE, self.home))

    @classmethod
    def new(cls, folder: Path, site: Site, lag: float = 0.0) -> Ground:
        """Tables without rows, and an empty workspace."""
        token = uuid4().hex
        made = cls(folder / token, site, token, lag)
        made.manager.ensure_exists()
        made.files_root.joinpath(OWN_FILE).write_text("# Databricks notebook source\n")
        return made

    @property
    def files_root(self) -> Path:
        """Where relative paths in the rows start; the same for all copies."""
        return self.home.parent

    def copy(self) -> Ground:
        """The same tables, with an empty workspace."""
        token = uuid4().hex
        home = self.home.parent / token
        shutil.copytree(self.home / "tables", home / "tables")
        return replace(self, home=home, token=token)

    def forget_state(self) -> None:
        """Take the recorded jobs away, as if nothing had been applied yet."""
        shutil.rmtree(self.store_folder(f"{TABLE}_jobs"))
        self.manager.ensure_exists()

    def store_folder(self, table: str) -> Path:
        """Where the embedded store keeps a table."""
        return self.home.joinpath("tables", *table.split("."))

    def remove(self) -> None:
        shutil.rmtree(self.home)

    def sql(self, *statements: str) -> None:
        for each in statements:
            self.manager.sql(each)

    def apply(self, kill: Kill | None = None, **plan: Any) -> Report:
        """Apply in a process of its own, which may die; `plan` are arguments of JobOrchestrator.plan."""
        return send(self.errand(kill=kill, plan=plan))

    def settle(self, **plan: Any) -> Report:
        """Apply in a process of its own, and then plan."""
        return send(self.errand(settles=True, plan=plan))

    def errand(self, **given: Any) -> Errand:
        """Work on this project for a process."""
        lag = self.lag + LAG_MARGIN if self.lag else 0.0
        settings = {"list_lag_seconds": lag, "files_root": self.files_root, **given.pop("settings", {})}
        return Errand(self.home, self.site.server.url, self.token, self.site.server.token, settings=settings, **given)

    def delete_jobs(self, modules: Sequence[str]) -> None:
        """Delete these modules' jobs by hand."""
        hashes = {module_hash(module) for module in modules}
        for job in self.jobs():
            identity = _identity(job)
            if identity is not None and identity.module_hash in hashes:
                self._do("POST", "/api/2.2/jobs/delete", body={"job_id": job["job_id"]})

    def wait_out_lag(self) -> None:
        """Wait until a list tells all, if anything was made lately."""
        if self.lag and any(path.endswith("/jobs/create") for _, path in self.site.requests()):
            time.sleep(self.lag)

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs, whole."""
        return list(self._paged("/api/2.2/jobs/list", "jobs", {"limit": 100, "expand_tasks": True}))

    def queries(self) -> dict[str, dict[str, Any]]:
        """All saved queries that aren't in the trash, by id."""
        found = self._paged("/api/2.0/sql/queries", "results", {"page_size": 100})
        return {each["id"]: each for each in found if each.get("lifecycle_state") != "TRASHED"}

    def _paged(self, path: str, name: str, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        token: str | None = ""
        while token is not None:
            page = self._do("GET", path, query={**query, **({"page_token": token} if token else {})})
            yield from page.get(name, ())
            token = page.get("next_page_token")

    def _do(self, method: str, path: str, **given: Any) -> Any:
        return self.client.api_client.do(method, path, **given)

    def state(self) -> tuple[dict[str, dict[str, Any]], list[str]]:
        """The state's rows by module, and of each lease whether it is held or free."""
        rows = self.store.read(self.manager.tables.jobs.name).rows
        lease = [str(row["status"]) for row in rows if row["module_name"] == LEASE]
        return {row["module_name"]: dict(row) for row in rows if not row["module_name"].startswith("$")}, lease

    def picture(self) -> dict[str, Any]:
        """Everything that may be compared between two workspaces: jobs without ids, with their queries' texts."""
        queries = self.queries()
        texts = {query_id: f"{each['display_name']}: {each['query_text']}" for query_id, each in queries.items()}
        jobs = sorted((_settings(job, texts) for job in self.jobs()), key=lambda each: str(each["name"]))
        return {"jobs": jobs, "queries": sorted(texts.values())}

    def faults(self, active: set[str]) -> list[str]:
        """What is wrong: nothing, if each module has one job, no job or query lacks an owner, and all is at rest."""
        jobs, queries = self.jobs(), self.queries()
        state, lease = self.state()
        return [
            *_wrong_jobs(jobs, state, active),
            *_wrong_queries(jobs, queries, state),
            *(f"{module} is pending" for module, row in state.items() if row["pending"]),
            *(f"{module} failed: {row['last_error']}" for module, row in state.items() if row["last_error"]),
            *(f"the lease is {each}" for each in lease if each != "free"),
        ]


def _wrong_jobs(jobs: list[dict[str, Any]], state: Mapping[str, Mapping[str, Any]], active: set[str]) -> list[str]:
    found: list[str] = []
    by_name = Counter(job["settings"]["name"] for job in jobs)
    found += [f"{number} jobs are called {name}" for name, number in by_name.items() if number > 1]
    by_tag = Counter(identity.module_hash for job in jobs if (identity := _identity(job)))
    recorded = {module: row["job_id"] for module, row in state.items() if row["job_id"] is not None}
    for module in sorted(active | recorded.keys()):
        number = by_tag.get(module_hash(module), 0)
        if number != 1:
            found.append(f"{number} jobs carry the tag of {module}")
    here = {job["job_id"]: job for job in jobs}
    found += [f"{module} has no job in the state" for module in sorted(active - recorded.keys())]
    found += [f"job {job_id} has no row in the state" for job_id in here.keys() - set(recorded.values())]
    for module, job_id in recorded.items():
        identity = _identity(here[job_id]) if job_id in here else None
        if identity is None or (identity.module_hash, identity.nonce) != (module_hash(module), state[module]["nonce"]):
            found.append(f"the state gives {module} job {job_id}, which isn't its own")
    return found


def _wrong_queries(
    jobs: list[dict[str, Any]], queries: Mapping[str, Any], state: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    recorded = {
        query["query_id"]: f"{module}/{source}"
        for module, row in state.items()
        for source, query in json.loads(row["queries"] or "{}").items()
    }
    used = {_query_id(task) for job in jobs for task in job["settings"].get("tasks", ())} - {None}
    return [
        *(f"query {queries[each]['display_name']} is an orphan" for each in queries.keys() - recorded.keys()),
        *(f"the query of {recorded[each]} is gone" for each in recorded.keys() - queries.keys()),
        *(f"a job uses query {each}, which isn't there" for each in used - queries.keys()),
        *(f"no job uses the query of {recorded.get(str(each), each)}" for each in queries.keys() - used),
    ]


def _identity(job: Mapping[str, Any]) -> Identity | None:
    return Identity.read(job["settings"].get("tags", {}))


def _query_id(task: Mapping[str, Any]) -> str | None:
    return task.get("sql_task", {}).get("query", {}).get("query_id")


def _settings(job: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(json.dumps(job["settings"]))
    settings["tags"] = {name: value for name, value in settings.get("tags", {}).items() if name != TAG}
    for task in settings.get("tasks", ()):
        if query_id := _query_id(task):
            task["sql_task"]["query"]["query_id"] = texts.get(query_id, "gone")
    settings["tasks"] = sorted(settings.get("tasks", ()), key=lambda task: str(task["task_key"]))
    return settings
