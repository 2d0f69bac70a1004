"""The embedded workspace's Jobs API, as the real SDK meets it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import PermissionDenied, ResourceDoesNotExist
from databricks.sdk.service import jobs

from tests.local_server import Reply, Site, job, notebook_task, running_server

TOKENS = (f"token{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_server(tmp_path_factory.mktemp("home"), "--token-per-workspace") as site:
        yield site


@pytest.fixture
def token() -> str:
    """A workspace of its own for each test."""
    return next(TOKENS)


@pytest.fixture
def client(site: Site, token: str) -> WorkspaceClient:
    return site.client(token)


Call = Callable[..., Reply]


@pytest.fixture
def call(site: Site, token: str) -> Call:
    """A raw request to the Jobs API of this test's workspace."""

    def request(method: str, name: str, body: Any = None, version: str = "2.2") -> Reply:
        return site.call(method, f"/api/{version}/jobs/{name}", body, token=token)

    return request


def create(call: Call, *tasks: dict[str, Any], **more: Any) -> int:
    answer = call("POST", "create", job(*tasks, **more))
    assert answer.status == 200, answer.body
    return int(answer.data["job_id"])


def settings_of(call: Call, job_id: int) -> dict[str, Any]:
    return dict(call("GET", f"get?job_id={job_id}").data["settings"])


def test_the_sdk_creates_reads_lists_and_deletes_a_job(client: WorkspaceClient) -> None:
    task = jobs.Task(task_key="a", notebook_task=jobs.NotebookTask(notebook_path="/n"))
    job_id = client.jobs.create(name="first", tasks=[task]).job_id
    assert job_id is not None and 0 < job_id < 2**53
    found = client.jobs.get(job_id)
    assert found.settings is not None and found.settings.name == "first"
    assert found.creator_user_name == client.current_user.me().user_name
    assert [each.job_id for each in client.jobs.list()] == [job_id]
    client.jobs.delete(job_id)
    assert list(client.jobs.list()) == []
    with pytest.raises(ResourceDoesNotExist, match=f"Job {job_id} does not exist."):
        client.jobs.get(job_id)


def test_get_shows_the_defaults_that_the_service_adds(call: Call) -> None:
    sql = {"task_key": "q", "sql_task": {"warehouse_id": "w", "file": {"path": "/q.sql"}}}
    schedule = {"quartz_cron_expression": "0 0 0 * * ?", "timezone_id": "UTC"}
    found = settings_of(call, create(call, notebook_task(), sql, schedule=schedule))
    assert found | {"tasks": []} == {
        "name": "j", "tasks": [], "format": "MULTI_TASK", "timeout_seconds": 0, "max_concurrent_runs": 1,
        "email_notifications": {}, "webhook_notifications": {}, "queue": {"enabled": True},
        "schedule": schedule | {"pause_status": "UNPAUSED"},
    }  # fmt: skip
    common = {"run_if": "ALL_SUCCESS", "timeout_seconds": 0, "email_notifications": {}}
    assert found["tasks"] == [
        {"task_key": "a", "notebook_task": {"notebook_path": "/Shared/n", "source": "WORKSPACE"}, **common},
        {
            "task_key": "q",
            "sql_task": {"warehouse_id": "w", "file": {"path": "/q.sql", "source": "WORKSPACE"}},
            **common,
        },
    ]


def test_only_version_2_2_turns_the_queue_on(call: Call) -> None:
    answer = call("POST", "create", job(), version="2.1")
    assert "queue" not in settings_of(call, answer.data["job_id"])


@pytest.mark.parametrize("version", ["2.0", "2.1", "2.2"])
def test_all_versions_of_the_path_answer(call: Call, version: str) -> None:
    job_id = call("POST", "create", job(), version=version).data["job_id"]
    assert call("GET", f"get?job_id={job_id}", version=version).data["job_id"] == job_id


def test_unknown_fields_are_dropped_in_silence_as_the_real_service_does(call: Call) -> None:
    job_id = create(call, notebook_task(surprise=1), nonsense={"a": 1})
    found = settings_of(call, job_id)
    assert "nonsense" not in found and "surprise" not in found["tasks"][0]


