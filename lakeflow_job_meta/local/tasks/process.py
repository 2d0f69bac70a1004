"""One task's processes, from the start to the end of the last of them.

A thread a task watches: what it prints, its time, whether it is to be ended, and its end. The other end of its
lifeline, a pipe, is ours: the kernel ends the task when we are gone, however that came (see `inside/guard.py`).
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lakeflow_job_meta.local.tasks.kept_output import KeptFile, Tail
from lakeflow_job_meta.local.tasks.limits import Limits
from lakeflow_job_meta.local.tasks.order import Ending
from lakeflow_job_meta.local.tasks.process_tree import ProcessTree

CHUNK = 256 * 1024
DRAIN_SECONDS = 1.0
"""So long we wait for the last output when all processes that we know of have ended."""
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Start:
    """What to start: our own interpreter on the folder's order, in the folder's `work`."""

    folder: Path
    environment: Mapping[str, str]
    mark: str
    timeout_seconds: float
    limits: Limits


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of the process: `asked` where we ended it, the exit code (minus the signal's number), its output."""

    asked: Ending | None
    exit_code: int
    logs: str
    logs_truncated: bool


class TaskProcess:
    """A running task.

    Raises:
        OSError: it can't be started.
    """

    def __init__(self, start: Start) -> None:
        self._start = start
        self._limits = start.limits
        lifeline, self._our_end = os.pipe()
        try:
            self._process = _popen(start, lifeline)
        except OSError:
            os.close(self._our_end)
            raise
        finally:
            os.close(lifeline)
        self._tree = ProcessTree(self._process.pid, start.mark)
        self._wake_read, self._wake_write = os.pipe()
        self._lock = threading.Lock()
        self._asked: Ending | None = None
        self._over = False
        self._logs = Tail(self._limits.logs_bytes)
        self._thread = threading.Thread(target=self._watch, name=f"task-{self._process.pid}", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        """The first process's id, which is the group's too."""
        return self._process.pid

    def cancel(self) -> None:
        """Ask it to end, and soon make it; returns at once."""
        with self._lock:
            if not self._over and self._asked is None:
                self._asked = Ending.CANCELED
                _ = os.write(self._wake_write, b"x")

    def wait(self) -> Ended:
        """Blocks until all its processes have ended."""
        self._thread.join()
        text = self._logs.data().decode(errors="replace")
        return Ended(self._asked, self._process.returncode, text, self._logs.lost > 0)

    def _watch(self) -> None:
        try:
            self._until_ended()
        finally:
            # Whatever happened to us: no process is left, and none of our descriptors. One that was reaped isn't sent
            # anything: its number may be another's by now.
            if self._process.returncode is None:
                self._tree.kill()
                _ = self._process.wait()
            with self._lock:
                self._over = True
                for number in (self._our_end, self._wake_read, self._wake_write):
                    os.close(number)
            for stream in (self._process.stdout, self._process.stderr):
                if stream is not None:
                    stream.close()

    def _until_ended(self) -> None:
        started = time.monotonic()
        deadline = started + self._start.timeout_seconds if self._start.timeout_seconds > 0 else None
        folder, size = self._start.folder, self._limits.file_bytes
        with (
            KeptFile(folder / "stdout", size) as out,
            KeptFile(folder / "stderr", size) as err,
            selectors.DefaultSelector() as selector,
        ):
            outputs = {_raw(self._process.stdout): out, _raw(self._process.stderr): err}
            for number in outputs:
                os.set_blocking(number, False)
                _ = selector.register(number, selectors.EVENT_READ)
            self._until_exit(selector, outputs, deadline)
            self._end_the_rest()
            _ = self._process.wait()
            self._drain(selector, outputs)

    def _until_exit(
        self, selector: selectors.BaseSelector, outputs: dict[int, KeptFile], deadline: float | None
    ) -> None:
        """Until the first process has exited; it isn't reaped yet, so that its group's number stays taken."""
        kill_at: float | None = None
        _ = selector.register(self._wake_read, selectors.EVENT_READ)
        with _exit_signal(self._process.pid) as exited:
            if exited is not None:
                _ = selector.register(exited, selectors.EVENT_READ)
            while True:
                limit = deadline if kill_at is None else kill_at
                ready = self._take(selector, outputs, _pause(limit, endless=exited is not None))
                if (exited in ready) if exited is not None else (self._process.poll() is not None):
                    break
                now = time.monotonic()
                if kill_at is None and deadline is not None and now >= deadline:
                    with self._lock:
                        self._asked = self._asked or Ending.TIMEDOUT
                if kill_at is None and self._asked is not None:
                    self._tree.send(signal.SIGTERM)
                    kill_at = now + self._limits.grace_seconds
                elif kill_at is not None and now >= kill_at:
                    self._tree.send(signal.SIGKILL)
                    kill_at = now + self._limits.grace_seconds
            if exited is not None:
                _ = selector.unregister(exited)
        _ = selector.unregister(self._wake_read)
        with self._lock:
            self._over = True

    def _end_the_rest(self) -> None:
        """What the task left running; a cancelled task's children get the time that it had itself."""
        if self._asked is not None:
            until = time.monotonic() + self._limits.grace_seconds
            while time.monotonic() < until and self._tree.members():
                time.sleep(POLL_SECONDS)
        self._tree.kill()

    def _take(self, selector: selectors.BaseSelector, outputs: dict[int, KeptFile], timeout: float | None) -> set[int]:
        ready = {key.fd for key, _ in selector.select(timeout)}
        for number in ready & outputs.keys():
            data = os.read(number, CHUNK)
            if data:
                outputs[number].add(data)
                self._logs.add(data)
            else:
                _ = selector.unregister(number)
        if self._wake_read in ready:
            _ = os.read(self._wake_read, CHUNK)
        return ready

    def _drain(self, selector: selectors.BaseSelector, outputs: dict[int, KeptFile]) -> None:
        until = time.monotonic() + DRAIN_SECONDS
        while selector.get_map() and time.monotonic() < until:
            _ = self._take(selector, outputs, max(0.0, until - time.monotonic()))


def _popen(start: Start, lifeline: int) -> subprocess.Popen[bytes]:
    # -P: what lies in the task's folder mustn't hide the modules that we need before the task's own begins.
    command = [sys.executable, "-P", "-m", "lakeflow_job_meta.local.tasks.inside", str(start.folder), str(lifeline)]
    return subprocess.Popen(
        command, cwd=start.folder / "work", env=dict(start.environment), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, pass_fds=[lifeline],
    )  # fmt: skip


@contextlib.contextmanager
def _exit_signal(pid: int) -> Generator[int | None]:
    """What becomes readable when the process exits, where the system has it; else None, and one has to look."""
    if sys.platform != "linux":
        yield None
        return
    number = os.pidfd_open(pid)
    try:
        yield number
    finally:
        os.close(number)


def _pause(until: float | None, *, endless: bool) -> float | None:
    most = None if endless else POLL_SECONDS
    if until is None:
        return most
    left = max(0.0, until - time.monotonic())
    return left if most is None else min(left, most)


def _raw(stream: IO[bytes] | None) -> int:
    assert stream is not None  # noqa: S101 (both are pipes)
    return stream.fileno()
