"""Whose the jobs are: copied and renamed tables, other workspaces."""

from __future__ import annotations

import os
import shutil
from uuid import uuid4

import pytest
from databricks.sdk import WorkspaceClient

from lakeflow_job_meta import ConflictError, JobOrchestrator
from lakeflow_job_meta.store.delta import DeltaStore
from tests.acceptance.steps import SQL, apply, kinds
from tests.conftest import TABLE, Project

COPY = "main.etl.copied"
SIBLINGS = ("", "_modules", "_jobs", "_files", "_log")


def copied(project: Project) -> JobOrchestrator:
    """The control table and its siblings under another name, as a copy of their folders."""
    tables = project.home / "tables" / "main" / "etl"
    for sibling in SIBLINGS:
        shutil.copytree(tables / f"control{sibling}", tables / f"copied{sibling}")
    return JobOrchestrator(COPY, project.client, store=DeltaStore(project.home), settings=project.settings)


def test_a_copied_control_table_is_refused_until_somebody_says_whose_the_jobs_are(project: Project) -> None:
    project.add("a")
    apply(project)
    copy = copied(project)
    with pytest.raises(ConflictError, match=f"copy of {TABLE}") as raised:
        copy.plan()
    assert "ljm identity new" in raised.value.hint
    shown = copy.identity()
    assert (shown["control_table"], shown["made_as"]) == (COPY, TABLE)
    assert shown["owner"] == project.orchestrator.identity()["owner"]


def test_a_copy_with_an_identity_of_its_own_makes_its_own_jobs(project: Project) -> None:
    project.add("a", config=SQL)
    apply(project)
    before = project.only_job()
    copy = copied(project)
    owner = copy.new_identity()
    assert owner == copy.identity()["owner"] != project.orchestrator.identity()["owner"]
    copy = JobOrchestrator(COPY, project.client, store=DeltaStore(project.home), settings=project.settings)
    assert [entry["action"] for entry in copy.run_all_modules()] == ["create"]
    assert project.raw_job(before["job_id"]) == before
    assert len(project.raw_jobs()) == 2
    assert len(list(project.client.queries.list())) == 2
    assert copy.plan().empty
    assert kinds(project) == {"m": "skip"}


def test_a_renamed_table_that_is_kept_goes_on_with_its_jobs(project: Project) -> None:
    project.add("a")
    apply(project)
    copy = copied(project)
    copy.keep_identity()
    assert copy.plan().counts() == {"update": 1}, "the tasks get the table's new name"
    copy.apply(copy.plan())
    assert len(project.raw_jobs()) == 1
    assert copy.plan().empty


def test_another_workspace_is_refused_until_it_is_kept_and_both_have_jobs_of_their_own(project: Project) -> None:
    project.add("a")
    apply(project)
    # Another host, too: the id of a host's workspace is remembered.
    host = project.site.server.url.replace("127.0.0.1", "localhost")
    client = WorkspaceClient(host=host, token=uuid4().hex, auth_type="pat", config_file=os.devnull)

    def there() -> JobOrchestrator:
        return JobOrchestrator(TABLE, client, store=DeltaStore(project.home), settings=project.settings)

    with pytest.raises(ConflictError, match="but this is workspace") as raised:
        there().plan()
    assert "ljm identity keep" in raised.value.hint
    there().keep_identity()
    assert there().plan().counts() == {"create": 1}
    assert [entry["action"] for entry in there().run_all_modules()] == ["create"]
    assert len(list(client.jobs.list())) == 1
    assert kinds(project) == {"m": "skip"}
    assert there().plan().empty
    assert len(there().identity()["workspaces"]) == 2
    project.sql(f"UPDATE {TABLE} SET transformation_config = replace(transformation_config, '/etl/', '/new/')")
    assert apply(project) == {"m": "update"}
    assert there().plan().counts() == {"update": 1}
