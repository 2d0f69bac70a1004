"""`python -m benchmarks.ticks HOME`: a monitor in this process; prints what its ticks cost, as JSON."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from benchmarks.cases import CHANGE_TICK, TICK
from benchmarks.measure import (
    Cost,
    change,
    commits_between,
    commits_of,
    forget_requests,
    peak_of,
    requests_of,
)
from benchmarks.modules import TABLE
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.workspace.launcher import LocalServer, ensure_local

REPEATS = 100
"""Ticks without a change: times are those of one, counts those of all."""


def main(home: Path) -> None:
    """Look once with a drift check, as a monitor does at its start; then measure ticks without and with a change."""
    from lakeflow_job_meta import MetadataMonitor

    server = ensure_local(home)
    monitor = MetadataMonitor(TABLE, settings=Settings(TABLE, home))
    monitor.check_and_update()
    costs = {TICK: _cost(home, server, monitor.check_and_update, REPEATS)}
    change(home, 1)
    costs[CHANGE_TICK] = _cost(home, server, monitor.check_and_update, 1)
    print(json.dumps({name: asdict(cost) for name, cost in costs.items()}))


def _cost(home: Path, server: LocalServer, tick: Callable[[], object], repeats: int) -> Cost:
    forget_requests(server)
    before = commits_of(home)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        tick()
    wall, cpu = (time.perf_counter() - wall) / repeats, (time.process_time() - cpu) / repeats
    peak = peak_of(resource.getrusage(resource.RUSAGE_SELF))
    return Cost(wall, cpu, peak, requests_of(server), commits_between(before, commits_of(home)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
