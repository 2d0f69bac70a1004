"""Measuring: one process after the other on a home folder, what each asked of the server and wrote to the tables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cases import CHANGE_TICK, TICK, Case, command
from benchmarks.modules import change_rows, write_modules
from lakeflow_job_meta.workspace.launcher import LocalServer, ensure_local, stop_local

MEGABYTE = 1024 * 1024
RSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in which the system counts the peak of resident memory."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one process cost: `wall` and `cpu` (user + system) in seconds, `peak` in MB, requests by call, commits by
    table."""

    wall: float
    cpu: float
    peak: float
    requests: Mapping[str, int]
    commits: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Ground:
    """A home folder with the YAML of its modules, and the server of its workspace."""

    home: Path
    modules: int
    server: LocalServer

    @property
    def yaml(self) -> Path:
        return self.home / "yaml"


@contextmanager
def ground(modules: int, latency_ms: int) -> Generator[Ground]:
    """A home folder with this many modules, and a server that takes so long for each answer; both go afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        write_modules(home / "yaml", modules)
        server = ensure_local(home, ["--faults"])
        try:
            _delay(server, latency_ms)
            yield Ground(home, modules, server)
        finally:
            stop_local(home)


def measure(case: Case, place: Ground) -> Cost:
    """Run one case in a new process; requests and commits are differences before and after."""
    if case.changed:
        change(place.home, case.changed)
    forget_requests(place.server)
    before = commits_of(place.home)
    arguments = command(case.arguments, str(place.home), str(place.yaml))
    wall, usage = run([sys.executable, *arguments])
    asked, now = requests_of(place.server), commits_of(place.home)
    return Cost(wall, usage.ru_utime + usage.ru_stime, peak_of(usage), asked, commits_between(before, now))


def measure_ticks(place: Ground) -> dict[str, Cost]:
    """What a running monitor's ticks cost, as its own process tells."""
    arguments = [sys.executable, "-m", "benchmarks.ticks", str(place.home)]
    done = subprocess.run(arguments, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the monitor's ticks failed:\n{done.stderr}")
    told = json.loads(done.stdout)
    return {name: Cost(**told[name]) for name in (TICK, CHANGE_TICK)}


def change(home: Path, rows: int) -> None:
    """Change that many rows by SQL, in a process of its own."""
    run([sys.executable, *command(("sql", change_rows(rows)), str(home), "")])


def run(
    arguments: Sequence[str], given: Mapping[str, str] | None = None, folder: Path | None = None
) -> tuple[float, Any]:
    """Run a process to its end; returns wall seconds, and what it and the processes it waited for used.

    Raises:
        SystemExit: it failed; the message ends with what it printed.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as printed:
        started = time.perf_counter()
        child = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=printed, stderr=printed, env=given or environment(), cwd=folder
        )
        try:
            # Not child.wait(): only wait4 tells of this child alone.
            _, status, usage = os.wait4(child.pid, 0)
        except KeyboardInterrupt:
            child.kill()
            raise
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            printed.seek(0)
            raise SystemExit(f"{' '.join(arguments)[:200]} failed:\n{printed.read()[-2000:]}")
    return wall, usage


def least(costs: Iterable[Cost]) -> Cost:
    """The least of each time and of memory over repeats: other work on the machine only adds. Of counts the most."""
    costs = list(costs)
    return Cost(
        min(cost.wall for cost in costs),
        min(cost.cpu for cost in costs),
        min(cost.peak for cost in costs),
        _most([cost.requests for cost in costs]),
        _most([cost.commits for cost in costs]),
    )


def peak_of(usage: Any) -> float:
    """Peak resident memory in MB of the largest process."""
    return usage.ru_maxrss * RSS_UNIT / MEGABYTE


def commits_of(home: Path) -> dict[str, int]:
    """The newest version of each table, read off its log."""
    logs = (home / "tables").glob("*/*/*/_delta_log")
    return {log.parent.name: max(int(file.stem) for file in log.glob("*.json") if file.stem.isdigit()) for log in logs}


def commits_between(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """The commits of each table that has any; a new table's first version is 0."""
    made = {table: version - before.get(table, -1) for table, version in after.items()}
    return {table: number for table, number in sorted(made.items()) if number}


def requests_of(server: LocalServer) -> dict[str, int]:
    """Requests by method and path since they were forgotten."""
    counts: dict[str, int] = json.loads(_control(server, "GET", "/local/requests"))["counts"]
    return dict(sorted(counts.items()))


def forget_requests(server: LocalServer) -> None:
    """Count from here."""
    _control(server, "DELETE", "/local/requests")


def environment() -> dict[str, str]:
    """Ours, without what leads the product to other tables or another workspace, or has it compiled again each time."""
    theirs = ("LAKEFLOW_", "DATABRICKS_", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(theirs)}


def _delay(server: LocalServer, latency_ms: int) -> None:
    """Let every answer take that long; answers wait side by side."""
    rules = [{"action": "delay", "seconds": latency_ms / 1000}] if latency_ms else []
    _control(server, "POST", "/local/faults", json.dumps(rules).encode())


def _control(server: LocalServer, method: str, path: str, body: bytes | None = None) -> bytes:
    headers = {"Authorization": f"Bearer {server.token}"}
    request = urllib.request.Request(f"{server.url}{path}", body, headers, method=method)  # noqa: S310 - our own server
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return answer.read()


def _most(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    names = sorted({name for each in counts for name in each})
    return {name: max(each.get(name, 0) for each in counts) for name in names}
