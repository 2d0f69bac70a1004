"""The Jobs API 2.2 (2.1 and 2.0 paths too): create, get, list, reset, update, delete."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, cast

from lakeflow_job_meta.local import permissions, queries, warehouses
from lakeflow_job_meta.local.call import Answer, Call, Refusal, Route, invalid, malformed, reply
from lakeflow_job_meta.local.job_pages import PAGE, page, page_number, shortened
from lakeflow_job_meta.local.job_rules import validate
from lakeflow_job_meta.local.job_settings import LIST_KEYS, Settings, merged, normalised, parsed
from lakeflow_job_meta.local.paging import decode_token, encode_token
from lakeflow_job_meta.local.state import MAX_ID, new_id

VERSIONS = ("2.2", "2.1", "2.0")
READ, WRITE, MANAGE = "View or Admin or Manage Run or Owner", "Manage or Owner", "Admin or Owner"
RUN = "Admin or Manage Run or Owner"
RIGHTS = {
    READ: permissions.READING, RUN: permissions.RUNNING, WRITE: permissions.WRITING, MANAGE: permissions.WRITING,
}  # fmt: skip
UNLISTED = frozenset({*LIST_KEYS})


def create(call: Call) -> Answer:
    """Make a job; two of the same name are fine, and a request sent twice makes two, as in the real service."""
    body = call.json()
    acl = permissions.parsed_acl(body.pop("access_control_list", None))
    settings = checked(call, parsed(body))
    job_id = new_id()
    with call.state.transaction():
        row = _row(call, settings)
        call.state.insert(
            "jobs",
            {
                "workspace": call.caller.workspace_id, "job_id": job_id, "creator": call.caller.user,
                "run_as": call.caller.user, "created_time": call.now_ms, **row,
            },
        )  # fmt: skip
        permissions.replace(call, f"jobs/{job_id}", acl, owner=call.caller.user)
    return reply({"job_id": job_id})


def get(call: Call) -> Answer:
    """A job, a page of its lists at a time."""
    job = require(call, id_in(call.query.get("job_id")), READ)
    number = page_number(call.query.get("page_token"))
    head = {
        "job_id": job["job_id"], "creator_user_name": job["creator"], "run_as_user_name": job["run_as"],
        "run_as_owner": job["run_as"] == job["creator"], "created_time": job["created_time"],
    }  # fmt: skip
    if job["widest"] <= PAGE and number == 0:
        # The stored text is the answer: nothing to parse.
        return Answer(f'{json.dumps(head)[:-1]},"settings":{job["settings"]}}}'.encode())
    settings, more = page(json.loads(job["settings"]), number)
    if more:
        head |= {"has_more": True, "next_page_token": encode_token(str(number + 1))}
    return reply({**head, "settings": settings})


def list_(call: Call) -> Answer:
    """A page of jobs, newest first, without what is too long for a list."""
    limit, expand = call.number("limit", 20, 1, 100), call.flag("expand_tasks")
    last = int(decode_token(call.query["page_token"])) if call.query.get("page_token") else MAX_ID
    values: list[object] = [call.caller.workspace_id, last]
    where = "workspace = ? AND seq < ?"
    name = call.query.get("name")
    if name:
        where += " AND folded_name = ?"
        values.append(name.casefold())
    if call.options.list_lag_seconds:
        where += " AND created_time <= ?"
        values.append(call.now_ms - int(call.options.list_lag_seconds * 1000))
    if not call.caller.admin:
        where += " AND 'jobs/' || job_id IN (SELECT object FROM acls WHERE workspace = ? AND principal = ?)"
        values += [call.caller.workspace_id, call.caller.user]
    rows = call.state.all(f"SELECT * FROM jobs WHERE {where} ORDER BY seq DESC LIMIT ?", *values, limit + 1)  # noqa: S608
    shown = ",".join(_listed(row, expand=expand) for row in rows[:limit])
    more = len(rows) > limit
    # The token names the last job shown, so jobs made or deleted meanwhile neither shift nor repeat the others.
    tail = f',"next_page_token":{json.dumps(encode_token(str(rows[limit - 1]["seq"])))}' if more else ""
    jobs = f'"jobs":[{shown}],' if rows else ""
    return Answer(f'{{{jobs}"has_more":{json.dumps(more)}{tail}}}'.encode())


def reset(call: Call) -> Answer:
    """Replace all settings."""
    body = call.json()
    job = require(call, id_in(body.get("job_id")), WRITE)
    if body.get("new_settings") is None:
        invalid("Missing required field: new_settings")
    return _store(call, job, parsed(body["new_settings"]))


def update(call: Call) -> Answer:
    """Change some settings: lists by key, all else whole."""
    body = call.json()
    job = require(call, id_in(body.get("job_id")), WRITE)
    remove = cast("list[str]", parsed(body.get("fields_to_remove") or [], "list[str]"))
    new = parsed(body.get("new_settings") or {})
    for name in LIST_KEYS:
        for position, each in enumerate(new.get(name, [])):
            if LIST_KEYS[name] not in each:
                invalid(f"Missing required field: {name}[{position}].{LIST_KEYS[name]}")
    return _store(call, job, merged(json.loads(job["settings"]), new, remove))


def delete(call: Call) -> Answer:
    """Delete a job; its id is never given again."""
    job = require(call, id_in(call.json().get("job_id")), MANAGE)
    with call.state.transaction():
        call.state.run("DELETE FROM jobs WHERE seq = ?", job["seq"])
        permissions.forget(call, f"jobs/{job['job_id']}")
    for run in call.runner.rows.active_of_job(job["job_id"])[::-1]:
        call.runner.cancel(run.run_id)
    return reply({})


def checked(call: Call, settings: Settings) -> Settings:
    """The settings, validated and with the service's defaults."""
    validate(settings)
    if call.options.strict:
        for task in settings["tasks"]:
            sql = cast("dict[str, Any]", task.get("sql_task", {}))
            if sql:
                warehouses.require(call, sql["warehouse_id"])
                queries.require(call, sql.get("query", {}).get("query_id"))
    return normalised(settings, queue_by_default="/2.2/" in call.path)