def test_a_long_job_comes_in_pages_of_100_and_the_sdk_joins_them(call: Call, client: WorkspaceClient) -> None:
    tasks = [notebook_task(f"t{number:03}") for number in range(250)]
    parameters = [{"name": f"p{number:03}", "default": "x"} for number in range(120)]
    clusters = [{"job_cluster_key": "c", "new_cluster": {"num_workers": 1}}]
    job_id = create(call, *tasks, parameters=parameters, job_clusters=clusters)
    pages, token = [], ""
    while not pages or token:
        page = call("GET", f"get?job_id={job_id}&page_token={token}").data
        pages.append(page["settings"])
        token = page.get("next_page_token", "")
        assert page.get("has_more", False) == bool(token)
    assert [len(page.get("tasks", [])) for page in pages] == [100, 100, 50]
    assert [len(page.get("parameters", [])) for page in pages] == [100, 20, 0]
    assert [len(page.get("job_clusters", [])) for page in pages] == [1, 0, 0]
    whole = client.jobs.get(job_id).settings
    assert whole is not None and whole.tasks is not None and whole.parameters is not None
    assert [task.task_key for task in whole.tasks] == [f"t{number:03}" for number in range(250)]
    assert len(whole.parameters) == 120
    assert call("GET", f"get?job_id={job_id}&page_token=OTk").error == (400, "INVALID_PARAMETER_VALUE")
    assert call("GET", f"get?job_id={job_id}&page_token=!!").error == (400, "INVALID_PARAMETER_VALUE")


def test_list_is_newest_first_and_pages_stay_stable_while_jobs_come_and_go(call: Call) -> None:
    ids = [create(call, name=f"n{number}") for number in range(45)]
    first = call("GET", "list").data
    assert [each["job_id"] for each in first["jobs"]] == ids[:-21:-1]  # 20 by default
    create(call, name="a late one")
    call("POST", "delete", {"job_id": ids[-20]})
    second = call("GET", f"list?limit=25&page_token={first['next_page_token']}").data
    assert [each["job_id"] for each in second["jobs"]] == ids[24::-1]
    assert second["has_more"] is False and "next_page_token" not in second


def test_list_finds_an_exact_name_without_regard_to_case(call: Call) -> None:
    create(call, name="Sales")
    create(call, name="SALES")
    create(call, name="Sales 2")
    found = call("GET", "list?name=sales").data["jobs"]
    assert [each["settings"]["name"] for each in found] == ["SALES", "Sales"]
    assert call("GET", "list?name=sale").data == {"has_more": False}


def test_list_leaves_out_tasks_unless_asked_and_parameters_always(call: Call) -> None:
    create(
        call, *(notebook_task(f"t{number}") for number in range(101)), parameters=[{"name": "p", "default": "x"}],
        job_clusters=[{"job_cluster_key": "c", "new_cluster": {}}], environments=[{"environment_key": "e"}],
        tags={"a": "b"},
    )  # fmt: skip
    [plain] = call("GET", "list").data["jobs"]
    assert plain["settings"]["tags"] == {"a": "b"}
    assert not {"tasks", "job_clusters", "parameters", "environments"} & set(plain["settings"])
    [expanded] = call("GET", "list?expand_tasks=true").data["jobs"]
    assert len(expanded["settings"]["tasks"]) == 100 and expanded["has_more"] is True
    assert len(expanded["settings"]["job_clusters"]) == 1
    assert not {"parameters", "environments"} & set(expanded["settings"])


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "page_token=zzz", "expand_tasks=maybe"])
def test_list_refuses_arguments_out_of_range(call: Call, query: str) -> None:
    assert call("GET", f"list?{query}").error == (400, "INVALID_PARAMETER_VALUE")


def test_reset_replaces_everything_but_an_omitted_run_as(call: Call) -> None:
    job_id = create(call, tags={"a": "b"}, run_as={"user_name": "etl@x.test"}, description="old")
    assert call("POST", "reset", {"job_id": job_id, "new_settings": job(notebook_task("b"), name="new")}).status == 200
    found = call("GET", f"get?job_id={job_id}").data
    assert found["run_as_user_name"] == "etl@x.test"
    settings = found["settings"]
    assert settings["run_as"] == {"user_name": "etl@x.test"}
    assert settings["name"] == "new" and not {"tags", "description"} & set(settings)
    assert [task["task_key"] for task in settings["tasks"]] == ["b"]
    assert call("GET", "list?name=new").data["jobs"][0]["job_id"] == job_id


