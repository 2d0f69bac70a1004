"""What the embedded workspace refuses about a job, as the real one does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lakeflow_job_meta.local.quartz import cron_problem, timezone_problem
from tests.local_server import Site, job, notebook_task, running_server


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_server(tmp_path_factory.mktemp("home")) as site:
        yield site


def cron(expression: str, zone: str = "UTC") -> dict[str, Any]:
    return {"quartz_cron_expression": expression, "timezone_id": zone}


def task(key: str = "x", **kind: Any) -> dict[str, Any]:
    return {"task_key": key, **kind}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no tasks": (job() | {"tasks": []}, "At least one task"),
    "tasks missing": ({"name": "j"}, "At least one task"),
    "a doubled task": (job(notebook_task("a"), notebook_task("a")), "Duplicate task_key 'a'"),
    "a dangling dependency": (job(notebook_task("a", "gone")), "depends on 'gone'"),
    "a cycle": (job(notebook_task("a", "b"), notebook_task("b", "a"), notebook_task("c")), "in a cycle: a, b"),
    "a task that waits for itself": (job(notebook_task("a", "a")), "in a cycle: a"),
    "1,001 tasks": (job(*(notebook_task(f"t{i}") for i in range(1001))), "1001 tasks; the maximum is 1000"),
    "a task without key": (job({"notebook_task": {"notebook_path": "/n"}}), "tasks[0].task_key"),
    "a strange task key": (job(notebook_task("a b")), "Invalid task_key 'a b'"),
    "a task without type": (job(task()), "exactly one task type"),
    "a task of two types": (job(notebook_task("a", sql_task={})), "notebook_task and sql_task"),
    "a notebook without path": (job(task(notebook_task={})), "notebook_task.notebook_path"),
    "a query without warehouse": (job(task(sql_task={"query": {"query_id": "q"}})), "sql_task.warehouse_id"),
    "a sql_task of nothing": (job(task(sql_task={"warehouse_id": "w"})), "exactly one of query"),
    "a query without id": (job(task(sql_task={"warehouse_id": "w", "query": {}})), "sql_task.query.query_id"),
    "an unknown job cluster": (job(notebook_task(job_cluster_key="c")), "job_cluster_key 'c'"),
    "an unknown environment": (job(notebook_task(environment_key="e")), "environment_key 'e'"),
    "two computes": (job(notebook_task(existing_cluster_id="c", new_cluster={})), "only one can be set"),
    "GIT without git_source": (
        job(task(notebook_task={"notebook_path": "n", "source": "GIT"})), "the job has no git_source"
    ),
    "git_source without provider": (job(git_source={"git_url": "u"}), "git_source.git_provider must be one of"),
    "a loop within a loop": (
        job(task(for_each_task={"inputs": "[]", "task": task(for_each_task={"inputs": "[]", "task": task()})})),
        "can't hold another",
    ),
    "too long inputs": (
        job(task(for_each_task={"inputs": "x" * 10_001, "task": notebook_task("i")})), "longer than 10000"
    ),
    "schedule and continuous": (job(schedule=cron("0 0 0 * * ?"), continuous={}), "schedule and continuous"),
    "a trigger of nothing": (job(trigger={}), "exactly one of file_arrival"),
    "a bad cron": (job(schedule=cron("0 0 0 * * *")), "quartz_cron_expression"),
    "a bad time zone": (job(schedule=cron("0 0 0 * * ?", "Mars/Olympus")), "unknown time zone"),
    "no time zone": (job(schedule={"quartz_cron_expression": "0 0 0 * * ?"}), "schedule.timezone_id"),
    "26 tags": (job(tags={f"t{i}": "" for i in range(26)}), "26 tags; the maximum is 25"),
    "a name of 4,097 bytes": (job(name="é" * 2048 + "x"), "longer than 4096 bytes"),
    "1,001 concurrent runs": (job(max_concurrent_runs=1001), "between 0 and 1000"),
    "a doubled job cluster": (job(job_clusters=[{"job_cluster_key": "c"}] * 2), "Duplicate job_cluster_key"),
    "a strange parameter": (job(parameters=[{"name": "a b", "default": ""}]), "Invalid job parameter name"),
    "run_as of two": (job(run_as={"user_name": "a", "service_principal_name": "b"}), "run_as needs exactly one"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_job_is_refused_that_has(site: Site, case: str) -> None:
    body, message = REFUSED[case]
    answer = site.call("POST", "/api/2.2/jobs/create", body)
    assert answer.error == (400, "INVALID_PARAMETER_VALUE") and message in answer.message


MALFORMED: dict[str, tuple[Any, str]] = {
    "a number as text": (job(timeout_seconds="60"), "timeout_seconds: expected a whole number, found the string '60'"),
    "tasks that are no list": (job() | {"tasks": {}}, "tasks: expected a list, found an object"),
    "a number as parameter": (
        job(task(notebook_task={"notebook_path": "/n", "base_parameters": {"a": 1}})),
        "tasks[0].notebook_task.base_parameters.a: expected a string, found the number 1",
    ),
    "a list as body": ([1], "expected a map"),
    "no JSON": (b"{nope", "Invalid JSON"),
    "JSON too deep": (b"[" * 100_000, "Invalid JSON"),
    "half a character": (b'{"name": "\\ud800", "tasks": []}', "isn't Unicode"),
    "a number that JSON has not": (b'{"name": NaN}', "NaN"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_request_is_malformed_that_has(site: Site, case: str) -> None:
    body, message = MALFORMED[case]
    answer = site.call("POST", "/api/2.2/jobs/create", body)
    assert answer.error == (400, "MALFORMED_REQUEST") and message in answer.message


def test_a_refused_change_leaves_the_job_as_it_was(site: Site) -> None:
    job_id = site.call("POST", "/api/2.2/jobs/create", job(tags={"a": "b"})).data["job_id"]
    before = site.call("GET", f"/api/2.2/jobs/get?job_id={job_id}").data
    for name in ("reset", "update"):
        body = {"job_id": job_id, "new_settings": {"tasks": [notebook_task("a", "gone")], "tags": {}}}
        assert site.call("POST", f"/api/2.2/jobs/{name}", body).status == 400
    assert site.call("GET", f"/api/2.2/jobs/get?job_id={job_id}").data == before


def test_limits_themselves_are_accepted(site: Site) -> None:
    body = job(
        *(notebook_task(f"t{i}", *([f"t{i - 1}"] if i else [])) for i in range(1000)),
        tags={f"t{i}": "" for i in range(25)}, name="é" * 2048,
    )  # fmt: skip
    assert site.call("POST", "/api/2.2/jobs/create", body).status == 200


@pytest.mark.parametrize(
    "expression",
    [
        "0 0 0 * * ?", "0 0/15 8-18 ? * MON-FRI", "0 0 12 1,15 * ?", "0 0 0 L * ?", "0 0 0 L-3 * ?", "0 0 0 15W * ?",
        "0 0 0 LW * ?", "0 0 0 ? * 2#1", "0 0 0 ? * FRIL", "0 0 0 ? JAN,JUN SUN 2030", "30 5 */2 ? * *",
        "0 0 22-2 * * ?",
    ],
)  # fmt: skip
def test_quartz_takes(expression: str) -> None:
    assert cron_problem(expression) == ""


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("0 0 * * *", "expected 6 or 7 fields"),
        ("", "expected 6 or 7 fields"),
        ("0 0 0 * * *", "must be '?'"),
        ("0 0 0 ? * ?", "must be '?'"),
        ("? 0 0 * * ?", "only for the day"),
        ("60 0 0 * * ?", "not a valid second"),
        ("0 0 24 * * ?", "not a valid hour"),
        ("0 0 0 32 * ?", "not a valid day of month"),
        ("0 0 0 * 13 ?", "not a valid month"),
        ("0 0 0 ? * 8", "not a valid day of week"),
        ("0 0 0 ? * MOON", "not a valid day of week"),
        ("0 0 0 ? * 2#6", "not a valid day of week"),
        ("0 0/0 0 * * ?", "not a valid minute"),
        ("0 1,,2 0 * * ?", "not a valid minute"),
        ("0 0 0 * * ? 1969", "not a valid year"),
    ],
)
def test_quartz_refuses(expression: str, problem: str) -> None:
    assert problem in cron_problem(expression)


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "Europe", "x" * 5000, "a\0b"])
def test_names_that_are_no_time_zone(name: str) -> None:
    assert "unknown time zone" in timezone_problem(name)
