"""Several monitors on one table: signs of life that change nothing, one that works, others that take over."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from lakeflow_job_meta import ConflictError, JobOrchestrator
from lakeflow_job_meta.control.heartbeat import GONE_SECONDS, MONITOR, Heartbeat
from lakeflow_job_meta.control.tenure import Tenure, this_process
from lakeflow_job_meta.model.table import Changes
from lakeflow_job_meta.monitor import Cycle
from lakeflow_job_meta.store.delta import DeltaStore
from lakeflow_job_meta.workspace.launcher import stop_local
from tests.acceptance.shell import Shell
from tests.acceptance.steps import wait_for
from tests.conftest import TABLE, Project

JOBS = f"{TABLE}_jobs"


@dataclass
class Time:
    """A clock that moves only when told to."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def heartbeat(
    project: Project, holder: str = "elsewhere:1:1", clock: Callable[[], float] = time.monotonic
) -> Heartbeat:
    """A monitor of another host, that looks and writes every 60 seconds."""
    workspace_id = project.orchestrator.workspace.id
    return Heartbeat(DeltaStore(project.home), project.manager.tables, workspace_id, 60, 60, holder, clock)


def beat(one: Heartbeat, **given: Any) -> None:
    one.beat(datetime.now(UTC), **given)


def state_version(project: Project) -> int:
    return project.sql(f"DESCRIBE HISTORY {JOBS} LIMIT 1")[0]["version"]


def tick(one: Heartbeat, project: Project) -> None:
    """What a monitor does first at each look."""
    one.settled(state_version(project))


# Signs of life


def test_a_sign_of_life_is_no_change(project: Project) -> None:
    project.add("a")
    monitor = project.monitor()
    monitor.check_and_update()
    before = state_version(project)
    for holder in ("elsewhere:1:1", "other:2:2", "elsewhere:1:1"):
        beat(heartbeat(project, holder))
        project.site.forget_requests()
        assert not monitor.check_and_update().looked
        assert project.site.requests() == []
        assert project.orchestrator.unchanged(), "what was reconciled completely still is"
    assert state_version(project) == before + 3


def test_thirty_idle_looks_that_give_signs_of_life_send_no_request(project: Project) -> None:
    project.add("a")
    project.monitor().check_and_update()
    project.site.forget_requests()
    cycles: list[Cycle] = []
    monitor = project.monitor(check_interval_seconds=0.02, heartbeat_seconds=0.1, on_cycle=cycles.append)
    monitor.check_and_update()  # a new process looks at the workspace once
    project.site.forget_requests()
    before = state_version(project)
    monitor.run_continuous(30)
    assert state_version(project) > before + 3
    assert [cycle.looked for cycle in cycles] == [False] * 30
    assert project.site.requests() == []
    assert project.orchestrator.unchanged()


def test_what_others_write_between_signs_of_life_is_a_change(project: Project) -> None:
    project.add("a")
    monitor = project.monitor()
    monitor.check_and_update()
    one = heartbeat(project)
    beat(one)
    project.sql(f"UPDATE {JOBS} SET last_error = 'x' WHERE module_name = 'm'")
    assert not project.orchestrator.unchanged()
    beat(one)
    beat(heartbeat(project, "other:2:2"))
    assert not project.orchestrator.unchanged(), "a later sign of life must not hide it"
    assert monitor.check_and_update().looked


def test_signs_of_life_hide_no_write_whoever_is_faster(project: Project) -> None:
    """Two monitors beat all the time while rows are written: the state is as settled as its last write."""
    project.add("a")
    project.orchestrator.run_all_modules()
    ended = threading.Event()
    errors: list[BaseException] = []

    def beats(holder: str) -> None:
        one = heartbeat(project, holder)
        try:
            while not ended.wait(0.02):
                try:
                    beat(one)
                except ConflictError:
                    continue  # the others kept winning: no sign of life this time
        except BaseException as error:  # noqa: BLE001 - told by the test itself
            errors.append(error)

    def write(number: int) -> int:
        row = {"workspace_id": "elsewhere", "module_name": "x", "status": str(number)}
        while True:
            try:
                version = store.transact(project.manager.tables.jobs, lambda snapshot: Changes((row,)))
            except ConflictError:
                continue
            assert version is not None
            return version

    threads = [threading.Thread(target=beats, args=(f"host{number}:1:1",)) for number in range(2)]
    store, reader, written = DeltaStore(project.home), heartbeat(project, "reader:1:1"), -1
    for thread in threads:
        thread.start()
    try:
        for number in range(8):
            settled = reader.settled(store.info(project.manager.tables.jobs.name).version)  # pyright: ignore[reportOptionalMemberAccess]
            assert settled >= written, "a write was taken for a sign of life"
            written = write(number)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert errors == []
    assert state_version(project) > written
    assert reader.settled(state_version(project)) == written


