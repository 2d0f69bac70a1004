"""`ljm run`, `runs`, `logs`, `repair`: jobs that really run, followed from the command line."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta import ApplyError, UsageError
from lakeflow_job_meta.cli.run_text import gantt
from lakeflow_job_meta.model.run import Loop, Run, TaskRun
from lakeflow_job_meta.workspace.launcher import ensure_local
from tests.acceptance.shell import Shell, jobs, sql
from tests.conftest import TABLE, Project
from tests.local_runs import SLOW
from tests.seeded_runs import seed_runs


def task(text: str, **more: Any) -> str:
    return json.dumps({"task_type": "sql_query", "sql_task": {"warehouse_id": "w", "sql_query": text, **more}})


def declare(shell: Shell, source: str, config: str, order: int = 1, module: str = "m") -> None:
    quoted = config.replace("'", "\\'")
    sql(shell, f"INSERT INTO {TABLE} VALUES ('{source}', '{module}', 'x', {order}, '{{}}', '{{}}', '{quoted}', true)")


@pytest.fixture
def shop(shell: Shell) -> Shell:
    """A module with a parameter and two tasks, of which the second fails."""
    declare(shell, "load", task("SELECT :day AS day", parameters={"day": "{{job.parameters.day}}"}))
    declare(shell, "check", task("SELECT * FROM no.such.table"), 2)
    config = json.dumps({"parameters": [{"name": "day", "default": "1"}]})
    sql(shell, f"INSERT INTO {TABLE}_modules (module_name, job_config) VALUES ('m', '{config}')")
    shell("apply", "--yes")
    return shell


@pytest.mark.slow
def test_a_run_from_start_to_repair(shop: Shell) -> None:
    done = shop("run", "m", "--param", "day=7", "--watch", code=4)
    assert re.search(r"load: SUCCESS", done.stderr)
    assert "ljm repair" in done.stderr
    assert "no.such.table" in done.stdout
    assert '{"day": "7"}' in done.stdout
    (listed,) = shop.json("runs", "m", "--failed", "--since", "1h")
    run_id = str(listed["run_id"])
    assert (listed["module"], listed["result"], listed["parameters"]) == ("m", "FAILED", {"day": "7"})
    assert shop.json("runs", "--since", "2100-01-01") == []
    shown = shop.json("runs", "show", run_id)
    assert {each["task_key"]: each["result"] for each in shown["tasks"]} == {"load": "SUCCESS", "check": "FAILED"}
    assert "no.such.table" in shown["outputs"]["check"]["error"]
    assert "no.such.table" in shop("logs", run_id, "check").stdout
    shop("runs", "collect")
    sql(shop, f"UPDATE {TABLE} SET transformation_config = '{task('SELECT 2')}' WHERE source_id = 'check'")
    assert "`ljm apply` comes first" in shop("run", "m", "--only", "load").stderr
    shop("apply", "--yes")
    done = shop("repair", run_id, "--watch")
    assert "SUCCESS" in done.stdout
    assert "check #2" in done.stdout
    shop("runs", "collect")
    (row,) = sql(shop, f"SELECT result, attempts FROM {TABLE}_runs WHERE run_id = {run_id}")
    assert row == {"result": "SUCCESS", "attempts": 2}
    (told,) = shop.json("status", "--runs")
    assert (told["runs"]["success_rate"], told["runs"]["runs"]) == (1.0, 2)
    for line in shop("runs").stdout.splitlines() + shop("runs", "show", run_id).stdout.splitlines():
        assert len(line) <= 80


@pytest.mark.slow
def test_wrong_names_are_refused_with_all_findings(shop: Shell) -> None:
    told = shop.json("run", "m", "--param", "da=1", "--only", "chek", code=1)
    assert [each["hint"] for each in told["diagnostics"]] == ["did you mean 'check'?", "did you mean 'day'?"]
    assert "NAME=VALUE" in shop("run", "m", "--param", "day", code=2).stderr
    assert "did you mean 'm'?" in shop("run", "M", code=1).stderr
    assert "no runs" in shop("runs", "show", "m", code=1).stderr
    assert "there is no run 12" in shop("runs", "show", "12", code=1).stderr
    assert "how long ago" in shop("runs", "--since", "yesterday", code=2).stderr
    assert "job" in shop("runs", "nope", code=1).stderr


@pytest.mark.slow
def test_ctrl_c_cancels_the_run_and_says_so(shell: Shell) -> None:
    declare(shell, "slow", task(SLOW))
    shell("apply", "--yes")
    process = subprocess.Popen(
        [sys.executable, "-m", "lakeflow_job_meta", "run", "m", "--watch"], cwd=shell.folder, env=shell.environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    while "slow: RUNNING" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    printed, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "cancelling run" in said
    assert "CANCELED" in printed
    (listed,) = shell.json("runs")
    assert listed["result"] == "CANCELED"


@pytest.mark.slow
def test_a_terminal_shows_a_tree_that_stays_within_it(shop: Shell) -> None:
    text, code = in_a_terminal(shop)
    assert code == 4
    assert "├── SUCCESS    load" in text
    assert all(len(line) <= 80 for line in text.splitlines() if "──" in line)


@pytest.mark.slow
def test_a_terminal_shows_what_a_task_prints_while_it_goes_on(shell: Shell) -> None:
    go = shell.folder / "go"
    lines = ("import pathlib, time", "print('half way', flush=True)", f"while not pathlib.Path('{go}').exists():")
    (shell.folder / "long.py").write_text("\n".join([*lines, "    time.sleep(0.05)"]))
    declare(
        shell, "long", json.dumps({"task_type": "task", "task": {"spark_python_task": {"python_file": "./long.py"}}})
    )
    shell("apply", "--yes")
    text, code = in_a_terminal(shell, lambda shown: go.touch() if "half way" in shown else None)
    assert code == 0
    running = text[: text.index("half way")].rindex("RUNNING    long")
    assert "SUCCESS" not in text[:running]


def in_a_terminal(shell: Shell, look: Callable[[str], None] = lambda shown: None) -> tuple[str, int]:
    """What `ljm run m --watch` shows in a terminal, and its exit code; `look` gets it as it comes."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "lakeflow_job_meta", "run", "m", "--watch"], cwd=shell.folder, stdout=subprocess.PIPE,
        stderr=slave, env={**shell.environment, "COLUMNS": "80", "TERM": "xterm"},
    )  # fmt: skip
    os.close(slave)
    text, shown = "", b""
    try:
        while chunk := os.read(master, 65_536):
            shown += chunk
            text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode(errors="ignore"))
            look(text)
    except OSError:  # the other end was closed
        pass
    os.close(master)
    process.communicate(timeout=30)
    return text, process.returncode


