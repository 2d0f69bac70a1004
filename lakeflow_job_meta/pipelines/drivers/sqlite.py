"""SQLite, by Python's own module: SQLite's types belong to values, not to columns, and drivers of Arrow guess them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from arro3.core import DataType

from lakeflow_job_meta.errors import DatabaseError, InputError
from lakeflow_job_meta.model.bulk import ArrowStream, Span, Totals
from lakeflow_job_meta.model.key_text import as_number, checked_key, lies_before, plain_number
from lakeflow_job_meta.pipelines.drivers.base import MARK_COLUMNS, MARK_NUMBERS, MARKS, Mark, RemoteColumn, RemoteTable
from lakeflow_job_meta.pipelines.drivers.rows import NATIVE, Rows, fetched, streamed, tuples
from lakeflow_job_meta.pipelines.drivers.statements import Target, double_quoted
from lakeflow_job_meta.pipelines.registry import Direction
from lakeflow_job_meta.pipelines.stages.stage import Relation
from lakeflow_job_meta.pipelines.types.sqlite import lake_type

OPTIONS = {"path": "", "connect_timeout": "10"}
"""What credentials may say: the file, and for how many seconds to wait while another process writes it."""

STAGE = "lakeflow_stage"
COMPUTED = (2, 3)
"""What `hidden` is of columns that are generated."""


def connect(options: Mapping[str, str]) -> SqliteDatabase:
    """Open the file; it has to be there.

    Raises:
        DatabaseError: it isn't, or it is no database.
    """
    path = Path(options["path"])
    try:
        if not path.is_file():
            raise DatabaseError(f"there is no file {path}")
        # Streams are read from the threads of who writes them, one at a time.
        connection = sqlite3.connect(
            path, timeout=float(options["connect_timeout"]), isolation_level=None, check_same_thread=False
        )
        connection.execute("SELECT count(*) FROM sqlite_master")
    except (sqlite3.Error, OSError) as problem:
        raise DatabaseError(f"{path}: {problem}") from problem
    return SqliteDatabase(connection, path)


@contextmanager
def _reported() -> Generator[None, None, None]:
    try:
        yield
    except (sqlite3.Error, OverflowError) as problem:
        raise DatabaseError(str(problem)) from problem


@dataclass
class SqliteDatabase:
    """See base.Database."""

    connection: sqlite3.Connection
    path: Path

    def close(self) -> None:
        self.connection.close()

    def run(self, text: str, parameters: Sequence[Any] = ()) -> Rows:
        """The rows of one statement."""
        with _reported():
            return self.connection.execute(text, tuple(parameters)).fetchall()

    def table(self, relation: Relation) -> RemoteTable | None:
        # A pragma's function takes its table as a parameter.
        rows = self.run(
            'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?) WHERE hidden <> 1',
            [relation.name],
        )
        if not rows:
            return None
        keys = sorted((pk, name) for name, _, _, _, pk, _ in rows if pk)
        alone = len(keys) == 1
        columns = [
            RemoteColumn(
                name,
                declared or "ANY",
                lake_type(declared),
                hidden in COMPUTED,
                not required or default is not None or (alone and pk > 0 and declared.upper() == "INTEGER"),
                _TAKES.get(lake_type(declared), ()),
            )
            for name, declared, required, default, pk, hidden in rows
        ]
        return RemoteTable(relation, tuple(columns), tuple(name for _, name in keys))

    def lacking(self, relation: Relation, direction: Direction) -> Sequence[str]:
        if direction is Direction.SOURCE_TO_DL:
            return []
        try:
            with _reported():
                self.connection.execute("BEGIN IMMEDIATE")
                self.connection.execute("ROLLBACK")
        except DatabaseError as problem:
            return [f"writing to {self.path}: {problem.message}"]
        return []

    @contextmanager
    def _transaction(self, kind: str) -> Generator[None, None, None]:
        with _reported():
            self.connection.execute(f"BEGIN {kind}")
            try:
                yield
            except BaseException:
                self.connection.execute("ROLLBACK")
                raise
            self.connection.execute("COMMIT")

    @contextmanager
    def reading(self) -> Generator[None, None, None]:
        with self._transaction("DEFERRED"):
            yield

    def totals(self, table: RemoteTable, key: str | None, span: Span | None = None) -> Totals:
        name = double_quoted(table.relation.name)
        if key is None:
            return Totals(self.run(f"SELECT count(*) FROM {name}")[0][0])  # noqa: S608 (quoted)
        kind, column = table.types[key], double_quoted(key)
        nulls = self.run(f"SELECT count(*) FROM {name} WHERE {column} IS NULL")[0][0]  # noqa: S608 (quoted)
        where, given = condition(table, span) if span else (f"{column} IS NOT NULL", [])
        rows, total, greatest = 0, Decimal(0), None
        # SQLite's own sums are floats, or overflow.
        with _reported():
            for (value,) in self.connection.execute(f"SELECT {column} FROM {name} WHERE {where}", given):  # noqa: S608
                text = checked_key(str(value), kind, f"column {key}")
                rows, total = rows + 1, total + as_number(text, kind)
                greatest = text if greatest is None or lies_before(greatest, text, kind) else greatest
        return Totals(rows + (0 if span else nulls), nulls, plain_number(total) if rows else None, greatest)

    @contextmanager
    def stream(
        self, table: RemoteTable, *, span: Span | None = None, ordered_by: str | None = None
    ) -> Generator[ArrowStream, None, None]:
        listed = ", ".join(double_quoted(each) for each in table.names)
        where, given = condition(table, span) if span else ("true", [])
        order = f" ORDER BY {_compared(table, ordered_by)}" if ordered_by else ""
        text = f"SELECT {listed} FROM {double_quoted(table.relation.name)} WHERE {where}{order}"  # noqa: S608 (quoted)
        with _reported():
            cursor = self.connection.execute(text, given)
            yield streamed(table.types, _checked(table, fetched(cursor.fetchmany)), _NATIVE)
            cursor.close()

    def mark(self, relation: Relation) -> Mark | None:
        if self.table(Relation("", MARKS)) is None:
            return None
        names = ", ".join(MARK_COLUMNS[1:])
        found = self.run(f"SELECT {names} FROM {MARKS} WHERE sink_table = ?", [relation.name])  # noqa: S608 (our own)
        return Mark(*found[0]) if found else None

    @contextmanager
    def loading(self, table: RemoteTable) -> Generator[SqliteLoading, None, None]:
        with self._transaction("IMMEDIATE"):
            yield SqliteLoading(self, table)


def condition(table: RemoteTable, span: Span) -> tuple[str, list[str]]:
    """The condition of a span, and its parameters: texts, which SQLite compares as what their column holds."""
    column = _compared(table, span.key)
    return " AND ".join(f"{column} {operator} ?" for operator, _ in span.bounds), [text for _, text in span.bounds]


def _compared(table: RemoteTable, name: str) -> str:
    column = double_quoted(name)
    # Moments are compared as texts: they may be written with a T or without.
    return f"replace({column}, 'T', ' ')" if table.types[name] == "TIMESTAMP_NTZ" else column


_NATIVE = {**NATIVE, "BIGINT": DataType.int64(), "DOUBLE": DataType.float64()}
_TAKES = {
    "BIGINT": ("SMALLINT", "INT"), "TIMESTAMP_NTZ": ("TIMESTAMP",), "DOUBLE": ("FLOAT",),
}  # fmt: skip
_CHECKED: dict[str, tuple[tuple[type, ...], Callable[[Any], Any]]] = {
    "BIGINT": ((int,), int), "DOUBLE": ((int, float), float), "STRING": ((str, int, float), str),
    "BINARY": ((bytes,), bytes),
    "BOOLEAN": ((int,), str), "DATE": ((str,), str), "TIMESTAMP_NTZ": ((str,), str),
}  # fmt: skip
"""Which of Python's types a column's values are to have, and what goes over."""


def _checked(table: RemoteTable, batches: Iterator[Rows]) -> Iterator[Rows]:
    """The rows, each value of its column's type."""
    for rows in batches:
        parts: list[tuple[Any, ...]] = list(zip(*rows, strict=True))
        columns = [_column(column, values) for column, values in zip(table.columns, parts, strict=True)]
        yield list(zip(*columns, strict=True))


