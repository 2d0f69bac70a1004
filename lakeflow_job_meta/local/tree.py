"""The workspace's tree of folders, files and notebooks, as rows.

Paths are kept without the `/Workspace` mount, since `/Users/x` and `/Workspace/Users/x` are the same place.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from lakeflow_job_meta.local.call import Call, Refusal, invalid, missing
from lakeflow_job_meta.local.state import new_id

MOUNT = "/Workspace"
FOLDER = "DIRECTORY"
COLUMNS = "path, object_id, object_type, language, created_at, modified_at, length(content) AS size"


def key_of(path: str) -> str:
    """The path without mount and doubled slashes.

    Raises:
        Refusal: 400, for a path that isn't absolute or climbs.
    """
    parts = [part for part in path.split("/") if part]
    if not path.startswith("/") or "." in parts or ".." in parts or "\0" in path:
        invalid(f"Path ({path}) must be absolute, without '.' and '..'.")
    return "/" + "/".join(parts[1:] if parts[:1] == [MOUNT[1:]] else parts)


def user_folder(user: str) -> str:
    """A user's home folder; it always exists."""
    return f"/Users/{user}"


def find(call: Call, key: str) -> dict[str, Any] | None:
    """What lies at a key, with its content, or None."""
    sql = "SELECT *, length(content) AS size FROM nodes WHERE workspace = ? AND path = ?"
    node = call.state.one(sql, call.caller.workspace_id, key)
    if node is None and key in ("/", "/Users", "/Shared", user_folder(call.caller.user)):
        # Every workspace has these from the start; here they come into being when somebody looks.
        if key != "/":
            make_folders(call, str(PurePosixPath(key).parent))
        insert(call, key, FOLDER)
        return call.state.one(sql, call.caller.workspace_id, key)
    return node


def require(call: Call, path: str) -> dict[str, Any]:
    """What lies at a path.

    Raises:
        Refusal: 404, if nothing does.
    """
    node = find(call, key_of(path))
    if node is None:
        missing(f"Path ({path}) doesn't exist.")
    return node


def require_folder(call: Call, path: str) -> str:
    """The key of a folder that something is to be put into.

    Raises:
        Refusal: 404, if there is no such folder.
    """
    key = key_of(path)
    node = find(call, key)
    if node is None or node["object_type"] != FOLDER:
        missing(f"The parent folder ({path}) does not exist.")
    return key


def make_folders(call: Call, key: str) -> None:
    """Make a folder and those above it, where they don't exist.

    Raises:
        Refusal: 400, if something else lies on the way.
    """
    wanted = PurePosixPath(key)
    for folder in (*reversed(wanted.parents), wanted):
        node = find(call, str(folder))
        if node is None:
            insert(call, str(folder), FOLDER)
        elif node["object_type"] != FOLDER:
            raise Refusal(400, "RESOURCE_ALREADY_EXISTS", f"Path ({folder}) is not a folder.")


def insert(call: Call, key: str, object_type: str, *, language: str = "", content: bytes = b"") -> None:
    """Add a node under an existing folder.

    Raises:
        sqlite3.IntegrityError: something lies there already.
    """
    call.state.insert(
        "nodes",
        {
            "workspace": call.caller.workspace_id, "path": key, "parent": str(PurePosixPath(key).parent),
            "object_id": new_id(), "object_type": object_type, "language": language, "created_at": call.now_ms,
            "modified_at": call.now_ms, "content": content,
        },
    )  # fmt: skip
