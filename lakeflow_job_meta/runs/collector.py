"""The collector: what runs of our jobs there were, into the ledger, each once.

Cost grows with what is new: a look at nothing new is one request and no write. Killed at any point, the next look does
again what wasn't noted, and finds its rows there already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from lakeflow_job_meta.compile.graph import task_key
from lakeflow_job_meta.diagnostics import counted
from lakeflow_job_meta.errors import NotFound, TableNotFound, Throttled, WorkspaceError
from lakeflow_job_meta.model.job import RecordedJob, Settings
from lakeflow_job_meta.model.masking import secrets_in, without
from lakeflow_job_meta.model.run import ENDED, EPOCH, Run, TaskRun, milliseconds, moment
from lakeflow_job_meta.model.table import Row
from lakeflow_job_meta.runs.history import History
from lakeflow_job_meta.runs.ledger import Ledger, Mark
from lakeflow_job_meta.runs.rows import About, day_of, made_of, run_row, task_rows
from lakeflow_job_meta.runs.spans import spans
from lakeflow_job_meta.workspace.runs import ApiRuns, RunQuery

KEPT = timedelta(days=60)
"""How long Databricks keeps runs: the first look goes back so far."""

AGAIN_MS = 60_000
"""Runs that started so shortly before the newest one are looked at again: the list may not have had all of them."""

NEAR_MS = 15 * 60_000
"""A run that goes on and started no longer before is found in the list; an older one is asked for by its id."""

FEW = 25
"""More of those are looked for in the list of active runs first. Of a run's failed iterations so many are asked why."""

TOLD_WITHIN = timedelta(days=1)
"""Of what ended longer ago the web hook isn't told any more."""

GONE = "the workspace doesn't know this run any more"

Tell = Callable[[Sequence[Row]], Sequence[Row]]
"""Tells the web hook of these rows of runs; returns those that it need not be told of again."""

