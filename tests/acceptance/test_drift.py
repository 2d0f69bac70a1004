"""Drift: what others changed in the workspace is put right, told, or left, as the metadata says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lakeflow_job_meta import ApplyError
from lakeflow_job_meta.model.plan import ActionKind, FieldChange
from tests.acceptance.steps import SCHEDULE, SQL, apply, ids, kinds, notebook, only, retries, with_settings
from tests.conftest import TABLE, Project


@pytest.mark.parametrize(
    "path", ["timeout_seconds", "tags.team", "schedule.quartz_cron_expression", "schedule", "tags"]
)
def test_a_field_whose_drift_is_ignored_stays_as_others_set_it(project: Project, path: str) -> None:
    config = {"timeout_seconds": 60, "tags": {"team": "x"}, "schedule": SCHEDULE}
    project.add("a")
    project.job_config(**config, lifecycle={"ignore_drift": [path]})
    apply(project)
    made = project.only_job()
    theirs: dict[str, Any] = {
        "timeout_seconds": 99,
        "tags": {**made["settings"]["tags"], "team": "y"},
        "schedule": {**SCHEDULE, "quartz_cron_expression": "0 0 9 * * ?"},
    }
    name = path.partition(".")[0]
    project.update_job(made["job_id"], **{name: theirs[name]})
    assert kinds(project) == {"m": "skip"}
    other = next(each for each in theirs if each != name)
    project.update_job(made["job_id"], **{other: theirs[other]})
    assert apply(project) == {"m": "update"}
    settings = project.only_job()["settings"]
    if name == "timeout_seconds":
        assert settings["timeout_seconds"] == 99
    elif name == "tags":
        assert settings["tags"]["team"] == "y"
    else:
        assert settings["schedule"]["quartz_cron_expression"] == "0 0 9 * * ?"
    assert kinds(project) == {"m": "skip"}


@pytest.mark.parametrize("path", ["tasks[a].max_retries", "tasks.*.max_retries", "tasks.a"])
def test_drift_of_one_task_is_ignored_and_that_of_another_is_mended(project: Project, path: str) -> None:
    project.add("a", config=notebook(max_retries=1))
    project.add("b", config=notebook(max_retries=1, timeout_seconds=60))
    project.job_config(lifecycle={"ignore_drift": [path]})
    apply(project)
    job_id = project.only_job()["job_id"]
    retries(project, job_id, 5)
    assert kinds(project) == {"m": "skip"}
    tasks = project.raw_job(job_id)["settings"]["tasks"]
    project.update_job(job_id, tasks=[{**each, "timeout_seconds": 99} for each in tasks if each["task_key"] == "b"])
    assert apply(project) == {"m": "update"}
    tasks = {each["task_key"]: each for each in project.raw_job(job_id)["settings"]["tasks"]}
    assert tasks["a"]["max_retries"] == 5
    assert tasks["b"]["timeout_seconds"] == 60
    assert kinds(project) == {"m": "skip"}


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [
        ("parameters", [{"name": "day", "default": "1"}], [{"name": "day", "default": "2"}]),
        (
            "environments",
            [{"environment_key": "e", "spec": {"environment_version": "3"}}],
            [{"environment_key": "e", "spec": {"environment_version": "4"}}],
        ),
        ("tasks", None, None),
    ],
)
def test_a_whole_list_whose_drift_is_ignored_stays(project: Project, name: str, ours: Any, theirs: Any) -> None:
    project.add("a", config=notebook(max_retries=1))
    project.job_config(**({name: ours} if ours else {}), lifecycle={"ignore_drift": [name]})
    apply(project)
    job_id = project.only_job()["job_id"]
    if theirs is None:
        retries(project, job_id, 7)
    else:
        project.update_job(job_id, **{name: theirs})
    there = project.raw_job(job_id)["settings"][name]
    assert kinds(project) == {"m": "skip"}
    project.job_config(**({name: ours} if ours else {}), timeout_seconds=5, lifecycle={"ignore_drift": [name]})
    assert apply(project) == {"m": "update"}
    assert project.raw_job(job_id)["settings"][name] == there
    assert kinds(project) == {"m": "skip"}


def test_a_change_of_the_rows_reaches_a_field_whose_drift_is_ignored(project: Project) -> None:
    project.add("a")
    project.job_config(timeout_seconds=60, lifecycle={"ignore_drift": ["timeout_seconds"]})
    apply(project)
    project.update_job(project.only_job()["job_id"], timeout_seconds=99)
    project.job_config(timeout_seconds=70, lifecycle={"ignore_drift": ["timeout_seconds"]})
    apply(project)
    assert project.only_job()["settings"]["timeout_seconds"] == 70


@pytest.mark.parametrize(
    "path", ["timeout_seconds", "schedule.quartz_cron_expression", "schedule", "tags.team", "tags"]
)
def test_a_field_that_is_new_is_set_although_its_drift_is_ignored(project: Project, path: str) -> None:
    project.add("a")
    apply(project)
    config = {"timeout_seconds": 60, "tags": {"team": "x"}, "schedule": SCHEDULE}
    project.job_config(**config, lifecycle={"ignore_drift": [path]})
    assert apply(project) == {"m": "update"}
    settings = project.only_job()["settings"]
    assert settings["timeout_seconds"] == 60
    assert settings["tags"]["team"] == "x"
    assert settings["schedule"]["quartz_cron_expression"] == SCHEDULE["quartz_cron_expression"]
    assert kinds(project) == {"m": "skip"}


def test_a_task_that_is_new_is_made_although_drift_of_tasks_is_ignored(project: Project) -> None:
    project.add("a", config=notebook(max_retries=1))
    project.job_config(lifecycle={"ignore_drift": ["tasks.*.max_retries"]})
    apply(project)
    project.add("b", config=notebook(max_retries=2))
    apply(project)
    tasks = {each["task_key"]: each for each in project.only_job()["settings"]["tasks"]}
    assert tasks["b"]["max_retries"] == 2
    assert kinds(project) == {"m": "skip"}


def test_a_lifecycle_alone_changes_no_job(project: Project) -> None:
    project.add("a")
    apply(project)
    project.job_config(lifecycle={"ignore_drift": ["tags"], "prevent_delete": True})
    assert kinds(project) == {"m": "skip"}


def test_reported_drift_is_shown_and_stays(project: Project) -> None:
    project.add("a")
    project.job_config(timeout_seconds=60, max_concurrent_runs=3)
    apply(project)
    job_id = project.only_job()["job_id"]
    project.update_job(job_id, timeout_seconds=99)
    reporting = with_settings(project, drift={"timeout_seconds": "report"})
    plan = reporting.plan()
    (action,) = plan.actions
    assert action.kind is ActionKind.SKIP
    assert action.reported == (FieldChange("timeout_seconds", old=60, new=60, observed=99),)
    assert "? timeout_seconds: 99 → 60 (drift, only reported)" in str(plan)
    assert plan.empty
    project.update_job(job_id, max_concurrent_runs=9)
    (action,) = reporting.plan().actions
    assert [change.path for change in action.changes] == ["max_concurrent_runs"]
    assert [change.path for change in action.reported] == ["timeout_seconds"]
    reporting.apply(reporting.plan())
    settings = project.only_job()["settings"]
    assert (settings["timeout_seconds"], settings["max_concurrent_runs"]) == (99, 3)


def test_drift_that_the_settings_ignore_is_neither_shown_nor_mended(project: Project) -> None:
    project.add("a")
    project.job_config(timeout_seconds=60)
    apply(project)
    project.update_job(project.only_job()["job_id"], timeout_seconds=99)
    (action,) = with_settings(project, drift={"timeout_seconds": "ignore"}).plan().actions
    assert (action.kind, action.changes, action.reported) == (ActionKind.SKIP, (), ())
    (action,) = with_settings(project, drift={"timeout_seconds": "enforce"}).plan().actions
    assert action.kind is ActionKind.UPDATE


def test_a_saved_query_that_somebody_edited_is_drift_and_one_that_the_rows_change_is_not(project: Project) -> None:
    project.add("a", config=SQL)
    apply(project)
    other = {**SQL, "sql_task": {**SQL["sql_task"], "sql_query": "SELECT 2"}}
    project.sql(f"UPDATE {TABLE} SET transformation_config = '{json.dumps(other)}'")
    action = only(project, "m")
    assert [change.path for change in action.changes] == ["queries[a].query_text"]
    assert action.drift == ()
    apply(project)
    (query,) = project.client.queries.list()
    body = {"query": {"query_text": "SELECT 3"}, "update_mask": "query_text"}
    project.client.api_client.do("PATCH", f"/api/2.0/sql/queries/{query.id}", body=body)
    assert only(project, "m").drift == ("queries[a].query_text",)


# Updates that the workspace doesn't keep


def unkept(project: Project) -> None:
    """A module whose timeout the workspace takes and forgets."""
    project.add("a")
    project.add("b", module="other")
    project.job_config(timeout_seconds=60)
    project.site.fault(method="POST", path="/jobs/(create|reset)$", action="strip", field="timeout_seconds")
    apply(project)


def test_an_update_that_is_not_kept_is_told_and_not_sent_again(project: Project) -> None:
    unkept(project)
    with pytest.raises(ApplyError) as raised:
        apply(project)
    assert "didn't keep timeout_seconds" in raised.value.failures["m"]
    project.site.forget_requests()
    for refresh in (True, False):
        stopped = only(project, "m", refresh=refresh)
        assert (stopped.kind, stopped.failed) == (ActionKind.SKIP, True)
        assert "didn't keep timeout_seconds" in stopped.reason
        with pytest.raises(ApplyError):
            apply(project, refresh=refresh)
    assert project.writes() == []


def test_a_module_that_was_stopped_goes_on_when_its_rows_change(project: Project) -> None:
    unkept(project)
    for _ in range(2):
        with pytest.raises(ApplyError):
            apply(project)
    project.job_config(description="new")
    assert apply(project) == {"m": "update"}
    assert project.raw_job(ids(project)["m"])["settings"]["description"] == "new"
    assert project.orchestrator.plan().empty


def test_a_module_that_was_stopped_goes_on_when_the_drift_may_stay(project: Project) -> None:
    unkept(project)
    with pytest.raises(ApplyError):
        apply(project)
    project.job_config(timeout_seconds=60, lifecycle={"ignore_drift": ["timeout_seconds"]})
    apply(project)
    assert project.orchestrator.plan().empty


def test_the_same_drift_made_by_hand_twice_is_put_right_twice(project: Project) -> None:
    project.add("a")
    project.job_config(timeout_seconds=60)
    apply(project)
    for _ in range(2):
        project.update_job(ids(project)["m"], timeout_seconds=5)
        assert apply(project) == {"m": "update"}
        assert project.only_job()["settings"]["timeout_seconds"] == 60
