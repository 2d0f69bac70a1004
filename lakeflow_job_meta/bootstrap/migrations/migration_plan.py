"""A plan for migrations: which is to be applied, taken back or put right, and why. Data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lakeflow_job_meta.bootstrap.migrations.entry import Entry
from lakeflow_job_meta.bootstrap.migrations.files import MigrationFile
from lakeflow_job_meta.diagnostics import Diagnostic
from lakeflow_job_meta.model.plan import ActionKind, AnyAction, AnyPlan, Cause, FieldChange


class Wish(StrEnum):
    """What is asked for."""

    UP = "up"
    DOWN = "down"
    BASELINE = "baseline"


APPLY, TAKE_BACK, RECORD, PUT_RIGHT = DOINGS = ("apply", "take back", "record", "put right")
SKIP = "skip"

_DOING: dict[Wish | None, tuple[str, ActionKind]] = {
    Wish.UP: (APPLY, ActionKind.CREATE),
    Wish.DOWN: (TAKE_BACK, ActionKind.DELETE),
    Wish.BASELINE: (RECORD, ActionKind.ADOPT),
    None: (PUT_RIGHT, ActionKind.UPDATE),
}


@dataclass(frozen=True, slots=True)
class MigrationAction(AnyAction):
    """One migration's part of a plan; its subject is the file's name without the suffix.

    `file` and `entry` are the migration as it was read, and its row, None where it has none. `wish` is None where it is
    only to be put right after an interruption, or where nothing is to be done.
    """

    file: MigrationFile
    entry: Entry | None = None
    wish: Wish | None = None
    changes: tuple[FieldChange, ...] = ()

    @classmethod
    def to_do(
        cls, file: MigrationFile, entry: Entry | None, wish: Wish | None, reason: str, changes: Sequence[FieldChange]
    ) -> MigrationAction:
        """What has to be done, for a reason."""
        return cls(_DOING[wish][1], file.name, reason, file, entry, wish, tuple(changes))

    @classmethod
    def to_skip(cls, file: MigrationFile, entry: Entry | None, reason: str) -> MigrationAction:
        """Nothing to do, for a reason."""
        return cls(ActionKind.SKIP, file.name, reason, file, entry)

    @property
    def doing(self) -> str:
        """What people are told is done to it: one of DOINGS, or `skip`."""
        return _DOING[self.wish][0] if self.effective else SKIP

    @property
    def failed(self) -> bool:
        return False

    @property
    def reported(self) -> Sequence[FieldChange]:
        return ()

    @property
    def causes(self) -> Sequence[Cause]:
        return ()

    @property
    def interrupted(self) -> bool:
        """Whether a run that died left it unfinished."""
        return self.entry is not None and self.entry.state.under_way

    @property
    def restores(self) -> bool:
        """Whether it is taken back by RESTORE."""
        return self.wish is Wish.DOWN and self.file.down is None

    def to_dict(self) -> dict[str, Any]:
        """The action as JSON-ready values."""
        return {
            "action": self.doing,
            "migration": self.subject,
            "version": self.file.version,
            "reason": self.reason,
            "interrupted": self.interrupted,
            "changes": [change.to_dict() for change in self.changes],
        }


@dataclass(frozen=True, slots=True)
class MigrationPlan(AnyPlan[MigrationAction]):
    """All migrations of a dataset, in the order in which they are done; version −1 of a record that isn't there yet."""

    dataset: str
    store: str
    record: str
    record_version: int
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def heading(self) -> str:
        at = f"at version {self.record_version}" if self.record_version >= 0 else "not there yet"
        return f"migrations of {self.dataset} in {self.store}, record {self.record} {at}"

    @property
    def findings(self) -> Sequence[Diagnostic]:
        return self.diagnostics

    def counts(self) -> dict[str, int]:
        """How many of each of DOINGS, and `skip`; those without any are left out."""
        listed = [action.doing for action in self.actions]
        return {doing: listed.count(doing) for doing in (*DOINGS, SKIP) if doing in listed}

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON-ready values."""
        return {
            "dataset": self.dataset,
            "store": self.store,
            "record": self.record,
            "record_version": self.record_version,
            "summary": self.counts(),
            "actions": [action.to_dict() for action in self.actions],
            "diagnostics": [each.to_dict() for each in self.diagnostics],
        }


@dataclass(frozen=True, slots=True)
class MigrationOutcome:
    """What became of one migration."""

    action: MigrationAction
    done: bool
    error: str = ""
    duration_ms: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The outcome as JSON-ready values."""
        return {
            "migration": self.action.subject,
            "action": self.action.doing,
            "done": self.done,
            "error": self.error or None,
            "duration_ms": self.duration_ms,
        }