def test_a_sign_of_life_takes_nothing_from_the_holder_of_the_lease(project: Project) -> None:
    project.add("a")
    project.orchestrator.run_all_modules()
    tenure = Tenure(DeltaStore(project.home), project.manager.tables, project.orchestrator.workspace.id, 60.0, "h:3:3")
    tenure.take(lambda snapshot: Changes(), datetime.now(UTC), 0)
    before = tenure.current()
    beat(heartbeat(project))
    assert tenure.current() == before
    mark = {"control": ["x", 1], "modules": ["y", 1], "arguments": "z"}
    tenure.within(lambda snapshot: Changes(), datetime.now(UTC), release=True, mark=mark)
    released = tenure.current()
    beat(heartbeat(project))
    assert tenure.current() == released
    assert released is not None
    assert heartbeat(project).settled(state_version(project)) == released.state_version


def test_a_sign_of_life_in_the_wrong_workspace_does_not_make_it_right(project: Project) -> None:
    project.add("a")
    project.orchestrator.run_all_modules()
    wrong = JobOrchestrator(
        TABLE, project.site.client(uuid4().hex), store=DeltaStore(project.home), settings=project.settings
    )
    stranger = Heartbeat(DeltaStore(project.home), project.manager.tables, wrong.workspace.id, 60, 60, "x:1:1")
    beat(stranger)
    with pytest.raises(ConflictError, match="jobs are recorded in workspace"):
        wrong.plan()
    assert wrong.identity()["workspaces"] == [project.orchestrator.workspace.id]


def test_a_spoiled_row_stops_nobody(project: Project) -> None:
    project.add("a")
    one = heartbeat(project)
    beat(one)
    for spoiled in ("{", '{"monitors": {"x": 1}}', '{"monitors": {"nobody": {}}, "turn": "", "base": 1, "last": 1}'):
        project.sql(f"UPDATE {JOBS} SET settings = '{spoiled}' WHERE module_name = '{MONITOR}'")
        assert [entry["action"] for entry in project.orchestrator.run_all_modules()][:1] in (["create"], ["skip"])
        assert project.orchestrator.monitors() == []
    tick(one, project)
    assert one.free() == "nobody works"
    beat(one)
    assert [each["holder"] for each in project.orchestrator.monitors()] == ["elsewhere:1:1"]


def test_reserved_rows_are_no_modules(project: Project) -> None:
    project.add("a")
    beat(heartbeat(project))
    project.orchestrator.run_all_modules()
    assert [row["module"] for row in project.orchestrator.status()] == ["m"]
    assert [action.module for action in project.orchestrator.plan().actions] == ["m"]


def test_one_look_gives_no_sign_of_life_and_a_monitor_that_ends_leaves_none(project: Project) -> None:
    project.add("a")
    project.monitor().run_continuous(1)
    assert MONITOR not in [row["module_name"] for row in project.sql(f"SELECT module_name FROM {JOBS}")]
    project.monitor(check_interval_seconds=0.05).run_continuous(3)
    assert MONITOR in [row["module_name"] for row in project.sql(f"SELECT module_name FROM {JOBS}")]
    assert project.orchestrator.monitors() == []
    before = state_version(project)
    project.monitor(check_interval_seconds=0.05, heartbeat_seconds=0).run_continuous(3)
    assert state_version(project) == before


# Whose turn it is


def test_the_first_has_the_turn_until_it_is_silent_for_three_signs_of_life(project: Project) -> None:
    clock = Time()
    first, second = heartbeat(project, "one:1:1"), heartbeat(project, "two:2:2", clock)
    beat(first)
    beat(second)
    assert (first.mine, second.mine) == (True, False)
    clock.now += 170
    tick(second, project)
    assert second.free() == ""
    beat(first)
    clock.now += 20  # only now the sign of life is seen: the silence begins anew
    tick(second, project)
    clock.now += 170
    assert second.free() == ""
    clock.now += 10
    assert second.free() == "one:1:1 gave no sign of life for 180 s"
    beat(second)
    tick(first, project)
    assert (first.mine, second.mine) == (False, True)


