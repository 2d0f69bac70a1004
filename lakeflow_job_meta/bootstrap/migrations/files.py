"""The migration files of a folder: what each declares, and what is wrong with them, all at once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from lakeflow_job_meta.bootstrap.migrations.sections import (
    DOWN,
    EMPTY,
    UP,
    Section,
    Step,
    drop_findings,
    places,
    split,
    steps_of,
)
from lakeflow_job_meta.diagnostics import Diagnostic, FileLocation, nearest
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.reader.document import Document, read_text

NAME = re.compile(r"(?P<version>[0-9]+)_[a-z0-9_]+\.(?:sql|yml|yaml)")
IGNORED = (".md",)
"""Files beside the migrations, for people."""

KEYS = ("description", UP, DOWN)


@dataclass(frozen=True, slots=True)
class MigrationFile:
    """One migration as written. `down` is None where it says nothing: taking it back is then a RESTORE."""

    version: int
    name: str
    file: str
    checksum: str
    up: Section
    down: Section | None = None
    description: str = ""

    @property
    def where(self) -> FileLocation:
        return FileLocation(self.file)


@dataclass(frozen=True, slots=True)
class MigrationFolder:
    """All that a folder declares, by version, and every finding."""

    files: tuple[MigrationFile, ...]
    findings: tuple[Diagnostic, ...]

    @property
    def by_version(self) -> Mapping[int, MigrationFile]:
        return {each.version: each for each in self.files}


def read_migrations(folder: Path, names: Mapping[str, str]) -> MigrationFolder:
    """Read the migrations of a folder; files hidden by a dot and `.md` are for others.

    Args:
        folder: where they lie.
        names: what `${dataset}` and `${catalog}` stand for.

    Raises:
        InputError: the folder is missing or can't be read.
    """
    try:
        entries = sorted(each for each in folder.iterdir() if not each.name.startswith("."))
    except OSError as problem:
        raise InputError(
            f"{folder}: the migrations can't be read: {problem.strerror or problem}",
            hint="make the folder; its first file is 0001_what_it_does.sql",
        ) from problem
    files: list[MigrationFile] = []
    found: list[Diagnostic] = []
    for path in entries:
        if path.suffix in IGNORED:
            continue
        match = NAME.fullmatch(path.name)
        if match is None or not int(match["version"]) or not path.is_file():
            hint = "a number from 1 on, lower-case words with _, and .sql or .yml: 0001_add_region.sql"
            found.append(Diagnostic(f"'{path.name}' is no migration's name", FileLocation(str(path)), hint))
            continue
        file, findings = _read(path, int(match["version"]), names)
        found += findings
        files += [file] if file else []
    files.sort(key=lambda each: (each.version, each.file))
    return MigrationFolder(tuple(files), (*found, *_numbering(files)))


def _numbering(files: list[MigrationFile]) -> list[Diagnostic]:
    """Two files of one version, and numbers left out."""
    found: list[Diagnostic] = []
    before: MigrationFile | None = None
    for each in files:
        expected = before.version + 1 if before else 1
        if before and each.version == before.version:
            message = f"version {each.version} is the one of {Path(before.file).name} too"
            found.append(Diagnostic(message, each.where, "give the one that isn't applied yet the next free number"))
        elif each.version != expected:
            missing = f"{expected}" if each.version == expected + 1 else f"{expected} to {each.version - 1}"
            message = f"version {each.version} follows {expected - 1}: {missing} is missing"
            found.append(
                Diagnostic(message, each.where, "number them from 1 on without gaps; is a file not there yet?")
            )
        before = each
    return found


def _read(path: Path, version: int, names: Mapping[str, str]) -> tuple[MigrationFile | None, list[Diagnostic]]:
    shown = str(path)
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as problem:
        return None, [Diagnostic(f"can't be read: {problem.strerror}", FileLocation(shown))]
    except UnicodeDecodeError:
        return None, [Diagnostic("not UTF-8", FileLocation(shown), "save the file as UTF-8")]
    checksum = hashlib.sha256(text.encode()).hexdigest()
    reading = _READERS[path.suffix](text, shown, names)
    found = list(reading.findings)
    if not reading.up and not found:
        found.append(Diagnostic("there is nothing to do in it", FileLocation(shown), "write statements, or remove it"))
    if not found:
        found = drop_findings(reading.up, reading.down)
    down = tuple(reading.down) if reading.down is not None else None
    return MigrationFile(version, path.stem, shown, checksum, tuple(reading.up), down, reading.description), found


@dataclass(frozen=True, slots=True)
class _Content:
    up: list[Step]
    down: list[Step] | None
    findings: list[Diagnostic]
    description: str = ""


def _sql(text: str, shown: str, names: Mapping[str, str]) -> _Content:
    sections, found = split(text, shown)
    place = places(text, shown)
    steps: dict[str, list[Step]] = {}
    for word, part in sections.items():
        steps[word], findings = steps_of(part, place, names)
        found += findings
    return _Content(steps.get(UP, []), steps.get(DOWN), found)


def _yaml(text: str, shown: str, names: Mapping[str, str]) -> _Content:
    reading = read_text(text, shown)
    found = list(reading.diagnostics)
    document = reading.document
    if document is None:
        return _Content([], None, found)
    value: Any = document.value
    if not isinstance(value, dict):
        return _Content([], None, [*found, Diagnostic("expected a mapping with the key 'up'", document.position())])
    content = cast("dict[str, Any]", value)
    for key in content:
        if key not in KEYS:
            hint = nearest(key, KEYS) or "known: " + ", ".join(KEYS)
            found.append(Diagnostic(f"unknown key '{key}'", document.position((key,), key=True), hint))
    if UP not in content:
        found.append(
            Diagnostic("the key 'up' is missing", document.position(), "what it does, as a list of statements")
        )
    up = _listed(document, UP, names, found) if UP in content else []
    down = _listed(document, DOWN, names, found) if DOWN in content else None
    return _Content(up, down, found, str(content.get("description") or ""))


def _listed(document: Document, key: str, names: Mapping[str, str], found: list[Diagnostic]) -> list[Step]:
    """The statements below a key: one text, or a list of them."""
    value: Any = document.value[key]
    items = cast("list[object]", value) if isinstance(value, list) else [value] if isinstance(value, str) else []
    if not items:
        what = f"{value}"[:40] if value else "nothing"
        found.append(Diagnostic(f"{key}: expected statements, found {what}", document.position((key,)), EMPTY[key]))
    steps: list[Step] = []
    for at, each in enumerate(items):
        where = document.position((key, at) if isinstance(value, list) else (key,))
        if not isinstance(each, str):
            found.append(Diagnostic(f"expected a statement, found {each!r}", where))
            continue
        more, findings = steps_of(each, lambda offset, where=where: where, names)
        found += findings
        steps += more
        if not more and not findings:
            found.append(Diagnostic("no statement", where))
    return steps


_READERS: Mapping[str, Callable[[str, str, Mapping[str, str]], _Content]] = {
    ".sql": _sql,
    ".yml": _yaml,
    ".yaml": _yaml,
}
