"""A schema file's fields, in BigQuery's JSON format, as columns; every finding at once, each with its place. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from lakeflow_job_meta.diagnostics import Diagnostic, FileLocation, Path, Severity, nearest
from lakeflow_job_meta.model.column import MODES, REPEATED, REQUIRED, Column
from lakeflow_job_meta.model.table_types import DECIMALS, KNOWN, REFUSED, STRUCT, TYPES, Written, decimal

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
KEYS = ("name", "type", "mode", "description", "default", "fields", "precision", "scale", "max_length")
SPELLINGS = {"defaultValueExpression": "default", "maxLength": "max_length"}
"""BigQuery's own names of two keys."""

TABLE_KEYS = ("fields", "description", "key", "partition_by", "cluster_by", "schema_version")
"""What a file that is an object says of the table, beside its fields."""

MOST_LEVELS = 15
"""So deep may records be nested in BigQuery."""

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = ("null", "true", "false", "current_timestamp", "localtimestamp", "current_date")


@dataclass(frozen=True, slots=True)
class TableFile:
    """A schema file: its columns, and what it says of the table as a whole."""

    columns: tuple[Column, ...]
    description: str = ""
    key: tuple[str, ...] = ()
    partition_by: tuple[str, ...] = ()
    cluster_by: tuple[str, ...] = ()
    schema_version: int = 1


def _nowhere(path: Path, *, key: bool = False) -> FileLocation | None:
    return None


