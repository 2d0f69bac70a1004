"""Arrays, maps and structs, which Spark's Thrift server sends as a text that can't be read back.

So the test warehouse asks Spark for them as JSON, and makes of that the Arrow that a real warehouse sends.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

Described = Sequence[tuple[str, str]]
"""Names and types of a query's columns, as DESCRIBE QUERY tells them."""

PLAIN: Mapping[str, pa.DataType] = {
    "string": pa.string(), "boolean": pa.bool_(), "tinyint": pa.int8(), "smallint": pa.int16(), "int": pa.int32(),
    "bigint": pa.int64(), "float": pa.float32(), "double": pa.float64(), "binary": pa.binary(), "date": pa.date32(),
    "timestamp": pa.timestamp("us", "Etc/UTC"), "void": pa.null(),
}  # fmt: skip
OPTIONS = "map('timestampFormat', 'yyyy-MM-dd HH:mm:ss.SSSSSSXXX', 'ignoreNullFields', 'false')"


def has_parts(kind: str) -> bool:
    return kind.startswith(("array<", "map<", "struct<"))


def as_json(statement: str, columns: Described) -> str:
    """The query with each column that has parts as JSON."""
    shown = [f"to_json(`{name}`, {OPTIONS}) AS `{name}`" if has_parts(kind) else f"`{name}`" for name, kind in columns]
    return f"SELECT {', '.join(shown)} FROM (\n{statement}\n)"


def arrow_type(kind: str) -> pa.DataType:
    """The Arrow type of a type as Spark writes it."""
    outer, _, inner = kind.partition("<")
    parts = _split(inner.removesuffix(">"))
    if outer == "array":
        return pa.list_(arrow_type(parts[0]))
    if outer == "map":
        return pa.map_(*(arrow_type(each) for each in parts))
    if outer == "struct":
        return pa.struct([(name, arrow_type(each)) for name, _, each in (part.partition(":") for part in parts)])
    if outer.startswith("decimal("):
        return pa.decimal128(*(int(each) for each in outer[8:-1].split(",")))
    return PLAIN[outer]


def _split(text: str) -> list[str]:
    found, depth, begin = [], 0, 0
    for place, sign in enumerate(text):
        depth += (sign in "<(") - (sign in ">)")
        if sign == "," and not depth:
            found.append(text[begin:place])
            begin = place + 1
    return [*found, text[begin:]]


def value_of(text: str | None, kind: pa.DataType) -> Any:
    """The value that the JSON stands for, as Arrow takes it."""
    return None if text is None else _value(json.loads(text), kind)


def _value(raw: Any, kind: pa.DataType) -> Any:
    if raw is None:
        return None
    if pa.types.is_list(kind):
        return [_value(each, kind.value_type) for each in raw]
    if pa.types.is_map(kind):
        return [(name, _value(each, kind.item_type)) for name, each in raw.items()]
    if pa.types.is_struct(kind):
        return {field.name: _value(raw.get(field.name), field.type) for field in kind}
    return next((read(raw) for fits, read in READERS if fits(kind)), raw)


READERS: Sequence[tuple[Callable[[pa.DataType], bool], Callable[[Any], Any]]] = (
    (pa.types.is_timestamp, datetime.fromisoformat),
    (pa.types.is_date, date.fromisoformat),
    (pa.types.is_binary, base64.b64decode),
    (pa.types.is_decimal, lambda raw: Decimal(str(raw))),
)
