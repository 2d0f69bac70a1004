"""Files beside the metadata that tasks name by relative paths: found, hashed, and followed for changes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from lakeflow_job_meta.compile import Compiled
from lakeflow_job_meta.compile.local_files import with_files
from lakeflow_job_meta.diagnostics import Diagnostic, RowLocation, nearest
from lakeflow_job_meta.diagnostics import Path as Place
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.model.job import DesiredJob
from lakeflow_job_meta.model.local_file import LANGUAGES, LocalFile

MOST_BYTES = 10 * 1024 * 1024
"""What the workspace takes in one piece."""

GONE = ""
"""The hash of a file that can't be read."""


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """The files below one folder, which relative paths start at.

    `followed` are those that the jobs named when they were last compiled, by relative path: the hash that each had.
    """

    root: Path
    followed: dict[str, str] = field(default_factory=dict[str, str])
    _hashes: dict[Path, tuple[tuple[int, int, int], str]] = field(
        default_factory=dict[Path, tuple[tuple[int, int, int], str]]
    )

    def find(self, path: str, *, notebook: bool) -> LocalFile:
        """The file of that relative path, which is followed from now on; of a notebook the suffix may be left out.

        Raises:
            InputError: it isn't there, lies outside of the folder, is too large, or is no notebook.
        """
        found = self._locate(path)
        if not found.is_file():
            raise InputError(f"{found} doesn't exist", hint=_near(found) or "paths of the workspace start with /")
        if notebook and found.suffix.lower() not in LANGUAGES:
            raise InputError(f"{path} is no notebook", hint="known are " + ", ".join(LANGUAGES))
        if found.stat().st_size > MOST_BYTES:
            raise InputError(f"{path} has more than {MOST_BYTES // 2**20} MB", hint="put it into a volume")
        self.followed[path] = sha256 = self._hash(found)
        return LocalFile(found, sha256, notebook)

    def _locate(self, path: str) -> Path:
        root = self.root.resolve()
        found = (root / path).resolve()
        if not found.is_relative_to(root):
            raise InputError(f"{path} lies outside of {root}", hint="relative paths start at the setting files_root")
        if found.is_file():
            return found
        with_suffix = [found.with_name(found.name + suffix) for suffix in LANGUAGES]
        return next((each for each in with_suffix if each.is_file()), found)

    def put_in(self, compiled: Compiled, table: str) -> Compiled:
        """The jobs with the workspace's paths of their files; a module whose file can't be had is frozen."""
        jobs: dict[str, DesiredJob] = {}
        found: list[Diagnostic] = []
        for name, job in compiled.jobs.items():
            jobs[name] = self._with_files(job, table, found)
        bad = {cast("RowLocation", each.location).module for each in found}
        good = {name: job for name, job in jobs.items() if name not in bad}
        return Compiled(good, (*compiled.diagnostics, *found), compiled.frozen | bad)

    def now(self) -> dict[str, str]:
        """The files that are followed, with the hashes that they have now; GONE for one that can't be read."""
        return {path: self._hash_of(path) for path in self.followed}

    def unchanged(self, known: Mapping[str, str]) -> bool:
        """Whether these files have the hashes that they had; they are followed from now on."""
        for path, sha256 in known.items():
            self.followed.setdefault(path, sha256)
        return all(self._hash_of(path) == sha256 for path, sha256 in known.items())

    def _with_files(self, job: DesiredJob, table: str, found: list[Diagnostic]) -> DesiredJob:
        files: list[LocalFile] = []

        def put(path: str, notebook: bool, place: Place) -> str:
            try:
                file = self.find(path, notebook=notebook)
            except (InputError, OSError) as error:
                message, hint = (error.message, error.hint) if isinstance(error, InputError) else (str(error), "")
                found.append(Diagnostic(message, _row(job, table, place), hint))
                return path
            files.append(file)
            return file.remote

        settings = with_files(job.settings, put)
        return replace(job, settings=settings, files=tuple(files)) if files else job

    def _hash_of(self, path: str) -> str:
        try:
            return self._hash(self._locate(path))
        except (InputError, OSError):
            return GONE

    def _hash(self, path: Path) -> str:
        status = path.stat()
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        known = self._hashes.get(path)
        if known is None or known[0] != stamp:
            known = self._hashes[path] = (stamp, hashlib.sha256(path.read_bytes()).hexdigest())
        return known[1]


def _row(job: DesiredJob, table: str, place: Place) -> RowLocation:
    """The row that says so: a task's source, or the module's own."""
    if place[0] == "tasks":
        return RowLocation(table, job.module_name, job.sources[cast("int", place[1])], "transformation_config")
    return RowLocation(table, job.module_name, "", "job_config", place)


def _near(path: Path) -> str:
    return nearest(path.name, [each.name for each in path.parent.iterdir()]) if path.parent.is_dir() else ""
