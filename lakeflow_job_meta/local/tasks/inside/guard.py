"""The process ends with its server, and takes no more than it may."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import sys
import threading


def guard(lifeline: int) -> None:
    """End this process and its whole group as soon as nobody holds the pipe's other end; -1 in a child of a task's.

    On Linux the kernel does it: a pipe whose last writer goes can send any signal to a group. PR_SET_PDEATHSIG would
    not do: it fires when the thread ends that started us, and forgets our children.
    """
    if lifeline < 0:
        return
    if sys.platform == "linux":
        _ = fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgid(0))
        _ = fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        _ = fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC | os.O_NONBLOCK)
        try:
            if os.read(lifeline, 1) == b"":
                _end_group()  # the server was gone before the kernel knew what to do
        except BlockingIOError:
            return
    else:
        threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()


def limit_memory(size: int) -> None:
    """Let each process have so many bytes of data: heap and private mappings, but no files and no mere reservations,
    of which a Java machine makes many."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if size and sys.platform == "linux":
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = size if hard == resource.RLIM_INFINITY else min(size, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _end_with(lifeline: int) -> None:
    _ = os.read(lifeline, 1)
    _end_group()


def _end_group() -> None:
    os.killpg(0, signal.SIGKILL)
