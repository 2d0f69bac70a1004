"""The YAML files of a volume that isn't mounted here, read through the Files API.

Content is kept in the home folder by its hash, and an index tells which content each file had at which size and time
of change: a folder that hasn't changed costs its listing, a changed file one download. Content is only ever added,
under a name of its own, and the index replaced as a whole, so that several processes can share them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from pathlib import Path, PurePosixPath
from typing import Any

from lakeflow_job_meta.errors import Denied, NotFound, Unreachable, WorkspaceError
from lakeflow_job_meta.ingest.find import SUFFIXES, Found, FoundFile
from lakeflow_job_meta.ingest.listing import list_volume, unreadable
from lakeflow_job_meta.reader.limits import MAX_BYTES
from lakeflow_job_meta.workspace.api import Download
from lakeflow_job_meta.workspace.files import Entry, VolumeFiles

INDEX = "index.json"

DOWNLOADS = 8
"""Downloads side by side."""

SETTLED_MS = 2_000
"""A file that is younger when it is downloaded could change again without its size and time of change telling: storage
keeps times in seconds. It is downloaded again at the next look."""

KEPT_SECONDS = 3600.0
"""Content that no file has any more is kept so long: another process may be about to read it."""


@dataclass(frozen=True, slots=True)
class _Stamp:
    """The content of a file, and what a listing told of it then; without `modified` that isn't to be trusted."""

    size: int
    modified: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Mirror:
    """One path of a volume, and the folder on this machine that keeps its content."""

    files: VolumeFiles
    path: str
    cache: Path

    def look(self) -> Found | None:
        """The files as they are now; None where the path doesn't exist.

        Raises:
            InputError: the folder holds more than metadata would.
            WorkspaceError: the volume can't be read: nothing is known about its files then.
        """
        return self._file() if self.path.endswith(SUFFIXES) else self._folder()

    def _file(self) -> Found | None:
        place, found = PurePosixPath(self.path), self._other(self.path)
        if found is None:
            return None
        return Found(str(place.parent), self.path, (FoundFile(place.name, found),), self._other, single=True)

    def _folder(self) -> Found | None:
        try:
            listing = list_volume(self.files, self.path)
        except NotFound:
            return None
        known = self._read_index()
        stamps = {name: known[name] for name, entry in listing.files.items() if self._keeps(known.get(name), entry)}
        changed = [(name, entry) for name, entry in listing.files.items() if name not in stamps]
        findings = list(listing.findings)
        with ThreadPoolExecutor(DOWNLOADS) as pool:
            for (name, _), result in zip(changed, pool.map(self._try_download, changed), strict=True):
                if isinstance(result, _Stamp):
                    stamps[name] = result
                else:
                    findings.append(unreadable(result, f"{self.path}/{name}"))
        self._remember(stamps, known)
        files = tuple(FoundFile(name, self._content(stamps[name].sha256)) for name in sorted(stamps))
        return Found(self.path, self.path, files, self._other, tuple(findings))

    def _try_download(self, file: tuple[str, Entry]) -> _Stamp | WorkspaceError:
        """What one file holds, or why that can't be told of it alone."""
        name, entry = file
        try:
            got = self._download(f"{self.path}/{name}")
        except (NotFound, Denied) as problem:
            return problem
        stamp = _Stamp(entry.size, entry.modified, self._keep(got.data))
        as_listed = len(got.data) == entry.size and _seconds(got, "last-modified") == entry.modified // 1000
        settled = _seconds(got, "date") * 1000 - entry.modified >= SETTLED_MS
        return stamp if as_listed and settled else replace(stamp, modified=0)

    def _download(self, name: str) -> Download:
        got = self.files.download(name, MAX_BYTES + 1)
        length = got.headers.get("content-length")
        if length is not None and len(got.data) < min(int(length), MAX_BYTES + 1):
            raise Unreachable(f"{name}: the download broke off")
        return got

    def _other(self, place: str) -> Path | None:
        """Another file of the volume, downloaded; None where there is none."""
        try:
            return self._content(self._keep(self._download(place).data))
        except NotFound:
            return None

    def _content(self, sha256: str) -> Path:
        return self.cache / f"{sha256}.yml"

    def _keeps(self, stamp: _Stamp | None, entry: Entry) -> bool:
        """Whether the content of a file is here already."""
        if stamp is None or (stamp.size, stamp.modified) != (entry.size, entry.modified):
            return False
        try:
            return self._content(stamp.sha256).stat().st_size == entry.size
        except FileNotFoundError:
            return False

    def _keep(self, data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        self._write_whole(self._content(sha256), data)
        return sha256

    def _read_index(self) -> dict[str, _Stamp]:
        try:
            listed: Mapping[str, Sequence[Any]] = json.loads((self.cache / INDEX).read_text("utf-8"))
            return {name: _Stamp(*stamp) for name, stamp in listed.items()}
        except (OSError, ValueError, TypeError, AttributeError):  # none yet, or damaged: all is downloaded again
            return {}

    def _remember(self, stamps: Mapping[str, _Stamp], known: Mapping[str, _Stamp]) -> None:
        trusted = {name: stamp for name, stamp in stamps.items() if stamp.modified}
        if trusted == known:
            return
        listed = {name: [stamp.size, stamp.modified, stamp.sha256] for name, stamp in trusted.items()}
        self._write_whole(self.cache / INDEX, json.dumps(listed).encode())
        self._drop_unused({stamp.sha256 for stamp in stamps.values()})

    def _write_whole(self, path: Path, data: bytes) -> None:
        self.cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=self.cache)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(path)

    def _drop_unused(self, used: Collection[str]) -> None:
        oldest = time.time() - KEPT_SECONDS
        for path in self.cache.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process drops it too
                if path.name != INDEX and path.stem not in used and path.stat().st_mtime < oldest:
                    path.unlink()


def _seconds(got: Download, header: str) -> int:
    """A time that came with a download, in seconds since 1970; the earliest where it is missing or unreadable."""
    try:
        return int(parsedate_to_datetime(got.headers[header]).timestamp())
    except (KeyError, TypeError, ValueError):
        return 0