def test_a_gantt_chart_fits_into_its_width_and_shows_when_tasks_ran() -> None:
    start = datetime(2026, 11, 21, tzinfo=UTC)

    def at(seconds: float) -> datetime:
        return start + timedelta(seconds=seconds)

    tasks = (
        TaskRun(1, "first", "TERMINATED", "SUCCESS", start=at(0), end=at(5)),
        TaskRun(2, "second_with_a_name_that_is_far_too_long", "TERMINATED", "FAILED", start=at(5), end=at(10)),
        TaskRun(3, "third", "SKIPPED", "UPSTREAM_FAILED", start=at(10)),
    )
    run = Run(1, 1, "TERMINATED", start, "FAILED", end=at(10), tasks=tasks)
    first, second, third = gantt(run, at(10), 80)
    assert first.count("█") == second.count("█") > 5
    assert first.rindex("█") + 1 == second.index("█")
    assert "█" not in third
    assert all(len(line) <= 80 for line in (first, second, third))


def test_a_chart_has_a_line_for_each_iteration_and_of_many_those_that_failed() -> None:
    start = datetime(2026, 11, 21, tzinfo=UTC)

    def iteration(number: int, result: str = "SUCCESS", **more: Any) -> TaskRun:
        end = start + timedelta(seconds=number)
        return TaskRun(100 + number, "one", "TERMINATED", result, start=start, end=end, loop_run_id=1, **more)

    loop = TaskRun(
        1, "each", "TERMINATED", "FAILED", start=start, end=start + timedelta(seconds=50), loop=Loop(50, 50, 2)
    )
    few = (iteration(1), iteration(2, "FAILED"), iteration(3, attempt=2, original_id=102))
    run = Run(1, 1, "TERMINATED", start, "FAILED", end=loop.end, tasks=(loop,), iterations=few)
    assert [line.split()[:3] for line in gantt(run, start, 80)] == [
        ["each", "FAILED", "50.0"], ["one[1]", "SUCCESS", "1.0"], ["one[2]", "FAILED", "2.0"],
        ["one[2]", "#2", "SUCCESS"],
    ]  # fmt: skip
    many = tuple(iteration(number, "FAILED" if number in (40, 50) else "SUCCESS") for number in range(1, 51))
    lines = gantt(replace(run, iterations=many), start, 80)
    assert [line.split()[0] for line in lines[-3:]] == ["one[40]", "one[50]", "and"]
    assert len(lines) == 22
    assert all(len(line) <= 80 for line in lines)


