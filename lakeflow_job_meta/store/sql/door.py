"""The front door: each statement to what runs it; what nothing runs is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from sqlglot import Expr, exp

from lakeflow_job_meta.diagnostics import nearest
from lakeflow_job_meta.errors import SqlError
from lakeflow_job_meta.store.delta_tables import DeltaTables
from lakeflow_job_meta.store.sql import alter, ddl, insert, maintenance, modify, query
from lakeflow_job_meta.store.sql.dialect import Statement, first_words, parse, statements
from lakeflow_job_meta.store.sql.identifiers import with_identifiers
from lakeflow_job_meta.store.sql.session import Session

Rows = list[dict[str, Any]]
Runner = Callable[[DeltaTables, Session, Expr], Rows]
What = TypeVar("What", Expr, Statement)

_RUNNERS: dict[type[Expr], Runner] = {
    exp.Insert: insert.insert,
    exp.Update: modify.update,
    exp.Delete: modify.delete,
    exp.Merge: modify.merge,
    **ddl.STATEMENTS,
    **alter.STATEMENTS,
}
_FIRST_WORDS = frozenset(
    (
        "SELECT",
        "WITH",
        "VALUES",
        "FROM",
        "(",
        "INSERT",
        "UPDATE",
        "DELETE",
        "MERGE",
        "CREATE",
        "DROP",
        "ALTER",
        "TRUNCATE",
        "COMMENT",
    )
)


def run(tables: DeltaTables, text: str, parameters: Mapping[str, Any]) -> Rows:
    """Run all statements of a text, one after the other; the rows of the last one.

    Args:
        tables: Where the tables are.
        text: Databricks SQL.
        parameters: The values of `:name` markers; bound, never pasted into the text.

    Raises:
        SqlError: a statement that is wrong or isn't supported; those before it stay done.
        ConflictError: others kept writing the same table.
    """
    rows: Rows = []
    parts = statements(text)
    for statement in parts:
        try:
            rows = _run_one(tables, statement, parameters)
        except SqlError as problem:
            if len(parts) == 1 or problem.message.startswith("statement "):
                raise
            raise SqlError(f"{statement.where()}: {problem.message}", hint=problem.hint) from problem
    return rows


def _run_one(tables: DeltaTables, statement: Statement, parameters: Mapping[str, Any]) -> Rows:
    statement = with_identifiers(statement, parameters)
    first = statement.words[0]
    if first not in _FIRST_WORDS and first not in maintenance.STATEMENTS:
        raise SqlError(
            f"{statement.where()}: {first_words(statement)} isn't supported by the embedded store",
            hint=nearest(first, _FIRST_WORDS | maintenance.STATEMENTS.keys()),
        )
    if first in maintenance.STATEMENTS:
        return tables.rerun(first, partial(_attempt, tables, maintenance.STATEMENTS[first], statement, parameters))
    tree = parse(statement)
    if isinstance(tree, exp.Query | exp.Values):
        return _attempt(tables, query.select, tree, parameters)
    runner = _RUNNERS.get(type(tree))
    if runner is None:
        raise SqlError(f"{statement.where()}: {first_words(statement)} isn't supported by the embedded store")
    return tables.rerun(first, partial(_attempt, tables, runner, tree, parameters))


def _attempt(
    tables: DeltaTables, runner: Callable[[DeltaTables, Session, What], Rows], what: What, parameters: Mapping[str, Any]
) -> Rows:
    with Session(parameters) as session:
        return runner(tables, session, what)
