"""Who one is, where one is: SCIM Me and what clients ask before anything else."""

from __future__ import annotations

import contextlib
import json

from lakeflow_job_meta.local.call import Answer, Call, Route, reply

ORG_HEADER = "X-Databricks-Org-Id"


def me(call: Call) -> Answer:
    """The caller as SCIM describes users; a header tells the workspace."""
    user = call.caller.user
    groups = [{"display": "users", "type": "direct", "value": "1000000001"}]
    if call.caller.admin:
        groups.append({"display": "admins", "type": "direct", "value": "1000000002"})
    body = {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "id": "1000012345", "userName": user, "displayName": user, "active": True, "name": {"givenName": user},
        "emails": [{"type": "work", "value": user, "primary": True}], "groups": groups,
    }  # fmt: skip
    return reply(body, headers={ORG_HEADER: str(call.caller.workspace_id)})


def config(call: Call) -> Answer:
    """Where to log in; needs no token."""
    origin = f"http://{call.headers.get('host', '127.0.0.1')}"
    # Without a token nobody knows which workspace is meant, if each token has its own; clients then ask SCIM Me.
    which = {} if call.options.token_per_workspace else {"workspace_id": str(call.caller.workspace_id)}
    return reply({"oidc_endpoint": f"{origin}/oidc", **which})


def telemetry(call: Call) -> Answer:
    """Taken and thrown away, whatever it is; the count tells the client that nothing need be sent again."""
    with contextlib.suppress(ValueError, TypeError, LookupError):
        return reply({"errors": [], "numProtoSuccess": len(json.loads(call.body)["protoLogs"])})
    return reply({"errors": [], "numProtoSuccess": 0})


ROUTES = (
    Route("GET", "/api/2.0/preview/scim/v2/Me", me),
    Route("GET", "/api/2.0/account/scim/v2/Me", me),
    Route("GET", "/api/2.0/scim/v2/Me", me),
    Route("GET", "/.well-known/databricks-config", config),
    Route("POST", "/telemetry-ext", telemetry),
    Route("POST", "/telemetry", telemetry),
)
