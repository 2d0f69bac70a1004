"""The runner of a server: put together, opened with its loop, closed with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from lakeflow_job_meta.local.call import Options, missing
from lakeflow_job_meta.local.job_rules import TASK_TYPES
from lakeflow_job_meta.local.runs.asked import run_of_job
from lakeflow_job_meta.local.runs.attempts import STEPS, Ground
from lakeflow_job_meta.local.runs.dispatch import Dispatcher, Lane
from lakeflow_job_meta.local.runs.firing import Firing
from lakeflow_job_meta.local.runs.record import Run, TaskRun
from lakeflow_job_meta.local.runs.retention import Retention
from lakeflow_job_meta.local.runs.rows import Rows
from lakeflow_job_meta.local.runs.runner import Runner
from lakeflow_job_meta.local.state import State
from lakeflow_job_meta.local.tasks.executor import KINDS, ProcessExecutor, end_leftovers
from lakeflow_job_meta.local.tasks.sql import Pool, SqlExecutor
from lakeflow_job_meta.local.tasks.unsupported import Unsupported

CORES = os.cpu_count() or 2
WORKERS = {"embedded": max(2, min(8, CORES)), "spark": 1}
"""So many SQL tasks go on at once, by engine: a process with Spark takes 0.8 GB, and each statement all cores."""
PROCESSES = max(4, 2 * CORES)
"""So many tasks in processes of their own go on at once: most of them wait for something now and then."""


class Running:
    """The runner of one server with all that it needs.

    Args:
        state: the server's rows.
        options: how it was started.
        url: its address.
    """

    def __init__(self, state: State, options: Options, url: str) -> None:
        folder = options.home / "local"
        self._loop = asyncio.get_running_loop()
        self._pool = Pool(options.home, folder / "server.log", options.sql_engine)
        dispatcher = Dispatcher(lanes(options, self._pool), self._post)
        ground = Ground(Rows(state), dispatcher, folder / "runs", url, _child_of(state))
        self.runner = Runner(ground)
        _ = end_leftovers(options.home)
        self.lost = self.runner.recover()
        self._clocks = [self._loop.create_task(Retention(ground.rows, ground.folder).go_on())]
        if options.fire_triggers:
            self._clocks.append(self._loop.create_task(Firing(self.runner, options.home).go_on()))

    def close(self) -> None:
        """End all that is under way."""
        for clock in self._clocks:
            _ = clock.cancel()
        self.runner.close()
        self._pool.close()

    def _post(self, step: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            _ = self._loop.call_soon_threadsafe(step)


def lanes(options: Options, pool: Pool) -> Mapping[str, Lane]:
    """What carries out each kind of task."""
    sql = SqlExecutor(pool)
    nothing = Unsupported(options.stub_unsupported)
    processes = Lane(partial(ProcessExecutor, options.home), PROCESSES, needs_folder=True)
    by_kind = {"sql_task": Lane(lambda _: sql, WORKERS[options.sql_engine]), **dict.fromkeys(KINDS, processes)}
    others = Lane(lambda _: nothing, 1)
    return {kind: by_kind.get(kind, others) for kind in TASK_TYPES if kind not in STEPS}


def _child_of(state: State) -> Callable[[Run, TaskRun], Run]:
    def child_of(run: Run, task: TaskRun) -> Run:
        asked = task.resolved["run_job_task"]
        sql = "SELECT * FROM jobs WHERE workspace = ? AND job_id = ?"
        job = state.one(sql, run.workspace, asked["job_id"])
        if job is None:
            missing(f"Job {asked['job_id']} does not exist.")
        child = run_of_job(job, run.creator, asked, time.time_ns() // 1_000_000, ("RUN_JOB_TASK", {}))
        return replace(child, parent=task.run_id, ancestors=(*run.ancestors, run.job_id))

    return child_of
