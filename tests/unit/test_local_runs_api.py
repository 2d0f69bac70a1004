"""The Jobs API's calls about runs, as the real SDK and raw requests meet them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from databricks.sdk.errors import InvalidParameterValue, ResourceDoesNotExist
from databricks.sdk.service import jobs

from tests.local_runs import BROKEN, SLOW, Runs, life, result, results, states, task_run
from tests.local_server import Site, notebook_task, running_server

TOKENS = (f"token{number}" for number in itertools.count())
INVALID = (400, "INVALID_PARAMETER_VALUE")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    flags = ("--token-per-workspace", "--stub-unsupported")
    with running_server(tmp_path_factory.mktemp("home"), *flags) as site:
        yield site


@pytest.fixture
def runs(site: Site) -> Runs:
    """A workspace of its own for each test."""
    return Runs(site, next(TOKENS))


def pipeline(key: str = "p", *after: str) -> dict[str, Any]:
    """A task that this server lets pass, at no cost."""
    needs = {"depends_on": [{"task_key": each} for each in after]} if after else {}
    return {"task_key": key, "pipeline_task": {"pipeline_id": "x"}, **needs}


def test_the_sdk_runs_a_job_reads_its_output_and_repairs_it(runs: Runs) -> None:
    client = runs.client
    task = runs.sql("a", "SELECT CAST(:n AS INT) AS n")
    job_id = runs.create(task, runs.sql("b", "SELECT 2", "a"), parameters=[{"name": "n", "default": "none"}])
    run = client.jobs.run_now(job_id).result()
    assert run.state is not None and run.state.result_state is jobs.RunResultState.FAILED
    assert run.run_id is not None and run.tasks is not None and run.tasks[0].run_id is not None
    output = client.jobs.get_run_output(run.tasks[0].run_id)
    assert output.error is not None and "none" in output.error
    assert output.metadata is not None and output.metadata.run_id == run.tasks[0].run_id
    mended = client.jobs.repair_run(run.run_id, rerun_all_failed_tasks=True, job_parameters={"n": "5"}).result()
    assert mended.run_id == run.run_id and mended.state is not None
    assert mended.state.result_state is jobs.RunResultState.SUCCESS
    listed = list(client.jobs.list_runs(job_id=job_id, expand_tasks=True))
    assert [each.run_id for each in listed] == [run.run_id]
    assert listed[0].tasks is not None and [each.attempt_number for each in listed[0].tasks] == [0, 0, 1, 1]
    history = client.jobs.get_run(run.run_id, include_history=True).repair_history
    assert history is not None
    assert [each.type for each in history] == [jobs.RepairHistoryItemType.ORIGINAL, jobs.RepairHistoryItemType.REPAIR]
    ends = [each.state.result_state for each in history if each.state]
    assert ends == [jobs.RunResultState.FAILED, jobs.RunResultState.SUCCESS]
    assert [len(each.task_run_ids or []) for each in history] == [2, 2]


def test_the_sdk_cancels_a_run_and_waits_for_its_end(runs: Runs) -> None:
    run_id = runs.start(runs.create(runs.sql("slow", SLOW)))
    run = runs.client.jobs.cancel_run(run_id).result()
    assert run.state is not None and run.state.result_state is jobs.RunResultState.CANCELED


def test_the_sdk_submits_tasks_without_a_job(runs: Runs) -> None:
    task = jobs.SubmitTask.from_dict(runs.sql("once", "SELECT 1"))
    run = runs.client.jobs.submit(run_name="by hand", tasks=[task]).result()
    assert run.state is not None and run.state.result_state is jobs.RunResultState.SUCCESS
    assert (run.run_name, run.run_type) == ("by hand", jobs.RunType.SUBMIT_RUN)
    assert [each.run_id for each in runs.client.jobs.list_runs(run_type=jobs.RunType.SUBMIT_RUN)] == [run.run_id]
    assert list(runs.client.jobs.list()) == []


def test_an_id_that_is_no_run_is_told_as_the_service_tells_it(runs: Runs) -> None:
    with pytest.raises(ResourceDoesNotExist, match="Run 77 does not exist"):
        runs.client.jobs.get_run(77)
    with pytest.raises(InvalidParameterValue, match="Job 78 does not exist"):
        runs.client.jobs.run_now(78)
    for method, name, body in [
        ("GET", "runs/get?run_id=77", None), ("GET", "runs/get-output?run_id=77", None),
        ("POST", "runs/cancel", {"run_id": 77}), ("POST", "runs/delete", {"run_id": 77}),
        ("POST", "runs/repair", {"run_id": 77}), ("GET", f"runs/get?run_id={10**25}", None),
    ]:  # fmt: skip
        assert runs.call(method, name, body).error == INVALID
    assert runs.call("GET", "runs/get").message == "Missing required field: run_id"
    assert runs.call("POST", "runs/cancel", {"run_id": "x"}).error == (400, "MALFORMED_REQUEST")


def test_runs_of_another_workspace_are_not_there(runs: Runs, site: Site) -> None:
    run_id = runs.start(runs.create(pipeline()))
    other = Runs(site, next(TOKENS))
    assert other.call("GET", f"runs/get?run_id={run_id}").error == INVALID
    assert "runs" not in other.done("GET", "runs/list")


def test_rights_on_a_job_are_rights_on_its_runs(runs: Runs) -> None:
    job_id = runs.create(runs.sql("slow", SLOW))
    grants = [
        {"user_name": "view", "permission_level": "CAN_VIEW"},
        {"user_name": "run", "permission_level": "CAN_MANAGE_RUN"},
    ]
    path = f"/api/2.0/permissions/jobs/{job_id}"
    assert runs.site.call("PATCH", path, {"access_control_list": grants}, token=runs.token).status == 200
    viewer, runner, stranger = (Runs(runs.site, f"{runs.token}/{name}") for name in ("view", "run", "other"))
    denied = (403, "PERMISSION_DENIED")
    assert viewer.call("POST", "run-now", {"job_id": job_id}).error == denied
    run_id = runner.start(job_id)
    assert viewer.get(run_id)["creator_user_name"] == "run"
    assert viewer.call("POST", "runs/cancel", {"run_id": run_id}).error == denied
    assert stranger.call("GET", f"runs/get?run_id={run_id}").error == denied
    assert "runs" not in stranger.done("GET", "runs/list")
    assert [each["run_id"] for each in viewer.done("GET", "runs/list")["runs"]] == [run_id]
    runner.done("POST", "runs/cancel", {"run_id": run_id})
    runs.ended(run_id)


def test_a_token_gives_the_same_run_again_until_it_is_deleted(runs: Runs) -> None:
    job_id = runs.create(pipeline())
    first = runs.start(job_id, idempotency_token="once")
    assert runs.start(job_id, idempotency_token="once") == first != runs.start(job_id)
    submitted = [
        runs.done("POST", "runs/submit", {"tasks": [pipeline()], "idempotency_token": "twice"})["run_id"] for _ in "ab"
    ]
    assert submitted[0] == submitted[1]
    runs.ended(first)
    runs.done("POST", "runs/delete", {"run_id": first})
    assert runs.call("GET", f"runs/get?run_id={first}").error == INVALID
    again = runs.call("POST", "run-now", {"job_id": job_id, "idempotency_token": "once"})
    assert again.error == INVALID and "was deleted" in again.message
    long = runs.call("POST", "run-now", {"job_id": job_id, "idempotency_token": "x" * 65})
    assert long.error == INVALID and "at most 64" in long.message


def test_runs_beyond_the_job_s_maximum_wait_in_its_queue_in_their_order(runs: Runs) -> None:
    job_id = runs.create(runs.sql("slow", SLOW), queue={"enabled": True})
    ids = [runs.start(job_id) for _ in range(3)]
    runs.running(ids[0], "slow")
    waiting = runs.get(ids[1])
    assert (life(waiting), waiting["status"]["state"]) == ("QUEUED", "QUEUED")
    message = "Queued due to reaching maximum concurrent runs of 1."
    assert waiting["state"]["queue_reason"] == message
    assert waiting["status"]["queue_details"] == {"code": "MAX_CONCURRENT_RUNS_REACHED", "message": message}
    assert {each["run_id"] for each in runs.done("GET", "runs/list?active_only=true")["runs"]} == set(ids)
    for number, run_id in enumerate(ids):
        runs.running(run_id, "slow")
        assert [life(runs.get(each)) for each in ids[number + 1 :]] == ["QUEUED"] * (2 - number)
        runs.done("POST", "runs/cancel", {"run_id": run_id})
        runs.ended(run_id)
    assert runs.get(ids[2])["queue_duration"] > 0


def test_a_queued_run_can_be_cancelled_and_the_next_one_takes_its_place(runs: Runs) -> None:
    job_id = runs.create(runs.sql("slow", SLOW))
    first, second, third = (runs.start(job_id) for _ in range(3))
    runs.done("POST", "runs/cancel", {"run_id": second})
    assert result(runs.ended(second)) == "CANCELED"
    runs.done("POST", "runs/cancel", {"run_id": first})
    assert life(runs.running(third)) == "RUNNING"
    runs.done("POST", "runs/cancel-all", {"job_id": job_id})
    assert result(runs.ended(third)) == "CANCELED"


def test_without_a_queue_a_run_beyond_the_maximum_is_skipped(runs: Runs) -> None:
    job_id = runs.create(runs.sql("slow", SLOW), queue={"enabled": False})
    first = runs.start(job_id)
    run = runs.get(runs.start(job_id))
    assert (life(run), result(run)) == ("SKIPPED", "MAXIMUM_CONCURRENT_RUNS_REACHED")
    assert run["status"]["termination_details"]["code"] == "MAX_CONCURRENT_RUNS_EXCEEDED"
    queued = runs.start(job_id, queue={"enabled": True})
    assert life(runs.get(queued)) == "QUEUED"
    runs.done("POST", "runs/cancel-all", {"job_id": job_id, "all_queued_runs": True})
    assert (life(runs.ended(queued)), life(runs.get(first))) == ("TERMINATED", "RUNNING")
    runs.done("POST", "runs/cancel-all", {"job_id": job_id})
    runs.ended(first)
    none = runs.create(pipeline(), max_concurrent_runs=0)
    assert life(runs.get(runs.start(none))) == "SKIPPED"


def test_several_runs_of_a_job_go_on_at_once_if_it_allows_them(runs: Runs) -> None:
    job_id = runs.create(runs.sql("slow", SLOW), max_concurrent_runs=2)
    ids = [runs.start(job_id) for _ in range(3)]
    runs.running(ids[0], "slow"), runs.running(ids[1], "slow")
    assert life(runs.get(ids[2])) == "QUEUED"
    runs.done("POST", "runs/cancel-all", {"job_id": job_id})
    assert [result(runs.ended(each)) for each in ids] == ["CANCELED"] * 3


def test_lists_come_in_pages_of_twenty_newest_first_and_back(runs: Runs) -> None:
    job_id = runs.create(pipeline(), max_concurrent_runs=100)
    ids = [runs.start(job_id) for _ in range(45)]
    pages, token = [], ""
    while not pages or token:
        page = runs.done("GET", f"runs/list?page_token={token}")
        pages.append([each["run_id"] for each in page["runs"]])
        token = page.get("next_page_token", "")
        assert page["has_more"] == bool(token)
    assert [len(page) for page in pages] == [20, 20, 5]
    assert [each for page in pages for each in page] == ids[::-1]
    second = runs.done("GET", f"runs/list?page_token={runs.done('GET', 'runs/list')['next_page_token']}")
    back = runs.done("GET", f"runs/list?page_token={second['prev_page_token']}")
    assert [each["run_id"] for each in back["runs"]] == pages[0] and "prev_page_token" not in back
    assert len(runs.done("GET", "runs/list?limit=0")["runs"]) == 25
    assert runs.call("GET", "runs/list?limit=26").error == INVALID
    assert [each.run_id for each in runs.client.jobs.list_runs(job_id=job_id)] == ids[::-1]


def test_lists_are_filtered(runs: Runs) -> None:
    fast, slow = runs.create(pipeline()), runs.create(runs.sql("slow", SLOW))
    done, going = runs.start(fast), runs.start(slow)
    at = runs.ended(done)["start_time"]

    def listed(query: str) -> list[int]:
        return [each["run_id"] for each in runs.done("GET", f"runs/list?{query}").get("runs", [])]

    assert listed("") == [going, done]
    assert listed("active_only=true") == [going] and listed("completed_only=true") == [done]
    assert listed(f"job_id={fast}") == [done] and listed("job_id=7") == []
    assert listed("run_type=JOB_RUN") == [going, done] and listed("run_type=SUBMIT_RUN") == []
    assert done in listed(f"start_time_from={at}") and listed(f"start_time_to={at - 1}") == []
    assert listed("limit=1") == [going]
    for query in ("active_only=true&completed_only=true", "run_type=X", "start_time_from=x", "page_token=!!"):
        assert runs.call("GET", f"runs/list?{query}").error == INVALID, query
    assert "tasks" not in runs.done("GET", "runs/list")["runs"][0]
    assert runs.done("GET", "runs/list?expand_tasks=true")["runs"][0]["tasks"][0]["task_key"] == "slow"
    runs.done("POST", "runs/cancel", {"run_id": going})
    runs.ended(going)


def test_a_run_of_many_tasks_comes_in_pages_and_the_sdk_joins_them(runs: Runs) -> None:
    tasks = [pipeline(f"t{number:03}") for number in range(250)]
    run_id = runs.start(runs.create(*tasks, parameters=[{"name": "p", "default": "x"}]))
    runs.ended(run_id, seconds=60)
    sizes, token = [], ""
    while not sizes or token:
        page = runs.get(run_id, page_token=token)
        sizes.append(len(page["tasks"]))
        token = page.get("next_page_token", "")
    assert sizes == [100, 100, 50]
    whole = runs.client.jobs.get_run(run_id)
    assert whole.tasks is not None and len({each.run_id for each in whole.tasks}) == 250
    assert whole.job_parameters is not None and len(whole.job_parameters) == 1
    assert runs.call("GET", f"runs/get?run_id={run_id}&page_token=OTk").error == INVALID


def test_only_runs_some_tasks(runs: Runs) -> None:
    job_id = runs.create(runs.sql("a", BROKEN), runs.sql("b", "SELECT 1", "a"), runs.sql("c", "SELECT 1", "b"))
    assert results(runs.ended(runs.start(job_id, only=["b"]))) == {"b": "SUCCESS"}
    assert results(runs.ended(runs.start(job_id, only=["b+"]))) == {"b": "SUCCESS", "c": "SUCCESS"}
    assert results(runs.ended(runs.start(job_id, only=["+b"]))) == {"a": "FAILED", "b": "UPSTREAM_FAILED"}
    wrong = runs.call("POST", "run-now", {"job_id": job_id, "only": ["bb"]})
    assert wrong.error == INVALID and "'bb'" in wrong.message


def test_parameters_reach_queries_as_values_never_as_text(runs: Runs) -> None:
    text = "SELECT :s AS s, {{n}} + 1 AS n, 'it is {{s}}' AS inside, :job AS job"
    task = runs.sql("a", text, parameters={"s": "x' OR 1=1 --", "n": "41", "job": "mine"})
    run = runs.run(task, parameters=[{"name": "job", "default": "{{job.id}}"}])
    (row,) = runs.output(task_run(run, "a")["run_id"])["local"]["rows"]
    hostile = "x' OR 1=1 --"
    assert row == {"s": hostile, "n": 42, "inside": f"it is {hostile}", "job": str(run["job_id"])}
    sql_params = runs.run(task, asked={"sql_params": {"job": "given", "n": "1"}})
    assert runs.output(task_run(sql_params, "a")["run_id"])["local"]["rows"][0]["n"] == 2
    assert sql_params["overriding_parameters"] == {"sql_params": {"job": "given", "n": "1"}}
    missing = runs.run(runs.sql("a", "SELECT {{x}}"))
    assert "no value for the parameter {{x}}" in runs.output(task_run(missing, "a")["run_id"])["error"]


def test_a_query_s_own_parameters_are_defaults_with_types(runs: Runs) -> None:
    declared = [
        {"name": "n", "numeric_value": {"value": 2}}, {"name": "t", "text_value": {"value": "2"}},
        {"name": "d", "date_value": {"date_value": "2024-01-01"}},
    ]  # fmt: skip
    query = runs.query("SELECT :n + 1 AS n, :t || '!' AS t, :d AS d", parameters=declared)
    task = {"task_key": "a", "sql_task": {"warehouse_id": "w", "query": {"query_id": query}}}
    (row,) = runs.output(task_run(runs.run(task), "a")["run_id"])["local"]["rows"]
    assert row == {"n": 3, "t": "2!", "d": "2024-01-01"}
    task["sql_task"]["parameters"] = {"n": "40"}  # pyright: ignore[reportIndexIssue]
    assert runs.output(task_run(runs.run(task), "a")["run_id"])["local"]["rows"][0]["n"] == 41


def test_a_file_of_several_statements_runs_them_all_and_tells_which_failed(runs: Runs) -> None:
    def file(name: str, text: str) -> dict[str, Any]:
        path = f"/api/2.0/workspace-files/import-file/Shared/{name}"
        assert runs.site.call("POST", path, text.encode(), token=runs.token).status == 200
        return {"task_key": name, "sql_task": {"warehouse_id": "w", "file": {"path": f"/Workspace/Shared/{name}"}}}

    good = (
        "CREATE TABLE main.f.t (id INT); -- one; two\nINSERT INTO main.f.t VALUES (1), (2);\nUPDATE main.f.t SET id = 3"
    )
    run = runs.run(file("good", good))
    told = runs.output(task_run(run, "good")["run_id"])
    assert told["local"]["rows_written"] == 4 and len(told["sql_output"]["query_output"]["sql_statements"]) == 3
    bad = runs.run(file("bad", "SELECT 1;\n\nSELECT nope"))
    error = runs.output(task_run(bad, "bad")["run_id"])["error"]
    assert error.startswith("statement 2, line 3: ") and '"nope"' in error
    gone = {"task_key": "gone", "sql_task": {"warehouse_id": "w", "file": {"path": "/Shared/gone.sql"}}}
    assert "(/Shared/gone.sql) doesn't exist" in task_run(runs.run(gone), "gone")["state"]["state_message"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"notebook_params": {"a": "b"}, "jar_params": ["x"]}, "jar_params cannot be specified"),
        ({"job_parameters": {"a": "x" * 10_000}}, "cannot exceed 10000 bytes"),
        ({"notebook_params": {"a": "b"}, "job_parameters": {"p": "x"}}, "use job_parameters"),
        ({"job_parameters": {"p": "{{job.naem}}"}}, "did you mean 'name'?"),
        ({"only": []}, "names no task"),
    ],
)
def test_what_cannot_be_asked_of_a_run_is_refused(runs: Runs, asked: dict[str, Any], said: str) -> None:
    answer = runs.call("POST", "run-now", {"job_id": runs.create(pipeline()), **asked})
    assert answer.error == INVALID and said in answer.message
    assert "runs" not in runs.done("GET", "runs/list")


def test_a_repair_reruns_what_it_is_told_to(runs: Runs) -> None:
    job_id = runs.create(
        runs.sql("a"), runs.sql("b", BROKEN, "a"), runs.sql("c", "SELECT 1", "b"), runs.sql("d", "SELECT 1", "a")
    )
    run_id = runs.ended(runs.start(job_id))["run_id"]

    def repaired(**asked: Any) -> tuple[int, dict[str, list[str]]]:
        repair_id = runs.done("POST", "runs/repair", {"run_id": run_id, **asked})["repair_id"]
        found: dict[str, list[str]] = {}
        for each in runs.ended(run_id)["tasks"]:
            found.setdefault(each["task_key"], []).append(result(each))
        return int(repair_id), found

    first, found = repaired(rerun_all_failed_tasks=True)
    assert found == {
        "a": ["SUCCESS"], "b": ["FAILED"] * 2, "c": ["UPSTREAM_FAILED"] * 2, "d": ["SUCCESS"],
    }  # fmt: skip
    assert "latest_repair_id" in runs.call("POST", "runs/repair", {"run_id": run_id, "rerun_tasks": ["a"]}).message
    # "They use the current job and task settings"
    mended = [
        runs.sql("a"),
        runs.sql("b", "SELECT 1", "a"),
        runs.sql("c", "SELECT 1", "b"),
        runs.sql("d", "SELECT 1", "a"),
    ]
    runs.done("POST", "reset", {"job_id": job_id, "new_settings": {"name": "j", "tasks": mended}})
    second, found = repaired(rerun_tasks=["b"], latest_repair_id=first)
    assert (found["b"][2:], found["c"][2:]) == (["SUCCESS"], [])
    assert result(runs.get(run_id)) == "FAILED", "c is a leaf, and still skipped"
    _, found = repaired(rerun_tasks=["a"], rerun_dependent_tasks=True, latest_repair_id=second)
    assert {key: len(each) for key, each in found.items()} == {"a": 2, "b": 4, "c": 3, "d": 2}
    assert result(runs.get(run_id)) == "SUCCESS"


def test_a_repair_that_cannot_be_is_refused(runs: Runs) -> None:
    good = runs.run(pipeline())["run_id"]
    for body, said in [
        ({}, "Exactly one of rerun_tasks and rerun_all_failed_tasks"),
        ({"rerun_tasks": ["p"], "rerun_all_failed_tasks": True}, "Exactly one"),
        ({"rerun_tasks": ["x"]}, "'x' of rerun_tasks is not a task"),
        ({"rerun_all_failed_tasks": True}, "no failed tasks"),
        ({"rerun_tasks": ["p"], "latest_repair_id": 3}, "never repaired"),
    ]:
        answer = runs.call("POST", "runs/repair", {"run_id": good, **body})
        assert answer.error == INVALID and said in answer.message
    going = runs.start(runs.create(runs.sql("slow", SLOW)))
    active = runs.call("POST", "runs/repair", {"run_id": going, "rerun_all_failed_tasks": True})
    assert active.error == INVALID and "is active" in active.message
    assert "is active" in runs.call("POST", "runs/delete", {"run_id": going}).message
    runs.done("POST", "runs/cancel", {"run_id": going})
    runs.ended(going)


def test_output_of_several_tasks_is_asked_task_by_task(runs: Runs) -> None:
    run = runs.run(pipeline("a"), pipeline("b"))
    answer = runs.call("GET", f"runs/get-output?run_id={run['run_id']}")
    assert answer.error == INVALID and "multiple tasks is not supported" in answer.message
    assert "Nothing was run" in runs.output(task_run(run, "a")["run_id"])["info"]
    single = runs.run(pipeline("a"))
    assert runs.output(single["run_id"])["metadata"]["tasks"][0]["task_key"] == "a"
    assert runs.call("GET", f"runs/export?run_id={single['run_id']}").error == INVALID


def test_a_job_that_is_deleted_takes_its_runs_under_way_with_it(runs: Runs) -> None:
    job_id = runs.create(runs.sql("slow", SLOW))
    run_id = runs.start(job_id)
    runs.running(run_id, "slow")
    runs.done("POST", "delete", {"job_id": job_id})
    assert result(runs.ended(run_id)) == "CANCELED"


def test_a_submitted_run_is_checked_as_a_job_is(runs: Runs) -> None:
    assert runs.call("POST", "runs/submit", {"tasks": []}).error == INVALID
    twice = runs.call("POST", "runs/submit", {"tasks": [notebook_task(), notebook_task()]})
    assert twice.error == INVALID and "Duplicate task_key 'a'" in twice.message
    run = runs.ended(runs.done("POST", "runs/submit", {"tasks": [pipeline("a"), pipeline("b", "a")]})["run_id"])
    assert states(run) == {"a": ("TERMINATED", "SUCCESS"), "b": ("TERMINATED", "SUCCESS")}
    assert run["run_name"] == "Untitled"
