"""A server that ends while runs are under way: nothing is left hanging, and all can be repaired."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from databricks.sdk.errors import OperationFailed

from lakeflow_job_meta.local import state as layout
from lakeflow_job_meta.workspace.launcher import ensure_local, find_local, stop_local
from tests.local_runs import SLOW, Runs, after, life, result, results, task_run
from tests.local_server import Site, running_server

ROOT = Path(__file__).resolve().parents[2]


def workers(site: Site) -> list[int]:
    """The processes that carry out SQL tasks of this home."""
    found: list[int] = []
    for each in Path("/proc").iterdir():
        try:
            words = (each / "cmdline").read_bytes().split(b"\0") if each.name.isdecimal() else []
        except OSError:
            continue
        if b"lakeflow_job_meta.local.tasks.sql_worker" in words and str(site.home).encode() in words:
            found.append(int(each.name))
    return found


def started(runs: Runs) -> int:
    """A run of which one task is done, one under way, and one not begun; another run waits for it."""
    job_id = runs.create(runs.sql("done"), runs.sql("slow", SLOW, "done"), runs.sql("next", "SELECT 1", "slow"))
    run_id = runs.start(job_id)
    runs.start(job_id)
    runs.running(run_id, "slow")
    return run_id


def test_after_a_kill_runs_are_lost_with_the_reason_and_a_repair_goes_on_with_them(tmp_path: Path) -> None:
    with running_server(tmp_path) as site:
        runs = Runs(site)
        run_id = started(runs)
        assert workers(site)
        site.kill()
        end = time.monotonic() + 5
        while workers(site):
            assert time.monotonic() < end, "a worker outlives its server"
            time.sleep(0.05)
        runs = Runs(Site(tmp_path, ensure_local(tmp_path)))
        run = runs.get(run_id)
        assert (life(run), result(run)) == ("INTERNAL_ERROR", "FAILED")
        assert "ended while this run was under way" in run["state"]["state_message"]
        details = run["status"]["termination_details"]
        assert (details["code"], details["type"]) == ("INTERNAL_ERROR", "INTERNAL_ERROR")
        assert results(run) == {"done": "SUCCESS", "slow": "FAILED", "next": "FAILED"}
        assert "before this task began" in task_run(run, "next")["state"]["state_message"]
        assert "runs" not in runs.done("GET", "runs/list?active_only=true")
        with pytest.raises(OperationFailed, match="under way"):
            runs.client.jobs.wait_get_run_job_terminated_or_skipped(run_id)
        mended = [runs.sql("done"), runs.sql("slow", "SELECT 1", "done"), runs.sql("next", "SELECT 1", "slow")]
        runs.done("POST", "reset", {"job_id": run["job_id"], "new_settings": {"name": "j", "tasks": mended}})
        runs.done("POST", "runs/repair", {"run_id": run_id, "rerun_all_failed_tasks": True})
        run = runs.ended(run_id)
        assert (life(run), result(run)) == ("TERMINATED", "SUCCESS")
        assert [each["task_key"] for each in run["tasks"]] == ["done", "slow", "next", "slow", "next"]


def test_a_server_that_is_stopped_ends_its_runs_before_it_goes(tmp_path: Path) -> None:
    with running_server(tmp_path) as site:
        run_id = started(Runs(site))
        before = time.monotonic()
        assert stop_local(tmp_path)
        assert time.monotonic() - before < 5
        assert workers(site) == []
        with sqlite3.connect(tmp_path / "local" / "workspace.db") as rows:
            assert rows.execute("SELECT count(*) FROM runs WHERE active").fetchone() == (0,)
            assert rows.execute("SELECT count(*) FROM task_runs WHERE active").fetchone() == (0,)
        assert life(Runs(Site(tmp_path, ensure_local(tmp_path))).get(run_id)) == "INTERNAL_ERROR"


CLIENT = """
import sys
from pathlib import Path
from tests.local_runs import SLOW, Runs
from tests.local_server import Site
from lakeflow_job_meta.workspace.launcher import ensure_local
home = Path(sys.argv[1])
runs = Runs(Site(home, ensure_local(home, ["--idle-seconds", "0.5"])))
print(runs.start(runs.create(runs.sql("slow", SLOW, timeout_seconds=10))))
"""


def test_a_server_does_not_end_of_idleness_while_a_run_is_under_way(tmp_path: Path) -> None:
    # In a process of its own: a client that lives keeps the server too.
    started = subprocess.run(
        [sys.executable, "-c", CLIENT, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    try:
        time.sleep(2)
        assert find_local(tmp_path) is not None
        end = time.monotonic() + 60
        while find_local(tmp_path) is not None:
            assert time.monotonic() < end, "it stays although nobody needs it"
            time.sleep(0.1)
        run = Runs(Site(tmp_path, ensure_local(tmp_path))).get(int(started.stdout))
        assert results(run) == {"slow": "TIMEDOUT"}
    finally:
        stop_local(tmp_path)


def test_runs_and_their_output_survive_a_restart(tmp_path: Path) -> None:
    with running_server(tmp_path) as site:
        runs = Runs(site)
        run = runs.run(runs.sql("a", "SELECT 7 AS n"), runs.sql("b", depends_on=after("a")))
        output = runs.output(task_run(run, "a")["run_id"])
        again = Runs(site.restart())
        assert again.get(run["run_id"]) == run
        assert again.output(task_run(run, "a")["run_id"]) == output


def test_a_state_of_the_layout_without_runs_is_brought_up_to_date(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    with sqlite3.connect(tmp_path / "local" / "workspace.db") as rows:
        rows.executescript(f"{layout.SCHEMA} PRAGMA user_version=1;")
        settings = {"name": "old", "tasks": [{"task_key": "p", "pipeline_task": {"pipeline_id": "x"}}]}
        rows.execute("INSERT INTO settings VALUES ('workspace_id', '7')")
        rows.execute(
            "INSERT INTO jobs VALUES (1, 7, 8, 'old', 'me', 'me', 0, ?, '{}', 1)", (json.dumps(settings),)
        )  # fmt: skip
    with running_server(tmp_path, "--stub-unsupported") as site:
        runs = Runs(site)
        assert result(runs.ended(runs.start(8))) == "SUCCESS"
