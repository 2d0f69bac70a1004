"""When a schedule fires next: Quartz' forms, and the days on which clocks change."""

from __future__ import annotations

import doctest
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakeflow_job_meta.local.quartz import cron_problem
from lakeflow_job_meta.local.runs import fire_times
from lakeflow_job_meta.local.runs.fire_times import next_fire

ZONES = (
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "Pacific/Apia",
    "Africa/Cairo",
)


def fires(expression: str, zone: str, start: str, count: int) -> list[str]:
    """So many fires after a local time, as local times with their offset."""
    moment = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone))
    found: list[str] = []
    while len(found) < count:
        after = next_fire(expression, zone, moment)
        if after is None:
            return [*found, "never"]
        moment = after
        found.append(moment.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S %z"))
    return found


FORMS = [
    ("0 0 12 * * ?", ["2024-01-01 12:00:00", "2024-01-02 12:00:00"]),
    ("0 15 10 ? * *", ["2024-01-01 10:15:00", "2024-01-02 10:15:00"]),
    ("0 15 10 * * ? 2025", ["2025-01-01 10:15:00", "2025-01-02 10:15:00"]),
    ("0 0/30 8-9 * * ?", ["2024-01-01 08:00:00", "2024-01-01 08:30:00", "2024-01-01 09:00:00", "2024-01-01 09:30:00"]),
    ("*/20 * * * * ?", ["2024-01-01 00:00:20", "2024-01-01 00:00:40", "2024-01-01 00:01:00"]),
    ("0 0 0 ? * MON-FRI", ["2024-01-02 00:00:00", "2024-01-03 00:00:00", "2024-01-04 00:00:00"]),
    ("0 0 0 ? * FRI-MON", ["2024-01-05 00:00:00", "2024-01-06 00:00:00", "2024-01-07 00:00:00", "2024-01-08 00:00:00"]),
    ("0 0 22-2 * * ?", ["2024-01-01 01:00:00", "2024-01-01 02:00:00", "2024-01-01 22:00:00"]),
    ("0 0 0 15 * ?", ["2024-01-15 00:00:00", "2024-02-15 00:00:00"]),
    ("0 0 0 L * ?", ["2024-01-31 00:00:00", "2024-02-29 00:00:00", "2024-03-31 00:00:00"]),
    ("0 0 0 L-3 * ?", ["2024-01-28 00:00:00", "2024-02-26 00:00:00"]),
    ("0 0 0 LW * ?", ["2024-01-31 00:00:00", "2024-02-29 00:00:00", "2024-03-29 00:00:00"]),
    ("0 0 0 15W * ?", ["2024-01-15 00:00:00", "2024-02-15 00:00:00", "2024-03-15 00:00:00", "2024-04-15 00:00:00"]),
    ("0 0 0 1W 6 ?", ["2024-06-03 00:00:00", "2025-06-02 00:00:00"]),  # a Saturday, a Sunday
    ("0 0 0 ? * 6L", ["2024-01-26 00:00:00", "2024-02-23 00:00:00"]),
    ("0 0 0 ? * FRI#3", ["2024-01-19 00:00:00", "2024-02-16 00:00:00"]),
    ("0 0 0 ? * MON#5", ["2024-01-29 00:00:00", "2024-04-29 00:00:00"]),
    ("0 0 0 ? * L", ["2024-01-06 00:00:00", "2024-01-13 00:00:00"]),
    ("0 0 0 29 2 ?", ["2024-02-29 00:00:00", "2028-02-29 00:00:00"]),
    ("0 0 0 ? 2 6#5", ["2036-02-29 00:00:00"]),
    ("0 0 0 1/10 * ?", ["2024-01-11 00:00:00", "2024-01-21 00:00:00", "2024-01-31 00:00:00", "2024-02-01 00:00:00"]),
    ("0 0 0 1 JAN,JUL ?", ["2024-07-01 00:00:00", "2025-01-01 00:00:00"]),
    ("0 0 0 1 1 ? 2020", ["never"]),
    ("0 0 0 31 2 ?", ["never"]),
]


@pytest.mark.parametrize(("expression", "expected"), FORMS)
def test_each_form_of_an_expression_fires_when_quartz_would(expression: str, expected: list[str]) -> None:
    assert cron_problem(expression) == ""
    found = fires(expression, "UTC", "2024-01-01 00:00:00", len(expected))
    assert [each.removesuffix(" +0000") for each in found] == expected


DST = [
    # Paris skips 02:00–03:00 on 2024-03-31 and has it twice on 2024-10-27.
    ("0 30 2 * * ?", "Europe/Paris", "2024-03-30 12:00",
     ["2024-03-31 03:30:00 +0200", "2024-04-01 02:30:00 +0200"]),
    ("0 30 2 * * ?", "Europe/Paris", "2024-10-26 12:00",
     ["2024-10-27 02:30:00 +0200", "2024-10-28 02:30:00 +0100"]),
    ("0 0 * * * ?", "Europe/Paris", "2024-03-31 00:30",
     ["2024-03-31 01:00:00 +0100", "2024-03-31 03:00:00 +0200", "2024-03-31 04:00:00 +0200"]),
    ("0 0 * * * ?", "Europe/Paris", "2024-10-27 01:30",
     ["2024-10-27 02:00:00 +0200", "2024-10-27 03:00:00 +0100", "2024-10-27 04:00:00 +0100"]),
    ("0 10,30 2,3 * * ?", "Europe/Paris", "2024-03-31 00:30",
     ["2024-03-31 03:10:00 +0200", "2024-03-31 03:30:00 +0200", "2024-04-01 02:10:00 +0200"]),
    ("0 30 2 * * ?", "Europe/Paris", "2024-03-31 03:10",
     ["2024-03-31 03:30:00 +0200", "2024-04-01 02:30:00 +0200"]),
    ("0 15,35 2 * * ?", "Australia/Lord_Howe", "2024-10-05 12:00",  # the skipped one comes behind the other
     ["2024-10-06 02:35:00 +1100", "2024-10-06 02:45:00 +1100", "2024-10-07 02:15:00 +1100"]),
    ("0 0 0 * * ?", "Africa/Cairo", "2024-04-25 12:00",  # midnight itself is skipped
     ["2024-04-26 01:00:00 +0300", "2024-04-27 00:00:00 +0300"]),
    ("0 0 9 * * ?", "Pacific/Apia", "2011-12-29 12:00",  # a day that never was
     ["2011-12-31 09:00:00 +1400", "2012-01-01 09:00:00 +1400"]),
    ("0 15 2 * * ?", "Australia/Lord_Howe", "2024-10-05 12:00",  # half an hour
     ["2024-10-06 02:45:00 +1100", "2024-10-07 02:15:00 +1100"]),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "zone", "start", "expected"), DST)
