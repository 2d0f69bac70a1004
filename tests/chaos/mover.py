"""A process that runs one stage of a pipeline, for a test that kills it: `python -m tests.chaos.mover ERRAND`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from lakeflow_job_meta.pipelines.registry import Direction, Endpoint, Transfer
from lakeflow_job_meta.pipelines.stages.extract import extract
from lakeflow_job_meta.pipelines.stages.load import load
from lakeflow_job_meta.pipelines.stages.stage import Relation
from tests.pipeline_ground import Route

STAGES = {"extract": partial(extract, batch=2000), "load": load}
"""Batches so small that an increment takes several commits."""


def errand(route: Route, stage: str) -> str:
    """What such a process is told."""
    transfer = route.transfer
    return json.dumps(
        {
            "stage": stage, "home": str(route.home), "type": route.endpoint.type, "creds": route.endpoint.creds,
            "relation": [route.relation.schema, route.relation.name], "direction": transfer.direction,
            "load_type": transfer.load_type, "key": transfer.incremental_key, "secrets": dict(route.secrets),
        }
    )  # fmt: skip


def run_and_kill(route: Route, stage: str, after: float | None) -> float | None:
    """Run a stage in a process of its own, and kill it so many seconds after it began; the seconds that it took, or
    None where it was killed."""
    command = [sys.executable, "-m", "tests.chaos.mover", errand(route, stage)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        began = time.monotonic()
        try:
            code = process.wait(after)
        except subprocess.TimeoutExpired:
            process.kill()
            return None
        assert code == 0
        return time.monotonic() - began


def main() -> None:
    """Run the stage, once everything is imported."""
    told = json.loads(sys.argv[1])
    transfer = Transfer(Direction(told["direction"]), None, told["load_type"], None, told["key"])
    endpoint = Endpoint("1", "shop", told["type"], told["creds"])
    route = Route(Path(told["home"]), endpoint, Relation(*told["relation"]), transfer, told["secrets"])
    _warm(route)
    print("ready", flush=True)
    STAGES[told["stage"]](route.context())


def _warm(route: Route) -> None:
    """Import what the stage will need: the time until a kill is to be spent in the stage."""
    import adbc_driver_postgresql
    import asyncmy
    import duckdb

    del adbc_driver_postgresql, asyncmy, duckdb
    replace(route).store.info(route.lake)


if __name__ == "__main__":
    main()
