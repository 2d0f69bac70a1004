"""A token bucket for each kind of call, so that we stay below the published rates."""

from __future__ import annotations

import math
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
    _free_at: float = -math.inf
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> None:
        """Wait until one more call may be sent."""
        with self._lock:
            now = self.clock()
            self._free_at = max(self._free_at, now - BURST_SECONDS) + 1 / self.rate
            wait = self._free_at - now
        if wait > 0:
            self.sleep(wait)


class Throttle:
    """Buckets by the end of a call's path: `jobs/create` is that of `/api/2.2/jobs/create`, the longest end counts.

    Args:
        rates: Calls a second by end of path; other calls aren't limited.
        clock, sleep: In seconds.
    """

    def __init__(
        self,
        rates: Mapping[str, float] = RATES,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.rates = rates
        longest_first = sorted(rates, key=len, reverse=True)
        self._buckets = {f"/{end.strip('/')}": TokenBucket(rates[end], clock, sleep) for end in longest_first}

    def take(self, path: str) -> None:
        """Wait until a call of this path may be sent."""
        for end, bucket in self._buckets.items():
            if path.endswith(end):
                bucket.take()
                return


NO_THROTTLE = Throttle({})
