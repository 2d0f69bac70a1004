"""The server's state: one SQLite file, one connection, used by one thread."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

MAX_ID = 2**53 - 1
SCHEMA_VERSION = 2
RUNS = """
CREATE TABLE runs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, run_id INTEGER NOT NULL UNIQUE, workspace INTEGER NOT NULL,
    job_id INTEGER NOT NULL, kind TEXT NOT NULL, token TEXT, start_ms INTEGER NOT NULL, active INTEGER NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0, settings TEXT NOT NULL, record TEXT NOT NULL);
CREATE INDEX runs_of_workspace ON runs (workspace, start_ms, seq);
CREATE INDEX runs_of_job ON runs (job_id, start_ms, seq);
CREATE INDEX runs_under_way ON runs (seq) WHERE active;
CREATE UNIQUE INDEX runs_by_token ON runs (workspace, token) WHERE token IS NOT NULL;
CREATE TABLE task_runs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, run_id INTEGER NOT NULL UNIQUE, job_run_id INTEGER NOT NULL,
    parent INTEGER NOT NULL, active INTEGER NOT NULL, record TEXT NOT NULL, output TEXT);
CREATE INDEX task_runs_of_run ON task_runs (job_run_id, seq);
CREATE INDEX task_runs_of_loop ON task_runs (parent, seq) WHERE parent != 0;
CREATE INDEX task_runs_under_way ON task_runs (seq) WHERE active;
CREATE TABLE fires (job_id INTEGER PRIMARY KEY, record TEXT NOT NULL);
"""
"""The runner's own tables, which came with layout 2."""
SCHEMA = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, workspace INTEGER NOT NULL, job_id INTEGER NOT NULL UNIQUE,
    folded_name TEXT NOT NULL, creator TEXT NOT NULL, run_as TEXT NOT NULL, created_time INTEGER NOT NULL,
    settings TEXT NOT NULL, listed TEXT NOT NULL, widest INTEGER NOT NULL);
CREATE INDEX jobs_of_workspace ON jobs (workspace, seq);
CREATE INDEX jobs_by_name ON jobs (workspace, folded_name, seq);
CREATE TABLE acls (
    workspace INTEGER NOT NULL, object TEXT NOT NULL, kind TEXT NOT NULL, principal TEXT NOT NULL,
    level TEXT NOT NULL, PRIMARY KEY (workspace, object, kind, principal)) WITHOUT ROWID;
CREATE TABLE queries (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, workspace INTEGER NOT NULL, id TEXT NOT NULL UNIQUE,
    parent TEXT NOT NULL, display_name TEXT NOT NULL, trashed INTEGER NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX queries_by_name ON queries (workspace, parent, display_name) WHERE NOT trashed;
CREATE TABLE nodes (
    workspace INTEGER NOT NULL, path TEXT NOT NULL, parent TEXT NOT NULL, object_id INTEGER NOT NULL UNIQUE,
    object_type TEXT NOT NULL, language TEXT NOT NULL, created_at INTEGER NOT NULL, modified_at INTEGER NOT NULL,
    content BLOB NOT NULL, PRIMARY KEY (workspace, path));
CREATE INDEX nodes_of_folder ON nodes (workspace, parent);
CREATE TABLE scopes (workspace INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (workspace, name)) WITHOUT ROWID;
CREATE TABLE secrets (
    workspace INTEGER NOT NULL, scope TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
    updated_at INTEGER NOT NULL, PRIMARY KEY (workspace, scope, key)) WITHOUT ROWID;
"""
LAYOUTS = {0: SCHEMA + RUNS, 1: RUNS}
"""What makes today's layout of an older one; 0 is an empty file."""


class State:
    """Rows by SQL; every statement is durable when it returns, unless within `transaction`."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        # WAL with NORMAL survives the death of the process; only the loss of power may cost the last commits.
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000"):
            self._connection.execute(f"PRAGMA {pragma}")
        path.chmod(0o600)
        (version,) = cast("tuple[int]", tuple(self._connection.execute("PRAGMA user_version").fetchone()))
        if version in LAYOUTS:
            self._connection.executescript(f"BEGIN; {LAYOUTS[version]} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;")
        elif version != SCHEMA_VERSION:
            raise SystemExit(f"{path} was written by another version of this product (layout {version})")

    def one(self, sql: str, *values: object) -> dict[str, Any] | None:
        """The first row, or None."""
        row = self._connection.execute(sql, values).fetchone()
        return None if row is None else dict(row)

    def all(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """All rows."""
        return [dict(row) for row in self._connection.execute(sql, values)]

    def run(self, sql: str, *values: object) -> int:
        """Change rows; returns how many.

        Raises:
            sqlite3.IntegrityError: a row with that key is there already.
        """
        return self._connection.execute(sql, values).rowcount

    def insert(self, table: str, row: dict[str, object]) -> None:
        """Add a row.

        Raises:
            sqlite3.IntegrityError: a row with that key is there already.
        """
        marks = ", ".join("?" for _ in row)
        values: Sequence[object] = tuple(row.values())
        self._connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", values)  # noqa: S608

    @contextmanager
    def transaction(self) -> Generator[None]:
        """All or nothing; cheaper than several single statements."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def setting(self, name: str, default: str) -> str:
        """A value that is fixed once, at its first use."""
        self.run("INSERT OR IGNORE INTO settings VALUES (?, ?)", name, default)
        row = self.one("SELECT value FROM settings WHERE name = ?", name)
        return default if row is None else str(row["value"])

    def close(self) -> None:
        """Fold the log into the file and let go."""
        self._connection.close()


def new_id() -> int:
    """A random id that JavaScript and JSON readers keep exactly: 13 to 16 digits, below 2^53."""
    return 10**12 + secrets.randbelow(MAX_ID - 10**12)
