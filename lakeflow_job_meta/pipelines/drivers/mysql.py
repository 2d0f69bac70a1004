"""MySQL and MariaDB, by asyncmy: the fastest driver in pure wheels. Values come as the server's text, and are cast by
the store, strictly: no number passes through a float on its way."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Awaitable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar, cast

from lakeflow_job_meta.errors import DatabaseError, InputError, UsageError
from lakeflow_job_meta.model.bulk import ArrowStream, Span, Totals
from lakeflow_job_meta.model.key_text import checked_key, plain_number
from lakeflow_job_meta.pipelines.drivers.base import MARK_COLUMNS, MARK_NUMBERS, MARKS, Mark, RemoteColumn, RemoteTable
from lakeflow_job_meta.pipelines.drivers.rows import FETCHED, Rows, streamed, tuples
from lakeflow_job_meta.pipelines.drivers.statements import Target, back_quoted
from lakeflow_job_meta.pipelines.registry import Direction
from lakeflow_job_meta.pipelines.stages.stage import Relation
from lakeflow_job_meta.pipelines.types.mysql import MySqlType

Result = TypeVar("Result")

OPTIONS = {
    "host": "localhost", "port": "3306", "database": "", "user": "", "password": "", "sslmode": "prefer",
    "sslrootcert": "", "sslcert": "", "sslkey": "", "connect_timeout": "10",
}  # fmt: skip
"""What credentials may say, and what holds where they don't; `sslmode` means what it means to PostgreSQL."""

SESSION = (
    "SET time_zone = '+00:00'",
    "SET sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO,NO_ZERO_DATE,NO_ZERO_IN_DATE'",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
)
"""So that moments are in UTC, and what a column can't hold is an error."""

STAGE = "lakeflow_stage"
TRANSACTIONAL = "InnoDB"
VERIFIED = ("verify-ca", "verify-full")
DENIED = (1044, 1142, 1143, 1227)
"""Errors that mean: you may not."""

_COLUMNS = """
SELECT column_name, data_type, column_type, is_nullable, column_default, extra, coalesce(numeric_precision, 0),
       coalesce(numeric_scale, 0), coalesce(generation_expression, '')
FROM information_schema.columns WHERE table_schema = coalesce(nullif(%s, ''), database()) AND table_name = %s
ORDER BY ordinal_position
"""
_KEY = """
SELECT column_name FROM information_schema.key_column_usage
WHERE table_schema = coalesce(nullif(%s, ''), database()) AND table_name = %s AND constraint_name = 'PRIMARY'
ORDER BY ordinal_position
"""
_ENGINE = """
SELECT coalesce(engine, '') FROM information_schema.tables
WHERE table_schema = coalesce(nullif(%s, ''), database()) AND table_name = %s
"""

_AS_NUMBER = {
    "DATE": "DATEDIFF({}, '1970-01-01')",
    "TIMESTAMP": "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', {})",
    "TIMESTAMP_NTZ": "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', {})",
}


def connect(options: Mapping[str, str]) -> MySqlDatabase:
    """Connect with these options (the keys of OPTIONS).

    Raises:
        DatabaseError: nobody answers, or we aren't let in, or not as sslmode asks for.
        UsageError: the driver isn't installed.
    """
    try:
        import asyncmy
        from asyncmy.converters import conversions  # pyright: ignore[reportUnknownVariableType] (untyped)
        from asyncmy.errors import MySQLError
    except ImportError as problem:
        raise UsageError(
            "the driver of MySQL and MariaDB isn't installed", hint="pip install 'lakeflow-job-meta[pipelines]'"
        ) from problem
    loop = asyncio.new_event_loop()
    where = f"{options['host']}:{options['port']}"
    # Converters by Python's types escape parameters; those by the server's types are left out: results stay texts.
    encoders = cast("Mapping[Any, Any]", conversions)
    given: dict[str, Any] = {
        "host": options["host"],
        "port": int(options["port"]),
        "user": options["user"],
        "password": options["password"],
        "database": options["database"] or None,
        "connect_timeout": int(options["connect_timeout"]),
        "charset": "utf8mb4",
        "conv": {kind: encode for kind, encode in encoders.items() if not isinstance(kind, int)},
        "autocommit": True,
        "binary_prefix": True,
    }

    def attempt(tls: ssl.SSLContext | None) -> Any:
        return loop.run_until_complete(asyncmy.connect(**given, ssl=tls))  # pyright: ignore[reportUnknownMemberType] (untyped)

    try:
        try:
            connection = attempt(_tls(options))
        except MySQLError as problem:
            # A server without TLS answers to its greeting with what isn't TLS.
            if options["sslmode"] != "prefer" or "WRONG_VERSION_NUMBER" not in str(problem):
                raise
            connection = attempt(None)
    except (MySQLError, OSError, ValueError) as problem:
        loop.close()
        raise DatabaseError(f"MySQL at {where}: {_said(problem)}") from None
    database = MySqlDatabase(connection, loop)
    for each in SESSION:
        database.run(each)
    return database


