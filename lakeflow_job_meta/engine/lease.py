"""Who may write: one holder at a time, told apart by an epoch that every write checks. Pure.

A lease is a row beside the state, so that one commit can check the one and write the other. A waiter never compares
clocks with the holder: it takes over when the row hasn't changed for the time to live by its own clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lakeflow_job_meta.model.job import Settings

MARGIN = 1 / 3
"""The part of the time to live that a call may take; with less than that left a holder starts no more of them."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease as the row holds it. `beat` counts heartbeats, `ttl` is in seconds, `since` is for people.

    `state_version` is the state's version when it was let go: a later one is somebody else's work. `mark` is what was
    reconciled completely by then: while all of it is as it was, there is nothing to do.
    """

    holder: str
    epoch: int
    beat: int
    ttl: float
    since: str
    held: bool = True
    state_version: int = -1
    mark: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def read(cls, settings: Settings) -> Lease:
        """The lease in a row's settings."""
        return cls(**{name: settings[name] for name in cls.__dataclass_fields__ if name in settings})

    def to_settings(self) -> dict[str, Any]:
        """The lease as a row's settings."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @property
    def token(self) -> tuple[int, int]:
        """Changes with each sign of life."""
        return (self.epoch, self.beat)

    def beaten(self) -> Lease:
        """One heartbeat later."""
        return replace(self, beat=self.beat + 1)

    def released(self, state_version: int = -1, mark: Mapping[str, Any] | None = None) -> Lease:
        """Let go; the epoch stays, so that whoever comes next has a higher one."""
        return replace(self, held=False, state_version=state_version, mark=mark or {})

    def as_left(self, state_version: int) -> bool:
        """Whether nobody has written the state since it was let go."""
        return not self.held and self.state_version == state_version


def next_lease(before: Lease | None, holder: str, ttl: float, since: str) -> Lease:
    """The lease of a new holder.

    >>> next_lease(None, "me", 90, "now").epoch
    1
    """
    return Lease(holder, before.epoch + 1 if before else 1, 0, ttl, since)


@dataclass(slots=True)
class Watch:
    """A waiter's view of somebody else's lease: for how long it hasn't changed, by the waiter's own clock."""

    token: tuple[int, int] | None = None
    since: float = 0.0

    def expired(self, lease: Lease, now: float) -> bool:
        """Whether the holder gave no sign of life for its time to live."""
        if lease.token != self.token:
            self.token, self.since = lease.token, now
            return False
        return now - self.since >= lease.ttl


def may_call(last_sign_of_life: float, ttl: float, now: float) -> bool:
    """Whether enough of the lease is left for one more call to end before anybody may take over."""
    return now - last_sign_of_life < ttl * (1 - MARGIN)
