"""UPDATE, DELETE, MERGE: DuckDB runs the statement on a copy of one version, delta-rs commits the difference.

So every expression has one meaning, whatever the statement. The difference is committed against exactly the version
that was read: if anybody was faster, the whole statement runs again. Rows are found again by all their values, since
Delta has no row ids; equal rows are taken out together and put back as far as they stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from arro3.core import DataType, Field, Schema, Table
from deltalake import DeltaTable
from sqlglot import Expr, exp

from lakeflow_job_meta.errors import SqlError
from lakeflow_job_meta.model.table import Column, TableName
from lakeflow_job_meta.store import delta_tables as delta
from lakeflow_job_meta.store.arrow import conformed
from lakeflow_job_meta.store.delta_schema import columns_of
from lakeflow_job_meta.store.delta_tables import ACTION, DeltaTables, Edit
from lakeflow_job_meta.store.sql.names import table_name
from lakeflow_job_meta.store.sql.query import BOUND, bind, known
from lakeflow_job_meta.store.sql.session import Session
from lakeflow_job_meta.store.sql.target import (
    BEFORE,
    ROW,
    TARGET,
    assigned,
    column_named,
    identifier,
    make_target,
    written,
)


@dataclass(frozen=True, slots=True)
class _Work:
    """A statement under way on one version of its target."""

    tables: DeltaTables
    session: Session
    name: TableName
    columns: Sequence[Column]


def update(tables: DeltaTables, session: Session, tree: Expr) -> list[dict[str, Any]]:
    """Run an UPDATE; says how many rows its WHERE found."""
    return _modify(tables, session, tree, _update)


def delete(tables: DeltaTables, session: Session, tree: Expr) -> list[dict[str, Any]]:
    """Run a DELETE; says how many rows it found."""
    return _modify(tables, session, tree, _delete)


def merge(tables: DeltaTables, session: Session, tree: Expr) -> list[dict[str, Any]]:
    """Run a MERGE; says how many rows it updated, deleted and inserted."""
    return _modify(tables, session, tree, _merge)


def _modify(
    tables: DeltaTables,
    session: Session,
    tree: Expr,
    run: Callable[[_Work, Expr], list[dict[str, Any]]],
) -> list[dict[str, Any]]:
    name = table_name(tree.this)
    with known(tables, name), tables.latest(name) as opened:
        work = _Work(tables, session, name, columns_of(opened))
        _load(work, Table.from_arrow(opened.scan()))
        done = run(work, tree)
        source, match = _difference(work)
        if source.num_rows:
            source = conformed(source, _edit_schema(source, work.columns, opened))
            assign = {column.name: f"n{position}" for position, column in enumerate(work.columns)}
            delta.commit(opened, Edit(source, match, assign, tree.key.upper()))
    return done


def _load(work: _Work, rows: Table) -> None:
    make_target(work.session, work.name, work.columns)
    view = identifier(work.session.register(rows))
    names, given = _listed(work.columns), _listed(written(work.columns))
    _ = work.session.plain(
        f"CREATE TEMP TABLE {BEFORE} AS SELECT row_number() OVER () AS {ROW}, {names} FROM {view}"  # noqa: S608
    )
    _ = work.session.plain(f"INSERT INTO {TARGET} ({ROW}, {given}) SELECT {ROW}, {given} FROM {BEFORE}")  # noqa: S608


def _edit_schema(source: Table, columns: Sequence[Column], opened: DeltaTable) -> Schema:
    """The source's own columns, but records as the table has them: delta-rs can't make a field of one required."""
    records = {each.name: each.type for each in delta.arrow_schema(opened) if DataType.is_nested(each.type)}
    kinds = {
        f"{side}{position}": records[column.name]
        for position, column in enumerate(columns)
        for side in "on"
        if column.name in records
    }
    return Schema([Field(each.name, kinds.get(each.name, each.type), nullable=True) for each in source.schema])


def _listed(columns: Sequence[Column], prefix: str = "") -> str:
    return ", ".join(f"{prefix}{identifier(column.name)}" for column in columns)


def _aliased(work: _Work, tree: Expr) -> Expr:
    """The statement with its target replaced by our copy, and all else that it reads put into the session."""
    if any(column.name.lower() == ROW for column in tree.find_all(exp.Column)):
        raise SqlError(f"[UNRESOLVED_COLUMN] {work.name} has no column '{ROW}'")
    copy = tree.copy()
    ours = exp.to_table(TARGET)
    ours.set("alias", exp.TableAlias(this=exp.to_identifier(tree.this.alias or work.name.name, quoted=True)))
    ours.meta[BOUND] = True
    _ = copy.this.replace(ours)
    return bind(work.tables, work.session, copy)


def _assignments(work: _Work, expressions: Sequence[Expr]) -> list[Expr]:
    """`SET t.a = DEFAULT` as DuckDB wants it."""
    pairs: list[Expr] = []
    seen: set[str] = set()
    for each in expressions:
        if not isinstance(each, exp.EQ) or not isinstance(each.this, exp.Column):
            raise SqlError(f"'{each.sql('databricks')}' isn't an assignment", hint="write SET column = value")
        column = column_named(each.this.name, work.columns, work.name)
        if column.name in seen:
            raise SqlError(f"[COLUMN_ALREADY_EXISTS] column '{column.name}' is assigned twice")
        seen.add(column.name)
        pairs.append(exp.EQ(this=exp.column(column.name, quoted=True), expression=assigned(each.expression, column)))
    return pairs


def _update(work: _Work, tree: Expr) -> list[dict[str, Any]]:
    for part in ("from_", "from", "returning", "order", "limit"):
        if tree.args.get(part):
            raise SqlError(f"UPDATE … {part.rstrip('_').upper()} isn't supported", hint="MERGE joins another table")
    ready = _aliased(work, tree)
    ready.set("expressions", _assignments(work, ready.expressions))
    count = int(work.session.run(ready)[0][0])
    return [{"num_affected_rows": count, "num_updated_rows": count}]


def _delete(work: _Work, tree: Expr) -> list[dict[str, Any]]:
    for part in ("using", "tables", "returning", "order", "limit"):
        if tree.args.get(part):
            raise SqlError(f"DELETE … {part.upper()} isn't supported", hint="use WHERE … IN (SELECT …), or MERGE")
    count = int(work.session.run(_aliased(work, tree))[0][0])
    return [{"num_affected_rows": count, "num_deleted_rows": count}]


def _merge(work: _Work, tree: Expr) -> list[dict[str, Any]]:
    ready = _aliased(work, tree)
    source = ready.args["using"]
    names = _source_columns(work, source) if any(_is_star(each) for each in ready.find_all(exp.When)) else []
    for when in ready.find_all(exp.When):
        when.set("then", _then(work, when.args["then"], source.alias_or_name, names))
    done = work.session.run(ready, f" RETURNING merge_action, {ROW}")
    actions = [action for action, _ in done]
    changed = [row for action, row in done if action != "INSERT"]
    if len(set(changed)) < len(changed):  # DuckDB tells it itself, but not each of its releases
        raise SqlError(
            "[DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE] several source rows match one row of the target"
        )
    counts = {each: actions.count(each) for each in ("UPDATE", "DELETE", "INSERT")}
    return [
        {
            "num_affected_rows": len(actions),
            "num_updated_rows": counts["UPDATE"],
            "num_deleted_rows": counts["DELETE"],
            "num_inserted_rows": counts["INSERT"],
        }
    ]


def _is_star(when: Expr) -> bool:
    then = when.args["then"]
    return (isinstance(then, exp.Update) and _update_star(then)) or (
        isinstance(then, exp.Insert) and _insert_star(then)
    )


def _update_star(then: Expr) -> bool:
    given = then.args.get("expressions")
    return isinstance(given, exp.Star) or any(isinstance(each, exp.Star) for each in then.expressions)


def _insert_star(then: Expr) -> bool:
    return isinstance(then.this, exp.Star)


def _source_columns(work: _Work, source: Expr) -> list[str]:
    _, described = work.session.arrow_of(exp.select("*").from_(source.copy()).limit(0))
    return [name for name, _ in described]


def _then(work: _Work, then: Expr, source: str, given: Sequence[str]) -> Expr:
    """One action of a MERGE, its stars written out."""
    by_name = {name.lower(): name for name in given}
    both = [
        (column.name, assigned(exp.column(by_name[column.name.lower()], source, quoted=True), column))
        for column in written(work.columns)
        if column.name.lower() in by_name
    ]
    if isinstance(then, exp.Update):
        if _update_star(then):
            return exp.Update(
                expressions=[exp.EQ(this=exp.column(name, quoted=True), expression=value) for name, value in both]
            )
        return exp.Update(expressions=_assignments(work, then.expressions))
    if isinstance(then, exp.Insert):
        if _insert_star(then):
            names = [name for name, _ in both]
            values = [value for _, value in both]
        else:
            names, values = _insert_parts(work, then)
        return exp.Insert(
            this=exp.Tuple(expressions=[exp.to_identifier(name, quoted=True) for name in names]),
            expression=exp.Tuple(expressions=values),
        )
    return exp.var("DELETE")


def _insert_parts(work: _Work, then: Expr) -> tuple[list[str], list[Expr]]:
    given = then.args.get("expression")
    values = list(given.expressions) if isinstance(given, exp.Tuple) else []
    listed = then.this.expressions if isinstance(then.this, exp.Tuple) else []
    columns = [column_named(each.name, work.columns, work.name) for each in listed] or written(work.columns)
    if len(values) != len(columns):
        raise SqlError(f"[INSERT_COLUMN_ARITY_MISMATCH] {len(columns)} columns, but {len(values)} values in the MERGE")
    pairs = zip(values, columns, strict=True)
    return [column.name for column in columns], [assigned(value, column) for value, column in pairs]


def _difference(work: _Work) -> tuple[Table, dict[str, str]]:
    """What the statement changed, as an edit's source: `o0, o1, …` are values before, `n0, n1, …` after."""
    names = [identifier(column.name) for column in work.columns]
    before = ", ".join(f"b.{name} AS o{position}" for position, name in enumerate(names))
    after = ", ".join(f"t.{name} AS n{position}" for position, name in enumerate(names))
    nothing = ", ".join(f"NULL AS n{position}" for position in range(len(names)))
    unknown = ", ".join(f"NULL AS o{position}" for position in range(len(names)))
    differs = " OR ".join(f"b.{name} IS DISTINCT FROM t.{name}" for name in names)
    work.session.plain(
        # The texts hold only quoted names of the table's own columns.
        f"CREATE TEMP TABLE __changed AS SELECT {before}, {after}, 'update' AS {ACTION} FROM {BEFORE} b "  # noqa: S608
        f"JOIN {TARGET} t USING ({ROW}) WHERE {differs} UNION ALL BY NAME "
        f"SELECT {before}, {nothing}, 'delete' AS {ACTION} FROM {BEFORE} b "
        f"WHERE NOT EXISTS (SELECT 1 FROM {TARGET} t WHERE t.{ROW} = b.{ROW})"
    )
    olds = ", ".join(f"o{position}" for position in range(len(names)))
    same = " AND ".join(f"b.{name} IS NOT DISTINCT FROM c.o{position}" for position, name in enumerate(names))
    doubled = work.session.plain(
        f"SELECT count(*) - count(DISTINCT ({olds}, 0)) FROM __changed c JOIN {BEFORE} b ON {same}"  # noqa: S608
    )[0][0]
    added = f"SELECT {unknown}, {after}, 'insert' AS {ACTION} FROM {TARGET} t"  # noqa: S608
    if doubled:
        gone = f"SELECT DISTINCT ON ({olds}) * REPLACE ('delete' AS {ACTION}) FROM __changed"  # noqa: S608
        stays = f"t.{ROW} IN (SELECT b.{ROW} FROM {BEFORE} b JOIN __changed c ON {same})"  # noqa: S608
        whole = f"{gone} UNION ALL BY NAME {added} WHERE t.{ROW} IS NULL OR {stays}"
    else:
        whole = f"SELECT * FROM __changed UNION ALL BY NAME {added} WHERE t.{ROW} IS NULL"  # noqa: S608
    source = work.session.arrow(whole)
    return source, {column.name: f"o{position}" for position, column in enumerate(work.columns)}
