"""How fast we may ask: a rate, so many at a time, and a pause for all when the API asks one of us to wait."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType


class Pace:
    """Taken around each request: `async with pace:`.

    Args:
        per_second: requests that may begin in a second, evenly spaced after a first burst of one second's worth.
        at_once: requests that may be under way.
    """

    def __init__(self, per_second: float, at_once: int) -> None:
        self._step = 1 / per_second
        self._burst = 1.0
        self._slots = asyncio.Semaphore(at_once)
        self._next = 0.0
        self._closed_until = 0.0

    def wait_all(self, seconds: float) -> None:
        """Let nobody begin for so many seconds: one 429 is meant for all of us."""
        self._closed_until = max(self._closed_until, time.monotonic() + seconds)

    async def __aenter__(self) -> None:
        await self._slots.acquire()
        try:
            # Again after each sleep: meanwhile another request may have been told to wait.
            while (wait := self._wait()) > 0:
                await asyncio.sleep(wait)
            self._next = max(self._next, time.monotonic() - self._burst) + self._step
        except BaseException:
            self._slots.release()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._slots.release()

    def _wait(self) -> float:
        return max(self._closed_until, self._next) - time.monotonic()
