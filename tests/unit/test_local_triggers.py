"""Jobs that start by themselves: by schedule, interval, files, tables, or always; never twice, never while paused."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta.local.runs.triggers import Known, Trigger, decide, first_known, trigger_of
from lakeflow_job_meta.store.delta import DeltaStore
from lakeflow_job_meta.workspace.launcher import ensure_local
from tests.local_runs import BROKEN, Runs
from tests.local_server import Site, running_server

HOUR = 3_600_000
START = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp() * 1000)
HOURLY = {"quartz_cron_expression": "0 0 * * * ?", "timezone_id": "UTC"}
EACH_SECOND = {"quartz_cron_expression": "* * * * * ?", "timezone_id": "UTC"}


def fires(trigger: Trigger, steps: list[tuple[int, Mapping[str, Any]]]) -> list[int]:
    """When a trigger fires, if it is looked at at these times and sees this; the first look only takes note."""
    known = first_known(trigger, steps[0][1], steps[0][0])
    found: list[int] = []
    for now, seen in steps[1:]:
        known, fire = decide(trigger, known, seen, now)
        if fire is not None:
            found.append(fire.due_ms)
    return found


def of(**settings: Any) -> Trigger:
    trigger = trigger_of(settings)
    assert trigger is not None
    return trigger


def test_a_schedule_fires_once_for_each_time_it_comes_due() -> None:
    looks = [(START + 500 * step, {}) for step in range(3 * 7200)]
    assert fires(of(schedule=HOURLY), looks) == [START + HOUR, START + 2 * HOUR]


def test_of_the_fires_that_nobody_was_there_for_only_the_last_is_made_up_and_only_soon() -> None:
    schedule = of(schedule=HOURLY)
    assert fires(schedule, [(START, {}), (START + 3 * HOUR + 5_000, {}), (START + 3 * HOUR + 6_000, {})]) == [
        START + 3 * HOUR
    ]
    assert fires(schedule, [(START, {}), (START + 3 * HOUR + 90_000, {})]) == []
    often = of(schedule=EACH_SECOND)
    assert fires(often, [(START, {}), (START + 30_000, {}), (START + 30_400, {})]) == [START + 30_000]


def test_an_interval_fires_once_in_each() -> None:
    trigger = of(trigger={"periodic": {"interval": 2, "unit": "HOURS"}})
    looks = [(START + minute * 60_000, {}) for minute in range(0, 60 * 5, 1)]
    assert fires(trigger, looks) == [START + 2 * HOUR, START + 4 * HOUR]


FILES = {"url": "/Volumes/c/s/v/"}


@pytest.mark.parametrize(
    ("settings", "looks", "expected"),
    [
        (FILES, [(0, "a"), (1, "a")], []),
        (FILES, [(0, ""), (1, "a"), (2, "a"), (3, "ab")], [1, 3]),
        (FILES, [(0, "ab"), (1, "a"), (2, "ac")], [2]),
        (
            {**FILES, "wait_after_last_change_seconds": 5},
            [(0, ""), (1, "a"), (3, "ab"), (7, "ab"), (8, "ab"), (9, "ab")],
            [8],
        ),
        (
            {**FILES, "min_time_between_triggers_seconds": 5},
            [(0, ""), (1, "a"), (2, "ab"), (5, "ab"), (6, "ab"), (7, "ab")],
            [1, 6],
        ),
    ],
)  # fmt: skip
def test_new_files_fire_when_they_have_come_to_rest(
    settings: dict[str, Any], looks: list[tuple[int, str]], expected: list[int]
) -> None:
    steps = [(second * 1000, dict.fromkeys(names, 1)) for second, names in looks]
    assert fires(of(trigger={"file_arrival": settings}), steps) == [second * 1000 for second in expected]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [("ANY_UPDATED", [1000, 2000, 4000]), ("ALL_UPDATED", [2000]), (None, [1000, 2000, 4000])],
)
def test_tables_fire_when_one_or_all_of_them_have_a_new_version(condition: str | None, expected: list[int]) -> None:
    settings = {"table_names": ["a", "b"], **({"condition": condition} if condition else {})}
    looks = [(0, [1, 1]), (1000, [2, 1]), (2000, [2, 2]), (3000, [2, 2]), (4000, [3, 2])]
    steps = [(now, {"a": one, "b": two}) for now, (one, two) in looks]
    assert fires(of(trigger={"table_update": settings}), steps) == expected


def test_a_continuous_job_starts_again_and_waits_longer_after_each_failure() -> None:
    trigger = of(continuous={"pause_status": "UNPAUSED"})
    assert fires(trigger, [(0, {}), (1, {"active": False}), (2, {"active": True}), (3, {"active": False})]) == [1, 3]
    failed = replace(first_known(trigger, {}, 0), failures=3, last_ms=1000)
    assert decide(trigger, failed, {}, 8_999)[1] is None
    assert decide(trigger, failed, {}, 9_000)[1] is not None
    assert decide(trigger, Known(trigger.key, 0, failures=99, last_ms=0), {}, 300_000)[1] is not None


@pytest.mark.parametrize("name", ["schedule", "continuous", "trigger"])
def test_what_is_paused_is_no_trigger(name: str) -> None:
    body = {"schedule": HOURLY, "continuous": {}, "trigger": {"periodic": {"interval": 1, "unit": "DAYS"}}}[name]
    assert trigger_of({name: body}) is not None
    assert trigger_of({name: {**body, "pause_status": "PAUSED"}}) is None
    assert trigger_of({}) is None


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    with running_server(tmp_path, "--fire-triggers", "--stub-unsupported") as site:
        yield Runs(site)


PIPELINE = {"task_key": "p", "pipeline_task": {"pipeline_id": "x"}}


def started(runs: Runs, job_id: int) -> list[dict[str, Any]]:
    """The job's runs, oldest first."""
    return list(reversed(runs.done("GET", f"runs/list?job_id={job_id}&limit=25").get("runs", [])))


