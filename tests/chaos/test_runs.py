"""The server and the processes of tasks are killed at random while runs go on: each run ends once, nothing is left, and
the ledger, collected meanwhile, tells the same as the server."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta import JobOrchestrator
from lakeflow_job_meta.errors import LakeflowJobMetaError
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.workspace.launcher import ensure_local
from tests.local_runs import Runs, after, life, result
from tests.local_server import Site, running_server

RUNS = 50
TABLE = "main.chaos.control"
SLEEP = "import random, time\ntime.sleep(random.random() / 5)\n"


def processes(home: Path) -> list[int]:
    """Every process of a task of this home: SQL workers, and those that bear a task's mark."""
    found: list[int] = []
    for each in Path("/proc").iterdir():
        if not each.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            command = (each / "cmdline").read_bytes()
            alive = (each / "stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
            if alive and b"lakeflow_job_meta.local.tasks" in command and str(home).encode() in command:
                found.append(int(each.name))
    return found


def job_of(runs: Runs) -> int:
    path = "/api/2.0/workspace-files/import-file/Shared/sleep.py"
    assert runs.site.call("POST", path, SLEEP.encode()).status == 200
    python = {"spark_python_task": {"python_file": "/Workspace/Shared/sleep.py"}}
    nested = runs.sql("each", "INSERT INTO main.chaos.t VALUES (:x)", parameters={"x": "{{input}}"}, max_retries=1)
    tasks = [
        runs.sql("first", "SELECT 1"),
        {"task_key": "python", **python, "depends_on": after("first")},
        {"task_key": "loop", "for_each_task": {"inputs": '["a", "b"]', "task": nested}, "depends_on": after("first")},
        runs.sql("last", "SELECT count(*) AS n FROM main.chaos.t", "python", "loop", run_if="ALL_DONE"),
    ]
    return runs.create(*tasks, max_concurrent_runs=3)


def started(home: Path, job_id: int, token: str) -> int:
    """Start a run, and again with the same token, until a server has answered."""
    while True:
        with contextlib.suppress(OSError, HTTPException):
            return Runs(Site(home, ensure_local(home))).start(job_id, idempotency_token=token)


def strike(home: Path, chance: random.Random) -> str:
    """Kill the server, or one process of a task, or nobody."""
    what = chance.choice(["server", "task", "task", "nobody", "nobody", "nobody"])
    with contextlib.suppress(ProcessLookupError):
        if what == "server":
            Site(home, ensure_local(home)).kill()
        elif what == "task" and (found := processes(home)):
            os.kill(chance.choice(found), signal.SIGKILL)
    return what


def orchestrator(home: Path) -> JobOrchestrator:
    return JobOrchestrator(TABLE, settings=Settings(TABLE, home))


def assert_ledger_tells(home: Path, runs: Runs, ends: list[dict[str, Any]]) -> None:
    ours = orchestrator(home)
    ours.runs.collect()
    told = ours.store.sql(f"SELECT run_id, result FROM {TABLE}_runs")
    assert sorted((row["run_id"], row["result"]) for row in told) == sorted(
        (run["run_id"], result(run)) for run in ends
    )
    tasks = ours.store.sql(f"SELECT task_run_id, result FROM {TABLE}_task_runs")
    every = [task for run in ends for task in run["tasks"]]
    loops = [task["run_id"] for task in every if "for_each_task" in task]
    every += [each for loop in loops for each in runs.get(loop).get("iterations", ())]
    expected = [(task["run_id"], result(task)) for task in every]
    assert sorted((row["task_run_id"], row["result"]) for row in tasks) == sorted(expected)


@pytest.mark.slow
def test_every_run_has_one_end_whoever_is_killed(tmp_path: Path) -> None:
    chance = random.Random(7)
    with running_server(tmp_path) as site:
        runs = Runs(site)
        assert result(runs.run(runs.sql("make", "CREATE TABLE main.chaos.t (x STRING)"))) == "SUCCESS"
        job_id = job_of(runs)
        orchestrator(tmp_path).adopt([str(job_id)])
        ids: list[int] = []
        strikes: Counter[str] = Counter()
        for number in range(RUNS):
            ids.append(started(tmp_path, job_id, f"run {number}"))
            time.sleep(chance.random() / 4)
            strikes[strike(tmp_path, chance)] += 1
            if number % 10 == 5:
                with contextlib.suppress(LakeflowJobMetaError):  # the server may have been killed
                    orchestrator(tmp_path).runs.collect()
        runs = Runs(Site(tmp_path, ensure_local(tmp_path)))
        ends = [runs.ended(each, seconds=120) for each in ids]
        assert len(set(ids)) == RUNS and strikes["server"] > 3 and strikes["task"] > 3
        listed = [run["run_id"] for run in _all(runs, job_id)]
        assert sorted(listed) == sorted(ids), "as many runs as tokens"
        for run in ends:
            assert life(run) in ("TERMINATED", "INTERNAL_ERROR") and result(run), run
            for task in run["tasks"]:
                assert task["state"].get("result_state"), task
                assert task["status"]["state"] == "TERMINATED"
        found = Counter(result(run) for run in ends)
        assert found["SUCCESS"] and found["FAILED"], f"the test struck too seldom or too often: {found}, {strikes}"
        assert [runs.get(each) for each in ids] == ends, "an end is for good"
        assert_ledger_tells(tmp_path, runs, ends)
        broken = next(run for run in ends if life(run) == "INTERNAL_ERROR")
        runs.done("POST", "runs/repair", {"run_id": broken["run_id"], "rerun_all_failed_tasks": True})
        assert result(runs.ended(broken["run_id"])) == "SUCCESS"
    end = time.monotonic() + 10
    while processes(tmp_path):
        assert time.monotonic() < end, "a task outlives its server"
        time.sleep(0.1)


def _all(runs: Runs, job_id: int) -> list[dict[str, Any]]:
    found, token = [], ""
    while not found or token:
        page = runs.done("GET", f"runs/list?job_id={job_id}&page_token={token}")
        found += page["runs"]
        token = page.get("next_page_token", "")
    return found
