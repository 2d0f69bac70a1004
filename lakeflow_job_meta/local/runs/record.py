"""A run, and a run of one of its tasks, as they are kept: frozen, and as JSON in a row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from lakeflow_job_meta.local.runs.dag import Outcome


class LifeCycle(StrEnum):
    """Where a run is: the API's life cycle states."""

    QUEUED = "QUEUED"
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    TERMINATING = "TERMINATING"
    TERMINATED = "TERMINATED"
    SKIPPED = "SKIPPED"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    BLOCKED = "BLOCKED"
    WAITING_FOR_RETRY = "WAITING_FOR_RETRY"


TERMINAL = frozenset({LifeCycle.TERMINATED, LifeCycle.SKIPPED, LifeCycle.INTERNAL_ERROR})


@dataclass(frozen=True, slots=True)
class Phase:
    """Where a run is, how it ended, and what is said about it; `code` is the API's termination code."""

    life_cycle: LifeCycle
    result: Outcome | None = None
    message: str = ""
    code: str = ""

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.life_cycle in TERMINAL


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a job, or of tasks submitted without one.

    `begun_ms` is 0 until it leaves the queue, `end_ms` 0 until it has ended; `parent` is the run of the task that
    started it, if one did, and `ancestors` the jobs above it. `settings` is the job as it was then.
    """

    run_id: int
    workspace: int
    job_id: int
    kind: str
    name: str
    creator: str
    trigger: str
    start_ms: int
    phase: Phase
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    overriding: Mapping[str, Any] = field(default_factory=dict[str, Any])
    trigger_info: Mapping[str, Any] = field(default_factory=dict[str, Any])
    repairs: Sequence[Mapping[str, Any]] = ()
    token: str = ""
    queueing: bool = False
    parent: int = 0
    ancestors: Sequence[int] = ()
    begun_ms: int = 0
    end_ms: int = 0

    @property
    def tasks(self) -> list[dict[str, Any]]:
        """The tasks' settings."""
        return list(self.settings.get("tasks", ()))

    @property
    def is_repair(self) -> bool:
        """Whether it was repaired."""
        return len(self.repairs) > 0


@dataclass(frozen=True, slots=True)
class TaskRun:
    """One attempt of a task, or of one iteration of a loop (`parent` is then the loop's own run).

    `tries` counts the attempts since the run or its repair began, `attempt` those since ever. `resolved` is the task
    with all references put in, empty until it begins; `outcome` what a condition came to; `child` the run that it
    started; `rows` what the last query of a SQL task returned, for those that refer to it. `rows_read` and
    `rows_written` are how many its statements read and wrote, None where nobody knows.
    """

    run_id: int
    job_run_id: int
    key: str
    kind: str
    task: Mapping[str, Any]
    phase: Phase
    attempt: int = 0
    tries: int = 1
    original: int = 0
    repair: int = 0
    parent: int = 0
    iteration: int = -1
    resolved: Mapping[str, Any] = field(default_factory=dict[str, Any])
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    rows: Sequence[Mapping[str, Any]] = ()
    rows_read: int | None = None
    rows_written: int | None = None
    outcome: str = ""
    child: int = 0
    input: Any = None
    start_ms: int = 0
    queue_ms: int = 0
    setup_ms: int = 0
    execution_ms: int = 0
    end_ms: int = 0


def kind_of(task: Mapping[str, Any]) -> str:
    """Which field of a task says what to do.

    >>> kind_of({"task_key": "a", "sql_task": {}})
    'sql_task'
    """
    return next((name for name in task if name.endswith("_task")), "")


def to_json(record: Run | TaskRun) -> str:
    """The record without what has a column of its own."""
    return json.dumps(
        {each.name: getattr(record, each.name) for each in fields(record) if each.name != "settings"},
        default=_plain,
        separators=(",", ":"),
    )


def run_from(text: str, settings: str) -> Run:
    """The run of a row."""
    data: dict[str, Any] = json.loads(text)
    data |= {"phase": phase_from(data["phase"]), "settings": json.loads(settings)}
    return Run(**data)


def task_from(text: str) -> TaskRun:
    """The task run of a row."""
    data: dict[str, Any] = json.loads(text)
    data["phase"] = phase_from(data["phase"])
    return TaskRun(**data)


def phase_json(phase: Phase) -> dict[str, Any]:
    """A phase as JSON has it."""
    return {"life_cycle": phase.life_cycle, "result": phase.result, "message": phase.message, "code": phase.code}


def _plain(value: object) -> object:
    if isinstance(value, Phase):
        return phase_json(value)
    raise TypeError(f"a record can't hold a {type(value).__name__}")


def phase_from(data: Mapping[str, Any]) -> Phase:
    """A phase out of its JSON form."""
    result = data["result"]
    return Phase(LifeCycle(data["life_cycle"]), Outcome(result) if result else None, data["message"], data["code"])
