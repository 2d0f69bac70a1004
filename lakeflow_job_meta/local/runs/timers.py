"""What is to happen later, by the id of the run or task run that it is about; one thing each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Timers:
    """Steps that the loop takes later."""

    def __init__(self) -> None:
        self._handles: dict[int, asyncio.TimerHandle] = {}

    def set(self, key: int, seconds: float, step: Callable[[], None]) -> None:
        """Take a step in so many seconds, instead of what was set for this key before."""
        self.forget(key)
        self._handles[key] = asyncio.get_running_loop().call_later(max(0.0, seconds), step)

    def forget(self, key: int) -> None:
        """Don't take the step of this key."""
        if (handle := self._handles.pop(key, None)) is not None:
            handle.cancel()

    def close(self) -> None:
        """Take no step any more."""
        for key in list(self._handles):
            self.forget(key)


def soon(step: Callable[[], None]) -> None:
    """Take a step when the present one is done."""
    _ = asyncio.get_running_loop().call_soon(step)