def test_who_works_for_long_under_the_lease_is_alive(project: Project) -> None:
    clock = Time()
    first, second = heartbeat(project, "one:1:1"), heartbeat(project, "two:2:2", clock)
    beat(first)
    beat(second)
    tenure = Tenure(DeltaStore(project.home), project.manager.tables, first.workspace_id, 600.0, "one:1:1")
    tenure.take(lambda snapshot: Changes(), datetime.now(UTC), 0)
    for _ in range(5):
        clock.now += 100
        tenure.within(lambda snapshot: Changes(), datetime.now(UTC))
        tick(second, project)
        assert second.free() == ""
    tenure.abandon()


def test_who_fails_three_times_lets_another_try(project: Project) -> None:
    first, second = heartbeat(project, "one:1:1"), heartbeat(project, "two:2:2")
    beat(first)
    beat(second)
    beat(first, failed_looks=2)
    tick(second, project)
    assert second.free() == ""
    beat(first, failed_looks=3)
    tick(second, project)
    assert second.free() == "one:1:1 failed 3 times"
    beat(second)
    assert second.mine


def test_who_is_gone_for_long_is_no_longer_listed(project: Project) -> None:
    clock = Time()
    beat(heartbeat(project, "gone:1:1"))
    one = heartbeat(project, "two:2:2", clock)
    for seconds, listed in ((0, 2), (GONE_SECONDS - 1, 2), (1, 1)):
        clock.now += seconds
        beat(one)
        assert len(project.orchestrator.monitors()) == listed


def test_a_monitor_that_died_on_this_host_is_told_and_taken_over_at_once(project: Project) -> None:
    process = subprocess.Popen(["sleep", "60"])
    beat(heartbeat(project, this_process().replace(f":{os.getpid()}:", f":{process.pid}:")))
    process.kill()
    process.wait()
    second = heartbeat(project, "two:2:2")
    (listed,) = project.orchestrator.monitors()
    assert listed["died"]
    beat(second)
    assert second.mine
    assert [each["holder"] for each in project.orchestrator.monitors()] == ["two:2:2"]


# Standing by for the lease


def test_a_held_lease_is_waited_for_with_one_line(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lakeflow_job_meta")
    project.add("a")
    tenure = Tenure(DeltaStore(project.home), project.manager.tables, project.orchestrator.workspace.id, 60.0, "h:3:3")
    tenure.take(lambda snapshot: Changes(), datetime.now(UTC), 0)
    cycles: list[Cycle] = []
    monitor = project.monitor(check_interval_seconds=0.05, heartbeat_seconds=0, on_cycle=cycles.append)
    thread = threading.Thread(target=monitor.run_continuous)
    thread.start()
    try:
        wait_for(lambda: len(cycles) >= 5)
        assert {cycle.standby for cycle in cycles} == {"h:3:3"}
        tenure.within(lambda snapshot: Changes(), datetime.now(UTC), release=True)
        wait_for(lambda: any(cycle.outcomes for cycle in cycles))
    finally:
        monitor.stop()
        thread.join(20)
    told = [record.getMessage() for record in caplog.records if record.name == "lakeflow_job_meta.monitor"]
    assert told[:2] == ["standing by: h:3:3 works", "taking over: h:3:3 let go of the lease"]
    assert [line for line in told[2:] if "1 create" not in line] == []


# Real processes

RUN = """
import json, logging, sys
from pathlib import Path
from databricks.sdk import WorkspaceClient
from lakeflow_job_meta import MetadataMonitor
from lakeflow_job_meta.settings import Settings

home, host, token = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(message)s", force=True)
logging.getLogger("lakeflow_job_meta").setLevel(logging.INFO)
settings = Settings("main.etl.control", home, list_lag_seconds=0.5, lease_seconds=2.0)
client = WorkspaceClient(host=host, token=token)
MetadataMonitor("main.etl.control", None, 0.2, settings=settings, workspace_client=client, heartbeat_seconds=0.5,
                listen="127.0.0.1:0").run_continuous()
"""


@dataclass
class Running:
    """A monitor in a process of its own."""

    process: subprocess.Popen[bytes]
    output: Path
    stopped: bool = field(default=False)

    @property
    def lines(self) -> list[str]:
        return self.output.read_text().splitlines()

    def told(self, text: str) -> int:
        """How many lines of its log hold this text."""
        return sum(text in line for line in self.lines)

    def health(self) -> dict[str, Any]:
        from urllib.request import urlopen

        url = next(line for line in self.lines if line.startswith("listening")).split()[1]
        with urlopen(url, timeout=10) as answer:  # noqa: S310 - our own server
            return json.load(answer)


@contextmanager
def running(project: Project, name: str) -> Iterator[Running]:
    output = project.home.parent / f"{name}.log"
    token = project.client.config.token or ""
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(project.home), project.site.server.url, token],
            stdout=file, stderr=subprocess.STDOUT, cwd=Path(__file__).resolve().parents[2],
        )  # fmt: skip
    try:
        yield Running(process, output)
    finally:
        process.kill()
        process.wait()


