"""The task's libraries: wheels are unpacked into its own folder, what comes from an index must be there already."""

from __future__ import annotations

import re
import sys
import sysconfig
import zipfile
from importlib import invalidate_caches, metadata
from pathlib import Path, PurePosixPath
from typing import Any

from lakeflow_job_meta.diagnostics import Diagnostic
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.local.tasks.inside.assignment import Assignment
from lakeflow_job_meta.local.tasks.inside.disk import in_volume, on_disk
from lakeflow_job_meta.local.tasks.inside.workspace import Workspace

DISTRIBUTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
WHEEL = re.compile(r"[^-]+-[^-]+(-\d[^-]*)?-(?P<python>[^-]+)-(?P<abi>[^-]+)-(?P<platform>[^-]+)\.whl")


def put_on_path(assignment: Assignment) -> None:
    """Make the task's libraries importable.

    Raises:
        InputError: with all findings: what can't be had here, and why.
    """
    site, findings, wheels = assignment.folder / "site", list[str](), list[tuple[str, bytes]]()
    for number, library in enumerate(assignment.task.get("libraries") or ()):
        try:
            wheels += _wheel(assignment, library)
        except InputError as problem:
            findings.append(f"libraries[{number}]: {problem.message}{f' ({problem.hint})' if problem.hint else ''}")
    if findings:
        found = [Diagnostic(each) for each in findings]
        raise InputError("the task's libraries can't be had here:", diagnostics=found)
    for name, content in wheels:
        archive = assignment.folder / name
        _ = archive.write_bytes(content)
        _unpack(archive, site)
        archive.unlink()
    if wheels:
        sys.path.insert(0, str(site))
        invalidate_caches()


def _wheel(assignment: Assignment, library: dict[str, Any]) -> list[tuple[str, bytes]]:
    """The wheel that a library names; none for one that is installed already."""
    kind, value = next(iter(library.items()), ("", None))
    if kind == "whl":
        name = PurePosixPath(str(value)).name
        _refuse_other_platforms(name)
        return [(name, _content(assignment, str(value)))]
    if kind == "pypi":
        wanted = str(value.get("package", "") if value else "")
        found = DISTRIBUTION.match(wanted)
        try:
            _ = metadata.version(found[0] if found else wanted)
        except (metadata.PackageNotFoundError, ValueError):
            hint = f"{sys.executable} -m pip install '{wanted}'"
            raise InputError(f"{wanted} isn't installed, and nothing is installed for a task", hint=hint) from None
        return []
    raise InputError(f"a library of the kind '{kind}' can't be used here", hint="whl and pypi can")


def _content(assignment: Assignment, path: str) -> bytes:
    if in_volume(path) or path.startswith("file:"):
        found = on_disk(assignment.home, path)
        if not found.is_file():
            raise InputError(f"there is no file {path}")
        return found.read_bytes()
    workspace = Workspace(assignment.home, assignment.workspace_id)
    node = workspace.find(path) if path.startswith("/") else None
    if node is not None:
        return node.content
    if path.startswith("/") and Path(path).is_file():
        return Path(path).read_bytes()
    raise InputError(f"there is no file {path} in the workspace", hint=workspace.near(path))


def _refuse_other_platforms(name: str) -> None:
    tags = WHEEL.fullmatch(name)
    if tags is None:
        raise InputError(f"{name} isn't the name of a wheel", hint="name-version-python-abi-platform.whl")
    major, minor = sys.version_info[:2]
    fitting = {"py3", f"py{major}{minor}", f"cp{major}{minor}"}
    if tags["abi"] == "abi3":
        fitting |= {f"cp3{each}" for each in range(minor + 1)}
    if not fitting & set(tags["python"].split(".")):
        raise InputError(f"{name} is for another Python than {major}.{minor}")
    system, machine = sys.platform, sysconfig.get_platform().rpartition("-")[2].replace("-", "_")
    known = {"linux": "linux", "darwin": "macosx"}.get(system, system)
    if tags["platform"] != "any" and not (known in tags["platform"] and machine in tags["platform"]):
        raise InputError(f"{name} is for another machine than {known} {machine}")


def _unpack(archive: Path, site: Path) -> None:
    """What pip would put into site-packages; scripts and headers aren't needed to import a package."""
    try:
        with zipfile.ZipFile(archive) as opened:
            for member in opened.infolist():
                parts = PurePosixPath(member.filename).parts
                if parts and parts[0].endswith(".data"):
                    parts = parts[2:] if parts[1:2] in (("purelib",), ("platlib",)) else ()
                if member.is_dir() or not parts:
                    continue
                if ".." in parts or parts[0] == "/":
                    raise InputError(f"{archive.name} holds {member.filename}, which lies outside of it")
                target = site.joinpath(*parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                _ = target.write_bytes(opened.read(member))
    except zipfile.BadZipFile as problem:
        raise InputError(f"{archive.name} isn't a wheel: {problem}") from problem
