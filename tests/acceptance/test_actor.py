"""Whose name the log and the state have."""

from __future__ import annotations

import pytest

from lakeflow_job_meta.settings import RUNTIME
from lakeflow_job_meta.workspace.connect import ME
from tests.conftest import Project


def names(project: Project) -> set[str]:
    """Who stands in the log and in the state, after an apply of one new module."""
    project.add("a")
    orchestrator = project.orchestrator
    orchestrator.apply(orchestrator.plan())
    (row,) = orchestrator.status()
    return {row["applied_by"], *(each["actor"] for each in orchestrator.log())}


def test_on_a_machine_it_is_its_user_and_nobody_is_asked(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "alice@example.com")
    monkeypatch.delenv(RUNTIME, raising=False)
    workspace_id = project.orchestrator.workspace.id
    assert workspace_id
    assert names(project) == {"alice@example.com"}


def test_inside_of_databricks_it_is_the_user_that_the_workspace_names(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "root")
    monkeypatch.setenv(RUNTIME, "17.3")
    me = project.client.current_user.me().user_name
    assert me not in ("root", None)
    assert names(project) == {me}


def test_a_name_that_is_not_told_stops_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "root")
    monkeypatch.setenv(RUNTIME, "17.3")
    workspace = project.orchestrator.workspace
    assert workspace.id
    project.site.fault(method="GET", path=ME, status=403, nth=1)
    try:
        assert workspace.principal == ""
    finally:
        project.site.no_faults()
