"""A registry in a SQLite file, read as rows that are declared. The file is opened for reading only."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lakeflow_job_meta.diagnostics import Diagnostic, RowLocation, Severity, nearest
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.model.table import TableSpec
from lakeflow_job_meta.pipelines.check.findings import row_name
from lakeflow_job_meta.pipelines.registry_file import Declared, DeclaredRow
from lakeflow_job_meta.pipelines.tables import REGISTERED, STAGES, RegistryTables

TRUTH: Mapping[str, bool] = {"1": True, "0": False, "true": True, "false": False}
NUMBERED = "id"
"""A stage gets its number here: another one may have it already."""


def read_sqlite(path: Path, tables: RegistryTables) -> tuple[Declared, list[Diagnostic]]:
    """What the file registers, and all that can't be read as what the columns hold.

    Args:
        path: the file.
        tables: the registry that it is for: which columns there are.

    Raises:
        InputError: no such file, no database, or none of the registry's tables in it.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    reader = _Reader(path, Declared(), [])
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            there = {str(row[0]) for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            kinds = [kind for kind in REGISTERED if kind in there]
            for kind in kinds:
                reader.table(database, tables.spec(kind))
    except sqlite3.Error as problem:
        raise InputError(f"{path} can't be read: {problem}", hint="expected a SQLite database") from problem
    if not kinds:
        raise InputError(f"{path} has none of the registry's tables", hint="expected " + ", ".join(REGISTERED))
    return reader.declared, reader.findings


class _Reader:
    def __init__(self, path: Path, declared: Declared, findings: list[Diagnostic]) -> None:
        self.declared = declared
        self.findings = findings
        self._path = path

    def table(self, database: sqlite3.Connection, spec: TableSpec) -> None:
        kind, types = spec.name.name, {column.name: column.type for column in spec.columns}
        for position, row in enumerate(database.execute(f'SELECT * FROM "{kind}"')):  # noqa: S608 - a name of ours
            given = {name: row[name] for name in row.keys()}  # noqa: SIM118 - sqlite3.Row iterates over values
            if position == 0:
                self._strangers(kind, given, types)
            known = {name: value for name, value in given.items() if name in types}
            where = self._locate(kind, row_name(kind, known))
            values = {name: self._value(value, types[name], where, name) for name, value in known.items()}
            if kind == STAGES:
                values.pop(NUMBERED, None)
                self.declared.templates.add(str(values.get("pipeline_name")))
            self.declared.rows.append(DeclaredRow(kind, values, where))

    def _strangers(self, kind: str, given: Mapping[str, Any], types: Mapping[str, str]) -> None:
        for name in given:
            if name not in types:
                hint = nearest(name, types) or "it is left out"
                where = RowLocation(f"{self._path}:{kind}", column=name)
                self.findings.append(Diagnostic(f"{kind} has no column '{name}'", where, hint, Severity.WARNING))

    def _locate(self, kind: str, name: str) -> Callable[[str], RowLocation]:
        return lambda column: RowLocation(f"{self._path}:{kind}", name, column=column)

    def _value(self, value: Any, kind: str, where: Callable[[str], RowLocation], column: str) -> Any:
        if value is None:
            return None
        try:
            return _READ[kind](value)
        except (ValueError, OverflowError, KeyError):
            # Not the value: a column of credentials may hold anything.
            found = f"{column}: expected {_EXPECTED[kind]}, found {type(value).__name__}"
            self.findings.append(Diagnostic(found, where(column)))
            return None


def _moment(value: Any) -> datetime:
    """SQLite has no type for it: text as ISO 8601 writes it, or seconds since 1970."""
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    found = datetime.fromisoformat(str(value))
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


_READ: Mapping[str, Callable[[Any], Any]] = {
    "STRING": lambda value: value.decode() if isinstance(value, bytes) else str(value),
    "INT": int,
    "BIGINT": int,
    "BOOLEAN": lambda value: TRUTH[str(value).strip().lower()],
    "TIMESTAMP": _moment,
}
_EXPECTED = {
    "STRING": "text", "INT": "a whole number", "BIGINT": "a whole number", "BOOLEAN": "0 or 1",
    "TIMESTAMP": "a time as ISO 8601 writes it",
}  # fmt: skip
