"""What a run did, step by step: gathered while it runs, and written to log.source as one commit at its end."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lakeflow_job_meta.stages.contract.handoff import FAILED, RUN, SKIPPED, SUCCEEDED
from lakeflow_job_meta.stages.http.failure import ApiError

STAGE = "source"
AUTHENTICATE, VALIDATE, PREVIEW = "authenticate", "validate", "preview"


@dataclass(slots=True)
class Step:
    """One step under way; what it finds is noted in it."""

    name: str
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    finished_at: datetime | None = None
    status: str = SUCCEEDED
    seconds: float = 0.0
    table_ms: int | None = None
    endpoint_count: int | None = None
    endpoint_success_count: int | None = None
    tables: dict[str, int] = field(default_factory=dict[str, int])
    details: dict[str, Any] = field(default_factory=dict[str, Any])
    error_kind: str | None = None
    error: str | None = None


@dataclass(slots=True)
class Activity:
    """The steps of one run, and what all its rows share: the envelope."""

    envelope: Mapping[str, Any]
    steps: list[Step] = field(default_factory=list[Step])
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    began: float = field(default_factory=time.monotonic)

    @contextmanager
    def step(self, name: str) -> Generator[Step]:
        """Measure a step; one that raises is noted as failed."""
        step, began = Step(name), time.monotonic()
        self.steps.append(step)
        try:
            yield step
        except BaseException as error:
            step.status = FAILED
            step.error_kind, step.error = kind_of(error), told(error)
            raise
        finally:
            step.seconds, step.finished_at = time.monotonic() - began, datetime.now(UTC)

    def skip(self, name: str) -> None:
        """Note that a step isn't part of this run."""
        self.steps.append(Step(name, finished_at=datetime.now(UTC), status=SKIPPED))

    def rows(self, whole: Step, requests: int, retries: int, discovered: datetime | None) -> list[dict[str, Any]]:
        """The rows of log.source: the steps, then the run, whose row says that the batch is complete."""
        rows = [self._row(step) for step in self.steps]
        sums = {"request_count": requests, "retry_count": retries, "discovery_date": discovered}
        return [*rows, {**self._row(whole), **sums}]

    def _row(self, step: Step) -> dict[str, Any]:
        return {
            **self.envelope,
            "stage": STAGE,
            "step": step.name,
            "status": step.status,
            "started_at": step.started_at,
            "finished_at": step.finished_at,
            "duration_seconds": round(step.seconds, 6),
            "endpoint_count": step.endpoint_count,
            "endpoint_success_count": step.endpoint_success_count,
            "table_creation_duration_ms": step.table_ms,
            "tables": json.dumps(step.tables) if step.tables else None,
            "details": json.dumps(step.details, ensure_ascii=False) if step.details else None,
            "error_kind": step.error_kind,
            "error": step.error,
        }

    def whole(self, error: BaseException | None) -> Step:
        """The run as a step of its own, summed up."""
        step = Step(RUN, self.started_at, datetime.now(UTC), SUCCEEDED if error is None else FAILED)
        step.seconds = time.monotonic() - self.began
        step.table_ms = sum(each.table_ms or 0 for each in self.steps)
        for each in self.steps:
            step.tables |= each.tables
            step.endpoint_count = each.endpoint_count if each.endpoint_count is not None else step.endpoint_count
            if each.endpoint_success_count is not None:
                step.endpoint_success_count = each.endpoint_success_count
        if error is not None:
            step.tables, step.error_kind, step.error = {}, kind_of(error), told(error)
        return step


def kind_of(error: BaseException) -> str:
    """One word for what failed."""
    return error.kind if isinstance(error, ApiError) else type(error).__name__


def told(error: BaseException) -> str:
    """What failed, and what to do."""
    return str(error) or type(error).__name__
