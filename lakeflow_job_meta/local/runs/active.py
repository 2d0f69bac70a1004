"""A run under way: which of its tasks have ended, and which of them that lets go on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lakeflow_job_meta.local.runs.dag import Outcome, needs_of, seen_through, turned
from lakeflow_job_meta.local.runs.record import Run, TaskRun


class Active:
    """What the runner keeps in mind of a run until it ends; everything in it is in the rows too.

    Args:
        run: the run.
        tasks: its task runs, in the order they were made; of several of one task the last counts.
    """

    def __init__(self, run: Run, tasks: Iterable[TaskRun]) -> None:
        self.run = run
        self.latest: dict[str, TaskRun] = {each.key: each for each in tasks}
        self.current: dict[int, TaskRun] = {each.run_id: each for each in self.latest.values()}
        """By its id: each task run, those of iterations too."""
        self.loops: dict[int, list[TaskRun]] = {}
        """By the run of a for_each task: the last attempt of each iteration."""
        self.forced: Outcome | None = None
        """How the whole run is to end, once somebody or its timeout has said so."""
        self.stopped: dict[int, Outcome] = {}
        """How single task runs are to end."""
        self._needs = needs_of(run.tasks)
        self._after = turned(self._needs)
        self._missing = {
            key: sum(not self._ended(need) for need in needs)
            for key, needs in self._needs.items()
            if not self._ended(key)
        }

    def _ended(self, key: str) -> bool:
        return self.latest[key].phase.ended

    @property
    def complete(self) -> bool:
        """Whether all tasks have ended."""
        return not self._missing

    @property
    def needs(self) -> dict[str, list[str]]:
        """By task: the tasks it depends on."""
        return self._needs

    def ready(self) -> list[TaskRun]:
        """The tasks that wait for nothing, at the start."""
        return [self.latest[key] for key, missing in self._missing.items() if missing == 0]

    def add_loop(self, loop: TaskRun, iterations: list[TaskRun]) -> None:
        """Take note of the iterations of a for_each task."""
        self.loops[loop.run_id] = iterations
        self.current.update({each.run_id: each for each in iterations})

    def put(self, task: TaskRun) -> list[TaskRun]:
        """Take note of a task run's new state; says which tasks that makes ready."""
        self.current[task.run_id] = task
        if task.parent:
            self.loops[task.parent][task.iteration] = task
            return []
        self.latest[task.key] = task
        if not task.phase.ended or task.key not in self._missing:
            return []
        del self._missing[task.key]
        ready: list[TaskRun] = []
        for key in self._after[task.key]:
            if key in self._missing:
                self._missing[key] -= 1
                if self._missing[key] == 0:
                    ready.append(self.latest[key])
        return ready

    def dependencies(self, key: str) -> list[Outcome]:
        """What the ends of all tasks that this one depends on mean to it."""
        wanted = {str(each["task_key"]): each.get("outcome") for each in self.latest[key].task.get("depends_on", ())}
        return [
            seen_through(self.latest[need].phase.result or Outcome.FAILED, wanted[need], self.latest[need].outcome)
            for need in self._needs[key]
        ]

    def unended(self) -> list[TaskRun]:
        """Every task run, iterations too, that hasn't ended."""
        return [each for each in self._all() if not each.phase.ended]

    def outcomes(self) -> dict[str, Outcome]:
        """How each task ended."""
        return {key: each.phase.result or Outcome.FAILED for key, each in self.latest.items()}

    def _all(self) -> Iterator[TaskRun]:
        yield from self.latest.values()
        for iterations in self.loops.values():
            yield from iterations
