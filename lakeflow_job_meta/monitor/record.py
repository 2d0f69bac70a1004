"""What the loop did, kept for whoever asks: as health, and as metrics where somebody listens."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from lakeflow_job_meta.model.plan import Outcome
from lakeflow_job_meta.monitor.cycle import Cycle
from lakeflow_job_meta.monitor.health import Health
from lakeflow_job_meta.monitor.listen import Address, Page, listening
from lakeflow_job_meta.workspace.calls import Calls

if TYPE_CHECKING:
    from lakeflow_job_meta.monitor.metrics import Metrics

logger = logging.getLogger("lakeflow_job_meta.monitor")


class Record:
    """Written by the loop alone, read by any thread: what is known is replaced as a whole.

    Args:
        interval: Seconds between two looks.
        calls: What was sent to the workspace.
    """

    def __init__(self, interval: float, calls: Calls) -> None:
        now = time.monotonic()
        self._health = Health(interval, started=now, moved=now)
        self._calls = calls
        self._metrics: Metrics | None = None
        self._began = now

    @property
    def health(self) -> Health:
        """How the loop is, at this moment."""
        return self._health.progressed(self._calls.last_at)

    def began(self) -> None:
        """A cycle is under way."""
        self._began = time.monotonic()
        self._health = self._health.began(self._began)

    def stands_by(self, standby: str) -> None:
        """Who works instead of this monitor is known, empty where nobody does."""
        self._health = replace(self._health, standby=standby)

    def done(self, cycle: Cycle) -> float:
        """The cycle is done; returns how many seconds it took."""
        now = time.monotonic()
        self._health = self._health.done(cycle, now, datetime.now(UTC))
        self._count(cycle.result, now)
        return now - self._began

    def failed(self, error: str) -> None:
        """The cycle failed as a whole."""
        self._health = self._health.failed(error, datetime.now(UTC))
        self._count("failed", time.monotonic())

    def outcome(self, outcome: Outcome) -> None:
        """One action came to its end."""
        self._health = self._health.progressed(time.monotonic())
        if self._metrics is not None:
            self._metrics.action(outcome)

    @contextmanager
    def changing_jobs(self) -> Generator[None]:
        """The lease is ours, or will be in a moment."""
        self._health = replace(self._health, lease_held=True)
        try:
            yield
        finally:
            self._health = replace(self._health, lease_held=False)

    @contextmanager
    def served(self, address: Address | None) -> Generator[None]:
        """Answers /healthz and /metrics on this address, if one is given.

        Raises:
            UsageError: the port is in use.
        """
        if address is None:
            yield
            return
        from lakeflow_job_meta.monitor.metrics import Metrics

        self._metrics = Metrics(lambda: self.health, self._calls)
        with listening(address, {"/healthz": self._healthz, "/metrics": self._metrics.page}) as bound:
            logger.info("listening: %s/healthz and /metrics", bound.url)
            yield

    def _healthz(self) -> Page:
        data = self.health.to_dict(time.monotonic())
        status = HTTPStatus.SERVICE_UNAVAILABLE if data["reason"] else HTTPStatus.OK
        return Page(json.dumps(data, indent=2).encode() + b"\n", "application/json", status)

    def _count(self, result: str, now: float) -> None:
        if self._metrics is not None:
            self._metrics.cycle(result, now - self._began)
