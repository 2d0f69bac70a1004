"""INSERT: rows by position or by name, with defaults filled, appended as one version."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlglot import Expr, exp

from lakeflow_job_meta.errors import SqlError
from lakeflow_job_meta.model.table import Column, TableName
from lakeflow_job_meta.store import delta_tables as delta
from lakeflow_job_meta.store.arrow import conformed
from lakeflow_job_meta.store.delta_schema import columns_of
from lakeflow_job_meta.store.delta_tables import DeltaTables
from lakeflow_job_meta.store.sql.arity import filled_by
from lakeflow_job_meta.store.sql.names import table_name
from lakeflow_job_meta.store.sql.query import bind, known
from lakeflow_job_meta.store.sql.session import Session
from lakeflow_job_meta.store.sql.target import TARGET, assigned, column_named, identifier, make_target, written

_REFUSED = {"where": "REPLACE WHERE", "partition": "PARTITION", "conflict": "ON CONFLICT", "returning": "RETURNING"}


def insert(tables: DeltaTables, session: Session, tree: Expr) -> list[dict[str, Any]]:
    """Run an INSERT; says how many rows were added."""
    for part, said in _REFUSED.items():
        if tree.args.get(part):
            raise SqlError(f"INSERT … {said} isn't supported by the embedded store")
    name = table_name(tree.this)
    with known(tables, name), tables.latest(name) as opened:
        columns = columns_of(opened)
        schema = delta.append_schema(opened)
        make_target(session, name, columns)
        listed = [each.name for each in tree.this.expressions] if isinstance(tree.this, exp.Schema) else None
        source = tree.args["expression"]
        if tree.args.get("with_") or tree.args.get("with"):
            source.set("with_", tree.args.get("with_") or tree.args.get("with"))
        source = bind(tables, session, source)
        fill = (
            _fill_values
            if isinstance(source, exp.Values)
            else partial(_fill_query, by_name=bool(tree.args.get("by_name")))
        )
        count = fill(session, source, _Goal(name, columns, listed))
        asked = ", ".join(f"{identifier(each.name)}" for each in schema)
        rows = conformed(session.arrow(f"SELECT {asked} FROM {TARGET}"), schema)  # noqa: S608 (our own table)
        if tree.args.get("overwrite"):
            delta.overwrite(opened, rows, "INSERT OVERWRITE")
        elif count:
            delta.append(opened, rows, "WRITE", alone=False)
    return [{"num_affected_rows": count, "num_inserted_rows": count}]


class _Goal:
    """Where the values go: the table's columns, and the list that the statement names, if any."""

    def __init__(self, name: TableName, columns: Sequence[Column], listed: list[str] | None) -> None:
        self.name, self.columns, self.listed = name, columns, listed

    def names(self, given: int) -> list[str]:
        """The columns that so many values fill.

        Raises:
            SqlError: too many, too few, unknown, or one twice.
        """
        if self.listed is not None:
            return self._checked(self.listed, given)
        columns = written(self.columns)
        filled = filled_by(given, columns)
        if filled is None:
            raise self._arity(given, len(columns), [column.name for column in columns[given:]])
        return [column.name for column in filled]

    def _checked(self, listed: Sequence[str], given: int) -> list[str]:
        names = [column_named(each, self.columns, self.name).name for each in listed]
        doubled = {each for each in names if names.count(each) > 1}
        if doubled:
            raise SqlError(f"[COLUMN_ALREADY_EXISTS] {self.name}: column '{min(doubled)}' is listed twice")
        if given != len(names):
            raise self._arity(given, len(names), names[given:])
        return names

    def by_name(self, given: Sequence[str]) -> list[str]:
        return self._checked(given, len(given))

    def _arity(self, given: int, wanted: int, lacking: Sequence[str]) -> SqlError:
        kind = "NOT_ENOUGH" if given < wanted else "TOO_MANY"
        return SqlError(
            f"[INSERT_COLUMN_ARITY_MISMATCH.{kind}_DATA_COLUMNS] {self.name} takes {wanted} values a row, got {given}",
            hint=f"missing: {', '.join(lacking)}" if lacking else "list the columns: INSERT INTO t (a, b) VALUES …",
        )


def _fill_values(session: Session, source: Expr, goal: _Goal) -> int:
    rows = [list(each.expressions) if isinstance(each, exp.Tuple) else [each] for each in source.expressions]
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        raise SqlError(
            f"[INSERT_COLUMN_ARITY_MISMATCH] rows of {min(widths)} and of {max(widths)} values in one INSERT"
        )
    names = goal.names(widths.pop())
    filled = exp.values([])
    columns = [column_named(each, goal.columns, goal.name) for each in names]
    filled.set("expressions", [exp.Tuple(expressions=list(map(assigned, row, columns))) for row in rows])
    return _run(session, filled, names)


def _fill_query(session: Session, source: Expr, goal: _Goal, *, by_name: bool) -> int:
    rows, described = session.arrow_of(source)
    names = goal.by_name([name for name, _ in described]) if by_name else goal.names(len(described))
    view = session.register(rows.rename_columns([f"c{position}" for position in range(len(described))]))
    columns = [column_named(each, goal.columns, goal.name) for each in names]
    values = [assigned(exp.column(f"c{position}"), column) for position, column in enumerate(columns)]
    return _run(session, exp.select(*values).from_(exp.to_identifier(view, quoted=True)), names)


def _run(session: Session, source: Expr, names: Sequence[str]) -> int:
    goal = exp.Schema(this=exp.to_table(TARGET), expressions=[exp.to_identifier(each, quoted=True) for each in names])
    done = session.run(exp.Insert(this=goal, expression=source))
    return int(done[0][0])
