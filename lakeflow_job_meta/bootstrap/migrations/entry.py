"""One migration in the record: where it stands, which tables it wrote, and who wrote that down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import uuid4

from lakeflow_job_meta.control.actor import actor
from lakeflow_job_meta.control.tenure import died_here, this_process
from lakeflow_job_meta.model.table import Row, TableName


class State(StrEnum):
    """Where a migration stands; `baseline` is recorded as applied without having been run."""

    APPLYING = "applying"
    APPLIED = "applied"
    BASELINE = "baseline"
    FAILED = "failed"
    REVERTING = "reverting"
    REVERTED = "reverted"

    @property
    def under_way(self) -> bool:
        return self in (State.APPLYING, State.REVERTING)

    @property
    def done(self) -> bool:
        return self in (State.APPLIED, State.BASELINE)


@dataclass(frozen=True, slots=True)
class Touched:
    """A table that a migration writes: its id and version before, None where there was none; its version after.

    `dropped` says that the last statement drops it.
    """

    table_id: str | None
    before: int | None
    after: int | None = None
    dropped: bool = False


Tables = Mapping[TableName, Touched]
Ranges = Mapping[str, tuple[tuple[int, int], ...]]
"""Versions of tables by the table's id: first and last of each range."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the record. `own` are the versions that this migration made, however it ended, each time that it was
    tried or taken back: to lose them is no loss."""

    version: int
    name: str
    checksum: str
    state: State
    run_id: str
    holder: str
    actor: str
    begun_at: datetime
    tables: Tables = field(default_factory=dict[TableName, Touched])
    undone: Tables | None = None
    own: Ranges = field(default_factory=dict[str, "tuple[tuple[int, int], ...]"])
    error: str | None = None
    ended_at: datetime | None = None
    duration_ms: int | None = None

    @property
    def touched(self) -> Tables:
        """The tables of what is under way, as they were when it began."""
        return self.tables if self.state is State.APPLYING else self.undone or {}

    @property
    def abandoned(self) -> bool:
        """Whether it is under way by a process of this machine that is gone."""
        return self.state.under_way and died_here(self.holder)

    @classmethod
    def from_row(cls, row: Row) -> Entry:
        """A row as the store gives it."""
        return cls(
            version=row["version"],
            name=row["name"],
            checksum=row["checksum"],
            state=State(row["status"]),
            run_id=row["run_id"],
            holder=row["holder"],
            actor=row["actor"],
            begun_at=row["begun_at"],
            tables=_tables(row["tables"]) or {},
            undone=_tables(row["undone"]),
            own={table: tuple((each[0], each[1]) for each in made) for table, made in json.loads(row["own"]).items()},
            error=row["error"],
            ended_at=row["ended_at"],
            duration_ms=row["duration_ms"],
        )

    def to_row(self) -> dict[str, Any]:
        """The row as the store takes it."""
        return {
            "version": self.version,
            "name": self.name,
            "checksum": self.checksum,
            "status": str(self.state),
            "tables": _text(self.tables),
            "undone": None if self.undone is None else _text(self.undone),
            "own": json.dumps(self.own),
            "error": self.error,
            "run_id": self.run_id,
            "holder": self.holder,
            "actor": self.actor,
            "begun_at": self.begun_at,
            "ended_at": self.ended_at,
            "duration_ms": self.duration_ms,
        }


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the command: who writes the rows."""

    run_id: str = field(default_factory=lambda: str(uuid4()))
    holder: str = field(default_factory=this_process)
    actor: str = field(default_factory=actor)
    begun_at: datetime = field(default_factory=lambda: _now())

    def begins(self, entry: Entry) -> Entry:
        """The row as this run begins with it."""
        return replace(
            entry, run_id=self.run_id, holder=self.holder, actor=self.actor, begun_at=_now(), ended_at=None, error=None
        )

    def ends(self, entry: Entry, state: State, error: str | None = None) -> Entry:
        """The row as it ends."""
        now = _now()
        took = round((now - entry.begun_at).total_seconds() * 1000)
        return replace(entry, state=state, error=error, ended_at=now, duration_ms=took)


def _now() -> datetime:
    return datetime.now(UTC)


def _text(tables: Tables) -> str:
    return json.dumps(
        {
            str(name): {"id": each.table_id, "before": each.before, "after": each.after, "dropped": each.dropped}
            for name, each in tables.items()
        }
    )


def _tables(text: str | None) -> dict[TableName, Touched] | None:
    if text is None:
        return None
    return {
        TableName.parse(name): Touched(each["id"], each["before"], each["after"], each["dropped"])
        for name, each in json.loads(text).items()
    }
