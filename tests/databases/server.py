"""A database server as a child process: started as a user that it accepts, ended with the tests."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 60.0
"""Seconds within which a server has to answer."""


@dataclass(frozen=True)
class DatabaseServer:
    """A running server, and who may do everything in it."""

    port: int
    user: str
    password: str
    host: str = "127.0.0.1"


@dataclass(frozen=True)
class Account:
    """The user whose processes the server's are: neither database runs as root."""

    name: str

    @classmethod
    def find(cls, wanted: str) -> Account:
        """The wanted user where we are root and there is one, else nobody; ourselves where we aren't root."""
        if os.getuid() != 0:
            return cls("")
        known = {each.pw_name for each in pwd.getpwall()}
        return cls(wanted if wanted in known else "nobody")

    def command(self, *words: str | Path) -> list[str]:
        """The command as this user's; it ends when the tests do, however they end."""
        as_text = [str(word) for word in words]
        tool = shutil.which("setpriv")
        if not self.name or tool is None:
            return as_text
        entry = pwd.getpwnam(self.name)
        return [
            tool, f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups", "--pdeathsig=KILL", *as_text
        ]  # fmt: skip

    def own(self, folder: Path) -> None:
        """Give the folder to this user."""
        if self.name:
            shutil.chown(folder, self.name)


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def private_folder(prefix: str, account: Account) -> Iterator[Path]:
    """A folder for the server alone: pytest's own can't be entered by another user."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        account.own(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def prepare(command: Sequence[str], folder: Path) -> None:
    """Run a command that makes the server's files."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def running(command: Sequence[str], folder: Path, answers: Callable[[], bool], end: signal.Signals) -> Iterator[None]:
    """Keep the server running, once it answers."""
    log = folder.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + PATIENCE
        while not answers():
            assert process.poll() is None, log.read_text("utf-8", "replace")
            assert time.monotonic() < until, log.read_text("utf-8", "replace")
            time.sleep(0.05)
        yield
    finally:
        # Nobody needs its files any more; and it would wait for sessions that are left open.
        process.send_signal(end)
        process.wait(PATIENCE)
        log.unlink()


def listens(port: int) -> bool:
    """Whether somebody takes connections at this port."""
    try:
        with socket.create_connection(("127.0.0.1", port), 0.2):
            return True
    except OSError:
        return False
