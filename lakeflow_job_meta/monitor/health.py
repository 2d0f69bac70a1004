"""How the monitor is: what its loop did so far, and whether that is as it should be. Pure: the time is passed in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from lakeflow_job_meta.monitor.cycle import Cycle, Extent

OVERDUE_INTERVALS, OVERDUE_SECONDS = 3, 30.0
"""The last successful cycle may be so many intervals old, and at least that many seconds."""

STUCK_SECONDS = 300.0
"""A cycle in which for so long no call ended and no action was done hangs; one call may be tried for a minute."""


@dataclass(frozen=True, slots=True)
class Health:
    """What the loop did so far. `started`, `moved` (the last progress) and `succeeded` are seconds of one clock that
    only goes forward; the times are for people. `standby` is who works instead, `failed_looks` are in a row, `findings`
    are what is wrong with the watched files and the pipeline registry."""

    interval: float
    started: float
    moved: float
    under_way: bool = False
    succeeded: float | None = None
    last_cycle_at: datetime | None = None
    last_success_at: datetime | None = None
    failed_looks: int = 0
    last_error: str = ""
    standby: str = ""
    lease_held: bool = False
    failing: int = 0
    findings: int = 0
    control_version: int | None = None
    extent: Extent | None = None

    def began(self, now: float) -> Health:
        """A cycle is under way from now on."""
        return replace(self, under_way=True, moved=now)

    def progressed(self, now: float) -> Health:
        """Something came to its end at that moment."""
        return replace(self, moved=max(self.moved, now))

    def done(self, cycle: Cycle, now: float, at: datetime) -> Health:
        """The cycle under way succeeded; modules may fail all the same."""
        known = self.extent
        extent = cycle.extent or known
        if extent is not None and extent.drifted is None and known is not None:
            extent = replace(extent, drifted=known.drifted)
        return replace(
            self, under_way=False, succeeded=now, last_cycle_at=at, last_success_at=at, failed_looks=0, last_error="",
            standby=cycle.standby, failing=len(cycle.failures), findings=len(cycle.findings), extent=extent,
            control_version=cycle.versions[0] if cycle.versions else self.control_version,
        )  # fmt: skip

    def failed(self, error: str, at: datetime) -> Health:
        """The cycle under way failed as a whole."""
        looks = self.failed_looks + 1
        return replace(self, under_way=False, last_cycle_at=at, failed_looks=looks, last_error=error, lease_held=False)

    def trouble(self, now: float) -> str:
        """Why the monitor isn't well; empty where it is."""
        if self.under_way and now - self.moved > STUCK_SECONDS:
            return f"a cycle hangs: nothing came to its end for {now - self.moved:.0f} s"
        if self.under_way and not self.failed_looks:
            return ""
        age = now - (self.started if self.succeeded is None else self.succeeded)
        if age <= max(OVERDUE_INTERVALS * self.interval, OVERDUE_SECONDS):
            return ""
        late = f"no cycle succeeded for {age:.0f} s"
        return f"{late}; the last error: {self.last_error}" if self.last_error else late

    def to_dict(self, now: float) -> dict[str, Any]:
        """The state of health as JSON-ready values."""
        trouble = self.trouble(now)
        return {
            "status": "failing" if trouble else "ok",
            "reason": trouble or None,
            "role": "standby" if self.standby else "working",
            "works_instead": self.standby or None,
            "cycle_under_way": self.under_way,
            "last_cycle_at": _text(self.last_cycle_at),
            "last_success_at": _text(self.last_success_at),
            "last_error": self.last_error or None,
            "failing_modules": self.failing,
            "file_findings": self.findings,
            "control_version": self.control_version,
        }


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None
