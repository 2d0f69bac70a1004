"""What becomes of jobs beyond create and update: drift that may stay, moves, deletion, adoption, whose a job is."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from databricks.sdk import WorkspaceClient

from lakeflow_job_meta import ApplyError, ConflictError, InputError, JobOrchestrator, UsageError
from lakeflow_job_meta.model.plan import Action, ActionKind
from lakeflow_job_meta.store.delta import DeltaStore
from tests.conftest import TABLE, Project
from tests.local_server import job, notebook_task

SQL = {"task_type": "sql_query", "sql_task": {"warehouse_id": "w1", "sql_query": "SELECT 1"}}
SCHEDULE = {"quartz_cron_expression": "0 0 6 * * ?", "timezone_id": "UTC"}


def kinds(project: Project, **given: Any) -> dict[str, str]:
    return {action.module: str(action.kind) for action in project.orchestrator.plan(**given).actions}


def apply(project: Project, **given: Any) -> dict[str, str]:
    """Plan and apply; what was done by module."""
    plan = project.orchestrator.plan(**given)
    return {outcome.action.module: str(outcome.action.kind) for outcome in project.orchestrator.apply(plan)}


def ids(project: Project) -> dict[str, int]:
    return {row["module"]: row["job_id"] for row in project.orchestrator.status()}


def only(project: Project, module: str, **given: Any) -> Action:
    return next(action for action in project.orchestrator.plan(**given).actions if action.module == module)


def make_job(project: Project, settings: Mapping[str, Any]) -> int:
    """What a person makes in the UI."""
    return project.client.api_client.do("POST", "/api/2.2/jobs/create", body=dict(settings))["job_id"]


def with_settings(project: Project, **changed: Any) -> JobOrchestrator:
    settings = replace(project.settings, **changed)
    return JobOrchestrator(TABLE, project.client, store=DeltaStore(project.home), settings=settings)


def retries(project: Project, job_id: int, number: int, task: str = "a") -> None:
    settings = project.raw_job(job_id)["settings"]
    tasks = [{**each, "max_retries": number} if each["task_key"] == task else each for each in settings["tasks"]]
    project.update_job(job_id, tasks=tasks)


def notebook(**more: Any) -> dict[str, Any]:
    return {"task_type": "notebook", "notebook_path": "/etl/a", **more}


# Drift


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
    assert [(change.path, change.old, change.new) for change in action.reported] == [("timeout_seconds", 99, 60)]
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


# Deactivation and deletion


def test_a_module_that_may_not_be_deleted_stays_at_destroy_and_says_so(project: Project) -> None:
    project.add("a", module="kept")
    project.add("a", module="other")
    project.job_config("kept", lifecycle={"prevent_delete": True})
    apply(project)
    plan = project.orchestrator.plan(destroy=True)
    with pytest.raises(ApplyError) as raised:
        project.orchestrator.apply(plan)
    assert "prevent_delete" in raised.value.failures["kept"]
    assert project.only_job()["settings"]["name"].endswith("kept")


def test_a_module_that_may_not_be_deleted_stays_when_its_sources_are_gone(project: Project) -> None:
    project.add("a", module="kept")
    project.add("a", module="other")
    project.job_config("kept", lifecycle={"prevent_delete": True})
    apply(project)
    project.sql(f"DELETE FROM {TABLE} WHERE module_name = 'kept'")
    assert only(project, "kept", prune=True).kind is not ActionKind.DELETE


@pytest.mark.parametrize(("choice", "expected"), [("pause", "pause"), ("delete", "delete"), ("keep", "skip")])
def test_a_deactivated_module_is_paused_deleted_or_kept_as_it_says(
    project: Project, choice: str, expected: str
) -> None:
    project.add("a", config=SQL)
    project.add("a", module="other")
    project.job_config(schedule=SCHEDULE, lifecycle={"on_deactivate": choice})
    apply(project)
    before = ids(project)["m"]
    project.sql(f"UPDATE {TABLE} SET is_active = false WHERE module_name = 'm'")
    assert only(project, "m").kind == expected
    apply(project)
    there = {each["job_id"]: each["settings"] for each in project.raw_jobs()}
    if choice == "delete":
        assert before not in there
        assert list(project.client.queries.list()) == []
    else:
        assert there[before]["schedule"]["pause_status"] == ("PAUSED" if choice == "pause" else "UNPAUSED")
    assert only(project, "m").kind is ActionKind.SKIP
    project.sql(f"UPDATE {TABLE} SET is_active = true WHERE module_name = 'm'")
    apply(project)
    assert len(project.raw_jobs()) == 2
    assert set(kinds(project).values()) == {"skip"}


def test_pruning_deletes_the_job_the_saved_queries_and_the_state_of_an_orphan(project: Project) -> None:
    project.add("a", config=SQL)
    project.add("a", module="other")
    apply(project)
    project.sql(f"DELETE FROM {TABLE} WHERE module_name = 'm'")
    assert kinds(project) == {"m": "pause", "other": "skip"}
    assert kinds(project, prune=True) == {"m": "delete", "other": "skip"}
    assert apply(project, prune=True) == {"m": "delete"}
    assert project.only_job()["settings"]["name"].endswith("other")
    assert list(project.client.queries.list()) == []
    assert project.sql(f"SELECT module_name FROM {TABLE}_jobs WHERE module_name = 'm'") == []
    assert kinds(project, prune=True) == {"other": "skip"}


def test_pruning_an_orphan_that_was_paused_before_deletes_it(project: Project) -> None:
    project.add("a")
    project.add("a", module="other")
    project.job_config(schedule=SCHEDULE)
    apply(project)
    project.sql(f"DELETE FROM {TABLE} WHERE module_name = 'm'; DELETE FROM {TABLE}_modules")
    assert apply(project) == {"m": "pause"}
    assert apply(project, prune=True) == {"m": "delete"}
    assert len(project.raw_jobs()) == 1


def test_pruning_an_orphan_whose_job_was_deleted_by_hand_forgets_it(project: Project) -> None:
    project.add("a")
    project.add("a", module="other")
    apply(project)
    project.client.jobs.delete(ids(project)["m"])
    project.sql(f"DELETE FROM {TABLE} WHERE module_name = 'm'")
    apply(project, prune=True)
    assert project.sql(f"SELECT module_name FROM {TABLE}_jobs WHERE module_name = 'm'") == []


def test_pruning_leaves_deactivated_modules_paused(project: Project) -> None:
    project.add("a")
    project.job_config(schedule=SCHEDULE)
    apply(project)
    project.sql(f"UPDATE {TABLE} SET is_active = false")
    assert kinds(project, prune=True) == {"m": "pause"}


def test_destroying_deletes_all_that_is_ours_and_nothing_else(project: Project) -> None:
    theirs = make_job(project, job(name="theirs"))
    project.add("a", config=SQL)
    project.add("a", module="other")
    apply(project)
    assert apply(project, modules=["other"], destroy=True) == {"other": "delete"}
    assert apply(project, destroy=True) == {"m": "delete"}
    assert project.only_job()["job_id"] == theirs
    assert list(project.client.queries.list()) == []
    assert project.orchestrator.plan(destroy=True).empty
    assert apply(project) == {"m": "create", "other": "create"}


def test_destroying_works_when_the_table_is_empty(project: Project) -> None:
    project.add("a")
    apply(project)
    project.sql(f"DELETE FROM {TABLE}")
    assert apply(project, destroy=True) == {"m": "delete"}
    assert project.raw_jobs() == []


def test_more_disruption_than_the_settings_allow_wants_a_person(project: Project) -> None:
    for number in range(6):
        project.add("a", module=f"m{number}")
        project.job_config(f"m{number}", schedule=SCHEDULE)
    apply(project)
    project.sql(f"UPDATE {TABLE} SET is_active = false WHERE module_name < 'm4'")
    plan = project.orchestrator.plan()
    with pytest.raises(UsageError, match="4 jobs and tasks, 67 % of the modules") as raised:
        project.orchestrator.apply(plan)
    assert "--allow-disruptive" in raised.value.hint
    few = with_settings(project, max_disruptive=2, max_disruptive_percent=100.0)
    with pytest.raises(UsageError, match="max_disruptive = 2"):
        few.apply(plan)
    assert all(each["settings"]["schedule"]["pause_status"] == "UNPAUSED" for each in project.raw_jobs())
    assert len(project.orchestrator.apply(plan, allow_disruptive=True)) == 4


def test_removed_tasks_count_as_disruption(project: Project) -> None:
    for number in range(6):
        project.add(f"s{number}")
    apply(project)
    project.sql(f"UPDATE {TABLE} SET is_active = false WHERE source_id < 's5'")
    with pytest.raises(UsageError, match="5 jobs and tasks"):
        apply(project)


# Moves


def rename(project: Project, new: str = "n", old: str = "m", **config: Any) -> None:
    project.sql(f"UPDATE {TABLE} SET module_name = '{new}' WHERE module_name = '{old}'")
    project.job_config(new, **config, lifecycle={"moved_from": old})


def test_a_renamed_module_keeps_its_job(project: Project) -> None:
    project.add("a", config=SQL)
    apply(project)
    before = project.only_job()
    rename(project)
    plan = project.orchestrator.plan()
    assert {action.module: str(action.kind) for action in plan.actions} == {"m": "skip", "n": "move"}
    assert "moved from module m" in str(plan)
    assert apply(project) == {"n": "move"}
    after = project.only_job()
    assert after["job_id"] == before["job_id"]
    assert after["settings"]["name"] == "Metadata_Driven_ETL_n"
    assert after["settings"]["tags"]["lakeflow_job_meta"] != before["settings"]["tags"]["lakeflow_job_meta"]
    assert len(list(project.client.queries.list())) == 1
    assert kinds(project) == {"n": "skip"}
    assert kinds(project, refresh=False) == {"n": "skip"}


def test_a_move_is_seen_without_a_look_at_the_workspace_and_when_only_the_new_module_is_selected(
    project: Project,
) -> None:
    project.add("a")
    apply(project)
    before = project.only_job()["job_id"]
    rename(project)
    assert kinds(project, refresh=False) == {"m": "skip", "n": "move"}
    assert apply(project, modules=["n"]) == {"n": "move"}
    assert project.only_job()["job_id"] == before
    assert kinds(project) == {"n": "skip"}


def test_a_move_acts_once(project: Project) -> None:
    project.add("a")
    apply(project)
    rename(project)
    apply(project)
    moved = project.only_job()["job_id"]
    project.add("a", module="m")
    assert apply(project) == {"m": "create"}
    assert ids(project)["n"] == moved
    project.sql(f"DELETE FROM {TABLE} WHERE module_name = 'm'")
    assert kinds(project) == {"m": "pause", "n": "skip"}


def test_nothing_moves_while_the_old_module_is_active(project: Project) -> None:
    project.add("a")
    apply(project)
    project.add("a", module="n")
    project.job_config("n", lifecycle={"moved_from": "m"})
    assert kinds(project) == {"m": "skip", "n": "create"}


def test_nothing_moves_to_a_module_that_has_a_job(project: Project) -> None:
    project.add("a")
    project.add("b", module="n")
    apply(project)
    before = ids(project)
    project.sql(f"DELETE FROM {TABLE} WHERE module_name = 'm'")
    project.job_config("n", lifecycle={"moved_from": "m"})
    assert kinds(project) == {"m": "pause", "n": "skip"}
    apply(project)
    assert ids(project) == before


def test_a_move_resumes_a_job_that_was_paused_with_its_old_module(project: Project) -> None:
    project.add("a")
    project.add("a", module="other")
    project.job_config(schedule=SCHEDULE)
    apply(project)
    before = ids(project)["m"]
    project.sql(f"UPDATE {TABLE} SET is_active = false WHERE module_name = 'm'")
    apply(project)
    project.add("a", module="n")
    project.job_config("n", schedule=SCHEDULE, lifecycle={"moved_from": "m"})
    assert apply(project) == {"n": "move"}
    job = project.raw_job(before)["settings"]
    assert (job["name"], job["schedule"]["pause_status"]) == ("Metadata_Driven_ETL_n", "UNPAUSED")
    assert {kind for module, kind in kinds(project).items() if module != "m"} == {"skip"}


def test_two_modules_that_want_the_same_job_do_not_both_get_it(project: Project) -> None:
    project.add("a")
    apply(project)
    before = project.only_job()["job_id"]
    project.sql(f"DELETE FROM {TABLE}")
    for module in ("n", "o"):
        project.add("a", module=module)
        project.job_config(module, lifecycle={"moved_from": "m"})
    with suppress(ApplyError, InputError):
        apply(project)
    held = [row for row in project.sql(f"SELECT * FROM {TABLE}_jobs") if row["job_id"] == before]
    assert len(held) == 1


def test_a_move_from_a_job_that_was_deleted_by_hand_makes_one(project: Project) -> None:
    project.add("a")
    apply(project)
    project.client.jobs.delete(project.only_job()["job_id"])
    rename(project)
    apply(project)
    assert project.only_job()["settings"]["name"] == "Metadata_Driven_ETL_n"
    assert set(kinds(project).values()) == {"skip"}


# Letting go


def test_forgetting_lets_go_of_a_job_without_touching_it(project: Project) -> None:
    project.add("a")
    project.add("a", module="other")
    project.job_config(schedule=SCHEDULE)
    apply(project)
    before = project.raw_job(ids(project)["m"])
    project.sql(f"DELETE FROM {TABLE} WHERE module_name = 'm'; DELETE FROM {TABLE}_modules")
    project.writes()
    assert project.orchestrator.forget(["m"]) == ["m"]
    assert project.writes() == []
    assert project.raw_job(before["job_id"]) == before
    assert kinds(project, prune=True) == {"other": "skip"}


def test_forgetting_is_refused_while_rows_ask_for_the_job(project: Project) -> None:
    project.add("a")
    apply(project)
    with pytest.raises(InputError, match="still ask for its job"):
        project.orchestrator.forget(["m"])
    with pytest.raises(InputError, match="no module 'x'"):
        project.orchestrator.forget(["x"])
    assert kinds(project) == {"m": "skip"}


def test_a_forgotten_job_is_not_taken_up_again_unless_its_rows_come_back(project: Project) -> None:
    project.add("a")
    project.add("a", module="other")
    apply(project)
    before = ids(project)["m"]
    project.sql(f"UPDATE {TABLE} SET is_active = false WHERE module_name = 'm'")
    project.orchestrator.forget(["m"])
    assert only(project, "m").kind is ActionKind.SKIP
    project.sql(f"UPDATE {TABLE} SET is_active = true")
    apply(project)
    assert ids(project)["m"] == before
    assert len(project.raw_jobs()) == 2


# Taking over

CLUSTER = {"spark_version": "16.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 2}
PYTHON = {"spark_python_task": {"python_file": "/Shared/x.py", "parameters": ["a", "--b"]}}
ENVIRONMENT = {"environment_key": "default", "spec": {"environment_version": "3", "dependencies": ["requests"]}}

HAND_MADE: dict[str, dict[str, Any]] = {
    "plain": job(notebook_task("a")),
    "parameters": job(
        {**notebook_task("a"), "notebook_task": {"notebook_path": "/n", "base_parameters": {"x": "1", "y": ""}}},
        parameters=[{"name": "day", "default": ""}, {"name": "zone", "default": "eu"}],
    ),
    "graph": job(
        notebook_task("a"),
        notebook_task("b", "a", run_if="ALL_DONE", timeout_seconds=60, max_retries=3, retry_on_timeout=True),
        notebook_task("c", "a", "b", description="last", min_retry_interval_millis=1000),
    ),
    "condition": job(
        {"task_key": "if", "condition_task": {"op": "GREATER_THAN", "left": "{{job.id}}", "right": "1"}},
        {**notebook_task("yes"), "depends_on": [{"task_key": "if", "outcome": "true"}]},
        {**notebook_task("no"), "depends_on": [{"task_key": "if", "outcome": "false"}]},
    ),
    "for_each": job(
        {
            "task_key": "loop",
            "for_each_task": {"inputs": "[1, 2]", "concurrency": 2, "task": notebook_task("inner")},
        }
    ),
    "clusters": job(
        {**notebook_task("a"), "job_cluster_key": "small"},
        {**notebook_task("b"), "new_cluster": CLUSTER, "libraries": [{"pypi": {"package": "requests==2"}}]},
        {**notebook_task("c"), "existing_cluster_id": "0101-010101-abcdefgh"},
        job_clusters=[{"job_cluster_key": "small", "new_cluster": {**CLUSTER, "spark_conf": {"a.b": "c"}}}],
    ),
    "environments": job({"task_key": "p", **PYTHON, "environment_key": "default"}, environments=[ENVIRONMENT]),
    "wheel": job(
        {
            "task_key": "w",
            "python_wheel_task": {"package_name": "p", "entry_point": "main", "named_parameters": {"a": "1"}},
            "environment_key": "default",
        },
        environments=[ENVIRONMENT],
    ),
    "sql": job(
        {"task_key": "f", "sql_task": {"file": {"path": "/q.sql", "source": "WORKSPACE"}, "warehouse_id": "w"}},
        {"task_key": "q", "sql_task": {"query": {"query_id": str(uuid4())}, "warehouse_id": "w"}},
    ),
    "pipeline": job({"task_key": "dlt", "pipeline_task": {"pipeline_id": str(uuid4()), "full_refresh": True}}),
    "dbt": job(
        {"task_key": "dbt", "dbt_task": {"commands": ["dbt deps", "dbt run"], "warehouse_id": "w", "schema": "s"}},
        git_source={"git_url": "https://example.com/r", "git_provider": "gitHub", "git_branch": "main"},
    ),
    "run_job": job({"task_key": "r", "run_job_task": {"job_id": 123, "job_parameters": {"a": "b"}}}),
    "jar": job({"task_key": "j", "spark_jar_task": {"main_class_name": "x.Y"}, "existing_cluster_id": "c-1"}),
    "scheduled": job(schedule={**SCHEDULE, "pause_status": "PAUSED"}, description="by hand", max_concurrent_runs=4),
    "unpaused": job(schedule=SCHEDULE, timeout_seconds=3600, queue={"enabled": False}),
    "arrival": job(trigger={"file_arrival": {"url": "/Volumes/a/b/c/"}, "pause_status": "UNPAUSED"}),
    "periodic": job(trigger={"periodic": {"interval": 2, "unit": "HOURS"}}),
    "continuous": job(continuous={"pause_status": "PAUSED"}),
    "told": job(
        notebook_task(
            "a",
            email_notifications={"on_failure": ["a@example.com"]},
            webhook_notifications={"on_start": [{"id": "hook"}]},
            notification_settings={"alert_on_last_attempt": True},
        ),
        email_notifications={"on_failure": ["b@example.com", "a@example.com"], "no_alert_for_skipped_runs": True},
        webhook_notifications={"on_failure": [{"id": "h2"}, {"id": "h1"}]},
        notification_settings={"no_alert_for_canceled_runs": True},
        health={"rules": [{"metric": "RUN_DURATION_SECONDS", "op": "GREATER_THAN", "value": 60}]},
    ),
    "tagged": job(tags={"team": "x", "empty": ""}),
    "locked": job(edit_mode="UI_LOCKED"),
    "disabled": job(notebook_task("a", disabled=True), notebook_task("b", "a")),
    "odd keys": job(notebook_task("A-b_1"), notebook_task("zz", "A-b_1")),
    "ein 'Ümlaut' \"job\"": job(notebook_task("a")),
    "many": job(*(notebook_task(f"t{number}") for number in range(130))),
}


@pytest.mark.parametrize("name", HAND_MADE)
def test_a_job_made_by_hand_is_adopted_as_it_is(project: Project, name: str) -> None:
    job_id = make_job(project, {**HAND_MADE[name], "name": name})
    before = project.raw_job(job_id)["settings"]
    outcomes, skipped = project.orchestrator.adopt([str(job_id)])
    assert [(outcome.done, outcome.job_id, str(outcome.action.kind)) for outcome in outcomes] == [
        (True, job_id, "adopt")
    ]
    assert skipped == {}
    plan = project.orchestrator.plan()
    assert plan.empty, str(plan)
    assert not plan.diagnostics, str(plan)
    assert project.orchestrator.plan(refresh=False).empty
    after = project.raw_job(job_id)["settings"]
    assert after["tags"].pop("lakeflow_job_meta")
    assert {**after, "tags": after["tags"] or None} == {**before, "tags": before.get("tags")}
    assert len(project.raw_jobs()) == 1


def test_jobs_are_adopted_by_name_glob_tag_and_all(project: Project) -> None:
    for name in ("one", "two", "three", "four"):
        make_job(project, job(name=name, tags={"team": name[0]}))
    assert len(project.orchestrator.adopt(["one"])[0]) == 1
    assert {each.action.module for each in project.orchestrator.adopt(["tag:team=f"])[0]} == {"four"}
    assert {each.action.module for each in project.orchestrator.adopt(["tw*"])[0]} == {"two"}
    outcomes, skipped = project.orchestrator.adopt(["*"])
    assert {each.action.module for each in outcomes} == {"three"}
    assert set(skipped) == {"one", "two", "four"}
    assert project.orchestrator.plan().empty
    with pytest.raises(InputError, match="no job matches nope"):
        project.orchestrator.adopt(["nope"])


def test_jobs_that_others_keep_are_skipped_with_the_reason(project: Project) -> None:
    make_job(project, job(name="bundled", deployment={"kind": "BUNDLE", "metadata_file_path": "/x/metadata.json"}))
    make_job(project, job(name="tagged", tags={"lakeflow_job_meta": f"{uuid4()}.0123456789abcdef.0123456789abcdef"}))
    outcomes, skipped = project.orchestrator.adopt(["*"])
    assert outcomes == ()
    assert "bundle deployment (/x/metadata.json)" in skipped["bundled"]
    assert "another control table" in skipped["tagged"]
    assert project.sql(f"SELECT * FROM {TABLE}") == []


def test_adopting_twice_changes_nothing(project: Project) -> None:
    make_job(project, job(name="one"))
    project.orchestrator.adopt(["one"])
    before = project.only_job()
    outcomes, skipped = project.orchestrator.adopt(["one"])
    assert (outcomes, list(skipped)) == ((), ["one"])
    assert project.only_job() == before


def test_two_jobs_of_one_name_and_a_module_that_exists_are_refused_and_nothing_is_written(project: Project) -> None:
    first = make_job(project, job(name="twin"))
    make_job(project, job(name="twin"))
    with pytest.raises(InputError, match="several jobs are named 'twin'"):
        project.orchestrator.adopt(["twin"])
    assert project.sql(f"SELECT * FROM {TABLE}") == []
    assert len(project.orchestrator.adopt([str(first)])[0]) == 1
    project.add("a", module="there")
    make_job(project, job(name="there"))
    with pytest.raises(InputError, match="module there exists already"):
        project.orchestrator.adopt(["there"])


def test_rows_of_an_adopted_job_govern_it(project: Project) -> None:
    job_id = make_job(project, job(name="one", timeout_seconds=60, description="kept"))
    project.orchestrator.adopt(["one"])
    config = json.loads(project.sql(f"SELECT job_config FROM {TABLE}_modules")[0]["job_config"])
    project.job_config("one", **{**config, "timeout_seconds": 90})
    assert apply(project) == {"one": "update"}
    assert project.raw_job(job_id)["settings"]["timeout_seconds"] == 90
    project.update_job(job_id, description="drifted")
    assert apply(project) == {"one": "update"}
    assert project.raw_job(job_id)["settings"]["description"] == "kept"


def test_an_adoption_that_fails_half_way_goes_on_with_the_same_job(project: Project) -> None:
    job_id = make_job(project, job(name="one"))
    project.site.fault(method="POST", path=r"/api/2\.2/jobs/reset", nth=1, status=400)
    with pytest.raises(ApplyError):
        project.orchestrator.adopt(["one"])
    project.site.no_faults()
    apply(project)
    assert project.only_job()["job_id"] == job_id
    assert project.orchestrator.plan().empty


# Whose the jobs are

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


# What is left behind


def test_the_log_tells_the_newest_first(project: Project) -> None:
    project.add("a")
    apply(project)
    project.sql(f"UPDATE {TABLE} SET transformation_config = replace(transformation_config, '/etl/', '/new/')")
    apply(project)
    assert [row["action"] for row in project.orchestrator.log()] == ["update", "create"]
    assert [row["action"] for row in project.orchestrator.log(limit=1)] == ["update"]


def test_selecting_by_glob_tag_and_source(project: Project) -> None:
    project.add("a", module="one")
    project.add("b", module="two")
    project.job_config("two", tags={"team": "x"})
    assert kinds(project, modules=["o*"]) == {"one": "create"}
    assert kinds(project, modules=["tag:team=x"]) == {"two": "create"}
    assert kinds(project, modules=["source:b"]) == {"two": "create"}
    for wanted in ("z*", "tag:team=y", "source:z"):
        with pytest.raises(InputError):
            project.orchestrator.plan([wanted])