@pytest.mark.slow
def test_iterations_of_a_loop_are_shown_with_what_they_left(shell: Shell) -> None:
    inner = {"task_key": "one", "spark_python_task": {"python_file": "./one.py", "parameters": ["{{input}}"]}}
    loop = {"for_each_task": {"inputs": '["a", "b"]', "task": inner}}
    (shell.folder / "one.py").write_text("import sys\nprint('got', sys.argv[1])\nassert sys.argv[1] == 'a'\n")
    declare(shell, "each", json.dumps({"task_type": "task", "task": loop}).replace("\\", "\\\\"))
    shell("apply", "--yes")
    done = shell("run", "m", "--watch", code=4)
    assert "one[2]" in done.stdout
    assert "AssertionError" in done.stdout
    shown = shell.json("runs", "show", "m")
    assert [each["result"] for each in shown["iterations"]] == ["SUCCESS", "FAILED"]
    assert list(shown["outputs"]) == ["each", "one[2]"]
    logs = shell("logs", "m", "one")
    assert "got a" in logs.stdout
    assert "one[1]: SUCCESS" in logs.stderr
    assert "known: each, one" in shell("logs", "m", "two", code=1).stderr


def test_sql_tasks_on_spark_are_refused_where_spark_is_not_set_up(shell: Shell) -> None:
    said = shell("local", "serve", "--sql-engine", "spark", code=2).stderr
    assert "can't run on Spark" in said
    assert "docs/tasks.md" in said


# From Python


def made(project: Project, module: str, text: str = "SELECT 1") -> None:
    project.add("a", module, config={"task_type": "sql_query", "sql_task": {"warehouse_id": "w", "sql_query": text}})


def test_auto_run_runs_what_was_made_or_changed_and_waits_if_asked_to(project: Project) -> None:
    made(project, "good")
    made(project, "bad", "SELECT * FROM no.such.table")
    entries = {each["module"]: each for each in project.orchestrator.run_all_modules(auto_run=True, wait=True)}
    assert {module: each["result"] for module, each in entries.items()} == {"good": "SUCCESS", "bad": "FAILED"}
    project.add("b", "good", config={"task_type": "notebook", "notebook_path": "/nope"})
    again = {each["module"]: each for each in project.orchestrator.run_all_modules(auto_run=True)}
    assert (again["bad"]["action"], again["bad"]["run_id"]) == ("skip", None)
    assert again["good"]["action"] == "update"
    run = project.orchestrator.runs.find("good")
    assert run.run_id == again["good"]["run_id"]
    assert "result" not in again["good"]
    assert "run_id" not in project.orchestrator.run_all_modules()[0]


