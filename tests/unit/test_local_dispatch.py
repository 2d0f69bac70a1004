"""Attempts in lanes: so many at once, each with one end, also where the executor itself breaks."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lakeflow_job_meta.errors import StoreError
from lakeflow_job_meta.local.runs.dispatch import Dispatcher, Lane, Times
from lakeflow_job_meta.local.tasks.order import Ending, Execution, TaskOrder, TaskResult


@dataclass
class Door:
    """An executor whose attempts go on until they are let out; kinds named for what they do."""

    open: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    inside: set[int] = field(default_factory=set)

    def start(self, order: TaskOrder) -> Execution:
        problems = {"breaks": RuntimeError("a bug"), "refuses": StoreError("no", hint="try later")}
        if order.kind in problems:
            raise problems[order.kind]
        self.inside.add(order.task_run_id)
        return Waiting(self, order.task_run_id)


@dataclass
class Waiting:
    door: Door
    number: int
    canceled: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> TaskResult:
        while not self.canceled.is_set():
            if self.door.open.acquire(timeout=0.01):
                return TaskResult(Ending.SUCCESS)
        return TaskResult(Ending.CANCELED)

    def cancel(self) -> None:
        self.canceled.set()


@dataclass
class Loop:
    """What the server's loop is to a dispatcher: it carries out what is posted, in this thread."""

    steps: queue.SimpleQueue[Callable[[], None]] = field(default_factory=queue.SimpleQueue)
    began_: list[int] = field(default_factory=list)
    ended_: dict[int, TaskResult] = field(default_factory=dict)

    def began(self, task_run_id: int, times: Times) -> None:
        assert times.began_ms <= times.started_ms
        self.began_.append(task_run_id)

    def ended(self, task_run_id: int, result: TaskResult, times: Times) -> None:
        assert task_run_id not in self.ended_, "told twice"
        assert times.ended_ms >= times.started_ms
        self.ended_[task_run_id] = result

    def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.steps.get(timeout=5)()


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def dispatcher(door: Door, loop: Loop) -> Iterator[Dispatcher]:
    lane = Lane(lambda _: door, 2)
    made = Dispatcher({"waits": lane, "breaks": lane, "refuses": lane}, loop.steps.put)
    made.listen(loop)
    yield made
    made.close(5)


def order(number: int, kind: str = "waits") -> TaskOrder:
    return TaskOrder(1, number, 0, kind, {}, {}, {}, Path())


def test_a_lane_lets_in_as_many_as_it_may_in_their_order(dispatcher: Dispatcher, door: Door, loop: Loop) -> None:
    for number in range(5):
        dispatcher.submit(order(number), 1)
    loop.until(lambda: len(loop.began_) == 2)
    assert door.inside == {0, 1}
    door.open.release(5)
    loop.until(lambda: len(loop.ended_) == 5)
    assert loop.began_ == sorted(loop.began_)
    assert {each.ending for each in loop.ended_.values()} == {Ending.SUCCESS}


def test_what_runs_and_what_is_in_line_can_be_cancelled(dispatcher: Dispatcher, door: Door, loop: Loop) -> None:
    for number in range(3):
        dispatcher.submit(order(number), 1)
    loop.until(lambda: len(loop.began_) == 2)
    dispatcher.cancel(2)
    loop.until(lambda: 2 in loop.ended_)
    dispatcher.cancel(0)
    loop.until(lambda: 0 in loop.ended_)
    assert [loop.ended_[each].ending for each in (0, 2)] == [Ending.CANCELED] * 2
    assert door.inside == {0, 1}, "what was in line never began"
    dispatcher.cancel(0)
    dispatcher.cancel(99)
    door.open.release()
    loop.until(lambda: 1 in loop.ended_)


def test_an_executor_that_breaks_or_refuses_ends_its_attempt(dispatcher: Dispatcher, door: Door, loop: Loop) -> None:
    dispatcher.submit(order(1, "breaks"), 1)
    dispatcher.submit(order(2, "refuses"), 1)
    loop.until(lambda: len(loop.ended_) == 2)
    assert loop.ended_[1] == TaskResult(Ending.FAILED, "The executor broke: RuntimeError; see server.log.")
    assert loop.ended_[2] == TaskResult(Ending.FAILED, "no", error="no\n  hint: try later")
    door.open.release(3)
    for number in (3, 4, 5):
        dispatcher.submit(order(number), 1)
    loop.until(lambda: len(loop.ended_) == 5)


def test_after_the_end_nobody_is_told(dispatcher: Dispatcher, loop: Loop) -> None:
    for number in range(3):
        dispatcher.submit(order(number), 1)
    loop.until(lambda: len(loop.began_) == 2)
    dispatcher.close(5)
    while not loop.steps.empty():
        loop.steps.get()()
    assert loop.ended_ == {}
