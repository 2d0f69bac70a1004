"""The monitor: looks when something changed, goes on when something is bad, forgets nothing over a restart."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from lakeflow_job_meta.ingest.watch import wait_until_rested
from lakeflow_job_meta.monitor import Cycle
from tests.acceptance.steps import wait_for
from tests.conftest import TABLE, Project

GOOD = """
metadata_version: "1.0"
modules:
  - module_name: {name}
    sources:
      - source_id: a
        source_type: delta
        execution_order: 1
        transformation_config: {{task_type: notebook, notebook_path: {path}}}
"""


def write(folder: Path, name: str, path: str = "/etl/a") -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yml").write_text(GOOD.format(name=name, path=path))


def done(cycle: Cycle) -> dict[str, str]:
    return {outcome.action.module: str(outcome.action.kind) for outcome in cycle.outcomes if outcome.done}


def test_it_looks_only_when_a_table_changed(project: Project) -> None:
    monitor = project.monitor()
    project.add("a")
    assert done(monitor.check_and_update()) == {"m": "create"}
    project.site.forget_requests()
    assert not monitor.check_and_update().looked
    assert project.site.requests() == []
    project.sql(f"UPDATE {TABLE} SET transformation_config = replace(transformation_config, 'etl', 'elt')")
    assert done(monitor.check_and_update()) == {"m": "update"}
    assert not monitor.check_and_update().looked


def test_it_finds_drift_on_its_own_interval(project: Project) -> None:
    project.add("a")
    project.job_config(max_concurrent_runs=3)
    monitor = project.monitor(drift_interval_seconds=0)
    monitor.check_and_update()
    project.update_job(project.only_job()["job_id"], max_concurrent_runs=9)
    assert done(monitor.check_and_update()) == {"m": "update"}
    assert project.only_job()["settings"]["max_concurrent_runs"] == 3


def test_a_bad_file_is_told_and_waits_while_the_others_go_on(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "drop"
    write(folder, "good")
    (folder / "bad.yml").write_text("modules: [")
    monitor = project.monitor(folder)
    cycle = monitor.check_and_update()
    assert done(cycle) == {"good": "create"}
    assert any("bad.yml" in str(each) for each in cycle.findings)
    write(folder, "bad")
    assert done(monitor.check_and_update()) == {"bad": "create"}


def test_a_direct_edit_holds_until_the_file_says_something_new(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "drop"
    write(folder, "m")
    monitor = project.monitor(folder)
    monitor.check_and_update()
    project.sql(f"UPDATE {TABLE} SET execution_order = 5")
    monitor.check_and_update()
    assert project.sql(f"SELECT execution_order FROM {TABLE}") == [{"execution_order": 5}]
    write(folder, "m", "/etl/b")
    assert done(monitor.check_and_update()) == {"m": "update"}
    assert project.sql(f"SELECT execution_order FROM {TABLE}") == [{"execution_order": 1}]


def test_it_can_leave_jobs_alone(project: Project, tmp_path: Path) -> None:
    write(tmp_path / "drop", "m")
    cycle = project.monitor(tmp_path / "drop", auto_update_jobs=False).check_and_update()
    assert cycle.loaded is not None
    assert project.sql(f"SELECT count(*) AS n FROM {TABLE}") == [{"n": 1}]
    assert project.raw_jobs() == []


def test_what_failed_is_tried_again_with_back_off(project: Project) -> None:
    project.add("a", "bad")
    project.add("a", "good")
    project.site.fault(method="POST", path=r"/api/2\.2/jobs/create", nth=1, status=400)
    monitor = project.monitor(check_interval_seconds=1)
    first = monitor.check_and_update()
    assert (len(first.failures), len(done(first))) == (1, 1)
    assert not monitor.check_and_update().looked  # too early
    time.sleep(1.1)
    assert list(done(monitor.check_and_update())) == list(first.failures)
    assert not monitor.check_and_update().looked


def test_a_frozen_module_is_told_and_holds_nobody_up(project: Project) -> None:
    project.add("a", "bad")
    project.sql(f"UPDATE {TABLE} SET transformation_config = '{{...}}'")
    project.add("a", "good")
    cycle = project.monitor().check_and_update()
    assert list(cycle.failures) == ["bad"]
    assert done(cycle) == {"good": "create"}


def test_a_restart_forgets_nothing_and_redoes_nothing(project: Project) -> None:
    project.add("a")
    project.monitor().check_and_update()
    project.sql(f"UPDATE {TABLE} SET transformation_config = replace(transformation_config, 'etl', 'elt')")
    assert done(project.monitor().check_and_update()) == {"m": "update"}
    assert project.monitor().check_and_update().outcomes == ()


def test_an_unreachable_workspace_is_no_reason_to_end(project: Project) -> None:
    project.add("a")
    project.site.fault(method="GET", path=r"/api/2\.2/jobs/list", nth=1, status=400)
    cycles: list[Cycle] = []
    monitor = project.monitor(check_interval_seconds=0.1, on_cycle=cycles.append)
    monitor.run_continuous(max_iterations=2)
    assert [done(cycle) for cycle in cycles] == [{"m": "create"}]


def running(monitor_run: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=monitor_run)
    thread.start()
    return thread


def test_a_folder_that_comes_later_is_watched_and_stop_ends_the_loop(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "later"
    cycles: list[Cycle] = []
    monitor = project.monitor(folder, check_interval_seconds=0.5, on_cycle=cycles.append)
    thread = running(monitor.run_continuous)
    try:
        wait_for(lambda: len(cycles) >= 1)
        write(folder, "m")
        wait_for(lambda: any(done(cycle) == {"m": "create"} for cycle in cycles))
    finally:
        monitor.stop()
        thread.join(20)
    assert not thread.is_alive()


def test_a_file_event_wakes_it_long_before_the_interval(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "drop"
    folder.mkdir()
    cycles: list[Cycle] = []
    monitor = project.monitor(folder, check_interval_seconds=600, on_cycle=cycles.append)
    thread = running(monitor.run_continuous)
    try:
        wait_for(lambda: len(cycles) >= 1)
        write(folder, "m")
        wait_for(lambda: any(done(cycle) == {"m": "create"} for cycle in cycles))
        number = len(cycles)
        time.sleep(1.5)
        assert len(cycles) <= number + 1, "its own reading must not wake it again and again"
    finally:
        monitor.stop()
        thread.join(20)


def test_a_file_is_read_once_it_rests(tmp_path: Path) -> None:
    path = tmp_path / "slow.yml"
    finished = threading.Event()

    def slowly() -> None:
        with path.open("w") as file:
            for number in range(8):
                file.write(f"# line {number}\n")
                file.flush()
                time.sleep(0.1)
        finished.set()

    thread = running(slowly)
    wait_for(path.exists)
    wait_until_rested(tmp_path)
    assert finished.is_set()
    thread.join()


def test_an_unchanged_folder_is_not_read_again(project: Project, tmp_path: Path) -> None:
    write(tmp_path / "drop", "m")
    monitor = project.monitor(tmp_path / "drop")
    first = monitor.check_and_update()
    assert first.loaded is not None
    assert monitor.check_and_update().loaded is None
    write(tmp_path / "drop", "m", "/etl/other")
    again = monitor.check_and_update()
    assert again.loaded is not None
    assert again.loaded.wrote
