"""Types as an engine writes them back, read into columns: `array<struct<a:string,b:decimal(10,2)>>`. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from lakeflow_job_meta.model.column import NULLABLE, REPEATED, REQUIRED, Column
from lakeflow_job_meta.model.table_types import STRUCT


def column_of_text(name: str, kind: str, comment: str = "") -> Column:
    """A column from the text of its type.

    >>> column_of_text("r", "array<struct<a:string,b:decimal(10,2)>>").sql_type
    'ARRAY<STRUCT<a: STRING, b: DECIMAL(10,2)>>'
    """
    text, mode = kind.strip(), NULLABLE
    if text.lower().startswith("array<"):
        element = text[6:-1].strip()
        # An array of arrays has no mode: it stays a text.
        if not element.lower().startswith(("array<", "map<")):
            text, mode = element, REPEATED
    if text.lower().startswith("struct<"):
        parts = (each.partition(":") for each in _split(text[7:-1]))
        fields = tuple(column_of_text(field.strip().strip("`"), inner) for field, _, inner in parts)
        return Column(name, STRUCT, mode, comment, fields=fields)
    return Column(name, text.upper(), mode, comment)


def _split(text: str) -> Iterator[str]:
    """The parts between the commas that aren't within brackets."""
    depth = start = 0
    for position, each in enumerate(text):
        depth += (each in "<(") - (each in ">)")
        if each == "," and depth == 0:
            yield text[start:position]
            start = position + 1
    yield text[start:]


def _record(kind: object) -> Sequence[Mapping[str, Any]] | None:
    """The fields of a record's type, or of the records in an array."""
    if not isinstance(kind, dict):
        return None
    said = cast("Mapping[str, Any]", kind)
    if said.get("type") == "array":
        return _record(said["elementType"])
    return cast("Sequence[Mapping[str, Any]]", said["fields"]) if said.get("type") == "struct" else None


def with_fields(column: Column, field: Mapping[str, Any]) -> Column:
    """The column with what a schema's JSON (that of Spark and of Delta's log) says of it beyond its type: whether it is
    required, the comments and fields of a record, the expression that generates it.

    >>> with_fields(Column("a", "STRING"), {"name": "a", "type": "string", "nullable": False, "metadata": {}}).mode
    'REQUIRED'
    """
    metadata = cast("Mapping[str, Any]", field.get("metadata") or {})
    kind = _record(field.get("type"))
    inner = column.fields
    if kind is not None:
        told = {str(each["name"]): each for each in kind}
        inner = tuple(with_fields(each, told[each.name]) if each.name in told else each for each in column.fields)
    return replace(
        column,
        mode=REQUIRED if not column.repeated and field.get("nullable") is False else column.mode,
        description=str(metadata.get("comment") or column.description),
        fields=inner,
        generated=metadata.get("delta.generationExpression", column.generated),
    )
