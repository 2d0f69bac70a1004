"""Which files a path stands for, and what they all declare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lakeflow_job_meta.control.files import RowKey
from lakeflow_job_meta.diagnostics import Diagnostic, FileLocation, Severity
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.ingest.declared import DeclaredFile, DeclaredRow
from lakeflow_job_meta.ingest.find import Found, FoundFile, find_files
from lakeflow_job_meta.ingest.modules import other_kind, parse_modules
from lakeflow_job_meta.reader.document import read_file


@dataclass(frozen=True, slots=True)
class Declarations:
    """A file or a folder as read: what was found there, every file, good or bad, and what is wrong with the folder
    itself."""

    found: Found
    files: tuple[DeclaredFile, ...]
    findings: tuple[Diagnostic, ...] = ()

    @property
    def root(self) -> str:
        """The folder (a single file's folder) as an absolute path."""
        return self.found.root

    @property
    def shown(self) -> str:
        """How people named it."""
        return self.found.shown

    @property
    def single(self) -> bool:
        """Whether it is one file."""
        return self.found.single

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """All findings, of the folder and of every file."""
        return (*self.findings, *(each for file in self.files for each in file.findings))

    @property
    def rows(self) -> dict[RowKey, tuple[DeclaredFile, DeclaredRow]]:
        """Every declared row by key."""
        return {row.key: (file, row) for file in self.files for row in file.rows}


def read_declarations(path: str | Path | Found) -> Declarations:
    """Read one YAML file, or all of modules below a folder (.yml, .yaml; not those hidden by a dot).

    Args:
        path: where they lie, or what was found there.

    Raises:
        InputError: the path is missing or can't be read.
    """
    found = path if isinstance(path, Found) else find_files(Path(path))
    if found is None:
        raise InputError(f"{path} doesn't exist", hint=f"relative paths start at {Path.cwd()}")
    if found.single:
        (only,) = found.files
        return Declarations(found, (read_declared(only.path, only.relative, found.shown),), ())
    findings = list(found.findings)
    read = [_read(each, found.name_of(each), findings) for each in found.files]
    files = [file for file in read if file is not None]
    # Beside files of modules, what is something else's to read is left to it; alone it was named by mistake.
    declared = _report_shared([file for file in files if not file.other_kind] or files)
    return Declarations(found, tuple(declared), tuple(findings))


def read_declared(path: Path, relative: str, name: str = "") -> DeclaredFile:
    """One file of the modules dialect.

    Args:
        path: where its content lies.
        relative: its path below the root.
        name: how findings call it; the path by default.

    Raises:
        InputError: it can't be read at all.
    """
    name = name or str(path)
    reading = read_file(path, name)
    if reading.document is None:
        return DeclaredFile(name, relative, reading.sha256, (), reading.diagnostics)
    rows, findings = parse_modules(reading.document)
    found = (*reading.diagnostics, *findings)
    return DeclaredFile(name, relative, reading.sha256, tuple(rows), found, other_kind(reading.document))


def _read(file: FoundFile, name: str, findings: list[Diagnostic]) -> DeclaredFile | None:
    try:
        return read_declared(file.path, file.relative, name)
    except InputError as problem:  # gone since it was listed, or not ours to read: the other files tell more
        findings.append(Diagnostic(problem.message, FileLocation(name)))
        return None


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