@contextmanager
def two_monitors(project: Project) -> Iterator[tuple[Running, Running]]:
    """The first works, the second stands by."""
    with ExitStack() as stack:
        first = stack.enter_context(running(project, "first"))
        wait_for(lambda: works(project) == first.process.pid)
        second = stack.enter_context(running(project, "second"))
        wait_for(lambda: second.told("standing by: ") == 1)
        yield first, second


def works(project: Project) -> int:
    """The process number of the monitor whose turn it is."""
    found = [each["holder"] for each in project.orchestrator.monitors() if each["works"]]
    return int(found[0].split(":")[1]) if found else 0


def test_a_killed_monitor_is_taken_over_by_the_one_that_stands_by(project: Project) -> None:
    project.add("a", "one")
    with two_monitors(project) as (first, second):
        wait_for(lambda: first.told("1 create") == 1, 60)
        wait_for(lambda: second.told("standing by") == 1)
        time.sleep(1)
        assert second.told("standing by") == 1, "one line, not one each look"
        assert second.health() | {"role": "standby"} == second.health()
        assert second.health()["works_instead"].split(":")[1] == str(first.process.pid)
        assert (first.health()["status"], first.health()["role"]) == ("ok", "working")
        first.process.send_signal(signal.SIGKILL)
        project.add("a", "two")
        wait_for(lambda: second.told("1 create") == 1)
        assert (second.told("taking over"), second.told(" died")) == (1, 1)
        assert second.health()["role"] == "working"
        assert works(project) == second.process.pid
    assert len(project.raw_jobs()) == 2


def test_a_stopped_monitor_leaves_the_turn_to_the_other(project: Project) -> None:
    project.add("a", "one")
    with two_monitors(project) as (first, second):
        first.process.send_signal(signal.SIGTERM)
        assert first.process.wait(20) == 0
        wait_for(lambda: second.told(" left") == 1)
        project.add("a", "two")
        wait_for(lambda: second.told("1 create") == 1)
        assert [each["works"] for each in project.orchestrator.monitors()] == [True]
    assert "error" not in "\n".join(second.lines)


def test_a_hung_monitor_is_taken_over_and_stands_by_when_it_wakes(project: Project) -> None:
    project.add("a", "one")
    with two_monitors(project) as (first, second):
        wait_for(lambda: first.told("1 create") == 1, 60)
        first.process.send_signal(signal.SIGSTOP)
        project.add("a", "two")
        wait_for(lambda: second.told("1 create") == 1)
        assert second.told("gave no sign of life") == 1
        first.process.send_signal(signal.SIGCONT)
        wait_for(lambda: first.told("standing by") == 1)
        project.add("a", "three")
        wait_for(lambda: second.told("1 create") == 2)
        assert first.told("1 create") == 1
    assert len(project.raw_jobs()) == 3


def test_the_command_line_tells_which_monitors_there_are(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell("init")
    command = [sys.executable, "-m", "lakeflow_job_meta", "monitor", "--interval", "0.5", "--heartbeat", "0.5"]
    process = subprocess.Popen(command, cwd=tmp_path, env=shell.environment, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: bool((shell.json("lease", "show") or {}).get("monitors")), 60)
        (monitor,) = shell.json("lease", "show")["monitors"]
        assert monitor["holder"].split(":")[1] == str(process.pid)
        assert (monitor["works"], monitor["died"], monitor["interval"]) == (True, False, 0.5)
        for shown in (shell("lease", "show").stdout, shell("status").stdout):
            assert f"monitor {monitor['holder']} works; started {monitor['since']}, last seen " in shown
        process.kill()
        process.wait()
        assert f"monitor {monitor['holder']} died; started" in shell("status").stdout
    finally:
        process.kill()
        process.wait()
        stop_local(tmp_path / ".lakeflow")
