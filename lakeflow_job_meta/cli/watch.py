"""A run while it goes on: a live tree of its tasks in a terminal, a line for each change elsewhere; on stderr."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lakeflow_job_meta.cli.render import say
from lakeflow_job_meta.cli.run_text import STEP, UNRUN, duration, headline, output_lines
from lakeflow_job_meta.errors import WorkspaceError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from lakeflow_job_meta.model.run import Run, TaskRun
    from lakeflow_job_meta.runs.module_runs import ModuleRuns

COLORS = {"SUCCESS": "green", "SUCCESS_WITH_FAILURES": "yellow", "RUNNING": "cyan", "FAILED": "red", "TIMEDOUT": "red"}
TAIL = 3
"""So many last lines of what a task left, or has printed so far, are shown below it."""
ASKED = 4
"""So many tasks that go on are asked at each look what they have printed."""


def watch(runs: ModuleRuns, module: str, run_id: int) -> tuple[Run, bool]:
    """Stay until a run has ended; the run, and whether Ctrl-C ended it. A second Ctrl-C leaves at once."""
    stopping = threading.Event()
    asked = False

    def look(run: Run) -> None:
        nonlocal asked
        if stopping.is_set() and not asked and not run.ended:
            asked = True
            runs.cancel(run_id)
        show(run)

    shown = _live(runs, module) if sys.stderr.isatty() else _lines(runs, module)
    with shown as show, _interruptible(stopping, run_id):
        return runs.wait(run_id, on_look=look, wake=stopping), asked


@contextmanager
def _lines(runs: ModuleRuns, module: str) -> Generator[Callable[[Run], None]]:
    told: dict[int, str] = {}
    tails = Tails(runs)

    def show(run: Run) -> None:
        if run.run_id not in told:
            say(f"run {run.run_id} of {module}: {run.page_url}")
            told[run.run_id] = ""
        for task in run.tasks:
            if told.get(task.task_run_id) == task.word or task.word in ("BLOCKED", "PENDING"):
                continue
            told[task.task_run_id] = task.word
            took = f" after {duration(task.duration_ms)}" if task.ended and task.word not in UNRUN else ""
            say(f"{datetime.now(UTC):%H:%M:%S} {_name(task)}: {task.word}{took}")
            for line in tails.of(run, task):
                say(f"  {line}")

    yield show


@contextmanager
def _live(runs: ModuleRuns, module: str) -> Generator[Callable[[Run], None]]:
    from rich.console import Console
    from rich.live import Live

    tails = Tails(runs)
    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        yield lambda run: live.update(_tree(module, run, tails), refresh=True)


def _tree(module: str, run: Run, tails: Tails) -> RenderableType:
    from rich.text import Text
    from rich.tree import Tree

    now = datetime.now(UTC)
    tree = Tree(Text(headline(module, run, now), COLORS.get(run.word, "")))
    so_far = tails.so_far(run)
    for task in run.tasks:
        began = task.start if task.start and task.word not in UNRUN else None
        took = duration(((task.end or now) - began) / STEP) if began else ""
        took += f"  {task.loop}" if task.loop and task.loop.total else ""
        branch = tree.add(Text.assemble((f"{task.word:<10}", COLORS.get(task.word, "dim")), f" {_name(task)}  {took}"))
        for line in so_far.get(task.task_run_id) or tails.of(run, task):
            branch.add(Text(line, "dim", overflow="ellipsis", no_wrap=True))
    return tree


class Tails:
    """The last lines of what tasks left, asked for once when a task has ended, and of what those that go on print."""

    def __init__(self, runs: ModuleRuns) -> None:
        self._runs = runs
        self._known: dict[int, list[str]] = {}

    def of(self, run: Run, task: TaskRun) -> list[str]:
        """Of this task."""
        if not task.ended or task.word in UNRUN:
            return []
        if task.task_run_id not in self._known:
            self._known[task.task_run_id] = self._ask(run, task)
        return self._known[task.task_run_id]

    def so_far(self, run: Run) -> dict[int, list[str]]:
        """Of the first tasks that run now, where the workspace tells it."""
        running = [task for task in run.tasks if task.word == "RUNNING" and task.loop is None][:ASKED]
        return {task.task_run_id: self._ask(run, task) for task in running}

    def _ask(self, run: Run, task: TaskRun) -> list[str]:
        try:
            return output_lines(self._runs.output(run, task))[-TAIL:]
        except WorkspaceError as error:
            return [f"its output can't be told: {error.message}"]


def _name(task: TaskRun) -> str:
    return task.task_key if task.attempt == 1 else f"{task.task_key} (attempt {task.attempt})"


@contextmanager
def _interruptible(stopping: threading.Event, run_id: int) -> Generator[None]:
    def on_signal(*_: object) -> None:
        if stopping.is_set():
            raise KeyboardInterrupt
        say(f"cancelling run {run_id}; Ctrl-C again leaves it to itself")
        stopping.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
