"""How many calls to the workspace were made, and how they ended: for whoever watches a long-running process."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lakeflow_job_meta.workspace.api import Client

NO_ANSWER = "none"


@dataclass(slots=True)
class Calls:
    """Numbers by method and kind of answer: `2xx`, `4xx`, `5xx`, or `none` where none came. Safe for threads.

    What the SDK repeats by itself (a GET after a lost connection) counts as one call.
    """

    last_at: float = 0.0
    _numbers: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, method: str, answer: str) -> None:
        """One more call that has ended."""
        with self._lock:
            self._numbers[method, answer] += 1
            self.last_at = time.monotonic()

    def numbers(self) -> dict[tuple[str, str], int]:
        """How many calls ended, by method and kind of answer."""
        with self._lock:
            return dict(self._numbers)


@dataclass(frozen=True, slots=True)
class CountedClient:
    """The SDK's client, with each call counted."""

    client: Client
    calls: Calls

    def do(self, method: str, path: str | None = None, **arguments: Any) -> Any:
        answer = NO_ANSWER
        try:
            found = self.client.do(method, path, **arguments)
            answer = "2xx"
        except Exception as error:
            answer = _kind_of(error)
            raise
        finally:
            self.calls.add(method, answer)
        return found


def _kind_of(error: Exception) -> str:
    from databricks.sdk.errors.base import DatabricksError

    found = error if isinstance(error, DatabricksError) else error.__cause__
    return f"{status_of(found) // 100}xx" if isinstance(found, DatabricksError) else NO_ANSWER


def status_of(error: BaseException) -> int:
    """The HTTP status of the SDK's error, which keeps it only as its class."""
    from databricks.sdk.errors import platform

    for status, kind in platform.STATUS_CODE_MAPPING.items():
        if isinstance(error, kind):
            return status
    return 500 if "internal" in type(error).__name__.lower() else 400
