"""The clock of a server that serves in the foreground: looks at all triggers each second, and starts what is due."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from lakeflow_job_meta.local.call import Refusal
from lakeflow_job_meta.local.runs.asked import run_of_job
from lakeflow_job_meta.local.runs.dag import SUCCEEDED
from lakeflow_job_meta.local.runs.record import Run
from lakeflow_job_meta.local.runs.runner import Runner
from lakeflow_job_meta.local.runs.triggers import Fire, Known, Trigger, decide, first_known, trigger_of
from lakeflow_job_meta.local.runs.watching import obstacle, seen_now

LOG = logging.getLogger("lakeflow_job_meta.local")
PAUSE_SECONDS = 1.0


class Firing:
    """Fires the triggers of all jobs.

    Args:
        runner: takes the runs.
        home: the folder that holds volumes and tables.
    """

    def __init__(self, runner: Runner, home: Path) -> None:
        self._runner = runner
        self._home = home
        self._state = runner.rows.state
        self._told: set[str] = set()
        runner.on_end(self._count_failures)

    async def go_on(self) -> None:
        """Look, each second, until cancelled."""
        while True:
            try:
                await self.look()
            except Exception:
                # The edge of the clock: one look that goes wrong must not end all that follow.
                LOG.exception("looking at the triggers failed")
            await asyncio.sleep(PAUSE_SECONDS)

    async def look(self) -> None:
        """Look at every trigger once, and start what is due."""
        jobs = {int(row["job_id"]): row for row in self._state.all("SELECT * FROM jobs")}
        triggers = {job_id: trigger for job_id, row in jobs.items() if (trigger := self._trigger(row))}
        self._forget(triggers)
        for job_id, trigger in triggers.items():
            # The walk through a folder is another thread's, so that requests needn't wait for it.
            seen = await asyncio.to_thread(seen_now, trigger, self._home)
            row = self._state.one("SELECT * FROM jobs WHERE job_id = ?", job_id)
            if row is not None and row["settings"] == jobs[job_id]["settings"]:
                self._decide(row, trigger, seen)

    def _trigger(self, row: Mapping[str, Any]) -> Trigger | None:
        settings = json.loads(row["settings"])
        if why := obstacle(settings):
            if (told := f"job {row['job_id']} doesn't start by itself: {why}") not in self._told:
                self._told.add(told)
                LOG.warning(told)
            return None
        return trigger_of(settings)

    def _decide(self, row: Mapping[str, Any], trigger: Trigger, seen: Mapping[str, Any]) -> None:
        job_id, now = int(row["job_id"]), time.time_ns() // 1_000_000
        if trigger.kind == "continuous":
            seen = {"active": bool(self._runner.rows.active_of_job(job_id))}
        known = self._known(job_id)
        if known is None or known.key != trigger.key:
            self._keep(job_id, first_known(trigger, seen, now))
            return
        new, fire = decide(trigger, known, seen, now)
        if fire is not None:
            # The run first, and by its name once only: killed here, the next server finds it there already.
            self._start(row, trigger, fire, now)
        if new != known:
            self._keep(job_id, new)

    def _start(self, row: Mapping[str, Any], trigger: Trigger, fire: Fire, now: int) -> None:
        token = f"{trigger.kind} {row['job_id']} {fire.due_ms}"
        if self._runner.rows.of_token(int(row["workspace"]), token) is not None:
            return
        try:
            run = run_of_job(row, row["creator"], {"idempotency_token": token}, now, (trigger.word, fire.info))
        except Refusal as refusal:
            LOG.warning("job %s could not be started by its trigger: %s", row["job_id"], refusal.message)
            return
        LOG.info("%s starts job %s: run %s", trigger.kind, row["job_id"], self._runner.launch(run).run_id)

    def _count_failures(self, run: Run) -> None:
        known = self._known(run.job_id) if run.trigger == "CONTINUOUS" else None
        if known is not None:
            failures = 0 if run.phase.result in SUCCEEDED else known.failures + 1
            self._keep(run.job_id, replace(known, failures=failures, last_ms=run.end_ms))

    def _known(self, job_id: int) -> Known | None:
        row = self._state.one("SELECT record FROM fires WHERE job_id = ?", job_id)
        return None if row is None else Known(**json.loads(row["record"]))

    def _keep(self, job_id: int, known: Known) -> None:
        self._state.run("INSERT OR REPLACE INTO fires VALUES (?, ?)", job_id, json.dumps(asdict(known)))

    def _forget(self, triggers: Mapping[int, Trigger]) -> None:
        """Drop what is known of jobs that have no trigger any more, or are paused: resumed, they begin anew."""
        for row in self._state.all("SELECT job_id FROM fires"):
            if row["job_id"] not in triggers:
                self._state.run("DELETE FROM fires WHERE job_id = ?", row["job_id"])
