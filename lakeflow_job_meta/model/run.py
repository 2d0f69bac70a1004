"""Runs as the Jobs API tells them, typed as far as we reason about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from lakeflow_job_meta.model.job import mapping
from lakeflow_job_meta.model.masking import masked, secrets_in, without

ENDED = frozenset({"TERMINATED", "SKIPPED", "INTERNAL_ERROR", "GONE"})
"""Life cycle states after which nothing more happens, unless the run is repaired. GONE is ours: the workspace doesn't
know the run any more."""

GOOD = frozenset({"SUCCESS", "SUCCESS_WITH_FAILURES"})
"""Results of a run that did what it was meant to do."""

BAD = frozenset({"FAILED", "TIMEDOUT", "INTERNAL_ERROR"})
"""Results of a task that failed by itself: its output tells why."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

PARAMETERS = (
    "jar_params", "notebook_params", "python_params", "python_named_params", "spark_submit_params", "sql_params",
    "dbt_commands", "pipeline_params",
)  # fmt: skip
"""The older parameters of a run, beside job_parameters."""


@dataclass(frozen=True, slots=True)
class Loop:
    """How far the iterations of a for_each task are; `total` is None where the workspace doesn't tell."""

    total: int | None = None
    ended: int = 0
    failed: int = 0

    @classmethod
    def from_api(cls, task: Mapping[str, Any]) -> Loop | None:
        """The counts of a task of `runs/get`; None for one that is no loop.

        >>> stats = {"total_iterations": 4, "completed_iterations": 2, "failed_iterations": 1}
        >>> str(Loop.from_api({"for_each_task": {"stats": {"task_run_stats": stats}}}))
        '2 of 4 iterations, 1 failed'
        """
        stats = mapping(mapping(mapping(task.get("for_each_task")).get("stats")).get("task_run_stats"))
        if not stats:
            return cls() if "for_each_task" in task else None
        return cls(*(int(stats.get(f"{name}_iterations") or 0) for name in ("total", "completed", "failed")))

    def __str__(self) -> str:
        if not self.total:
            return ""
        return f"{self.ended} of {self.total} iterations" + (f", {self.failed} failed" if self.failed else "")


