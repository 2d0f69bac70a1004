"""DuckDB's own files, by DuckDB."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from arro3.core import RecordBatchReader, Table

from lakeflow_job_meta.errors import DatabaseError
from lakeflow_job_meta.model.bulk import ArrowStream, Span, Totals
from lakeflow_job_meta.model.key_text import checked_key, plain_number
from lakeflow_job_meta.pipelines.drivers.base import MARK_COLUMNS, MARK_NUMBERS, MARKS, Mark, RemoteColumn, RemoteTable
from lakeflow_job_meta.pipelines.drivers.statements import Target, double_quoted
from lakeflow_job_meta.pipelines.registry import Direction
from lakeflow_job_meta.pipelines.stages.stage import Relation
from lakeflow_job_meta.pipelines.types.duck import PLAIN, duck_type, lake_type

OPTIONS = {"path": "", "schema": "main"}
"""What credentials may say: the file, and the schema of tables that are named without one."""

STAGE, GIVEN = "lakeflow_stage", "lakeflow_given"
MEMORY = "256MB"
MOMENTS = ("DATE", "TIMESTAMP", "TIMESTAMP_NTZ")

_COLUMNS = """
SELECT column_name, data_type, is_nullable, column_default FROM duckdb_columns()
WHERE database_name = current_database() AND schema_name = ? AND table_name = ? ORDER BY column_index
"""
_KEY = """
SELECT unnest(constraint_column_names) FROM duckdb_constraints()
WHERE database_name = current_database() AND schema_name = ? AND table_name = ? AND constraint_type = 'PRIMARY KEY'
"""
_AS_NUMBER = {"DATE": "({} - DATE '1970-01-01')", "TIMESTAMP": "epoch_us({})", "TIMESTAMP_NTZ": "epoch_us({})"}


def connect(options: Mapping[str, str], direction: Direction) -> DuckDatabase:
    """Open the file; it has to be there.

    Raises:
        DatabaseError: it isn't, another process has it, or it is no database.
    """
    path = Path(options["path"])
    if not path.is_file():
        raise DatabaseError(f"there is no file {path}")
    with reported():
        session = duckdb.connect(str(path), read_only=direction is Direction.SOURCE_TO_DL, config=CONFIG)
        _ = session.execute("SET TimeZone='UTC'")
    return DuckDatabase(session, options["schema"])


CONFIG: dict[str, Any] = {"memory_limit": MEMORY, "preserve_insertion_order": "false"}


@contextmanager
def reported() -> Generator[None, None, None]:
    """DuckDB's errors as ours."""
    try:
        yield
    except duckdb.Error as problem:
        raise DatabaseError(str(problem).partition("\n")[0]) from problem