Also = Callable[[Sequence[Run]], None]
"""Gets runs that say anything new, before the ledger has them: after a crash it gets them again."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What one look found: how many runs said anything new and how many go on; those newly found slow or late."""

    runs: int = 0
    going_on: int = 0
    breaches: tuple[Row, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The look as JSON-ready values."""
        shown = ("module_name", "run_id", "sla", "sla_seconds", "start_time", "end_time")
        breaches = [{name: row.get(name) for name in shown} for row in self.breaches]
        return {"runs": self.runs, "going_on": self.going_on, "breaches": breaches}

    def __str__(self) -> str:
        slow = f", {len(self.breaches)} slow or late" if self.breaches else ""
        return f"{counted(self.runs, 'run')} new or changed, {self.going_on} going on{slow}"


@dataclass
class Collector:
    """Writes the ledger of one control table and one workspace; each looks once.

    Args:
        ledger: Where to.
        api: The workspace's runs.
        recorded: Our jobs.
        now: The time.
        tell: Tells the web hook, if there is one.
        also: Who else keeps a record of runs.
    """

    ledger: Ledger
    api: ApiRuns
    recorded: Iterable[RecordedJob]
    now: Callable[[], datetime]
    tell: Tell | None = None
    also: Also | None = None
    _open: dict[int, int] = field(default_factory=dict[int, int])
    _owed: dict[int, Row] = field(default_factory=dict[int, Row])
    _breaches: list[Row] = field(default_factory=list[Row])
    _written: int = 0
    _ready: bool = False

    def collect(self, since: datetime | None = None) -> Collected:
        """Look once.

        Args:
            since: Begin there, instead of where the last look ended: finds runs that were repaired long after.

        Raises:
            StoreError, WorkspaceError: the look ended early; the next one goes on from there.
        """
        if not self._jobs:
            return Collected()
        mark = self.ledger.mark()
        first = milliseconds(since or self.now() - KEPT)
        known = mark or Mark(first)
        self._open = dict(known.open_runs)
        start = first if since or mark is None else _start(mark)
        seen = set[int]()
        for span in spans(self.api, RunQuery(start, job_id=next(iter(self._jobs)) if len(self._jobs) == 1 else None)):
            self._keep(span.runs)
            seen |= {run.run_id for run in span.runs}
            known = self._note(known, max(known.until, span.until))
        self._look_again({run: at for run, at in self._open.items() if run not in seen})
        self._tell()
        _ = self._note(known, known.until)
        over = sum(row["state"] in ENDED for row in self._owed.values())
        return Collected(self._written, len(self._open) - over, tuple(self._breaches))

    def keep(self, run_id: int) -> None:
        """Look at one run, whatever was collected so far: one that was repaired goes on again."""
        mark = self.ledger.mark()
        if mark is None:
            return
        self._open = dict(mark.open_runs)
        self._keep([self.api.get(run_id)])
        _ = self._note(mark, mark.until)

    def _note(self, known: Mark, until: int) -> Mark:
        mark = Mark(until, dict(self._open))
        if mark != known:
            self._make_ready()
            self.ledger.set_mark(mark, self.now())
        return mark

    def _make_ready(self) -> None:
        if not self._ready:
            self.ledger.ensure()
            self._ready = True

    def _keep(self, runs: Iterable[Run]) -> None:
        """Write the rows of those that are ours and say anything new."""
        ours = {run.run_id: run for run in runs if run.job_id in self._jobs}
        there = self._there({run.run_id: milliseconds(run.start) for run in ours.values()})
        self._make_rows(ours.values(), there)

    def _there(self, starts: Mapping[int, int]) -> dict[int, Row]:
        """The rows of these runs that the ledger has, by id."""
        days = sorted({day_of(moment(at) or EPOCH) for at in starts.values()})
        return {row["run_id"]: row for row in self.ledger.runs(days, list(starts))} if starts else {}

    def _make_rows(self, runs: Iterable[Run], there: Mapping[int, Row]) -> None:
        new = [run for run in runs if not self._known(run, there.get(run.run_id))]
        full = [self._with_outputs(run if run.complete else self.api.get(run.run_id)) for run in new]
        if full and self.also is not None:
            self.also(full)
        about = self._about(full, there)
        rows = [run_row(run, about) for run in full]
        for run, row in zip(full, rows, strict=True):
            if run.run_id not in there:
                row |= made_of(run, self._history)
        if rows:
            self._make_ready()
            self._written += self.ledger.write(rows, [row for run in full for row in task_rows(run, about)])
        fresh = {row["run_id"]: row for row in rows}
        for run in runs:
            before = there.get(run.run_id)
            self._settle({**(before or {}), **fresh.get(run.run_id, {})}, before)

    def _known(self, run: Run, row: Row | None) -> bool:
        """Whether the ledger has a run that ended as it is; one that goes on is always looked at."""
        if row is None or (run.end, run.state, run.result) != (row["end_time"], row["state"], row["result"]):
            return False
        return run.ended

    def _settle(self, row: Row, before: Row | None) -> None:
        """Decide whether a run is to be looked at again, and whether the web hook is to be told of it."""
        run_id = row["run_id"]
        if row["sla"] and not (before and before["sla"]):
            self._breaches.append(row)
        recent = row["end_time"] is None or row["end_time"] >= self.now() - TOLD_WITHIN
        if self.tell is not None and row["sla"] and not row.get("notified_at") and recent:
            self._owed[run_id] = row
        if row["state"] in ENDED and run_id not in self._owed:
            _ = self._open.pop(run_id, None)
        else:
            self._open[run_id] = milliseconds(row["start_time"])

    def _look_again(self, starts: Mapping[int, int]) -> None:
        """Look at runs that the list of new ones didn't have: those that go on for long, and those still to be told."""
        there = self._there(starts)
        for lost in starts.keys() - there.keys():
            del self._open[lost]
        for row in there.values():
            if row["state"] in ENDED:
                self._settle(row, row)
        going = [run_id for run_id, row in there.items() if row["state"] not in ENDED]
        found: dict[int, Run] = {}
        if len(going) > FEW:
            for page, _ in self.api.pages(RunQuery(active_only=True)):
                found |= {run.run_id: run for run in page if run.run_id in going}
        for run_id in going:
            if run_id not in found:
                try:
                    found[run_id] = self.api.get(run_id)
                except NotFound:
                    self._write_gone(there[run_id])
        self._make_rows(found.values(), there)

    def _write_gone(self, row: Row) -> None:
        if self.also is not None:
            self.also([Run(row["run_id"], row["job_id"], "GONE", row["start_time"], message=GONE)])
        gone = {**row, "state": "GONE", "error": GONE, "collected_at": self.now()}
        self._make_ready()
        self._written += self.ledger.write([gone], [])
        self._settle(gone, row)

    def _tell(self) -> None:
        if self.tell is None or not self._owed:
            return
        told = self.tell(list(self._owed.values()))
        self._make_ready()
        _ = self.ledger.write([{**row, "notified_at": self.now()} for row in told], [])
        for row in told:
            del self._owed[row["run_id"]]
            if row["state"] in ENDED:
                _ = self._open.pop(row["run_id"], None)

    def _with_outputs(self, run: Run) -> Run:
        """A run that has ended, with its loops' iterations and with why what failed did; the list tells neither."""
        if not run.ended:
            return run
        hidden = run.secrets | secrets_in(self._settings.get(run.job_id))
        with suppress(NotFound):  # it was deleted since it was listed
            run = self.api.with_iterations(run)
        failed = [each.task_run_id for each in run.iterations if each.failed][:FEW]
        return replace(
            run,
            tasks=tuple(self._with_output(task, hidden) if task.failed else task for task in run.tasks),
            iterations=tuple(
                self._with_output(each, hidden) if each.task_run_id in failed else each for each in run.iterations
            ),
        )

    def _with_output(self, task: TaskRun, hidden: frozenset[str]) -> TaskRun:
        try:
            output = self.api.output(task.task_run_id)
        except WorkspaceError as error:
            if isinstance(error, Throttled) or not 400 <= error.status < 500:
                raise
            return task  # some kinds of tasks have none, and what is deleted has none any more: the message stays
        return replace(task, message=without(str(output.get("error") or task.message), hidden))

    def _about(self, runs: Iterable[Run], there: Mapping[int, Row]) -> About:
        # The module of a run that was collected stays what it was, also when its job is no longer ours.
        modules = dict(self._jobs) | {row["job_id"]: row["module_name"] for row in there.values()}
        sources = self._sources(sorted({modules[run.job_id] for run in runs}))
        return About(self.ledger.workspace_id, self.now(), modules, self._settings, sources)

    def _sources(self, modules: Sequence[str]) -> dict[tuple[str, str], str]:
        """The sources of these modules by module and task_key."""
        if not modules:
            return {}
        control = self.ledger.tables.control.name
        columns = ["module_name", "source_id"]
        rows = self.ledger.store.read(control, columns=columns, where={"module_name": modules}).rows
        return {(row["module_name"], task_key(row["source_id"])): row["source_id"] for row in rows}

    @cached_property
    def _jobs(self) -> dict[int, str]:
        """Our modules by job id."""
        return {row.job_id: row.module_name for row in self.recorded if row.job_id is not None}

    @cached_property
    def _settings(self) -> dict[int, Settings]:
        return {row.job_id: row.settings for row in self.recorded if row.job_id is not None}

    @cached_property
    def _history(self) -> History:
        recorded = {row.job_id: row for row in self.recorded if row.job_id is not None}
        columns = ["job_id", "logged_at", "outcome", "control_version", "after_fingerprint", "correlation_id"]
        try:
            where = {"workspace_id": [self.ledger.workspace_id]}
            log = self.ledger.store.read(self.ledger.tables.log.name, columns=columns, where=where).rows
        except TableNotFound:
            log = ()
        return History(log, recorded)


def _start(mark: Mark) -> int:
    """Where to begin after a look that got so far."""
    near = [at for at in mark.open_runs.values() if at >= mark.until - NEAR_MS]
    return min([mark.until - AGAIN_MS, *near])
