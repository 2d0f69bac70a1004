"""Rows to jobs on a real server: made once, updated in place, paused, made again, never doubled."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lakeflow_job_meta import ApplyError, ConflictError, InputError, UsageError
from lakeflow_job_meta.model.plan import ActionKind
from tests.conftest import TABLE, Project

SQL = {"task_type": "sql_query", "sql_task": {"warehouse_id": "w1", "sql_query": "SELECT 1"}}


def kinds(project: Project, **given: Any) -> dict[str, str]:
    return {action.module: str(action.kind) for action in project.orchestrator.plan(**given).actions}


def apply(project: Project) -> list[dict[str, Any]]:
    return project.orchestrator.run_all_modules()


def set_config(project: Project, source_id: str, config: Any) -> None:
    project.sql(f"UPDATE {TABLE} SET transformation_config = '{json.dumps(config)}' WHERE source_id = '{source_id}'")


def test_applying_then_planning_finds_nothing(project: Project) -> None:
    project.add("a")
    project.add("b", order=2, config=SQL)
    project.job_config(schedule={"quartz_cron_expression": "0 0 6 * * ?", "timezone_id": "UTC"}, tags={"team": "x"})
    (entry,) = apply(project)
    assert entry["action"] == "create"
    assert entry["job_id"] == project.only_job()["job_id"]
    assert kinds(project) == {"m": "skip"}
    assert kinds(project, refresh=False) == {"m": "skip"}


def test_an_unchanged_module_costs_no_write_no_query_and_no_commit(project: Project) -> None:
    project.add("a", config=SQL)
    apply(project)
    project.writes()
    before = project.versions()
    assert [entry["action"] for entry in apply(project)] == ["skip"]
    assert project.writes() == []
    assert project.versions() == before


def test_a_change_by_sql_updates_the_same_job_by_reset(project: Project) -> None:
    project.add("a")
    (made,) = apply(project)
    project.update_job(made["job_id"], description="written in the UI")
    project.writes()
    set_config(project, "a", {"task_type": "notebook", "notebook_path": "/etl/new"})
    plan = project.orchestrator.plan()
    assert [change.path for change in plan.actions[0].changes] == ["tasks[a].notebook_task.notebook_path"]
    (entry,) = apply(project)
    assert (entry["action"], entry["job_id"]) == ("update", made["job_id"])
    assert project.writes() == [("POST", "/api/2.2/jobs/reset")]
    settings = project.only_job()["settings"]
    assert settings["tasks"][0]["notebook_task"]["notebook_path"] == "/etl/new"
    assert settings["description"] == "written in the UI"


def test_a_field_dropped_from_the_metadata_goes_from_the_job(project: Project) -> None:
    project.add("a")
    project.job_config(timeout_seconds=60, tags={"team": "x"})
    apply(project)
    project.job_config(tags={"team": "x"})
    apply(project)
    settings = project.only_job()["settings"]
    assert settings.get("timeout_seconds", 0) == 0
    assert settings["tags"]["team"] == "x"


def test_drift_is_found_and_mended(project: Project) -> None:
    project.add("a")
    project.job_config(max_concurrent_runs=3)
    (made,) = apply(project)
    project.update_job(made["job_id"], max_concurrent_runs=9)
    assert kinds(project, refresh=False) == {"m": "skip"}
    action = project.orchestrator.plan().actions[0]
    assert action.kind is ActionKind.UPDATE
    assert "drift" in action.reason
    apply(project)
    assert project.only_job()["settings"]["max_concurrent_runs"] == 3


def test_a_job_deleted_by_hand_is_made_again_and_its_new_id_stored(project: Project) -> None:
    project.add("a")
    (made,) = apply(project)
    project.client.jobs.delete(made["job_id"])
    (again,) = apply(project)
    assert again["action"] == "recreate"
    assert again["job_id"] == project.only_job()["job_id"] != made["job_id"]
    assert kinds(project) == {"m": "skip"}
    assert project.sql(f"SELECT job_id FROM {TABLE}_jobs WHERE module_name = 'm'") == [{"job_id": again["job_id"]}]


def test_a_job_that_may_not_be_seen_is_never_made_again(project: Project) -> None:
    project.add("a")
    apply(project)
    project.site.fault(method="GET", path=r"/api/2\.2/jobs/get", status=403, error_code="PERMISSION_DENIED")
    (action,) = project.orchestrator.plan().actions
    assert action.failed
    assert "can't be seen" in action.reason
    project.site.no_faults()
    assert len(project.raw_jobs()) == 1


def test_deactivating_the_last_source_pauses_the_job_and_activating_resumes_it(project: Project) -> None:
    project.add("a")
    project.job_config(schedule={"quartz_cron_expression": "0 0 6 * * ?", "timezone_id": "UTC"})
    (made,) = apply(project)
    project.sql(f"UPDATE {TABLE} SET is_active = false")
    assert [entry["action"] for entry in apply(project)] == ["pause"]
    assert project.only_job()["settings"]["schedule"]["pause_status"] == "PAUSED"
    assert kinds(project) == {"m": "skip"}
    project.sql(f"UPDATE {TABLE} SET is_active = true")
    (entry,) = apply(project)
    assert (entry["action"], entry["job_id"]) == ("resume", made["job_id"])
    assert project.only_job()["settings"]["schedule"]["pause_status"] == "UNPAUSED"
    assert kinds(project) == {"m": "skip"}


def test_an_operators_pause_survives_updates_deactivation_and_another_trigger(project: Project) -> None:
    project.add("a")
    schedule = {"quartz_cron_expression": "0 0 6 * * ?", "timezone_id": "UTC"}
    project.job_config(schedule=schedule)
    (made,) = apply(project)
    project.update_job(made["job_id"], schedule={**schedule, "pause_status": "PAUSED"})
    set_config(project, "a", {"task_type": "notebook", "notebook_path": "/etl/new"})
    apply(project)
    assert project.only_job()["settings"]["schedule"]["pause_status"] == "PAUSED"
    project.sql(f"UPDATE {TABLE} SET is_active = false")
    apply(project)
    project.sql(f"UPDATE {TABLE} SET is_active = true")
    apply(project)
    assert project.only_job()["settings"]["schedule"]["pause_status"] == "PAUSED"
    project.job_config(trigger={"periodic": {"interval": 1, "unit": "DAYS"}})
    apply(project)
    settings = project.only_job()["settings"]
    assert settings["trigger"]["pause_status"] == "PAUSED"
    assert "schedule" not in settings


def test_a_module_whose_rows_are_gone_is_paused_and_told_as_orphan(project: Project) -> None:
    project.add("a")
    project.add("b", module="other")
    project.job_config(continuous={})
    apply(project)
    project.sql(f"DELETE FROM {TABLE} WHERE module_name = 'm'; DELETE FROM {TABLE}_modules")
    action = next(each for each in project.orchestrator.plan().actions if each.module == "m")
    assert (action.kind, "orphan" in action.reason) == (ActionKind.PAUSE, True)
    apply(project)
    assert len(project.raw_jobs()) == 2
    assert kinds(project) == {"m": "skip", "other": "skip"}


def test_an_empty_table_never_means_pause_all(project: Project) -> None:
    project.add("a")
    apply(project)
    project.sql(f"DELETE FROM {TABLE}")
    with pytest.raises(InputError, match="refusing to pause"):
        project.orchestrator.plan()


def test_a_bad_row_freezes_its_module_and_the_others_go_on(project: Project) -> None:
    project.add("a", module="bad")
    project.add("a", module="good")
    made = {entry["module"]: entry["job_id"] for entry in apply(project)}
    project.sql(f"UPDATE {TABLE} SET transformation_config = '{{...}}' WHERE module_name = 'bad'")
    project.sql(
        f"UPDATE {TABLE} SET transformation_config = replace(transformation_config, 'etl', 'elt') "
        "WHERE module_name = 'good'"
    )
    with pytest.raises(ApplyError) as raised:
        apply(project)
    assert list(raised.value.failures) == ["bad"]
    assert "bad JSON" in raised.value.failures["bad"]
    assert [outcome.action.module for outcome in raised.value.outcomes] == ["good"]
    assert project.raw_job(made["good"])["settings"]["tasks"][0]["notebook_task"]["notebook_path"] == "/elt/a"
    assert project.raw_job(made["bad"])["settings"]["tasks"][0]["notebook_task"]["notebook_path"] == "/etl/a"


def test_a_module_that_the_workspace_refuses_fails_alone_and_is_tried_again(project: Project) -> None:
    project.add("a", module="bad")
    project.add("a", module="good")
    project.job_config("bad", schedule={"quartz_cron_expression": "nonsense", "timezone_id": "UTC"})
    with pytest.raises(ApplyError) as raised:
        apply(project)
    assert list(raised.value.failures) == ["bad"]
    assert len(project.raw_jobs()) == 1
    project.job_config("bad", schedule={"quartz_cron_expression": "0 0 6 * * ?", "timezone_id": "UTC"})
    assert {entry["module"]: entry["action"] for entry in apply(project)} == {"bad": "create", "good": "skip"}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_create_whose_answer_is_lost_makes_one_job(project: Project, when: str) -> None:
    project.add("a")
    project.site.fault(method="POST", path=r"/api/2\.2/jobs/create", nth=1, when=when, action="drop")
    try:
        apply(project)
    except ApplyError as error:
        assert "no answer" in error.failures["m"]
    project.site.no_faults()
    apply(project)
    assert project.only_job()["settings"]["name"] == "Metadata_Driven_ETL_m"
    assert kinds(project) == {"m": "skip"}


def test_being_told_to_slow_down_is_obeyed(project: Project) -> None:
    project.add("a")
    project.site.fault(
        method="POST", path=r"/api/2\.2/jobs/create", nth=1, status=429, error_code="REQUEST_LIMIT_EXCEEDED",
        headers={"Retry-After": "1"},
    )  # fmt: skip
    assert [entry["action"] for entry in apply(project)] == ["create"]
    assert len(project.raw_jobs()) == 1


def test_a_lost_state_is_found_again_by_tags(project: Project) -> None:
    project.add("a")
    (made,) = apply(project)
    project.sql(f"DELETE FROM {TABLE}_jobs")
    (entry,) = apply(project)
    assert (entry["action"], entry["job_id"]) == ("adopt", made["job_id"])
    assert len(project.raw_jobs()) == 1
    assert kinds(project) == {"m": "skip"}


def test_two_jobs_with_one_modules_tag_are_refused_when_the_state_is_lost(project: Project) -> None:
    project.add("a")
    apply(project)
    project.client.api_client.do("POST", "/api/2.2/jobs/create", body=project.only_job()["settings"])
    project.sql(f"DELETE FROM {TABLE}_jobs")
    (action,) = project.orchestrator.plan().actions
    assert action.failed
    assert all(str(job["job_id"]) in action.reason for job in project.raw_jobs())


def test_somebody_elses_job_of_the_same_name_is_left_alone(project: Project) -> None:
    body = {"name": "Metadata_Driven_ETL_m", "tasks": [{"task_key": "x", "notebook_task": {"notebook_path": "/x"}}]}
    theirs = project.client.api_client.do("POST", "/api/2.2/jobs/create", body=body)["job_id"]
    project.add("a")
    plan = project.orchestrator.plan()
    assert str(theirs) in plan.actions[0].reason
    apply(project)
    assert project.raw_job(theirs)["settings"]["tasks"][0]["task_key"] == "x"
    assert len(project.raw_jobs()) == 2


def test_a_saved_query_is_made_once_updated_in_place_and_deleted_with_its_task(project: Project) -> None:
    project.add("a")
    project.add("q", config=SQL, order=2)
    apply(project)
    (query,) = project.client.queries.list()
    assert query.query_text == "SELECT 1"
    set_config(project, "q", {**SQL, "sql_task": {**SQL["sql_task"], "sql_query": "SELECT 2"}})  # type: ignore[dict-item]
    apply(project)
    (same,) = project.client.queries.list()
    assert (same.id, same.query_text) == (query.id, "SELECT 2")
    project.sql(f"UPDATE {TABLE} SET is_active = false WHERE source_id = 'q'")
    apply(project)
    assert list(project.client.queries.list()) == []
    assert kinds(project) == {"m": "skip"}


def test_a_plan_tells_what_of_a_saved_query_changes(project: Project) -> None:
    project.add("q", config=SQL)
    apply(project)

    def change(**sql_task: str) -> None:
        set_config(project, "q", {**SQL, "sql_task": {"warehouse_id": "w1", "sql_query": "SELECT 1", **sql_task}})

    def changed(**given: bool) -> set[tuple[str, str, str]]:
        (action,) = project.orchestrator.plan(**given).actions
        return {(each.path, each.old, each.new) for each in action.changes if each.path.startswith("queries")}

    change(sql_query="SELECT 2")
    assert changed() == {("queries[q].query_text", "SELECT 1", "SELECT 2")}
    assert changed(refresh=False) == {("queries[q].query_text", "(as recorded)", "SELECT 2")}
    change(warehouse_id="w2")
    assert changed() == {("queries[q].warehouse_id", "w1", "w2")}


def test_a_trashed_query_counts_as_absent(project: Project) -> None:
    project.add("q", config=SQL)
    apply(project)
    (query,) = project.client.queries.list()
    project.client.queries.delete(query.id)
    assert kinds(project) == {"m": "update"}
    apply(project)
    (again,) = project.client.queries.list()
    assert project.only_job()["settings"]["tasks"][0]["sql_task"]["query"]["query_id"] == again.id
    assert kinds(project) == {"m": "skip"}


def test_a_query_made_before_a_failure_is_not_made_again(project: Project) -> None:
    project.add("q", config=SQL)
    project.site.fault(method="POST", path=r"/api/2\.2/jobs/create", nth=1, status=400)
    with pytest.raises(ApplyError):
        apply(project)
    project.site.no_faults()
    project.writes()
    apply(project)
    assert len(list(project.client.queries.list())) == 1
    assert [path for method, path in project.writes() if "queries" in path] == []


def test_a_stale_plan_is_refused(project: Project) -> None:
    project.add("a")
    plan = project.orchestrator.plan()
    set_config(project, "a", {"task_type": "notebook", "notebook_path": "/etl/new"})
    with pytest.raises(ConflictError, match="stale"):
        project.orchestrator.apply(plan)
    assert project.raw_jobs() == []


def test_a_plan_that_another_run_carried_out_is_refused(project: Project) -> None:
    project.add("a")
    plan = project.orchestrator.plan()
    apply(project)
    with pytest.raises(ConflictError, match="another process"):
        project.orchestrator.apply(plan)
    assert len(project.raw_jobs()) == 1


def test_only_the_selected_module_is_touched(project: Project) -> None:
    project.add("a", module="one")
    project.add("a", module="two")
    job_id = project.orchestrator.create_or_update_job("one")
    assert project.only_job()["job_id"] == job_id
    with pytest.raises(InputError, match="there is no module 'tvo'") as raised:
        project.orchestrator.plan(["tvo"])
    assert "two" in raised.value.hint


def test_a_job_with_more_tasks_than_a_page_is_compared_whole(project: Project) -> None:
    rows = ", ".join(
        f"('s{number}', 'm', 'delta', {number % 3}, '{{}}', '{{}}', "
        f'\'{{"task_type": "notebook", "notebook_path": "/n{number}"}}\', true)'
        for number in range(230)
    )
    project.sql(f"INSERT INTO {TABLE} VALUES {rows}")
    apply(project)
    assert kinds(project) == {"m": "skip"}
    project.sql(f"UPDATE {TABLE} SET is_active = false WHERE source_id = 's229'")
    action = project.orchestrator.plan().actions[0]
    assert "- tasks[s229]" in [f"{change.sign} {change.path}" for change in action.changes]
    apply(project)
    assert kinds(project) == {"m": "skip"}


def test_arguments_that_do_not_go_together_are_refused(project: Project) -> None:
    with pytest.raises(UsageError):
        project.orchestrator.run_all_modules(sync_yaml=True)
    with pytest.raises(UsageError):
        project.orchestrator.run_all_modules(yaml_path="x.yml")


def test_every_action_leaves_a_row_in_the_log(project: Project) -> None:
    project.add("a")
    apply(project)
    rows = project.sql(f"SELECT module_name, action, outcome, control_version FROM {TABLE}_log ORDER BY action")
    assert rows == [
        {"module_name": "m", "action": "create", "outcome": "done", "control_version": 1},
        {"module_name": None, "action": "reconcile", "outcome": "done", "control_version": 1},
    ]


def test_a_reconcile_that_did_something_leaves_a_row_of_its_own(project: Project) -> None:
    project.add("a")
    project.add("b", module="refused")
    project.site.fault(method="POST", path="/jobs/create$", nth=2, status=400, error_code="INVALID_PARAMETER_VALUE")
    with pytest.raises(ApplyError):
        apply(project)
    project.site.no_faults()
    apply(project)
    apply(project)
    rows = project.sql(f"SELECT outcome, message FROM {TABLE}_log WHERE action = 'reconcile' ORDER BY logged_at")
    assert [(row["outcome"], row["message"]) for row in rows] == [("failed", "1 done, 1 failed"), ("done", "1 done")]