@dataclass
class DuckDatabase:
    """See base.Database."""

    session: duckdb.DuckDBPyConnection
    schema: str
    _types: dict[Relation, dict[str, str]] = field(default_factory=dict[Relation, dict[str, str]])

    def close(self) -> None:
        self.session.close()

    def run(self, text: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of one statement."""
        with reported():
            return self.session.execute(text, list(parameters)).fetchall()

    def table(self, relation: Relation) -> RemoteTable | None:
        names = (relation.schema or self.schema, relation.name)
        rows = self.run(_COLUMNS, names)
        if not rows:
            return None
        columns = [
            RemoteColumn(name, native, lake_type(native), optional=bool(nullable) or default is not None)
            for name, native, nullable, default in rows
        ]
        return RemoteTable(relation, tuple(columns), tuple(row[0] for row in self.run(_KEY, names)))

    def lacking(self, relation: Relation, direction: Direction) -> Sequence[str]:
        return []  # who opens the file may do everything in it

    def whole(self, relation: Relation) -> str:
        """The table's whole name, quoted."""
        return f"{double_quoted(relation.schema or self.schema)}.{double_quoted(relation.name)}"

    @contextmanager
    def transaction(self) -> Generator[None, None, None]:
        """Everything or nothing."""
        _ = self.run("BEGIN TRANSACTION")
        try:
            yield
        except BaseException:
            _ = self.run("ROLLBACK")
            raise
        _ = self.run("COMMIT")

    def reading(self) -> Any:
        return self.transaction()

    def totals(self, table: RemoteTable, key: str | None, span: Span | None = None) -> Totals:
        whole = self.whole(table.relation)
        if key is None:
            return Totals(self.run(f"SELECT count(*) FROM {whole}")[0][0])  # noqa: S608 (quoted)
        kind, column = table.types[key], double_quoted(key)
        where, given = condition(table, span) if span else ("true", [])
        number = _AS_NUMBER.get(kind, "{}").format(column)
        within = f"FILTER (WHERE {where})"
        rows, nulls, total, greatest = self.run(
            f"SELECT count(*) {within}, count(*) FILTER (WHERE {column} IS NULL), "  # noqa: S608 (quoted)
            f"CAST(sum({number}) {within} AS VARCHAR), CAST(max({column}) {within} AS VARCHAR) FROM {whole}",
            [*given, *given, *given],
        )[0]
        found = None if greatest is None else checked_key(greatest, kind, f"the greatest {key}")
        return Totals(rows, nulls, plain_number(total), found)

    @contextmanager
    def stream(
        self, table: RemoteTable, *, span: Span | None = None, ordered_by: str | None = None
    ) -> Generator[ArrowStream, None, None]:
        listed = ", ".join(selected(each) for each in table.columns)
        where, given = condition(table, span) if span else ("true", [])
        order = f" ORDER BY {double_quoted(ordered_by)}" if ordered_by else ""
        with reported():
            found = self.session.sql(
                f"SELECT {listed} FROM {self.whole(table.relation)} WHERE {where}{order}",  # noqa: S608 (quoted)
                params=given,
            )
            yield found

    def mark(self, relation: Relation) -> Mark | None:
        marks = Relation(relation.schema, MARKS)
        if self.table(marks) is None:
            return None
        names = ", ".join(MARK_COLUMNS[1:])
        found = self.run(f"SELECT {names} FROM {self.whole(marks)} WHERE sink_table = ?", [relation.name])  # noqa: S608
        return Mark(*found[0]) if found else None

    @contextmanager
    def loading(self, table: RemoteTable) -> Generator[DuckLoading, None, None]:
        with self.transaction():
            yield DuckLoading(self, table)


def condition(table: RemoteTable, span: Span) -> tuple[str, list[str]]:
    """The condition of a span, and its parameters."""
    column, kind = double_quoted(span.key), duck_type(table.types[span.key])
    texts = [f"{column} {operator} CAST(? AS {kind})" for operator, _ in span.bounds]
    return " AND ".join(texts), [text for _, text in span.bounds]


def selected(column: RemoteColumn) -> str:
    """The expression that reads a column as its type in the data lake; infinity, which that lacks, is an error."""
    name = double_quoted(column.name)
    element = column.native.removesuffix("[]")
    value = name if PLAIN.get(element) == lake_type(element) else f"CAST({name} AS {duck_type(column.type)})"
    if column.type in MOMENTS:
        shown = column.name.replace("'", "''")
        value = f"CASE WHEN isinf({name}) THEN error('column {shown} has the value ' || {name}) ELSE {value} END"
    return f"{value} AS {name}"


@dataclass
class DuckLoading:
    """See base.Loading."""

    database: DuckDatabase
    table: RemoteTable
    _columns: Sequence[str] = ()

    def stage(self, rows: ArrowStream, columns: Sequence[str]) -> None:
        session, made = self.database.session, False
        # Batch by batch: DuckDB doesn't survive a stream that fails.
        with reported():
            for batch in RecordBatchReader.from_stream(rows):
                _ = session.register(GIVEN, Table.from_batches([batch]))
                begin = f"INSERT INTO {STAGE}" if made else f"CREATE OR REPLACE TEMP TABLE {STAGE} AS"
                _ = session.execute(f"{begin} SELECT * FROM {GIVEN}")  # noqa: S608 (our own names)
                made = True
            if not made:
                names = ", ".join(double_quoted(each) for each in columns)
                whole = self.database.whole(self.table.relation)
                _ = session.execute(f"CREATE OR REPLACE TEMP TABLE {STAGE} AS SELECT {names} FROM {whole} LIMIT 0")  # noqa: S608
            _ = session.unregister(GIVEN)
        self._columns = columns

    def _target(self) -> Target:
        natives = {each.name: each.native for each in self.table.columns}
        names = [double_quoted(each) for each in self._columns]
        values = [f"CAST(s.{name} AS {natives[each]})" for name, each in zip(names, self._columns, strict=True)]
        return Target(self.database.whole(self.table.relation), STAGE, names, values)

    def swap(self) -> None:
        target = self._target()
        if not self.table.key:
            _ = self.database.run(target.clear())
            _ = self.database.run(target.insert())
            return
        # A key that was deleted can't be added again in the same transaction.
        quoted = [double_quoted(each) for each in self.table.key]
        _ = self.database.run(target.clear_span(quoted, "true"))
        _ = self.database.run(target.insert() + target.on_conflict(quoted))

    def upsert(self, key: Sequence[str], span: Span | None = None) -> None:
        target, quoted = self._target(), [double_quoted(each) for each in key]
        if span:
            where, given = condition(self.table, span)
            _ = self.database.run(target.clear_span(quoted, where), given)
        _ = self.database.run(target.insert() + target.on_conflict(quoted))

    def note(self, mark: Mark) -> None:
        row = mark.row(self.table.relation.name)
        marks = self.database.whole(Relation(self.table.relation.schema, MARKS))
        kinds = ", ".join(f"{name} {'BIGINT' if name in MARK_NUMBERS else 'VARCHAR'}" for name in MARK_COLUMNS)
        _ = self.database.run(f"CREATE TABLE IF NOT EXISTS {marks} ({kinds}, PRIMARY KEY (sink_table))")
        given = ", ".join("?" * len(row))
        text = f"INSERT OR REPLACE INTO {marks} ({', '.join(row)}) VALUES ({given})"  # noqa: S608 (our own names)
        _ = self.database.run(text, list(row.values()))
