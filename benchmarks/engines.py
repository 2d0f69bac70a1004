"""What a reconcile costs where the tables are on Spark: statements, and CPU seconds of our own process.

`python -m benchmarks.engines --modules 1000` needs what `make jars` installs. Spark works in a process of its own, and
isn't counted. All cases run in one process, as in a notebook or a monitor.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.modules import TABLE, change_rows, write_modules
from lakeflow_job_meta import JobOrchestrator, MetadataManager
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.store.spark import SparkStore
from lakeflow_job_meta.workspace.launcher import ensure_local, stop_local
from tests.parity.spark_session import missing, running_session

SPARK_TABLE = TABLE.replace("bench.", "main.", 1)
MOST = {
    "nothing changed, with a look": 12,
    "nothing changed": 12,
    "nothing changed, a new process": 12,
    "one row changed": 20,
    "one row changed, a new process": 20,
}
"""So many statements a case may take at the most, whatever the number of modules."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One case: statements sent, CPU of this process and wall time in seconds."""

    case: str
    statements: int
    cpu: float
    wall: float

    def __str__(self) -> str:
        goal = f"   at most {MOST[self.case]}" if self.case in MOST else ""
        return f"{self.case:32}{self.statements:>12}{self.cpu:>10.2f}{self.wall:>10.1f}{goal}"


def measured(case: str, store: SparkStore, work: Callable[[], object]) -> Figure:
    """What this work costs."""
    statements, cpu, wall = store.statements, time.process_time(), time.monotonic()
    work()
    return Figure(case, store.statements - statements, time.process_time() - cpu, time.monotonic() - wall)


def figures(folder: Path, modules: int) -> list[Figure]:
    """All cases on one session and one embedded workspace."""
    home = folder / "home"
    ensure_local(home)
    settings = Settings(SPARK_TABLE, home, store="spark")
    with running_session(folder / "spark") as session:
        session.sql("CREATE SCHEMA main.etl")
        store = SparkStore(session)
        manager = MetadataManager(SPARK_TABLE, store, settings=settings)
        orchestrator = JobOrchestrator(SPARK_TABLE, store=store, settings=settings)
        write_modules(folder / "yaml", modules)

        def reconcile(**plan: bool) -> None:
            orchestrator.apply(orchestrator.plan(**plan))

        def change() -> None:
            manager.sql(change_rows(1).replace(TABLE, SPARK_TABLE))

        manager.ensure_exists()
        found = [measured("load", store, lambda: manager.load_yaml(folder / "yaml"))]
        found.append(measured("first apply", store, reconcile))
        found.append(measured("nothing changed, with a look", store, reconcile))
        found.append(measured("nothing changed", store, lambda: reconcile(changed_only=True)))
        change()
        found.append(measured("one row changed", store, lambda: reconcile(changed_only=True)))
        for case in ("nothing changed, a new process", "one row changed, a new process"):
            if case.startswith("one row"):
                change()
            # What a process knows of its tables, it knows by its store.
            new = SparkStore(session)
            fresh = JobOrchestrator(SPARK_TABLE, store=new, settings=settings)
            found.append(measured(case, new, lambda fresh=fresh: fresh.apply(fresh.plan(changed_only=True))))
    stop_local(home)
    return found


def main() -> int:
    """Measure and print; 1 where a goal is missed, 2 where Spark isn't there."""
    parser = argparse.ArgumentParser(prog="benchmarks.engines", description=__doc__)
    parser.add_argument("--modules", type=int, default=1000)
    given = parser.parse_args()
    if reason := missing():
        print(reason, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        found = figures(Path(folder), given.modules)
    print(f"{f'{given.modules} modules on Spark':32}{'statements':>12}{'CPU s':>10}{'wall s':>10}")
    for each in found:
        print(each)
    return int(any(each.statements >= MOST.get(each.case, sys.maxsize) for each in found))


if __name__ == "__main__":
    sys.exit(main())
