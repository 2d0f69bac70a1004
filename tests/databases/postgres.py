"""A PostgreSQL server of the tests' own, from Debian's packages."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.databases.server import Account, DatabaseServer, free_port, prepare, private_folder, running

PASSWORD = "the postgres password"
SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "timezone=Asia/Kolkata", "max_wal_size=2GB")
"""No machine is to survive here; and a zone that nobody's code expects."""


def why_none() -> str:
    """Why no such server can be started here; empty if one can."""
    return "" if binary("initdb") else "PostgreSQL isn't installed: apt-get install postgresql"


def binary(name: str) -> Path | None:
    """A program of the newest PostgreSQL that is installed."""
    # Debian's own place first: what it has in PATH are wrappers that want a cluster of the system's.
    versions = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    newest = max(versions, default=None, key=lambda path: float(path.parts[-3]))
    found = shutil.which(name)
    return newest or (Path(found) if found else None)


@contextmanager
def postgres_server() -> Iterator[DatabaseServer]:
    """A server that is gone afterwards."""
    initdb, postgres = binary("initdb"), binary("postgres")
    assert initdb and postgres
    account = Account.find("postgres")
    with private_folder("postgres-", account) as folder:
        secret = folder / "password"
        secret.write_text(PASSWORD)
        account.own(secret)
        data, port = folder / "data", free_port()
        made = ("-D", data, "-U", "postgres", "--pwfile", secret, "-A", "scram-sha-256", "-E", "UTF8", "--no-sync")
        prepare(account.command(initdb, *made, "--locale=C.UTF-8"), folder)
        settings = [word for each in SETTINGS for word in ("-c", each)]
        command = account.command(postgres, "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", folder, *settings)
        with running(command, folder, lambda: _ready(port), signal.SIGQUIT):
            yield DatabaseServer(port, "postgres", PASSWORD)


def _ready(port: int) -> bool:
    tool = binary("pg_isready")
    assert tool
    return subprocess.run([tool, "-q", "-h", "127.0.0.1", "-p", str(port)]).returncode == 0
