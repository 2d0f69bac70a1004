"""Where the shop's tables are: a SQLite file, which needs nothing, or a database of a private PostgreSQL server."""

from __future__ import annotations

import csv
import io
import os
import pwd
import secrets
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from shop_data import Table

ACCOUNT = "postgres"
"""Who runs the server where we are root: PostgreSQL refuses to."""


@dataclass(frozen=True)
class SqliteFile:
    """A database in a file."""

    path: Path
    system = "sqlite"
    schema = ""

    @property
    def creds(self) -> Mapping[str, Any]:
        """What the registry is told."""
        return {"path": str(self.path.resolve())}

    def run(self, statement: str) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(statement)

    def put(self, table: Table, rows: Iterable[Sequence[Any]]) -> None:
        """Add rows, and replace those with the same key."""
        marks = ", ".join("?" * len(table.names))
        with closing(sqlite3.connect(self.path)) as connection, connection:
            values = ([_plain(value) for value in row] for row in rows)
            connection.executemany(f"INSERT OR REPLACE INTO {table.name} VALUES ({marks})", values)

    def rows(self, table: Table) -> list[tuple[Any, ...]]:
        """All rows, in the order of the key."""
        with closing(sqlite3.connect(self.path)) as connection:
            found = connection.execute(f"SELECT * FROM {table.name} ORDER BY {', '.join(table.key)}")
            return [tuple(str(value) for value in row) for row in found]


@dataclass(frozen=True)
class PostgresDatabase:
    """A database of a server on this machine; `secret` names its password in the workspace."""

    server: PostgresServer
    name: str
    secret: str
    system = "postgres"
    schema = "public"

    @property
    def creds(self) -> Mapping[str, Any]:
        """What the registry is told: where the password is, never the password."""
        return {
            "host": "127.0.0.1", "port": self.server.port, "database": self.name, "user": self.server.user,
            "password": self.secret,
        }  # fmt: skip

    def run(self, statement: str) -> None:
        self.server.psql(self.name, statement)

    def put(self, table: Table, rows: Iterable[Sequence[Any]]) -> None:
        """Add rows, and replace those with the same key."""
        text = io.StringIO()
        csv.writer(text).writerows([_plain(value) for value in row] for row in rows)
        columns = [name for name in table.names if name not in table.key]
        self.server.psql(
            self.name,
            f"CREATE TEMP TABLE given (LIKE {table.name})",
            "COPY given FROM STDIN WITH (FORMAT csv)",
            f"INSERT INTO {table.name} SELECT * FROM given ON CONFLICT ({', '.join(table.key)}) "
            f"DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in columns)}",
            given=text.getvalue(),
        )

    def rows(self, table: Table) -> list[tuple[Any, ...]]:
        """All rows, in the order of the key."""
        query = f"SELECT * FROM {table.name} ORDER BY {', '.join(table.key)}"
        return [tuple(row) for row in csv.reader(io.StringIO(self.server.psql(self.name, query)))]


@dataclass(frozen=True)
class PostgresServer:
    """A running server of our own."""

    binaries: Path
    port: int
    user: str
    password: str

    def psql(self, database: str, *statements: str, given: str = "") -> str:
        """Run statements in one session; what they print, as CSV without headers."""
        words = [word for each in statements for word in ("-c", each)]
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", self.user, "-d", database]
        options = ["-X", "-q", "--csv", "-t", "-v", "ON_ERROR_STOP=1"]
        command = [str(self.binaries / "psql"), *where, *options, *words]
        environment = {**os.environ, "PGPASSWORD": self.password, "PGTZ": "UTC"}
        done = subprocess.run(command, input=given, capture_output=True, text=True, env=environment, check=False)
        if done.returncode:
            sys.exit(f"psql fails: {done.stderr.strip()}")
        return done.stdout


def postgres_binaries() -> Path | None:
    """The folder of the newest PostgreSQL that is installed; Debian keeps it out of the PATH."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda path: float(path.parent.name))
    here = shutil.which("initdb")
    return Path(here).resolve().parent if here else None


@contextmanager
def postgres_server(binaries: Path) -> Generator[PostgresServer]:
    """A server in a folder of its own, which is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="shop-postgres-"))
    server = PostgresServer(binaries, _free_port(), "shop", secrets.token_urlsafe(12))
    try:
        (folder / "password").write_text(server.password)
        if os.getuid() == 0:
            for path in (folder, folder / "password"):
                shutil.chown(path, ACCOUNT)
        made = ["-U", server.user, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        _tool(binaries / "initdb", "-D", folder / "data", "--pwfile", folder / "password", *made)
        # Whoever looks at this data has the generator: it needn't survive a power cut.
        options = f"-p {server.port} -h 127.0.0.1 -k {folder} -c fsync=off"
        control = (binaries / "pg_ctl", "-D", folder / "data", "-w")
        _tool(*control, "-l", folder / "log", "-o", options, "start")
        try:
            yield server
        finally:
            _tool(*control, "-m", "fast", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tool(*words: str | Path) -> None:
    command = [str(word) for word in words]
    if os.getuid() == 0 and pwd.getpwnam(ACCOUNT):
        command = ["setpriv", f"--reuid={ACCOUNT}", f"--regid={ACCOUNT}", "--clear-groups", *command]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd="/", check=False)
    if done.returncode:
        sys.exit(f"{Path(command[0]).name} fails: {done.stderr.strip()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _plain(value: Any) -> Any:
    """As a person would write it into the database."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(sep=" ")
    return str(value) if isinstance(value, Decimal) else value