def test_on_days_when_clocks_change_nothing_fires_twice_and_nothing_is_left_out(
    expression: str, zone: str, start: str, expected: list[str]
) -> None:
    if zone == "Pacific/Apia":
        # The fire of the day that was left out falls on the same moment as the next day's.
        assert fires(expression, zone, start, 2) == expected
        return
    assert fires(expression, zone, start, len(expected)) == expected


moments = st.datetimes(datetime(2015, 1, 1), datetime(2035, 1, 1)).map(lambda each: each.replace(tzinfo=UTC))
clock_changes = st.sampled_from(
    [datetime(2024, 3, 31, 1), datetime(2024, 10, 27, 1), datetime(2024, 3, 10, 7), datetime(2024, 11, 3, 6)]
).flatmap(lambda at: st.integers(-20_000, 20_000).map(lambda off: at.replace(tzinfo=UTC) + timedelta(seconds=off)))
expressions = st.builds(
    "{} {} {} {} ? {}".format,
    st.sampled_from(["0", "30", "15,45"]),
    st.sampled_from(["0", "*/20", "10-50/20", "59"]),
    st.sampled_from(["*", "1-3", "2", "0/6", "23"]),
    st.just("?"),
    st.sampled_from(["*", "MON-FRI", "SUN", "2#2", "6L"]),
).map(lambda text: " ".join([*text.split()[:3], "?", "*", text.split()[-1]]))


@settings(max_examples=300, deadline=None)
@given(expressions, st.sampled_from(ZONES), st.one_of(moments, clock_changes))
@example("0 */20 2 ? * *", "Europe/Paris", datetime(2024, 3, 31, 0, 50, tzinfo=UTC))
def test_the_next_fire_is_later_matches_and_is_the_first(expression: str, zone: str, after: datetime) -> None:
    found = next_fire(expression, zone, after)
    assert found is not None and found > after
    # Asked at any moment in between, the answer is the same: nothing was left out, and nothing fires twice.
    for part in (0.1, 0.5, 0.999):
        between = after + (found - after) * part
        if after < between < found:
            assert next_fire(expression, zone, between) == found
    assert next_fire(expression, zone, found - timedelta(microseconds=1)) == found


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 23), st.integers(0, 59), st.sampled_from(ZONES[:4]), st.one_of(moments, clock_changes))
def test_a_daily_schedule_fires_once_on_each_day(hour: int, minute: int, zone: str, after: datetime) -> None:
    moment: datetime | None = after
    days = []
    for _ in range(6):
        assert moment is not None
        moment = next_fire(f"0 {minute} {hour} * * ?", zone, moment)
        assert moment is not None
        days.append(moment.astimezone(ZoneInfo(zone)).date())
    assert [later - earlier for earlier, later in pairwise(days)] == [timedelta(days=1)] * 5


def test_the_examples_in_the_code_hold() -> None:
    found = doctest.testmod(fire_times)
    assert found.attempted > 0
    assert found.failed == 0
