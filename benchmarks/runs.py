"""`python -m benchmarks.runs`: what the embedded workspace's runner adds to tasks that do nothing.

Runs of a chain of tasks go on side by side. The overhead of a task is the time from when it could begin to when its
successor could; its scheduling delay is the part of that before it began to run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from databricks.sdk import WorkspaceClient

from lakeflow_job_meta.workspace.launcher import ensure_local, stop_local

TERMINAL = ("TERMINATED", "SKIPPED", "INTERNAL_ERROR")
POLL_SECONDS = 0.1
KINDS = ("sql", "python")


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures of many runs; times in ms."""

    kind: str
    runs: int
    tasks: int
    concurrency: int
    tasks_per_second: float
    overhead_ms: float
    delay_p50_ms: float
    delay_p95_ms: float
    server_cpu_ms: float
    """The server's own CPU for each task, its workers not counted."""


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.runs", description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--tasks", type=int, default=5, help="in each run, one after the other")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 8], help="runs under way at once")
    parser.add_argument("--kind", choices=KINDS, nargs="+", default=["sql"])
    parser.add_argument("--output", choices=("text", "json"), default="text")
    given = parser.parse_args()
    found = [measured(kind, given.runs, given.tasks, each) for kind in given.kind for each in given.concurrency]
    print(json.dumps([asdict(each) for each in found], indent=2) if given.output == "json" else table(found))


def measured(kind: str, runs: int, tasks: int, concurrency: int) -> Measured:
    """Run so many runs of so many tasks, so many at once, on a server of their own."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        server = ensure_local(home)
        try:
            client = WorkspaceClient(host=server.url, token=server.token, auth_type="pat")
            job_id = _job(client, kind, tasks, concurrency)
            for _ in range(concurrency):  # workers get warm
                _ = _start(client, job_id)
            _wait(client, job_id)
            return _timed(client, job_id, home, Plan(kind, runs, tasks, concurrency))
        finally:
            stop_local(home)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be run."""

    kind: str
    runs: int
    tasks: int
    concurrency: int


def _timed(client: WorkspaceClient, job_id: int, home: Path, plan: Plan) -> Measured:
    cpu, started = _server_cpu(home), time.perf_counter()
    with ThreadPoolExecutor(plan.concurrency) as side_by_side:
        ids = list(side_by_side.map(lambda _: _finished(client, _start(client, job_id)), range(plan.runs)))
    seconds = time.perf_counter() - started
    cpu = _server_cpu(home) - cpu
    found = [_get(client, each) for each in ids]
    assert all(run["state"]["result_state"] == "SUCCESS" for run in found)
    steps = [step for run in found for step in _steps(run)]
    delays = sorted(delay for _, delay in steps)
    count = plan.runs * plan.tasks
    return Measured(
        plan.kind, plan.runs, plan.tasks, plan.concurrency, round(count / seconds, 1),
        round(statistics.mean(overhead for overhead, _ in steps), 1), delays[len(delays) // 2],
        delays[int(len(delays) * 0.95)], round(cpu / count * 1000, 2),
    )  # fmt: skip


def _steps(run: Mapping[str, Any]) -> list[tuple[int, int]]:
    """The overhead and the scheduling delay of each task of a chain."""
    ready, steps = run["start_time"] + run.get("queue_duration", 0), []
    for task in run["tasks"]:
        began = task["start_time"] + task.get("queue_duration", 0)
        steps.append((task["end_time"] - ready, began - ready))
        ready = task["end_time"]
    return steps


def table(found: Sequence[Measured]) -> str:
    """The figures in Markdown."""
    head = ("kind", "runs × tasks", "at once", "tasks a second", "overhead of a task", "delay p50", "delay p95", "CPU")
    rows = [
        (
            each.kind, f"{each.runs} × {each.tasks}", str(each.concurrency), f"{each.tasks_per_second}",
            f"{each.overhead_ms} ms", f"{each.delay_p50_ms} ms", f"{each.delay_p95_ms} ms", f"{each.server_cpu_ms} ms",
        )
        for each in found
    ]  # fmt: skip
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _job(client: WorkspaceClient, kind: str, tasks: int, concurrency: int) -> int:
    body: dict[str, Any]
    if kind == "sql":
        query = {"display_name": "nothing", "query_text": "SELECT 1", "warehouse_id": "w"}
        query_id = client.api_client.do("POST", "/api/2.0/sql/queries", body={"query": query})["id"]  # pyright: ignore
        body = {"sql_task": {"warehouse_id": "w", "query": {"query_id": query_id}}}
    else:
        path = "/Workspace/Shared/nothing.py"
        client.api_client.do("POST", f"/api/2.0/workspace-files/import-file{path}", data=b"pass\n")
        body = {"spark_python_task": {"python_file": path}}
    chain = [
        {"task_key": f"t{number}", **body, **({"depends_on": [{"task_key": f"t{number - 1}"}]} if number else {})}
        for number in range(tasks)
    ]
    settings = {"name": "nothing", "tasks": chain, "max_concurrent_runs": min(1000, concurrency * 2)}
    return int(client.api_client.do("POST", "/api/2.2/jobs/create", body=settings)["job_id"])  # pyright: ignore


def _start(client: WorkspaceClient, job_id: int) -> int:
    return int(client.api_client.do("POST", "/api/2.2/jobs/run-now", body={"job_id": job_id})["run_id"])  # pyright: ignore


def _finished(client: WorkspaceClient, run_id: int) -> int:
    while _get(client, run_id)["state"]["life_cycle_state"] not in TERMINAL:
        time.sleep(POLL_SECONDS)
    return run_id


def _wait(client: WorkspaceClient, job_id: int) -> None:
    query = {"job_id": job_id, "active_only": True}
    while client.api_client.do("GET", "/api/2.2/jobs/runs/list", query=query).get("runs"):  # pyright: ignore
        time.sleep(POLL_SECONDS)


def _get(client: WorkspaceClient, run_id: int) -> dict[str, Any]:
    return dict(client.api_client.do("GET", "/api/2.2/jobs/runs/get", query={"run_id": run_id}))  # pyright: ignore


def _server_cpu(home: Path) -> float:
    """Seconds that the server's process has worked; 0 where the system doesn't tell."""
    pid = json.loads((home / "local" / "server.json").read_text())["pid"]
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return 0.0
    user, system = stat.read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
