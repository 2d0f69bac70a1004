"""Databricks SQL that makes and changes tables, as text; pure. Every name is quoted, every comment a literal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lakeflow_job_meta.model.column import Column
from lakeflow_job_meta.model.table import TableName, TableSpec
from lakeflow_job_meta.model.table_types import STRUCT
from lakeflow_job_meta.store.feed import FEED

Path = tuple[str, ...]
"""A column's name, or that of a field within a record: the names on the way to it."""


def quoted(name: str) -> str:
    """The name as an identifier.

    >>> quoted("a`b")
    '`a``b`'
    """
    return "`" + name.replace("`", "``") + "`"


def full_name(table: TableName) -> str:
    """The table's three parts, quoted."""
    return ".".join(quoted(part) for part in (table.catalog, table.schema, table.name))


def literal(text: str) -> str:
    """The text as a string literal.

    >>> print(literal("it's"))
    'it\\'s'
    """
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r") + "'"


def listed(names: Iterable[str]) -> str:
    """The names, quoted, with commas between."""
    return ", ".join(quoted(name) for name in names)


def create(
    spec: TableSpec,
    properties: Mapping[str, str],
    *,
    with_defaults: bool,
    generated: bool = True,
    replace: bool = False,
) -> str:
    """Makes the table.

    Args:
        spec: the table.
        properties: its properties, beside those that every table of ours has.
        with_defaults: whether the engine is told the columns' defaults.
        generated: whether it is told what generates a column.
        replace: whether a table that is there is replaced; without that the statement fails.
    """
    columns = ",\n  ".join(declaration(each, with_default=with_defaults, generated=generated) for each in spec.columns)
    verb = "CREATE OR REPLACE TABLE" if replace else "CREATE TABLE"
    parts = [f"{verb} {full_name(spec.name)} (\n  {columns}\n) USING DELTA"]
    if spec.partition_by:
        parts.append(f"PARTITIONED BY ({listed(spec.partition_by)})")
    elif spec.cluster_by:
        parts.append(f"CLUSTER BY ({listed(spec.cluster_by)})")
    if spec.description:
        parts.append(f"COMMENT {literal(spec.description)}")
    parts.append(_properties({FEED: "true", **properties}))
    return "\n".join(parts)


def declaration(column: Column, *, with_default: bool = False, generated: bool = False) -> str:
    """A column as CREATE TABLE and ADD COLUMN want it.

    >>> declaration(Column("n", "BIGINT", "REQUIRED", "how many"))
    "`n` BIGINT NOT NULL COMMENT 'how many'"
    """
    parts = [quoted(column.name), declared_type(column)]
    if column.required:
        parts.append("NOT NULL")
    if generated and column.generated is not None:
        parts.append(f"GENERATED ALWAYS AS ({column.generated})")
    if with_default and column.default is not None:
        parts.append(f"DEFAULT {column.default}")
    if column.description:
        parts.append(f"COMMENT {literal(column.description)}")
    return " ".join(parts)


def declared_type(column: Column) -> str:
    """The column's type, with what its record's fields declare."""
    kind = column.type
    if kind == STRUCT:
        kind = f"STRUCT<{', '.join(_field(each) for each in column.fields)}>"
    return f"ARRAY<{kind}>" if column.repeated else kind


def _field(column: Column) -> str:
    parts = [f"{quoted(column.name)}: {declared_type(column)}"]
    if column.required:
        parts.append("NOT NULL")
    if column.description:
        parts.append(f"COMMENT {literal(column.description)}")
    return " ".join(parts)


def add_column(table: TableName, column: Column, within: Path = ()) -> str:
    """Adds a column, or a field within a record; it comes last, and is NULL in the rows that there are."""
    text = declaration(column)
    return f"ALTER TABLE {full_name(table)} ADD COLUMN {''.join(f'{quoted(each)}.' for each in within)}{text}"


def comment_column(table: TableName, path: Path, text: str) -> str:
    """Changes the comment of a column, or of a field."""
    return f"ALTER TABLE {full_name(table)} ALTER COLUMN {_dotted(path)} COMMENT {literal(text)}"


def comment_table(table: TableName, text: str) -> str:
    """Changes the table's comment."""
    return f"COMMENT ON TABLE {full_name(table)} IS {literal(text)}"


def relax_column(table: TableName, path: Path) -> str:
    """Lets a column be NULL."""
    return f"ALTER TABLE {full_name(table)} ALTER COLUMN {_dotted(path)} DROP NOT NULL"


def require_column(table: TableName, path: Path) -> str:
    """Lets a column not be NULL; fails where it is."""
    return f"ALTER TABLE {full_name(table)} ALTER COLUMN {_dotted(path)} SET NOT NULL"


def default_column(table: TableName, column: Column) -> str:
    """Changes what the engine fills a column with."""
    what = "DROP DEFAULT" if column.default is None else f"SET DEFAULT {column.default}"
    return f"ALTER TABLE {full_name(table)} ALTER COLUMN {quoted(column.name)} {what}"


def change_type(table: TableName, column: Column) -> str:
    """Gives a column its type, with all that a record declares."""
    return f"ALTER TABLE {full_name(table)} ALTER COLUMN {quoted(column.name)} TYPE {declared_type(column)}"


def cluster(table: TableName, columns: Sequence[str]) -> str:
    """Changes what the engine clusters the table by."""
    return f"ALTER TABLE {full_name(table)} CLUSTER BY {f'({listed(columns)})' if columns else 'NONE'}"


def sort_files(table: TableName, columns: Sequence[str]) -> str:
    """Z-orders the table's files."""
    return f"OPTIMIZE {full_name(table)} ZORDER BY ({listed(columns)})"


def set_properties(table: TableName, properties: Mapping[str, str]) -> str:
    """Sets these properties of the table, and leaves the others."""
    return f"ALTER TABLE {full_name(table)} SET {_properties(properties)}"


def rename(table: TableName, to: TableName, *, two_parts: bool = False) -> str:
    """Gives the table another name in its schema; Spark's own catalog wants that name in two parts."""
    name = f"{quoted(to.schema)}.{quoted(to.name)}" if two_parts else full_name(to)
    return f"ALTER TABLE {full_name(table)} RENAME TO {name}"


def drop(table: TableName) -> str:
    """Drops the table, if it is there."""
    return f"DROP TABLE IF EXISTS {full_name(table)}"


def restore(table: TableName, version: int) -> str:
    """Takes the table back to a version."""
    return f"RESTORE TABLE {full_name(table)} TO VERSION AS OF {version:d}"


def create_schema(catalog: str, schema: str, description: str = "") -> str:
    """Makes the schema, if it isn't there."""
    text = f" COMMENT {literal(description)}" if description else ""
    return f"CREATE SCHEMA IF NOT EXISTS {quoted(catalog)}.{quoted(schema)}{text}"


def drop_schema(catalog: str, schema: str) -> str:
    """Drops the schema, if it is there; fails where something is in it."""
    return f"DROP SCHEMA IF EXISTS {quoted(catalog)}.{quoted(schema)}"


def _dotted(path: Path) -> str:
    return ".".join(quoted(each) for each in path)


def _properties(properties: Mapping[str, str]) -> str:
    said = ", ".join(f"{literal(name)} = {literal(value)}" for name, value in properties.items())
    return f"TBLPROPERTIES ({said})"
