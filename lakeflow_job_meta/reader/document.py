"""A YAML file as it was read: its value, and where each part of it stands."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lakeflow_job_meta.diagnostics import Diagnostic, FileLocation
from lakeflow_job_meta.diagnostics import Path as ValuePath
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.reader.compose import MERGE, compose
from lakeflow_job_meta.reader.construct import Construction
from lakeflow_job_meta.reader.limits import MAX_BYTES


@dataclass(frozen=True, slots=True)
class Document:
    """The value of one YAML file and the places of its parts; aliases share their value: don't change it."""

    name: str
    value: Any
    root: yaml.Node = field(repr=False, compare=False)

    def position(self, path: ValuePath = (), *, key: bool = False) -> FileLocation:
        """Where the value at a path stands, or its key; of a path that isn't there, where its nearest parent stands.

        >>> document = read_text("a:\\n  - b: 1\\n", "x.yml").document
        >>> print(document.position(("a", 0, "b")), document.position(("a", 0, "b"), key=True))
        x.yml:2:8 x.yml:2:5
        """
        node, mark = self.root, self.root.start_mark
        for part in path:
            entry = _entry(node, part)
            if entry is None:
                break
            key_node, node = entry
            mark = (key_node if key else node).start_mark
        return FileLocation(self.name, mark.line + 1, mark.column + 1)


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of reading one file: no document where nothing can be told about its content."""

    document: Document | None
    diagnostics: tuple[Diagnostic, ...]
    sha256: str = ""


def read_text(text: str, name: str) -> Reading:
    """Read YAML from text; `name` stands in the locations. A byte order mark at the start is skipped."""
    root, findings = compose(text.removeprefix("\ufeff"), name)
    if root is None:
        return Reading(None, tuple(findings))
    construction = Construction(name)
    value = construction.value(root)
    whole = tuple(findings + construction.findings)
    return Reading(None if construction.exploded else Document(name, value, root), whole)


def read_file(path: Path, name: str = "") -> Reading:
    """Read a YAML file (UTF-8, with or without a byte order mark).

    Args:
        path: the file.
        name: how locations call it; the path as given by default.

    Raises:
        InputError: the file is missing, is a folder, or may not be read.
    """
    name = name or str(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as problem:
        raise InputError(f"{name} can't be read: {problem.strerror or problem}") from problem
    sha256 = hashlib.sha256(data).hexdigest()
    if len(data) > MAX_BYTES:
        found = Diagnostic(f"larger than {MAX_BYTES // 2**20} MiB", FileLocation(name), "split the file")
        return Reading(None, (found,), sha256)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as problem:
        return Reading(None, (_encoding(data, problem, name),), sha256)
    reading = read_text(text, name)
    return Reading(reading.document, reading.diagnostics, sha256)


def _encoding(data: bytes, problem: UnicodeDecodeError, name: str) -> Diagnostic:
    before = data[: problem.start]
    line = before.count(b"\n") + 1
    column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
    utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    what = "UTF-16" if utf16 else f"byte 0x{data[problem.start]:02X}"
    return Diagnostic(f"not UTF-8: found {what}", FileLocation(name, line, column), "save the file as UTF-8")


def _entry(node: yaml.Node, part: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.SequenceNode):
        if isinstance(part, int) and 0 <= part < len(node.value):
            return node.value[part], node.value[part]
        return None
    if not isinstance(node, yaml.MappingNode):
        return None
    merged: list[yaml.Node] = []
    for key_node, value_node in node.value:
        if key_node.value == part and key_node.tag != MERGE:
            return key_node, value_node
        if key_node.tag == MERGE:
            merged += value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
    return next((found for each in merged if (found := _entry(each, part))), None)
