"""The runner: moves each run from state to state until it has ended.

Everything here runs in the server's loop, one step after the other. What a step decides is in the rows before the next
begins, so that a server that dies leaves no run of which nobody knows how far it came.
"""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from lakeflow_job_meta.local.runs import phases
from lakeflow_job_meta.local.runs.active import Active
from lakeflow_job_meta.local.runs.attempts import Attempts, Ground
from lakeflow_job_meta.local.runs.dag import CANCELED, UNDONE, Outcome, comes_to, verdict
from lakeflow_job_meta.local.runs.record import LifeCycle, Run, TaskRun, kind_of
from lakeflow_job_meta.local.runs.repairs import closed, reopened
from lakeflow_job_meta.local.runs.task_runs import is_under_way, new_attempt, new_task_run
from lakeflow_job_meta.local.runs.timers import Timers, soon


class Runner:
    """All runs of one server.

    Args:
        ground: what attempts of tasks work with.
    """

    def __init__(self, ground: Ground) -> None:
        self.rows = ground.rows
        self._ground = ground
        self._timers = Timers()
        self._attempts = Attempts(ground, self._timers, self)
        self._active: dict[int, Active] = {}
        self._queues: dict[int, deque[int]] = {}
        self._going: dict[int, set[int]] = {}
        """By job: its runs that are under way, those in the queue not counted."""
        self._ended: list[Callable[[Run], None]] = []

    def find(self, run_id: int) -> Active | None:
        """The run of this id, if it is under way."""
        return self._active.get(run_id)

    @property
    def busy(self) -> bool:
        """Whether any run is under way."""
        return bool(self._active)

    def on_end(self, told: Callable[[Run], None]) -> None:
        """Have this called with each run that ends."""
        self._ended.append(told)

    def recover(self) -> int:
        """Mark what a server before this one left unfinished as lost; says how many runs."""
        lost = self.rows.active()
        now = _now()
        for task in self.rows.active_tasks():
            begun = task.phase.life_cycle in (LifeCycle.RUNNING, LifeCycle.TERMINATING)
            message = phases.LOST if begun else "The embedded workspace ended before this task began."
            self.rows.save_task(replace(task, phase=phases.lost(message), end_ms=now))
        for run in lost:
            self.rows.save(closed(replace(run, phase=phases.lost(), end_ms=now)))
        return len(lost)

    def close(self, seconds: float = 5.0) -> None:
        """End everything; the runs under way are lost."""
        self._timers.close()
        self._ground.dispatcher.close(seconds)
        if self._active:
            self._active.clear()
            _ = self.recover()

    def forget(self, run: Run) -> None:
        """Let go of a run that has ended, and of what its tasks left."""
        self.rows.delete(run.run_id)
        shutil.rmtree(self._ground.folder / str(run.run_id), ignore_errors=True)

    def folder_of(self, task: TaskRun) -> Path:
        """Where a task run leaves its files."""
        return self._ground.folder / str(task.job_run_id) / str(task.run_id)

    def launch(self, run: Run) -> Run:
        """Take a run: it begins, waits in its job's queue, or is skipped, by how many of its job are under way."""
        most = int(run.settings.get("max_concurrent_runs", 1)) if run.kind == "JOB_RUN" else 1
        full = run.kind == "JOB_RUN" and len(self._going.get(run.job_id, ())) >= most
        if full and (not run.queueing or most == 0):
            run = replace(run, phase=phases.too_many(most), end_ms=run.start_ms)
            self.rows.add(run, ())
            self._tell_ended(run)
            return run
        waits = phases.queued(most)
        tasks = [new_task_run(run, task, waits if full else phases.BLOCKED) for task in run.tasks]
        run = replace(run, phase=waits if full else phases.PENDING)
        self.rows.add(run, tasks)
        active = self._active[run.run_id] = Active(run, tasks)
        if full:
            self._queues.setdefault(run.job_id, deque()).append(run.run_id)
        else:
            self._begin(active)
        return active.run

    def _begin(self, active: Active) -> None:
        run = active.run
        self._going.setdefault(run.job_id, set()).add(run.run_id)
        self._keep_run(active, replace(run, phase=phases.RUNNING, begun_ms=run.begun_ms or _now()))
        if seconds := int(run.settings.get("timeout_seconds", 0)):
            self._timers.set(run.run_id, seconds, partial(self._stop_run, run.run_id, Outcome.TIMEDOUT))
        # After the request that asked for it has its answer.
        soon(partial(self.advance, active, active.ready()))

    def advance(self, active: Active, ready: Iterable[TaskRun]) -> None:
        """Decide on tasks whose dependencies have all ended, and on those that this lets go on, and so forth."""
        if self._active.get(active.run.run_id) is not active:
            return
        waiting = deque(ready)
        while waiting:
            task = active.latest[waiting.popleft().key]
            if task.phase.ended:
                continue
            if active.forced is not None:
                waiting.extend(self._attempts.unrun(active, task, Outcome.CANCELED))
                continue
            disabled = bool(task.task.get("disabled", False))
            unrun = verdict(task.task.get("run_if", "ALL_SUCCESS"), active.dependencies(task.key), disabled=disabled)
            if unrun is None:
                waiting.extend(self._attempts.start(active, task))
            else:
                waiting.extend(self._attempts.unrun(active, task, unrun))
        if active.complete:
            self._finish(active)

    def _finish(self, active: Active) -> None:
        run = active.run
        outcome = active.forced or comes_to(active.outcomes(), active.needs)
        message = _explained(active, outcome)
        phase = phases.unrun(outcome, message) if outcome is Outcome.DISABLED else phases.ended(outcome, message)
        self._timers.forget(run.run_id)
        del self._active[run.run_id]
        if going := self._going.get(run.job_id):
            going.discard(run.run_id)
            if not going:
                del self._going[run.job_id]
        run = closed(replace(run, phase=phase, end_ms=_now()))
        self.rows.save(run)
        self._tell_ended(run)
        self._next_in_queue(run.job_id)

    def _tell_ended(self, run: Run) -> None:
        for told in self._ended:
            told(run)
        if run.parent:
            soon(partial(self._attempts.child_ended, run))

    def _next_in_queue(self, job_id: int) -> None:
        queue = self._queues.get(job_id)
        if queue is not None and not queue:
            del self._queues[job_id]
        while queue:
            active = self._active.get(queue[0])
            if active is None:
                queue.popleft()
                continue
            if len(self._going.get(job_id, ())) >= int(active.run.settings.get("max_concurrent_runs", 1)):
                return
            queue.popleft()
            blocked = [replace(each, phase=phases.BLOCKED) for each in active.latest.values()]
            for task in blocked:
                _ = self._attempts.keep(active, task)
            self._begin(active)

    def cancel(self, run_id: int) -> None:
        """End a run, or one task run, as its user asked; harmless when it has ended."""
        if run_id in self._active:
            self._stop_run(run_id, Outcome.CANCELED)
            return
        task = self.rows.task(run_id)
        if task is not None and not task.phase.ended:
            self._attempts.stop_task(task.job_run_id, run_id, Outcome.CANCELED)

    def _stop_run(self, run_id: int, outcome: Outcome) -> None:
        active = self._active.get(run_id)
        if active is None or active.forced is not None:
            return
        active.forced = outcome
        if active.run.phase.life_cycle is not LifeCycle.QUEUED:
            self._keep_run(active, replace(active.run, phase=phases.TERMINATING))
        for task in active.unended():
            self._attempts.stop(active, task, Outcome.CANCELED)
        self.advance(active, [each for each in active.latest.values() if not is_under_way(each)])
        soon(partial(self.advance, active, ()))

    def repair(self, run: Run, keys: Iterable[str], repair_id: int) -> None:
        """Run some tasks of an ended run again.

        Args:
            run: with its settings and parameters as they are to be now.
            keys: of the tasks.
            repair_id: of this repair.
        """
        latest = {each.key: each for each in self.rows.tasks(run.run_id)}
        wanted = set(keys)
        again = [
            replace(
                new_attempt(old) if (old := latest.get(task["task_key"])) else new_task_run(run, task, phases.BLOCKED),
                task=task, kind=kind_of(task), repair=repair_id,
            )
            for task in run.tasks
            if task["task_key"] in wanted or task["task_key"] not in latest
        ]  # fmt: skip
        run = reopened(run, repair_id, _now())
        self.rows.save_settings(run)
        self.rows.save(run)
        self.rows.add_tasks(again)
        known = {str(task["task_key"]) for task in run.tasks}
        kept = [each for each in latest.values() if each.key in known]
        active = self._active[run.run_id] = Active(run, [*kept, *again])
        self._begin(active)

    def _keep_run(self, active: Active, run: Run) -> None:
        active.run = run
        self.rows.save(run)


def _explained(active: Active, outcome: Outcome) -> str:
    if active.forced is not None or outcome is Outcome.CANCELED:
        return phases.MESSAGES[active.forced or outcome]
    for key, task in active.latest.items():
        result = task.phase.result
        if result in UNDONE and result is not Outcome.UPSTREAM_FAILED:
            skipped = any(each.phase.result is Outcome.UPSTREAM_FAILED for each in active.latest.values())
            tail = " This caused all downstream tasks to get skipped." if skipped else ""
            return f"Task {key} failed with message: {task.phase.message.rstrip('.')}.{tail}"
    canceled = next((key for key, each in active.latest.items() if each.phase.result in CANCELED), None)
    return f"Task {canceled} was canceled." if canceled else ""


def _now() -> int:
    return time.time_ns() // 1_000_000
