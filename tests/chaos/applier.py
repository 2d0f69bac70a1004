"""The process that is killed: it applies one project's rows, or plans, and tells how it went.

It is forked from a server process that has imported all of this and opened nothing: delta-rs can't be forked once it
was used, and an import of the SDK for each kill would take longer than all the rest.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from databricks.sdk import WorkspaceClient
from databricks.sdk.config import Config

from lakeflow_job_meta import JobOrchestrator
from lakeflow_job_meta.errors import LakeflowJobMetaError
from lakeflow_job_meta.model.table import Changes, Row, Snapshot, TableSpec
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.store.delta import DeltaStore

TABLE = "main.etl.control"
SETTINGS: Mapping[str, Any] = {
    "concurrency": 4, "list_lag_seconds": 0.0, "max_disruptive": 1000, "max_disruptive_percent": 100.0
}  # fmt: skip
PATIENCE_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Kill:
    """Where the process is to die: before or after the effect of its nth API call or table commit, from 1."""

    where: str
    nth: int
    when: str

    def __str__(self) -> str:
        return f"{self.when} {self.where} {self.nth}"


@dataclass(frozen=True, slots=True)
class Errand:
    """What a process is to do: apply the rows, and then, if it `settles`, plan once more.

    `settings` and `plan` are arguments of Settings and of JobOrchestrator.plan; `faults` are rules of the server.
    """

    home: Path
    host: str
    token: str
    fault_token: str
    kill: Kill | None = None
    settles: bool = False
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    plan: dict[str, Any] = field(default_factory=dict[str, Any])
    faults: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """How it went: whether it was killed, the error's class and text, commits made, actions that a plan still has."""

    killed: bool = False
    error: str = ""
    commits: int = 0
    left: tuple[str, ...] = ()


class MortalStore(DeltaStore):
    """The embedded store of a process that dies at one of its commits; counts them."""

    def __init__(self, home: Path, kill: Kill | None = None) -> None:
        super().__init__(home)
        self._kill = kill if kill is not None and kill.where == "commit" else None
        self.commits = 0

    def transact(self, spec: TableSpec, decide: Callable[[Snapshot], Changes], **given: Any) -> int | None:
        self._die("before", self.commits + 1)
        version = super().transact(spec, decide, **given)
        self._count()
        return version

    def append(self, spec: TableSpec, rows: Sequence[Row]) -> int:
        self._die("before", self.commits + 1)
        version = super().append(spec, rows)
        self._count()
        return version

    def _count(self) -> None:
        self.commits += 1
        self._die("after", self.commits)

    def _die(self, when: str, number: int) -> None:
        if self._kill is not None and (self._kill.when, self._kill.nth) == (when, number):
            os.kill(os.getpid(), signal.SIGKILL)


def client_of(host: str, token: str, **more: Any) -> WorkspaceClient:
    """The real SDK, whatever the environment holds; it gives up soon."""
    given = {"retry_timeout_seconds": 5, "config_file": os.devnull, "auth_type": "pat", **more}
    return WorkspaceClient(config=Config(host=host, token=token, **given))


def run(errand: Errand) -> Report:
    """Do the errand in this process."""
    store = MortalStore(errand.home, errand.kill)
    if rules := _faults(errand):
        _ask_for(errand, rules)
    orchestrator = JobOrchestrator(
        TABLE,
        client_of(errand.host, errand.token),
        store=store,
        settings=Settings(TABLE, errand.home, **{**SETTINGS, **errand.settings}),
    )
    error = ""
    try:
        orchestrator.apply(orchestrator.plan(**errand.plan))
    except LakeflowJobMetaError as problem:
        error = f"{type(problem).__name__}: {problem}"
    left: tuple[str, ...] = ()
    if errand.settles:
        actions = orchestrator.plan(**errand.plan).actions
        left = tuple(f"{each.kind} {each.module}: {each.reason}" for each in actions if each.effective or each.failed)
    return Report(error=error, commits=store.commits, left=left)


def _faults(errand: Errand) -> list[dict[str, Any]]:
    kill = errand.kill
    if kill is None or kill.where != "call":
        return list(errand.faults)
    rule = {"path": "^/api/", "nth": kill.nth, "when": kill.when, "action": "kill", "pid": os.getpid()}
    return [*errand.faults, rule]


def _ask_for(errand: Errand, rules: Sequence[Mapping[str, Any]]) -> None:
    request = urllib.request.Request(  # noqa: S310 - the embedded workspace's own address
        f"{errand.host}/local/faults",
        json.dumps(list(rules)).encode(),
        {"Authorization": f"Bearer {errand.fault_token}", "Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request):  # noqa: S310
        pass


FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__])


def started(target: Callable[..., None], *arguments: Any) -> tuple[BaseProcess, Connection]:
    """A process that was just forked, and the end of the pipe that it answers through."""
    ours, theirs = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=target, args=(theirs, *arguments), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _answer(pipe: Connection, errand: Errand) -> None:
    pipe.send(run(errand))


def send(errand: Errand) -> Report:
    """Do the errand in a process of its own; its death is part of the report.

    Raises:
        TimeoutError: it hangs.
        RuntimeError: it ended in a way that nobody asked for.
    """
    process, pipe = started(_answer, errand)
    report: Report | None = None
    with pipe, suppress(EOFError):
        if not pipe.poll(PATIENCE_SECONDS):
            process.kill()
            raise TimeoutError(f"no end after {PATIENCE_SECONDS} s: {errand}")
        report = pipe.recv()
    process.join()
    if report is not None:
        return report
    # 255 is what is told of a child whose fork server ended before it could tell of the child's end.
    if process.exitcode not in (-signal.SIGKILL, 255):
        raise RuntimeError(f"the applier ended with {process.exitcode}: {errand}")
    return Report(killed=True)
