"""What was interrupted, lost or damaged is found again: one job a module, and never somebody else's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lakeflow_job_meta import ApplyError, ConflictError
from lakeflow_job_meta.model.plan import ActionKind, FieldChange
from tests.conftest import TABLE, Project

SCHEDULE = {"quartz_cron_expression": "0 0 6 * * ?", "timezone_id": "UTC"}
QUERY = {"task_type": "sql_query", "sql_task": {"warehouse_id": "w1", "sql_query": "SELECT 1"}}
CREATE, RESET = r"/api/2\.2/jobs/create", r"/api/2\.2/jobs/reset"


def apply(project: Project) -> list[dict[str, Any]]:
    return project.orchestrator.run_all_modules()


def apply_rows_only(project: Project) -> None:
    orchestrator = project.orchestrator
    orchestrator.apply(orchestrator.plan(refresh=False))


def interrupted(project: Project, path: str, **fault: Any) -> None:
    """One apply in which the next call to this path has its effect, and its answer is an error."""
    project.site.fault(method="POST", path=path, nth=1, when="after", status=400, **fault)
    with pytest.raises(ApplyError):
        apply(project)
    project.site.no_faults()


def settled(project: Project) -> bool:
    return project.orchestrator.plan().empty


def lose_state(project: Project) -> None:
    project.sql(f"DELETE FROM {TABLE}_jobs")


def test_an_unrecorded_create_is_found_under_the_name_that_it_was_sent_with(project: Project) -> None:
    project.add("a")
    interrupted(project, CREATE)
    project.job_config(name="renamed")
    apply(project)
    assert project.only_job()["settings"]["name"] == "renamed"
    assert settled(project)


def test_an_unrecorded_create_is_paused_when_its_module_is_deactivated_meanwhile(project: Project) -> None:
    project.add("a")
    project.job_config(schedule=SCHEDULE)
    interrupted(project, CREATE)
    project.sql(f"UPDATE {TABLE} SET is_active = false")
    apply(project)
    assert project.only_job()["settings"]["schedule"]["pause_status"] == "PAUSED"
    assert settled(project)


def test_an_adoption_that_fails_half_way_makes_no_second_job(project: Project) -> None:
    project.add("a")
    apply(project)
    lose_state(project)
    project.sql(f"UPDATE {TABLE} SET transformation_config = replace(transformation_config, 'etl', 'elt')")
    project.site.fault(method="POST", path=RESET, nth=1, status=400)
    with pytest.raises(ApplyError):
        apply(project)
    project.site.no_faults()
    apply(project)
    assert len(project.raw_jobs()) == 1
    assert settled(project)


def test_a_lost_state_makes_no_second_job_without_a_look_at_the_workspace(project: Project) -> None:
    project.add("a")
    apply(project)
    lose_state(project)
    apply_rows_only(project)
    assert len(project.raw_jobs()) == 1
    assert settled(project)


def test_a_dropped_state_table_is_made_again_and_filled_from_the_tags(project: Project) -> None:
    project.add("a")
    (made,) = apply(project)
    project.sql(f"DROP TABLE {TABLE}_jobs")
    (again,) = apply(project)
    assert (again["action"], again["job_id"]) == ("adopt", made["job_id"])


def test_a_state_older_than_the_workspace_makes_no_second_job(project: Project) -> None:
    project.add("a")
    (first,) = apply(project)
    version = project.versions()[f"{TABLE}_jobs"]
    project.client.jobs.delete(first["job_id"])
    (second,) = apply(project)
    project.sql(f"RESTORE TABLE {TABLE}_jobs TO VERSION AS OF {version}")
    (third,) = apply(project)
    assert (third["action"], third["job_id"]) == ("adopt", second["job_id"])
    assert len(project.raw_jobs()) == 1


def test_a_clone_is_left_alone_when_its_original_is_deleted(project: Project) -> None:
    project.add("a")
    (made,) = apply(project)
    clone = project.client.api_client.do("POST", "/api/2.2/jobs/create", body=project.only_job()["settings"])
    project.client.jobs.delete(made["job_id"])
    (again,) = apply(project)
    assert again["action"] == "recreate"
    assert {job["job_id"] for job in project.raw_jobs()} == {clone["job_id"], again["job_id"]}


def test_a_control_table_that_was_made_again_does_not_get_the_old_ones_jobs(project: Project) -> None:
    project.add("a")
    apply(project)
    project.sql(f"DROP TABLE {TABLE}")
    project.add("a")
    with pytest.raises(ConflictError, match="was made again") as raised:
        project.orchestrator.plan()
    project.sql(raised.value.hint.partition("take them back: ")[2].partition(";")[0])
    assert settled(project)


def test_an_interrupted_pause_is_ours_and_is_taken_back(project: Project) -> None:
    project.add("a")
    project.job_config(schedule=SCHEDULE)
    apply(project)
    project.sql(f"UPDATE {TABLE} SET is_active = false")
    project.site.fault(method="POST", path=RESET, nth=1, when="after", status=400)
    with pytest.raises(ApplyError):
        apply(project)
    project.site.no_faults()
    project.sql(f"UPDATE {TABLE} SET is_active = true")
    apply(project)
    assert project.only_job()["settings"]["schedule"]["pause_status"] == "UNPAUSED"


def test_a_pause_of_the_metadata_itself_is_not_carried_to_another_trigger(project: Project) -> None:
    project.add("a")
    project.job_config(continuous={"pause_status": "PAUSED"})
    apply(project)
    project.job_config(schedule=SCHEDULE)
    apply(project)
    assert project.only_job()["settings"]["schedule"]["pause_status"] == "UNPAUSED"
    assert settled(project)


def test_a_field_dropped_after_a_crash_goes(project: Project) -> None:
    project.add("a")
    apply(project)
    project.job_config(timeout_seconds=99)
    interrupted(project, RESET)
    assert project.only_job()["settings"]["timeout_seconds"] == 99
    project.sql(f"DELETE FROM {TABLE}_modules")
    apply(project)
    assert project.only_job()["settings"].get("timeout_seconds", 0) == 0


def test_where_files_come_from_follows_git_source_both_ways(project: Project) -> None:
    project.add("a")
    git = {"git_url": "https://example.com/r", "git_provider": "gitHub", "git_branch": "main"}
    origins: list[str] = []
    for config in ({"git_source": git}, {}, {"git_source": git}):
        project.job_config(**config)
        apply(project)
        assert settled(project)
        origins.append(project.only_job()["settings"]["tasks"][0]["notebook_task"]["source"])
    assert origins == ["GIT", "WORKSPACE", "GIT"]


def test_a_job_may_change_whom_it_runs_as(project: Project) -> None:
    project.add("a")
    for run_as in ({"user_name": "a@example.com"}, {}, {"service_principal_name": "p"}):
        project.job_config(**({"run_as": run_as} if run_as else {}))
        apply(project)
        assert settled(project)
    assert project.only_job()["settings"]["run_as"] == {"service_principal_name": "p"}


def test_what_the_server_never_gives_back_is_no_drift(project: Project) -> None:
    cluster = {"spark_version": "15.4.x-scala2.12", "num_workers": 1, "apply_policy_default_values": True}
    project.add("a", config={"task_type": "notebook", "notebook_path": "/x", "new_cluster": cluster})
    apply(project)
    assert settled(project)


def test_an_edited_saved_query_is_drift(project: Project) -> None:
    project.add("q", config=QUERY)
    apply(project)
    (query,) = project.client.queries.list()
    body = {"query": {"query_text": "DROP TABLE x"}, "update_mask": "query_text"}
    project.client.api_client.do("PATCH", f"/api/2.0/sql/queries/{query.id}", body=body)
    (action,) = project.orchestrator.plan().actions
    assert action.kind is ActionKind.UPDATE
    assert action.changes == (FieldChange("queries[q].query_text", "DROP TABLE x", "SELECT 1"),)
    apply(project)
    assert project.client.queries.get(query.id).query_text == "SELECT 1"
    assert settled(project)


@pytest.mark.parametrize(
    "value",
    ['"\\\\ud800"', "1e400", '{"a":' * 300 + "1" + "}" * 300],
    ids=["surrogate", "too large", "too deep"],
)
def test_a_value_that_no_job_can_hold_freezes_its_own_module_only(project: Project, value: str) -> None:
    project.add("good", "good")
    project.add("bad", "bad")
    config = f'{{"task_type": "notebook", "notebook_path": "/x", "description": {value}}}'
    project.sql(f"UPDATE {TABLE} SET transformation_config = '{config}' WHERE source_id = 'bad'")
    with pytest.raises(ApplyError) as raised:
        apply(project)
    assert list(raised.value.failures) == ["bad"]
    assert [job["settings"]["name"] for job in project.raw_jobs()] == ["Metadata_Driven_ETL_good"]
    str(project.orchestrator.plan()).encode()


def test_a_404_that_does_not_speak_of_the_job_is_no_absence(project: Project) -> None:
    project.add("a")
    apply(project)
    project.site.fault(method="GET", path=r"/api/2\.2/jobs/get", status=404, error_code="ENDPOINT_NOT_FOUND")
    with pytest.raises(Exception, match="injected"):
        project.orchestrator.plan()
    project.site.no_faults()
    assert settled(project)


def test_a_fixed_row_is_applied_at_once_by_the_monitor(project: Project) -> None:
    project.add("a")
    good = json.dumps({"task_type": "notebook", "notebook_path": "/x"})
    project.sql(f"UPDATE {TABLE} SET transformation_config = '{{'")
    monitor = project.monitor(check_interval_seconds=60)
    assert list(monitor.check_and_update().failures) == ["m"]
    idle = monitor.check_and_update()
    assert (idle.looked, list(idle.failures)) == (False, ["m"])
    project.sql(f"UPDATE {TABLE} SET transformation_config = '{good}'")
    cycle = monitor.check_and_update()
    assert [str(outcome.action.kind) for outcome in cycle.outcomes] == ["create"]
    assert cycle.failures == {}


def test_a_saved_query_of_a_killed_run_goes_with_its_source(project: Project) -> None:
    project.add("a")
    project.add("q", config=QUERY)
    interrupted(project, r"/sql/queries$")
    project.sql(f"UPDATE {TABLE} SET is_active = false WHERE source_id = 'q'")
    apply(project)
    assert list(project.client.queries.list()) == []
    assert settled(project)


def test_a_saved_query_of_a_killed_run_goes_with_its_module_where_no_job_was_made(project: Project) -> None:
    project.add("q", config=QUERY)
    interrupted(project, r"/sql/queries$")
    project.sql(f"UPDATE {TABLE} SET is_active = false")
    apply(project)
    assert (project.raw_jobs(), list(project.client.queries.list())) == ([], [])
    assert settled(project)
