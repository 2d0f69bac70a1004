"""Attempts under way: each in a thread that waits for its end and posts what became of it back into the loop."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from lakeflow_job_meta.errors import LakeflowJobMetaError
from lakeflow_job_meta.local.tasks.order import Ending, Execution, Executor, TaskOrder, TaskResult

LOG = logging.getLogger("lakeflow_job_meta.local")


@dataclass(frozen=True, slots=True)
class Lane:
    """What carries out some kinds of tasks: an executor for each workspace. So many attempts go on at once; the others
    wait in line. `needs_folder` where an attempt leaves files."""

    executor_of: Callable[[int], Executor]
    parallel: int
    needs_folder: bool = False


@dataclass(frozen=True, slots=True)
class Times:
    """When an attempt came out of the line, when it had been started, when it ended: ms since the epoch."""

    began_ms: int
    started_ms: int = 0
    ended_ms: int = 0


class Listener(Protocol):
    """Who wants to know how an attempt goes on; called in the loop."""

    def began(self, task_run_id: int, times: Times) -> None:
        """It runs now."""
        ...

    def ended(self, task_run_id: int, result: TaskResult, times: Times) -> None:
        """It has ended."""
        ...


class Dispatcher:
    """Hands orders to executors.

    Args:
        lanes: by kind of task.
        post: takes what is to be called in the loop; may be called from any thread.
    """

    def __init__(self, lanes: Mapping[str, Lane], post: Callable[[Callable[[], None]], None]) -> None:
        self._lanes = lanes
        self._post = post
        self._listener: Listener | None = None
        distinct = {id(lane): lane for lane in lanes.values()}
        self._pools = {key: ThreadPoolExecutor(lane.parallel, "attempt") for key, lane in distinct.items()}
        self._executions: dict[int, Execution] = {}
        self._in_line: dict[int, Future[None]] = {}
        """By task run: what waits in a lane's line, or runs."""
        self._unwanted: set[int] = set()

    def listen(self, listener: Listener) -> None:
        """Tell this one from now on."""
        self._listener = listener

    def carries_out(self, kind: str) -> bool:
        """Whether there is an executor of this kind of task."""
        return kind in self._lanes

    def submit(self, order: TaskOrder, workspace: int) -> None:
        """Carry out an order as soon as its lane has room."""
        lane = self._lanes[order.kind]
        self._in_line[order.task_run_id] = self._pools[id(lane)].submit(self._carry_out, lane, workspace, order)

    def cancel(self, task_run_id: int) -> None:
        """End an attempt; its listener is told as of any other end."""
        future = self._in_line.get(task_run_id)
        if future is None:
            return
        if future.cancel():  # its lane had no room yet
            self._post(partial(self._tell_ended, task_run_id, TaskResult(Ending.CANCELED), Times(_now())))
            return
        self._unwanted.add(task_run_id)
        if (execution := self._executions.get(task_run_id)) is not None:
            execution.cancel()

    def close(self, seconds: float) -> None:
        """End all attempts, and wait for them so long; nobody is told."""
        self._listener = None
        for task_run_id in list(self._in_line):
            self.cancel(task_run_id)
        deadline = time.monotonic() + seconds
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        while self._executions and time.monotonic() < deadline:
            time.sleep(0.01)

    def _carry_out(self, lane: Lane, workspace: int, order: TaskOrder) -> None:
        key, times = order.task_run_id, Times(_now())
        result = TaskResult(Ending.CANCELED)
        try:
            if key not in self._unwanted:
                if lane.needs_folder:
                    order.folder.mkdir(parents=True, exist_ok=True)
                execution = lane.executor_of(workspace).start(order)
                self._executions[key] = execution
                times = replace(times, started_ms=_now())
                self._post(partial(self._tell_began, key, times))
                if key in self._unwanted:
                    execution.cancel()  # asked for while it was being started
                result = execution.wait()
        except LakeflowJobMetaError as error:
            result = TaskResult(Ending.FAILED, error.message, error=str(error))
        except Exception as error:
            # The edge of a thread: without an end a run would stay under way for ever.
            LOG.exception("task run %s broke", key)
            result = TaskResult(Ending.FAILED, f"The executor broke: {type(error).__name__}; see server.log.")
        finally:
            self._executions.pop(key, None)
            self._post(partial(self._tell_ended, key, result, replace(times, ended_ms=_now())))

    def _tell_began(self, key: int, times: Times) -> None:
        if self._listener is not None:
            self._listener.began(key, times)

    def _tell_ended(self, key: int, result: TaskResult, times: Times) -> None:
        _ = self._in_line.pop(key, None)
        self._unwanted.discard(key)
        if self._listener is not None:
            self._listener.ended(key, result, times)


def _now() -> int:
    return time.time_ns() // 1_000_000
