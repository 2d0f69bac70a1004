"""The embedded workspace's other services: queries, warehouses, permissions, secrets, identity."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import BadRequest, InvalidParameterValue, NotFound, ResourceAlreadyExists
from databricks.sdk.service import iam, sql

from tests.local_server import Site, job, running_server

TOKENS = (f"token{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_server(tmp_path_factory.mktemp("home"), "--token-per-workspace") as site:
        yield site


@pytest.fixture
def token() -> str:
    return next(TOKENS)


@pytest.fixture
def client(site: Site, token: str) -> WorkspaceClient:
    return site.client(token)


def new_query(client: WorkspaceClient, name: str = "q", parent: str | None = None) -> sql.Query:
    query = sql.CreateQueryRequestQuery(display_name=name, query_text="SELECT 1", warehouse_id="w", parent_path=parent)
    return client.queries.create(query=query)


def test_a_query_is_created_changed_in_place_and_moved_to_the_trash(client: WorkspaceClient) -> None:
    query = new_query(client)
    assert query.id is not None and query.lifecycle_state == sql.LifecycleState.ACTIVE
    change = sql.UpdateQueryRequestQuery(query_text="SELECT 2", description="ignored: not in the mask")
    client.queries.update(query.id, update_mask="query_text", query=change)
    found = client.queries.get(query.id)
    assert (found.query_text, found.display_name, found.description) == ("SELECT 2", "q", None)
    client.queries.delete(query.id)
    assert client.queries.get(query.id).lifecycle_state == sql.LifecycleState.TRASHED
    assert list(client.queries.list()) == []
    with pytest.raises(BadRequest, match="trash"):
        client.queries.update(query.id, update_mask="query_text", query=change)


def test_a_name_is_taken_once_in_a_folder_until_its_query_is_trashed(client: WorkspaceClient) -> None:
    client.workspace.mkdirs("/Shared/queries")
    first = new_query(client, "daily", "/Shared/queries")
    assert first.parent_path == "/Workspace/Shared/queries" and first.id is not None
    with pytest.raises(ResourceAlreadyExists):
        new_query(client, "daily", "/Workspace/Shared/queries")
    other = new_query(client, "daily", "/Shared")
    assert other.id != first.id
    wanted = sql.CreateQueryRequestQuery(display_name="daily", parent_path="/Shared")
    assert client.queries.create(query=wanted, auto_resolve_display_name=True).display_name == "daily (1)"
    client.queries.delete(first.id)
    assert new_query(client, "daily", "/Shared/queries").id != first.id


def test_a_query_needs_a_folder_that_exists(client: WorkspaceClient) -> None:
    with pytest.raises(NotFound, match="/Shared/nowhere"):
        new_query(client, "q", "/Shared/nowhere")


def test_queries_are_listed_in_pages_and_go_to_the_trash_with_their_folder(client: WorkspaceClient) -> None:
    client.workspace.mkdirs("/Shared/a/b")
    ids = [new_query(client, f"q{number}", "/Shared/a/b").id for number in range(5)]
    assert [each.id for each in client.queries.list(page_size=2)] == ids[::-1]
    client.workspace.delete("/Shared/a", recursive=True)
    assert list(client.queries.list()) == []


def test_what_a_query_update_refuses(site: Site, token: str, client: WorkspaceClient) -> None:
    path = f"/api/2.0/sql/queries/{new_query(client).id}"
    refused = [
        ({"query": {"query_text": "x"}}, "update_mask"),
        ({"update_mask": "parent_path", "query": {}}, "parent_path"),
        ({"update_mask": "display_name", "query": {}}, "cannot be empty"),
        ({"update_mask": "query_text", "query": {"query_text": 5}}, "query.query_text"),
    ]
    for body, message in refused:
        answer = site.call("PATCH", path, body, token=token)
        assert answer.status == 400 and message in answer.message
    with pytest.raises(NotFound):
        client.queries.get("no-such-query")


def test_any_warehouse_exists_by_id_and_one_is_listed(client: WorkspaceClient) -> None:
    [listed] = client.warehouses.list()
    assert client.warehouses.get("whatever").id == "whatever" and listed.state == sql.State.RUNNING


def test_a_strict_server_knows_only_its_own_warehouse_and_queries(tmp_path: Path) -> None:
    with running_server(tmp_path, "--strict") as site:
        client = site.client()
        [warehouse] = client.warehouses.list()
        with pytest.raises(NotFound):
            client.warehouses.get("whatever")
        query = new_query(client)

        def create(warehouse_id: str | None, query_id: str | None) -> tuple[int, str]:
            task = {"task_key": "a", "sql_task": {"warehouse_id": warehouse_id, "query": {"query_id": query_id}}}
            answer = site.call("POST", "/api/2.2/jobs/create", job(task))
            return answer.status, answer.data.get("message", "")

        assert create(warehouse.id, query.id)[0] == 200
        assert create("other", query.id) == (400, "SQL warehouse other does not exist.")
        assert create(warehouse.id, "other") == (400, "Query other does not exist.")
        client.queries.delete(str(query.id))
        assert create(warehouse.id, query.id) == (400, f"Query {query.id} does not exist.")


def entry(user: str, level: iam.PermissionLevel) -> iam.AccessControlRequest:
    return iam.AccessControlRequest(user_name=user, permission_level=level)


def levels(permissions: iam.ObjectPermissions) -> dict[str | None, iam.PermissionLevel | None]:
    return {
        each.user_name or each.group_name: each.all_permissions[0].permission_level
        for each in permissions.access_control_list or []
        if each.all_permissions
    }


def test_permissions_of_a_job(site: Site, token: str, client: WorkspaceClient) -> None:
    job_id = str(site.call("POST", "/api/2.2/jobs/create", job(), token=token).data["job_id"])
    mine, level = str(client.current_user.me().user_name), iam.PermissionLevel
    assert levels(client.permissions.get("jobs", job_id)) == {mine: level.IS_OWNER, "admins": level.CAN_MANAGE}
    client.permissions.update("jobs", job_id, access_control_list=[entry("ann", level.CAN_VIEW)])
    assert levels(client.permissions.get("jobs", job_id))["ann"] == level.CAN_VIEW
    moved = client.permissions.update("jobs", job_id, access_control_list=[entry("bob", level.IS_OWNER)])
    assert levels(moved) == {"ann": level.CAN_VIEW, "bob": level.IS_OWNER, "admins": level.CAN_MANAGE}
    put = client.permissions.set("jobs", job_id, access_control_list=[entry("eve", level.IS_OWNER)])
    assert levels(put) == {"eve": level.IS_OWNER, "admins": level.CAN_MANAGE}
    assert len(client.permissions.get_permission_levels("jobs", job_id).permission_levels or []) == 4


@pytest.mark.parametrize("owners", [0, 2])
def test_put_permissions_needs_exactly_one_owner(site: Site, token: str, client: WorkspaceClient, owners: int) -> None:
    job_id = str(site.call("POST", "/api/2.2/jobs/create", job(), token=token).data["job_id"])
    entries = [entry(f"u{number}", iam.PermissionLevel.IS_OWNER) for number in range(owners)]
    with pytest.raises(InvalidParameterValue, match="exactly one owner"):
        client.permissions.set("jobs", job_id, access_control_list=entries)
    assert len(levels(client.permissions.get("jobs", job_id))) == 2


def test_a_job_can_be_created_with_its_access_control_list(site: Site, token: str, client: WorkspaceClient) -> None:
    acl = [{"group_name": "data", "permission_level": "CAN_MANAGE_RUN"}]
    answer = site.call("POST", "/api/2.2/jobs/create", job(access_control_list=acl), token=token)
    assert (
        levels(client.permissions.get("jobs", str(answer.data["job_id"])))["data"] == iam.PermissionLevel.CAN_MANAGE_RUN
    )
    for bad in ([{"permission_level": "CAN_VIEW"}], [{"user_name": "a", "permission_level": "CAN_FLY"}], {"a": 1}):
        assert site.call("POST", "/api/2.2/jobs/create", job(access_control_list=bad), token=token).status == 400


def test_permissions_of_a_deleted_job_are_gone(site: Site, token: str, client: WorkspaceClient) -> None:
    job_id = site.call("POST", "/api/2.2/jobs/create", job(), token=token).data["job_id"]
    client.jobs.delete(job_id)
    with pytest.raises(NotFound):
        client.permissions.get("jobs", str(job_id))


def test_secrets_live_in_scopes(client: WorkspaceClient) -> None:
    client.secrets.create_scope("hooks")
    with pytest.raises(ResourceAlreadyExists):
        client.secrets.create_scope("hooks")
    client.secrets.put_secret("hooks", "text", string_value="pässword")
    client.secrets.put_secret("hooks", "bytes", bytes_value=base64.b64encode(b"\0\1").decode())
    assert [each.key for each in client.secrets.list_secrets("hooks")] == ["bytes", "text"]
    assert base64.b64decode(str(client.secrets.get_secret("hooks", "text").value)).decode() == "pässword"
    assert client.secrets.get_secret("hooks", "bytes").value == base64.b64encode(b"\0\1").decode()
    client.secrets.delete_secret("hooks", "text")
    with pytest.raises(NotFound):
        client.secrets.get_secret("hooks", "text")
    client.secrets.delete_scope("hooks")
    assert list(client.secrets.list_scopes()) == []
    with pytest.raises(NotFound):
        client.secrets.list_secrets("hooks")
        list(client.secrets.list_secrets("hooks"))


def test_who_and_where_one_is(site: Site, token: str, client: WorkspaceClient) -> None:
    me = client.current_user.me()
    assert me.user_name and me.active and [each.value for each in me.emails or []] == [me.user_name]
    for path in ("/api/2.0/preview/scim/v2/Me", "/api/2.0/account/scim/v2/Me"):
        answer = site.call("GET", path, token=token)
        assert int(answer.headers["x-databricks-org-id"]) == client.get_workspace_id()
    assert (
        site.call("GET", "/.well-known/databricks-config", token=token).data["oidc_endpoint"].startswith("http://127")
    )


def test_telemetry_is_taken_whatever_it_is(site: Site, token: str) -> None:
    assert site.call("POST", "/telemetry-ext", {"protoLogs": ["a", "b"]}, token=token).data["numProtoSuccess"] == 2
    assert site.call("POST", "/telemetry-ext", b"\xff", token=token).status == 200
