"""The process around the application: one for each home folder, found through a file, gone when idle."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import logging
import os
import secrets
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import uvicorn

from lakeflow_job_meta.local.app import Application
from lakeflow_job_meta.local.call import ENGINES, Options
from lakeflow_job_meta.local.state import State

LOG = logging.getLogger("lakeflow_job_meta.local")
KEEP_ALIVE_SECONDS = 3600
MAX_LOG_BYTES = 5 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """The folder that the server's files lie in, and its lock on it."""

    folder: Path
    lock: IO[str]

    @property
    def ours(self) -> bool:
        """Whether the folder is still the one we locked, not deleted or made anew meanwhile."""
        try:
            return os.path.samestat((self.folder / "server.lock").stat(), os.fstat(self.lock.fileno()))
        except FileNotFoundError:
            return False


class Server(uvicorn.Server):
    """Stops by itself when nobody has asked anything for a while and no client lives."""

    def __init__(self, config: uvicorn.Config, application: Application, place: Place, idle_seconds: float) -> None:
        super().__init__(config)
        self._application = application
        self._place = place
        self._idle_seconds = idle_seconds
        self._clients: IO[str] | None = None

    def stop(self, number: int, frame: object) -> None:
        """A signal's handler: end after the requests under way."""
        del number, frame
        self.should_exit = True

    async def watch(self) -> None:
        """Look now and then whether anybody still needs the server."""
        last_busy = time.monotonic()
        pause = min(1.0, self._idle_seconds / 4) if self._idle_seconds else 1.0
        while not self.should_exit:
            await asyncio.sleep(pause)
            if not self._place.ours:
                LOG.info("the home folder is gone: stopping")
                self.should_exit = True
            elif self._application.busy:
                last_busy = time.monotonic()
            elif self._idle_seconds:
                self._stop_if_idle(last_busy)

    def _stop_if_idle(self, last_busy: float) -> None:
        idle = time.monotonic() - max(self._application.last_request, last_busy)
        if idle <= self._idle_seconds:
            return
        # Every client holds this lock for its life. Kept to the end, it makes one that comes just now wait until we
        # are gone, and start another.
        self._clients = _locked(self._place.folder / "clients.lock")
        if self._clients is not None:
            LOG.info("idle for %.0f s: stopping", idle)
            self.should_exit = True

    async def run_until_done(self, listener: socket.socket) -> None:
        """Serve on the socket until a signal or idleness."""
        self._application.open(f"http://127.0.0.1:{listener.getsockname()[1]}")
        watcher = asyncio.create_task(self.watch())
        try:
            await self.serve(sockets=[listener])
        finally:
            watcher.cancel()
            self._application.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server; returns 0 also where another one serves this home already."""
    options, port, idle_seconds, foreground = _parse(arguments)
    folder = options.home / "local"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    # Clients look whether the lock is held by taking it for an instant: that must not look like a server.
    lock = _locked(folder / "server.lock", tries=5)
    if lock is None:
        _say(f"A server already runs for {options.home}: {_known(folder).get('url', 'it is just starting')}")
        return 0
    with lock:
        _log_to(folder / "server.log", foreground=foreground)
        return _serve(options, Place(folder, lock), port, idle_seconds, foreground=foreground)


def read_token(folder: Path) -> str:
    """The fixed token of this home, made at first use; only its owner can read the file."""
    path = folder / "token"
    if not path.exists():
        handle, name = tempfile.mkstemp(dir=folder)  # mode 0600 from the start
        with os.fdopen(handle, "w") as file:
            file.write(f"dapi{secrets.token_hex(16)}")
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
        Path(name).unlink()
    return path.read_text().strip()


def _serve(options: Options, place: Place, port: int, idle_seconds: float, *, foreground: bool) -> int:
    folder = place.folder
    listener = _listen(port, _known(folder).get("port", 0))
    used = int(listener.getsockname()[1])
    state = State(folder / "workspace.db")
    application = Application(state, options, read_token(folder))
    server = Server(_config(application), application, place, idle_seconds)
    for number in (signal.SIGTERM, signal.SIGINT):
        # Before anybody can know the process, and for the time after uvicorn, which raises the signal once more.
        signal.signal(number, server.stop)
    url = f"http://127.0.0.1:{used}"
    # The port stays known when the server is gone, so that the next one's address is the same.
    _write_whole(folder / "port", str(used))
    _write_whole(folder / "server.json", _description(url, used, application.workspace_id, foreground=foreground))
    LOG.info("serving %s at %s", options.home, url)
    if foreground:
        _say(f"Serving the embedded workspace of {options.home} at {url}")
    try:
        asyncio.run(server.run_until_done(listener))
    finally:
        if place.ours:
            (folder / "server.json").unlink(missing_ok=True)
        state.close()
        LOG.info("stopped")
    return 0


def _config(application: Application) -> uvicorn.Config:
    # No lifespan, no access log, no proxy headers: nothing here needs them and each costs time a request.
    return uvicorn.Config(
        application, log_config=None, access_log=False, lifespan="off", http="h11", ws="none", loop="asyncio",
        proxy_headers=False, server_header=False, timeout_keep_alive=KEEP_ALIVE_SECONDS, timeout_graceful_shutdown=5,
    )  # fmt: skip


def _parse(arguments: Sequence[str] | None) -> tuple[Options, int, float, bool]:
    parser = argparse.ArgumentParser(prog="python -m lakeflow_job_meta.local", description="The embedded workspace.")
    parser.add_argument("--home", type=Path, required=True, help="the home folder that the state lies under")
    parser.add_argument("--port", type=int, default=0, help="0: the one used before if it is free, else any")
    parser.add_argument("--idle-seconds", type=float, default=120, help="stop when idle for so long; 0: never")
    parser.add_argument("--strict", action="store_true", help="refuse unknown warehouse and query ids")
    parser.add_argument("--token-per-workspace", action="store_true", help="any token opens a workspace of its own")
    parser.add_argument("--stub-unsupported", action="store_true", help="tasks that can't run here succeed unrun")
    parser.add_argument("--fire-triggers", action="store_true", help="start jobs by schedule and trigger")
    parser.add_argument("--sql-engine", choices=ENGINES, default=ENGINES[0], help="what carries out SQL tasks")
    parser.add_argument("--faults", action="store_true", help="serve /local/faults, for tests")
    parser.add_argument("--list-lag", type=float, default=0, help="seconds until a new job is listed, for tests")
    parser.add_argument("--foreground", action="store_true", help="print the address and log to standard error too")
    given = parser.parse_args(arguments)
    options = Options(
        home=given.home.resolve(), strict=given.strict, token_per_workspace=given.token_per_workspace,
        faults=given.faults, list_lag_seconds=given.list_lag,
        stub_unsupported=given.stub_unsupported, fire_triggers=given.fire_triggers, sql_engine=given.sql_engine,
    )  # fmt: skip
    return options, given.port, given.idle_seconds, given.foreground


def _listen(port: int, usual: int) -> socket.socket:
    """A listening socket on loopback: the port asked for, or the usual one if it is free, or any."""
    for candidate in [port] if port else [usual, 0]:
        # asyncio turns Nagle's delay off only where the protocol is named; without, each answer takes 40 ms.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", candidate))
        except OSError as error:
            listener.close()
            if port:
                raise SystemExit(f"Port {port} can't be used: {error}") from None
        else:
            listener.listen(2048)
            return listener
    raise SystemExit("No free port on 127.0.0.1.")


def _known(folder: Path) -> dict[str, Any]:
    """What an earlier or running server wrote about itself; empty if nothing."""
    known: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        known["port"] = int((folder / "port").read_text())
    with contextlib.suppress(OSError, ValueError):
        known |= json.loads((folder / "server.json").read_text())
    return known


def _description(url: str, port: int, workspace_id: int, *, foreground: bool) -> str:
    known = {"url": url, "port": port, "pid": os.getpid(), "workspace_id": workspace_id, "started_at": time.time()}
    return json.dumps({**known, "foreground": foreground})


def _write_whole(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    Path(name).replace(path)


def _locked(path: Path, tries: int = 1) -> IO[str] | None:
    """The file, locked for us alone, or None while others hold it."""
    handle = path.open("a")
    for attempt in range(tries):
        time.sleep(0.02 if attempt else 0)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return handle
    handle.close()
    return None


def _log_to(path: Path, *, foreground: bool) -> None:
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > MAX_LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
    handlers: list[logging.Handler] = [logging.FileHandler(path)]
    if foreground:
        handlers.append(logging.StreamHandler(sys.stderr))
    logging.basicConfig(handlers=handlers, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")


def _say(text: str) -> None:
    print(text, flush=True)
