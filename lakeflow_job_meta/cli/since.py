"""Moments that people name: how long ago, or when."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from lakeflow_job_meta.errors import UsageError

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
AGO = re.compile(r"(\d{1,6})([smhdw])")


def parse_since(text: str | None, now: datetime) -> datetime | None:
    """`90s`, `30m`, `12h`, `1d`, `2w` ago, or an ISO 8601 time, UTC if it has no zone.

    Raises:
        UsageError: neither.

    >>> parse_since("1d", datetime(2026, 11, 21, tzinfo=UTC)).isoformat()
    '2026-11-20T00:00:00+00:00'
    """
    if text is None:
        return None
    if ago := AGO.fullmatch(text):
        return now - timedelta(**{UNITS[ago[2]]: int(ago[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"--since: expected how long ago, or a time, found '{text}'", hint="30m, 12h, 1d, 2w, or 2026-11-21T08:00"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
