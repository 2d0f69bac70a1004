"""The runner: moves each run from state to state until it has ended.

Everything here runs in the server's loop, one step after the other. What a step decides is in the rows before the next
begins, so that a server that dies leaves no run of which nobody knows how far it came.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from lakeflow_job_meta.local.call import Refusal
from lakeflow_job_meta.local.runs import phases
from lakeflow_job_meta.local.runs.active import Active
from lakeflow_job_meta.local.runs.asked import overridden, pushed_down
from lakeflow_job_meta.local.runs.condition import NotANumber, holds
from lakeflow_job_meta.local.runs.dag import CANCELED, UNDONE, Outcome, comes_to, verdict
from lakeflow_job_meta.local.runs.dispatch import Dispatcher, Times
from lakeflow_job_meta.local.runs.loop import BadInputs, inputs_of, loop_comes_to, next_iterations
from lakeflow_job_meta.local.runs.names import names_for
from lakeflow_job_meta.local.runs.record import LifeCycle, Phase, Run, TaskRun, kind_of, phase_json
from lakeflow_job_meta.local.runs.references import UnknownReference, resolved
from lakeflow_job_meta.local.runs.retry import retried_at
from lakeflow_job_meta.local.runs.rows import Rows
from lakeflow_job_meta.local.runs.sources import with_text
from lakeflow_job_meta.local.state import new_id
from lakeflow_job_meta.local.tasks.order import Ending, TaskOrder, TaskResult

MOST_DEPTH = 3
"""So many Run Job tasks may start one another, as documented."""
INVALID = "INVALID_RUN_CONFIGURATION"
FOR_GOOD = frozenset({INVALID, "FEATURE_DISABLED", "RESOURCE_NOT_FOUND"})
"""The codes of what fails the same each time, and so isn't tried again."""
HASTY_TRIES = 10
"""After so many attempts there is a second between two, whatever the task says: it may be told to try for ever."""
OUTCOMES: Mapping[Ending, Outcome] = {
    Ending.SUCCESS: Outcome.SUCCESS,
    Ending.FAILED: Outcome.FAILED,
    Ending.TIMEDOUT: Outcome.TIMEDOUT,
    Ending.CANCELED: Outcome.CANCELED,
}
StartChild = Callable[[Run, TaskRun], Run]
"""Makes the run that a Run Job task asks for; refuses with a Refusal."""


