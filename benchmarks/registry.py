"""`python -m benchmarks.registry`: what it costs to sync many registered tables, and to look again for nothing.

On the embedded store, in this process. The goal: what didn't change is no write, and a monitor's look at it is no read.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.measure import commits_between, commits_of
from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.monitor.registry import WatchedRegistry
from lakeflow_job_meta.pipelines.pipeline_registry import PipelineRegistry
from lakeflow_job_meta.pipelines.sync import Syncing
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.store.delta import DeltaStore

TABLE = "main.etl.control"
FIRST, AGAIN, CHANGED, TEMPLATE, TICK = "first", "again", "one_changed", "template_changed", "monitor_tick"


@dataclass(frozen=True, slots=True)
class Figure:
    """What one case cost: CPU and wall seconds, commits by table."""

    case: str
    cpu: float
    wall: float
    commits: Mapping[str, int]


def main() -> None:
    """Measure, print, and fail where nothing changed and something was written."""
    parser = argparse.ArgumentParser(prog="benchmarks.registry", description=__doc__)
    parser.add_argument("--tables", type=int, default=1000, help="registered tables, each with two modules")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measured(Path(folder), given.tables)
    if given.output == "json":
        print(json.dumps([asdict(each) for each in figures], indent=2))
    else:
        for each in figures:
            commits = ", ".join(f"{name} {number}" for name, number in each.commits.items()) or "none"
            print(f"{each.case:18} {each.cpu:8.4f} CPU s {each.wall:8.4f} s  commits: {commits}")
    if wrote := [each.case for each in figures if each.case in (AGAIN, TICK) and each.commits]:
        print(f"nothing changed, and something was written: {', '.join(wrote)}", file=sys.stderr)
        raise SystemExit(1)


def measured(home: Path, tables: int) -> list[Figure]:
    """All cases in their order, on one home folder."""
    settings = Settings(TABLE, home)
    registry = PipelineRegistry(TABLE, DeltaStore(home), settings=settings)
    path = home / "registry.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(declared(tables), "utf-8")
    _ = registry.load_yaml(path)
    registry.control.ensure(registry.store)
    syncing = Syncing(registry.store, ControlTables.of(TableName.parse(TABLE)), registry.tables, settings)
    monitor = WatchedRegistry(syncing)
    figures = [cost(home, FIRST, registry.sync), cost(home, AGAIN, registry.sync)]
    _ = monitor.look()
    figures.append(cost(home, TICK, monitor.look))
    config, stages = registry.tables.names["pipeline_config"], registry.tables.names["pipeline_stages"]
    _ = registry.store.sql(f"UPDATE {config} SET source_to_dl_schedule = 30 WHERE source_tablename = 'crm.public.t0'")
    figures.append(cost(home, CHANGED, registry.sync))
    _ = registry.store.sql(f"INSERT INTO {stages} VALUES (9, 'default', 9, 'Tell', 'notebook:/etl/tell', NULL)")
    figures.append(cost(home, TEMPLATE, registry.sync))
    return figures


def cost(home: Path, case: str, do: Callable[[], object]) -> Figure:
    """Do it once."""
    before, wall, cpu = commits_of(home), time.perf_counter(), time.process_time()
    _ = do()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Figure(case, cpu, wall, commits_between(before, commits_of(home)))


def declared(tables: int) -> str:
    """A registry of so many tables, as YAML."""
    value = {
        "registry_version": "1.0",
        "sources": [{"source_name": "crm", "source_type": "postgres", "source_creds": {"password": "env:CRM"}}],
        "destinations": [
            {"destination_name": "dwh", "destination_type": "postgres", "destination_creds": {"password": "env:DWH"}}
        ],
        "tables": [
            {
                "source_tablename": f"crm.public.t{number}",
                "sink_tablename": f"dwh.public.t{number}",
                "source_to_dl_schedule": 60,
                "source_to_dl_load_type": "incremental",
                "source_to_dl_incremental_key": "updated_at",
                "dl_to_sink_schedule": 120,
                "dl_to_sink_load_type": "full",
            }
            for number in range(tables)
        ],
    }
    return json.dumps(value)  # JSON is YAML


if __name__ == "__main__":
    main()
