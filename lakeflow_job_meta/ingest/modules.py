"""The modules dialect: `modules: [{module_name, job_config, sources: […]}]`, and every finding about its shape."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, cast

from lakeflow_job_meta.diagnostics import Diagnostic, nearest
from lakeflow_job_meta.diagnostics import Path as ValuePath
from lakeflow_job_meta.ingest import json_text
from lakeflow_job_meta.ingest.declared import MODULE_COLUMNS, SOURCE_COLUMNS, DeclaredRow, Place
from lakeflow_job_meta.reader.document import Document

VERSIONS = ("1.0", "1", 1, 1.0)
FILE_KEYS = ("metadata_version", "modules")
MODULE_KEYS = ("module_name", *MODULE_COLUMNS, "sources")
SOURCE_KEYS = ("source_id", *SOURCE_COLUMNS)
OTHER_KINDS = (
    "registry_version",
    "pipelines",
    "pipeline",
    "tables",
    "datasets",
    "stages",
    "contracts",
    "source_system",
    "up",
)
"""Keys of files that something else reads: `ljm bootstrap`, `ljm stage`, a set-up's migrations, …"""
INT_RANGE = range(-(2**31), 2**31)

Mapped = Mapping[str, Any]
Column = Callable[["_Reader", Any, ValuePath], Any]


def parse_modules(document: Document) -> tuple[list[DeclaredRow], list[Diagnostic]]:
    """The rows that a modules file declares, and all that is wrong with it."""
    reader = _Reader(document)
    reader.file()
    return reader.rows, reader.findings


def other_kind(document: Document) -> str:
    """The key that says that a file is none of modules, but one that something else reads; empty where none does."""
    content: object = document.value
    if not isinstance(content, dict) or any(nearest(str(key), ("modules",)) for key in cast("Mapped", content)):
        return ""
    return next((key for key in cast("Mapped", content) if key in OTHER_KINDS), "")


class _Reader:
    """One document being read; rows and findings gather."""

    def __init__(self, document: Document) -> None:
        self.rows: list[DeclaredRow] = []
        self.findings: list[Diagnostic] = []
        self.doubts: list[tuple[str, Diagnostic]] = []
        self._document = document
        self._seen: dict[tuple[str, str], int] = {}

    def find(self, message: str, path: ValuePath, hint: str = "", *, key: bool = False) -> None:
        self.findings.append(Diagnostic(message, self._document.position(path, key=key), hint))

    def doubt(self, message: str, path: ValuePath, hint: str = "") -> None:
        self.doubts.append((str(path[-1]), Diagnostic(message, self._document.position(path), hint)))

    def file(self) -> None:
        whole = self._document.value
        if not isinstance(whole, dict):
            self.find(f"expected a mapping with the key 'modules', found {kind_of(whole)}", ())
            return
        content = cast("dict[str, Any]", whole)
        if "modules" not in content:
            near = next((nearest(key, ("modules",)) for key in content if nearest(key, ("modules",))), "")
            other = other_kind(self._document)
            hint = near or (f"a file with '{other}' belongs in another folder" if other else "")
            self.find("not a modules file: expected the key 'modules'", (), hint)
            return
        self._unknown(content, FILE_KEYS, ())
        version = content.get("metadata_version", "1.0")
        if isinstance(version, bool) or version not in VERSIONS:
            self.find(f'expected metadata_version "1.0", found {_shown(version)}', ("metadata_version",))
        for position, entry in enumerate(self._list(content["modules"], ("modules",), "modules")):
            self._module(entry, ("modules", position))

    def _module(self, entry: object, path: ValuePath) -> None:
        module = self._mapping(entry, MODULE_KEYS, path, "a module")
        if module is None:
            return
        name = self._name(module, "module_name", path)
        values = {column: _COLUMNS[column](self, module.get(column), (*path, column)) for column in MODULE_COLUMNS}
        explicit = any(module.get(column) is not None for column in MODULE_COLUMNS)
        if name is not None:
            self._add((name, ""), values, path, explicit)
        self.doubts.clear()
        if "sources" not in module:
            self.find("missing key 'sources'", path, "a list of sources; an empty one is []")
            return
        sources = (*path, "sources")
        for position, source in enumerate(self._list(module["sources"], sources, "sources")):
            self._source(source, name, (*sources, position))

    def _source(self, entry: object, module: str | None, path: ValuePath) -> None:
        source = self._mapping(entry, SOURCE_KEYS, path, "a source")
        if source is None:
            return
        name = self._name(source, "source_id", path)
        values = {column: _COLUMNS[column](self, source.get(column), (*path, column)) for column in SOURCE_COLUMNS}
        if name is not None and module is not None:
            self._add((module, name), values, path)
        self.doubts.clear()

    def _add(self, key: tuple[str, str], values: Mapped, path: ValuePath, explicit: bool = True) -> None:
        place = Place(self._document, path)
        name_key = "source_id" if key[1] else "module_name"
        if key in self._seen:
            what = f"source '{key[1]}' of module '{key[0]}'" if key[1] else f"module '{key[0]}'"
            self.find(f"{what} is declared twice", (*path, name_key), f"the first is at line {self._seen[key]}")
            return
        self._seen[key] = place.at(name_key).line
        self.rows.append(DeclaredRow(key, values, place, tuple(self.doubts), explicit))

    def _name(self, entry: Mapped, column: str, path: ValuePath) -> str | None:
        if column not in entry:
            self.find(
                f"missing key '{column}'", path, nearest(column, [key for key in entry if key not in SOURCE_KEYS])
            )
            return None
        name, path = entry[column], (*path, column)
        if not isinstance(name, str):
            hint = f'quote it: "{name}"' if isinstance(name, int | float) else ""
            self.find(f"expected text for '{column}', found {_shown(name)}", path, hint)
            return None
        if not name.strip():
            self.find(f"{column} is blank", path)
            return None
        if name != name.strip():
            self.doubt(f"{column} '{name}' begins or ends with a space", path)
        if any(unicodedata.category(each) in ("Cc", "Zl", "Zp") for each in name):
            self.doubt(f"{column} {name!r} holds a control character or a line break", path)
        if column == "module_name" and name.startswith("$"):
            self.doubt(f"module_name '{name}' is reserved", path, "don't start it with $")
        return name

    def _unknown(self, entry: Mapped, known: tuple[str, ...], path: ValuePath) -> None:
        for key in entry:
            if key not in known:
                hint = nearest(key, known) or f"known keys: {', '.join(known)}"
                self.find(f"unknown key '{key}'", (*path, key), hint, key=True)

    def _mapping(self, entry: object, known: tuple[str, ...], path: ValuePath, what: str) -> Mapped | None:
        if not isinstance(entry, dict):
            self.find(f"expected {what} (a mapping with {known[0]}), found {_shown(entry)}", path)
            return None
        self._unknown(cast("dict[str, Any]", entry), known, path)
        return cast("dict[str, Any]", entry)

    def _list(self, value: object, path: ValuePath, what: str) -> list[object]:
        if isinstance(value, list):
            return cast("list[object]", value)
        self.find(f"expected a list of {what}, found {_shown(value)}", path, "begin each entry with '- '")
        return []