def until(condition: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.05)


def update(runs: Runs, job_id: int, **settings: Any) -> None:
    runs.done("POST", "update", {"job_id": job_id, "new_settings": settings})


def test_a_schedule_starts_its_job_until_it_is_paused(runs: Runs) -> None:
    job_id = runs.create(
        {"task_key": "c", "condition_task": {"op": "EQUAL_TO", "left": "{{job.trigger.type}}", "right": "periodic"}},
        schedule=EACH_SECOND, max_concurrent_runs=10,
    )  # fmt: skip
    until(lambda: len(started(runs, job_id)) >= 3)
    run = runs.ended(started(runs, job_id)[0]["run_id"])
    assert (run["trigger"], run["schedule"]["quartz_cron_expression"]) == ("PERIODIC", "* * * * * ?")
    assert run["tasks"][0]["condition_task"]["outcome"] == "true"
    update(runs, job_id, schedule={**EACH_SECOND, "pause_status": "PAUSED"})
    count = len(started(runs, job_id))
    time.sleep(2.2)
    assert len(started(runs, job_id)) == count
    starts = [each["start_time"] // 1000 for each in started(runs, job_id)]
    assert len(set(starts)) >= len(starts) - 1, "each second once"


def test_files_that_arrive_in_a_volume_start_a_job_and_those_there_before_do_not(runs: Runs) -> None:
    volume = runs.site.home / "volumes" / "main" / "raw" / "in"
    (volume / "day").mkdir(parents=True)
    (volume / "old.csv").write_text("1")
    location = {"op": "EQUAL_TO", "left": "{{job.trigger.file_arrival.location}}", "right": "/Volumes/main/raw/in/"}
    job_id = runs.create(
        {"task_key": "c", "condition_task": location}, trigger={"file_arrival": {"url": "/Volumes/main/raw/in/"}}
    )
    time.sleep(2.2)
    assert started(runs, job_id) == []
    (volume / "day" / "new.csv").write_text("2")
    until(lambda: len(started(runs, job_id)) == 1)
    (volume / "old.csv").write_text("3")
    time.sleep(2.2)
    (run,) = started(runs, job_id)
    run = runs.ended(run["run_id"])
    assert run["trigger"] == "FILE_ARRIVAL" and run["tasks"][0]["condition_task"]["outcome"] == "true"
    other = runs.site.home / "volumes" / "main" / "raw" / "other"
    other.mkdir()
    (other / "there before.csv").write_text("4")
    update(runs, job_id, trigger={"file_arrival": {"url": "/Volumes/main/raw/other/"}})
    time.sleep(2.2)
    assert len(started(runs, job_id)) == 1, "a trigger that was changed begins anew"


def test_a_table_that_is_written_starts_a_job(runs: Runs) -> None:
    store = DeltaStore(runs.site.home)
    store.sql("CREATE TABLE main.a.t (id INT)")
    job_id = runs.create(PIPELINE, trigger={"table_update": {"table_names": ["main.a.t"], "condition": "ANY_UPDATED"}})
    time.sleep(2.2)
    assert started(runs, job_id) == []
    store.sql("INSERT INTO main.a.t VALUES (1)")
    until(lambda: [each["trigger"] for each in started(runs, job_id)] == ["TABLE"])


def test_a_continuous_job_runs_again_and_again_and_less_often_when_it_fails(runs: Runs) -> None:
    good = runs.create(PIPELINE, continuous={})
    until(lambda: len(started(runs, good)) >= 3)
    assert started(runs, good)[0]["trigger"] == "CONTINUOUS"
    update(runs, good, continuous={"pause_status": "PAUSED"})
    bad = runs.create(runs.sql("a", BROKEN), continuous={})
    until(lambda: len(started(runs, bad)) >= 3, seconds=20)
    first, second, third = (each["start_time"] for each in started(runs, bad)[:3])
    assert third - second > second - first


def test_a_restart_neither_forgets_nor_repeats_a_fire(runs: Runs) -> None:
    site = runs.site
    volume = site.home / "volumes" / "main" / "raw" / "in"
    volume.mkdir(parents=True)
    job_id = runs.create(PIPELINE, trigger={"file_arrival": {"url": "/Volumes/main/raw/in/"}})
    time.sleep(1.5)
    (volume / "one").write_text("1")
    until(lambda: len(started(runs, job_id)) == 1)
    site.kill()
    (volume / "two").write_text("2")
    again = Runs(Site(site.home, ensure_local(site.home, ["--fire-triggers", "--stub-unsupported"])))
    until(lambda: len(started(again, job_id)) == 2)
    time.sleep(1.5)
    assert len(started(again, job_id)) == 2


@contextmanager
def serving(home: Path) -> Generator[Runs]:
    """`ljm local serve`, killed afterwards."""
    command = [sys.executable, "-m", "lakeflow_job_meta", "local", "serve", "--home", str(home), "--stub-unsupported"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        assert b"Serving" in process.stdout.readline()
        yield Runs(Site(home, ensure_local(home)))
    finally:
        process.kill()
        _ = process.communicate()


def test_an_interval_starts_its_job_once_in_each_whatever_is_killed_and_served_again(tmp_path: Path) -> None:
    def first_seen() -> int | None:
        with closing(sqlite3.connect(tmp_path / "local" / "workspace.db")) as database:
            row = database.execute("SELECT record FROM fires").fetchone()
        return None if row is None else int(json.loads(row[0])["since_ms"])

    def first_seen_earlier(ms: int) -> None:
        with closing(sqlite3.connect(tmp_path / "local" / "workspace.db")) as database, database:
            database.execute(
                "UPDATE fires SET record = json_set(record, '$.since_ms', json_extract(record, '$.since_ms') - ?)",
                (ms,),
            )

    with serving(tmp_path) as runs:
        job_id = runs.create(PIPELINE, trigger={"periodic": {"interval": 1, "unit": "HOURS"}})
        until(lambda: first_seen() is not None)
        time.sleep(1.5)
        assert started(runs, job_id) == [], "the interval begins when it is first seen"
    first_seen_earlier(HOUR - 4_000)
    with serving(tmp_path) as runs:
        until(lambda: len(started(runs, job_id)) == 1)
        (run,) = started(runs, job_id)
        assert run["trigger"] == "PERIODIC"
        assert 0 <= run["start_time"] - ((first_seen() or 0) + HOUR) < 5_000
    with serving(tmp_path) as runs:
        time.sleep(2.2)
        assert len(started(runs, job_id)) == 1
