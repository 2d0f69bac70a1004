"""Who may do what with a job: the permissions API, and the rights that other services ask about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from lakeflow_job_meta.local.call import Answer, Call, Route, invalid, missing, reply
from lakeflow_job_meta.local.job_settings import parsed
from lakeflow_job_meta.model import jobs_api

PRINCIPALS = ("user_name", "group_name", "service_principal_name")
LEVELS = {
    "CAN_VIEW": "Can view the job",
    "CAN_MANAGE_RUN": "Can view the job and manage its runs",
    "IS_OWNER": "Is the owner of the job",
    "CAN_MANAGE": "Can manage the job and its permissions",
}
READING = tuple(LEVELS)
RUNNING = ("CAN_MANAGE_RUN", "CAN_MANAGE", "IS_OWNER")
WRITING = ("CAN_MANAGE", "IS_OWNER")
Grant = tuple[str, str, str]
"""Kind of principal, its name, its level."""


def parsed_acl(value: object) -> list[Grant]:
    """An access control list as grants.

    Raises:
        Refusal: 400, for a wrong shape, an unknown level, or an entry without exactly one principal.
    """
    grants: list[Grant] = []
    for entry in cast("list[dict[str, Any]]", parsed(value or [], "list[JobAccessControlRequest]")):
        kinds = [kind for kind in PRINCIPALS if entry.get(kind)]
        if len(kinds) != 1:
            invalid(f"Each entry of access_control_list needs exactly one of {', '.join(PRINCIPALS)}.")
        level = entry.get("permission_level")
        if level not in LEVELS:
            known = ", ".join(jobs_api.choices("JobAccessControlRequest", "permission_level"))
            invalid(f"Unknown permission_level '{level}'; known: {known}.")
        grants.append((kinds[0], str(entry[kinds[0]]), str(level)))
    return grants


def replace(call: Call, name: str, grants: list[Grant], *, owner: str | None = None) -> None:
    """Make these the grants of a thing; `owner` is who owns it where the grants don't say.

    Raises:
        Refusal: 400, unless they name exactly one owner.
    """
    owners = [grant for grant in grants if grant[2] == "IS_OWNER"]
    if not owners and owner is not None:
        grants, owners = [("user_name", owner, "IS_OWNER"), *grants], [("user_name", owner, "IS_OWNER")]
    if len(owners) != 1:
        invalid(f"The job must have exactly one owner; found {len(owners)}.")
    if owners[0][0] == "group_name":
        invalid("A group can't be the owner of a job.")
    forget(call, name)
    for kind, principal, level in grants:
        call.state.run(
            "INSERT OR REPLACE INTO acls VALUES (?, ?, ?, ?, ?)", call.caller.workspace_id, name, kind, principal, level
        )


def forget(call: Call, name: str) -> None:
    """Drop the grants of a thing that is gone."""
    call.state.run("DELETE FROM acls WHERE workspace = ? AND object = ?", call.caller.workspace_id, name)


def may(call: Call, name: str, levels: Sequence[str]) -> bool:
    """Whether the caller has one of these levels on a thing."""
    if call.caller.admin:
        return True
    own = {level for kind, who, level in grants_of(call, name) if kind == "user_name" and who == call.caller.user}
    return bool(own.intersection(levels))


def grants_of(call: Call, name: str) -> list[Grant]:
    """The grants of a thing; empty if it isn't there."""
    rows = call.state.all(
        "SELECT kind, principal, level FROM acls WHERE workspace = ? AND object = ?", call.caller.workspace_id, name
    )
    return [(row["kind"], row["principal"], row["level"]) for row in rows]


def get(call: Call) -> Answer:
    """A job's access control list, with what administrators inherit."""
    return reply(_shown(call, *_object(call, write=False)))


def set_(call: Call) -> Answer:
    """Replace the list; it must name exactly one owner."""
    name, job_id = _object(call, write=True)
    grants = parsed_acl(call.json().get("access_control_list"))
    with call.state.transaction():
        replace(call, name, grants)
    return reply(_shown(call, name, job_id))


def patch(call: Call) -> Answer:
    """Add and change entries; a new owner replaces the old one."""
    name, job_id = _object(call, write=True)
    new = parsed_acl(call.json().get("access_control_list"))
    changed = {grant[:2] for grant in new}
    owner_moves = any(level == "IS_OWNER" for _, _, level in new)
    kept = [
        grant
        for grant in grants_of(call, name)
        if grant[:2] not in changed and not (owner_moves and grant[2] == "IS_OWNER")
    ]
    with call.state.transaction():
        replace(call, name, kept + new)
    return reply(_shown(call, name, job_id))


def levels(call: Call) -> Answer:
    """The levels that a job knows."""
    _object(call, write=False)
    return reply(
        {"permission_levels": [{"permission_level": level, "description": text} for level, text in LEVELS.items()]}
    )


def _object(call: Call, *, write: bool) -> tuple[str, str]:
    job_id = call.parts["id"]
    name = f"jobs/{job_id}"
    if not may(call, name, WRITING if write else READING) or not grants_of(call, name):
        missing(f"Job {job_id} does not exist.")
    return name, job_id


def _shown(call: Call, name: str, job_id: str) -> dict[str, Any]:
    entries: list[dict[str, Any]] = [
        {
            kind: principal,
            "display_name": principal,
            "all_permissions": [{"permission_level": level, "inherited": False}],
        }
        for kind, principal, level in grants_of(call, name)
    ]
    inherited = {"permission_level": "CAN_MANAGE", "inherited": True, "inherited_from_object": ["/jobs/"]}
    entries.append({"group_name": "admins", "all_permissions": [inherited]})
    return {"object_id": f"/jobs/{job_id}", "object_type": "job", "access_control_list": entries}


ROUTES = (
    Route("GET", "/api/2.0/permissions/jobs/{id}", get),
    Route("PUT", "/api/2.0/permissions/jobs/{id}", set_),
    Route("PATCH", "/api/2.0/permissions/jobs/{id}", patch),
    Route("GET", "/api/2.0/permissions/jobs/{id}/permissionLevels", levels),
)
