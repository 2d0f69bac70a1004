"""Values on their way into a statement: many rows travel as one JSON text, every value in it as text.

A text means the same in every engine, version and time zone; the statement casts it to the column's type.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.model.column import NULLABLE, Column
from lakeflow_job_meta.model.table_types import STRUCT

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A column type: `stored` gives the value as it will be read back, `text` how it travels, `sql` what the text is
    cast with."""

    stored: Callable[[Any], Any]
    text: Callable[[Any], str]
    sql: str


def _whole(bits: int) -> Callable[[Any], int]:
    def stored(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
            raise TypeError
        return value

    return stored


def _of(*kinds: type) -> Callable[[Any], Any]:
    def stored(value: Any) -> Any:
        if type(value) not in kinds:
            raise TypeError
        return value

    return stored


def _double(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _single(value: Any) -> float:
    # What a FLOAT column gives back: the nearest number of 32 bits.
    return float(struct.unpack("f", struct.pack("f", _double(value)))[0])


def _moment(value: Any) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes | bytearray):
        raise TypeError
    return bytes(value)


def micros(moment: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (moment - EPOCH) // _MICROSECOND


_KINDS = {
    "STRING": _Kind(_of(str), str, "{}"),
    "BIGINT": _Kind(_whole(64), str, "CAST({} AS BIGINT)"),
    "INT": _Kind(_whole(32), str, "CAST({} AS INT)"),
    "SMALLINT": _Kind(_whole(16), str, "CAST({} AS SMALLINT)"),
    "DOUBLE": _Kind(_double, repr, "CAST({} AS DOUBLE)"),
    "FLOAT": _Kind(_single, repr, "CAST({} AS FLOAT)"),
    "BOOLEAN": _Kind(_of(bool), lambda value: str(value).lower(), "CAST({} AS BOOLEAN)"),
    "TIMESTAMP": _Kind(_moment, lambda value: str(micros(value)), "timestamp_micros(CAST({} AS BIGINT))"),
    "DATE": _Kind(_of(date), date.isoformat, "CAST({} AS DATE)"),
    "BINARY": _Kind(_bytes, lambda value: base64.b64encode(value).decode(), "unbase64({})"),
}


def stored(column: Column, value: Any) -> Any:
    """The value as it will be read back.

    Raises:
        InputError: the column can't hold it.
    """
    kind = _KINDS.get(column.type)
    try:
        if column.mode == "REPEATED":
            return [_each(kind, item) for item in value or ()]
        return _each(kind, value)
    except (TypeError, ValueError, OverflowError) as problem:
        raise InputError(f"column {column.name}: {value!r} is not a value of type {column.type}") from problem


def _each(kind: _Kind | None, value: Any) -> Any:
    return value if value is None or kind is None else kind.stored(value)


def travelling(column: Column, value: Any) -> str | list[str | None] | None:
    """A stored value as JSON takes it."""
    if column.mode == "REPEATED":
        return [_text(column, item) for item in value]
    return _text(column, value)


def _text(column: Column, value: Any) -> str | None:
    if value is None:
        return None
    if column.type == STRUCT:
        return json.dumps(value, default=_in_json, separators=(",", ":"))
    kind = _KINDS.get(column.type)
    return kind.text(value) if kind else str(value)


def _in_json(value: object) -> str:
    """What JSON has no value for, as from_json takes it."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if isinstance(value, date) else str(value)


def json_type(column: Column) -> str:
    """The type of the travelling value, as from_json wants it."""
    return "array<string>" if column.mode == "REPEATED" else "string"


def arrived(column: Column, expression: str) -> str:
    """The SQL expression that makes the column's value of a travelling one."""
    kind = _KINDS.get(column.type)
    cast = kind.sql if kind else f"CAST({{}} AS {column.type})"
    if column.type == STRUCT:
        cast = f"from_json({{}}, '{replace(column, mode=NULLABLE).sql_type}')"
    if column.mode == "REPEATED":
        return expression if cast == "{}" else f"transform({expression}, x -> {cast.format('x')})"
    return cast.format(expression)
