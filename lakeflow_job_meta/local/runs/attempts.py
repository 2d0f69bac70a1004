"""Attempts of tasks: how each begins, by its kind, goes on and ends.

What a step here makes ready to begin, it says; to begin that is the runner's.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from lakeflow_job_meta.local.call import Refusal
from lakeflow_job_meta.local.runs import phases
from lakeflow_job_meta.local.runs.active import Active
from lakeflow_job_meta.local.runs.asked import overridden, pushed_down
from lakeflow_job_meta.local.runs.condition import BadCondition, holds
from lakeflow_job_meta.local.runs.dag import SUCCEEDED, Outcome
from lakeflow_job_meta.local.runs.dispatch import Dispatcher, Times
from lakeflow_job_meta.local.runs.loop import BadInputs, inputs_of, loop_comes_to, next_iterations
from lakeflow_job_meta.local.runs.names import names_for
from lakeflow_job_meta.local.runs.record import Phase, Run, TaskRun
from lakeflow_job_meta.local.runs.references import UnknownReference, resolved
from lakeflow_job_meta.local.runs.retry import retried_at
from lakeflow_job_meta.local.runs.rows import Rows
from lakeflow_job_meta.local.runs.sources import with_environment, with_text
from lakeflow_job_meta.local.runs.task_runs import (
    gathered,
    is_under_way,
    new_attempt,
    new_iterations,
    rows_of,
    timed,
    turn,
)
from lakeflow_job_meta.local.runs.timers import Timers, soon
from lakeflow_job_meta.local.tasks.order import Ending, TaskOrder, TaskResult

LOG = logging.getLogger("lakeflow_job_meta.local")
MOST_DEPTH = 3
"""So many Run Job tasks may start one another, as documented."""
INVALID = "INVALID_RUN_CONFIGURATION"
FOR_GOOD = frozenset({INVALID, "INTERNAL_ERROR", "FEATURE_DISABLED", "RESOURCE_NOT_FOUND"})
"""The codes of what fails the same each time, and so isn't tried again."""
HASTY_TRIES = 10
"""After so many attempts there is a second between two, whatever the task says: it may be told to try for ever."""
OUTCOMES: Mapping[Ending, Outcome] = {
    Ending.SUCCESS: Outcome.SUCCESS,
    Ending.FAILED: Outcome.FAILED,
    Ending.TIMEDOUT: Outcome.TIMEDOUT,
    Ending.CANCELED: Outcome.CANCELED,
}


class Above(Protocol):
    """What attempts ask of the runner."""

    def find(self, run_id: int) -> Active | None:
        """The run of this id, if it is under way."""
        ...

    def advance(self, active: Active, ready: Iterable[TaskRun]) -> None:
        """Begin the tasks that have become ready."""
        ...

    def launch(self, run: Run) -> Run:
        """Take a run."""
        ...

    def cancel(self, run_id: int) -> None:
        """End a run."""
        ...


@dataclass(frozen=True, slots=True)
class Ground:
    """What attempts work with.

    Args:
        rows: where runs are kept; dispatcher: carries out what is a process's work.
        folder: where each task run gets a folder of its own; url: of the workspace, for references.
        child_of: makes the run that a Run Job task asks for, or refuses with a Refusal.
    """

    rows: Rows
    dispatcher: Dispatcher
    folder: Path
    url: str
    child_of: Callable[[Run, TaskRun], Run]


