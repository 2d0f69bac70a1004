"""`ljm` processes that are born with the product's imports done: each is a process of its own, forked from one that did
nothing but import, so that it costs a tenth of one that starts from nothing.

A process that was started as people start it is what `in_a_terminal` and the tests with a Popen of their own make.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

SECONDS = 60
"""So long a command may take."""

IMPORTED = (
    "lakeflow_job_meta.cli.app",
    "lakeflow_job_meta.metadata_manager",
    "lakeflow_job_meta.orchestrator",
    "lakeflow_job_meta.reader.document",
    "lakeflow_job_meta.store.delta",
    "databricks.sdk",
    "deltalake",
    "duckdb",
    "httpx",
    "rich.table",
    "sqlglot",
)
"""What most commands import: none of it starts a thread, or reads the environment that a child is to have."""


@cache
def _mother(pid: int) -> Path:
    """Where the one mother of this test process listens; it ends with this process."""
    at = Path(tempfile.mkdtemp(prefix="brood")) / "socket"
    mother = subprocess.Popen(
        [sys.executable, "-m", __name__, str(at), str(pid)],
        cwd=Path(__file__).parents[2], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + SECONDS
    while not at.exists():
        assert mother.poll() is None and time.monotonic() < deadline, "no process to be born from"
        time.sleep(0.02)
    return at


def ljm(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], stdin: str
) -> subprocess.CompletedProcess[str]:
    """Run `ljm` with these arguments to its end."""
    with (
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as said,
        tempfile.TemporaryFile() as told,
        socket.socket(socket.AF_UNIX) as line,
    ):
        _ = given.write(stdin.encode())
        _ = given.seek(0)
        line.settimeout(SECONDS)
        line.connect(str(_mother(os.getpid())))
        order = json.dumps({"arguments": arguments, "folder": str(folder), "environment": dict(environment)}).encode()
        _ = socket.send_fds(line, [b"%8d" % len(order)], [each.fileno() for each in (given, said, told)])
        line.sendall(order)
        with line.makefile() as answers:
            child = int(answers.readline())
            try:
                code = int(answers.readline())
            except TimeoutError:
                os.kill(child, signal.SIGKILL)
                raise
        _ = said.seek(0), told.seek(0)
        return subprocess.CompletedProcess(arguments, code, said.read().decode(), told.read().decode())


def _listen(at: Path, owner: int) -> None:
    """The mother's life: a midwife for each order, until its owner is gone."""
    for name in IMPORTED:
        _ = import_module(name)
    gc.freeze()  # what the children share isn't touched, and so not copied
    midwives: set[int] = set()
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(at.with_suffix(".new")))
        door.listen()
        door.settimeout(1)
        at.with_suffix(".new").rename(at)
        while os.getppid() == owner:
            midwives -= {each for each in midwives if os.waitpid(each, os.WNOHANG)[0]}
            try:
                line, _ = door.accept()
            except TimeoutError:
                continue
            with line:
                if (midwife := os.fork()) == 0:
                    door.close()
                    line.settimeout(None)
                    _deliver(line)
                    return
            midwives.add(midwife)


def _deliver(line: socket.socket) -> None:
    """Fork the child, tell its number, and when it ended its exit code."""
    size, files, _, _ = socket.recv_fds(line, 8, 3)
    with line.makefile("rb") as orders:
        order = json.loads(orders.read(int(size)))
    child = os.fork()
    if child == 0:
        line.close()
        _live(order, files)
    line.sendall(b"%d\n" % child)
    line.sendall(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def _live(order: Mapping[str, Any], files: Sequence[int]) -> None:
    from lakeflow_job_meta.cli.app import main

    for number, each in enumerate(files):
        _ = os.dup2(each, number)
        os.close(each)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    time.tzset()
    sys.argv[1:] = order["arguments"]
    main()


if __name__ == "__main__":
    _listen(Path(sys.argv[1]), int(sys.argv[2]))
