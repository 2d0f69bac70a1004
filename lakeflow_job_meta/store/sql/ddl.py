"""CREATE, DROP, TRUNCATE: tables and schemas themselves."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from deltalake import write_deltalake
from deltalake.exceptions import DeltaError
from sqlglot import Expr, exp

from lakeflow_job_meta.diagnostics import counted
from lakeflow_job_meta.errors import SqlError
from lakeflow_job_meta.model.table import IDENTIFIER, Column, TableName
from lakeflow_job_meta.store import delta_tables as delta
from lakeflow_job_meta.store.clustering import clustering
from lakeflow_job_meta.store.delta_tables import Declaration, DeltaTables
from lakeflow_job_meta.store.feed import FEED
from lakeflow_job_meta.store.sql.columns import column_of
from lakeflow_job_meta.store.sql.names import table_name
from lakeflow_job_meta.store.sql.query import bind, known, not_found
from lakeflow_job_meta.store.sql.session import Session
from lakeflow_job_meta.store.sql.target import DUCKDB_TYPES

Rows = list[dict[str, Any]]

_SCHEMAS = ("SCHEMA", "DATABASE")
_COPIES: dict[type[Expr], str] = {exp.LikeProperty: "LIKE", exp.Clone: "CLONE"}
_FEATURE_OF_DEFAULTS = "delta.feature.allowcolumndefaults"


def create(tables: DeltaTables, session: Session, tree: Expr) -> Rows:
    """CREATE [OR REPLACE] TABLE [AS] and CREATE SCHEMA."""
    kind, replaces = str(tree.args.get("kind")).upper(), bool(tree.args.get("replace"))
    if kind != "TABLE" and (replaces or kind not in _SCHEMAS):
        said = f"CREATE OR REPLACE {kind}" if replaces else f"CREATE {kind}"
        raise SqlError(f"{said} isn't supported by the embedded store")
    if kind in _SCHEMAS:
        return _create_schema(tables, tree)
    name = table_name(tree.this)
    if tables.exists(name) and not replaces:
        return _there(name, tree)
    for form, said in _COPIES.items():
        if tree.args.get("clone") if form is exp.Clone else any(tree.find_all(form)):
            raise SqlError(
                f"CREATE TABLE … {said} isn't supported by the embedded store",
                hint="CREATE TABLE … AS SELECT * FROM …; with WHERE false it gets no rows",
            )
    query = tree.args.get("expression")
    if query is not None:
        return _create_as(tables, session, tree, name)
    if not isinstance(tree.this, exp.Schema):
        raise SqlError(f"CREATE TABLE {name} names no columns", hint="CREATE TABLE c.s.t (id STRING, n INT)")
    columns = [column_of(each) for each in tree.this.expressions]
    if len({column.name.lower() for column in columns}) < len(columns):
        raise SqlError(f"[COLUMN_ALREADY_EXISTS] CREATE TABLE {name} names one column twice")
    wanted = _declaration(name, tree, columns)
    if delta.make(tables, wanted):
        return []
    if not tree.args.get("replace"):
        return _there(name, tree)
    delta.replace(tables, wanted)
    return []


def _there(name: TableName, tree: Expr) -> Rows:
    if tree.args.get("exists"):
        return []
    raise SqlError(f"[TABLE_OR_VIEW_ALREADY_EXISTS] table {name} already exists", hint="CREATE TABLE IF NOT EXISTS")


def _declaration(name: TableName, tree: Expr, columns: Sequence[Column]) -> Declaration:
    partition_by: list[str] = []
    description, properties = "", dict[str, str]()
    given = tree.args.get("properties")
    for each in given.expressions if given is not None else ():
        if isinstance(each, exp.PartitionedByProperty):
            partition_by = [_partition(part, columns) for part in each.this.expressions]
        elif isinstance(each, exp.ClusterProperty):
            properties |= clustering([_partition(part, columns) for part in each.expressions])
        elif isinstance(each, exp.SchemaCommentProperty):
            description = str(each.this.this)
        elif type(each) is exp.Property:
            properties |= property_of(each)
        elif not (isinstance(each, exp.FileFormatProperty) and each.this.name.upper() == "DELTA"):
            raise SqlError(f"{each.sql('databricks')} isn't supported in CREATE TABLE by the embedded store")
    return Declaration(name, columns, partition_by, description, properties)


def _partition(part: Expr, columns: Sequence[Column]) -> str:
    for column in columns:
        if column.name.lower() == part.name.lower():
            return column.name
    raise SqlError(f"PARTITIONED BY or CLUSTER BY {part.sql('databricks')}: no such column")


def property_of(node: Expr) -> dict[str, str]:
    """One pair of TBLPROPERTIES."""
    # Unquoted, `a.b.c` is one name too.
    name = node.this.sql("databricks").replace("`", "") if isinstance(node.this, exp.Dot) else node.this.name
    value = node.args["value"]
    text = value.name if isinstance(value, exp.Literal) else value.sql("databricks").lower()
    # Defaults live in the columns' metadata here; with the feature switched on delta-rs refuses every write.
    return {} if name.lower() == _FEATURE_OF_DEFAULTS else {name: text}


def _create_as(tables: DeltaTables, session: Session, tree: Expr, name: TableName) -> Rows:
    if isinstance(tree.this, exp.Schema):
        raise SqlError("CREATE TABLE … AS takes its columns from the query", hint="leave out the column list")
    view, described = session.arrow_of(bind(tables, session, tree.args["expression"]))
    names = [column for column, _ in described]
    for column in names:
        if not IDENTIFIER.fullmatch(column):
            raise SqlError(f"'{column}' can't be the name of a column", hint="give it a name: expression AS name")
    if len({column.lower() for column in names}) < len(names):
        raise SqlError("[COLUMN_ALREADY_EXISTS] two columns of the query have one name")
    rows = session.register(view)
    asked = ", ".join(f'CAST("{column}" AS {_storable(column, kind)}) AS "{column}"' for column, kind in described)
    wanted = _declaration(name, tree, [Column(column, "STRING") for column in names])
    data = session.arrow(f'SELECT {asked} FROM "{rows}"')  # noqa: S608 (checked names)
    written = [{"num_affected_rows": data.num_rows, "num_inserted_rows": data.num_rows}]
    if tables.exists(name):
        if not tree.args.get("replace"):
            return _there(name, tree)
        delta.replace(tables, wanted, data)
        return written
    tables.folder(name).mkdir(parents=True, exist_ok=True)
    try:
        write_deltalake(
            str(tables.folder(name)),
            data,
            mode="error",
            partition_by=list(wanted.partition_by) or None,
            description=wanted.description or None,
            configuration={FEED: "true", **wanted.properties},
            commit_properties=delta.commit_by("CREATE TABLE AS SELECT"),
        )
    except DeltaError as problem:
        if tables.exists(name):
            return _there(name, tree)
        raise SqlError(f"table {name} can't be made: {problem}") from problem
    return written


def _storable(column: str, kind: str) -> str:
    if kind.endswith("[]"):
        return f"{_storable(column, kind.removesuffix('[]'))}[]"
    kind = {"HUGEINT": "BIGINT", "UBIGINT": "BIGINT", "UINTEGER": "BIGINT", "JSON": "VARCHAR", "UUID": "VARCHAR"}.get(
        kind, kind
    )
    kind = {"TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ", "TIMESTAMP": "TIMESTAMPTZ", '"NULL"': "VARCHAR"}.get(kind, kind)
    if kind not in DUCKDB_TYPES.values() and not kind.startswith("DECIMAL("):
        raise SqlError(f"column {column}: the type {kind} isn't supported by the embedded store")
    return kind


def _create_schema(tables: DeltaTables, tree: Expr) -> Rows:
    parts = _schema_parts(tree.this)
    folder = tables.root.joinpath(*parts)
    if folder.is_dir() and not tree.args.get("exists"):
        raise SqlError(f"[SCHEMA_ALREADY_EXISTS] schema {'.'.join(parts)} already exists")
    folder.mkdir(parents=True, exist_ok=True)
    return []


def _schema_parts(node: Expr) -> tuple[str, str]:
    parts = [part.name.lower() for part in node.parts] if isinstance(node, exp.Table) else []
    if len(parts) != 2 or not all(IDENTIFIER.fullmatch(part) for part in parts):
        raise SqlError(f"'{node.sql('databricks')}' is not a schema's name", hint="write catalog.schema")
    return (parts[0], parts[1])


def drop(tables: DeltaTables, session: Session, tree: Expr) -> Rows:
    """DROP TABLE, DROP SCHEMA: out of sight at once, the files go after that."""
    if str(tree.args.get("kind")).upper() in _SCHEMAS:
        return _drop_schema(tables, tree)
    if str(tree.args.get("kind")).upper() != "TABLE":
        raise SqlError(f"DROP {tree.args.get('kind')} isn't supported by the embedded store")
    name = table_name(tree.this or tree.args["tables"][0])
    if not tables.exists(name):
        if tree.args.get("exists"):
            return []
        raise not_found(tables, name)
    tables.forget(name)
    _remove(tables, tables.folder(name))
    return []


def _drop_schema(tables: DeltaTables, tree: Expr) -> Rows:
    parts = _schema_parts(tree.this or tree.args["tables"][0])
    folder = tables.root.joinpath(*parts)
    if not folder.is_dir():
        if tree.args.get("exists"):
            return []
        raise SqlError(f"[SCHEMA_NOT_FOUND] schema {'.'.join(parts)} does not exist")
    there = tables.listed(*parts)
    if there and not tree.args.get("cascade"):
        raise SqlError(
            f"[SCHEMA_NOT_EMPTY] schema {'.'.join(parts)} has {counted(len(there), 'table')}",
            hint="DROP SCHEMA … CASCADE",
        )
    if not tree.args.get("cascade"):
        try:
            folder.rmdir()
        except OSError as problem:
            said = f"[SCHEMA_NOT_EMPTY] schema {'.'.join(parts)} holds what is no table"
            raise SqlError(said, hint=f"look into {folder}") from problem
        return []
    for name in there:
        tables.forget(name)
    _remove(tables, folder)
    return []


def _remove(tables: DeltaTables, folder: Path) -> None:
    bin_ = tables.root / ".dropped" / uuid.uuid4().hex
    bin_.parent.mkdir(parents=True, exist_ok=True)
    try:
        _ = folder.rename(bin_)
    except FileNotFoundError:
        return
    shutil.rmtree(bin_, ignore_errors=True)


def truncate(tables: DeltaTables, session: Session, tree: Expr) -> Rows:
    """TRUNCATE TABLE: all rows go, the table stays."""
    for node in tree.expressions:
        name = table_name(node)
        with known(tables, name), tables.latest(name) as opened:
            _ = opened.delete(commit_properties=delta.commit_by("TRUNCATE"))
    return []


STATEMENTS: dict[type[Expr], Callable[[DeltaTables, Session, Expr], Rows]] = {
    exp.Create: create,
    exp.Drop: drop,
    exp.TruncateTable: truncate,
}
