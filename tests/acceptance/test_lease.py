"""The lease: one writer at a time, a dead one doesn't hold anybody up, a paused one is fenced off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta import ConflictError, JobOrchestrator
from lakeflow_job_meta.control.tenure import Tenure, died_here, this_process
from lakeflow_job_meta.errors import LeaseLost
from lakeflow_job_meta.model.table import Changes
from lakeflow_job_meta.store.delta import DeltaStore
from tests.conftest import TABLE, Project

NOTHING = Changes()


def tenure(project: Project, holder: str, ttl: float = 60.0) -> Tenure:
    return Tenure(DeltaStore(project.home), project.manager.tables, "ws", ttl, holder)


def take(one: Tenure, timeout: float = 0.0) -> None:
    one.take(lambda snapshot: NOTHING, datetime.now(UTC), timeout)


def write(one: Tenure, *, release: bool = False) -> None:
    one.within(lambda snapshot: NOTHING, datetime.now(UTC), release=release)


def test_one_works_and_the_other_is_told_who_holds_it_since_when(project: Project) -> None:
    first = tenure(project, "elsewhere:1:1")
    take(first)
    with pytest.raises(ConflictError, match="elsewhere:1:1 holds the lease since 20"):
        take(tenure(project, "other:2:2"))
    write(first, release=True)
    take(tenure(project, "other:2:2"))


def test_a_waiter_gets_it_when_it_is_let_go(project: Project) -> None:
    first, second = tenure(project, "elsewhere:1:1"), tenure(project, "other:2:2")
    take(first)
    process = subprocess.Popen(["sleep", "1"])
    process.wait()
    write(first, release=True)
    take(second, timeout=5)
    assert second.current() is not None


def test_a_silent_holder_is_taken_over_and_fenced_off(project: Project) -> None:
    first, second = tenure(project, "elsewhere:1:1", ttl=1.0), tenure(project, "other:2:2", ttl=1.0)
    take(first)
    first.abandon()
    take(second, timeout=10)
    with pytest.raises(LeaseLost, match="taken over by other:2:2"):
        write(first)
    with pytest.raises(LeaseLost):
        first.check()
    write(second, release=True)


def test_heartbeats_keep_it_longer_than_its_time_to_live(project: Project) -> None:
    first, second = tenure(project, "elsewhere:1:1", ttl=1.0), tenure(project, "other:2:2", ttl=1.0)
    take(first)
    with pytest.raises(ConflictError):
        take(second, timeout=3)
    first.check()
    write(first, release=True)


def test_no_call_is_started_that_could_outlast_the_lease(project: Project) -> None:
    first = tenure(project, "elsewhere:1:1", ttl=1.5)
    take(first)
    first.abandon()
    first.check()
    time.sleep(1.1)
    with pytest.raises(LeaseLost, match="ran out"):
        first.check()


def test_a_holder_that_died_on_this_host_holds_nobody_up(project: Project) -> None:
    process = subprocess.Popen(["sleep", "60"])
    dead = this_process().replace(f":{os.getpid()}:", f":{process.pid}:")
    process.kill()
    process.wait()
    assert died_here(dead)
    assert not died_here(this_process())
    take(tenure(project, dead))
    take(tenure(project, "other:2:2"))


def test_a_stale_epoch_changes_no_row(project: Project) -> None:
    project.add("a")
    first = tenure(project, "elsewhere:1:1", ttl=0.5)
    take(first)
    first.abandon()
    second = tenure(project, "other:2:2")
    take(second, timeout=10)
    before = project.sql(f"SELECT * FROM {TABLE}_jobs")
    with pytest.raises(LeaseLost):
        first.within(
            lambda snapshot: Changes(({"workspace_id": "ws", "module_name": "m", "status": "x"},)), datetime.now(UTC)
        )
    assert project.sql(f"SELECT * FROM {TABLE}_jobs") == before


def test_a_reconcile_that_does_nothing_takes_no_lease(project: Project) -> None:
    project.add("a")
    project.orchestrator.run_all_modules()
    holder = tenure(project, "elsewhere:1:1")
    holder.workspace_id = project.orchestrator.workspace.id
    take(holder)
    assert [entry["action"] for entry in project.orchestrator.run_all_modules()] == ["skip"]
    project.add("b")
    with pytest.raises(ConflictError, match="holds the lease"):
        project.orchestrator.run_all_modules()
    write(holder, release=True)


APPLY = """
import sys
from pathlib import Path
from lakeflow_job_meta import JobOrchestrator
from lakeflow_job_meta.errors import LeaseLost
from lakeflow_job_meta.settings import Settings
from databricks.sdk import WorkspaceClient

home, host, token = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
client = WorkspaceClient(host=host, token=token)
settings = Settings("main.etl.control", home, lease_seconds=2.0)
try:
    JobOrchestrator("main.etl.control", client, settings=settings).run_all_modules()
except LeaseLost as error:
    print("lost", error, flush=True)
"""


def applier(project: Project) -> subprocess.Popen[str]:
    token = project.client.config.token or ""
    arguments = [sys.executable, "-c", APPLY, str(project.home), project.site.server.url, token]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).resolve().parents[2])


def stop_during(project: Project, process: subprocess.Popen[str], path: str, *, call: int = 1) -> None:
    """SIGSTOP the process once the first, second, … call to this path has been made."""
    deadline = time.monotonic() + 20
    while sum(each[1].startswith(path) for each in project.site.requests()) < call:
        assert time.monotonic() < deadline, "the call never came"
        time.sleep(0.005)
    process.send_signal(signal.SIGSTOP)


def takes_over(project: Project) -> list[dict[str, Any]]:
    settings = replace(project.settings, lease_seconds=2.0, lock_timeout_seconds=20.0)
    return JobOrchestrator(TABLE, project.client, settings=settings).run_all_modules()


def test_a_process_stopped_around_its_create_leaves_one_job(project: Project) -> None:
    project.add("a")
    project.site.fault(method="POST", path=r"/api/2\.2/jobs/create", nth=1, when="after", action="delay", seconds=1.5)
    process = applier(project)
    try:
        stop_during(project, process, "/api/2.2/jobs/create")
        project.site.no_faults()
        (entry,) = takes_over(project)
        process.send_signal(signal.SIGCONT)
        out, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert "lost" in out
    assert [job["job_id"] for job in project.raw_jobs()] == [entry["job_id"]]
    assert project.orchestrator.plan().empty


def test_a_process_stopped_before_its_reset_does_not_take_back_newer_settings(project: Project) -> None:
    project.add("a")
    (made,) = project.orchestrator.run_all_modules()
    project.sql(f"UPDATE {TABLE} SET transformation_config = replace(transformation_config, '/etl/', '/old/')")
    project.site.fault(method="GET", path=r"/api/2\.2/jobs/get", nth=2, when="after", action="delay", seconds=1.5)
    project.site.forget_requests()
    process = applier(project)
    try:
        stop_during(project, process, "/api/2.2/jobs/get", call=2)
        project.site.no_faults()
        project.sql(f"UPDATE {TABLE} SET transformation_config = replace(transformation_config, '/old/', '/new/')")
        takes_over(project)
        process.send_signal(signal.SIGCONT)
        out, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert "lost" in out
    settings = project.raw_job(made["job_id"])["settings"]
    assert settings["tasks"][0]["notebook_task"]["notebook_path"] == "/new/a"
    assert project.orchestrator.plan().empty
