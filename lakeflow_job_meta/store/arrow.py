"""Rows to Arrow and back, by arro3 alone: neither pyarrow nor numpy is needed.

Timestamps are aware datetimes in UTC on the Python side, microseconds on the Arrow side.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from itertools import accumulate
from typing import Any, cast

from arro3.core import (
    Array,
    ChunkedArray,
    DataType,
    Field,
    Schema,
    Table,
    list_array,  # pyright: ignore[reportUnknownVariableType] (partly untyped in arro3)
    struct_array,  # pyright: ignore[reportUnknownVariableType] (as list_array)
)

from lakeflow_job_meta.errors import InputError, StoreError
from lakeflow_job_meta.model.table import Row

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_DAY = date(1970, 1, 1)
UNREADABLE = "nothing was changed for its sake; RESTORE the table, or bring its files back"
MICROSECOND = timedelta(microseconds=1)

_PER_UNIT: dict[str, Callable[[int], datetime]] = {
    "s": lambda ticks: EPOCH + timedelta(seconds=ticks),
    "ms": lambda ticks: EPOCH + timedelta(milliseconds=ticks),
    "us": lambda ticks: EPOCH + timedelta(microseconds=ticks),
    "ns": lambda ticks: EPOCH + timedelta(microseconds=ticks // 1000),
}


def to_rows(stream: Any) -> list[dict[str, Any]]:
    """Whatever speaks Arrow's C stream, as a list of dicts.

    Raises:
        StoreError: what is behind the stream can't be read, like a data file that is gone.
    """
    try:
        table = Table.from_arrow(stream)
    except Exception as problem:  # arro3 raises just that
        if type(problem) is not Exception:
            raise
        why = str(problem).removeprefix("C Data interface error: ").removeprefix("C Data interface error: ")
        raise StoreError(f"a table's rows can't be read: {why}", hint=UNREADABLE) from problem
    columns = [_to_values(table.column(position)) for position in range(table.num_columns)]
    names = table.column_names
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _to_values(column: ChunkedArray) -> Sequence[Any]:
    kind = column.type
    if DataType.is_timestamp(kind):
        convert = _PER_UNIT[str(kind.time_unit)]
        ticks: Sequence[int | None] = values_of(column.cast(DataType.int64()))
        return [None if tick is None else convert(tick) for tick in ticks]
    return values_of(column)


def values_of(column: ChunkedArray) -> Sequence[Any]:
    """The column's values as arro3 gives them."""
    return cast("Sequence[Any]", column.to_pylist())  # pyright: ignore[reportUnknownMemberType] (arro3 leaves it untyped)


def without_metadata(schema: Any) -> Schema:
    """The schema's fields without comments and defaults: delta-rs refuses an append whose metadata differ from the
    table's, and its own schema doesn't repeat all of them."""
    return Schema([_plain_field(each) for each in Schema.from_arrow(schema)])


def _plain_field(field: Field) -> Field:
    kind = field.type
    if DataType.is_struct(kind):
        kind = DataType.struct([_plain_field(each) for each in fields_of(kind)])
    elif DataType.is_list(kind):
        kind = DataType.list(_plain_field(cast("Field", kind.value_field)))
    return Field(field.name, kind, nullable=field.nullable)


def fields_of(kind: DataType) -> Sequence[Field]:
    """The fields of a record's type."""
    return kind.fields


def conformed(rows: Table, schema: Schema) -> Table:
    """The same rows as columns of exactly this schema, records and all.

    Raises:
        InputError: a value is missing where the schema wants one.
    """
    columns: list[ChunkedArray] = []
    for each in schema:
        column = rows.column(each.name)
        try:
            # Types are told apart without the names of their inner fields: to be cast they have to be all the same.
            columns.append(column.cast(each.type) if DataType.is_nested(each.type) else column)
        except Exception as problem:  # arro3 raises just that
            if type(problem) is not Exception:
                raise
            raise InputError(f"column {each.name}: a required field of a record has no value") from problem
    return Table.from_arrays(columns, schema=schema)  # pyright: ignore[reportUnknownMemberType] (partly untyped in arro3)


def nullable(schema: Schema) -> Schema:
    """The same fields, all nullable: the source of a merge holds rows of which only the key is known."""
    return Schema([Field(each.name, each.type, nullable=True) for each in schema])


