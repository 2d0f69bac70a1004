"""The ledger: each run of our jobs once, whenever the collector looks, and wherever it was killed."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from lakeflow_job_meta import JobOrchestrator
from lakeflow_job_meta.errors import InputError, LakeflowJobMetaError
from lakeflow_job_meta.model.run import ENDED
from tests.acceptance.steps import apply, ids
from tests.conftest import TABLE, Project
from tests.local_runs import SLOW
from tests.seeded_runs import end_run, seed_runs

LIST = ("GET", "/api/2.2/jobs/runs/list")


def sql_task(text: str = "SELECT 1", **more: Any) -> dict[str, Any]:
    return {"task_type": "sql_query", "sql_task": {"warehouse_id": "w", "sql_query": text}, **more}


def ran(project: Project, module: str = "m", **given: Any) -> int:
    """Run a module and wait for its end."""
    runs = project.orchestrator.runs
    return runs.wait(runs.start(module, **given), timeout=30).run_id


def rows(project: Project, table: str = "runs") -> list[dict[str, Any]]:
    return project.sql(f"SELECT * FROM {TABLE}_{table} ORDER BY start_time")


def asked(project: Project) -> list[tuple[str, str]]:
    """The requests about runs, without those that a new connection sends."""
    return [each for each in project.site.requests() if "/jobs/runs/" in each[1]]


def versions(project: Project) -> list[int]:
    tables = [f"{TABLE}_{kind}" for kind in ("runs", "task_runs", "collected")]
    return [project.sql(f"DESCRIBE HISTORY {table} LIMIT 1")[0]["version"] for table in tables]


def seeded(project: Project, number: int, *, minutes: float, module: str = "m", **given: Any) -> list[int]:
    """Runs that started one after the other, the last of them just now, so many minutes in all."""
    job_id = ids(project)[module]
    now, step = int(time.time() * 1000) - 5_000, minutes * 60_000 / number
    starts = [int(now - step * (number - each)) for each in range(number)]
    workspace = int(project.orchestrator.workspace.id)
    return seed_runs(project.site.home, workspace, [job_id], starts, **given)


@pytest.fixture
def jobs(project: Project) -> Project:
    """A project with one job that has two tasks, applied."""
    project.add("load", config=sql_task())
    project.add("check it", order=2, config=sql_task("SELECT 2"))
    apply(project)
    project.site.forget_requests()
    return project


def test_who_never_collects_has_no_ledger(jobs: Project) -> None:
    assert jobs.orchestrator.runs.collect().runs == 0
    for table in ("runs", "task_runs", "collected"):
        with pytest.raises(LakeflowJobMetaError, match="does not exist"):
            rows(jobs, table)
    assert jobs.orchestrator.runs.statistics() is None


def test_a_run_becomes_a_row_and_its_tasks_rows_that_name_their_sources(jobs: Project) -> None:
    run_id = ran(jobs)
    assert jobs.orchestrator.runs.collect().runs == 1
    (row,) = rows(jobs)
    assert (row["run_id"], row["module_name"], row["state"], row["result"]) == (run_id, "m", "TERMINATED", "SUCCESS")
    assert timedelta(milliseconds=row["duration_ms"]) == row["end_time"] - row["start_time"]
    assert row["start_day"] == row["start_time"].date().isoformat()
    (state,) = jobs.sql(f"SELECT * FROM {TABLE}_jobs WHERE module_name = 'm'")
    assert (row["fingerprint"], row["control_version"]) == (state["fingerprint"], state["control_version"])
    (logged,) = jobs.sql(f"SELECT correlation_id FROM {TABLE}_log WHERE module_name = 'm'")
    assert row["correlation_id"] == logged["correlation_id"]
    tasks = {each["task_key"]: each for each in rows(jobs, "task_runs")}
    assert {key: each["source_id"] for key, each in tasks.items()} == {"load": "load", "check_it": "check it"}
    assert {each["run_id"] for each in tasks.values()} == {run_id}
    assert all(each["duration_ms"] >= 0 and each["attempt"] == 1 for each in tasks.values())


def test_a_look_at_nothing_new_is_one_request_and_no_write(jobs: Project) -> None:
    ran(jobs)
    runs = jobs.orchestrator.runs
    runs.collect()
    before = versions(jobs)
    jobs.site.forget_requests()
    assert runs.collect().runs == 0
    assert jobs.site.requests() == [LIST]
    assert versions(jobs) == before


def test_runs_of_other_jobs_are_not_ours(jobs: Project) -> None:
    job = {"name": "other", "tasks": [{"task_key": "a", "notebook_task": {"notebook_path": "/n"}}]}
    other = jobs.client.api_client.do("POST", "/api/2.2/jobs/create", body=job)["job_id"]
    workspace = int(jobs.orchestrator.workspace.id)
    jobs.add("x", module="second", config=sql_task())
    apply(jobs)
    seed_runs(jobs.site.home, workspace, [other], [int(time.time() * 1000) - 1000])
    run_id = ran(jobs)
    jobs.orchestrator.runs.collect()
    assert [row["run_id"] for row in rows(jobs)] == [run_id]


def test_a_run_that_goes_on_is_looked_at_again_until_it_ends(project: Project) -> None:
    project.add("slow", config=sql_task(SLOW))
    apply(project)
    runs = project.orchestrator.runs
    run_id = runs.start("m")
    collected = runs.collect()
    assert (collected.runs, collected.going_on) == (1, 1)
    (row,) = rows(project)
    assert row["state"] not in ENDED
    assert row["end_time"] is None
    runs.cancel(run_id)
    runs.wait(run_id, timeout=30)
    collected = runs.collect()
    assert (collected.runs, collected.going_on) == (1, 0)
    (row,) = rows(project)
    assert (row["state"], row["result"]) == ("TERMINATED", "CANCELED")
    assert [each["result"] for each in rows(project, "task_runs")] == ["CANCELED"]


def test_a_run_that_goes_on_for_long_is_asked_for_by_its_id(jobs: Project) -> None:
    (old,) = seeded(jobs, 1, minutes=120, going_on=True)
    seeded(jobs, 3, minutes=1)
    runs = jobs.orchestrator.runs
    assert runs.collect().going_on == 1
    end_run(jobs.site.home, old, int(time.time() * 1000))
    jobs.site.forget_requests()
    assert runs.collect().going_on == 0
    assert jobs.site.requests() == [LIST, ("GET", "/api/2.2/jobs/runs/get")]
    assert {row["state"] for row in rows(jobs)} == {"TERMINATED"}


def test_a_run_that_the_workspace_forgot_is_gone(jobs: Project) -> None:
    (old,) = seeded(jobs, 1, minutes=120, going_on=True)
    jobs.orchestrator.runs.collect()
    end_run(jobs.site.home, old, int(time.time() * 1000))
    jobs.client.jobs.delete_run(old)
    assert jobs.orchestrator.runs.collect().going_on == 0
    assert [(row["state"], row["run_id"]) for row in rows(jobs)] == [("GONE", old)]


@pytest.mark.slow
def test_a_backlog_of_many_spans_is_collected_whole(jobs: Project) -> None:
    old = seeded(jobs, 60, minutes=60 * 24 * 40)
    new = seeded(jobs, 3_000, minutes=10)
    assert jobs.orchestrator.runs.collect().runs == 3_060
    assert {row["run_id"] for row in rows(jobs)} == {*old, *new}
    jobs.site.forget_requests()
    assert jobs.orchestrator.runs.collect().runs == 0


@pytest.mark.parametrize("failing", [1, 2, 4, 7])
def test_a_look_that_ended_early_is_gone_on_with(jobs: Project, failing: int) -> None:
    made = seeded(jobs, 200, minutes=60 * 24 * 3)
    jobs.site.fault(method="GET", path="runs/list", action="status", status=400, nth=failing, error_code="X")
    with pytest.raises(LakeflowJobMetaError):
        jobs.orchestrator.runs.collect()
    jobs.site.no_faults()
    jobs.orchestrator.runs.collect()
    found = [row["run_id"] for row in rows(jobs)]
    assert sorted(found) == sorted(made)
    assert len(rows(jobs, "task_runs")) == len(made)


@pytest.mark.parametrize(
    "lost",
    [
        [f"DELETE FROM {TABLE}_collected"],
        [f"DELETE FROM {TABLE}_collected", f"DELETE FROM {TABLE}_runs"],
        [f"DROP TABLE {TABLE}_runs"],
        [f"DROP TABLE {TABLE}_runs", f"DROP TABLE {TABLE}_task_runs", f"DROP TABLE {TABLE}_collected"],
    ],
    ids=["before the mark", "between tasks and runs", "runs dropped", "all dropped"],
)
def test_what_a_kill_between_two_writes_left_is_completed_and_nothing_doubled(jobs: Project, lost: list[str]) -> None:
    made = seeded(jobs, 60, minutes=30, tasks=2)
    jobs.orchestrator.runs.collect()
    before = [{**row, "collected_at": None} for row in rows(jobs)]
    for statement in lost:
        jobs.sql(statement)
    jobs.orchestrator.runs.collect()
    assert [{**row, "collected_at": None} for row in rows(jobs)] == before
    assert len(rows(jobs, "task_runs")) == 2 * len(made)


def test_a_run_keeps_the_version_and_fingerprint_that_its_job_had(jobs: Project) -> None:
    ran(jobs)
    jobs.orchestrator.runs.collect()
    (before,) = rows(jobs)
    jobs.sql(
        f"UPDATE {TABLE} SET transformation_config = '{json.dumps(sql_task('SELECT 3'))}' WHERE source_id = 'load'"
    )
    apply(jobs)
    ran(jobs)
    jobs.orchestrator.runs.collect()
    first, second = rows(jobs)
    assert first == before
    assert second["control_version"] > first["control_version"]
    assert second["fingerprint"] != first["fingerprint"]
    jobs.sql(f"DELETE FROM {TABLE}_collected")
    jobs.sql(f"DELETE FROM {TABLE}_runs")
    jobs.orchestrator.runs.collect()
    assert [row["fingerprint"] for row in rows(jobs)] == [first["fingerprint"], second["fingerprint"]]


def test_a_failed_task_says_why_and_a_secret_stays_out(project: Project) -> None:
    project.add("a", config=sql_task("SELECT * FROM no.such.table"))
    project.job_config(
        parameters=[{"name": "api_token", "default": "hunter2-hunter2"}, {"name": "day", "default": "1"}]
    )
    apply(project)
    ran(project, parameters={"day": "2"})
    project.orchestrator.runs.collect()
    (row,), (task,) = rows(project), rows(project, "task_runs")
    assert "no.such.table" in row["error"]
    assert "no.such.table" in task["error"]
    assert json.loads(row["parameters"]) == {"api_token": "(masked)", "day": "2"}
    assert "hunter2" not in repr((row, task))


def test_a_repaired_run_is_followed_again(jobs: Project) -> None:
    jobs.sql(
        f"UPDATE {TABLE} SET transformation_config = '{json.dumps(sql_task('SELECT * FROM no.such.table'))}' "
        "WHERE source_id = 'check it'"
    )
    apply(jobs)
    runs = jobs.orchestrator.runs
    run = runs.wait(runs.start("m"), timeout=30)
    runs.collect()
    jobs.sql(f"UPDATE {TABLE} SET transformation_config = '{json.dumps(sql_task())}' WHERE source_id = 'check it'")
    apply(jobs)
    runs.repair(runs.find(str(run.run_id)))
    assert runs.wait(run.run_id, timeout=30).result == "SUCCESS"
    runs.collect()
    (row,) = rows(jobs)
    assert (row["result"], row["error"], row["attempts"]) == ("SUCCESS", None, 2)
    tasks = [(each["task_key"], each["attempt"], each["result"]) for each in rows(jobs, "task_runs")]
    assert sorted(tasks) == [("check_it", 1, "FAILED"), ("check_it", 2, "SUCCESS"), ("load", 1, "SUCCESS")]


def test_a_run_that_succeeded_though_a_task_failed_can_be_repaired_and_one_that_just_succeeded_not(
    project: Project,
) -> None:
    project.add("a", config=sql_task("SELECT * FROM no.such.table"))
    project.add("b", order=2, config=sql_task(run_if="ALL_DONE"))
    apply(project)
    runs = project.orchestrator.runs
    run = runs.find(str(ran(project)))
    assert run.result == "SUCCESS_WITH_FAILURES"
    runs.repair(run)
    assert [task.attempt for task in runs.wait(run.run_id, timeout=30).latest if task.task_key == "a"] == [2]
    whole = runs.find(str(ran(project, only=["b"])))
    assert whole.result == "SUCCESS"
    with pytest.raises(InputError, match="nothing to repair"):
        runs.repair(whole)


def test_the_sql_of_a_run_that_cannot_be_asked_for_is_refused_with_all_findings(jobs: Project) -> None:
    with pytest.raises(InputError) as caught:
        jobs.orchestrator.runs.start("m", only=["lod", "check_it", "x"])
    assert len(caught.value.diagnostics) == 2
    assert "did you mean 'load'?" in str(caught.value)


def test_statistics_count_what_ended_by_itself(jobs: Project) -> None:
    seeded(jobs, 20, minutes=60, took_ms=3_000)
    seeded(jobs, 1, minutes=0.5, took_ms=60_000)
    jobs.orchestrator.runs.collect()
    found = (jobs.orchestrator.runs.statistics() or {})["m"]
    assert (found.runs, found.success_rate, found.p50_ms, found.p95_ms) == (21, 1.0, 3_000, 3_000)
    assert found.last_success is not None
    assert datetime.now(UTC) - found.last_success < timedelta(minutes=2)


def test_rows_that_a_task_read_and_wrote_are_in_its_row_for_no_request_more(project: Project) -> None:
    table = f"main.target_{uuid4().hex}.numbers"
    project.add("a", config=sql_task(f"CREATE TABLE {table} (n INT); INSERT INTO {table} VALUES (1), (2), (3)"))
    project.add("b", order=2, config=sql_task(f"SELECT * FROM {table} WHERE n > 1"))
    project.add("c", order=3, config=sql_task(f"UPDATE {table} SET n = 4 WHERE n > 1"))
    apply(project)
    ran(project)
    project.site.forget_requests()
    project.orchestrator.runs.collect()
    assert asked(project) == [LIST]
    tasks = {each["task_key"]: (each["rows_read"], each["rows_written"]) for each in rows(project, "task_runs")}
    assert tasks == {"a": (None, 3), "b": (2, None), "c": (None, 2)}
    (row,) = rows(project)
    assert (row["rows_read"], row["rows_written"]) == (2, 5)


def loop_over(inputs: str, text: str) -> dict[str, Any]:
    """A source whose task repeats SQL for each input."""
    inner = {"task_key": "one", "sql_task": {"warehouse_id": "w", "query": {"query_id": text}}}
    return {"task_type": "task", "task": {"for_each_task": {"inputs": inputs, "task": inner}}}


def saved_query(project: Project, text: str) -> str:
    query = {"display_name": uuid4().hex, "query_text": text, "warehouse_id": "w"}
    return str(project.client.api_client.do("POST", "/api/2.0/sql/queries", body={"query": query})["id"])


def test_each_iteration_of_a_loop_has_a_row_that_names_the_loop(project: Project) -> None:
    table = f"main.target_{uuid4().hex}.numbers"
    project.add("make", config=sql_task(f"CREATE TABLE {table} (n INT)"))
    loop = loop_over("[1, 2, 3]", saved_query(project, f"INSERT INTO {table} SELECT CAST(:n AS INT)"))
    loop["task"]["for_each_task"]["task"]["sql_task"]["parameters"] = {"n": "{{input}}"}
    project.add("each", order=2, config=loop)
    apply(project)
    ran(project)
    project.site.forget_requests()
    project.orchestrator.runs.collect()
    assert asked(project) == [LIST, ("GET", "/api/2.2/jobs/runs/get")]
    (whole,) = [each for each in rows(project, "task_runs") if each["task_key"] == "each"]
    iterations = [each for each in rows(project, "task_runs") if each["loop_run_id"] is not None]
    assert {each["loop_run_id"] for each in iterations} == {whole["task_run_id"]}
    assert {(each["task_key"], each["source_id"], each["result"]) for each in iterations} == {
        ("one", "each", "SUCCESS")
    }
    assert [each["rows_written"] for each in iterations] == [1, 1, 1]
    assert (whole["rows_written"], rows(project)[0]["rows_written"]) == (3, 3)
    project.site.forget_requests()
    assert project.orchestrator.runs.collect().runs == 0
    assert asked(project) == [LIST]


def test_an_iteration_that_failed_says_why_and_a_loop_that_never_began_costs_no_request(project: Project) -> None:
    project.add("each", config=loop_over("[1, 2]", saved_query(project, "SELECT * FROM no.such.table")))
    project.add("then", order=2, config=loop_over("[1]", saved_query(project, "SELECT 1")))
    apply(project)
    ran(project)
    project.site.forget_requests()
    project.orchestrator.runs.collect()
    output = ("GET", "/api/2.2/jobs/runs/get-output")
    assert asked(project) == [LIST, ("GET", "/api/2.2/jobs/runs/get"), *[output] * 3]
    iterations = [each for each in rows(project, "task_runs") if each["loop_run_id"] is not None]
    assert len(iterations) == 2
    assert all("no.such.table" in each["error"] for each in iterations)


def test_a_ledger_from_before_iterations_is_migrated_and_then_gone_on_with(jobs: Project) -> None:
    first = ran(jobs)
    jobs.orchestrator.runs.collect()
    spec = jobs.manager.tables.task_runs
    old = replace(spec, columns=spec.columns[:-1], schema_version=1)
    before = jobs.store.read(spec.name, columns=old.column_names).rows
    jobs.sql(f"DROP TABLE {spec.name}")
    assert jobs.store.create(old)
    jobs.store.append(old, before)
    second = ran(jobs)
    with pytest.raises(LakeflowJobMetaError, match="schema version 1, this product writes 2"):
        jobs.orchestrator.runs.collect()
    (done,) = jobs.manager.migrate()
    assert done.table == spec.name
    assert jobs.orchestrator.runs.collect().runs == 1
    assert {row["run_id"] for row in rows(jobs, "task_runs")} == {first, second}
    assert {row["loop_run_id"] for row in rows(jobs, "task_runs")} == {None}


def test_a_run_that_is_deleted_before_its_iterations_are_asked_for_is_kept_without(project: Project) -> None:
    project.add("each", config=loop_over("[1, 2]", saved_query(project, "SELECT 1")))
    apply(project)
    run_id = ran(project)
    (loop,) = project.orchestrator.runs.find(str(run_id)).tasks
    message = f"Run {loop.task_run_id} does not exist."
    fault = {"status": 400, "error_code": "INVALID_PARAMETER_VALUE", "message": message}
    project.site.fault(method="GET", path="runs/get", action="status", **fault)
    project.orchestrator.runs.collect()
    project.site.no_faults()
    assert [row["run_id"] for row in rows(project)] == [run_id]
    assert [task["task_key"] for task in rows(project, "task_runs")] == ["each"]


def test_an_output_that_cannot_be_had_for_a_moment_is_asked_for_again(project: Project) -> None:
    project.add("a", config=sql_task("SELECT * FROM no.such.table"))
    apply(project)
    ran(project)
    project.site.fault(method="GET", path="runs/get-output", action="status", status=403, error_code="X")
    project.orchestrator.runs.collect()
    assert "no.such.table" not in rows(project)[0]["error"]
    project.sql(f"DROP TABLE {TABLE}_runs")
    project.site.fault(method="GET", path="runs/get-output", action="status", status=500, error_code="X")
    with pytest.raises(LakeflowJobMetaError):
        with_patience(project, 0.5).runs.collect()
    project.site.no_faults()
    project.orchestrator.runs.collect()
    assert "no.such.table" in rows(project)[0]["error"]


def with_patience(project: Project, seconds: float) -> JobOrchestrator:
    """One that gives up soon."""
    made = project.orchestrator
    made.workspace.patience = seconds
    return made
