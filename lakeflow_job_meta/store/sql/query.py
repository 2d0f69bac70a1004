"""SELECT: the tables that a statement reads, and its rows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from arro3.core import Table
from sqlglot import exp

from lakeflow_job_meta.diagnostics import nearest
from lakeflow_job_meta.errors import SqlError, TableNotFound
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.store import delta_tables as delta
from lakeflow_job_meta.store.delta_tables import DeltaTables
from lakeflow_job_meta.store.sql.names import parse_name, table_name
from lakeflow_job_meta.store.sql.session import Session

_FUNCTIONS = frozenset({"range", "explode", "explode_outer", "posexplode", "unnest", "generate_series"})
"""Table functions that read no table."""


def select(tables: DeltaTables, session: Session, tree: exp.Expression) -> list[dict[str, Any]]:
    """Run a query."""
    return session.rows(bind(tables, session, tree))


def bind(tables: DeltaTables, session: Session, tree: exp.Expression) -> exp.Expression:
    """The tree with each table it reads put into the session; one version of each table for the whole statement."""
    tree = tree.copy()
    ctes = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    latest: dict[TableName, str] = {}
    for node in list(tree.find_all(exp.Table)):
        if not (isinstance(node.this, exp.Identifier) and not node.db and node.name.lower() in ctes):
            _bind_one(tables, session, node, latest)
    strip_qualifiers(tree)
    return tree


def strip_qualifiers(tree: exp.Expression) -> None:
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


class known:  # noqa: N801 (reads as a word: `with known(tables, name)`)
    """A missing table as an error of the statement, with the nearest name that there is."""

    def __init__(self, tables: DeltaTables, name: TableName) -> None:
        self._tables, self._name = tables, name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, TableNotFound):
            raise not_found(self._tables, self._name) from error


def not_found(tables: DeltaTables, name: TableName) -> SqlError:
    """That there is no such table, and which one may be meant."""
    hint = nearest(str(name), [str(each) for each in all_tables(tables)])
    return SqlError(f"[TABLE_OR_VIEW_NOT_FOUND] table {name} does not exist", hint=hint)


def all_tables(tables: DeltaTables) -> list[TableName]:
    """Every table of the home, in order."""
    return sorted(TableName(*log.parent.parts[-3:]) for log in tables.root.glob("*/*/*/_delta_log"))


def _past(tables: DeltaTables, session: Session, name: TableName, version: exp.Expression) -> Table:
    wanted = moment(session, version)
    with known(tables, name), delta.reported(name):
        return Table.from_arrow(tables.at(name, wanted).scan())


def moment(session: Session, version: exp.Expression) -> int | str:
    """The number or the ISO timestamp of a `VERSION AS OF` or `TIMESTAMP AS OF`."""
    value = version.args["expression"]
    if str(version.this).upper() == "VERSION":
        found = session.rows(exp.select(exp.cast(value.copy(), "BIGINT").as_("value")))[0]["value"]
        return int(found)
    return timestamp(session, value)


def timestamp(session: Session, value: exp.Expression) -> str:
    """A timestamp expression as ISO text in UTC."""
    found = session.rows(exp.select(exp.cast(value.copy(), "TIMESTAMPTZ").as_("value")))[0]["value"]
    if not isinstance(found, datetime):
        raise SqlError("TIMESTAMP AS OF needs a timestamp, not NULL")
    return found.astimezone(UTC).isoformat()


def _table_changes(tables: DeltaTables, session: Session, call: exp.Expression) -> Table:
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
        f'SELECT * REPLACE (CAST(_commit_version AS BIGINT) AS _commit_version, '  # noqa: S608 (our own view's name)
        f'CAST(_commit_timestamp AS TIMESTAMPTZ) AS _commit_timestamp) FROM "{view}"'
    )


def _bound(session: Session, value: exp.Expression) -> int | str:
    if value.is_string:
        return timestamp(session, value)
    return int(session.rows(exp.select(exp.cast(value.copy(), "BIGINT").as_("value")))[0]["value"])
