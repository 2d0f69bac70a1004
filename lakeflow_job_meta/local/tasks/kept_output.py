"""What is kept of what a task prints: never more than it may, and always its end, where the error is."""

from __future__ import annotations

import contextlib
from pathlib import Path

NOTE = "\n[… {} bytes left out: a task's output is kept up to {} bytes …]\n"


class Tail:
    """The last bytes of a stream."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = bytearray()
        self._came = 0

    @property
    def lost(self) -> int:
        """So many bytes came before those that are held."""
        return max(0, self._came - self._limit)

    def add(self, data: bytes) -> None:
        """Take more, and let go of the oldest."""
        self._bytes += data
        self._came += len(data)
        if len(self._bytes) > 2 * self._limit:  # seldom, as to move what stays costs as much as it is long
            del self._bytes[: -self._limit]

    def data(self) -> bytes:
        """What is held."""
        return bytes(self._bytes[-self._limit :])


class KeptFile:
    """A file of a stream's first and last bytes, with a note between them of how many are missing.

    What is below half of the limit is in the file at once, for those who look on; the rest when it closes. A full disk
    costs the file its end, but not the task its life: its logs are told from memory.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self._file = path.open("wb", buffering=0)
        self._limit = limit
        self._room = limit // 2
        self._tail = Tail(limit - self._room)

    def __enter__(self) -> KeptFile:
        return self

    def __exit__(self, *_: object) -> None:
        with self._file, contextlib.suppress(OSError):
            if self._tail.lost:
                self._file.write(NOTE.format(self._tail.lost, self._limit).encode())
            self._file.write(self._tail.data())

    def add(self, data: bytes) -> None:
        """Keep what there is room for."""
        now, later = data[: self._room], data[self._room :]
        if now:
            self._room -= len(now)
            with contextlib.suppress(OSError):
                _ = self._file.write(now)
        if later:
            self._tail.add(later)
