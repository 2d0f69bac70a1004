"""One applier's hold on the lease row of a state table: taken with the first write, kept by heartbeats, let go."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.engine.lease import Lease, Watch, may_call, next_lease
from lakeflow_job_meta.errors import ConflictError, LeaseLost
from lakeflow_job_meta.model.job import canonical
from lakeflow_job_meta.model.table import Changes, Row, Snapshot
from lakeflow_job_meta.store.base import Store

LEASE = "$lease"
"""The reserved row's module name; its workspace_id too starts with it, so that it has a partition of its own."""

BEATS = 4
"""Heartbeats in one time to live."""


def partition(workspace_id: str) -> str:
    """The workspace_id of the reserved rows of a workspace.

    >>> partition("42"), workspace_of(partition("42")), workspace_of("42")
    ('$lease:42', '42', '42')
    """
    return f"{LEASE}:{workspace_id}"


def workspace_of(partition: str) -> str:
    """The workspace that a row of the state is of, be it a reserved one or not."""
    return partition.removeprefix(f"{LEASE}:")


def clock() -> float:
    """Seconds that go on while the machine sleeps, where the system tells them."""
    number = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(number)


def this_process() -> str:
    """host:pid:start of this process; the start tells a process from a later one with the same number."""
    return f"{_host()}:{os.getpid()}:{_started(os.getpid())}"


def died_here(holder: str) -> bool:
    """Whether the holder was a process of this host that is gone; False where that can't be told."""
    host, pid, started = holder.rsplit(":", 2)
    return host == _host() and started != "" and _started(int(pid)) != started


def _host() -> str:
    """The host, and on it the space in which process numbers are told apart: containers may share a name."""
    try:
        return f"{socket.gethostname()}/{Path('/proc/self/ns/pid').readlink().name.strip('pid:[]')}"
    except OSError:
        return socket.gethostname()


def _started(pid: int) -> str:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        # A zombie is dead too: only its parent hasn't looked yet.
        return "gone" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return "" if pid == os.getpid() or not Path("/proc/self/stat").exists() else "gone"


