"""Secret scopes and secrets. Values are readable by whoever may read the home folder; that is one person."""

from __future__ import annotations

import base64
import binascii
import re
import sqlite3

from lakeflow_job_meta.local.call import Answer, Call, Refusal, Route, invalid, malformed, missing, reply, text_field

NAME = re.compile(r"[A-Za-z0-9_.@-]{1,128}")
MAX_BYTES = 128 * 1024


def create_scope(call: Call) -> Answer:
    """Make a scope."""
    name = text_field(call.json(), "scope")
    if not NAME.fullmatch(name):
        invalid(f"Scope name '{name}' must be 1 to 128 letters, digits, '-', '_', '.' and '@'.")
    try:
        call.state.insert("scopes", {"workspace": call.caller.workspace_id, "name": name})
    except sqlite3.IntegrityError:
        raise Refusal(400, "RESOURCE_ALREADY_EXISTS", f"Scope {name} already exists!") from None
    return reply({})


def list_scopes(call: Call) -> Answer:
    """All scopes."""
    rows = call.state.all("SELECT name FROM scopes WHERE workspace = ? ORDER BY name", call.caller.workspace_id)
    return reply({"scopes": [{"name": row["name"], "backend_type": "DATABRICKS"} for row in rows]} if rows else {})


def delete_scope(call: Call) -> Answer:
    """Delete a scope with its secrets."""
    name = _scope(call, text_field(call.json(), "scope"))
    with call.state.transaction():
        call.state.run("DELETE FROM scopes WHERE workspace = ? AND name = ?", call.caller.workspace_id, name)
        call.state.run("DELETE FROM secrets WHERE workspace = ? AND scope = ?", call.caller.workspace_id, name)
    return reply({})


def put(call: Call) -> Answer:
    """Store a secret, over an older one of the key."""
    body = call.json()
    scope, key = _scope(call, text_field(body, "scope")), text_field(body, "key")
    if not NAME.fullmatch(key):
        invalid(f"Secret key '{key}' must be 1 to 128 letters, digits, '-', '_', '.' and '@'.")
    if ("string_value" in body) == ("bytes_value" in body):
        invalid("Exactly one of string_value and bytes_value must be given.")
    value = text_field(body, "string_value" if "string_value" in body else "bytes_value").encode()
    if "bytes_value" in body:
        try:
            value = base64.b64decode(value, validate=True)
        except binascii.Error:
            malformed("bytes_value: expected base64 text")
    if len(value) > MAX_BYTES:
        invalid(f"A secret holds at most {MAX_BYTES} bytes.")
    row = (call.caller.workspace_id, scope, key, value, call.now_ms)
    call.state.run("INSERT OR REPLACE INTO secrets VALUES (?, ?, ?, ?, ?)", *row)
    return reply({})


def list_(call: Call) -> Answer:
    """The keys of a scope's secrets."""
    rows = call.state.all(
        "SELECT key, updated_at FROM secrets WHERE workspace = ? AND scope = ? ORDER BY key",
        call.caller.workspace_id, _scope(call, call.query.get("scope", "")),
    )  # fmt: skip
    found = [{"key": row["key"], "last_updated_timestamp": row["updated_at"]} for row in rows]
    return reply({"secrets": found} if found else {})


def get(call: Call) -> Answer:
    """A secret's value, in base64."""
    scope, key = _scope(call, call.query.get("scope", "")), call.query.get("key", "")
    where = "SELECT value FROM secrets WHERE workspace = ? AND scope = ? AND key = ?"
    row = call.state.one(where, call.caller.workspace_id, scope, key)
    if row is None:
        missing(f"Failed to get secret {key} for scope {scope}: it does not exist.")
    return reply({"key": key, "value": base64.b64encode(row["value"]).decode()})


def delete(call: Call) -> Answer:
    """Delete a secret."""
    body = call.json()
    scope, key = _scope(call, text_field(body, "scope")), text_field(body, "key")
    where = "DELETE FROM secrets WHERE workspace = ? AND scope = ? AND key = ?"
    if not call.state.run(where, call.caller.workspace_id, scope, key):
        missing(f"Failed to delete secret {key} of scope {scope}: it does not exist.")
    return reply({})


def _scope(call: Call, name: str) -> str:
    if not name:
        invalid("Missing required field: scope")
    if call.state.one("SELECT 1 FROM scopes WHERE workspace = ? AND name = ?", call.caller.workspace_id, name) is None:
        missing(f"Scope {name} does not exist!")
    return name


ROUTES = (
    Route("POST", "/api/2.0/secrets/scopes/create", create_scope),
    Route("GET", "/api/2.0/secrets/scopes/list", list_scopes),
    Route("POST", "/api/2.0/secrets/scopes/delete", delete_scope),
    Route("POST", "/api/2.0/secrets/put", put),
    Route("GET", "/api/2.0/secrets/list", list_),
    Route("GET", "/api/2.0/secrets/get", get),
    Route("POST", "/api/2.0/secrets/delete", delete),
)
