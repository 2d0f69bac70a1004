"""The words of the record: what a run's status is called, and who started it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

PENDING, RUNNING, SUCCESS, FAILED = STATUSES = ("pending", "running", "success", "failed")
FINAL = (SUCCESS, FAILED)
MANUAL, SCHEDULE, API = STARTERS = ("manual", "schedule", "api")

STARTED_BY: Mapping[str, str] = {
    "periodic": SCHEDULE, "continuous": SCHEDULE, "continuousrestart": SCHEDULE, "filearrival": SCHEDULE,
    "table": SCHEDULE, "tableupdate": SCHEDULE, "retry": SCHEDULE, "onetime": API, "runjob": API, "runjobtask": API,
}  # fmt: skip
"""By what the Jobs API calls a run's trigger. It has one word for whoever runs a job now, a person in the UI or a
program: that is `api`, and `manual` is what `ljm pipelines` was asked for, which it says itself."""


def triggered_by(trigger: str) -> str:
    """Who started a run with this trigger; empty where it isn't known, or there is none.

    >>> triggered_by("PERIODIC"), triggered_by("one_time"), triggered_by("")
    ('schedule', 'api', '')
    """
    return STARTED_BY.get(trigger.lower().replace("_", ""), "")


def time_taken(started: datetime | None, ended: datetime | None) -> str | None:
    """How long something took, as databases read a time: hours, minutes, seconds.

    >>> from datetime import UTC, timedelta
    >>> start = datetime(2026, 11, 30, tzinfo=UTC)
    >>> time_taken(start, start + timedelta(minutes=61, seconds=2, milliseconds=34))
    '01:01:02.034'
    """
    if started is None or ended is None:
        return None
    milliseconds = max(0, round((ended - started).total_seconds() * 1000))
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}"
