"""How a number of minutes becomes what starts a job. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zlib import crc32

HOUR, DAY, WEEK = 60, 24 * 60, 7 * 24 * 60
UNITS = ((WEEK, "WEEKS"), (DAY, "DAYS"), (HOUR, "HOURS"))
"""What a periodic trigger counts in; it knows no minutes."""


def firing(minutes: int, module: str) -> Mapping[str, Any] | None:
    """The part of a job's settings that starts it every so many minutes; None where no job can say that.

    Whole hours, days and weeks are a periodic trigger. Fewer minutes than an hour are a cron expression (UTC), if they
    divide the hour; where in the interval it fires follows from the module, so that not all fire in one second.

    >>> firing(180, "m")
    {'trigger': {'periodic': {'interval': 3, 'unit': 'HOURS'}}}
    >>> firing(15, "m")
    {'schedule': {'quartz_cron_expression': '32 11/15 * * * ?', 'timezone_id': 'UTC'}}
    >>> firing(90, "m")
    """
    for length, unit in UNITS:
        if minutes > 0 and minutes % length == 0:
            return {"trigger": {"periodic": {"interval": minutes // length, "unit": unit}}}
    if minutes <= 0 or HOUR % minutes:
        return None
    place = crc32(module.encode())
    of_hour = "*" if minutes == 1 else f"{place // HOUR % minutes}/{minutes}"
    return {"schedule": {"quartz_cron_expression": f"{place % HOUR} {of_hour} * * * ?", "timezone_id": "UTC"}}


def nearest_minutes(minutes: int) -> tuple[int, ...]:
    """The numbers of minutes beside this one that a job can say.

    >>> nearest_minutes(90), nearest_minutes(45), nearest_minutes(0)
    ((60, 120), (30, 60), (1,))
    """
    if minutes < 1:
        return (1,)
    said = [each for each in range(1, HOUR) if HOUR % each == 0] if minutes < HOUR else []
    said += [HOUR * max(minutes // HOUR, 1), HOUR * (minutes // HOUR + 1)]
    below, above = [each for each in said if each < minutes], [each for each in said if each > minutes]
    return (*below[-1:], *above[:1])
