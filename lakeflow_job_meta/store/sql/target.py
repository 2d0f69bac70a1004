"""The table that a statement writes, as a DuckDB table with the same columns, defaults and NOT NULL."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlglot import Expr, exp
from sqlglot.errors import ParseError

from lakeflow_job_meta.diagnostics import nearest
from lakeflow_job_meta.errors import SqlError
from lakeflow_job_meta.model.table import Column, TableName
from lakeflow_job_meta.model.table_types import STRUCT
from lakeflow_job_meta.store.delta_tables import user
from lakeflow_job_meta.store.sql.dialect import Embedded
from lakeflow_job_meta.store.sql.rewrite import as_duckdb
from lakeflow_job_meta.store.sql.session import Session

TARGET = "__target"
BEFORE = "__before"
ROW = "__row"
"""The column that tells the target's rows apart; NULL in a row that the statement adds."""

_CAST_TYPES = {"INT": "INT", "BIGINT": "BIGINT", "SMALLINT": "SMALLINT", "BYTE": "TINYINT", "STRING": "STRING"}
"""Columns whose values DuckDB casts otherwise than Databricks: they get a cast that `rewrite` puts right."""

DUCKDB_TYPES = {
    "STRING": "VARCHAR", "INT": "INTEGER", "BIGINT": "BIGINT", "SMALLINT": "SMALLINT", "BYTE": "TINYINT",
    "DOUBLE": "DOUBLE", "FLOAT": "FLOAT", "BOOLEAN": "BOOLEAN", "TIMESTAMP": "TIMESTAMPTZ",
    "TIMESTAMP_NTZ": "TIMESTAMP", "DATE": "DATE", "BINARY": "BLOB",
}  # fmt: skip


def make_target(session: Session, name: TableName, columns: Sequence[Column]) -> None:
    """Make the empty target.

    Raises:
        SqlError: a column of a type that the embedded store can't write.
    """
    declared = ", ".join([f"{ROW} BIGINT", *(_declaration(name, column) for column in columns)])
    session.columns.update(column.name for column in columns)
    _ = session.plain(f"CREATE TEMP TABLE {TARGET} ({declared})")


def _declaration(name: TableName, column: Column) -> str:
    text = f"{identifier(column.name)} {duckdb_type(name, column)}"
    if column.generated is not None:
        return f"{text} GENERATED ALWAYS AS ({_expression(name, column, column.generated)})"
    if column.required:
        text += " NOT NULL"
    return text if column.default is None else f"{text} DEFAULT ({_expression(name, column, column.default)})"


def duckdb_type(name: TableName, column: Column) -> str:
    """The column's whole type in DuckDB's words.

    Raises:
        SqlError: the embedded store can't write it.
    """
    if column.type == STRUCT:
        kind = f"STRUCT({', '.join(f'{identifier(each.name)} {duckdb_type(name, each)}' for each in column.fields)})"
    else:
        kind = DUCKDB_TYPES.get(column.type, column.type if re.fullmatch(r"DECIMAL\(\d+,\s*\d+\)", column.type) else "")
    if not kind:
        raise SqlError(f"{name}: column {column.name} is of type {column.type}, which the embedded store can't write")
    return f"{kind}[]" if column.repeated else kind


def _expression(name: TableName, column: Column, text: str) -> str:
    try:
        return as_duckdb(Embedded().parse(text)[0] or exp.null(), user()).sql("duckdb")
    except ParseError as problem:
        raise SqlError(f"{name}: the default of column {column.name} isn't SQL: {text}") from problem


def written(columns: Sequence[Column]) -> list[Column]:
    """The columns that a statement can give values: not those that follow from others."""
    return [each for each in columns if each.generated is None]


def identifier(name: str) -> str:
    """The name, quoted for DuckDB."""
    return exp.to_identifier(name, quoted=True).sql("duckdb")


def column_named(name: str, columns: Sequence[Column], table: TableName) -> Column:
    """The column of this name, in any case, to be given a value.

    Raises:
        SqlError: there is none, or its value follows from others.
    """
    column = found_column(name, columns, table)
    if column.generated is not None:
        raise SqlError(f"{table}: column {column.name} is always {column.generated}", hint="leave it out")
    return column


def found_column(name: str, columns: Sequence[Column], table: TableName) -> Column:
    """The column of this name, in any case.

    Raises:
        SqlError: there is none.
    """
    for column in columns:
        if column.name.lower() == name.lower():
            return column
    raise SqlError(
        f"[UNRESOLVED_COLUMN] {table} has no column '{name}'", hint=nearest(name, [each.name for each in columns])
    )


def is_default(value: Expr) -> bool:
    """The keyword DEFAULT in the place of a value: sqlglot reads it as a column."""
    return isinstance(value, exp.Column | exp.Var) and value.name.upper() == "DEFAULT" and not value.args.get("table")


def assigned(value: Expr, column: Column) -> Expr:
    """The value as its column takes it: DEFAULT as the keyword that it is, all else as Databricks casts it."""
    if is_default(value):
        return exp.var("DEFAULT")
    kind = None if column.repeated else _CAST_TYPES.get(column.type)
    as_it_is = isinstance(value, exp.Null) or (value.is_string and kind == "STRING")
    return value if kind is None or as_it_is else exp.cast(value, kind, dialect="databricks")
