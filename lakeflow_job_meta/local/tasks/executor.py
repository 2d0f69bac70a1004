"""Carries out the kinds of tasks that run in processes of their own: notebooks, Python files, wheels, dbt."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.local.tasks.environment import environment
from lakeflow_job_meta.local.tasks.inside.assignment import Assignment
from lakeflow_job_meta.local.tasks.inside.workspace import Workspace
from lakeflow_job_meta.local.tasks.limits import MEBIBYTE, Limits
from lakeflow_job_meta.local.tasks.order import Ending, Execution, TaskOrder, TaskResult
from lakeflow_job_meta.local.tasks.process import Ended, Start, TaskProcess
from lakeflow_job_meta.local.tasks.process_tree import end_marked
from lakeflow_job_meta.local.tasks.redactor import Redactor
from lakeflow_job_meta.local.tasks.told import Told, read_told, secrets_read

KINDS = ("notebook_task", "spark_python_task", "python_wheel_task", "dbt_task")
FAILED = "Workload failed, see run output for details"


class ProcessExecutor:
    """Starts each attempt in a process of its own.

    Args:
        home: the folder that holds tables, volumes and the workspace's files.
        workspace_id: whose notebooks, files and secrets the tasks see.
        limits: what a task may use.

    Example:
        executor = ProcessExecutor(Path(".lakeflow"), workspace_id)
        result = executor.start(order).wait()
    """

    def __init__(self, home: Path, workspace_id: int, limits: Limits | None = None) -> None:
        self._home = home.resolve()
        self._workspace_id = workspace_id
        self._limits = limits or Limits()

    def start(self, order: TaskOrder) -> Execution:
        """Start it; what is wrong with the task is a FAILED result."""
        folder = order.folder.resolve()
        try:
            self._assignment(order, folder).write()
            mark = f"{_mark_of(self._home)}{order.task_run_id}:{order.attempt}:{secrets.token_hex(4)}"
            variables = environment(os.environ, order.environment, mark)
            start = Start(folder, variables, mark, order.timeout_seconds, self._limits)
            workspace = Workspace(self._home, self._workspace_id)
            return _Running(TaskProcess(start), order, folder, self._limits, workspace)
        except OSError as problem:
            return _NotStarted(
                TaskResult(Ending.FAILED, FAILED, error=f"The task's process can't be started: {problem}")
            )

    def _assignment(self, order: TaskOrder, folder: Path) -> Assignment:
        return Assignment(
            self._home, self._workspace_id, folder, order.kind, dict(order.task), dict(order.parameters),
            {task: dict(values) for task, values in order.values.items()}, order.run_id, self._limits.memory_bytes,
        )  # fmt: skip


def end_leftovers(home: Path) -> list[int]:
    """End what tasks of this home have left that outlived their server; says the processes' ids.

    The kernel ends a task with its server; this finds those that had left the task's group.
    """
    return end_marked(_mark_of(home.resolve()))


@dataclass(frozen=True, slots=True)
class _NotStarted:
    result: TaskResult

    def wait(self) -> TaskResult:
        return self.result

    def cancel(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class _Running:
    process: TaskProcess
    order: TaskOrder
    folder: Path
    limits: Limits
    workspace: Workspace

    def wait(self) -> TaskResult:
        ended = self.process.wait()
        told, redacted = read_told(self.folder), self._redacted_outputs()
        output: dict[str, Any] = {**told.output, "logs": redacted(ended.logs), "logs_truncated": ended.logs_truncated}
        ending, message, error = self._verdict(ended, told)
        return TaskResult(
            ending, message, output, error, told.error_trace if ending is Ending.FAILED else "", told.values,
            rows_written=told.rows_written,
        )  # fmt: skip

    def cancel(self) -> None:
        self.process.cancel()

    def _redacted_outputs(self) -> Redactor:
        """Hide in the kept files what the task's own children have printed of secrets that it read."""
        redacted = Redactor()
        for scope, key in secrets_read(self.folder):
            with contextlib.suppress(InputError):  # deleted meanwhile
                redacted.hide(self.workspace.secret(scope, key).decode(errors="replace"))
        for name in ("stdout", "stderr"):
            kept = self.folder / name
            before = kept.read_text(errors="replace") if redacted else ""
            if (after := redacted(before)) != before:
                _ = kept.write_text(after)
        return redacted

    def _verdict(self, ended: Ended, told: Told) -> tuple[Ending, str, str]:
        if ended.asked is Ending.CANCELED:
            return Ending.CANCELED, "Run cancelled.", ""
        if ended.asked is Ending.TIMEDOUT:
            message = f"The task ran longer than its timeout of {self.order.timeout_seconds:g} seconds."
            return Ending.TIMEDOUT, message, message
        if ended.exit_code == 0 and not told.error:
            return Ending.SUCCESS, "", ""
        return Ending.FAILED, FAILED, told.error or self._how_it_died(ended.exit_code)

    def _how_it_died(self, code: int) -> str:
        if code >= 0:
            return f"The process ended with exit code {code}."
        memory = f"; its memory is limited to {self.limits.memory_bytes // MEBIBYTE} MiB" if code == -9 else ""
        return f"The process was ended by signal {-code} ({_signal_name(-code)}){memory}."


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return "unknown"


def _mark_of(home: Path) -> str:
    return hashlib.sha256(str(home).encode()).hexdigest()[:16] + ":"
