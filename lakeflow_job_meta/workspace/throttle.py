"""A token bucket for each kind of call, so that we stay below the published rates."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

RATES: Mapping[str, float] = {"jobs/create": 20, "jobs/run-now": 20, "jobs/runs/get": 100}
"""Calls a second, as published for the Jobs API; other calls aren't limited."""

BURST_SECONDS = 2.0
"""A bucket holds what may be sent in that time."""


@dataclass(slots=True)
class TokenBucket:
    """Lets `rate` calls a second through, in bursts of at most BURST_SECONDS; safe for threads."""

    rate: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _free_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> None:
        """Wait until one more call may be sent."""
        with self._lock:
            now = self.clock()
            self._free_at = max(self._free_at, now - BURST_SECONDS) + 1 / self.rate
            wait = self._free_at - now
        if wait > 0:
            self.sleep(wait)


@dataclass(slots=True)
class Throttle:
    """Buckets by the end of a call's path."""

    rates: Mapping[str, float] = field(default_factory=lambda: RATES)
    _buckets: dict[str, TokenBucket] = field(default_factory=dict[str, TokenBucket])

    def take(self, path: str) -> None:
        """Wait until a call of this path may be sent."""
        for ending, rate in self.rates.items():
            if path.endswith(ending):
                self._buckets.setdefault(ending, TokenBucket(rate)).take()
                return


NO_THROTTLE = Throttle({})
