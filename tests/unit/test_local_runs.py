"""Jobs of the embedded workspace run: what tasks do to one another, and how each end is told."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.local_runs import BROKEN, SLOW, Runs, after, life, result, results, states, task_run
from tests.local_server import Site, running_server

TOKENS = (f"token{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_server(tmp_path_factory.mktemp("home"), "--token-per-workspace") as site:
        yield site


@pytest.fixture
def runs(site: Site) -> Runs:
    """A workspace of its own for each test."""
    return Runs(site, next(TOKENS))


def condition(key: str, op: str, left: str, right: str, *needs: str) -> dict[str, Any]:
    return {"task_key": key, "condition_task": {"op": op, "left": left, "right": right}, "depends_on": after(*needs)}


def loop(key: str, inputs: str, task: dict[str, Any], *needs: str, **more: Any) -> dict[str, Any]:
    return {
        "task_key": key, "for_each_task": {"inputs": inputs, "task": task, **more}, "depends_on": after(*needs),
    }  # fmt: skip


def test_tasks_run_in_the_order_of_their_dependencies_and_write_the_embedded_tables(runs: Runs) -> None:
    run = runs.run(
        runs.sql("fill", "INSERT INTO main.a.t VALUES (1, 'x'), (2, 'y')", "make"),
        runs.sql("read", "SELECT count(*) AS n FROM main.a.t", "fill"),
        runs.sql("make", "CREATE TABLE main.a.t (id INT, name STRING)"),
    )
    assert (life(run), result(run)) == ("TERMINATED", "SUCCESS")
    filled, read = (runs.output(task_run(run, key)["run_id"]) for key in ("fill", "read"))
    assert filled["local"]["rows_written"] == 2
    assert read["local"]["rows"] == [{"n": 2}]
    assert read["sql_output"]["query_output"]["query_text"] == "SELECT count(*) AS n FROM main.a.t"
    ends = {each["task_key"]: (each["start_time"], each["end_time"]) for each in run["tasks"]}
    assert ends["make"][1] <= ends["fill"][0] <= ends["fill"][1] <= ends["read"][0]


def test_a_run_is_told_as_the_api_tells_it(runs: Runs) -> None:
    run = runs.run(runs.sql("a"), runs.sql("b", BROKEN, "a"), runs.sql("c", "SELECT 1", "b"), name="told")
    message = "Task b failed with message: Workload failed, see run output for details. "
    message += "This caused all downstream tasks to get skipped."
    assert run["state"] == {
        "life_cycle_state": "TERMINATED", "result_state": "FAILED", "state_message": message,
        "user_cancelled_or_timedout": False,
    }  # fmt: skip
    assert run["status"] == {
        "state": "TERMINATED",
        "termination_details": {"code": "RUN_EXECUTION_ERROR", "type": "CLIENT_ERROR", "message": message},
    }
    assert (run["run_name"], run["run_type"], run["trigger"]) == ("told", "JOB_RUN", "ONE_TIME")
    assert run["run_duration"] == run["end_time"] - run["start_time"] > 0
    assert states(run) == {
        "a": ("TERMINATED", "SUCCESS"), "b": ("TERMINATED", "FAILED"), "c": ("SKIPPED", "UPSTREAM_FAILED"),
    }  # fmt: skip
    failed = task_run(run, "b")
    assert failed["setup_duration"] + failed["execution_duration"] <= failed["end_time"] - failed["start_time"]
    told = runs.output(failed["run_id"])
    assert "no.such.table" in told["error"] and told["metadata"]["run_id"] == failed["run_id"]
    assert runs.get(failed["run_id"])["tasks"][0]["task_key"] == "b"


def test_a_failure_is_handled_by_those_who_ask_for_it(runs: Runs) -> None:
    run = runs.run(
        runs.sql("bad", BROKEN),
        runs.sql("good"),
        runs.sql("clean", "SELECT 1", "bad", "good", run_if="ALL_DONE"),
        runs.sql("alarm", "SELECT 1", "bad", "good", run_if="AT_LEAST_ONE_FAILED"),
        runs.sql("quiet", "SELECT 1", "good", run_if="ALL_FAILED"),
        runs.sql("behind", "SELECT 1", "quiet"),
    )
    assert results(run) == {
        "bad": "FAILED", "good": "SUCCESS", "clean": "SUCCESS", "alarm": "SUCCESS", "quiet": "EXCLUDED",
        "behind": "EXCLUDED",
    }  # fmt: skip
    assert result(run) == "SUCCESS_WITH_FAILURES"
    assert run["status"]["termination_details"]["code"] == "SUCCESS_WITH_FAILURES"


def test_a_condition_takes_one_branch_and_excludes_the_other(runs: Runs) -> None:
    run = runs.run(
        runs.sql("count", "SELECT 3 AS n"),
        condition("many", "GREATER_THAN", "{{tasks.count.output.first_row.n}}", "{{job.parameters.least}}", "count"),
        runs.sql("yes", depends_on=after(many="true")),
        runs.sql("no", depends_on=after(many="false")),
        runs.sql("join", "SELECT 1", "yes", "no", run_if="NONE_FAILED"),
        parameters=[{"name": "least", "default": "2"}],
    )
    assert results(run) == {
        "count": "SUCCESS",
        "many": "SUCCESS",
        "yes": "SUCCESS",
        "no": "EXCLUDED",
        "join": "SUCCESS",
    }
    assert task_run(run, "many")["condition_task"]["outcome"] == "true"
    values = task_run(runs.get(run["run_id"], include_resolved_values=True), "many")["resolved_values"]
    assert values == {"condition_task": {"left": "3", "right": "2"}}


def test_a_condition_that_cannot_be_evaluated_fails_and_says_why(runs: Runs) -> None:
    run = runs.run(condition("c", "LESS_THAN", "many", "2"), runs.sql("yes", depends_on=after(c="true")))
    assert results(run) == {"c": "FAILED", "yes": "UPSTREAM_FAILED"}
    assert "LESS_THAN compares numbers; 'many' is none" in task_run(run, "c")["state"]["state_message"]


def test_a_loop_runs_its_task_for_each_input_and_passes_it_on(runs: Runs) -> None:
    nested = runs.sql(
        "each", "INSERT INTO main.loop.t VALUES (:n, :s)", parameters={"n": "{{input.n}}", "s": "{{input.s}}"}
    )
    run = runs.run(
        runs.sql("make", "CREATE TABLE main.loop.t (n STRING, s STRING)"),
        runs.sql("inputs", "SELECT 1 AS n, 'a' AS s UNION ALL SELECT 2, 'b' UNION ALL SELECT 3, 'c'"),
        loop("loop", "{{tasks.inputs.output.rows}}", nested, "make", "inputs", concurrency=2),
        runs.sql("read", "SELECT n || s AS ns FROM main.loop.t ORDER BY ns", "loop"),
    )
    assert result(run) == "SUCCESS"
    rows = runs.output(task_run(run, "read")["run_id"])["local"]["rows"]
    assert rows == [{"ns": "1a"}, {"ns": "2b"}, {"ns": "3c"}]
    own = runs.get(task_run(run, "loop")["run_id"])
    assert [each["task_key"] for each in own["iterations"]] == ["each"] * 3
    stats = own["tasks"][0]["for_each_task"]["stats"]["task_run_stats"]
    assert (stats["total_iterations"], stats["succeeded_iterations"], stats["failed_iterations"]) == (3, 3, 0)


def test_a_loop_goes_on_after_a_failed_iteration_and_then_fails(runs: Runs) -> None:
    nested = runs.sql("each", "SELECT CAST(:x AS INT)", parameters={"x": "{{input}}"})
    run = runs.run(loop("loop", '["1", "none", "3"]', nested), runs.sql("next", "SELECT 1", "loop"))
    assert results(run) == {"loop": "FAILED", "next": "UPSTREAM_FAILED"}
    own = runs.get(task_run(run, "loop")["run_id"])
    assert [result(each) for each in own["iterations"]] == ["SUCCESS", "FAILED", "SUCCESS"]
    assert task_run(run, "loop")["state"]["state_message"] == "1 of 3 iterations failed."


def test_a_loop_of_a_thousand_iterations_that_end_at_once_ends(runs: Runs) -> None:
    nested = {"task_key": "c", "condition_task": {"op": "EQUAL_TO", "left": "{{input}}", "right": "1"}}
    run = runs.run(loop("loop", str(list(range(1000))), nested))
    assert result(run) == "SUCCESS"
    client = runs.client.jobs.get_run(task_run(run, "loop")["run_id"])
    assert client.iterations is not None and len(client.iterations) == 1000


@pytest.mark.parametrize(
    ("inputs", "said"), [("a, b", "inputs must be a JSON array"), ("{{job.naem}}", "did you mean 'name'?")]
)
def test_a_task_whose_settings_mean_nothing_fails_and_is_not_tried_again(runs: Runs, inputs: str, said: str) -> None:
    run = runs.run({**loop("loop", inputs, runs.sql("each")), "max_retries": 3})
    assert len(run["tasks"]) == 1 and said in task_run(run, "loop")["state"]["state_message"]
    assert task_run(run, "loop")["status"]["termination_details"]["code"] == "INVALID_RUN_CONFIGURATION"


def test_an_empty_loop_succeeds(runs: Runs) -> None:
    assert results(runs.run(loop("loop", "[]", runs.sql("each")))) == {"loop": "SUCCESS"}


def test_a_task_starts_another_job_with_parameters_and_shares_its_fate(runs: Runs) -> None:
    child = runs.create(
        runs.sql("c", "SELECT CAST(:p AS INT) AS p"), name="child", parameters=[{"name": "p", "default": "x"}]
    )
    task = {"task_key": "go", "run_job_task": {"job_id": child, "job_parameters": {"p": "{{job.parameters.q}}"}}}
    job_id = runs.create(task, runs.sql("then", "SELECT 1", "go"), parameters=[{"name": "q", "default": "7"}])
    good = runs.ended(runs.start(job_id))
    assert results(good) == {"go": "SUCCESS", "then": "SUCCESS"}
    started = runs.get(runs.output(task_run(good, "go")["run_id"])["run_job_output"]["run_id"])
    assert (started["job_id"], started["trigger"]) == (child, "RUN_JOB_TASK")
    assert started["job_parameters"] == [{"name": "p", "default": "x", "value": "7"}]
    assert started["trigger_info"] == {"run_id": task_run(good, "go")["run_id"]}
    bad = runs.ended(runs.start(job_id, job_parameters={"q": "none"}))
    assert results(bad) == {"go": "FAILED", "then": "UPSTREAM_FAILED"}


def test_jobs_that_start_one_another_in_a_circle_are_stopped(runs: Runs) -> None:
    first = runs.create(runs.sql("x"))
    second = runs.create({"task_key": "a", "run_job_task": {"job_id": first}})
    settings = {"name": "j", "tasks": [{"task_key": "b", "run_job_task": {"job_id": second}}]}
    runs.done("POST", "reset", {"job_id": first, "new_settings": settings})
    assert result(runs.ended(runs.start(first))) == "FAILED"
    told = [each["state"]["state_message"] for each in runs.done("GET", "runs/list?expand_tasks=true")["runs"]]
    assert any(f"Job {first} would start itself" in message for message in told)


def test_a_failed_task_is_tried_again_after_its_interval_until_it_succeeds(runs: Runs) -> None:
    task = runs.sql("flaky", "SELECT * FROM main.late.t", max_retries=5, min_retry_interval_millis=400)
    run_id = runs.start(runs.create(task))
    waiting = runs.until(run_id, lambda run: len(run["tasks"]) == 2)
    assert waiting["tasks"][1]["status"]["state"] in ("WAITING", "PENDING", "RUNNING")
    assert result(runs.run(runs.sql("make", "CREATE TABLE main.late.t (id INT)"))) == "SUCCESS"
    run = runs.ended(run_id)
    assert result(run) == "SUCCESS"
    assert [each["attempt_number"] for each in run["tasks"]] == list(range(len(run["tasks"])))
    assert [result(each) for each in run["tasks"]] == ["FAILED"] * (len(run["tasks"]) - 1) + ["SUCCESS"]
    first, second = run["tasks"][:2]
    assert second["start_time"] - first["start_time"] >= 400
    assert second["original_attempt_run_id"] == first["run_id"]


def test_a_task_that_keeps_failing_is_given_up_after_its_retries(runs: Runs) -> None:
    run = runs.run(runs.sql("bad", BROKEN, max_retries=2))
    assert [result(each) for each in run["tasks"]] == ["FAILED"] * 3
    assert result(run) == "FAILED"


def test_a_task_that_takes_too_long_times_out_and_is_tried_again_only_if_it_says_so(runs: Runs) -> None:
    slow = runs.sql("slow", SLOW, timeout_seconds=1, max_retries=1)
    run = runs.run(slow)
    assert [result(each) for each in run["tasks"]] == ["TIMEDOUT"]
    assert result(run) == "FAILED" and run["tasks"][0]["state"]["user_cancelled_or_timedout"] is True
    again = runs.run({**slow, "retry_on_timeout": True})
    assert [result(each) for each in again["tasks"]] == ["TIMEDOUT", "TIMEDOUT"]


def test_a_run_that_takes_too_long_is_ended_whole(runs: Runs) -> None:
    run = runs.run(runs.sql("slow", SLOW), runs.sql("next", "SELECT 1", "slow", run_if="ALL_DONE"), timeout_seconds=1)
    assert (life(run), result(run)) == ("TERMINATED", "TIMEDOUT")
    assert results(run) == {"slow": "CANCELED", "next": "CANCELED"}


def test_a_disabled_task_and_what_needs_it_are_left_out(runs: Runs) -> None:
    run = runs.run(
        runs.sql("off", BROKEN, disabled=True), runs.sql("behind", "SELECT 1", "off"), runs.sql("free"),
        runs.sql("always", "SELECT 1", "off", run_if="ALL_DONE"),
    )  # fmt: skip
    assert results(run) == {"off": "DISABLED", "behind": "DISABLED", "free": "SUCCESS", "always": "SUCCESS"}
    assert result(run) == "SUCCESS"


def test_a_kind_of_task_that_cannot_run_here_fails_by_name(runs: Runs) -> None:
    run = runs.run({"task_key": "p", "pipeline_task": {"pipeline_id": "x"}}, runs.sql("next", "SELECT 1", "p"))
    assert results(run) == {"p": "FAILED", "next": "UPSTREAM_FAILED"}
    assert "can't run a pipeline_task" in runs.output(task_run(run, "p")["run_id"])["error"]


def test_a_run_can_be_cancelled_at_any_time(runs: Runs) -> None:
    run_id = runs.start(
        runs.create(
            runs.sql("slow", SLOW), loop("loop", "[1, 2, 3]", runs.sql("each", SLOW)), runs.sql("n", "SELECT 1", "slow")
        )
    )
    runs.running(run_id, "slow")
    started = time.monotonic()
    runs.done("POST", "runs/cancel", {"run_id": run_id})
    run = runs.ended(run_id)
    assert time.monotonic() - started < 5
    assert run["state"]["state_message"] == "Run cancelled by user"
    assert (life(run), result(run), set(results(run).values())) == ("TERMINATED", "CANCELED", {"CANCELED"})
    details = run["status"]["termination_details"]
    assert (details["code"], details["type"]) == ("USER_CANCELED", "SUCCESS")
    runs.done("POST", "runs/cancel", {"run_id": run_id})
    assert runs.get(run_id) == run
    assert result(runs.run(runs.sql("a"))) == "SUCCESS", "the workers are replaced"


def test_a_cancelled_task_lets_those_run_that_handle_failures(runs: Runs) -> None:
    run_id = runs.start(
        runs.create(
            runs.sql("slow", SLOW), runs.sql("next", "SELECT 1", "slow"),
            runs.sql("clean", "SELECT 1", "slow", run_if="AT_LEAST_ONE_FAILED"),
        )
    )  # fmt: skip
    run = runs.running(run_id, "slow")
    runs.done("POST", "runs/cancel", {"run_id": task_run(run, "slow")["run_id"]})
    run = runs.ended(run_id)
    assert results(run) == {"slow": "CANCELED", "next": "UPSTREAM_CANCELED", "clean": "SUCCESS"}
    assert result(run) == "CANCELED"


def notebook(runs: Runs, name: str, *cells: str) -> str:
    """The path of a notebook of these cells."""
    text = "# Databricks notebook source\n" + "\n\n# COMMAND ----------\n\n".join(cells)
    path = f"/api/2.0/workspace-files/import-file/Shared/{name}.py"
    assert runs.site.call("POST", path, text.encode(), token=runs.token).status == 200
    return f"/Shared/{name}"


def test_a_notebook_a_file_and_queries_work_together_in_one_job(runs: Runs) -> None:
    path = notebook(
        runs, "count",
        "n = int(dbutils.widgets.get('n')) + int(dbutils.widgets.get('base'))",
        "dbutils.jobs.taskValues.set('n', n)\ndbutils.jobs.taskValues.set('days', ['mon', 'tue'])",
        "dbutils.notebook.exit(f'counted {n}')",
    )  # fmt: skip
    file = "/api/2.0/workspace-files/import-file/Shared/show.py"
    assert runs.site.call("POST", file, b"import sys\nprint('argument', sys.argv[1])", token=runs.token).status == 200
    run = runs.run(
        runs.sql("make", "CREATE TABLE main.both.t (day STRING, n STRING)"),
        {"task_key": "count", "notebook_task": {"notebook_path": path, "base_parameters": {"n": "1", "base": "1"}}},
        loop(
            "days", "{{tasks.count.values.days}}",
            runs.sql("day", "INSERT INTO main.both.t VALUES (:d, :n)",
                     parameters={"d": "{{input}}", "n": "{{tasks.count.values.n}}"}),
            "make", "count",
        ),
        {"task_key": "show", "depends_on": after("count"),
         "spark_python_task": {"python_file": "/Workspace/Shared/show.py", "parameters": ["{{tasks.count.values.n}}"]}},
        runs.sql("read", "SELECT day, n FROM main.both.t ORDER BY day", "days"),
        parameters=[{"name": "base", "default": "40"}],
    )  # fmt: skip
    assert result(run) == "SUCCESS", [runs.output(each["run_id"]) for each in run["tasks"]]
    assert runs.output(task_run(run, "count")["run_id"])["notebook_output"]["result"] == "counted 41"
    assert "argument 41" in runs.output(task_run(run, "show")["run_id"])["logs"]
    rows = runs.output(task_run(run, "read")["run_id"])["local"]["rows"]
    assert rows == [{"day": "mon", "n": "41"}, {"day": "tue", "n": "41"}]


def test_values_that_iterations_set_are_lists_to_the_tasks_behind_the_loop(runs: Runs) -> None:
    path = notebook(runs, "double", "dbutils.jobs.taskValues.set('twice', 2 * int(dbutils.widgets.get('x')))")
    nested = {"task_key": "each", "notebook_task": {"notebook_path": path, "base_parameters": {"x": "{{input}}"}}}
    run = runs.run(
        loop("loop", "[1, 2]", nested, concurrency=2),
        condition("check", "EQUAL_TO", "{{tasks.loop.values.twice}}", "[2, 4]", "loop"),
    )
    assert task_run(run, "check")["condition_task"]["outcome"] == "true", run


def test_a_notebook_that_runs_shows_what_it_prints_but_no_secrets_and_is_ended_by_a_cancel(runs: Runs) -> None:
    for name, body in (
        ("scopes/create", {"scope": "s"}),
        ("put", {"scope": "s", "key": "k", "string_value": "hunter2"}),
    ):
        assert runs.site.call("POST", f"/api/2.0/secrets/{name}", body, token=runs.token).status == 200
    child = "import os\nvalue = dbutils.secrets.get('s', 'k')\nos.system(f'echo {value} here')"
    path = notebook(runs, "sleep", child, "import time\ntime.sleep(600)")
    run_id = runs.start(runs.create({"task_key": "n", "notebook_task": {"notebook_path": path}}))
    task_id = task_run(runs.running(run_id, "n"), "n")["run_id"]
    end = time.monotonic() + 10
    while "here" not in runs.output(task_id).get("logs", ""):
        assert time.monotonic() < end, "what it prints isn't told while it runs"
        time.sleep(0.05)
    assert "[REDACTED] here" in runs.output(task_id)["logs"]
    runs.done("POST", "runs/cancel", {"run_id": run_id})
    assert results(runs.ended(run_id)) == {"n": "CANCELED"}


def test_an_executed_notebook_is_exported_as_a_page(runs: Runs) -> None:
    path = notebook(runs, "page", "print('<b>' + str(6 * 7))")
    run = runs.run({"task_key": "n", "notebook_task": {"notebook_path": path}})
    (view,) = runs.client.jobs.export_run(task_run(run, "n")["run_id"]).views or []
    assert view.name == "page" and view.content is not None
    assert "&lt;b&gt;42" in view.content and "<b>" not in view.content


def test_a_task_that_waits_for_a_free_worker_can_be_cancelled(runs: Runs) -> None:
    busy = runs.start(runs.create(*[runs.sql(f"t{number}", SLOW) for number in range(8)]))
    waiting = runs.start(runs.create(runs.sql("w", SLOW)))
    runs.running(busy)
    time.sleep(0.3)
    assert states(runs.get(waiting))["w"][0] == "PENDING"
    runs.done("POST", "runs/cancel", {"run_id": waiting})
    assert result(runs.ended(waiting, seconds=5)) == "CANCELED"
    runs.done("POST", "runs/cancel", {"run_id": busy})
    assert result(runs.ended(busy)) == "CANCELED"


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (condition("c", "LIKE", "1", "2"), "op must be one of EQUAL_TO"),
        ({**condition("c", "EQUAL_TO", "1", "2"), "run_if": "SOMETIMES"}, "run_if must be one of"),
    ],
)
def test_a_word_that_means_nothing_is_refused_when_the_job_is_made(runs: Runs, task: dict[str, Any], said: str) -> None:
    answer = runs.call("POST", "create", {"name": "j", "tasks": [task]})
    assert answer.error == (400, "INVALID_PARAMETER_VALUE") and said in answer.message
