"""Starting and finding the embedded workspace's server of a home folder; it is a process of its own.

Nothing here imports the server: it is spawned, found through the file it writes, and kept alive by a lock that this
process holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast

from lakeflow_job_meta.errors import Unreachable, WorkspaceError

START_SECONDS = 30.0
STOP_SECONDS = 10.0
LOG_TAIL_LINES = 15


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A running server: its address, the token that opens it, the id of its workspace, and whether somebody keeps it
    in the foreground."""

    url: str
    token: str = field(repr=False)
    workspace_id: int
    foreground: bool = False


def ensure_local(home: Path, flags: Sequence[str] = ()) -> LocalServer:
    """The server of this home folder, started if none runs; it stays at least as long as this process.

    Args:
        home: the home folder; made if it isn't there.
        flags: more arguments for a server that has to be started, e.g. `--strict`; one that runs keeps its own.

    Raises:
        WorkspaceError: it doesn't start; the message ends with the last lines of its log.
    """
    folder = home.resolve() / "local"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _hold_clients_lock(folder)
    server = _running(folder)
    if server is None:
        # Of several processes that come at once, one starts the server and the others wait for it here.
        with (folder / "launch.lock").open("a") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            server = _running(folder) or _start(home.resolve(), folder, flags)
    return server


def find_local(home: Path) -> LocalServer | None:
    """The server of this home folder if one runs and answers; starts none."""
    return _running(home.resolve() / "local")


def stop_local(home: Path) -> bool:
    """End the server of this home folder cleanly; says whether one ran.

    Raises:
        Unreachable: it is still there after 10 seconds.
    """
    folder = home.resolve() / "local"
    pid = _pid(folder)
    if pid is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while _server_lives(folder):
        if time.monotonic() > deadline:
            raise Unreachable(f"The embedded workspace (process {pid}) does not end.")
        time.sleep(0.01)
    return True


def _start(home: Path, folder: Path, flags: Sequence[str]) -> LocalServer:
    deadline = time.monotonic() + START_SECONDS
    started = _spawn(home, folder, flags)
    while (server := _running(folder)) is None:
        if started.poll() == 0:
            # Another server had the lock: one started by hand, or one that was just ending.
            started = _spawn(home, folder, flags)
        elif started.poll() is not None:
            raise WorkspaceError(f"The embedded workspace did not start (exit {started.returncode}).{_tail(folder)}")
        if time.monotonic() > deadline:
            raise WorkspaceError(f"The embedded workspace did not answer in {START_SECONDS:.0f} s.{_tail(folder)}")
        time.sleep(0.02)
    return server


def _running(folder: Path) -> LocalServer | None:
    """The server described in the folder, if it lives and answers."""
    if not _server_lives(folder):
        return None  # a file left behind by a killed server, or none
    try:
        known = cast("dict[str, Any]", json.loads((folder / "server.json").read_text()))
        token = (folder / "token").read_text().strip()
        if not _answers(int(known["port"]), int(known["pid"])):
            return None
        return LocalServer(str(known["url"]), token, int(known["workspace_id"]), bool(known.get("foreground")))
    except (OSError, ValueError, KeyError):
        return None


def _server_lives(folder: Path) -> bool:
    """Whether a process holds the server's lock; the kernel lets go of it however that process ends."""
    try:
        with (folder / "server.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _pid(folder: Path) -> int | None:
    if not _server_lives(folder):
        return None
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and _server_lives(folder):
        with contextlib.suppress(OSError, ValueError, KeyError):
            return int(json.loads((folder / "server.json").read_text())["pid"])
        time.sleep(0.01)
    return None


def _answers(port: int, pid: int) -> bool:
    # The port of a killed server may be another home's by now; the process tells them apart.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
    try:
        connection.request("GET", "/local/alive")
        return json.loads(connection.getresponse().read()) == {"pid": pid}
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()


def _spawn(home: Path, folder: Path, flags: Sequence[str]) -> subprocess.Popen[bytes]:
    with (folder / "server.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "lakeflow_job_meta.local", "--home", str(home), *flags],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Not this folder: a server outlives who started it and must not keep a file system busy.
            cwd="/",
            env={**os.environ, **_search_path()},
            start_new_session=True,
        )


def _search_path() -> dict[str, str]:
    """What lets the child find this very package where it isn't installed."""
    root = Path(__file__).resolve().parent.parent.parent
    if root.is_relative_to(Path(sys.prefix).resolve()):
        return {}
    return {"PYTHONPATH": os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])}


def _hold_clients_lock(folder: Path) -> None:
    path = folder / "clients.lock"
    path.touch(mode=0o600)
    _clients_lock(path, path.stat().st_ino, os.getpid())


@cache
def _clients_lock(path: Path, inode: int, pid: int) -> int:
    """A handle that tells the server, for as long as this process lives, that a client is there."""
    # Parts of the cache's key only: a forked child, and a home deleted and made anew, need a lock of their own.
    del inode, pid
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(handle, fcntl.LOCK_SH)
    return handle


def _tail(folder: Path) -> str:
    with contextlib.suppress(OSError):
        lines = (folder / "server.log").read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return "".join(f"\n  {line}" for line in (f"{folder / 'server.log'}:", *lines))
    return ""
