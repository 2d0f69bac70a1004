"""What a volume's folder holds, as the Files API tells: all of it, or an error; nothing of it is trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lakeflow_job_meta.diagnostics import Diagnostic, FileLocation
from lakeflow_job_meta.errors import Denied, InputError, NotFound, WorkspaceError
from lakeflow_job_meta.ingest.find import SUFFIXES, is_nameable
from lakeflow_job_meta.reader.limits import MAX_BYTES
from lakeflow_job_meta.workspace.files import Entry, VolumeFiles

MAX_ENTRIES = 20_000
"""Files and folders below one path, whatever they are: more is no folder of metadata."""

MAX_TOTAL_BYTES = 256 * 1024 * 1024
MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class Listing:
    """The YAML files below a path, by their path relative to it, and what is wrong with the folder itself."""

    files: Mapping[str, Entry]
    findings: tuple[Diagnostic, ...]


def list_volume(files: VolumeFiles, path: str) -> Listing:
    """All YAML files below a folder of a volume.

    Raises:
        NotFound: there is no such folder.
        InputError: it holds more than a folder of metadata would.
        WorkspaceError: a page of the listing, or the folder itself, can't be had: nothing is known then.
    """
    walk = _Walk(files, path)
    walk.list("", 0)
    return Listing(walk.found, tuple(walk.findings))


def unreadable(problem: WorkspaceError, name: str) -> Diagnostic:
    """The finding about a file or folder that was listed and can't be read."""
    why = "may not be read" if isinstance(problem, Denied) else "is gone since it was listed"
    return Diagnostic(why, FileLocation(name))


@dataclass(slots=True)
class _Walk:
    """Folder by folder; what has been found so far."""

    files: VolumeFiles
    path: str
    found: dict[str, Entry] = field(default_factory=dict[str, Entry])
    findings: list[Diagnostic] = field(default_factory=list[Diagnostic])
    entries: int = 0
    bytes: int = 0

    def list(self, below: str, depth: int) -> None:
        folder = f"{self.path}/{below}".rstrip("/")
        if depth > MAX_DEPTH:
            raise InputError(f"{folder} lies more than {MAX_DEPTH} folders deep", hint="name the folder of metadata")
        inner: list[str] = []
        for entry in self.files.entries(folder):
            self.entries += 1
            if self.entries > MAX_ENTRIES:
                raise InputError(f"{self.path} holds more than {MAX_ENTRIES} files", hint="name the folder of metadata")
            if why := _strange(entry, folder):
                self.findings.append(Diagnostic(why, FileLocation(folder)))
            elif entry.name.startswith("."):
                continue
            elif entry.is_folder:
                inner.append(f"{below}{entry.name}/")
            elif entry.name.endswith(SUFFIXES):
                self._take(f"{below}{entry.name}", entry)
        for each in inner:
            try:
                self.list(each, depth + 1)
            except (NotFound, Denied) as problem:
                self.findings.append(unreadable(problem, f"{self.path}/{each}".rstrip("/")))

    def _take(self, relative: str, entry: Entry) -> None:
        if entry.size > MAX_BYTES:
            what = f"larger than {MAX_BYTES // 2**20} MiB"
            self.findings.append(Diagnostic(what, FileLocation(f"{self.path}/{relative}"), "split the file"))
            return
        self.found[relative] = entry
        self.bytes += entry.size
        if self.bytes > MAX_TOTAL_BYTES:
            most = f"{MAX_TOTAL_BYTES // 2**20} MiB"
            raise InputError(f"the YAML files in {self.path} have more than {most}", hint="name the folder of metadata")


def _strange(entry: Entry, folder: str) -> str:
    """Why an entry isn't one of this folder; empty where it is."""
    name = entry.name
    if not is_nameable(name):
        return f"a file name that isn't UTF-8: {name!a}"
    # Unity Catalog's names have no case: the service may answer in another one than it was asked in.
    elsewhere = entry.path.rstrip("/").casefold() != f"{folder}/{name}".casefold()
    if name in ("", ".", "..") or "/" in name or "\0" in name or elsewhere:
        return f"the workspace lists something that doesn't lie in this folder: {name!r} at {entry.path!r}"
    return ""