def _column(column: RemoteColumn, values: Sequence[Any]) -> list[Any]:
    if column.type not in _CHECKED:
        return [None if value is None else _decimal(column.name, column.type, value) for value in values]
    kinds, convert = _CHECKED[column.type]
    for value in values:
        if value is not None and not isinstance(value, kinds):
            raise _misfit(column.name, column.native, value)
    return [None if value is None else convert(value) for value in values]


def _misfit(name: str, native: str, value: Any) -> DatabaseError:
    return DatabaseError(f"column {name} is {native}, but has the value {value!r}, a {type(value).__name__}")


def _decimal(name: str, kind: str, value: Any) -> str:
    try:
        found = Decimal(str(value)) if isinstance(value, int | float | str) else None
    except InvalidOperation:
        raise _misfit(name, kind, value) from None
    scale = int(kind.rpartition(",")[2].rstrip(")"))
    if found is None or not found.is_finite() or found != round(found, scale):
        raise _misfit(name, kind, value)
    return f"{found:f}"


@dataclass
class SqliteLoading:
    """See base.Loading."""

    database: SqliteDatabase
    table: RemoteTable
    _columns: Sequence[str] = ()

    def stage(self, rows: ArrowStream, columns: Sequence[str]) -> None:
        names = ", ".join(double_quoted(each) for each in columns)
        table, given = double_quoted(self.table.relation.name), ", ".join("?" * len(columns))
        self.database.run(f"DROP TABLE IF EXISTS temp.{STAGE}")
        self.database.run(f"CREATE TEMP TABLE {STAGE} AS SELECT {names} FROM {table} LIMIT 0")  # noqa: S608 (quoted)
        with _reported():
            for part in tuples(rows, columns, _written):
                self.database.connection.executemany(f"INSERT INTO temp.{STAGE} VALUES ({given})", part)  # noqa: S608
        self._columns = columns

    def _target(self) -> Target:
        names = [double_quoted(each) for each in self._columns]
        return Target(double_quoted(self.table.relation.name), f"temp.{STAGE}", names, [f"s.{each}" for each in names])

    def swap(self) -> None:
        self.database.run(self._target().clear())
        self.database.run(self._target().insert())

    def upsert(self, key: Sequence[str], span: Span | None = None) -> None:
        target, quoted = self._target(), [double_quoted(each) for each in key]
        if span:
            where, given = condition(self.table, span)
            self.database.run(target.clear_span(quoted, where), given)
        # Without a WHERE, SQLite takes ON for that of a join.
        self.database.run(f"{target.insert()} WHERE true{target.on_conflict(quoted)}")

    def note(self, mark: Mark) -> None:
        row = mark.row(self.table.relation.name)
        kinds = ", ".join(f"{name} {'INTEGER' if name in MARK_NUMBERS else 'TEXT'}" for name in MARK_COLUMNS)
        self.database.run(f"CREATE TABLE IF NOT EXISTS {MARKS} ({kinds}, PRIMARY KEY (sink_table))")
        given = ", ".join("?" * len(row))
        text = f"INSERT OR REPLACE INTO {MARKS} ({', '.join(row)}) VALUES ({given})"  # noqa: S608 (our own names)
        self.database.run(text, list(row.values()))


def _written(value: Any) -> Any:
    """A value as SQLite keeps it; moments are texts in UTC.

    Raises:
        InputError: not a number, which SQLite would keep as NULL.
    """
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value != value:
        raise InputError("NaN can't be kept in SQLite", hint="leave such rows out, or load them elsewhere")
    return str(value) if isinstance(value, Decimal) else value