def test_update_merges_lists_by_key_and_replaces_all_else(call: Call) -> None:
    old = {"parameters": [{"name": "p", "default": "1"}], "tags": {"a": "1", "b": "2"}}
    job_id = create(call, notebook_task("a"), notebook_task("b"), **old)
    new = {"tasks": [notebook_task("b", "a"), notebook_task("c")], "tags": {"c": "3"}, "timeout_seconds": 7}
    assert call("POST", "update", {"job_id": job_id, "new_settings": new}).status == 200
    found = settings_of(call, job_id)
    assert [(task["task_key"], "depends_on" in task) for task in found["tasks"]] == [
        ("a", False),
        ("b", True),
        ("c", False),
    ]
    assert found["tags"] == {"c": "3"} and found["timeout_seconds"] == 7 and found["parameters"] == old["parameters"]


def test_update_removes_named_fields_and_tasks(call: Call) -> None:
    clusters = [{"job_cluster_key": key, "new_cluster": {}} for key in ("x", "y")]
    job_id = create(call, notebook_task("a"), notebook_task("b"), tags={"a": "b"}, job_clusters=clusters)
    body = {"job_id": job_id, "fields_to_remove": ["tags", "tasks/b", "job_clusters/x", "schedule"]}
    assert call("POST", "update", body).status == 200
    found = settings_of(call, job_id)
    assert [task["task_key"] for task in found["tasks"]] == ["a"] and "tags" not in found
    assert [each["job_cluster_key"] for each in found["job_clusters"]] == ["y"]


@pytest.mark.parametrize("fields", [["nonsense"], ["tags/a"], ["tasks"], ["tasks/a"]])
def test_update_refuses_to_remove_what_cannot_go(call: Call, fields: list[str]) -> None:
    job_id = create(call)
    answer = call("POST", "update", {"job_id": job_id, "fields_to_remove": fields})
    assert answer.error == (400, "INVALID_PARAMETER_VALUE")
    assert len(settings_of(call, job_id)["tasks"]) == 1


@pytest.mark.parametrize("name", ["reset", "update", "delete"])
def test_no_call_finds_a_job_that_does_not_exist(call: Call, name: str) -> None:
    answer = call("POST", name, {"job_id": 77, "new_settings": job()})
    assert answer.error == (400, "INVALID_PARAMETER_VALUE") and answer.message == "Job 77 does not exist."


def test_a_job_id_must_be_a_number(call: Call) -> None:
    assert call("GET", "get").message == "Missing required field: job_id"
    assert call("GET", "get?job_id=abc").error == (400, "MALFORMED_REQUEST")
    assert call("POST", "delete", {"job_id": True}).error == (400, "MALFORMED_REQUEST")
    assert call("GET", f"get?job_id={2**70}").error == (400, "INVALID_PARAMETER_VALUE")


def test_each_token_is_a_workspace_of_its_own(site: Site, client: WorkspaceClient, call: Call) -> None:
    job_id = create(call)
    other = site.client(next(TOKENS))
    assert list(other.jobs.list()) == [] and other.get_workspace_id() != client.get_workspace_id()
    with pytest.raises(ResourceDoesNotExist):
        other.jobs.get(job_id)


def test_who_may_not_see_a_job_gets_403_whether_it_exists_or_not(site: Site, token: str, call: Call) -> None:
    job_id, guest = create(call), site.client(f"{token}/guest")
    with pytest.raises(PermissionDenied, match="does not have View"):
        guest.jobs.get(job_id)
    assert list(guest.jobs.list()) == []
    level = {"user_name": "guest", "permission_level": "CAN_VIEW"}
    path = f"/api/2.0/permissions/jobs/{job_id}"
    assert site.call("PATCH", path, {"access_control_list": [level]}, token=token).status == 200
    assert guest.jobs.get(job_id).job_id == job_id and len(list(guest.jobs.list())) == 1
    with pytest.raises(PermissionDenied):
        guest.jobs.delete(job_id)
    call("POST", "delete", {"job_id": job_id})
    with pytest.raises(PermissionDenied):
        guest.jobs.get(job_id)


def test_what_the_service_reads_but_never_returns(call: Call) -> None:
    clusters = [{"job_cluster_key": "c", "new_cluster": {"apply_policy_default_values": True, "num_workers": 2}}]
    [found] = settings_of(call, create(call, job_clusters=clusters))["job_clusters"]
    assert "apply_policy_default_values" not in found["new_cluster"] and found["new_cluster"]["num_workers"] == 2


def test_dependencies_come_back_sorted(call: Call) -> None:
    job_id = create(call, notebook_task("c", "b", "a"), notebook_task("b"), notebook_task("a"))
    assert settings_of(call, job_id)["tasks"][0]["depends_on"] == [{"task_key": "a"}, {"task_key": "b"}]
