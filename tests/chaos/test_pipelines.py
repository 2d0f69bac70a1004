"""Pipelines whose processes are killed: at each of a stage's commits; between stages, also together with the server.

Whatever was killed, to run it again loses no row, doubles none, and the record says what happened.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta.errors import LakeflowJobMetaError
from lakeflow_job_meta.model.run import Run
from lakeflow_job_meta.pipelines.entry import main
from lakeflow_job_meta.workspace.launcher import ensure_local
from tests.local_server import Site, running_server
from tests.local_tasks import put_notebook
from tests.registered_shop import TIMES, Shop

FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(["lakeflow_job_meta.pipelines.entry", "tests.chaos.test_pipelines"])
"""Processes come from one that has imported all of this and opened nothing."""

LEAST_COMMITS = 4
"""Run and stage begin, and end: the data and its watermark come on top of that."""

STRIKE = """\
# Databricks notebook source
import os, signal
from pathlib import Path

file = Path({file!r})
strikes = file.read_text().split()
if strikes:
    file.write_text("\\n".join(strikes[1:]))
    victim = {{"server": int(Path({server!r}).read_text()), "task": os.getpid()}}.get(strikes[0])
    if victim:
        os.kill(victim, signal.SIGKILL)
        while True:
            pass
"""
"""A stage of the user's: does what the file says next, and kills the server, or itself, or nobody."""


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_server(tmp_path_factory.mktemp("killed")) as running:
        yield running


def commits(shop: Shop) -> int:
    """How many versions all tables of the shop have together."""
    tables = shop.home / "tables" / shop.catalog
    return sum(name.suffix == ".json" for name in tables.glob("*/*/_delta_log/*"))


def arguments(shop: Shop, direction: str, run_id: int, task_run_id: int) -> list[str]:
    told = {
        "source_tablename": "shop.orders", "pipeline_name": "sqlite_to_sqlite", "direction": direction,
        "stage_type": "extract" if direction == "source_to_dl" else "load", "stage_order": 1, "stage_position": 1,
        "stage_count": 1, "control_table": shop.control_table, "home": shop.home, "job_run_id": run_id,
        "task_run_id": task_run_id, "trigger_type": "periodic",
    }  # fmt: skip
    return [f"--{name}={value}" for name, value in told.items()]


def killed_after(shop: Shop, process: BaseProcess, number: int) -> bool:
    """Kill a process as soon as it has made so many commits; says whether it was still alive."""
    before = commits(shop)
    process.start()
    while process.is_alive() and commits(shop) < before + number:
        time.sleep(0.0005)
    alive = process.is_alive()
    if alive and process.pid:
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    return alive and process.exitcode == -signal.SIGKILL


def order(shop: Shop, number: int) -> None:
    """A new order, and an older one that has changed."""
    moment = datetime(2026, 11, 1) + timedelta(minutes=number)
    shop.orders("orders", (number, "new", f"{moment:%d %H:%M:%S}"))
    if number > 3:
        changed = moment + timedelta(seconds=30)
        shop.orders("orders", (number - 3, f"changed at {number}", f"{changed:%d %H:%M:%S}"))


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["source_to_dl", "dl_to_sink"])
def test_a_stage_that_is_killed_at_any_of_its_commits_is_just_run_again(tmp_path: Path, direction: str) -> None:
    shop = Shop.of_files(tmp_path / "home", tmp_path, "killed")
    shop.incremental("orders")
    shop.declare()
    for number in range(1, 4):
        order(shop, number)
    for point in itertools.count(1):
        run_id = 100 + point
        order(shop, 3 + point)
        if direction == "dl_to_sink":
            assert main(arguments(shop, "source_to_dl", 1_000 + run_id, 10_000 + run_id)) == 0
        process = FORKING.Process(target=main, args=(arguments(shop, direction, run_id, run_id * 10),))
        alive = killed_after(shop, process, point)
        rerun = arguments(shop, direction, run_id, run_id * 10 + 1)
        assert main(rerun) == 0
        lake = [(str(row["order_id"]), row["status"]) for row in shop.lake("orders")]
        assert lake == shop.source("SELECT order_id, status FROM orders ORDER BY 1"), f"killed after {point} commits"
        if direction == "dl_to_sink":
            assert shop.same("orders"), f"killed after {point} commits"
        (row,) = [each for each in shop.record() if each["id"] == run_id]
        assert row["status"] == "success" and row["error_message"] is None
        if not alive:
            assert point > LEAST_COMMITS, "it was killed too seldom"
            break


@pytest.mark.slow
def test_between_stages_server_and_tasks_are_killed_and_a_repair_goes_on(site: Site, tmp_path: Path) -> None:
    strikes = tmp_path / "strikes"
    strike = "notebook:/Shared/strike"
    shop = Shop.of_files(site.home, tmp_path, "struck", ("driver_check", strike, "extract", strike, "verify"))
    told = {"source_to_dl_load_type": "incremental", "source_to_dl_incremental_key": "updated_at"}
    shop.table("orders", TIMES, **told)
    shop.orders("orders", (1, "new", "01 08:00:00"), (2, "new", "02 08:00:00"))
    text = STRIKE.format(file=str(strikes), server=str(tmp_path / "server"))
    put_notebook(site.client(), "/Shared/strike", text)
    shop.register()
    plan = ["server", "task", "nobody", "task", "server", "nobody"]
    strikes.write_text("\n".join(plan))
    run_id = begun(shop, tmp_path)
    ends = [ended(shop, run_id)]
    while ends[-1]["status"] != "success":
        assert len(ends) < len(plan), ends[-1]
        repaired(shop, run_id, tmp_path)
        ends.append(ended(shop, run_id))
    assert [end["status"] for end in ends] == ["failed"] * 4 + ["success"]
    assert "ended while this run was under way" in ends[0]["error_message"]
    assert "SIGKILL" in ends[1]["error_message"]
    assert [end["current_stage"] for end in ends] == [2, 2, 4, 4, 5]
    succeeded = [stage["stage_order"] for stage in ends[-1]["stages"] if stage["status"] == "success"]
    assert succeeded == [1, 2, 3, 4, 5], "what was done isn't done again"
    assert [row["status"] for row in shop.lake("orders")] == ["new", "new"]


def note_server(shop: Shop, folder: Path) -> None:
    """Write down which process the server is, for the stage that kills it."""
    (folder / "server").write_text(str(Site(shop.home, ensure_local(shop.home)).pid))


def begun(shop: Shop, folder: Path) -> int:
    note_server(shop, folder)
    return shop.orchestrator.runs.start(shop.module("orders"))


def repaired(shop: Shop, run_id: int, folder: Path) -> None:
    note_server(shop, folder)
    runs = shop.orchestrator.runs
    runs.repair(runs.api.get(run_id))


def ended(shop: Shop, run_id: int) -> dict[str, Any]:
    """The run's row when the workspace, or the next one, says that it has ended."""
    end = time.monotonic() + 120
    run: Run | None = None
    while run is None or not run.ended:
        assert time.monotonic() < end, run
        try:
            run = shop.orchestrator.runs.api.get(run_id)
        except LakeflowJobMetaError:  # the server was killed just now
            run = None
        time.sleep(0.2)
    return shop.show(run_id)
