"""A MariaDB server of the tests' own, from Debian's packages."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tests.databases.server import Account, DatabaseServer, free_port, listens, prepare, private_folder, running

PASSWORD = "the mariadb password"


def why_none() -> str:
    """Why no such server can be started here; empty if one can."""
    return (
        ""
        if _server() and shutil.which("mariadb-install-db")
        else "MariaDB isn't installed: apt-get install mariadb-server"
    )


def _server() -> str | None:
    return shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin")


@contextmanager
def mariadb_server() -> Iterator[DatabaseServer]:
    """A server that is gone afterwards."""
    install, server = shutil.which("mariadb-install-db"), _server()
    assert install and server
    account = Account.find("mysql")
    with private_folder("mariadb-", account) as folder:
        data, port = folder / "data", free_port()
        made = (f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db")
        prepare(account.command(install, "--no-defaults", *made), folder)
        start = folder / "start.sql"
        made_user = f"CREATE USER tester@'%' IDENTIFIED BY '{PASSWORD}';"
        start.write_text(f"{made_user}\nGRANT ALL ON *.* TO tester@'%' WITH GRANT OPTION;\n")  # a statement a line
        account.own(start)
        command = account.command(
            server, "--no-defaults", f"--datadir={data}", f"--port={port}", "--bind-address=127.0.0.1",
            "--skip-name-resolve", f"--socket={folder}/socket", f"--init-file={start}",
            "--innodb-flush-log-at-trx-commit=0", "--default-time-zone=+05:30",
            "--character-set-server=utf8mb4", "--innodb-buffer-pool-size=64M",
        )  # fmt: skip
        with running(command, folder, lambda: listens(port), signal.SIGKILL):
            yield DatabaseServer(port, "tester", PASSWORD)
