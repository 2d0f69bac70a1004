"""The ledger on the stores that speak SQL: each run once, in few statements."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.parity.ground import Ground, at_most
from tests.seeded_runs import seed_runs


@pytest.mark.parametrize("engine", ["spark", "warehouse"], indirect=True)
def test_runs_are_collected_each_once_and_told_again_from_the_tables(ground: Ground) -> None:
    ground.insert("a")
    orchestrator = ground.orchestrator
    orchestrator.apply(orchestrator.plan())
    runs, store = orchestrator.runs, ground.engine.store
    failed = runs.wait(runs.start("m"), timeout=60)

    with at_most(store, 34):  # three tables are made
        assert runs.collect().runs == 1
    (row,) = ground.sql("SELECT module_name, result, error, attempts, fingerprint, parameters FROM {t}_runs")
    (state,) = ground.sql("SELECT fingerprint FROM {t}_jobs WHERE module_name = 'm'")
    assert (row["module_name"], row["result"], row["attempts"]) == ("m", "FAILED", 1)
    assert "/etl/a" in row["error"]
    assert row["fingerprint"] == state["fingerprint"]

    with at_most(store, 8):  # the mark, and the rows of the newest run
        assert runs.collect().runs == 0

    start = int(failed.start.timestamp() * 1000) + 1_000
    seed_runs(ground.site.home, int(orchestrator.workspace.id), [failed.job_id], range(start, start + 30), tasks=2)
    with at_most(store, 25):
        assert runs.collect().runs == 30
    again = ground.on(ground.engine.open()).runs
    (told,) = (again.statistics(timedelta(days=1)) or {}).values()
    assert (told.runs, told.p50_ms) == (31, 2_000)
    assert [(module, run.word) for module, run in again.newest("m", failed=True)] == [("m", "FAILED")]
    (counted,) = ground.sql("SELECT count(DISTINCT task_run_id) AS ids, count(*) AS n FROM {t}_task_runs")
    assert counted == {"ids": 61, "n": 61}
