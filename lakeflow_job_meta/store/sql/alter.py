"""ALTER TABLE, COMMENT ON: a table's columns, comments, clustering, properties, name.

What Delta can't change in place (a type, what is within a record) is done by writing the table anew, as one version:
its history stays, and so does the way back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from arro3.core import Schema, Table
from deltalake import DeltaTable, write_deltalake
from deltalake import Schema as DeltaSchema
from sqlglot import Expr, exp

from lakeflow_job_meta.diagnostics import counted
from lakeflow_job_meta.errors import SqlError
from lakeflow_job_meta.model.column import REQUIRED, Column
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.store import delta_tables as delta
from lakeflow_job_meta.store.arrow import conformed
from lakeflow_job_meta.store.clustering import CLUSTER_PROPERTY
from lakeflow_job_meta.store.delta_schema import COMMENT, columns_of, delta_field, delta_fields
from lakeflow_job_meta.store.delta_tables import DeltaTables
from lakeflow_job_meta.store.sql.columns import column_of, with_type
from lakeflow_job_meta.store.sql.ddl import property_of
from lakeflow_job_meta.store.sql.names import table_name
from lakeflow_job_meta.store.sql.query import known
from lakeflow_job_meta.store.sql.session import Session
from lakeflow_job_meta.store.sql.target import duckdb_type, found_column, identifier

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Altering:
    """A table that is being altered, open at its newest version."""

    name: TableName
    opened: DeltaTable
    session: Session
    columns: tuple[Column, ...]

    def column(self, name: str) -> Column:
        return found_column(name, self.columns, self.name)


def alter(tables: DeltaTables, session: Session, tree: Expr) -> Rows:
    """Run an ALTER TABLE; each of its actions is a version of its own, but all columns that are added are one."""
    name = table_name(tree.this)
    actions = [part for action in tree.args["actions"] for part in _parts(action)]
    if len(actions) == 1 and isinstance(actions[0], exp.AlterRename):
        return _rename(tables, name, actions[0])
    with known(tables, name), tables.latest(name) as opened:
        work = _Altering(name, opened, session, columns_of(opened))
        if actions and all(isinstance(each, exp.ColumnDef) for each in actions):
            _add(work, actions)
        elif actions and all(isinstance(each, exp.AlterSet) for each in actions):
            _set(work, actions)
        elif len(actions) == 1 and type(actions[0]) in _ACTIONS:
            _ACTIONS[type(actions[0])](work, actions[0])
        else:
            said = ", ".join(each.sql("databricks") for each in actions)
            raise SqlError(f"ALTER TABLE … {said} isn't supported by the embedded store")
    return []


def comment(tables: DeltaTables, session: Session, tree: Expr) -> Rows:
    """COMMENT ON TABLE … IS '…'."""
    if str(tree.args.get("kind")).upper() != "TABLE":
        raise SqlError(f"COMMENT ON {tree.args.get('kind')} isn't supported by the embedded store")
    name = table_name(tree.this)
    with known(tables, name), tables.latest(name) as opened:
        text = str(tree.args["expression"].this) if tree.args["expression"].is_string else ""
        opened.alter.set_table_description(text, commit_properties=delta.commit_by("CHANGE COMMENT"))
    return []


def _parts(action: Expr) -> Sequence[Expr]:
    return action.expressions if isinstance(action, exp.Schema) else [action]


def _rename(tables: DeltaTables, name: TableName, action: Expr) -> Rows:
    to = table_name(action.this)
    with known(tables, name):
        delta.rename(tables, name, to)
    return []


def _set(work: _Altering, actions: Sequence[Expr]) -> None:
    properties: dict[str, str] = {}
    for each in actions:
        for pair in each.find_all(exp.Property):
            properties |= property_of(pair)
    if not properties:
        raise SqlError("this form of ALTER TABLE isn't supported by the embedded store")
    _set_properties(work, properties, "SET TBLPROPERTIES")


def _set_properties(work: _Altering, properties: dict[str, str], operation: str) -> None:
    work.opened.alter.set_table_properties(
        properties, raise_if_not_exists=False, commit_properties=delta.commit_by(operation)
    )


def _cluster(work: _Altering, action: Expr) -> None:
    names = [work.column(each.name).name for each in action.expressions]
    _set_properties(work, {CLUSTER_PROPERTY: ",".join(names)}, "CLUSTER BY")


def _add(work: _Altering, nodes: Sequence[Expr]) -> None:
    present = {column.name.lower() for column in work.columns}
    fields = [delta_field(column) for column in _added(work.name, nodes, present)]
    if fields:
        work.opened.alter.add_columns(fields, commit_properties=delta.commit_by("ADD COLUMNS"))


def _added(name: TableName, nodes: Sequence[Expr], present: set[str]) -> list[Column]:
    columns: list[Column] = []
    for node in nodes:
        column = column_of(node)
        if column.name.lower() in present:
            if node.args.get("exists"):
                continue
            raise SqlError(f"[FIELD_ALREADY_EXISTS] {name} has a column '{column.name}' already")
        if column.required or column.default is not None or column.generated or node.args.get("position"):
            raise SqlError(
                f"ADD COLUMN {column.name}: NOT NULL, DEFAULT, FIRST and AFTER aren't supported",
                hint="existing rows have no value for it",
            )
        columns.append(column)
    return columns


def _alter_column(work: _Altering, action: Expr) -> None:
    column = work.column(action.name)
    if "comment" in action.args:
        metadata = _metadata(replace(column, description=str(action.args["comment"].this)))
        work.opened.alter.set_column_metadata(column.name, metadata, commit_properties=delta.commit_by("CHANGE COLUMN"))
    elif action.args.get("drop") and action.args.get("allow_null"):
        if column.required:
            work.opened.alter.drop_column_not_null(column.name, commit_properties=delta.commit_by("CHANGE COLUMN"))
    elif action.args.get("allow_null") is False:
        _require(work, column)
    elif isinstance(action.args.get("dtype"), exp.DataType):
        _write_anew(work, with_type(column, action.args["dtype"]))
    else:
        raise SqlError(f"ALTER TABLE … {action.sql('databricks')} isn't supported by the embedded store")


def _metadata(column: Column) -> dict[str, str]:
    said = delta_field(column).metadata
    return {COMMENT: "", **{str(key): str(value) for key, value in said.items()}}


def _require(work: _Altering, column: Column) -> None:
    if column.repeated:
        raise SqlError(f"column {column.name}: an ARRAY can't be NOT NULL in the embedded store")
    missing = Table.from_arrow(work.opened.scan(columns=[column.name])).column(0).null_count
    if missing:
        raise SqlError(
            f"[NOT_NULL_CONSTRAINT_VIOLATION] {work.name}: column {column.name} is NULL in {counted(missing, 'row')}",
            hint="give them a value first",
        )
    _write_anew(work, replace(column, mode=REQUIRED))


def _write_anew(work: _Altering, changed: Column) -> None:
    """Put the same rows in the place of all, one column of them changed."""
    columns = tuple(changed if each.name == changed.name else each for each in work.columns)
    schema = Schema.from_arrow(DeltaSchema(delta_fields(columns)).to_arrow())
    view = work.session.register(Table.from_arrow(work.opened.scan()))
    cast = f"CAST({identifier(changed.name)} AS {duckdb_type(work.name, changed)})"
    rows = work.session.arrow(f'SELECT * REPLACE ({cast} AS {identifier(changed.name)}) FROM "{view}"')  # noqa: S608
    write_deltalake(
        work.opened,
        conformed(rows, schema),
        mode="overwrite",
        schema_mode="overwrite",
        partition_by=list(work.opened.metadata().partition_columns) or None,
        commit_properties=delta.commit_by("CHANGE COLUMN"),
    )


_ACTIONS: dict[type[Expr], Callable[[_Altering, Expr], None]] = {
    exp.AlterColumn: _alter_column,
    exp.ClusterProperty: _cluster,
}

STATEMENTS: dict[type[Expr], Callable[[DeltaTables, Session, Expr], Rows]] = {exp.Alter: alter, exp.Comment: comment}
