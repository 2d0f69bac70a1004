"""What people do with the runs of their modules: start, follow, look up, repair, collect."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

from lakeflow_job_meta.diagnostics import nearest
from lakeflow_job_meta.errors import InputError, NotFound
from lakeflow_job_meta.model.job import RecordedJob
from lakeflow_job_meta.model.masking import secrets_in, without
from lakeflow_job_meta.model.run import Run, TaskRun, milliseconds
from lakeflow_job_meta.runs.asked import asked_of
from lakeflow_job_meta.runs.collector import Also, Collected, Collector, Tell
from lakeflow_job_meta.runs.ledger import Ledger
from lakeflow_job_meta.runs.statistics import Statistics, statistics_of
from lakeflow_job_meta.workspace.runs import ApiRuns, RunQuery

FIRST_WAIT, LONGEST_WAIT = 0.2, 5.0
"""Seconds between two looks at a run that goes on: more each time."""

PERIOD = timedelta(days=30)
"""What statistics are about."""


@dataclass(frozen=True, slots=True)
class ModuleRuns:
    """The runs of one control table's jobs in one workspace.

    Args:
        api: The workspace's runs.
        ledger: Where they are recorded.
        recorded: Reads our jobs, by module.
        tell: Tells the web hook of slow and late runs, if there is one.
        also: Who else keeps a record of runs, if anybody does.

    Example:
        runs = JobOrchestrator("main.etl.control").runs
        run = runs.wait(runs.start("orders", {"day": "2026-11-21"}))
        print(run.result)
    """

    api: ApiRuns
    ledger: Ledger
    recorded: Callable[[], Mapping[str, RecordedJob]]
    tell: Tell | None = None
    also: Also | None = None

    def start(self, module: str, parameters: Mapping[str, str] | None = None, only: Sequence[str] = ()) -> int:
        """Run a module's job now; returns the run's id.

        Args:
            module: The module.
            parameters: Values by name: of the job's own parameters, or of its tasks' if it has none.
            only: Run just these tasks.

        Raises:
            InputError: no such module, it has no job yet, or the job has no such parameter or task.
        """
        job_id, job = self._job(module)
        return self.api.start(job_id, uuid4().hex, asked_of(module, job.settings, parameters or {}, only))

    def wait(
        self,
        run_id: int,
        *,
        timeout: float | None = None,
        on_look: Callable[[Run], None] = lambda run: None,
        wake: threading.Event | None = None,
    ) -> Run:
        """The run when it has ended, or as it is after a while.

        Args:
            run_id: The run.
            timeout: Wait no longer than so many seconds.
            on_look: Gets the run at each look.
            wake: Once it is set, the pause under way ends, and no later one is long.
        """
        end = None if timeout is None else time.monotonic() + timeout
        pause = FIRST_WAIT
        while True:
            run = self.api.get(run_id)
            on_look(run)
            left = LONGEST_WAIT if end is None else end - time.monotonic()
            if run.ended or left <= 0:
                return run
            if wake is not None and not wake.is_set():
                _ = wake.wait(min(pause, left))
            else:
                time.sleep(min(pause if wake is None else FIRST_WAIT, left))
            pause = min(pause * 1.3, LONGEST_WAIT)

    def find(self, name: str) -> Run:
        """A run by its id, or the newest run of a module by the module's name.

        Raises:
            InputError: there is none.
        """
        if name.isdecimal():
            try:
                run = self.api.get(int(name))
            except NotFound as error:
                raise InputError(f"there is no run {name} in this workspace", hint="`ljm runs` lists them") from error
            if run.job_id not in self.modules():
                raise InputError(f"run {name} is of job {run.job_id}, which isn't ours", hint="`ljm runs` lists ours")
            return run
        job_id, _ = self._job(name)
        runs, _ = next(self.api.pages(RunQuery(job_id=job_id)))
        if not runs:
            raise InputError(f"module {name} has no runs", hint=f"`ljm run {name}` starts one")
        return self.api.get(runs[0].run_id)

    def modules(self) -> dict[int, str]:
        """Our modules by job id."""
        return {job.job_id: module for module, job in self.recorded().items() if job.job_id is not None}

    def newest(
        self, module: str | None = None, *, failed: bool = False, since: datetime | None = None, limit: int = 20
    ) -> list[tuple[str, Run]]:
        """The newest runs as the workspace has them, each with its module.

        Args:
            module: Of this module only.
            failed: Only those that ended without success.
            since: Only those that started then or later.
            limit: So many at the most.

        Raises:
            InputError: no such module.
        """
        modules = self.modules()
        job_id = None if module is None else self._job(module)[0]
        if not modules:
            return []
        query = RunQuery(None if since is None else milliseconds(since), job_id=job_id)
        runs = (run for page, _ in self.api.pages(query) for run in page)
        ours = ((modules[run.job_id], run) for run in runs if run.job_id in modules)
        wanted = ((name, run) for name, run in ours if not failed or (run.ended and not run.succeeded))
        return _first(wanted, limit)

    def cancel(self, run_id: int) -> None:
        """Ask for the end of a run."""
        self.api.cancel(run_id)

    def repair(self, run: Run, tasks: Sequence[str] = ()) -> int:
        """Run the failed tasks of a run again, or these; returns the repair's id. The ledger follows it again.

        Raises:
            InputError: the run goes on, it has no such task, or nothing failed.
        """
        if not run.ended:
            raise InputError(f"run {run.run_id} goes on", hint="only a run that has ended can be repaired")
        if run.result == "SUCCESS" and not tasks:  # one that succeeded with failures has something to repair
            raise InputError(f"run {run.run_id} succeeded: there is nothing to repair", hint="name tasks: --only TASK")
        for task in tasks:
            _ = self.attempts(run, task)
        repair_id = self.api.repair(run.run_id, tasks, run.latest_repair_id)
        Collector(self.ledger, self.api, self.recorded().values(), _now, also=self.also).keep(run.run_id)
        return repair_id

    def with_iterations(self, run: Run) -> Run:
        """A run with the iterations of its for_each tasks, which it costs requests to ask for."""
        return self.api.with_iterations(run)

    def attempts(self, run: Run, task_key: str) -> list[TaskRun]:
        """The attempts of a task, or of the iterations of a loop that has this task, if the run has them.

        Raises:
            InputError: the run has no such task.
        """
        found = [task for task in (*run.tasks, *run.iterations) if task.task_key == task_key]
        if not found:
            keys = list(dict.fromkeys(task.task_key for task in (*run.latest, *run.iterations)))
            hint = nearest(task_key, keys) or "known: " + ", ".join(keys)
            raise InputError(f"run {run.run_id} has no task '{task_key}'", hint=hint)
        return found

    def output(self, run: Run, task: TaskRun) -> dict[str, Any]:
        """What a task run left, as `runs/get-output` tells it, secrets masked.

        Raises:
            WorkspaceError: it can't be told.
        """
        settings = [job.settings for job in self.recorded().values() if job.job_id == run.job_id]
        return _hiding(self.api.output(task.task_run_id), run.secrets | secrets_in(*settings))

    def collect(self, since: datetime | None = None) -> Collected:
        """Bring the ledger up to date; see Collector."""
        recorded = self.recorded().values()
        return Collector(self.ledger, self.api, recorded, _now, self.tell, self.also).collect(since)

    def statistics(self, period: timedelta = PERIOD) -> dict[str, Statistics] | None:
        """How the runs that started in the last days went, by module; None where no run was ever collected."""
        if self.ledger.mark() is None:
            return None
        today = _now().date()
        return statistics_of(self.ledger.runs([_iso(today, back) for back in range(period.days + 1)]))

    def _job(self, module: str) -> tuple[int, RecordedJob]:
        recorded = self.recorded()
        job = recorded.get(module)
        if job is None or job.job_id is None:
            hint = nearest(module, recorded) or "`ljm status` shows which there are; `ljm apply` makes a module's job"
            raise InputError(f"module {module} has no job", hint=hint)
        return job.job_id, job


def _first(found: Iterable[tuple[str, Run]], limit: int) -> list[tuple[str, Run]]:
    taken: list[tuple[str, Run]] = []
    for each in found:
        taken.append(each)
        if len(taken) == limit:
            break
    return taken


def _hiding(output: Mapping[str, Any], secrets: frozenset[str]) -> dict[str, Any]:
    shown = {name: value for name, value in output.items() if name != "metadata"}

    def hide(value: Any) -> Any:
        if isinstance(value, str):
            return without(value, secrets)
        if isinstance(value, dict):
            return {name: hide(each) for name, each in value.items()}  # pyright: ignore[reportUnknownVariableType]
        return [hide(each) for each in value] if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType]

    return hide(shown)


def _iso(today: date, back: int) -> str:
    return (today - timedelta(days=back)).isoformat()


def _now() -> datetime:
    return datetime.now(UTC)