def _tls(options: Mapping[str, str]) -> ssl.SSLContext | None:
    mode = options["sslmode"]
    if mode == "disable":
        return None
    context = ssl.create_default_context(cafile=options["sslrootcert"] or None)
    context.check_hostname = mode == "verify-full"
    context.verify_mode = ssl.CERT_REQUIRED if mode in VERIFIED else ssl.CERT_NONE
    if options["sslcert"]:
        context.load_cert_chain(options["sslcert"], options["sslkey"] or None)
    return context


def _said(problem: Exception) -> str:
    """What the server says, with its number."""
    return " ".join(" ".join(str(each) for each in problem.args).split()) or str(problem)


@dataclass
class MySqlDatabase:
    """See base.Database."""

    connection: Any
    loop: asyncio.AbstractEventLoop
    _types: dict[Relation, dict[str, MySqlType]] = field(default_factory=dict[Relation, dict[str, MySqlType]])

    def close(self) -> None:
        self.connection.close()
        self.loop.close()

    def await_(self, awaited: Awaitable[Result]) -> Result:
        """Wait for the driver.

        Raises:
            DatabaseError: the server refuses, or is gone.
        """
        from asyncmy.errors import MySQLError

        try:
            return self.loop.run_until_complete(awaited)
        except (MySQLError, OSError, TypeError, ValueError) as problem:  # the latter two: what no SQL can say, as NaN
            raise DatabaseError(_said(problem)) from problem

    def run(self, text: str, parameters: Sequence[Any] = ()) -> Rows:
        """The rows of one statement, values as texts."""

        async def asked() -> Rows:
            async with self.connection.cursor() as cursor:
                await cursor.execute(text, tuple(parameters))
                return await cursor.fetchall()

        return self.await_(asked())

    def table(self, relation: Relation) -> RemoteTable | None:
        names = (relation.schema, relation.name)
        rows = self.run(_COLUMNS, names)
        if not rows:
            return None
        types = {row[0]: MySqlType(row[1], row[2], int(row[6]), int(row[7])) for row in rows}
        self._types[relation] = types
        columns = [
            RemoteColumn(
                name,
                types[name].whole,
                types[name].lake,
                bool(generated),
                nullable == "YES" or default is not None or "auto_increment" in extra,
                types[name].takes,
            )
            for name, _, _, nullable, default, extra, _, _, generated in rows
        ]
        return RemoteTable(relation, tuple(columns), tuple(row[0] for row in self.run(_KEY, names)))

    def lacking(self, relation: Relation, direction: Direction) -> Sequence[str]:
        whole = _whole(relation)
        asked = [("SELECT", f"SELECT 1 FROM {whole} LIMIT 0")]  # noqa: S608 (quoted)
        if direction is Direction.DL_TO_SINK:
            table = self.table(relation)
            first = _quoted(table.names[0]) if table else "1"
            # To explain a statement takes the privileges of running it, whether they come from a role or not.
            asked += [
                ("INSERT", f"EXPLAIN INSERT INTO {whole} ({first}) SELECT {first} FROM {whole} WHERE false"),  # noqa: S608
                ("UPDATE", f"EXPLAIN UPDATE {whole} SET {first} = {first} WHERE false"),  # noqa: S608
                ("DELETE", f"EXPLAIN DELETE FROM {whole} WHERE false"),  # noqa: S608
                ("CREATE TEMPORARY TABLES", f"CREATE TEMPORARY TABLE {_whole(_beside(relation, STAGE))} (a INT)"),
            ]
        missing = [f"{name} on {relation}" for name, text in asked if not self._may(text)]
        if direction is Direction.DL_TO_SINK:
            with suppress(DatabaseError):
                self.run(f"DROP TEMPORARY TABLE {_whole(_beside(relation, STAGE))}")
            if not self._there(_beside(relation, MARKS)) and not self._may_create(relation):
                missing.append(f"CREATE on {relation.schema or 'the database'}, for the table {MARKS}")
        return missing

    def _may(self, text: str) -> bool:
        try:
            self.run(text)
        except DatabaseError as problem:
            number = problem.message.partition(" ")[0]
            if number.isdigit() and int(number) in DENIED:
                return False
            raise
        return True

    def _may_create(self, relation: Relation) -> bool:
        schema = relation.schema or str(self.run("SELECT database()")[0][0])
        lines = [str(row[0]) for row in self.run("SHOW GRANTS")]
        places = ("*.*", f"{_quoted(schema)}.*")
        return any(
            re.match(r"GRANT (?:.*\b)?(?:ALL PRIVILEGES|CREATE)(?:,.*)? ON " + re.escape(place), line)
            for line in lines
            for place in places
        )

    @contextmanager
    def reading(self) -> Generator[None, None, None]:
        self.run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        try:
            yield
        finally:
            with suppress(DatabaseError):  # nothing was written
                self.run("ROLLBACK")

    def type_of(self, table: RemoteTable, name: str) -> MySqlType:
        """The type of a column of a table that was asked for."""
        return self._types[table.relation][name]

    def condition(self, table: RemoteTable, span: Span) -> tuple[str, list[Any]]:
        """The condition of a span, and its parameters."""
        kind, column = table.types[span.key], _quoted(span.key)
        texts = [f"{column} {operator} %s" for operator, _ in span.bounds]
        return " AND ".join(texts) or "true", [_parameter(kind, text) for _, text in span.bounds]

    def totals(self, table: RemoteTable, key: str | None, span: Span | None = None) -> Totals:
        whole = _whole(table.relation)
        if key is None:
            return Totals(int(self.run(f"SELECT count(*) FROM {whole}")[0][0]))  # noqa: S608 (quoted)
        kind, column = table.types[key], _quoted(key)
        within, given = self.condition(table, span) if span else ("true", [])
        number = _AS_NUMBER.get(kind.partition("(")[0], "{}").format(column)
        rows, nulls, total, greatest = self.run(
            f"SELECT count(CASE WHEN {within} THEN 1 END), count(CASE WHEN {column} IS NULL THEN 1 END), "  # noqa: S608
            f"sum(CASE WHEN {within} THEN {number} END), max(CASE WHEN {within} THEN {column} END) FROM {whole}",
            [*given, *given, *given],
        )[0]
        found = None if greatest is None else checked_key(str(greatest), kind, f"the greatest {key}")
        return Totals(int(rows), int(nulls), plain_number(total), found)

    @contextmanager
    def stream(
        self, table: RemoteTable, *, span: Span | None = None, ordered_by: str | None = None
    ) -> Generator[ArrowStream, None, None]:
        from asyncmy.cursors import SSCursor

        listed = ", ".join(self.type_of(table, name).selected(_quoted(name)) for name in table.names)
        within, given = self.condition(table, span) if span else ("true", [])
        order = f" ORDER BY {_quoted(ordered_by)}" if ordered_by else ""
        text = f"SELECT {listed} FROM {_whole(table.relation)} WHERE {within}{order}"  # noqa: S608 (quoted)
        cursor = self.connection.cursor(SSCursor)
        self.await_(cursor.execute(text, tuple(given)))
        try:
            yield streamed(table.types, self._fetched(cursor))
        finally:
            self.await_(cursor.close())

    def _fetched(self, cursor: Any) -> Iterator[Rows]:
        while rows := self.await_(cursor.fetchmany(FETCHED)):
            yield rows

    def _there(self, relation: Relation) -> bool:
        return bool(self.run(_ENGINE, (relation.schema, relation.name)))

    def mark(self, relation: Relation) -> Mark | None:
        marks = _beside(relation, MARKS)
        if not self._there(marks):
            return None
        names = ", ".join(MARK_COLUMNS[1:])
        found = self.run(f"SELECT {names} FROM {_whole(marks)} WHERE sink_table = %s", [relation.name])  # noqa: S608
        return Mark(*found[0][:3], *(int(each) for each in found[0][3:])) if found else None

    @contextmanager
    def loading(self, table: RemoteTable) -> Generator[MySqlLoading, None, None]:
        engine = self.run(_ENGINE, (table.relation.schema, table.relation.name))[0][0]
        if engine != TRANSACTIONAL:
            raise InputError(
                f"{table.relation} is kept by {engine or 'a view'}, which has no transactions",
                hint=f"ALTER TABLE {table.relation} ENGINE = {TRANSACTIONAL}",
            )
        # What makes a table ends a transaction: it has to be there before.
        kinds = ", ".join(f"{name} {'BIGINT' if name in MARK_NUMBERS else 'VARCHAR(255)'}" for name in MARK_COLUMNS)
        marks = _beside(table.relation, MARKS)
        if not self._there(marks):
            self.run(
                f"CREATE TABLE IF NOT EXISTS {_whole(marks)} ({kinds}, PRIMARY KEY (sink_table)) "
                f"ENGINE = {TRANSACTIONAL} CHARACTER SET utf8mb4"
            )
        self.run("START TRANSACTION")
        try:
            yield MySqlLoading(self, table)
        except BaseException:
            with suppress(DatabaseError):  # a session that is gone has written nothing
                self.run("ROLLBACK")
            raise
        self.run("COMMIT")


