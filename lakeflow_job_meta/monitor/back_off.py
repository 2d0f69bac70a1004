"""When modules that fail are tried again: later each time, but at once when their rows changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

BACK_OFF_SECONDS = 900.0
"""The longest time between two tries of a module that fails."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A module that failed: why, what it was asked for then, how often, and when it is due again."""

    reason: str
    asked: str
    tries: int
    due: float


@dataclass(slots=True)
class BackOff:
    """The modules that fail at present. `base` is the wait after the first failure, in seconds.

    >>> back_off = BackOff(60, clock=lambda: 0.0)
    >>> [back_off.failed("m", "no such cluster", "settings") for _ in range(3)]
    [60.0, 120.0, 240.0]
    >>> back_off.waits("m", "settings"), back_off.waits("m", "other settings")
    (True, False)
    """

    base: float
    clock: Callable[[], float] = time.monotonic
    failures: dict[str, Failure] = field(default_factory=dict[str, Failure])

    def failed(self, module: str, reason: str, asked: str) -> float:
        """Note a failure; returns in how many seconds the next try is due."""
        before = self.failures.get(module)
        tries = before.tries + 1 if before and before.asked == asked else 1
        wait = min(float(self.base * 2 ** (tries - 1)), BACK_OFF_SECONDS)
        self.failures[module] = Failure(reason, asked, tries, self.clock() + wait)
        return wait

    def waits(self, module: str, asked: str) -> bool:
        """Whether a module, asked for the same as when it failed, isn't due yet."""
        failure = self.failures.get(module)
        return failure is not None and failure.asked == asked and failure.due > self.clock()

    def keep_only(self, failing: Collection[str]) -> None:
        """All other modules hold again."""
        self.failures = {module: failure for module, failure in self.failures.items() if module in failing}

    @property
    def reasons(self) -> dict[str, str]:
        return {module: failure.reason for module, failure in self.failures.items()}

    @property
    def any_due(self) -> bool:
        return any(failure.due <= self.clock() for failure in self.failures.values())
