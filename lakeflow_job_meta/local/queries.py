"""Saved SQL queries: create, get, list, update, move to the trash."""

from __future__ import annotations

import json
import sqlite3
import uuid
from datetime import UTC, datetime
from typing import Any, cast

from lakeflow_job_meta.local import tree
from lakeflow_job_meta.local.call import Answer, Call, Refusal, Route, invalid, malformed, missing, reply, text_field
from lakeflow_job_meta.local.paging import decode_token, encode_token
from lakeflow_job_meta.local.state import MAX_ID

EDITABLE: dict[str, type] = {
    "display_name": str, "query_text": str, "warehouse_id": str, "description": str, "catalog": str, "schema": str,
    "run_as_mode": str, "owner_user_name": str, "apply_auto_limit": bool, "tags": list, "parameters": list,
}  # fmt: skip


def create(call: Call) -> Answer:
    """Save a query in a folder; its name must be free there."""
    body = call.json()
    query = _fields(body.get("query"))
    if not query.get("display_name"):
        invalid("Missing required field: query.display_name")
    raw = cast("dict[str, Any]", body["query"])
    parent = text_field(raw, "parent_path", required=False) or tree.user_folder(call.caller.user)
    folder = tree.require_folder(call, parent)
    query_id, now = str(uuid.uuid4()), _timestamp(call)
    query = {
        "run_as_mode": "OWNER", "owner_user_name": call.caller.user, **query,
        "id": query_id, "parent_path": f"/Workspace{folder}", "lifecycle_state": "ACTIVE", "create_time": now,
        "update_time": now, "last_modifier_user_name": call.caller.user,
    }  # fmt: skip
    resolve = body.get("auto_resolve_display_name") is True
    original, suffix = query["display_name"], 1
    while True:
        row = {"workspace": call.caller.workspace_id, "id": query_id, "parent": folder, "trashed": 0}
        try:
            call.state.insert("queries", {**row, "display_name": query["display_name"], "body": json.dumps(query)})
        except sqlite3.IntegrityError:
            if not resolve:
                _taken(query["display_name"], folder)
            query["display_name"] = f"{original} ({suffix})"
            suffix += 1
        else:
            return reply(query)


def get(call: Call) -> Answer:
    """A query, also one in the trash."""
    return reply(_query(call))


def update(call: Call) -> Answer:
    """Change the fields that the mask names."""
    body, query = call.json(), _query(call)
    if query["lifecycle_state"] == "TRASHED":
        invalid(f"Query {query['id']} is in the trash.")
    mask = text_field(body, "update_mask")
    new = _fields(body.get("query"))
    names = list(new) if mask == "*" else [name.strip() for name in mask.split(",")]
    for name in names:
        if name not in EDITABLE:
            invalid(f"Field '{name}' of update_mask cannot be updated.")
    # A field that the mask names and the query leaves out is cleared.
    query = {name: value for name, value in query.items() if name not in names} | {
        name: new[name] for name in names if name in new
    }
    if not query.get("display_name"):
        invalid("display_name cannot be empty.")
    query |= {"update_time": _timestamp(call), "last_modifier_user_name": call.caller.user}
    resolve, original, suffix = body.get("auto_resolve_display_name") is True, query["display_name"], 1
    while True:
        try:
            _save(call, query)
        except sqlite3.IntegrityError:
            if not resolve:
                _taken(query["display_name"], query["parent_path"])
            query["display_name"] = f"{original} ({suffix})"
            suffix += 1
        else:
            return reply(query)


def trash(call: Call) -> Answer:
    """Move a query to the trash; its name is free again."""
    query = _query(call)
    _save(call, query | {"lifecycle_state": "TRASHED", "update_time": _timestamp(call)})
    return reply({})


def list_(call: Call) -> Answer:
    """A page of queries, newest first, without those in the trash."""
    size = call.number("page_size", 20, 1, 1000)
    last = int(decode_token(call.query["page_token"])) if call.query.get("page_token") else MAX_ID
    rows = call.state.all(
        "SELECT seq, body FROM queries WHERE workspace = ? AND NOT trashed AND seq < ? ORDER BY seq DESC LIMIT ?",
        call.caller.workspace_id,
        last,
        size + 1,
    )
    result: dict[str, Any] = {"results": [json.loads(row["body"]) for row in rows[:size]]}
    if len(rows) > size:
        result["next_page_token"] = encode_token(str(rows[size - 1]["seq"]))
    return reply(result)


def require(call: Call, query_id: str | None) -> None:
    """Refuse a reference to a query that isn't there (a strict server only).

    Raises:
        Refusal: 400 INVALID_PARAMETER_VALUE.
    """
    if not call.options.strict or query_id is None:
        return
    where = "workspace = ? AND id = ? AND NOT trashed"
    if call.state.one(f"SELECT 1 FROM queries WHERE {where}", call.caller.workspace_id, query_id) is None:  # noqa: S608
        invalid(f"Query {query_id} does not exist.")


def trash_below(call: Call, folder: str) -> None:
    """Move all queries of a folder that is being deleted, and of those in it, to the trash."""
    rows = call.state.all(
        "SELECT body FROM queries WHERE workspace = ? AND NOT trashed AND (parent = ? OR substr(parent, 1, ?) = ?)",
        call.caller.workspace_id, folder, len(folder) + 1, f"{folder}/",
    )  # fmt: skip
    for row in rows:
        _save(call, json.loads(row["body"]) | {"lifecycle_state": "TRASHED"})


def _fields(query: object) -> dict[str, Any]:
    """The editable fields of a request's query; the service ignores the others."""
    if not isinstance(query, dict):
        invalid("Missing required field: query")
    found: dict[str, Any] = {}
    for name, value in cast("dict[str, Any]", query).items():
        if name in EDITABLE and value is not None:
            if not isinstance(value, EDITABLE[name]):
                malformed(f"query.{name}: expected {EDITABLE[name].__name__}, found {type(value).__name__}")
            found[name] = value
    return found


def _query(call: Call) -> dict[str, Any]:
    where = "SELECT body FROM queries WHERE workspace = ? AND id = ?"
    row = call.state.one(where, call.caller.workspace_id, call.parts["id"])
    if row is None:
        missing(f"Query {call.parts['id']} does not exist.")
    return cast("dict[str, Any]", json.loads(row["body"]))


def _save(call: Call, query: dict[str, Any]) -> None:
    call.state.run(
        "UPDATE queries SET display_name = ?, trashed = ?, body = ? WHERE workspace = ? AND id = ?",
        query["display_name"], int(query["lifecycle_state"] == "TRASHED"), json.dumps(query),
        call.caller.workspace_id, query["id"],
    )  # fmt: skip


def _taken(name: str, folder: str) -> None:
    raise Refusal(400, "RESOURCE_ALREADY_EXISTS", f"A query named '{name}' already exists in {folder}.")


def _timestamp(call: Call) -> str:
    return datetime.fromtimestamp(call.now_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


ROUTES = (
    Route("POST", "/api/2.0/sql/queries", create),
    Route("GET", "/api/2.0/sql/queries", list_),
    Route("GET", "/api/2.0/sql/queries/{id}", get),
    Route("PATCH", "/api/2.0/sql/queries/{id}", update),
    Route("DELETE", "/api/2.0/sql/queries/{id}", trash),
)
