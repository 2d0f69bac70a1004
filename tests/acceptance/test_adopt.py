"""Jobs that exist are taken into the tables as they are."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from lakeflow_job_meta import ApplyError, InputError
from tests.acceptance.steps import SCHEDULE, apply, make_job
from tests.conftest import TABLE, Project
from tests.local_server import job, notebook_task

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
    assert {name.partition(" (job ")[0] for name in skipped} == {"one", "two", "four"}
    assert project.orchestrator.plan().empty
    with pytest.raises(InputError, match="no job matches nope"):
        project.orchestrator.adopt(["nope"])


def test_jobs_that_others_keep_are_skipped_with_the_reason(project: Project) -> None:
    bundled = make_job(
        project, job(name="bundled", deployment={"kind": "BUNDLE", "metadata_file_path": "/x/metadata.json"})
    )
    tag = f"{uuid4()}.0123456789abcdef.0123456789abcdef"
    tagged = make_job(project, job(name="tagged", tags={"lakeflow_job_meta": tag}))
    outcomes, skipped = project.orchestrator.adopt(["*"])
    assert outcomes == ()
    assert "bundle deployment (/x/metadata.json)" in skipped[f"bundled (job {bundled})"]
    assert "another control table" in skipped[f"tagged (job {tagged})"]
    assert project.sql(f"SELECT * FROM {TABLE}") == []


def test_adopting_twice_changes_nothing(project: Project) -> None:
    make_job(project, job(name="one"))
    project.orchestrator.adopt(["one"])
    before = project.only_job()
    outcomes, skipped = project.orchestrator.adopt(["one"])
    assert (outcomes, skipped) == ((), {f"one (job {before['job_id']})": "is declared already"})
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
