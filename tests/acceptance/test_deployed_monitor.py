"""The program of a deployed monitor where nothing works: its run fails, which is what people are told of."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lakeflow_job_meta import StoreError
from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.deploy.entry import FAILED_LOOKS, main
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.store.base import SCHEMA_VERSION
from tests.conftest import TABLE, Project


@pytest.fixture
def arguments(project: Project, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("DATABRICKS_TOKEN", str(project.client.config.token))
    where = {"control_table": TABLE, "home": str(project.home), "workspace": project.site.server.url}
    return [f"--{name}={value}" for name, value in {**where, "interval": "0.05"}.items()]


def schema_version(project: Project, version: int) -> None:
    project.sql(f"ALTER TABLE {TABLE}_jobs SET TBLPROPERTIES ('{SCHEMA_VERSION}' = '{version}')")


def test_a_run_whose_every_look_fails_ends_as_failed(
    project: Project, arguments: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    schema_version(project, 99)
    with pytest.raises(StoreError, match="schema version 99"):
        main(arguments)
    assert sum("cycle failed" in each.getMessage() for each in caplog.records) == FAILED_LOOKS


def test_a_look_that_works_lets_the_run_go_on(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    worked = threading.Event()
    monitor = project.monitor(check_interval_seconds=0.05, on_cycle=lambda cycle: worked.set())

    def wait_for(failed_looks: int) -> None:
        deadline = time.monotonic() + 60
        while sum("cycle failed" in each.getMessage() for each in caplog.records) < failed_looks:
            assert time.monotonic() < deadline and not running.done()
            time.sleep(0.01)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(monitor.run_continuous, give_up_after=50)
        for failed_looks in (20, 40, 60):
            schema_version(project, 99)
            wait_for(failed_looks)
            schema_version(project, ControlTables.of(TableName.parse(TABLE)).jobs.schema_version)
            worked.clear()
            assert worked.wait(60)
        monitor.stop()
        running.result(60)
