"""Runs in the embedded workspace are kept for 60 days, as on Databricks, and then nothing is left of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from lakeflow_job_meta.local.runs.retention import AT_ONCE, DAY_MS, KEPT_DAYS, Retention
from lakeflow_job_meta.local.runs.rows import Rows
from lakeflow_job_meta.local.state import State
from tests.local_runs import Runs
from tests.local_server import running_server
from tests.local_tasks import until
from tests.seeded_runs import seed_runs

NOW = int(time.time() * 1000)
OLD, YOUNG = NOW - (KEPT_DAYS + 1) * DAY_MS, NOW - (KEPT_DAYS - 1) * DAY_MS


def with_folders(home: Path, run_ids: list[int]) -> list[Path]:
    """What tasks of these runs have left."""
    made = [home / "local" / "runs" / str(run_id) for run_id in run_ids]
    for folder in made:
        (folder / "1").mkdir(parents=True)
        (folder / "1" / "stdout").write_text("printed")
    return made


def counted(home: Path, table: str) -> int:
    with closing(State(home / "local" / "workspace.db")) as state:
        (row,) = state.all(f"SELECT count(*) AS n FROM {table}")
    return int(row["n"])


def test_a_server_that_starts_takes_away_what_is_too_old_and_nothing_else(tmp_path: Path) -> None:
    with running_server(tmp_path) as site:
        runs = Runs(site)
        job_id, workspace = runs.create(runs.sql("a")), site.client().get_workspace_id()
    old = seed_runs(tmp_path, workspace, [job_id], range(OLD, OLD + 2 * AT_ONCE + 1), tasks=2)
    young = seed_runs(tmp_path, workspace, [job_id], [YOUNG])
    gone = with_folders(tmp_path, [*old[:3], 12345])
    kept = with_folders(tmp_path, young)
    with running_server(tmp_path) as site:
        until(lambda: not any(folder.exists() for folder in gone))
        assert [run.run_id for run in site.client().jobs.list_runs(job_id=job_id)] == young
        assert site.call("GET", f"/api/2.2/jobs/runs/get?run_id={old[0]}").status == 400
    assert all(folder.exists() for folder in kept)
    assert (counted(tmp_path, "runs"), counted(tmp_path, "task_runs")) == (1, 1)


def test_one_that_goes_on_stays_and_later_looks_find_what_became_too_old(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    (active,) = seed_runs(tmp_path, 1, [1], [OLD], going_on=True)
    (deleted,) = seed_runs(tmp_path, 1, [1], [OLD])
    with closing(State(tmp_path / "local" / "workspace.db")) as state:
        rows = Rows(state)
        rows.delete(deleted)
        retention = Retention(rows, tmp_path / "local" / "runs")

        async def until_gone(run_id: int, then: Callable[[], None]) -> None:
            looking = asyncio.create_task(retention.go_on(0.01))
            async with asyncio.timeout(10):
                while run_id in rows.ids():
                    await asyncio.sleep(0.01)
                then()
                await asyncio.sleep(0.1)
            looking.cancel()

        def another() -> None:
            seed_runs(tmp_path, 1, [1], [OLD + 1])

        asyncio.run(until_gone(deleted, another))
        assert rows.ids() == {active}
