"""What can become of a request to a SQL warehouse, what people are told of it, and how long it is tried again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from enum import Enum

from lakeflow_job_meta.errors import StoreError

START_SECONDS = 600.0
"""How long a warehouse that is starting is waited for; those of the classic kind take minutes."""

CONNECT_SECONDS = 20.0
"""How long a host that doesn't answer is tried."""

_logger = logging.getLogger("lakeflow_job_meta.store.warehouse")


class Kind(Enum):
    """What became of a request; only after BROKEN it may have had an effect."""

    ANSWERED = "the engine says why not"
    EXPIRED = "the session is gone"
    DENIED = "we may not"
    MISSING = "no such warehouse"
    BUSY = "it asks us to come again"
    UNREACHED = "nobody is there"
    UNTRUSTED = "its certificate isn't trusted"
    BROKEN = "no answer"


STATUSES: Mapping[int, Kind] = {401: Kind.DENIED, 403: Kind.DENIED, 404: Kind.MISSING, 429: Kind.BUSY, 503: Kind.BUSY}
WAITED: Mapping[Kind, float] = {Kind.BUSY: START_SECONDS, Kind.UNREACHED: CONNECT_SECONDS}

_TOLD: Mapping[Kind, tuple[str, str]] = {
    Kind.EXPIRED: ("its sessions end at once", "try again later"),
    Kind.DENIED: ("we may not use it", "check who is logged in, and whether they may use the warehouse (CAN USE)"),
    Kind.MISSING: ("there is no such warehouse", "check `store`: the id, and the host"),
    Kind.BUSY: ("it isn't ready", "start it, or try again later"),
    Kind.UNREACHED: ("it can't be reached", "check the host and the network"),
    Kind.UNTRUSTED: ("its certificate isn't trusted", "give its authority's certificate: LAKEFLOW_WAREHOUSE_CA_FILE"),
    Kind.BROKEN: ("the connection broke", "try again"),
}
_UNKNOWN = ("the connection broke during a write; whether it was done isn't known", "look before you run it again")


class Failure(Exception):
    """One request that failed. `wait` is what the server asked for, in seconds."""

    def __init__(self, kind: Kind, text: str, wait: float | None = None) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text
        self.wait = wait

    def told(self, label: str, *, writing: bool = False) -> StoreError:
        """The failure as people are told it."""
        what, hint = _UNKNOWN if writing and self.kind is Kind.BROKEN else _TOLD[self.kind]
        return StoreError(f"{label}: {what} ({self.text})", hint=hint)


class Patience:
    """How long one statement waits for its warehouse; tells people once that it does."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._begun = time.monotonic()
        self._pause = 0.1
        self._told = threading.Lock()

    def wait(self, failure: Failure) -> None:
        """Sleep until the next try: as long as the server asks for, or longer each time.

        Raises:
            StoreError: it would take too long.
        """
        self._pause = min(self._pause * 2, 10.0)
        pause = self._pause if failure.wait is None else failure.wait
        if time.monotonic() - self._begun + pause > WAITED[failure.kind]:
            raise failure.told(self._label) from failure.__cause__
        self.tell(f"{failure.text}, it may be starting" if failure.kind is Kind.BUSY else failure.text)
        time.sleep(pause)

    def tell(self, why: str) -> None:
        """Say on the log what is waited for, unless it was said."""
        if self._told.acquire(blocking=False):
            _logger.info("waiting for %s: %s", self._label, why)
