"""Columns in our words to Delta's schema and back, records and arrays included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from deltalake import DeltaTable
from deltalake.schema import ArrayType, DataType, Field, MapType, PrimitiveType, StructType

from lakeflow_job_meta.model.column import NULLABLE, REPEATED, REQUIRED, Column
from lakeflow_job_meta.model.table_types import STRUCT
from lakeflow_job_meta.store.defaults import defaults_of

COMMENT, DEFAULT, GENERATED = "comment", "CURRENT_DEFAULT", "delta.generationExpression"
"""The keys of a field's metadata, as the Delta protocol names them."""

DELTA_TYPES = {
    "STRING": "string", "INT": "integer", "BIGINT": "long", "SMALLINT": "short", "DOUBLE": "double",
    "FLOAT": "float", "BOOLEAN": "boolean", "TIMESTAMP": "timestamp", "DATE": "date", "BINARY": "binary",
}  # fmt: skip
TYPE_NAMES = {delta: name for name, delta in DELTA_TYPES.items()}


def columns_of(table: DeltaTable) -> tuple[Column, ...]:
    """The table's columns in our own words."""
    kept = {name.lower(): text for name, text in defaults_of(table.metadata().configuration).items()}
    return tuple(_column(each, kept) for each in table.schema().fields)


def _column(field: Field, kept: Mapping[str, str]) -> Column:
    metadata = cast("Mapping[str, Any]", field.metadata)
    default, generated = kept.get(field.name.lower(), metadata.get(DEFAULT)), metadata.get(GENERATED)
    kind, repeated = field.type, False
    if isinstance(kind, ArrayType):
        kind, repeated = kind.element_type, True
    return Column(
        field.name,
        STRUCT if isinstance(kind, StructType) else _text(kind),
        REPEATED if repeated else NULLABLE if field.nullable else REQUIRED,
        str(metadata.get(COMMENT, "")),
        None if default in (None, "NULL") else str(default),
        tuple(_column(each, {}) for each in kind.fields) if isinstance(kind, StructType) else (),
        None if generated is None else str(generated),
    )


def _text(kind: DataType) -> str:
    if isinstance(kind, PrimitiveType):
        return TYPE_NAMES.get(kind.type, kind.type.upper())
    if isinstance(kind, ArrayType):
        return f"ARRAY<{_text(kind.element_type)}>"
    if isinstance(kind, MapType):
        return f"MAP<{_text(kind.key_type)}, {_text(kind.value_type)}>"
    if isinstance(kind, StructType):
        return f"STRUCT<{', '.join(f'{each.name}: {_text(each.type)}' for each in kind.fields)}>"
    return str(kind.type).upper()


def delta_field(column: Column) -> Field:
    """The column as delta-rs wants it; description, default and generation are the field's metadata."""
    said = {COMMENT: column.description or None, DEFAULT: column.default, GENERATED: column.generated}
    kind = _delta_type(column)
    return Field(
        column.name,
        ArrayType(kind, contains_null=True) if column.repeated else kind,
        nullable=not column.required,
        metadata={key: text for key, text in said.items() if text is not None},
    )


def _delta_type(column: Column) -> PrimitiveType | StructType:
    if column.type == STRUCT:
        return StructType([delta_field(each) for each in column.fields])
    return PrimitiveType(DELTA_TYPES.get(column.type, column.type.lower().replace(" ", "")))


def delta_fields(columns: Sequence[Column]) -> list[Field]:
    """The columns as delta-rs wants them."""
    return [delta_field(each) for each in columns]