def _text(reader: _Reader, value: Any, path: ValuePath) -> str | None:
    if value is not None and not isinstance(value, str):
        hint = f'quote it: "{_plain(value)}"' if isinstance(value, int | float) else ""
        reader.find(f"expected text for '{path[-1]}', found {_shown(value)}", path, hint)
        return None
    return value


def _whole(reader: _Reader, value: Any, path: ValuePath) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        reader.find(f"expected a whole number for '{path[-1]}', found {_shown(value)}", path)
    elif value not in INT_RANGE:
        reader.find(f"expected a number of 32 bits for '{path[-1]}', found {value}", path)
    else:
        return value
    return None


def _truth(reader: _Reader, value: Any, path: ValuePath) -> bool:
    if value is not None and not isinstance(value, bool):
        reader.find(f"expected true or false for '{path[-1]}', found {_shown(value)}", path)
    return value is not False


def _json(reader: _Reader, value: Any, path: ValuePath) -> str | None:
    """A mapping becomes compact JSON; text must hold JSON already, and stays as it is."""
    if value is None:
        return None
    if isinstance(value, dict):
        return json_text.compact(value)
    if not isinstance(value, str):
        reader.find(f"expected a mapping for '{path[-1]}', or text that holds JSON, found {_shown(value)}", path)
        return None
    if not value.strip():
        return value  # like NULL, it says nothing
    try:
        held = json_text.parse(value)
    except json_text.NotJson as problem:
        where = f" at offset {problem.offset}" if problem.offset is not None else ""
        reader.doubt(f"bad JSON in '{path[-1]}'{where}: {problem}", path, "write a mapping instead")
    else:
        if not isinstance(held, dict):
            reader.doubt(f"expected a JSON object in '{path[-1]}', found {kind_of(held)}", path)
    return value


_COLUMNS: Mapping[str, Column] = {
    "description": _text,
    "job_config": _json,
    "is_active": _truth,
    "source_type": _text,
    "execution_order": _whole,
    "source_config": _json,
    "target_config": _json,
    "transformation_config": _json,
}

_KINDS: Mapping[type, str] = {
    dict: "a mapping",
    list: "a list",
    bool: "a truth value",
    int: "a number",
    float: "a number",
    str: "text",
}


def kind_of(value: object) -> str:
    """What people call a value of this type."""
    return _KINDS.get(type(value), "nothing")


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shown(value: object) -> str:
    if isinstance(value, dict | list) or value is None:
        return kind_of(cast("object", value))
    text = _plain(value)
    quoted = f"'{text if len(text) <= 40 else text[:39] + '…'}'"
    return f"{kind_of(value)} {quoted}" if isinstance(value, str) else f"{kind_of(value)} {text}"