def test_modules_that_were_applied_run_though_another_failed(project: Project) -> None:
    made(project, "good")
    project.add("x", "broken", config={"task_type": "notebok"})
    with pytest.raises(ApplyError) as caught:
        project.orchestrator.run_all_modules(auto_run=True)
    assert list(caught.value.runs) == ["good"]
    run = project.orchestrator.runs.wait(caught.value.runs["good"], timeout=30)
    assert run.result == "SUCCESS"


def test_to_wait_without_running_is_refused(project: Project) -> None:
    with pytest.raises(UsageError, match="auto_run"):
        project.orchestrator.run_all_modules(wait=True)


def test_the_monitor_collects_runs_on_an_interval_and_goes_on_if_that_fails(project: Project) -> None:
    made(project, "m")
    monitor = project.monitor(check_interval_seconds=0.1, runs_interval_seconds=0.1, heartbeat_seconds=0)
    monitor.run_continuous(max_iterations=1)
    run_id = project.orchestrator.runs.start("m")
    project.orchestrator.runs.wait(run_id, timeout=30)
    project.site.fault(method="GET", path="runs/list", action="status", status=400, error_code="X", nth=1)
    time.sleep(0.1)
    monitor.run_continuous(max_iterations=3)
    assert monitor.record.health.failed_looks == 0
    assert project.sql(f"SELECT run_id, result FROM {TABLE}_runs") == [{"run_id": run_id, "result": "SUCCESS"}]


def test_a_monitor_that_was_not_asked_to_looks_for_no_runs(project: Project) -> None:
    made(project, "m")
    project.monitor(check_interval_seconds=0.1).run_continuous(max_iterations=2)
    assert not any("runs/" in path for _, path in project.site.requests())


# The collector, killed


@pytest.mark.slow
@pytest.mark.parametrize("commit", [1, 2, 3])
def test_a_collector_killed_right_after_any_of_its_commits_leaves_nothing_doubled_and_nothing_out(
    shell: Shell, commit: int
) -> None:
    declare(shell, "a", task("SELECT 1"))
    shell("apply", "--yes")
    home = shell.folder / ".lakeflow"
    server, now = ensure_local(home), int(time.time() * 1000)
    (job_id,) = jobs(shell).values()
    made = seed_runs(home, int(server.workspace_id), [job_id], range(now - 300_000, now - 100_000, 1_000), tasks=2)
    process = subprocess.Popen(
        [sys.executable, "-m", "lakeflow_job_meta", "runs", "collect"], cwd=shell.folder, env=shell.environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while process.poll() is None and ledger_commits(home) < commit:
        time.sleep(0.001)
    process.kill()
    process.wait()
    shell("runs", "collect")
    assert sorted(row["run_id"] for row in sql(shell, f"SELECT run_id FROM {TABLE}_runs")) == sorted(made)
    tasks = [row["task_run_id"] for row in sql(shell, f"SELECT task_run_id FROM {TABLE}_task_runs")]
    assert len(tasks) == len(set(tasks)) == 2 * len(made)
    assert shell.json("runs", "collect")["runs"] == 0


def ledger_commits(home: Path) -> int:
    """Commits after those that made the tables."""
    names = ("runs", "task_runs", "collected")
    logs = (home.rglob(f"control_{name}/_delta_log/*.json") for name in names)
    return sum(max(0, len(list(each)) - 1) for each in logs)


@pytest.mark.slow
def test_two_collectors_at_once_write_each_run_once(shell: Shell) -> None:
    declare(shell, "a", task("SELECT 1"))
    shell("apply", "--yes")
    home = shell.folder / ".lakeflow"
    server, now = ensure_local(home), int(time.time() * 1000)
    (job_id,) = jobs(shell).values()
    made = seed_runs(home, int(server.workspace_id), [job_id], range(now - 300_000, now - 100_000, 1_000))
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "lakeflow_job_meta", "runs", "collect"], cwd=shell.folder, env=shell.environment
        )
        for _ in range(2)
    ]
    assert [each.wait(timeout=60) for each in started] == [0, 0]
    assert sorted(row["run_id"] for row in sql(shell, f"SELECT run_id FROM {TABLE}_runs")) == sorted(made)