@dataclass
class MySqlLoading:
    """See base.Loading."""

    database: MySqlDatabase
    table: RemoteTable
    _columns: Sequence[str] = ()

    def stage(self, rows: ArrowStream, columns: Sequence[str]) -> None:
        stage, names = self._stage, ", ".join(_quoted(each) for each in columns)
        whole = _whole(self.table.relation)
        self.database.run(f"CREATE TEMPORARY TABLE {stage} AS SELECT {names} FROM {whole} LIMIT 0")  # noqa: S608 (quoted)
        values = ", ".join(["%s"] * len(columns))
        text = f"INSERT INTO {stage} ({names}) VALUES ({values})"  # noqa: S608 (quoted)

        async def put(part: list[tuple[Any, ...]]) -> None:
            async with self.database.connection.cursor() as cursor:
                await cursor.executemany(text, part)

        for part in tuples(rows, columns, _written):
            self.database.await_(put(part))
        self._columns = columns

    @property
    def _stage(self) -> str:
        return _whole(_beside(self.table.relation, STAGE))

    def _target(self) -> Target:
        names = [_quoted(each) for each in self._columns]
        return Target(_whole(self.table.relation), self._stage, names, [f"s.{each}" for each in names])

    def swap(self) -> None:
        self.database.run(self._target().clear())
        self.database.run(self._target().insert())

    def upsert(self, key: Sequence[str], span: Span | None = None) -> None:
        target, quoted = self._target(), [_quoted(each) for each in key]
        if span:
            within, given = self.database.condition(self.table, span)
            self.database.run(target.clear_span(quoted, within), given)
        # ON DUPLICATE KEY would also take a row for the same that only shares another unique value.
        same = " AND ".join(f"t.{each} = s.{each}" for each in quoted)
        changes = ", ".join(f"t.{each} = s.{each}" for each in target.columns if each not in quoted)
        if changes:
            self.database.run(f"UPDATE {target.table} AS t JOIN {target.stage} AS s ON {same} SET {changes}")  # noqa: S608
        self.database.run(f"{target.insert()} LEFT JOIN {target.table} AS t ON {same} WHERE t.{quoted[0]} IS NULL")

    def note(self, mark: Mark) -> None:
        row = mark.row(self.table.relation.name)
        marks = _whole(_beside(self.table.relation, MARKS))
        self.database.run(f"DELETE FROM {marks} WHERE sink_table = %s", [row["sink_table"]])  # noqa: S608 (our own name)
        names, given = ", ".join(row), ", ".join(["%s"] * len(row))
        self.database.run(f"INSERT INTO {marks} ({names}) VALUES ({given})", list(row.values()))  # noqa: S608 (as above)


def _beside(relation: Relation, name: str) -> Relation:
    return Relation(relation.schema, name)


def _quoted(name: str) -> str:
    """The name within a text that the driver puts parameters into."""
    return back_quoted(name).replace("%", "%%")


def _whole(relation: Relation) -> str:
    return ".".join(_quoted(each) for each in (relation.schema, relation.name) if each)


def _parameter(kind: str, text: str) -> Any:
    """A bound as a value that MySQL compares exactly: a number that is quoted it would compare as a float."""
    if kind.startswith("DECIMAL"):
        return Decimal(text)
    return int(text) if kind in ("SMALLINT", "INT", "BIGINT") else text.removesuffix("+00:00")


def _written(value: Any) -> Any:
    """A value as MySQL reads it: moments in UTC, without a zone."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(" ")
    return int(value) if isinstance(value, bool) else value