class Runner:
    """All runs of one server.

    Args:
        rows: where runs are kept.
        dispatcher: carries out what is a process's work.
        folder: where each task run gets a folder of its own.
        child_of: makes the run that a Run Job task asks for.
    """

    def __init__(self, rows: Rows, dispatcher: Dispatcher, folder: Path, child_of: StartChild) -> None:
        self.rows = rows
        self.url = ""
        """Of the workspace, for references."""
        self._dispatcher = dispatcher
        self._folder = folder
        self._child_of = child_of
        self._active: dict[int, Active] = {}
        self._task_runs: dict[int, int] = {}
        """The job run of each task run that has begun and not ended."""
        self._queues: dict[int, deque[int]] = {}
        self._going: dict[int, set[int]] = {}
        """By job: its runs that are under way, those in the queue not counted."""
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._ended: list[Callable[[Run], None]] = []
        dispatcher.listen(self)

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
            self.rows.save(_closed(replace(run, phase=phases.lost(), end_ms=now)))
        return len(lost)

    def close(self, seconds: float = 5.0) -> None:
        """End everything; the runs under way are lost."""
        for timer in self._timers.values():
            timer.cancel()
        self._dispatcher.close(seconds)
        if self._active:
            self._active.clear()
            _ = self.recover()

    def forget(self, run: Run) -> None:
        """Let go of a run that has ended, and of what its tasks left."""
        self.rows.delete(run.run_id)
        shutil.rmtree(self._folder / str(run.run_id), ignore_errors=True)

    # ── a run begins ────────────────────────────────────────────────────────────────────────────────────────────────

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
        tasks = [_task_run(run, task, waits if full else phases.BLOCKED) for task in run.tasks]
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
            self._later(run.run_id, seconds, partial(self._stop_run, run.run_id, Outcome.TIMEDOUT))
        # After the request that asked for it has its answer.
        asyncio.get_running_loop().call_soon(partial(self._advance, active, active.ready()))

    def _advance(self, active: Active, ready: Iterable[TaskRun]) -> None:
        """Decide on tasks whose dependencies have all ended, and on those that this lets go on, and so forth."""
        if self._active.get(active.run.run_id) is not active:
            return
        waiting = deque(ready)
        while waiting:
            task = active.latest[waiting.popleft().key]
            if task.phase.ended:
                continue
            if active.forced is not None:
                waiting.extend(self._keep(active, replace(task, phase=phases.unrun(Outcome.CANCELED), end_ms=_now())))
                continue
            disabled = bool(task.task.get("disabled", False))
            unrun = verdict(task.task.get("run_if", "ALL_SUCCESS"), active.dependencies(task.key), disabled=disabled)
            if unrun is None:
                waiting.extend(self._start(active, task))
            else:
                waiting.extend(self._keep(active, replace(task, phase=phases.unrun(unrun), end_ms=_now())))
        if active.complete:
            self._finish(active)

    # ── a task begins ───────────────────────────────────────────────────────────────────────────────────────────────

    def _start(self, active: Active, task: TaskRun) -> list[TaskRun]:
        """Begin a task run; says which tasks became ready by that, as some end at once."""
        now = _now()
        task = replace(task, start_ms=now, phase=phases.PENDING)
        try:
            task = replace(task, resolved=self._resolved(active, task))
            return STEPS.get(task.kind, Runner._hand_over)(self, active, task)
        except (UnknownReference, NotANumber, BadInputs) as problem:
            return self._end(active, task, phases.ended(Outcome.FAILED, f"{problem}.", INVALID))
        except Refusal as refusal:
            code = "FEATURE_DISABLED" if refusal.error_code == "FEATURE_DISABLED" else "RESOURCE_NOT_FOUND"
            return self._end(active, task, phases.ended(Outcome.FAILED, refusal.message, code))

    def _resolved(self, active: Active, task: TaskRun) -> dict[str, Any]:
        """The task with parameters and references put in; what a loop repeats stays, as each iteration has its own."""
        run = active.run
        body = pushed_down(overridden(dict(task.task), run.overriding), run.parameters)
        ended = [each for each in active.latest.values() if each.phase.ended]
        names = names_for(run, task, ended, self.url)
        if task.kind == "for_each_task":
            loop = {**body[task.kind], "inputs": resolved(body[task.kind]["inputs"], names)}
        else:
            loop = resolved(body[task.kind], names)
        return {**body, task.kind: loop}

    def _hand_over(self, active: Active, task: TaskRun) -> list[TaskRun]:
        if not self._dispatcher.carries_out(task.kind):
            message = f"The embedded workspace can't run a {task.kind}."
            return self._end(active, task, phases.ended(Outcome.FAILED, message, "FEATURE_DISABLED"))
        run = active.run
        body = with_text(self.rows.state, run.workspace, dict(task.resolved))
        order = TaskOrder(
            run_id=run.run_id, task_run_id=task.run_id, attempt=task.attempt, kind=task.kind, task=body,
            parameters=run.parameters, folder=self._folder / str(run.run_id) / str(task.run_id),
            values={each.key: each.values for each in active.latest.values() if each.phase.ended},
            timeout_seconds=float(task.task.get("timeout_seconds", 0)),
        )  # fmt: skip
        self._note(active, task)
        self._dispatcher.submit(order, run.workspace)
        return []

    def _decide(self, active: Active, task: TaskRun) -> list[TaskRun]:
        asked = task.resolved["condition_task"]
        outcome = "true" if holds(asked["op"], asked["left"], asked["right"]) else "false"
        return self._end(active, replace(task, outcome=outcome), phases.ended(Outcome.SUCCESS))

    def _loop(self, active: Active, task: TaskRun) -> list[TaskRun]:
        asked = task.resolved["for_each_task"]
        inputs = inputs_of(asked["inputs"])
        nested = dict(asked["task"])
        iterations = [
            TaskRun(
                run_id=new_id(), job_run_id=task.job_run_id, key=nested["task_key"], kind=kind_of(nested), task=nested,
                phase=phases.BLOCKED, repair=task.repair, parent=task.run_id, iteration=position, input=each,
            )
            for position, each in enumerate(inputs)
        ]  # fmt: skip
        task = replace(task, phase=phases.RUNNING)
        active.add_loop(task, iterations)
        self._note(active, task)
        self.rows.add_tasks(iterations)
        self._after_timeout(task)
        return self._go_round(active, task)

    def _go_round(self, active: Active, loop: TaskRun) -> list[TaskRun]:
        """Begin the iterations of a loop that may begin, or end it after the last one."""
        iterations = active.loops[loop.run_id]
        if all(each.phase.ended for each in iterations):
            outcome, message = loop_comes_to([each.phase.result or Outcome.FAILED for each in iterations])
            outcome = active.stopped.pop(loop.run_id, outcome)
            return self._end(active, replace(loop, values=_gathered(iterations)), phases.ended(outcome, message))
        if not self._is_stopped(active, loop.run_id):
            states = [_turn(each) for each in iterations]
            for position in next_iterations(states, int(loop.task["for_each_task"].get("concurrency", 1))):
                _ = self._start(active, iterations[position])
        return []

    def _after_iteration(self, active: Active, loop_id: int) -> None:
        loop = active.current.get(loop_id)
        if self._active.get(active.run.run_id) is active and loop is not None and not loop.phase.ended:
            self._advance(active, self._go_round(active, loop))

    def _run_job(self, active: Active, task: TaskRun) -> list[TaskRun]:
        child = self._child_of(active.run, task)
        circle = child.job_id in child.ancestors
        if circle or len(child.ancestors) > MOST_DEPTH:
            deep = f"Run Job tasks can't be nested more than {MOST_DEPTH} deep."
            message = f"Job {child.job_id} would start itself: that is a circle." if circle else deep
            return self._end(active, task, phases.ended(Outcome.FAILED, message, INVALID))
        task = replace(task, phase=phases.RUNNING, child=child.run_id)
        self._note(active, task)
        self._after_timeout(task)
        child = self.launch(child)
        if child.phase.ended:
            return self._child_ended(child)
        return []

    def _child_ended(self, child: Run) -> list[TaskRun]:
        active = self._active.get(self._task_runs.get(child.parent, 0))
        task = active and active.current.get(child.parent)
        if active is None or task is None or task.phase.ended:
            return []
        outcome = child.phase.result or Outcome.FAILED
        good = outcome in (Outcome.SUCCESS, Outcome.SUCCESS_WITH_FAILURES)
        outcome = Outcome.SUCCESS if good else Outcome.CANCELED if outcome is Outcome.CANCELED else Outcome.FAILED
        outcome = active.stopped.pop(task.run_id, outcome)
        message = "" if good else f"Run {child.run_id} of job {child.job_id} ended {child.phase.result}."
        return self._end(active, task, phases.ended(outcome, message), {"output": _run_job_output(child)})

    # ── an attempt goes on, as the dispatcher tells ─────────────────────────────────────────────────────────────────

    def began(self, task_run_id: int, times: Times) -> None:
        """An attempt has left its lane's line, and runs."""
        active = self._active.get(self._task_runs.get(task_run_id, 0))
        task = active and active.current.get(task_run_id)
        if active is None or task is None or task.phase.ended:
            return
        task = _timed(replace(task, phase=phases.RUNNING), times)
        self._note(active, task)
        self._after_timeout(task)

    def ended(self, task_run_id: int, result: TaskResult, times: Times) -> None:
        """An attempt has ended."""
        active = self._active.get(self._task_runs.get(task_run_id, 0))
        task = active and active.current.get(task_run_id)
        if active is None or task is None or task.phase.ended:
            return
        outcome = active.stopped.pop(task_run_id, OUTCOMES[result.ending])
        if result.ending is Ending.SUCCESS and outcome is not Outcome.SUCCESS and active.forced is None:
            outcome = Outcome.SUCCESS  # it was faster than what was to end it
        message = result.message if outcome is OUTCOMES[result.ending] else ""
        kept = {
            "output": dict(result.output), "error": result.error, "error_trace": result.error_trace,
            "rows_read": result.rows_read, "rows_written": result.rows_written,
        }  # fmt: skip
        task = replace(_timed(task, times), values=result.values, rows=result.output.get("local", {}).get("rows", ()))
        self._advance(active, self._end(active, task, phases.ended(outcome, message), kept))

    def _after_timeout(self, task: TaskRun) -> None:
        if seconds := int(task.task.get("timeout_seconds", 0)):
            self._later(task.run_id, seconds, partial(self.stop_task, task.job_run_id, task.run_id, Outcome.TIMEDOUT))

    # ── a task run ends ─────────────────────────────────────────────────────────────────────────────────────────────

    def _end(
        self, active: Active, task: TaskRun, phase: Phase, output: Mapping[str, Any] | None = None
    ) -> list[TaskRun]:
        """End a task run, and begin its next attempt if it is to have one; says which tasks became ready."""
        self._forget_timer(task.run_id)
        self._task_runs.pop(task.run_id, None)
        task = replace(task, phase=phase, end_ms=_now())
        if task.start_ms and not task.execution_ms:
            task = replace(task, execution_ms=max(0, task.end_ms - task.start_ms - task.queue_ms - task.setup_ms))
        outcome = phase.result or Outcome.FAILED
        at = None
        if phase.code not in FOR_GOOD and not self._is_stopped(active, task.parent):
            at = retried_at(task.task, task.kind, outcome, task.tries, task.start_ms)
        if at is None:
            return self._keep(active, task, output)
        self.rows.save_task(task, output)
        self._retry(active, task, at)
        return []

    def _retry(self, active: Active, task: TaskRun, at: int) -> None:
        following = replace(_again(task), tries=task.tries + 1, phase=phases.WAITING, repair=task.repair)
        self.rows.add_tasks([following])
        # A retry is no end: those that wait for the task go on waiting.
        _ = active.put(following)
        seconds = max((at - _now()) / 1000, 0 if task.tries < HASTY_TRIES else 1)
        self._later(following.run_id, seconds, partial(self._start_again, active.run.run_id, following.run_id))

    def _start_again(self, run_id: int, task_run_id: int) -> None:
        active = self._active.get(run_id)
        task = active and active.current.get(task_run_id)
        if active is not None and task is not None and not task.phase.ended:
            self._advance(active, self._start(active, task))

    def _keep(self, active: Active, task: TaskRun, output: Mapping[str, Any] | None = None) -> list[TaskRun]:
        """Keep a task run's new state; says which tasks became ready by it."""
        self.rows.save_task(task, output)
        if task.parent and task.phase.ended:
            # Not at once: of a long loop whose iterations end at once each would lie on the stack of the one before.
            asyncio.get_running_loop().call_soon(partial(self._after_iteration, active, task.parent))
        return active.put(task)

    def _note(self, active: Active, task: TaskRun) -> None:
        """Keep a task run that is under way."""
        self._task_runs[task.run_id] = active.run.run_id
        _ = self._keep(active, task)

    # ── a run ends ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _finish(self, active: Active) -> None:
        run = active.run
        outcome = active.forced or comes_to(active.outcomes(), active.needs)
        message = _explained(active, outcome)
        phase = phases.unrun(outcome, message) if outcome is Outcome.DISABLED else phases.ended(outcome, message)
        self._forget_timer(run.run_id)
        del self._active[run.run_id]
        if going := self._going.get(run.job_id):
            going.discard(run.run_id)
            if not going:
                del self._going[run.job_id]
        run = _closed(replace(run, phase=phase, end_ms=_now()))
        self.rows.save(run)
        self._tell_ended(run)
        self._next_in_queue(run.job_id)

    def _tell_ended(self, run: Run) -> None:
        for told in self._ended:
            told(run)
        if run.parent:
            asyncio.get_running_loop().call_soon(partial(self._after_child, run))

    def _after_child(self, child: Run) -> None:
        active = self._active.get(self._task_runs.get(child.parent, 0))
        if active is not None:
            self._advance(active, self._child_ended(child))

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
                _ = self._keep(active, task)
            self._begin(active)

    # ── somebody stops it ───────────────────────────────────────────────────────────────────────────────────────────

    def cancel(self, run_id: int) -> None:
        """End a run, or one task run, as its user asked; harmless when it has ended."""
        if run_id in self._active:
            self._stop_run(run_id, Outcome.CANCELED)
            return
        task = self.rows.task(run_id)
        if task is not None and not task.phase.ended:
            self.stop_task(task.job_run_id, run_id, Outcome.CANCELED)

    def _stop_run(self, run_id: int, outcome: Outcome) -> None:
        active = self._active.get(run_id)
        if active is None or active.forced is not None:
            return
        active.forced = outcome
        if active.run.phase.life_cycle is not LifeCycle.QUEUED:
            self._keep_run(
                active, replace(active.run, phase=replace(active.run.phase, life_cycle=LifeCycle.TERMINATING))
            )
        for task in active.unended():
            self._stop(active, task, Outcome.CANCELED)
        self._advance(active, [each for each in active.latest.values() if not _under_way(each)])
        asyncio.get_running_loop().call_soon(partial(self._advance, active, ()))

    def stop_task(self, run_id: int, task_run_id: int, outcome: Outcome) -> None:
        """End one task run; the others of its run go on."""
        active = self._active.get(run_id)
        task = active and active.current.get(task_run_id)
        if active is None or task is None or task.phase.ended:
            return
        self._advance(active, self._stop(active, task, outcome))

    def _stop(self, active: Active, task: TaskRun, outcome: Outcome) -> list[TaskRun]:
        """Begin to end a task run; says which tasks became ready, as one that hasn't begun ends at once."""
        current = active.current.get(task.run_id)
        if current is None or current.phase.ended:
            return []
        if not _under_way(current):
            self._forget_timer(current.run_id)
            return self._keep(active, replace(current, phase=phases.unrun(outcome), end_ms=_now()))
        active.stopped[current.run_id] = outcome
        ready: list[TaskRun] = []
        if current.kind == "for_each_task":
            for each in list(active.loops.get(current.run_id, ())):
                ready += self._stop(active, each, Outcome.CANCELED)
        elif current.child:
            self.cancel(current.child)
        else:
            self._dispatcher.cancel(current.run_id)
        return ready

    def _is_stopped(self, active: Active, run_id: int) -> bool:
        return active.forced is not None or run_id in active.stopped

    # ── it is repaired ──────────────────────────────────────────────────────────────────────────────────────────────

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
                _again(old) if (old := latest.get(task["task_key"])) else _task_run(run, task, phases.BLOCKED),
                task=task, kind=kind_of(task), repair=repair_id,
            )
            for task in run.tasks
            if task["task_key"] in wanted or task["task_key"] not in latest
        ]  # fmt: skip
        history = list(run.repairs) or [{"type": "ORIGINAL", "start_time": run.start_ms, **_ending_of(run)}]
        mark = {"type": "REPAIR", "id": repair_id, "start_time": _now()}
        run = replace(run, phase=phases.PENDING, end_ms=0, repairs=(*history, mark))
        self.rows.save_settings(run)
        self.rows.save(run)
        self.rows.add_tasks(again)
        known = {str(task["task_key"]) for task in run.tasks}
        kept = [each for each in latest.values() if each.key in known]
        active = self._active[run.run_id] = Active(run, [*kept, *again])
        self._begin(active)

    # ── rows and timers ─────────────────────────────────────────────────────────────────────────────────────────────

    def _keep_run(self, active: Active, run: Run) -> None:
        active.run = run
        self.rows.save(run)

    def _later(self, key: int, seconds: float, step: Callable[[], None]) -> None:
        self._forget_timer(key)
        self._timers[key] = asyncio.get_running_loop().call_later(seconds, step)

    def _forget_timer(self, key: int) -> None:
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()


