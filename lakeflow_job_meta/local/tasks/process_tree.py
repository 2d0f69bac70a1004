"""All processes of a task, and their end: its group, and what left the group but bears the task's mark."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lakeflow_job_meta.local.tasks.environment import MARK

PROC = Path("/proc")
ROUNDS = 20
"""So often those are looked for that were started while we ended the others."""


@dataclass(frozen=True, slots=True)
class ProcessTree:
    """The processes of one task.

    Args:
        group: the process group, which is the id of its first process too.
        mark: the value of the variable by which those are known that left the group; every child inherits it.
    """

    group: int
    mark: str

    def members(self) -> list[int]:
        """Those alive; elsewhere than on Linux, where there is no /proc, none can be told."""
        sought = f"{MARK}={self.mark}".encode()
        return [pid for pid in _processes() if _is_alive(pid, self.group, sought)]

    def send(self, number: signal.Signals) -> None:
        """Send all of them a signal."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a dead group
            os.killpg(self.group, number)
        for pid in self.members():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    def kill(self) -> None:
        """End them all, also those that they start meanwhile."""
        for _ in range(ROUNDS):
            self.send(signal.SIGKILL)
            if not self.members():
                return
            time.sleep(0.005)


def end_marked(prefix: str) -> list[int]:
    """End the processes of all tasks whose marks begin so, which a server that died has left; says which."""
    sought = f"{MARK}={prefix}".encode()
    found = [pid for pid in _processes() if pid != os.getpid() and _is_alive(pid, -1, sought)]
    for pid in found:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return found


def _processes() -> Iterator[int]:
    if not PROC.is_dir():
        return
    for entry in os.scandir(PROC):
        if entry.name.isdecimal():
            yield int(entry.name)


def _is_alive(pid: int, group: int, sought: bytes) -> bool:
    try:
        # After the name, which may hold anything but ends with the last bracket: state, parent, group.
        state, _, its_group = (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split(None, 3)[:3]
        if state in (b"Z", b"X"):
            return False
        return int(its_group) == group or any(
            each.startswith(sought) for each in (PROC / str(pid) / "environ").read_bytes().split(b"\0")
        )
    except OSError:  # it has ended, or is somebody else's
        return False
