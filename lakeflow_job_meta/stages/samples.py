"""Records as rows of a sample table; its columns are declared, those that it has, or those of the records. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from lakeflow_job_meta.diagnostics import counted
from lakeflow_job_meta.model.column import NULLABLE, Column
from lakeflow_job_meta.model.schema_file import IDENTIFIER
from lakeflow_job_meta.stages.http.failure import SchemaChanged
from lakeflow_job_meta.stages.tables import POSITION

WIDE = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class SampleRows:
    """The columns and rows of a sample table, some of which it may not have yet; `left_out` are fields
    that no column takes."""

    columns: tuple[Column, ...]
    rows: tuple[dict[str, Any], ...]
    left_out: tuple[str, ...] = ()


def sample_rows(
    table: str, records: Sequence[Mapping[str, Any]], declared: Sequence[Column], found: Sequence[Column]
) -> SampleRows:
    """What a sample table is to hold.

    Args:
        table: how people call it.
        records: as the API gave them.
        declared: its columns, if the stage file or the contract fix them: other fields are left out.
        found: those of the table as it is, without the position; fields that are new become columns.

    Raises:
        SchemaChanged: a field is gone, or has values of another type; all of them are told.
    """
    own = inferred(records)
    columns = tuple(declared or found or own)
    problems = _problems(columns, records, declared=bool(declared))
    if problems:
        raise SchemaChanged(
            f"{table}: {'; '.join(problems)}",
            hint="if the API is right, change the contract; or DROP the sample table, and run with --preview",
        )
    names = {each.name.lower() for each in columns}
    new = tuple(each for each in own if each.name.lower() not in names)
    if not declared and found:
        columns += new
    left = tuple(each.name for each in new) if declared else ()
    rows = tuple(
        {POSITION: position, **{each.name: _value(_of(record, each), each) for each in columns}}
        for position, record in enumerate(records)
    )
    return SampleRows(columns, rows, left)


def inferred(records: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    """The columns that records ask for, in order of their appearance; what is nested becomes JSON text.

    >>> [(each.name, each.type) for each in inferred([{"id": 1, "score": 0.5, "tags": ["a"]}])]
    [('id', 'BIGINT'), ('score', 'DOUBLE'), ('tags', 'STRING')]
    """
    types: dict[str, set[str]] = {}
    for record in records:
        for name, value in record.items():
            types.setdefault(_column_name(name), set()).update(() if value is None else (_type(value),))
    columns: dict[str, Column] = {}
    for name, kinds in types.items():
        kind = kinds.pop() if len(kinds) == 1 else "DOUBLE" if kinds == {"BIGINT", "DOUBLE"} else "STRING"
        columns.setdefault(name.lower(), Column(name, kind))
    return tuple(columns.values())


def _problems(columns: Sequence[Column], records: Sequence[Mapping[str, Any]], *, declared: bool) -> list[str]:
    """Where records don't fit columns."""
    problems: list[str] = []
    for column in columns:
        values = [_of(record, column) for record in records]
        lacking = sum(value is None for value in values)
        gone = records and not any(_has(record, column) for record in records)
        if gone and (column.required or not declared):
            problems.append(f"the field '{column.name}' is gone")
        elif column.required and lacking:
            problems.append(f"'{column.name}' is required, and missing in {counted(lacking, 'record')}")
        wrong = next((value for value in values if value is not None and not _fits(value, column)), None)
        if wrong is not None:
            problems.append(f"'{column.name}' was {column.sql_type}, and is {_type(wrong)} now")
    return problems


def _fits(value: Any, column: Column) -> bool:
    try:
        _value(value, column)
    except (ValueError, TypeError, OverflowError):
        return False
    return True


def _of(record: Mapping[str, Any], column: Column) -> Any:
    return next((value for name, value in record.items() if _column_name(name).lower() == column.name.lower()), None)


def _has(record: Mapping[str, Any], column: Column) -> bool:
    return any(_column_name(name).lower() == column.name.lower() for name in record)


def _column_name(field: str) -> str:
    """A field's name as a column's: `due date` becomes due_date."""
    name = "".join(each if each.isascii() and (each.isalnum() or each == "_") else "_" for each in field)[:255]
    name = name if IDENTIFIER.fullmatch(name) else f"_{name}"[:255]
    return f"_{name}" if name.lower() == POSITION else name


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "BOOLEAN"
    if isinstance(value, int):
        return "BIGINT" if value in WIDE else "STRING"
    return "DOUBLE" if isinstance(value, float) else "STRING"


def _value(value: Any, column: Column) -> Any:
    """A JSON value as the column holds it.

    Raises:
        ValueError: it can't.
    """
    if value is None:
        return None
    if column.repeated:
        if not isinstance(value, list):
            raise ValueError("no list")
        return [_value(each, replace(column, mode=NULLABLE)) for each in value]  # pyright: ignore[reportUnknownVariableType] - JSON
    convert = CONVERT.get(column.type)
    if convert is None:
        raise ValueError(f"samples can't hold {column.type}")
    return convert(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or int(value) not in WIDE:
        raise ValueError("no whole number")
    return int(value)


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("no number")
    return float(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("no truth value")
    return value


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(value)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


CONVERT: Mapping[str, Callable[[Any], Any]] = {
    "STRING": _text,
    "BIGINT": _whole,
    "INT": _whole,
    "DOUBLE": _float,
    "BOOLEAN": _flag,
    "TIMESTAMP": _moment,
    "DATE": date.fromisoformat,
}
