"""When a schedule fires next: Quartz cron expressions in a time zone, pure.

A local time that a zone skips in spring fires as much later as the zone skips; one that comes twice in autumn fires the
first time. So a daily schedule fires once on every day, and none fires twice.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from lakeflow_job_meta.local.quartz import FIELDS, Field

FAR_YEARS = 60
"""So far is looked: the fifth Friday of a February comes within."""
LONGEST_SHIFT = timedelta(hours=3)
"""No zone moves its clock by more at once, but for days left out on the way across the date line."""
_LAST = re.compile(r"L(?:-(\d+))?(W?)")
_WEEKDAY = re.compile(r"(\d+)W")
_OF_WEEK = re.compile(r"(\w+?)(?:#([1-5])|L)")
DayRule = Callable[[date], bool]


@dataclass(frozen=True, slots=True)
class Cron:
    """An expression, read: the values of each field, and a rule for days."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: frozenset[int]
    years: frozenset[int]
    is_day: DayRule


def next_fire(expression: str, zone: str, after: datetime) -> datetime | None:
    """The first moment after another at which a schedule fires, in UTC; None if it never does again.

    Args:
        expression: a valid Quartz cron expression.
        zone: the name of a time zone.
        after: any moment with a zone.

    >>> next_fire("0 30 2 * * ?", "Europe/Paris", datetime(2024, 3, 30, 12, tzinfo=UTC)).isoformat()
    '2024-03-31T01:30:00+00:00'
    """
    cron, place = _read(expression), ZoneInfo(zone)
    here = after.astimezone(place)
    calm = here.utcoffset() == (after - LONGEST_SHIFT).astimezone(place).utcoffset()
    start = here.replace(tzinfo=None) - (timedelta() if calm else LONGEST_SHIFT)
    best: datetime | None = None
    for local in _local_times(cron, start):
        if best is not None and local > best.astimezone(place).replace(tzinfo=None):
            break
        moment = local.replace(tzinfo=place).astimezone(UTC)
        if moment > after:
            best = moment if best is None else min(best, moment)
            if moment.astimezone(place).replace(tzinfo=None) == local:
                break
            # A time that the clock skips fires later than its place in the day: others may come before.
    return best


def _local_times(cron: Cron, start: datetime) -> Iterator[datetime]:
    day, last = start.date(), min(start.year + FAR_YEARS, 9990)
    while day.year <= last:
        if day.year not in cron.years:
            day = date(day.year + 1, 1, 1)
        elif day.month not in cron.months:
            day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
        else:
            if cron.is_day(day):
                yield from _times_of(cron, day, start)
            day += timedelta(days=1)


def _times_of(cron: Cron, day: date, start: datetime) -> Iterator[datetime]:
    for hour in cron.hours:
        if datetime(day.year, day.month, day.day, hour, 59, 59) < start.replace(microsecond=0):
            continue
        for minute in cron.minutes:
            for second in cron.seconds:
                moment = datetime(day.year, day.month, day.day, hour, minute, second)
                if moment >= start:
                    yield moment


@cache
def _read(expression: str) -> Cron:
    parts = expression.upper().split()
    seconds, minutes, hours, of_month, months, of_week = parts[:6]
    years = parts[6] if len(parts) == 7 else "*"
    return Cron(
        tuple(sorted(_values(FIELDS[0], seconds))), tuple(sorted(_values(FIELDS[1], minutes))),
        tuple(sorted(_values(FIELDS[2], hours))), frozenset(_values(FIELDS[4], months)),
        frozenset(_values(FIELDS[6], years)),
        _days_of_month(of_month) if of_week == "?" else _days_of_week(of_week),
    )  # fmt: skip


def _values(field: Field, text: str) -> set[int]:
    found = set[int]()
    for item in text.split(","):
        span, slash, step = item.partition("/")
        first, dash, last = span.partition("-")
        if span in ("*", ""):
            low, high = field.low, field.high
        else:
            low = _number(field, first)
            high = _number(field, last) if dash else field.high if slash else low
        size = field.high - field.low + 1
        length = (high - low) % size if high < low else high - low  # FRI-MON goes round
        found.update((low - field.low + each) % size + field.low for each in range(0, length + 1, int(step or 1)))
    return found


def _number(field: Field, text: str) -> int:
    return field.names[text] if text in field.names else int(text)


def _days_of_month(text: str) -> DayRule:
    rules = [_day_of_month(item) for item in text.split(",")]
    return lambda day: any(rule(day) for rule in rules)


def _day_of_month(item: str) -> DayRule:
    if last := _LAST.fullmatch(item):
        before, workday = int(last[1] or 0), bool(last[2])

        def from_the_end(day: date) -> bool:
            wanted = max(1, _length(day) - before)
            return day.day == (_nearest_workday(day, wanted) if workday else wanted)

        return from_the_end
    if near := _WEEKDAY.fullmatch(item):
        wanted = int(near[1])
        return lambda day: wanted <= _length(day) and day.day == _nearest_workday(day, wanted)
    values = _values(FIELDS[3], item)
    return lambda day: day.day in values


def _days_of_week(text: str) -> DayRule:
    rules = [_day_of_week(item) for item in text.split(",")]
    return lambda day: any(rule(day) for rule in rules)


def _day_of_week(item: str) -> DayRule:
    field = FIELDS[5]
    if item == "L":
        return lambda day: _quartz_weekday(day) == field.high
    if found := _OF_WEEK.fullmatch(item):
        weekday, number = _number(field, found[1]), found[2]
        if number:
            return lambda day: _quartz_weekday(day) == weekday and (day.day - 1) // 7 + 1 == int(number)
        return lambda day: _quartz_weekday(day) == weekday and day.day + 7 > _length(day)
    values = _values(field, item)
    return lambda day: _quartz_weekday(day) in values


def _quartz_weekday(day: date) -> int:
    """1 is Sunday, 7 is Saturday."""
    return day.isoweekday() % 7 + 1


def _length(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def _nearest_workday(month: date, wanted: int) -> int:
    """The day from Monday to Friday nearest to one, never in another month."""
    weekday = month.replace(day=wanted).isoweekday()
    if weekday == 6:
        return wanted - 1 if wanted > 1 else wanted + 2
    if weekday == 7:
        return wanted + 1 if wanted < _length(month) else wanted - 2
    return wanted
