"""The client of the embedded workspace: it needs no question, and nothing of the user's turns it elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.workspace.connect import connect
from tests.local_server import job, running_server

STRAY = {
    "DATABRICKS_HOST": "https://production.example.com",
    "DATABRICKS_TOKEN": "t",
    "DATABRICKS_CONFIG_PROFILE": "production",
    "DATABRICKS_WORKSPACE_ID": "123",
    "DATABRICKS_ACCOUNT_ID": "456",
    "DATABRICKS_CLIENT_ID": "c",
    "DATABRICKS_CLIENT_SECRET": "s",
    "DATABRICKS_AUTH_TYPE": "oauth-m2m",
    "DATABRICKS_GROUP_ID": "789",
}


def test_what_the_environment_says_of_databricks_turns_it_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in STRAY.items():
        monkeypatch.setenv(name, value)
    with running_server(tmp_path) as site:
        workspace = connect(Settings("main.etl.control", tmp_path))
        job_id = workspace.jobs.create(job())
        assert workspace.client.config.host == site.server.url
        assert workspace.id == str(site.server.workspace_id) == str(workspace.client.get_workspace_id())
        assert [each.job_id for each in workspace.jobs.list()] == [job_id]


def test_the_first_request_is_the_first_call(tmp_path: Path) -> None:
    with running_server(tmp_path) as site:
        site.forget_requests()
        workspace = connect(Settings("main.etl.control", tmp_path))
        assert workspace.id == str(site.server.workspace_id)
        assert list(workspace.jobs.list()) == []
        calls = [path for _, path in site.requests() if not path.startswith("/local/")]
        assert calls == ["/api/2.2/jobs/list"]
