"""Signs of life of the monitors of one state: a reserved row beside the lease, which also says whose turn it is.

Giving one needs no lease and takes nothing from whoever has it: no other row is written. The turn is no matter of
safety, which is the lease's: it only keeps two monitors from doing the same work twice.

A sign of life is a version of the state table, but no change of the state. So the row tells which versions were only
signs of life: whoever compares versions (a mark, a monitor's tick) compares what is left without them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.control.tenure import LEASE, clock, died_here, partition, this_process
from lakeflow_job_meta.errors import TableNotFound
from lakeflow_job_meta.model.job import canonical
from lakeflow_job_meta.model.table import Changes, Row, Snapshot
from lakeflow_job_meta.store.base import Store

MONITOR = "$monitor"
"""The reserved row's module name."""

QUIET_BEATS = 3
"""So many signs of life may be missing before another monitor takes the turn."""

FAILED_LOOKS = 3
"""After so many failed looks in a row another monitor has a try."""

GONE_BEATS, GONE_SECONDS = 10, 600.0
"""After so many missing ones, and at least that time, a monitor is no longer listed."""

_HOLDER = re.compile(r".+:\d+:\w*")


@dataclass(frozen=True, slots=True)
class Sign:
    """One monitor's last sign of life. `beat` counts them, `interval` and `every` (seconds) say how often it looks and
    how often it writes; `failed_looks` is in a row, `failing` counts modules. The times are for people."""

    since: str
    beat_at: str
    beat: int
    interval: float
    every: float
    last_cycle: str | None = None
    failing: int = 0
    failed_looks: int = 0

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Sign:
        """A sign as the row holds it; what another version of this product adds doesn't matter."""
        return cls(**{name: data[name] for name in cls.__dataclass_fields__ if name in data})

    @property
    def period(self) -> float:
        """Seconds between two signs of life, if all goes well."""
        return max(self.interval, self.every)


@dataclass(frozen=True, slots=True)
class Monitors:
    """The row: signs of life by holder, and whose turn it is.

    All versions of the state after `base`, up to `last`, only wrote this row.
    """

    signs: Mapping[str, Sign] = field(default_factory=dict[str, Sign])
    turn: str = ""
    base: int = -1
    last: int = -1

    @classmethod
    def read(cls, snapshot: Snapshot, workspace_id: str) -> Monitors:
        """The row among these; nothing where there is none, or where somebody spoiled it: nobody's work hangs on it."""
        for row in snapshot.rows:
            if (row["workspace_id"], row["module_name"]) == (partition(workspace_id), MONITOR):
                try:
                    return cls._from_json(json.loads(row["settings"]))
                except (ValueError, TypeError, KeyError, AttributeError):
                    break
        return cls()

    @classmethod
    def _from_json(cls, data: Mapping[str, Any]) -> Monitors:
        signs = {holder: Sign.read(sign) for holder, sign in data["monitors"].items() if _HOLDER.fullmatch(holder)}
        return cls(signs, str(data["turn"]), int(data["base"]), int(data["last"]))

    def settled(self, version: int) -> int:
        """The version at which the state got to what it is at this version.

        >>> Monitors(base=3, last=5).settled(5), Monitors(base=3, last=5).settled(6)
        (3, 6)
        """
        return self.base if version == self.last else version

    def to_row(self, workspace_id: str, now: datetime) -> Row:
        data = {
            "monitors": {holder: asdict(sign) for holder, sign in self.signs.items()},
            "turn": self.turn,
            "base": self.base,
            "last": self.last,
        }
        return {
            "module_name": MONITOR,
            "workspace_id": partition(workspace_id),
            "settings": canonical(data),
            "updated_timestamp": now,
        }


def read_monitors(store: Store, tables: ControlTables, workspace_id: str) -> list[dict[str, Any]]:
    """The monitors of a workspace's state, as JSON-ready values: holder, works (it is its turn), died (it was a process
    of this host and is gone), and what Sign has."""
    try:
        snapshot = store.read(tables.jobs.name, where={"workspace_id": [partition(workspace_id)]})
    except TableNotFound:
        return []
    found = Monitors.read(snapshot, workspace_id)
    return [
        {"holder": holder, "works": holder == found.turn, "died": died_here(holder), **asdict(sign)}
        for holder, sign in sorted(found.signs.items(), key=lambda each: each[1].since)
    ]


