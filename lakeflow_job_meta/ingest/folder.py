"""Which files a path stands for, and what they all declare."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lakeflow_job_meta.control.files import RowKey
from lakeflow_job_meta.diagnostics import Diagnostic, FileLocation, Severity
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.ingest.declared import DeclaredFile, DeclaredRow
from lakeflow_job_meta.ingest.modules import parse_modules
from lakeflow_job_meta.reader.document import read_file

SUFFIXES = (".yml", ".yaml")


@dataclass(frozen=True, slots=True)
class Declarations:
    """A file or a folder as read: every file, good or bad, and what is wrong with the folder itself.

    `root` is the folder (a single file's folder) as an absolute path.
    """

    root: str
    shown: str
    files: tuple[DeclaredFile, ...]
    findings: tuple[Diagnostic, ...] = ()
    single: bool = False

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """All findings, of the folder and of every file."""
        return (*self.findings, *(each for file in self.files for each in file.findings))

    @property
    def rows(self) -> dict[RowKey, tuple[DeclaredFile, DeclaredRow]]:
        """Every declared row by key."""
        return {row.key: (file, row) for file in self.files for row in file.rows}


def read_declarations(path: str | Path) -> Declarations:
    """Read one YAML file, or all below a folder (.yml, .yaml; not those hidden by a dot).

    Raises:
        InputError: the path is missing or can't be read.
    """
    start = Path(path)
    if start.is_dir():
        root = start.resolve()
        found, findings = _walk(start, root)
        files = [_read(each, each.relative_to(start).as_posix(), findings) for each in found]
        declared = _report_shared([file for file in files if file is not None])
        return Declarations(str(root), str(path), tuple(declared), tuple(findings))
    if not start.exists():
        raise InputError(f"{path} doesn't exist", hint=f"relative paths start at {Path.cwd()}")
    file = read_declared(start, start.name)
    return Declarations(str(start.parent.resolve()), str(path), (file,), single=True)


def content_digest(path: str | Path) -> str:
    """A hash of the names and contents of all YAML files that a path stands for; equal as long as nothing changed.

    Costs a fiftieth of reading them. A path that is missing has a digest too.
    """
    start = Path(path)
    found, findings = _walk(start, start.resolve()) if start.is_dir() else ([start], [])
    whole = hashlib.sha256("\n".join(str(each) for each in findings).encode())
    for each in found:
        try:
            content = hashlib.sha256(each.read_bytes()).hexdigest()
        except OSError as problem:
            content = str(problem.strerror)
        whole.update(f"\n{each}\n{content}".encode())
    return whole.hexdigest()


def read_declared(path: Path, relative: str) -> DeclaredFile:
    """One file of the modules dialect.

    Raises:
        InputError: it can't be read at all.
    """
    reading = read_file(path)
    if reading.document is None:
        return DeclaredFile(str(path), relative, reading.sha256, (), reading.diagnostics)
    rows, findings = parse_modules(reading.document)
    return DeclaredFile(str(path), relative, reading.sha256, tuple(rows), (*reading.diagnostics, *findings))


def _read(path: Path, relative: str, findings: list[Diagnostic]) -> DeclaredFile | None:
    try:
        return read_declared(path, relative)
    except InputError as problem:  # gone since it was listed, or not ours to read: the other files tell more
        findings.append(Diagnostic(problem.message, FileLocation(str(path))))
        return None


def _walk(start: Path, root: Path) -> tuple[list[Path], list[Diagnostic]]:
    """The YAML files below a folder in a stable order.

    Links that stay below the folder are followed, once: mounted volumes are often made of links to a hidden folder.
    """
    files: list[Path] = []
    findings: list[Diagnostic] = []
    folders, linked, seen = [start], list[Path](), set[Path]()
    while folders or linked:
        folder = folders.pop() if folders else linked.pop(0)
        real = folder.resolve()
        if real in seen:
            continue
        seen.add(real)
        for entry in _entries(folder, findings):
            path = folder / entry.name
            if entry.is_symlink() and not _inside(path, root):
                if path.is_dir() or path.suffix in SUFFIXES:
                    what = "a link that leads out of the folder" if path.exists() else "a link that leads nowhere"
                    findings.append(Diagnostic(what, FileLocation(str(path)), "put the file itself here"))
            elif path.is_dir():
                (linked if entry.is_symlink() else folders).append(path)
            elif path.suffix in SUFFIXES and path.is_file():
                if _nameable(entry.name):
                    files.append(path)
                else:
                    findings.append(
                        Diagnostic(f"a file name that isn't UTF-8: {entry.name!a}", FileLocation(str(folder)))
                    )
    return sorted(files), findings


def _entries(folder: Path, findings: list[Diagnostic]) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from (each for each in entries if not each.name.startswith("."))
    except OSError as problem:
        findings.append(Diagnostic(f"can't be read: {problem.strerror}", FileLocation(str(folder))))


def _nameable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _inside(path: Path, root: Path) -> bool:
    try:
        return path.resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError):  # leads nowhere, or to itself
        return False


def _report_shared(files: Sequence[DeclaredFile]) -> list[DeclaredFile]:
    """A module belongs to one file: whatever two files declare is a finding in both, which names the other place."""
    places: dict[RowKey, list[tuple[DeclaredFile, DeclaredRow]]] = {}
    for file in files:
        for row in file.rows:
            places.setdefault(row.key, []).append((file, row))
    extra: dict[str, list[Diagnostic]] = {}
    for (module, source), claims in places.items():
        what = f"source '{source}' of module '{module}'" if source else f"module '{module}'"
        column = "source_id" if source else "module_name"
        for file, row in claims if len(claims) > 1 else ():
            others = ", ".join(str(other.place.at(column)) for its, other in claims if its is not file)
            message = f"{what} is declared in another file too"
            found = Diagnostic(message, row.place.at(column), f"also at {others}; a module belongs in one file")
            extra.setdefault(file.name, []).append(found)
    return [replace(file, findings=(*file.findings, *extra.get(file.name, ()))) for file in files]


def is_bad(file: DeclaredFile) -> bool:
    """Whether a file has an error."""
    return any(each.severity is Severity.ERROR for each in file.findings)
