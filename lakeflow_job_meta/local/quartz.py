"""Whether a text is a Quartz cron expression, as the Jobs API's schedules use it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

MONTHS = {
    name: number
    for number, name in enumerate(
        ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"], 1
    )
}
DAYS = {name: number for number, name in enumerate(["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"], 1)}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the expression: its bounds, the names it knows, and the special forms it allows."""

    name: str
    low: int
    high: int
    names: dict[str, int]
    special: re.Pattern[str] | None = None


FIELDS = (
    Field("second", 0, 59, {}),
    Field("minute", 0, 59, {}),
    Field("hour", 0, 23, {}),
    Field("day of month", 1, 31, {}, re.compile(r"L(-([0-9]|[12][0-9]|30))?W?|([1-9]|[12][0-9]|3[01])W")),
    Field("month", 1, 12, MONTHS),
    Field("day of week", 1, 7, DAYS, re.compile(r"L|([1-7]|SUN|MON|TUE|WED|THU|FRI|SAT)(L|#[1-5])")),
    Field("year", 1970, 2199, {}),
)
DAY_OF_MONTH, DAY_OF_WEEK = 3, 5


def cron_problem(expression: str) -> str:
    """What is wrong with a Quartz cron expression; empty if nothing is.

    >>> cron_problem("0 0 12 ? * MON-FRI"), cron_problem("0 12 * * *")
    ('', 'expected 6 or 7 fields (second minute hour day-of-month month day-of-week [year]), found 5')
    """
    parts = expression.upper().split()
    if len(parts) not in (6, 7):
        shape = "second minute hour day-of-month month day-of-week [year]"
        return f"expected 6 or 7 fields ({shape}), found {len(parts)}"
    questions = [position for position, part in enumerate(parts) if part == "?"]
    if any(position not in (DAY_OF_MONTH, DAY_OF_WEEK) for position in questions):
        return "'?' is only for the day of month or the day of week"
    if len(questions) != 1:
        return "exactly one of day of month and day of week must be '?'"
    for field, part in zip(FIELDS, parts, strict=False):
        if part != "?" and (problem := _field_problem(field, part)):
            return problem
    return ""


def timezone_problem(name: str) -> str:
    """What is wrong with a time zone's name; empty if nothing is.

    >>> timezone_problem("Europe/Paris"), timezone_problem("Mars/Olympus")
    ('', "unknown time zone 'Mars/Olympus'")
    """
    try:
        datetime(2000, 1, 1, tzinfo=ZoneInfo(name)).utcoffset()
    except (OSError, ValueError, LookupError):
        return f"unknown time zone '{name}'"
    return ""


def _field_problem(field: Field, text: str) -> str:
    for item in text.split(","):
        if item == "" or not _item_fits(field, item):
            return f"'{item}' is not a valid {field.name} ({field.low}-{field.high})"
    return ""


def _item_fits(field: Field, item: str) -> bool:
    if field.special is not None and field.special.fullmatch(item):
        return True
    span, slash, step = item.partition("/")
    if slash and not (step.isdecimal() and 0 < int(step) <= field.high):
        return False
    if span == "*" or (span == "" and slash):
        return True
    first, dash, last = span.partition("-")
    start, end = _number(field, first), _number(field, last) if dash else 0
    return start is not None and end is not None


def _number(field: Field, text: str) -> int | None:
    number = field.names.get(text, int(text) if text.isascii() and text.isdecimal() else None)
    return number if number is not None and field.low <= number <= field.high else None
