"""The benchmark runs and counts, and docs/performance.md shows what it saved. No time is judged here."""

from __future__ import annotations

import doctest
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report
from benchmarks.goals import GOALS, REQUESTS
from benchmarks.results import read_results

ROOT = Path(__file__).resolve().parents[2]
MODULES = 10


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    environment = {**os.environ, **variables}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200, check=False)


@pytest.mark.slow
def test_the_benchmark_counts_requests_and_commits_of_each_case() -> None:
    done = run("benchmarks", "--modules", str(MODULES), "--latency-ms", "5", "--output", "json")
    assert done.returncode == 0, done.stderr
    costs: dict[str, Any] = {each["case"]: each["cost"] for each in json.loads(done.stdout)["runs"]}
    created = costs["first_apply"]["requests"]
    assert created["POST /api/2.2/jobs/create"] == MODULES
    assert costs["first_apply"]["commits"]["control_jobs"] == 2
    for case in ("no_op_no_refresh", "tick", "load_again"):
        assert (costs[case]["requests"], costs[case]["commits"]) == ({}, {}), case
    assert costs["no_op"]["commits"] == {}
    one = {"GET /api/2.2/jobs/get": 1, "POST /api/2.2/jobs/reset": 1}
    assert costs["change_tick"]["requests"] == one
    assert costs["change_1"]["requests"] == one
    assert costs["no_op"]["requests"] == {"GET /api/2.2/jobs/get": MODULES}, "so few are got one by one"
    assert costs["change_10"]["requests"]["POST /api/2.2/jobs/reset"] == 10
    assert "change_100" not in costs, "there are not so many modules"
    assert all(cost["cpu"] > 0 and cost["peak"] > 0 for cost in costs.values())


def test_the_page_shows_what_was_saved() -> None:
    page = report.PAGE.read_text("utf-8")
    assert report.page_part(read_results()) in page, "python -m benchmarks.report writes it anew"
    assert report.PLOT.read_bytes().startswith(b"\x89PNG")


def test_the_page_tells_of_the_goal_that_was_missed_as_long_as_it_is() -> None:
    results = read_results()
    missed: set[tuple[str, str]] = set()
    for goal in GOALS:
        for size, most in goal.most.items():
            for latency in (0, 50):
                cost = results.of(goal.case, size, latency)
                assert cost is not None, (goal, size, latency)
                if report.figure(cost, goal.figure) > most:
                    missed.add((goal.case, goal.figure))
    assert missed <= {("no_op", REQUESTS)}
    assert ("One goal is missed" in report.PAGE.read_text("utf-8")) == bool(missed)


def test_ratios_are_told_as_their_examples_show() -> None:
    assert doctest.testmod(report).failed == 0


def test_other_tools_that_are_not_there_are_skipped_with_the_reason(tmp_path: Path) -> None:
    done = run("benchmarks.peers", PATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "")
    assert "skipped databricks bundle: databricks not on PATH" in done.stderr
    assert "skipped terraform: terraform and terraform-provider-databricks not on PATH" in done.stderr


def test_the_benchmark_of_runs_measures_every_task() -> None:
    done = run("benchmarks.runs", "--runs", "4", "--tasks", "3", "--concurrency", "2", "--output", "json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    assert (found["kind"], found["runs"], found["tasks"], found["concurrency"]) == ("sql", 4, 3, 2)
    assert found["tasks_per_second"] > 0 and found["overhead_ms"] > 0
    assert 0 <= found["delay_p50_ms"] <= found["delay_p95_ms"]
