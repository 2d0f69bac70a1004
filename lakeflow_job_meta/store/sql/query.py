"""SELECT: the tables that a statement reads, and its rows."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from arro3.core import Table
from deltalake import DeltaTable
from sqlglot import Expr, exp

from lakeflow_job_meta.diagnostics import nearest
from lakeflow_job_meta.errors import SqlError, StoreError, TableNotFound
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.store.delta_tables import DeltaTables
from lakeflow_job_meta.store.sql.names import parse_name, table_name
from lakeflow_job_meta.store.sql.session import Session

_FUNCTIONS = frozenset({"range", "explode", "explode_outer", "posexplode", "unnest", "generate_series"})
"""Table functions that read no table."""
_KEYWORDS = (exp.CurrentDate, exp.Localtimestamp, exp.SessionUser)
BOUND = "bound"
"""Marks a table node that stands for one of the session's own tables."""


def select(tables: DeltaTables, session: Session, tree: Expr) -> list[dict[str, Any]]:
    """Run a query."""
    if isinstance(tree, exp.Values):
        tree = exp.select("*").from_(tree)
    return session.rows(bind(tables, session, named(tree)))


def named(tree: Expr) -> Expr:
    """The query with its nameless columns named after their own text, as Databricks does."""
    tree = tree.copy()
    for select in list(tree.find_all(exp.Select)):
        for column in list(select.expressions):
            if not isinstance(column, exp.Alias | exp.Aliases | exp.Column | exp.Star | exp.Dot):
                text = column.transform(_called).sql("databricks", normalize_functions="lower")
                _ = column.replace(exp.alias_(column.copy(), text, quoted=True))
    return tree


def _called(node: Expr) -> Expr:
    """sqlglot writes some functions as keywords, with which DuckDB mixes up the column named so."""
    return exp.Anonymous(this=node.sql_name()) if isinstance(node, _KEYWORDS) else node


def bind(tables: DeltaTables, session: Session, tree: Expr) -> Expr:
    """The tree with each table it reads put into the session; one version of each table for the whole statement."""
    tree = tree.copy()
    for hint in list(tree.find_all(exp.Hint)):
        _ = hint.pop()
    ctes = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    latest: dict[TableName, str] = {}
    for node in list(tree.find_all(exp.Table)):
        of_a_cte = isinstance(node.this, exp.Identifier) and not node.db and node.name.lower() in ctes
        if not of_a_cte and BOUND not in node.meta:
            _bind_one(tables, session, node, latest)
    strip_qualifiers(tree)
    return tree


def strip_qualifiers(tree: Expr) -> None:
    """`catalog.schema.table.column` means the column of the table; DuckDB knows only its last name."""
    for column in tree.find_all(exp.Column):
        column.set("db", None)
        column.set("catalog", None)


def _bind_one(tables: DeltaTables, session: Session, node: exp.Table, latest: dict[TableName, str]) -> None:
    if isinstance(node.this, exp.Func):
        function = (node.this.name if isinstance(node.this, exp.Anonymous) else node.this.sql_name()).lower()
        if function == "table_changes":
            view = session.register(_table_changes(tables, session, node.this))
            _put(node, view, node.alias or "table_changes")
        elif function not in _FUNCTIONS:
            raise SqlError(f"the table function {function} isn't supported by the embedded store")
        elif function == "range" and not node.alias_column_names:
            columns = [exp.to_identifier("id")]
            node.set("alias", exp.TableAlias(this=exp.to_identifier(node.alias or "range"), columns=columns))
        return
    name = table_name(node)
    version = node.args.get("version") or node.args.get("when")
    if version is not None:
        view = session.register(_past(tables, session, name, version))
    else:
        if name not in latest:
            latest[name] = session.register(scan(tables, name))
        view = latest[name]
    _put(node, view, node.alias or name.name)