class Attempts:
    """The task runs of all runs that are under way."""

    def __init__(self, ground: Ground, timers: Timers, above: Above) -> None:
        self._rows = ground.rows
        self._dispatcher = ground.dispatcher
        self._folder = ground.folder
        self._url = ground.url
        self._child_of = ground.child_of
        self._timers = timers
        self._above = above
        self._task_runs: dict[int, int] = {}
        """The job run of each task run that has begun and not ended."""
        self._dispatcher.listen(self)

    def _of(self, task_run_id: int) -> Active | None:
        return self._above.find(self._task_runs.get(task_run_id, 0))

    def start(self, active: Active, task: TaskRun) -> list[TaskRun]:
        """Begin a task run; says which tasks became ready by that, as some end at once."""
        now = _now()
        task = replace(task, start_ms=now, phase=phases.PENDING)
        try:
            task = replace(task, resolved=self._resolved(active, task))
            return STEPS.get(task.kind, Attempts._hand_over)(self, active, task)
        except (UnknownReference, BadCondition, BadInputs) as problem:
            return self._end(active, task, phases.ended(Outcome.FAILED, f"{problem}.", INVALID))
        except Refusal as refusal:
            code = "FEATURE_DISABLED" if refusal.error_code == "FEATURE_DISABLED" else "RESOURCE_NOT_FOUND"
            return self._end(active, task, phases.ended(Outcome.FAILED, refusal.message, code))
        except Exception:
            # The edge of one task: without an end its run would stay under way for ever.
            LOG.exception("task run %s broke", task.run_id)
            return self._end(active, task, phases.lost("The runner broke at this task; see server.log."))

    def _resolved(self, active: Active, task: TaskRun) -> dict[str, Any]:
        """The task with parameters and references put in; what a loop repeats stays, as each iteration has its own."""
        run = active.run
        body = pushed_down(overridden(dict(task.task), run.overriding), run.parameters)
        if "{{" not in json.dumps(body[task.kind]):
            return body  # most have none, and in a job of a thousand tasks the names are long to put together
        ended = [each for each in active.latest.values() if each.phase.ended]
        names = names_for(run, task, ended, self._url)
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
        body = with_environment(dict(task.resolved), run.settings.get("environments") or ())
        body = with_text(self._rows.state, run.workspace, body)
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
        iterations = new_iterations(task, asked["task"], inputs)
        task = replace(task, phase=phases.RUNNING)
        active.add_loop(task, iterations)
        self._note(active, task)
        self._rows.add_tasks(iterations)
        self._after_timeout(task)
        return self._go_round(active, task)

    def _go_round(self, active: Active, loop: TaskRun) -> list[TaskRun]:
        """Begin the iterations of a loop that may begin, or end it after the last one."""
        iterations = active.loops[loop.run_id]
        if all(each.phase.ended for each in iterations):
            outcome, message = loop_comes_to([each.phase.result or Outcome.FAILED for each in iterations])
            outcome = active.stopped.pop(loop.run_id, outcome)
            loop = replace(loop, values=gathered(iterations), **rows_of(iterations))
            return self._end(active, loop, phases.ended(outcome, message))
        if not self._is_stopped(active, loop.run_id):
            states = [turn(each) for each in iterations]
            for position in next_iterations(states, int(loop.task["for_each_task"].get("concurrency", 1))):
                _ = self.start(active, iterations[position])
        return []

    def _after_iteration(self, active: Active, loop_id: int) -> None:
        loop = active.current.get(loop_id)
        if self._above.find(active.run.run_id) is active and loop is not None and not loop.phase.ended:
            self._above.advance(active, self._go_round(active, loop))

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
        _ = self._above.launch(child)
        return []

    def child_ended(self, child: Run) -> None:
        """The run that a Run Job task started has ended."""
        active = self._of(child.parent)
        if active is not None:
            self._above.advance(active, self._after_child(active, child))

    def _after_child(self, active: Active, child: Run) -> list[TaskRun]:
        task = active.current[child.parent]
        result = child.phase.result or Outcome.FAILED
        good = result in SUCCEEDED
        outcome = Outcome.SUCCESS if good else Outcome.CANCELED if result is Outcome.CANCELED else Outcome.FAILED
        message = "" if good else f"Run {child.run_id} of job {child.job_id} ended {result}."
        phase = phases.ended(active.stopped.pop(task.run_id, outcome), message)
        return self._end(active, task, phase, {"output": {"run_job_output": {"run_id": child.run_id}}})

    def began(self, task_run_id: int, times: Times) -> None:
        """An attempt has left its lane's line, and runs."""
        active = self._of(task_run_id)
        task = active and active.current.get(task_run_id)
        if active is None or task is None or task.phase.ended:
            return
        task = timed(replace(task, phase=phases.RUNNING), times)
        self._note(active, task)
        self._after_timeout(task)

    def ended(self, task_run_id: int, result: TaskResult, times: Times) -> None:
        """An attempt has ended."""
        active = self._of(task_run_id)
        task = active and active.current.get(task_run_id)
        if active is None or task is None or task.phase.ended:
            return
        outcome = active.stopped.pop(task_run_id, OUTCOMES[result.ending])
        if result.ending is Ending.SUCCESS and outcome is not Outcome.SUCCESS and active.forced is None:
            outcome = Outcome.SUCCESS  # it was faster than what was to end it
        message = result.message if outcome is OUTCOMES[result.ending] else ""
        kept = {"output": dict(result.output), "error": result.error, "error_trace": result.error_trace}
        task = replace(
            timed(task, times), values=result.values, rows=result.output.get("local", {}).get("rows", ()),
            rows_read=result.rows_read, rows_written=result.rows_written,
        )  # fmt: skip
        self._above.advance(active, self._end(active, task, phases.ended(outcome, message), kept))

    def _after_timeout(self, task: TaskRun) -> None:
        if seconds := int(task.task.get("timeout_seconds", 0)):
            self._timers.set(
                task.run_id, seconds, partial(self.stop_task, task.job_run_id, task.run_id, Outcome.TIMEDOUT)
            )

    def _end(
        self, active: Active, task: TaskRun, phase: Phase, output: Mapping[str, Any] | None = None
    ) -> list[TaskRun]:
        """End a task run, and begin its next attempt if it is to have one; says which tasks became ready."""
        self._timers.forget(task.run_id)
        self._task_runs.pop(task.run_id, None)
        task = replace(task, phase=phase, end_ms=_now())
        if task.start_ms and not task.execution_ms:
            task = replace(task, execution_ms=max(0, task.end_ms - task.start_ms - task.queue_ms - task.setup_ms))
        outcome = phase.result or Outcome.FAILED
        at = None
        if phase.code not in FOR_GOOD and not self._is_stopped(active, task.parent):
            at = retried_at(task.task, task.kind, outcome, task.tries, task.start_ms)
        if at is None:
            return self.keep(active, task, output)
        self._rows.save_task(task, output)
        self._retry(active, task, at)
        return []

    def _retry(self, active: Active, task: TaskRun, at: int) -> None:
        following = replace(new_attempt(task), tries=task.tries + 1, phase=phases.WAITING, repair=task.repair)
        self._rows.add_tasks([following])
        # A retry is no end: those that wait for the task go on waiting.
        _ = active.put(following)
        seconds = max((at - _now()) / 1000, 0 if task.tries < HASTY_TRIES else 1)
        self._timers.set(following.run_id, seconds, partial(self._start_again, active.run.run_id, following.run_id))

    def _start_again(self, run_id: int, task_run_id: int) -> None:
        active = self._above.find(run_id)
        task = active and active.current.get(task_run_id)
        if active is not None and task is not None and not task.phase.ended:
            self._above.advance(active, self.start(active, task))

    def unrun(self, active: Active, task: TaskRun, outcome: Outcome) -> list[TaskRun]:
        """End a task run that hasn't begun; says which tasks became ready."""
        return self.keep(active, replace(task, phase=phases.unrun(outcome), end_ms=_now()))

    def keep(self, active: Active, task: TaskRun, output: Mapping[str, Any] | None = None) -> list[TaskRun]:
        """Keep a task run's new state; says which tasks became ready by it."""
        self._rows.save_task(task, output)
        if task.parent and task.phase.ended:
            # Not at once: of a long loop whose iterations end at once each would lie on the stack of the one before.
            soon(partial(self._after_iteration, active, task.parent))
        return active.put(task)

    def _note(self, active: Active, task: TaskRun) -> None:
        """Keep a task run that is under way."""
        self._task_runs[task.run_id] = active.run.run_id
        _ = self.keep(active, task)

    def stop_task(self, run_id: int, task_run_id: int, outcome: Outcome) -> None:
        """End one task run; the others of its run go on."""
        active = self._above.find(run_id)
        task = active and active.current.get(task_run_id)
        if active is None or task is None or task.phase.ended:
            return
        self._above.advance(active, self.stop(active, task, outcome))

    def stop(self, active: Active, task: TaskRun, outcome: Outcome) -> list[TaskRun]:
        """Begin to end a task run; says which tasks became ready, as one that hasn't begun ends at once."""
        current = active.current.get(task.run_id)
        if current is None or current.phase.ended:
            return []
        if not is_under_way(current):
            self._timers.forget(current.run_id)
            return self.unrun(active, current, outcome)
        active.stopped[current.run_id] = outcome
        ready: list[TaskRun] = []
        if current.kind == "for_each_task":
            for each in list(active.loops.get(current.run_id, ())):
                ready += self.stop(active, each, Outcome.CANCELED)
        elif current.child:
            self._above.cancel(current.child)
        else:
            self._dispatcher.cancel(current.run_id)
        return ready

    def _is_stopped(self, active: Active, run_id: int) -> bool:
        return active.forced is not None or run_id in active.stopped


STEPS: Mapping[str, Callable[[Attempts, Active, TaskRun], list[TaskRun]]] = {
    "condition_task": Attempts._decide,  # pyright: ignore[reportPrivateUsage]
    "for_each_task": Attempts._loop,  # pyright: ignore[reportPrivateUsage]
    "run_job_task": Attempts._run_job,  # pyright: ignore[reportPrivateUsage]
}
"""The kinds of tasks that are carried out here; all others are an executor's."""


def _now() -> int:
    return time.time_ns() // 1_000_000
