"""Who may do what with a folder of the workspace's tree: kept and told. Every caller here is an administrator to it."""

from __future__ import annotations

from typing import Any, cast

from lakeflow_job_meta.local.call import Answer, Call, Route, invalid, missing, reply
from lakeflow_job_meta.local.job_settings import parsed
from lakeflow_job_meta.local.permissions import PRINCIPALS, grants_of
from lakeflow_job_meta.local.tree import FOLDER

LEVELS = ("CAN_READ", "CAN_RUN", "CAN_EDIT", "CAN_MANAGE")


def get(call: Call) -> Answer:
    """A folder's access control list."""
    return reply(_shown(call, _object(call)))


def patch(call: Call) -> Answer:
    """Add and change entries."""
    name = _object(call)
    entries = cast(
        "list[dict[str, Any]]", parsed(call.json().get("access_control_list") or [], "list[JobAccessControlRequest]")
    )
    with call.state.transaction():
        for entry in entries:
            kinds = [kind for kind in PRINCIPALS if entry.get(kind)]
            if len(kinds) != 1 or entry.get("permission_level") not in LEVELS:
                invalid(f"Each entry needs exactly one of {', '.join(PRINCIPALS)}, and one of {', '.join(LEVELS)}.")
            call.state.run(
                "INSERT OR REPLACE INTO acls VALUES (?, ?, ?, ?, ?)",
                call.caller.workspace_id, name, kinds[0], entry[kinds[0]], entry["permission_level"],
            )  # fmt: skip
    return reply(_shown(call, name))


def _object(call: Call) -> str:
    object_id = call.parts["id"]
    sql = "SELECT path FROM nodes WHERE workspace = ? AND object_id = ? AND object_type = ?"
    if not object_id.isdecimal() or call.state.one(sql, call.caller.workspace_id, int(object_id), FOLDER) is None:
        missing(f"Directory {object_id} does not exist.")
    return f"directories/{object_id}"


def _shown(call: Call, name: str) -> dict[str, Any]:
    entries = [
        {kind: who, "all_permissions": [{"permission_level": level, "inherited": False}]}
        for kind, who, level in grants_of(call, name)
    ]
    return {"object_id": f"/{name}", "object_type": "directory", "access_control_list": entries}


ROUTES = (
    Route("GET", "/api/2.0/permissions/directories/{id}", get),
    Route("PATCH", "/api/2.0/permissions/directories/{id}", patch),
)