@dataclass(slots=True)
class Heartbeat:
    """One monitor's signs of life, and its view of the others': for how long theirs haven't changed, by its own clock.

    `interval` and `every` as in Sign. Not safe for threads: it belongs to the loop, and stops with it.
    """

    store: Store
    tables: ControlTables
    workspace_id: str
    interval: float
    every: float
    holder: str = field(default_factory=this_process)
    clock: Callable[[], float] = clock
    known: Monitors = field(default_factory=Monitors)
    _version: int = -1
    _beats: int = 0
    _since: str = ""
    _beat_at: float | None = None
    _watched: dict[str, tuple[object, float]] = field(default_factory=dict[str, tuple[object, float]])

    def settled(self, version: int) -> int:
        """This version of the state without signs of life; reads the row only if the version is a new one."""
        if version != self._version:
            self._look()
        return self.known.settled(version)

    @property
    def due(self) -> bool:
        """Whether it is time for the next sign of life."""
        return self._beat_at is None or self.clock() - self._beat_at >= self.every

    @property
    def mine(self) -> bool:
        """Whether it is this monitor's turn."""
        return self.known.turn == self.holder

    def free(self) -> str:
        """Why this monitor may take the turn, as far as it knows; empty where it is its own, or another's who works."""
        return "" if self.mine else self._why_free(self.known)

    def beat(self, now: datetime, last_cycle: str | None = None, failing: int = 0, failed_looks: int = 0) -> None:
        """Give a sign of life, and take the turn if it is free; the other arguments as in Sign.

        Raises:
            ConflictError: others kept writing; nothing was written.
        """
        started, written = self.clock(), now.isoformat(timespec="seconds")
        self._since = self._since or written
        mine = Sign(self._since, written, self._beats + 1, self.interval, self.every, last_cycle, failing, failed_looks)

        def decide(before: Monitors) -> Monitors:
            others = {holder: sign for holder, sign in before.signs.items() if not self._gone(holder, sign)}
            free = before.turn == self.holder or self._why_free(before)
            return replace(before, signs={**others, self.holder: mine}, turn=self.holder if free else before.turn)

        self._write(decide, now)
        self._beats, self._beat_at = mine.beat, started

    def leave(self, now: datetime) -> None:
        """Take this monitor out of the row, so that another takes the turn at once.

        Raises:
            ConflictError: others kept writing; nothing was written.
        """

        def decide(before: Monitors) -> Monitors:
            return replace(before, signs={holder: s for holder, s in before.signs.items() if holder != self.holder})

        if self._beats:
            self._write(decide, now)

    def _write(self, decide: Callable[[Monitors], Monitors], now: datetime) -> None:
        found: list[Monitors] = []

        def write(snapshot: Snapshot) -> Changes:
            before = self._note(snapshot)
            version = snapshot.version
            # If anybody else's version gets in between, `last` is no version of ours, and counts for nothing.
            after = replace(decide(before), base=before.settled(version), last=version + 1)
            found[:] = [after]
            return Changes((after.to_row(self.workspace_id, now),))

        where = {"workspace_id": [partition(self.workspace_id)]}
        written = self.store.transact(self.tables.jobs, write, where=where)
        self.known, self._version = found[0], found[0].last if written is None else written

    def _look(self) -> None:
        snapshot = self.store.read(self.tables.jobs.name, where={"workspace_id": [partition(self.workspace_id)]})
        self.known, self._version = self._note(snapshot), snapshot.version

    def _note(self, snapshot: Snapshot) -> Monitors:
        """The monitors of a snapshot; since when none of them changed is remembered."""
        found, now = Monitors.read(snapshot, self.workspace_id), self.clock()
        # Who works for long without looking up holds the lease, and beats there.
        lease = next((row["settings"] for row in snapshot.rows if row["module_name"] == LEASE), "") or ""
        tokens = {holder: (sign.beat, lease if holder in lease else "") for holder, sign in found.signs.items()}
        before = self._watched
        self._watched = {
            holder: before[holder] if holder in before and before[holder][0] == token else (token, now)
            for holder, token in tokens.items()
        }
        return found

    def _silence(self, holder: str) -> float:
        return self.clock() - self._watched[holder][1] if holder in self._watched else 0.0

    def _gone(self, holder: str, sign: Sign) -> bool:
        return died_here(holder) or self._silence(holder) >= max(GONE_SECONDS, GONE_BEATS * sign.period)

    def _why_free(self, monitors: Monitors) -> str:
        sign = monitors.signs.get(monitors.turn)
        if sign is None:
            return f"{monitors.turn} left" if monitors.turn else "nobody works"
        if died_here(monitors.turn):
            return f"{monitors.turn} died"
        if self._silence(monitors.turn) >= QUIET_BEATS * sign.period:
            return f"{monitors.turn} gave no sign of life for {self._silence(monitors.turn):.0f} s"
        return f"{monitors.turn} failed {sign.failed_looks} times" if sign.failed_looks >= FAILED_LOOKS else ""
