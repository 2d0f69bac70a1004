"""Table names inside statements: three parts or nothing."""

from __future__ import annotations

from sqlglot import Expr, exp

from lakeflow_job_meta.errors import InputError, SqlError
from lakeflow_job_meta.model.table import TableName


def table_name(table: Expr) -> TableName:
    """The name of a table node.

    Raises:
        SqlError: not exactly three parts, or a part that isn't an identifier.
    """
    if isinstance(table, exp.Schema):
        table = table.this
    if not isinstance(table, exp.Table) or not isinstance(table.this, exp.Identifier):
        raise SqlError(f"'{table.sql('databricks')}' isn't the name of a table", hint="write catalog.schema.table")
    parts = [part.name for part in table.parts]
    return parse_name(".".join(parts), parts)


def parse_name(text: str, parts: list[str] | None = None) -> TableName:
    """A three-part name from text.

    Raises:
        SqlError: it isn't one.
    """
    if len(parts if parts is not None else text.split(".")) != 3:
        raise SqlError(
            f"[TABLE_OR_VIEW_NOT_FOUND] '{text}' is not a full table name",
            hint="the embedded store has no current catalog or schema: write catalog.schema.table",
        )
    try:
        return TableName.parse(text)
    except InputError as problem:
        raise SqlError(problem.message, hint=problem.hint) from problem