def _put(node: exp.Table, view: str, alias: str) -> None:
    node.set("this", exp.to_identifier(view, quoted=True))
    for part in ("db", "catalog", "version", "when"):
        node.set(part, None)
    given = node.args.get("alias")
    if given is None:
        node.set("alias", exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
    elif not given.this:
        given.set("this", exp.to_identifier(alias, quoted=True))


def scan(tables: DeltaTables, name: TableName) -> Table:
    """All rows of the table as it is now.

    Raises:
        SqlError: no such table.
    """
    with known(tables, name), tables.latest(name) as opened:
        return Table.from_arrow(opened.scan())


@contextmanager
def known(tables: DeltaTables, name: TableName) -> Generator[None, None, None]:
    """A missing table as an error of the statement, with the nearest name that there is."""
    try:
        yield
    except TableNotFound as problem:
        raise not_found(tables, name) from problem


def not_found(tables: DeltaTables, name: TableName) -> SqlError:
    """That there is no such table, and which one may be meant."""
    hint = nearest(str(name), [str(each) for each in all_tables(tables)])
    return SqlError(f"[TABLE_OR_VIEW_NOT_FOUND] table {name} does not exist", hint=hint)


def all_tables(tables: DeltaTables) -> list[TableName]:
    """Every table of the home, in order."""
    return sorted(TableName(*log.parent.parts[-3:]) for log in tables.root.glob("*/*/*/_delta_log"))


def _past(tables: DeltaTables, session: Session, name: TableName, version: Expr) -> Table:
    wanted = moment(session, version)
    return Table.from_arrow(past(tables, name, wanted).scan())


def past(tables: DeltaTables, name: TableName, wanted: int | str) -> DeltaTable:
    """The table as it was.

    Raises:
        SqlError: it has no such version, or did not exist at that time.
    """
    try:
        with known(tables, name):
            return tables.at(name, wanted)
    except StoreError as problem:
        raise SqlError(f"[DELTA_VERSION_NOT_FOUND] {problem.message}", hint=problem.hint) from problem


def moment(session: Session, version: Expr) -> int | str:
    """The number or the ISO timestamp of a `VERSION AS OF` or `TIMESTAMP AS OF`."""
    value = version.args["expression"]
    if str(version.this).upper() == "VERSION":
        found = session.rows(exp.select(exp.cast(value.copy(), "BIGINT").as_("value")))[0]["value"]
        return int(found)
    return timestamp(session, value)


def timestamp(session: Session, value: Expr) -> str:
    """A timestamp expression as ISO text in UTC."""
    found = session.rows(exp.select(exp.cast(value.copy(), "TIMESTAMPTZ").as_("value")))[0]["value"]
    if not isinstance(found, datetime):
        raise SqlError("TIMESTAMP AS OF needs a timestamp, not NULL")
    return found.astimezone(UTC).isoformat()


def _table_changes(tables: DeltaTables, session: Session, call: Expr) -> Table:
    arguments = call.expressions
    if not 2 <= len(arguments) <= 3 or not arguments[0].is_string:
        raise SqlError("table_changes needs a name and one or two versions", hint="table_changes('c.s.t', 2, 5)")
    name = parse_name(arguments[0].this)
    bounds = [_bound(session, each) for each in arguments[1:]]
    limits: dict[str, Any] = {}
    for side, value in zip(("starting", "ending"), bounds, strict=False):
        limits[f"{side}_{'version' if isinstance(value, int) else 'timestamp'}"] = value
    with known(tables, name), tables.latest(name) as opened:
        if opened.metadata().configuration.get("delta.enableChangeDataFeed") != "true":
            raise SqlError(
                f"[DELTA_MISSING_CHANGE_DATA] {name} has no change feed",
                hint="ALTER TABLE … SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true') starts one",
            )
        rows = Table.from_arrow(opened.load_cdf(**limits))
    view = session.register(rows)
    return session.arrow(
        f"SELECT * REPLACE (CAST(_commit_version AS BIGINT) AS _commit_version, "  # noqa: S608 (our own view's name)
        f'CAST(_commit_timestamp AS TIMESTAMPTZ) AS _commit_timestamp) FROM "{view}"'
    )


def _bound(session: Session, value: Expr) -> int | str:
    if value.is_string:
        return timestamp(session, value)
    return int(session.rows(exp.select(exp.cast(value.copy(), "BIGINT").as_("value")))[0]["value"])
