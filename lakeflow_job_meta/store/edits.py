"""What a decided write has to do to each row; pure, and the same for every store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from lakeflow_job_meta.diagnostics import Diagnostic, RowLocation, nearest
from lakeflow_job_meta.errors import InputError, StoreError
from lakeflow_job_meta.model.table import Changes, Column, Row, TableName, TableSpec
from lakeflow_job_meta.store.defaults import value_of

ACTION = "__action"
"""Beside a row's columns: `insert`, `update` or `delete`."""

Evaluate = Callable[[str], Any]
"""Runs a SQL expression that is a column's default."""


def edits_of(
    spec: TableSpec, columns: Sequence[Column], rows: Iterable[Row], wanted: Changes, evaluate: Evaluate
) -> list[dict[str, Any]]:
    """Only what differs from the rows that were read, each row with its action; nothing where all is as wanted already.

    Rows with equal keys become equal: what is written is the first of them with the wanted values.
    """
    existing: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        existing.setdefault(key_of(spec, row), []).append(row)
    _refuse_doubles(spec, wanted)
    edits: list[dict[str, Any]] = []
    added: list[Row] = []
    for row in wanted.upserts:
        refuse_unknown(spec.name, row, columns)
        here = existing.get(key_of(spec, row))
        if here is None:
            added.append(row)
        elif any(old.get(name) != value for old in here for name, value in row.items()):
            edits.append({**here[0], **row, ACTION: "update"})
    edits += [{**row, ACTION: "insert"} for row in with_defaults(added, columns, evaluate)]
    refuse_missing(spec, edits, columns)
    gone = [key_of(spec, row) for row in wanted.deletes if key_of(spec, row) in existing]
    return edits + [{**dict(zip(spec.key, key, strict=True)), ACTION: "delete"} for key in gone]


def with_defaults(rows: Sequence[Row], columns: Sequence[Column], evaluate: Evaluate) -> list[dict[str, Any]]:
    """The rows with the defaults of the columns that they don't name; one clock reading for all of them."""
    now = datetime.now(UTC)
    lacking = [each for each in columns if each.default is not None and any(each.name not in row for row in rows)]
    defaults = {each.name: value_of(each.default or "", now, evaluate) for each in lacking}
    return [{**defaults, **row} for row in rows]


def key_of(spec: TableSpec, row: Row) -> tuple[Any, ...]:
    """The row's key.

    Raises:
        StoreError: it lacks a part of it.
    """
    missing = [name for name in spec.key if name not in row]
    if missing or not spec.key:
        raise StoreError(f"{spec.name}: a row without its key {', '.join(missing) or '(the table declares none)'}")
    return tuple(row[name] for name in spec.key)


def refuse_unknown(table: TableName, row: Row, columns: Sequence[Column]) -> None:
    """Raise StoreError where the row names a column that the table doesn't have."""
    known = [each.name for each in columns]
    for name in row:
        if name not in known:
            raise StoreError(f"{table} has no column '{name}'", hint=nearest(name, known))


def refuse_missing(spec: TableSpec, rows: Sequence[Row], columns: Sequence[Column]) -> None:
    """Raise InputError with all rows that have no value where one is required."""
    required = [each.name for each in columns if each.required]
    found = missing_required(rows, required, spec.key)
    if found:
        raise InputError(
            f"{spec.name}: a required column has no value",
            diagnostics=[
                Diagnostic(f"required, but NULL (row {dict(key)!r})", RowLocation(str(spec.name), column=column))
                for column, key in found
            ],
        )


def missing_required(
    rows: Iterable[Row], required: Sequence[str], key: Sequence[str]
) -> list[tuple[str, Mapping[str, Any]]]:
    """Each (column, key of the row) where a REQUIRED column has no value."""
    return [
        (column, {name: row.get(name) for name in key})
        for row in rows
        for column in required
        if row.get(column) is None
    ]


def _refuse_doubles(spec: TableSpec, wanted: Changes) -> None:
    seen: set[tuple[Any, ...]] = set()
    for row in (*wanted.upserts, *wanted.deletes):
        key = key_of(spec, row)
        if key in seen:
            raise StoreError(f"{spec.name}: one write names the row {key!r} twice")
        seen.add(key)
