"""`ljm` as a process in a project of its own, and what people do beside it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

from databricks.sdk import WorkspaceClient

from lakeflow_job_meta import MetadataManager
from lakeflow_job_meta.store.delta import DeltaStore
from lakeflow_job_meta.workspace.launcher import ensure_local
from tests.acceptance import brood
from tests.local_server import job

TABLE = "main.etl.control"


class Shell:
    """A project folder made by `ljm init`, and `ljm` run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("LAKEFLOW_", "DATABRICKS_"))
        }

    def __call__(self, *arguments: str, stdin: str = "", code: int = 0) -> subprocess.CompletedProcess[str]:
        done = brood.ljm(arguments, self.folder, self.environment, stdin)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self(*arguments, "--output", "json", code=code).stdout)


NOTEBOOK = '{"task_type": "notebook", "notebook_path": "/etl/a"}'
OTHER = '{"task_type": "notebook", "notebook_path": "/etl/b"}'


def sql(shell: Shell, text: str) -> list[dict[str, Any]]:
    return MetadataManager(TABLE, DeltaStore(shell.folder / ".lakeflow")).sql(text)


def client(shell: Shell) -> WorkspaceClient:
    at = ensure_local(shell.folder / ".lakeflow")
    return WorkspaceClient(host=at.url, token=at.token, auth_type="pat", config_file=os.devnull)


def make_job(shell: Shell, **settings: Any) -> int:
    """What a person makes in the UI."""
    return client(shell).api_client.do("POST", "/api/2.2/jobs/create", body=job(**settings))["job_id"]


def update_job(shell: Shell, job_id: int, **settings: Any) -> None:
    body = {"job_id": job_id, "new_settings": settings}
    client(shell).api_client.do("POST", "/api/2.2/jobs/update", body=body)


def add(shell: Shell, *modules: str) -> None:
    rows = ", ".join(f"('a', '{module}', 'x', 1, '{{}}', '{{}}', '{NOTEBOOK}', true)" for module in modules)
    sql(shell, f"INSERT INTO {TABLE} VALUES {rows}")


def touch(shell: Shell, module: str) -> None:
    sql(shell, f"UPDATE {TABLE} SET transformation_config = '{OTHER}' WHERE module_name = '{module}'")


def listed(shell: Shell) -> list[dict[str, Any]]:
    found = client(shell).api_client.do("GET", "/api/2.2/jobs/list", query={"limit": 100, "expand_tasks": "true"})
    return found.get("jobs", [])


def jobs(shell: Shell) -> dict[str, int]:
    """Ids of all jobs by module or name."""
    return {each["settings"]["name"].removeprefix("Metadata_Driven_ETL_"): each["job_id"] for each in listed(shell)}


def in_a_terminal(shell: Shell, answers: str, *arguments: str, code: int = 0) -> str:
    """Run a command with a terminal as its standard input, where these answers are typed; what it said on stderr."""
    master, slave = pty.openpty()
    try:
        os.write(master, answers.encode())
        done = subprocess.run(
            [sys.executable, "-m", "lakeflow_job_meta", *arguments], stdin=slave, cwd=shell.folder,
            capture_output=True, text=True, env=shell.environment, timeout=60, check=False,
        )  # fmt: skip
    finally:
        os.close(master)
        os.close(slave)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stderr