@dataclass(frozen=True, slots=True)
class TaskRun:
    """One attempt of one task, or of one iteration of a for_each task, which `loop_run_id` is then the run of.

    `attempt` counts from 1, times of day are UTC, durations are in milliseconds. `loop` is set for a for_each task.
    """

    task_run_id: int
    task_key: str
    state: str
    result: str | None = None
    message: str = ""
    attempt: int = 1
    start: datetime | None = None
    end: datetime | None = None
    duration_ms: int | None = None
    queue_ms: int | None = None
    rows_read: int | None = None
    rows_written: int | None = None
    depends_on: tuple[str, ...] = ()
    page_url: str = ""
    loop: Loop | None = None
    loop_run_id: int | None = None
    original_id: int = 0

    @classmethod
    def from_api(cls, task: Mapping[str, Any], loop_run_id: int | None = None) -> TaskRun:
        """A task of `runs/get` or of an expanded `runs/list`; with `loop_run_id` one of a loop's iterations."""
        state, result, message = _state(task)
        start, end = moment(task.get("start_time")), moment(task.get("end_time"))
        kept = mapping(task.get("local"))
        return cls(
            int(task["run_id"]), str(task.get("task_key", "")), state, result, message,
            int(task.get("attempt_number") or 0) + 1, start, end, _between(start, end), task.get("queue_duration"),
            kept.get("rows_read"), kept.get("rows_written"),
            tuple(str(each.get("task_key")) for each in task.get("depends_on") or ()),
            str(task.get("run_page_url", "")), Loop.from_api(task), loop_run_id,
            int(task.get("original_attempt_run_id") or task["run_id"]),
        )  # fmt: skip

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def word(self) -> str:
        """How people call where it is: the result, or the state until there is one."""
        return self.result or self.state

    @property
    def failed(self) -> bool:
        """Whether it failed by itself, not because of another task."""
        return self.result in BAD or (self.state == "INTERNAL_ERROR" and self.result is None)

    def to_dict(self) -> dict[str, Any]:
        """The task run as JSON-ready values."""
        return {
            "task_run_id": self.task_run_id, "task_key": self.task_key, "attempt": self.attempt, "state": self.state,
            "result": self.result, "message": self.message or None, "start_time": self.start, "end_time": self.end,
            "duration_ms": self.duration_ms, "queue_ms": self.queue_ms, "rows_read": self.rows_read,
            "rows_written": self.rows_written, "depends_on": list(self.depends_on), "loop_run_id": self.loop_run_id,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a job; `parameters` are masked, `complete` is false where a list left out tasks, `iterations` are its
    loops', where they were asked for.

    `secrets` are those that its parameters hold: no text about it may quote them.
    """

    run_id: int
    job_id: int
    state: str
    start: datetime
    result: str | None = None
    message: str = ""
    name: str = ""
    trigger: str = ""
    end: datetime | None = None
    duration_ms: int | None = None
    queue_ms: int | None = None
    parameters: Mapping[str, Any] | None = None
    page_url: str = ""
    tasks: tuple[TaskRun, ...] = ()
    complete: bool = True
    latest_repair_id: int | None = None
    iterations: tuple[TaskRun, ...] = ()
    secrets: frozenset[str] = field(default=frozenset[str](), repr=False)

    @classmethod
    def from_api(cls, run: Mapping[str, Any]) -> Run:
        """A run of `runs/get`, or of an expanded `runs/list`; secrets in parameters are masked, here and in messages.

        >>> Run.from_api({"run_id": 7, "job_id": 1, "start_time": 0, "state": {"life_cycle_state": "RUNNING"}}).word
        'RUNNING'
        """
        state, result, message = _state(run)
        given = _parameters(run)
        secrets = secrets_in(given, run.get("tasks"))
        start, end = moment(run.get("start_time")) or EPOCH, moment(run.get("end_time"))
        tasks = (TaskRun.from_api(each) for each in run.get("tasks") or ())
        repairs = [each["id"] for each in run.get("repair_history") or () if each.get("id")]
        return cls(
            int(run["run_id"]), int(run.get("job_id") or 0), state, start, result, without(message, secrets),
            str(run.get("run_name", "")), str(run.get("trigger", "")), end, _between(start, end),
            run.get("queue_duration"), masked(given) if given else None, str(run.get("run_page_url", "")),
            tuple(replace(task, message=without(task.message, secrets)) for task in tasks),
            not run.get("has_more"), repairs[-1] if repairs else None, secrets=secrets,
        )  # fmt: skip

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def succeeded(self) -> bool:
        return self.result in GOOD

    @property
    def word(self) -> str:
        """How people call where it is: the result, or the state until there is one."""
        return self.result or self.state

    @property
    def attempts(self) -> int:
        """How often its most repeated task was tried."""
        return max((task.attempt for task in self.tasks), default=1)

    @property
    def latest(self) -> tuple[TaskRun, ...]:
        """The last attempt of each task, in the order of the tasks."""
        newest: dict[str, TaskRun] = {}
        for task in self.tasks:
            if task.task_key not in newest or task.attempt >= newest[task.task_key].attempt:
                newest[task.task_key] = task
        return tuple(newest.values())

    def elapsed(self, now: datetime) -> timedelta:
        """How long it took, or takes so far, with its wait in the queue."""
        return (self.end or now) - self.start

    def to_dict(self) -> dict[str, Any]:
        """The run as JSON-ready values."""
        return {
            "run_id": self.run_id, "job_id": self.job_id, "name": self.name, "state": self.state, "result": self.result,
            "message": self.message or None, "trigger": self.trigger, "parameters": self.parameters,
            "attempts": self.attempts, "start_time": self.start, "end_time": self.end, "duration_ms": self.duration_ms,
            "queue_ms": self.queue_ms, "page_url": self.page_url, "tasks": [task.to_dict() for task in self.tasks],
            "iterations": [task.to_dict() for task in self.iterations],
        }  # fmt: skip


def moment(ms: Any) -> datetime | None:
    """Epoch milliseconds as a time; 0 and absent are none.

    >>> moment(1000).isoformat(), moment(0)
    ('1970-01-01T00:00:01+00:00', None)
    """
    return EPOCH + timedelta(milliseconds=int(ms)) if ms else None


def milliseconds(time: datetime) -> int:
    """A time as epoch milliseconds.

    >>> milliseconds(moment(1234))
    1234
    """
    return (time - EPOCH) // timedelta(milliseconds=1)


def _between(start: datetime | None, end: datetime | None) -> int | None:
    return max(0, (end - start) // timedelta(milliseconds=1)) if start and end else None


def _state(run: Mapping[str, Any]) -> tuple[str, str | None, str]:
    """Life cycle state, result, message; a run that only has the newer `status` is read too."""
    state = mapping(run.get("state"))
    if state:
        return (
            str(state.get("life_cycle_state", "")),
            cast("str | None", state.get("result_state")),
            str(state.get("state_message") or ""),
        )
    status = mapping(run.get("status"))
    details = mapping(status.get("termination_details"))
    code = str(details.get("code") or "")
    result = None if not code else code if code in GOOD else "CANCELED" if "CANCEL" in code else "FAILED"
    return str(status.get("state", "")), result, str(details.get("message") or "")


def _parameters(run: Mapping[str, Any]) -> dict[str, Any]:
    entries = cast("Sequence[Mapping[str, Any]]", run.get("job_parameters") or ())
    given: dict[str, Any] = {str(each.get("name")): each.get("value", each.get("default")) for each in entries}
    overriding = mapping(run.get("overriding_parameters"))
    return given | {name: overriding[name] for name in PARAMETERS if overriding.get(name)}
