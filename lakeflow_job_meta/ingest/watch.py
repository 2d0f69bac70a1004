"""Noticing that files of a folder changed: by the operating system's events where they can be trusted, by content
everywhere else. An event decides only when to look, never what to do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

REST_SECONDS = 0.3
"""A file that was written less than that ago may be half written."""

PATIENCE_SECONDS = 10.0
"""How long to wait for a folder to rest; one that is written all the time is read as it is."""

SUFFIXES = (".yml", ".yaml")


def wait_until_rested(folder: Path, sleep: Callable[[float], None] = time.sleep) -> None:
    """Return once no YAML file below the folder changed for REST_SECONDS."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    before = _signature(folder)
    newest = max((entry[2] for entry in before), default=0)
    if time.time_ns() - newest > REST_SECONDS * 1e9:
        return
    while time.monotonic() < deadline:
        sleep(REST_SECONDS)
        after = _signature(folder)
        if after == before:
            return
        before = after


def _signature(folder: Path) -> set[tuple[str, int, int]]:
    found: set[tuple[str, int, int]] = set()
    paths = [folder] if folder.is_file() else (path for path in folder.rglob("*") if path.suffix in SUFFIXES)
    for path in paths:
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue  # removed between listing and looking: the next look doesn't see it at all
        found.add((str(path), stat.st_size, stat.st_mtime_ns))
    return found


class FolderWatch:
    """Sets an event whenever something below a folder changes; a folder that isn't there yet is waited for.

    Used as a context manager. On volumes and network mounts events don't come: poll there.
    """

    def __init__(self, folder: Path, changed: threading.Event) -> None:
        self._folder = folder
        self._changed = changed
        self._observer: Any = None

    def __enter__(self) -> FolderWatch:
        self.attach()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._detach()

    def attach(self) -> bool:
        """Watch the folder if it is there and isn't watched; says whether it is watched now."""
        if not self._folder.is_dir():
            self._detach()
            return False
        if self._observer is None:
            from watchdog.events import FileSystemEvent, FileSystemEventHandler
            from watchdog.observers import Observer

            changed = self._changed

            class Handler(FileSystemEventHandler):
                def on_any_event(self, event: FileSystemEvent) -> None:
                    # Reading a file is an event too; our own look must not cause the next one.
                    if event.event_type not in ("opened", "closed_no_write"):
                        changed.set()

            self._observer = Observer()
            self._observer.daemon = True
            self._observer.schedule(Handler(), str(self._folder), recursive=True)
            self._observer.start()
        return True

    def _detach(self) -> None:
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(timeout=5)
            self._observer = None