@dataclass(slots=True)
class Tenure:
    """A hold on the lease of one workspace's state. Used by several threads.

    `since` is a moment after which no earlier holder has sent anything.
    """

    store: Store
    tables: ControlTables
    workspace_id: str
    ttl: float
    holder: str = field(default_factory=this_process)
    since: datetime | None = None
    _lease: Lease | None = None
    _alive_at: float = 0.0
    _lost: bool = False
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @property
    def key(self) -> str:
        """The lease row's workspace_id."""
        return partition(self.workspace_id)

    def take(
        self,
        decide: Callable[[Snapshot], Changes],
        now: datetime,
        timeout: float,
        modules: tuple[str, ...] = (),
    ) -> None:
        """Take the lease and write what `decide` wants about these modules, in one commit; waits while somebody else
        holds it.

        Raises:
            ConflictError: it was held all the time; or `decide` found that its rows moved.
        """
        watch, deadline = Watch(), clock() + timeout
        while True:
            blocked: list[Lease] = []
            taken: list[Lease] = []
            silent: list[datetime] = []

            def claim(
                snapshot: Snapshot,
                blocked: list[Lease] = blocked,
                taken: list[Lease] = taken,
                silent: list[datetime] = silent,
            ) -> Changes:
                before = self.read(snapshot)
                blocked.clear()
                if (
                    before is not None
                    and before.held
                    and not died_here(before.holder)
                    and (not watch.expired(before, clock()))
                ):
                    blocked.append(before)
                    return Changes()
                silent[:] = [] if before is None else [self._seen(snapshot) + timedelta(seconds=before.ttl)]
                changes = decide(snapshot)
                taken[:] = [next_lease(before, self.holder, self.ttl, now.isoformat(timespec="seconds"))]
                return Changes((*changes.upserts, self._row(taken[0], now)), changes.deletes)

            started = clock()
            self.store.transact(self.tables.jobs, claim, where={"module_name": [LEASE, *modules]})
            if not blocked:
                self._lease, self._alive_at, self._lost = taken[0], started, False
                self.since = min([now, *silent])
                self._start_beating()
                return
            if clock() >= deadline:
                held = blocked[0]
                refused = ConflictError(
                    f"{held.holder} holds the lease since {held.since}",
                    hint="wait for it (--lock-timeout), or, if it hangs, `ljm lease release`",
                )
                refused.holder = held.holder
                raise refused
            time.sleep(min(0.5, self.ttl / 10))

    def within(
        self,
        decide: Callable[[Snapshot], Changes],
        now: datetime,
        *,
        modules: tuple[str, ...] = (),
        release: bool = False,
        mark: Mapping[str, Any] | None = None,
    ) -> None:
        """Write what `decide` wants about these modules, only while the lease is ours, checked in the same commit.

        Letting go notes the state's version of this commit, and the mark.

        Raises:
            LeaseLost: somebody took over; nothing was written.
        """
        if release:
            self._stop_beating()

        def fenced(snapshot: Snapshot) -> Changes:
            current = self.read(snapshot)
            if (
                self._lease is None
                or current is None
                or (current.epoch, current.holder)
                != (
                    self._lease.epoch,
                    self.holder,
                )
            ):
                self._lost = True
                by = f" by {current.holder}" if current else ""
                raise LeaseLost(f"the lease was taken over{by}", hint="the other run goes on with the work")
            changes = decide(snapshot)
            lease = current.released(snapshot.version + 1, mark) if release else current.beaten()
            return Changes((*changes.upserts, self._row(lease, now)), changes.deletes)

        started = clock()
        self.store.transact(self.tables.jobs, fenced, where={"module_name": [LEASE, *modules]})
        self._alive_at = started
        if release:
            self._lease = None

    def check(self) -> None:
        """Raise unless there is time for one more call.

        Raises:
            LeaseLost: the lease is gone, or may be gone before the call ends.
        """
        if self._lost or not may_call(self._alive_at, self.ttl, clock()):
            raise LeaseLost("the lease ran out before the next call", hint="apply again to go on")

    def current(self) -> Lease | None:
        """The lease as it is now."""
        return self.read(self.store.read(self.tables.jobs.name, where={"workspace_id": [self.key]}))

    def abandon(self) -> None:
        """Stop giving signs of life; the lease is left as it is."""
        self._stop_beating()

    def break_lease(self, now: datetime) -> Lease | None:
        """Let go of the lease whoever holds it; returns what was held."""
        broken: list[Lease] = []

        def decide(snapshot: Snapshot) -> Changes:
            lease = self.read(snapshot)
            broken[:] = [lease] if lease and lease.held else []
            # A higher epoch fences off the holder, should it still live.
            return Changes((self._row(next_lease(lease, self.holder, self.ttl, "").released(), now),) if broken else ())

        self.store.transact(self.tables.jobs, decide, where={"module_name": [LEASE]})
        return broken[0] if broken else None

    def read(self, snapshot: Snapshot) -> Lease | None:
        """The lease in these rows."""
        rows = self._rows(snapshot)
        return Lease.read(json.loads(rows[0]["settings"])) if rows else None

    def _rows(self, snapshot: Snapshot) -> list[Row]:
        # Monitors give their signs of life in the same partition.
        return [row for row in snapshot.rows if (row["workspace_id"], row["module_name"]) == (self.key, LEASE)]

    def _seen(self, snapshot: Snapshot) -> datetime:
        """When the lease's row was last written."""
        return self._rows(snapshot)[0]["updated_timestamp"]

    def _row(self, lease: Lease, now: datetime) -> Row:
        return {
            "module_name": LEASE,
            "workspace_id": self.key,
            "status": "held" if lease.held else "free",
            "settings": canonical(lease.to_settings()),
            "updated_timestamp": now,
        }

    def _start_beating(self) -> None:
        self._stop.clear()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._thread.start()

    def _stop_beating(self) -> None:
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
            self._thread = None

    def _beat(self) -> None:
        while not self._stop.wait(self.ttl / BEATS):
            try:
                self.within(lambda snapshot: Changes(), datetime.now().astimezone())
            except ConflictError:
                # LeaseLost: every check says so from now on. A write that kept losing its race: the next beat may win,
                # and if none does the checks end the work in time.
                if self._lost:
                    return
