"""When a monitor is well, and when it isn't."""

from __future__ import annotations

from datetime import UTC, datetime

from lakeflow_job_meta.monitor.cycle import Cycle, Extent
from lakeflow_job_meta.monitor.health import STUCK_SECONDS, Health

AT = datetime(2026, 11, 21, 7, 0, tzinfo=UTC)


def new(interval: float = 60) -> Health:
    return Health(interval, started=0, moved=0)


def working(interval: float = 60) -> Health:
    """One cycle succeeded at second 10."""
    return new(interval).began(9).done(Cycle(True, versions=(7, 1), extent=Extent(3, 2, 1)), 10, AT)


def test_a_success_lasts_three_intervals_and_at_least_thirty_seconds() -> None:
    assert working().trouble(10 + 180) == ""
    assert working().trouble(10 + 181) == "no cycle succeeded for 181 s"
    assert working(interval=1).trouble(10 + 30) == ""
    assert working(interval=1).trouble(10 + 31) != ""


def test_the_first_cycle_may_take_long_as_long_as_it_goes_on() -> None:
    first = new(1).began(0)
    assert first.trouble(STUCK_SECONDS) == ""
    assert first.trouble(STUCK_SECONDS + 1) == f"a cycle hangs: nothing came to its end for {STUCK_SECONDS + 1:.0f} s"
    assert first.progressed(200).trouble(200 + STUCK_SECONDS) == ""


def test_a_long_cycle_that_goes_on_is_well_though_the_last_success_is_old() -> None:
    assert working(1).began(20).progressed(500).trouble(600) == ""
    assert "hangs" in working(1).began(20).trouble(20 + STUCK_SECONDS + 1)


def test_failing_looks_are_no_success_however_busy_they_are() -> None:
    failing = working(1).began(11).failed("no answer", AT)
    assert failing.trouble(40) == ""
    assert failing.trouble(41) == "no cycle succeeded for 31 s; the last error: no answer"
    assert failing.began(41).progressed(45).trouble(45) != "", "a try that is under way is no success yet"
    well = failing.began(41).done(Cycle(False), 46, AT)
    assert (well.trouble(47), well.failed_looks, well.last_error) == ("", 0, "")


def test_a_monitor_that_never_succeeded_says_so_after_a_while() -> None:
    never = new(1).began(0).failed("no such table", AT)
    assert never.trouble(30) == ""
    assert "no such table" in never.trouble(31)


def test_what_only_some_looks_tell_is_kept() -> None:
    after = working().began(20).done(Cycle(False, versions=(8, 1)), 21, AT)
    assert (after.control_version, after.extent) == (8, Extent(3, 2, 1))
    rows_only = after.began(30).done(Cycle(True, extent=Extent(4, 4)), 31, AT)
    assert rows_only.extent == Extent(4, 4, 1), "the drift is that of the last look at the workspace"
    assert (rows_only.control_version, after.to_dict(22)["role"]) == (8, "working")


def test_standing_by_is_well() -> None:
    standby = working().began(20).done(Cycle(False, standby="other:2:2"), 21, AT)
    told = standby.to_dict(22)
    assert (told["status"], told["role"], told["works_instead"]) == ("ok", "standby", "other:2:2")
