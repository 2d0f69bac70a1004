"""How fast calls may follow each other: by published rates, and by those that somebody set."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.workspace.connect import connect
from lakeflow_job_meta.workspace.throttle import BURST_SECONDS, RATES, Throttle, TokenBucket


@dataclass
class Time:
    """A clock that only sleeping moves."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list[float])

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_a_bucket_keeps_its_rate_after_a_burst() -> None:
    time, rate = Time(), 4
    bucket = TokenBucket(rate, time.clock, time.sleep)
    moments: list[float] = []
    for _ in range(100):
        bucket.take()
        moments.append(time.now)
    burst = int(rate * BURST_SECONDS)
    assert moments[: burst + 1] == [0.0] * burst + [1 / rate]
    assert moments[-1] == (100 - burst) / rate
    for first, start in enumerate(moments):
        for last, end in enumerate(moments[first:], start=first):
            assert last - first + 1 <= burst + rate * (end - start), "never more than a burst and the rate, at any time"


def test_what_wasnt_used_for_long_is_no_more_than_a_burst() -> None:
    time = Time()
    bucket = TokenBucket(8, time.clock, time.sleep)
    bucket.take()
    time.now += 3600
    for _ in range(int(8 * BURST_SECONDS)):
        bucket.take()
    assert time.slept == []
    bucket.take()
    assert len(time.slept) == 1


def test_threads_share_one_bucket() -> None:
    waits: list[float] = []
    bucket = TokenBucket(8, clock=lambda: 0.0, sleep=waits.append)
    threads = [threading.Thread(target=bucket.take) for _ in range(48)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(waits) == 48 - int(8 * BURST_SECONDS)
    assert sorted(waits)[-1] == 4.0


def test_a_call_is_limited_by_the_longest_end_of_its_path() -> None:
    time = Time()
    throttle = Throttle({"list": 1, "jobs/list": 1000, "jobs/create": 1}, time.clock, time.sleep)
    for _ in range(100):
        throttle.take("/api/2.2/jobs/list")
        throttle.take("/api/2.2/jobs/get")
        throttle.take("/api/2.0/preview/somejobs/create")
    assert time.slept == []
    for _ in range(4):
        throttle.take("/api/2.0/workspace/list")
    assert time.now == 2.0


def throttle_of(workspace: str, **rates: float) -> Throttle:
    given = {end.replace("_", "/"): rate for end, rate in rates.items()}
    return connect(Settings("main.etl.control", Path("nowhere"), workspace=workspace, rates=given)).throttle


def test_published_rates_hold_and_settings_win_over_them() -> None:
    for workspace in ("databricks", "profile", "https://example.com"):
        assert throttle_of(workspace).rates == RATES
        assert throttle_of(workspace, jobs_create=5, jobs_list=3).rates == {**RATES, "jobs/create": 5, "jobs/list": 3}


def test_the_local_workspace_is_only_slowed_down_where_that_was_asked_for() -> None:
    assert throttle_of("local").rates == {}
    assert throttle_of("local", jobs_create=5).rates == {"jobs/create": 5}
