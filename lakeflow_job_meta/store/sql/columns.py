"""Columns as CREATE TABLE and ALTER TABLE write them: types, records, constraints, comments."""

from __future__ import annotations

from sqlglot import Expr, exp

from lakeflow_job_meta.errors import SqlError
from lakeflow_job_meta.model.column import NULLABLE, REPEATED, REQUIRED, Column
from lakeflow_job_meta.model.table import IDENTIFIER
from lakeflow_job_meta.model.table_types import STRUCT

_TYPES = {
    "TEXT": "STRING", "VARCHAR": "STRING", "CHAR": "STRING", "INT": "INT", "BIGINT": "BIGINT", "SMALLINT": "SMALLINT",
    "TINYINT": "BYTE", "DOUBLE": "DOUBLE", "FLOAT": "FLOAT", "BOOLEAN": "BOOLEAN", "TIMESTAMPTZ": "TIMESTAMP",
    "TIMESTAMP": "TIMESTAMP", "TIMESTAMPNTZ": "TIMESTAMP_NTZ", "DATE": "DATE", "BINARY": "BINARY",
}  # fmt: skip


def column_of(node: Expr) -> Column:
    """A column's definition.

    Raises:
        SqlError: a type or a constraint that the embedded store doesn't know, or a name that is none.
    """
    if not isinstance(node, exp.ColumnDef):
        raise SqlError(f"'{node.sql('databricks')}' isn't supported in CREATE TABLE by the embedded store")
    if not isinstance(node.this, exp.Identifier) or not IDENTIFIER.fullmatch(node.name):
        raise SqlError(f"column name '{node.this.sql('databricks')}' is not an identifier")
    mode, text, default, generated = NULLABLE, "", None, None
    for constraint in node.args.get("constraints") or ():
        kind = constraint.args["kind"]
        if isinstance(kind, exp.NotNullColumnConstraint):
            mode = NULLABLE if kind.args.get("allow_null") else REQUIRED
        elif isinstance(kind, exp.CommentColumnConstraint):
            text = str(kind.this.this)
        elif isinstance(kind, exp.DefaultColumnConstraint):
            default = kind.this.sql("databricks")
        elif isinstance(kind, exp.GeneratedAsIdentityColumnConstraint | exp.ComputedColumnConstraint):
            generated = _generated(node.name, kind)
        else:
            raise SqlError(f"column {node.name}: {kind.sql('databricks')} isn't supported by the embedded store")
    kind = node.args.get("kind")
    if not isinstance(kind, exp.DataType):
        raise SqlError(f"column {node.name} has no type")
    return with_type(Column(node.name, "STRING", mode, text, default, generated=generated), kind)


def with_type(column: Column, kind: exp.DataType) -> Column:
    """The column with a type as SQL writes it.

    Raises:
        SqlError: the embedded store doesn't know the type.
    """
    mode, element = column.mode, kind
    if _name(kind) == "ARRAY":
        if column.required:
            raise SqlError(f"column {column.name}: an ARRAY can't be NOT NULL in the embedded store")
        mode, element = REPEATED, kind.expressions[0]
    fields: tuple[Column, ...] = ()
    if _name(element) == "STRUCT":
        fields = tuple(column_of(each) for each in element.expressions)
        return Column(column.name, STRUCT, mode, column.description, column.default, fields, column.generated)
    return Column(
        column.name, _scalar(column.name, element), mode, column.description, column.default, (), column.generated
    )


def _name(kind: Expr) -> str:
    return str(getattr(kind.this, "value", kind.this))


def _scalar(column: str, kind: Expr) -> str:
    if _name(kind) == "DECIMAL":
        precision, scale = ([each.sql() for each in kind.expressions] + ["10", "0"][len(kind.expressions) :])[:2]
        return f"DECIMAL({precision},{scale})"
    if _name(kind) not in _TYPES:
        raise SqlError(
            f"column {column}: the type {kind.sql('databricks')} isn't supported by the embedded store",
            hint="known: " + ", ".join(sorted({*_TYPES.values(), "DECIMAL", "ARRAY", STRUCT})),
        )
    return _TYPES[_name(kind)]


def _generated(column: str, constraint: Expr) -> str:
    expression = constraint.args.get("expression") or (
        constraint.this if isinstance(constraint, exp.ComputedColumnConstraint) else None
    )
    if not isinstance(expression, Expr):
        said = constraint.sql("databricks")
        raise SqlError(f"column {column}: {said} isn't supported by the embedded store")
    return (expression.this if isinstance(expression, exp.Paren) else expression).sql("databricks")
