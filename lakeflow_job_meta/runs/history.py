"""Which settings a job had when, out of the log. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from lakeflow_job_meta.model.job import RecordedJob
from lakeflow_job_meta.model.table import Row


@dataclass(frozen=True, slots=True)
class Applied:
    """What a job was made of, from `since` on."""

    since: datetime
    control_version: int | None
    fingerprint: str | None
    correlation_id: str | None


class History:
    """What was applied to each job, oldest first.

    Args:
        log: rows of the log.
        recorded: the state, which knows to the moment when the last was applied.
    """

    def __init__(self, log: Iterable[Row], recorded: Mapping[int, RecordedJob]) -> None:
        self._of: dict[int, list[Applied]] = {}
        for row in sorted(log, key=lambda row: row["logged_at"]):
            if row["job_id"] is None or row["outcome"] != "done" or row["after_fingerprint"] is None:
                continue
            job = recorded.get(row["job_id"])
            since = row["logged_at"]
            if job is not None and job.applied_at and job.fingerprint == row["after_fingerprint"]:
                since = min(since, job.applied_at)  # the log is written when the whole reconcile ends
            made = Applied(since, row["control_version"], row["after_fingerprint"], row["correlation_id"])
            self._of.setdefault(row["job_id"], []).append(made)
        for job_id, job in recorded.items():
            if job_id not in self._of and job.applied_at is not None:
                self._of[job_id] = [Applied(job.applied_at, job.control_version, job.fingerprint, None)]

    def at(self, job_id: int, moment: datetime) -> Applied | None:
        """What the job was made of at that moment; None where that isn't known."""
        return next((each for each in reversed(self._of.get(job_id, ())) if each.since <= moment), None)