def _store(call: Call, job: dict[str, Any], settings: Settings) -> Answer:
    """Replace the settings; whom the job runs as stays where they don't say, a quirk of the real service."""
    old = cast("Settings", json.loads(job["settings"]))
    if "run_as" in old:
        settings.setdefault("run_as", old["run_as"])
    row = _row(call, checked(call, settings))
    marks = ", ".join(f"{name} = ?" for name in row)
    call.state.run(f"UPDATE jobs SET {marks} WHERE seq = ?", *row.values(), job["seq"])  # noqa: S608
    return reply({})


def _row(call: Call, settings: Settings) -> dict[str, object]:
    """The columns that follow from the settings."""
    row: dict[str, object] = {
        "folded_name": settings["name"].casefold(),
        "settings": json.dumps(settings, separators=(",", ":")),
        "listed": json.dumps({k: v for k, v in settings.items() if k not in UNLISTED}, separators=(",", ":")),
        "widest": max((len(settings.get(name, [])) for name in LIST_KEYS), default=0),
    }
    if run_as := settings.get("run_as"):
        row["run_as"] = next(str(each) for each in run_as.values() if each)
    return row


def _listed(row: dict[str, Any], *, expand: bool) -> str:
    head = {"job_id": row["job_id"], "creator_user_name": row["creator"], "created_time": row["created_time"]}
    if not expand:
        return f'{json.dumps(head)[:-1]},"settings":{row["listed"]}}}'
    settings, more = shortened(json.loads(row["settings"]))
    return json.dumps({**head, **({"has_more": True} if more else {}), "settings": settings}, separators=(",", ":"))


def id_in(value: object, name: str = "job_id") -> int:
    """An id of a request.

    Raises:
        Refusal: 400, if it is missing or not a whole number.
    """
    if value is None:
        invalid(f"Missing required field: {name}")
    text = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    if not re.fullmatch(r"-?[0-9]{1,30}", text):
        malformed(f"{name}: expected a whole number, found {json.dumps(value)[:60]}")
    return int(text)


def require(call: Call, job_id: int, right: str) -> dict[str, Any]:
    """The job's row. Rights come first: who has none is told so even of a job that doesn't exist.

    Raises:
        Refusal: 403, or 400 for a job that doesn't exist.
    """
    if not permissions.may(call, f"jobs/{job_id}", RIGHTS[right]):
        message = f"User {call.caller.user} does not have {right} permissions on job {job_id}"
        raise Refusal(403, "PERMISSION_DENIED", message)
    known = call.state.one(
        "SELECT * FROM jobs WHERE job_id = ? AND workspace = ?",
        job_id if abs(job_id) <= MAX_ID else 0,
        call.caller.workspace_id,
    )
    if known is None:
        invalid(f"Job {job_id} does not exist.")
    return known


def _routes() -> tuple[Route, ...]:
    served: tuple[tuple[str, str, Callable[[Call], Answer]], ...] = (
        ("POST", "create", create), ("GET", "get", get), ("GET", "list", list_), ("POST", "reset", reset),
        ("POST", "update", update), ("POST", "delete", delete),
    )  # fmt: skip
    return tuple(
        Route(method, f"/api/{version}/jobs/{name}", handler)
        for version in VERSIONS
        for method, name, handler in served
    )


ROUTES = _routes()
