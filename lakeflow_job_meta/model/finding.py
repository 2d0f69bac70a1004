"""What a check of something that is there finds: well or not, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How a check ended. A warning is nothing that stops work."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, and what to do about it."""

    status: Status
    found: str
    hint: str = ""
    check: str = ""
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """The finding as JSON-ready values."""
        return {
            "check": self.check,
            "status": str(self.status),
            "found": self.found,
            "hint": self.hint or None,
            "seconds": round(self.seconds, 3),
        }


def ok(found: str, hint: str = "") -> Finding:
    """All is well."""
    return Finding(Status.OK, found, hint)


def warning(found: str, hint: str) -> Finding:
    """Work goes on, but somebody should know."""
    return Finding(Status.WARNING, found, hint)


def failed(found: str, hint: str) -> Finding:
    """Something won't work."""
    return Finding(Status.FAILED, found, hint)


def not_tried(found: str, hint: str = "") -> Finding:
    """Nobody knows."""
    return Finding(Status.NOT_TRIED, found, hint)