STEPS: Mapping[str, Callable[[Runner, Active, TaskRun], list[TaskRun]]] = {
    "condition_task": Runner._decide,  # pyright: ignore[reportPrivateUsage]
    "for_each_task": Runner._loop,  # pyright: ignore[reportPrivateUsage]
    "run_job_task": Runner._run_job,  # pyright: ignore[reportPrivateUsage]
}
"""The kinds of tasks that the runner carries out itself; all others are an executor's."""


def _task_run(run: Run, task: Mapping[str, Any], phase: Phase) -> TaskRun:
    return TaskRun(new_id(), run.run_id, str(task["task_key"]), kind_of(task), task, phase)


def _again(task: TaskRun) -> TaskRun:
    """A new attempt of a task."""
    return replace(
        _fresh(task), run_id=new_id(), attempt=task.attempt + 1, original=task.original or task.run_id,
    )  # fmt: skip


def _fresh(task: TaskRun) -> TaskRun:
    return TaskRun(
        task.run_id, task.job_run_id, task.key, task.kind, task.task, phases.BLOCKED, attempt=task.attempt,
        parent=task.parent, iteration=task.iteration, input=task.input,
    )  # fmt: skip


def _turn(iteration: TaskRun) -> str:
    if iteration.phase.ended:
        return "ended"
    return "waiting" if iteration.phase.life_cycle is LifeCycle.BLOCKED else "active"