def to_table(rows: Sequence[Row], schema: Schema) -> Table:
    """The rows as an Arrow table of exactly this schema; a missing key is NULL.

    Raises:
        InputError: a value that its column can't hold.
    """
    arrays = [_to_array(each, [row.get(each.name) for row in rows]) for each in schema]
    return Table.from_arrays(arrays, schema=schema)  # pyright: ignore[reportUnknownMemberType] (partly untyped in arro3)


def with_texts(table: Table, name: str, texts: Sequence[str]) -> Table:
    """The table with one more column of texts."""
    return table.append_column(name, ChunkedArray([Array(texts, DataType.string())]))


_MISFITS = (TypeError, ValueError, OverflowError, AttributeError, NotImplementedError, ArithmeticError)
"""What arro3, or Python, raises where a value is none of its type."""


def _to_array(field: Field, values: list[Any]) -> Array:
    try:
        return _array_of(field.type, values)
    except _MISFITS as problem:
        bad = _first_misfit(field.type, values)
        raise InputError(f"column {field.name}: {bad!r} is not a value of type {_plain(field.type)}") from problem


def _array_of(kind: DataType, values: list[Any]) -> Array:
    if DataType.is_timestamp(kind):
        ticks = [None if value is None else _aware(value) for value in values]
        return Array(
            [None if tick is None else (tick - EPOCH) // MICROSECOND for tick in ticks], DataType.int64()
        ).cast(kind)
    if DataType.is_date32(kind):
        days = [None if value is None else (value - EPOCH_DAY).days for value in values]
        return Array(days, DataType.int32()).cast(kind)
    if DataType.is_list(kind):
        return _list_of(kind, values)
    if DataType.is_struct(kind):
        return _records_of(kind, values)
    if DataType.is_decimal(kind):
        texts = [None if value is None else _digits(kind, value) for value in values]
        return Array(texts, DataType.string()).cast(kind)
    if DataType.is_integer(kind) and any(isinstance(value, bool) for value in values):
        raise TypeError("a boolean is not a number")
    return Array(values, kind)


def _list_of(kind: DataType, values: list[Any]) -> Array:
    parts: list[list[Any]] = [list(value or ()) for value in values]
    inner = cast("Field", kind.value_field)
    items = _array_of(inner.type, [item for part in parts for item in part])
    offsets = Array([0, *accumulate(len(part) for part in parts)], DataType.int32())
    return list_array(offsets, items, type=kind)


def _records_of(kind: DataType, values: list[Any]) -> Array:
    fields = fields_of(kind)
    known = {each.name for each in fields}
    for value in values:
        if value is not None and (unknown := set(value) - known):
            raise ValueError(f"no such field: {min(unknown)}")
        for each in fields:
            if value is not None and not each.nullable and value.get(each.name) is None:
                raise ValueError(f"{each.name} is required")
    parts = [
        _array_of(each.type, [None if value is None else value.get(each.name) for value in values]) for each in fields
    ]
    missing = Array([value is None for value in values], DataType.bool())
    return struct_array(parts, fields=fields, mask=missing)


_DIGITS = re.compile(r"Decimal(?:128|256)\((\d+), (-?\d+)\)")


def _digits(kind: DataType, value: Any) -> str:
    """The number's text, unless it has more digits than its column: arro3 would round it, or make it NULL."""
    found = _DIGITS.search(str(kind))
    if found is None or isinstance(value, bool | float) or not isinstance(value, Decimal | int):
        raise TypeError("not a decimal number")
    precision, scale = int(found[1]), int(found[2])
    sign, digits, exponent = Decimal(value).normalize(Context(prec=precision + 40)).as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"{value} is not a number")
    if -exponent > scale or len(digits) + exponent > precision - scale:
        raise ValueError(f"more digits than DECIMAL({precision},{scale}) has")
    return f"{Decimal((sign, digits, exponent)):f}"


def _aware(value: Any) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError("not a datetime")
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value


def _first_misfit(kind: DataType, values: Iterable[Any]) -> Any:
    for value in values:
        try:
            _array_of(kind, [value])
        except _MISFITS:
            return value
    return None


def _plain(kind: DataType) -> str:
    return str(kind).removeprefix("arro3.core.DataType<").strip().removesuffix(">")