@dataclass(frozen=True, slots=True)
class SchemaReader:
    """Reads fields, and remembers what is wrong with them.

    Args:
        locate: Tells where the value at a path stands, or (`key`) its key.
    """

    locate: Callable[..., FileLocation | None] = _nowhere
    found: list[Diagnostic] = field(default_factory=list[Diagnostic])

    def table(self, data: Any) -> TableFile:
        """A whole file: a list of fields, or an object with `fields` and what concerns the table."""
        if not isinstance(data, dict):
            return TableFile(self.columns(data))
        said = cast("dict[str, Any]", data)
        for key in said:
            if key not in TABLE_KEYS:
                self.find(f"unknown key '{key}'", (key,), nearest(key, TABLE_KEYS), key=True)
        version = said.get("schema_version", 1)
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            self.find(f"schema_version is {version!r}, expected a number from 1", ("schema_version",))
            version = 1
        return TableFile(
            self.columns(said.get("fields"), ("fields",)),
            self.text(said, "description"),
            self.names(said, "key"),
            self.names(said, "partition_by"),
            self.names(said, "cluster_by"),
            version,
        )

    def columns(self, fields: Any, path: Path = (), *, held: bool = True) -> tuple[Column, ...]:
        """The columns of a list of fields.

        Args:
            fields: what the file has there.
            path: where that is.
            held: whether a value of theirs can be required: not within a record that may be missing.

        >>> reader = SchemaReader()
        >>> reader.columns([{"name": "id", "type": "INT64", "mode": "REQUIRED"}, {"name": "a", "type": "STRNG"}])
        (Column(name='id', type='BIGINT', mode='REQUIRED', description='', default=None, fields=(), generated=None),)
        >>> print(reader.found[0])
        error: a: unknown type 'STRNG' (did you mean 'STRING'?)
        """
        if not isinstance(fields, list) or not fields:
            self.find("expected a list of fields, each an object with name and type", path)
            return ()
        columns: list[Column] = []
        seen: set[str] = set()
        for position, each in enumerate(cast("list[Any]", fields)):
            column = self._column(each, (*path, position), held)
            if column is None:
                continue
            if column.name.lower() in seen:
                self.find(f"duplicate column '{column.name}'", (*path, position, "name"), "names ignore case")
                continue
            seen.add(column.name.lower())
            columns.append(column)
        return tuple(columns)

    def _column(self, given: Any, path: Path, held: bool) -> Column | None:
        if not isinstance(given, dict):
            self.find("expected an object with name and type", path)
            return None
        said = self._known_keys(cast("dict[str, Any]", given), path)
        before = len([each for each in self.found if each.severity is Severity.ERROR])
        name = said.get("name")
        if not isinstance(name, str) or not IDENTIFIER.fullmatch(name):
            what = "a field has no name" if name is None else f"column name {name!r} is not an identifier"
            self.find(what, (*path, "name"), "letters, digits and underscores, not starting with a digit")
            name = "?"
        mode = self._mode(name, said, path)
        kind, mode, fields = self._type(name, said, path, mode, held)
        if mode == REQUIRED and not held:
            hint = "make it NULLABLE, or every record around it REQUIRED"
            self.find(f"{name} is REQUIRED within a record that may be missing: Delta can't hold that", path, hint)
        column = Column(name, kind, mode, self.text(said, "description", path), self._default(name, said, path), fields)
        errors = len([each for each in self.found if each.severity is Severity.ERROR])
        return column if errors == before else None

    def _known_keys(self, given: Mapping[str, Any], path: Path) -> dict[str, Any]:
        said: dict[str, Any] = {}
        for key, value in given.items():
            known = SPELLINGS.get(key, key)
            if known not in KEYS:
                self.find(f"unknown key '{key}'", (*path, key), nearest(key, (*KEYS, *SPELLINGS)), key=True)
            elif known in said:
                self.find(f"'{key}' says again what '{known}' says", (*path, key), key=True)
            else:
                said[known] = value
        return said

    def _mode(self, name: str, said: Mapping[str, Any], path: Path) -> str:
        given = said.get("mode", MODES[0])
        mode = str(given).upper()
        if mode in MODES:
            return mode
        hint = nearest(mode, MODES) or "known: " + ", ".join(MODES)
        self.find(f"{name}: unknown mode {given!r}", (*path, "mode"), hint)
        return MODES[0]

    def _type(
        self, name: str, said: Mapping[str, Any], path: Path, mode: str, held: bool
    ) -> tuple[str, str, tuple[Column, ...]]:
        given = said.get("type")
        written = Written.parse(given) if isinstance(given, str) else None
        if written is None:
            what = "has no type" if given is None else f"has the type {given!r}"
            self.find(f"{name} {what}", (*path, "type"), "one of BigQuery's, as text: STRING, INT64, …")
            return "STRING", mode, ()
        if written.name == "ARRAY":
            if mode == REQUIRED or not written.inner:
                self.find(f"{name}: an array is the mode REPEATED", (*path, "type"), "give the type of its elements")
                return "STRING", mode, ()
            mode, written = REPEATED, Written.parse(written.inner) or written
            if written.name == "ARRAY":
                hint = "put the inner one into a record"
                self.find(f"{name}: an array can't be the element of an array", (*path, "type"), hint)
                return "STRING", mode, ()
        if written.name in REFUSED:
            self.find(f"{name}: {written.name} can't be stored", (*path, "type"), REFUSED[written.name])
            return "STRING", mode, ()
        if written.name in DECIMALS:
            return self._decimal(name, written, said, path), mode, ()
        kind = TYPES.get(written.name)
        if kind is None or (written.inner and kind != STRUCT):
            self.find(f"{name}: unknown type '{given}'", (*path, "type"), nearest(written.name, KNOWN))
            return "STRING", mode, ()
        for key in ("precision", "scale"):
            if key in said:
                self.find(f"{name}: {written.name} has no {key}", (*path, key), "NUMERIC and BIGNUMERIC have", key=True)
        if written.numbers or "max_length" in said:
            self._warn(f"{name}: the length of {written.name} isn't enforced", (*path, "type"))
        return kind, mode, self._fields(name, kind, said, path, held and mode == REQUIRED)

    def _fields(self, name: str, kind: str, said: Mapping[str, Any], path: Path, held: bool) -> tuple[Column, ...]:
        if kind != STRUCT:
            if "fields" in said:
                self.find(f"{name} has fields, but is no RECORD", (*path, "fields"), "type: RECORD", key=True)
            return ()
        if path.count("fields") >= MOST_LEVELS:
            self.find(f"{name}: records are nested deeper than {MOST_LEVELS} levels", path)
            return ()
        if "fields" not in said:
            self.find(f"{name} is a RECORD without fields", path, "fields: its columns, as a list")
            return ()
        inner = self.columns(said["fields"], (*path, "fields"), held=held)
        for position, each in enumerate(inner):
            if each.default is not None:
                where = (*path, "fields", position, "default")
                self.find(f"{name}.{each.name}: a field of a record can't have a default", where)
        return inner

    def _decimal(self, name: str, written: Written, said: Mapping[str, Any], path: Path) -> str:
        numbers: list[int | None] = list(written.numbers)
        for key in ("precision", "scale"):
            value = said.get(key)
            if isinstance(value, str) and value.isdecimal():
                value = int(value)  # BigQuery's own files have these numbers as text
            if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
                self.find(f"{name}: {key} is {value!r}, expected a number", (*path, key))
                return "DECIMAL(38,9)"
            if not written.numbers:
                numbers.append(value)
        precision, scale = [*numbers, None, None][:2]
        return decimal(
            written.name, precision, scale, lambda what, hint: self.find(f"{name}: {what}", (*path, "type"), hint)
        )

    def _default(self, name: str, said: Mapping[str, Any], path: Path) -> str | None:
        value = said.get("default")
        if value is None:
            return None
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            return str(value)
        if isinstance(value, str) and value.strip():
            if _WORD.fullmatch(value.strip()) and value.strip().lower() not in _WORDS:
                hint = f"""text is written in quotes: "'{value.strip()}'\""""
                self.find(f"{name}: the default {value} is no SQL expression", (*path, "default"), hint)
            return value
        self.find(f"{name}: a default is a SQL expression, as text", (*path, "default"), '"\'new\'", "0", "true"')
        return None

    def text(self, said: Mapping[str, Any], key: str, path: Path = ()) -> str:
        """The text that a key has, empty where it is left out."""
        value = said.get(key, "")
        if value is not None and not isinstance(value, str):
            self.find(f"{key} is {value!r}, expected text", (*path, key))
        return str(value or "")

    def names(self, said: Mapping[str, Any], key: str, path: Path = ()) -> tuple[str, ...]:
        """The names that a key lists; one name needs no list."""
        value = said.get(key)
        listed = cast("Sequence[Any]", [value] if isinstance(value, str) else value if value is not None else [])
        if isinstance(listed, list) and all(isinstance(each, str) for each in listed):
            return tuple(cast("list[str]", listed))
        self.find(f"{key} is {value!r}, expected a column's name, or a list of names", (*path, key))
        return ()

    def find(self, message: str, path: Path, hint: str = "", *, key: bool = False) -> None:
        """Remember what is wrong with the value at a path, or (`key`) with its key."""
        self.found.append(Diagnostic(message, self.locate(path, key=key), hint))

    def _warn(self, message: str, path: Path) -> None:
        self.found.append(Diagnostic(message, self.locate(path), severity=Severity.WARNING))