def _under_way(task: TaskRun) -> bool:
    return task.start_ms > 0 and not task.phase.ended


def _timed(task: TaskRun, times: Times) -> TaskRun:
    return replace(
        task,
        queue_ms=max(0, times.began_ms - task.start_ms),
        setup_ms=max(0, times.started_ms - times.began_ms) if times.started_ms else 0,
        execution_ms=max(0, times.ended_ms - times.started_ms) if times.ended_ms and times.started_ms else 0,
    )


def _gathered(iterations: Sequence[TaskRun]) -> dict[str, list[Any]]:
    """The values that a loop's iterations set: by key a list, in the iterations' order, null where one set none."""
    keys = {key for each in iterations for key in each.values}
    return {key: [each.values.get(key) for each in iterations] for key in sorted(keys)}


def _run_job_output(child: Run) -> dict[str, Any]:
    return {"run_job_output": {"run_id": child.run_id}}


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


def _closed(run: Run) -> Run:
    """The run with the end of its newest repair in its history."""
    if not run.repairs:
        return run
    return replace(run, repairs=(*run.repairs[:-1], {**run.repairs[-1], **_ending_of(run)}))


def _ending_of(run: Run) -> dict[str, Any]:
    return {"end_time": run.end_ms, "phase": phase_json(run.phase)}


def _now() -> int:
    return time.time_ns() // 1_000_000
