"""Which YAML files a path stands for at one moment, and where their content can be read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lakeflow_job_meta.diagnostics import Diagnostic, FileLocation

SUFFIXES = (".yml", ".yaml")


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file: its path below the root, with `/`, and where its content lies on this machine."""

    relative: str
    path: Path


@dataclass(frozen=True, slots=True)
class Found:
    """The YAML files of one path at one moment, and what is wrong with the folder itself.

    `root` is the folder (a single file's folder) as records know it: absolute, and the same for a volume however it
    is reached. `shown` is how findings call it. `other` tells where some other file, by its absolute path, can be
    read, None where there is none.
    """

    root: str
    shown: str
    files: tuple[FoundFile, ...]
    other: Callable[[str], Path | None]
    findings: tuple[Diagnostic, ...] = ()
    single: bool = False

    def name_of(self, file: FoundFile) -> str:
        """How findings call a file."""
        return self.shown if self.single else str(Path(self.shown, file.relative))

    def digest(self) -> str:
        """A hash of the names and contents of all files; equal as long as nothing changed.

        Costs a fiftieth of reading them.
        """
        whole = hashlib.sha256("\n".join(str(each) for each in self.findings).encode())
        for each in self.files:
            try:
                content = hashlib.sha256(each.path.read_bytes()).hexdigest()
            except OSError as problem:
                content = str(problem.strerror)
            whole.update(f"\n{each.relative}\n{content}".encode())
        return whole.hexdigest()


def find_files(start: Path, named: str = "") -> Found | None:
    """One YAML file, or all below a folder (.yml, .yaml; not those hidden by a dot); None where nothing is there.

    Args:
        start: where it lies on this machine.
        named: the absolute path that people and records know it by, if that is another.
    """
    shown = named or str(start)
    if start.is_dir():
        root = Path(named or start.resolve())
        paths, findings = _walk(start, shown)
        files = tuple(FoundFile(each.relative_to(start).as_posix(), each) for each in paths)
        return Found(str(root), shown, files, _lying(start, root), tuple(findings))
    if not start.exists():
        return None
    root = Path(named).parent if named else start.parent.resolve()
    return Found(str(root), shown, (FoundFile(start.name, start),), _lying(start.parent, root), single=True)


def is_nameable(name: str) -> bool:
    """Whether a file's name is text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _lying(folder: Path, root: Path) -> Callable[[str], Path]:
    def other(place: str) -> Path:
        wanted = Path(place)
        return folder / wanted.relative_to(root) if wanted.is_relative_to(root) else wanted

    return other


def _walk(start: Path, shown: str) -> tuple[list[Path], list[Diagnostic]]:
    """The YAML files below a folder in a stable order.

    Links that stay below the folder are followed, once: mounted volumes are often made of links to a hidden folder.
    """
    root = start.resolve()
    files: list[Path] = []
    findings: list[Diagnostic] = []

    def report(message: str, path: Path, hint: str = "") -> None:
        findings.append(Diagnostic(message, FileLocation(str(Path(shown, path.relative_to(start)))), hint))

    folders, linked, seen = [start], list[Path](), set[Path]()
    while folders or linked:
        folder = folders.pop() if folders else linked.pop(0)
        real = folder.resolve()
        if real in seen:
            continue
        seen.add(real)
        try:
            entries = list(_entries(folder))
        except OSError as problem:
            report(f"can't be read: {problem.strerror}", folder)
            continue
        for entry in entries:
            path = folder / entry.name
            if entry.is_symlink() and not _inside(path, root):
                if path.is_dir() or path.suffix in SUFFIXES:
                    what = "a link that leads out of the folder" if path.exists() else "a link that leads nowhere"
                    report(what, path, "put the file itself here")
            elif path.is_dir():
                (linked if entry.is_symlink() else folders).append(path)
            elif path.suffix in SUFFIXES and path.is_file():
                if is_nameable(entry.name):
                    files.append(path)
                else:
                    report(f"a file name that isn't UTF-8: {entry.name!a}", folder)
    return sorted(files), findings


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from (each for each in entries if not each.name.startswith("."))


def _inside(path: Path, root: Path) -> bool:
    try:
        return path.resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError):  # leads nowhere, or to itself
        return False
