"""The workspace as a task reads it: notebooks, files and secrets out of the server's database, read-only."""

from __future__ import annotations

import posixpath
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lakeflow_job_meta.diagnostics import nearest
from lakeflow_job_meta.errors import InputError

# As in local/tree.py, which knows of calls and answers and costs a task 10 ms to import.
FOLDER, MOUNT = "DIRECTORY", "Workspace"
MOST_BYTES = 64 * 1024 * 1024
NOTEBOOK = "NOTEBOOK"


@dataclass(frozen=True, slots=True)
class Node:
    """A file or notebook of the workspace."""

    path: str
    object_type: str
    language: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Workspace:
    """One workspace of a home folder.

    Args:
        home: the folder with `local/workspace.db` and `volumes`.
        workspace_id: which of the workspaces in it.
    """

    home: Path
    workspace_id: int

    def find(self, path: str) -> Node | None:
        """The file or notebook at a path, with or without `/Workspace`."""
        sql = "SELECT path, object_type, language, content FROM nodes WHERE workspace = ? AND path = ?"
        rows = self._rows(f"{sql} AND object_type != ?", key_of(path), FOLDER)
        return Node(*rows[0]) if rows else None

    def copy_files(self, folder: str, to: Path) -> None:
        """Copy the files of a folder and of those below it, which a task may import and read.

        Nothing is copied of a folder that is too big to be copied for each task; the task's log says so.
        """
        key = key_of(folder).rstrip("/") + "/"
        below = "FROM nodes WHERE workspace = ? AND substr(path, 1, ?) = ? AND object_type = 'FILE'"
        ((size,),) = self._rows(f"SELECT coalesce(sum(length(content)), 0) {below}", len(key), key)
        if size > MOST_BYTES:
            print(f"{folder} holds {size} bytes: its files aren't copied beside the task", file=sys.stderr)
            return
        for path, content in self._rows(f"SELECT path, content {below}", len(key), key):
            copy = to / path[len(key) :]
            copy.parent.mkdir(parents=True, exist_ok=True)
            _ = copy.write_bytes(content)

    def scopes(self) -> list[str]:
        """The names of all scopes of secrets."""
        return [row[0] for row in self._rows("SELECT name FROM scopes WHERE workspace = ? ORDER BY name")]

    def secret_keys(self, scope: str) -> list[str]:
        """The names of a scope's secrets.

        Raises:
            InputError: there is no such scope.
        """
        if scope not in (known := self.scopes()):
            raise InputError(f"Scope {scope} does not exist!", hint=nearest(scope, known))
        return [row[0] for row in self._rows("SELECT key FROM secrets WHERE workspace = ? AND scope = ?", scope)]

    def secret(self, scope: str, key: str) -> bytes:
        """A secret's value.

        Raises:
            InputError: there is no such scope or secret.
        """
        if key not in (known := self.secret_keys(scope)):
            raise InputError(f"Secret does not exist with scope: {scope} and key: {key}", hint=nearest(key, known))
        where = "SELECT value FROM secrets WHERE workspace = ? AND scope = ? AND key = ?"
        return bytes(self._rows(where, scope, key)[0][0])

    def near(self, path: str) -> str:
        """The known path most like this one, as a hint."""
        rows = self._rows("SELECT path FROM nodes WHERE workspace = ? AND object_type != ?", FOLDER)
        return nearest(key_of(path), [row[0] for row in rows])

    def _rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        database = self.home / "local" / "workspace.db"
        if not database.exists():
            raise InputError(f"{self.home} holds no embedded workspace", hint="start it: ljm local start")
        # A connection of its own for each look: the user's code may fork and use threads.
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            return connection.execute(sql, (self.workspace_id, *values)).fetchall()


def key_of(path: str) -> str:
    """A path as the database has it: without mount, `.`, `..` and doubled slashes.

    >>> key_of("/Workspace/Shared/etl/../load.py")
    '/Shared/load.py'
    """
    parts = [part for part in posixpath.normpath(path).split("/") if part]
    return "/" + "/".join(parts[1:] if parts[:1] == [MOUNT] else parts)


def beside(path: str, other: str) -> str:
    """A path as seen from a notebook or file at the other: relative ones begin in its folder."""
    return path if path.startswith("/") else posixpath.join(posixpath.dirname(other), path)
