"""What is kept of what a task prints: never more than it may, and always its end, where the error is."""

from __future__ import annotations

from collections import deque
from pathlib import Path

NOTE = "\n[… {} bytes left out: a task's output is kept up to {} bytes …]\n"


class Tail:
    """The last bytes of a stream."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self.lost = 0
        """So many bytes came before those that are held."""

    def add(self, data: bytes) -> None:
        """Take more, and let go of the oldest."""
        self._chunks.append(data)
        self._held += len(data)
        while self._held > self._limit:
            over = self._held - self._limit
            first = self._chunks.popleft()
            if len(first) > over:
                self._chunks.appendleft(first[over:])
            gone = min(over, len(first))
            self._held -= gone
            self.lost += gone

    def data(self) -> bytes:
        """What is held."""
        return b"".join(self._chunks)


class KeptFile:
    """A file of a stream's first and last bytes, with a note between them of how many are missing.

    What is below half of the limit is in the file at once, for those who look on; the rest when it closes.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self._file = path.open("wb", buffering=0)
        self._limit = limit
        self._room = limit // 2
        self._tail = Tail(limit - self._room)

    def __enter__(self) -> KeptFile:
        return self

    def __exit__(self, *_: object) -> None:
        if self._tail.lost:
            self._file.write(NOTE.format(self._tail.lost, self._limit).encode())
        self._file.write(self._tail.data())
        self._file.close()

    def add(self, data: bytes) -> None:
        """Keep what there is room for."""
        now, later = data[: self._room], data[self._room :]
        if now:
            _ = self._file.write(now)
            self._room -= len(now)
        if later:
            self._tail.add(later)
