"""What a run asks of a task's executor, and what it is told: data alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol


class Ending(StrEnum):
    """How a task ended, in the words of the Jobs API's result states."""

    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    TIMEDOUT = "TIMEDOUT"
    CANCELED = "CANCELED"


@dataclass(frozen=True, slots=True)
class TaskOrder:
    """One attempt of one task, with every dynamic reference resolved.

    Args:
        run_id: of the job run; task_run_id: of this task's run; attempt: counted from 0.
        task: the Jobs API task as resolved; kind: which of its fields says what to do (`notebook_task`, `sql_task`, …).
        parameters: the job's, which a notebook sees as widgets too; its own of the same name have their values already.
        values: the task values of the tasks before it, by task_key and key.
        folder: its own working folder, made before; what it leaves there is kept with the run.
        timeout_seconds: 0 for none.
        environment: variables for the task's process beside the plain ones.
    """

    run_id: int
    task_run_id: int
    attempt: int
    kind: str
    task: Mapping[str, Any]
    parameters: Mapping[str, str]
    values: Mapping[str, Mapping[str, Any]]
    folder: Path
    timeout_seconds: float = 0
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What became of an attempt.

    `output` is what runs/get-output tells beside the error (`notebook_output`, `sql_output`, `logs`, …), `values` the
    task values that it set; rows are None where nobody knows.
    """

    ending: Ending
    message: str = ""
    output: Mapping[str, Any] = field(default_factory=dict[str, Any])
    error: str = ""
    error_trace: str = ""
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    rows_read: int | None = None
    rows_written: int | None = None


class Execution(Protocol):
    """An attempt under way."""

    def wait(self) -> TaskResult:
        """Blocks until it has ended."""
        ...

    def cancel(self) -> None:
        """End it, its children with it; `wait` then returns CANCELED. Harmless when it has ended."""
        ...


class Executor(Protocol):
    """Starts attempts of one or several kinds of tasks."""

    def start(self, order: TaskOrder) -> Execution:
        """Start it; what is wrong with the task itself is a FAILED result, not an error."""
        ...
