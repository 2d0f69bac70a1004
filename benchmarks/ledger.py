"""`python -m benchmarks.ledger`: what it costs to collect many runs into the ledger, and to look again for none."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lakeflow_job_meta import JobOrchestrator, MetadataManager
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.store.delta import DeltaStore
from lakeflow_job_meta.workspace.launcher import ensure_local, stop_local
from tests.seeded_runs import seed_runs

TABLE = "main.etl.control"
MODULES = 20


def main() -> None:
    """Seed runs straight into an embedded workspace, then collect them; print requests, CPU and wall seconds."""
    parser = argparse.ArgumentParser(prog="benchmarks.ledger", description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--tasks", type=int, default=3, help="tasks a run")
    parser.add_argument("--days", type=float, default=30, help="the time that the runs are spread over")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        try:
            measure(home, given.runs, given.tasks, given.days)
        finally:
            stop_local(home)


def measure(home: Path, number: int, tasks: int, days: float) -> None:
    """The cases, one after the other, on this home folder."""
    _ = ensure_local(home)
    settings = Settings(TABLE, home)
    manager = MetadataManager(TABLE, DeltaStore(home), settings=settings)
    manager.ensure_exists()
    rows = ", ".join(
        f"""('t', 'm{each}', 'x', 1, '{{}}', '{{}}', '{{"task_type": "notebook", "notebook_path": "/n"}}', true)"""
        for each in range(MODULES)
    )
    manager.sql(f"INSERT INTO {TABLE} VALUES {rows}")
    orchestrator = JobOrchestrator(TABLE, store=DeltaStore(home), settings=settings)
    jobs = [int(entry["job_id"]) for entry in orchestrator.run_all_modules()]
    now, span = int(time.time() * 1000) - 60_000, int(days * 86_400_000)
    starts = [now - span + span * each // number for each in range(number)]
    workspace = int(orchestrator.workspace.id)
    _ = seed_runs(home, workspace, jobs, starts, tasks=tasks)

    cost(f"collect {number:,} runs of {tasks} tasks", orchestrator, lambda: orchestrator.runs.collect().runs)
    cost("look again, nothing new", orchestrator, lambda: orchestrator.runs.collect().runs)
    _ = seed_runs(home, workspace, jobs, [now + 1000], tasks=tasks)
    cost("look again, one run new", orchestrator, lambda: orchestrator.runs.collect().runs)
    cost("statistics by module", orchestrator, lambda: len(orchestrator.runs.statistics() or {}))


def cost(name: str, orchestrator: JobOrchestrator, do: Callable[[], int]) -> None:
    """Do it once and print what it cost."""
    calls = sum(orchestrator.workspace.calls.numbers().values())
    wall, cpu = time.perf_counter(), time.process_time()
    found = do()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    calls = sum(orchestrator.workspace.calls.numbers().values()) - calls
    print(f"{name:36} {found:>7,} {calls:>5} requests {cpu:8.3f} CPU s {wall:8.3f} s", flush=True)


if __name__ == "__main__":
    main()
