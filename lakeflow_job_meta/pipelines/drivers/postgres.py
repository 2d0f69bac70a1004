"""PostgreSQL, by its ADBC driver: COPY in its binary form on both ways, as Arrow, without a Python object a value."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from arro3.core import Array, DataType, Table

from lakeflow_job_meta.errors import DatabaseError, UsageError
from lakeflow_job_meta.model.bulk import ArrowStream, Span, Totals
from lakeflow_job_meta.model.key_text import key_text, plain_number
from lakeflow_job_meta.pipelines.drivers.base import MARK_COLUMNS, MARK_NUMBERS, MARKS, Mark, RemoteColumn, RemoteTable
from lakeflow_job_meta.pipelines.drivers.statements import Target, double_quoted
from lakeflow_job_meta.pipelines.registry import Direction
from lakeflow_job_meta.pipelines.stages.stage import Relation
from lakeflow_job_meta.pipelines.types.postgres import PostgresType
from lakeflow_job_meta.store.arrow import to_rows

if TYPE_CHECKING:
    from adbc_driver_manager import AdbcConnection

OPTIONS = {
    "host": "localhost", "port": "5432", "database": "postgres", "user": "", "password": "", "sslmode": "prefer",
    "sslrootcert": "", "sslcert": "", "sslkey": "", "connect_timeout": "10",
}  # fmt: skip
"""What credentials may say, and what holds where they don't; an empty text is left to libpq."""

_LIBPQ = {"database": "dbname"}

SESSION = (
    "SET TimeZone = 'UTC'", "SET DateStyle = 'ISO, YMD'", "SET IntervalStyle = 'postgres'", "SET search_path = ''",
    "SET extra_float_digits = 1", "SET application_name = 'lakeflow'",
)  # fmt: skip
"""So that texts mean the same in every session, and all names are whole."""

STAGE = "lakeflow_stage"

_COLUMNS = """
SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS native, a.attnotnull AS required,
       a.atthasdef OR a.attidentity <> '' AS defaulted, a.attgenerated <> '' AS computed,
       t.typtype::text AS kind, e.oid IS NOT NULL AS is_array, coalesce(e.typname, b.typname, t.typname)::text AS type,
       CASE WHEN b.oid IS NULL THEN a.atttypmod ELSE t.typtypmod END AS modifier,
       quote_ident(n.nspname) || '.' || quote_ident(coalesce(e.typname, t.typname)) AS quoted
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS s ON s.oid = c.relnamespace
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_type AS b ON t.typtype = 'd' AND b.oid = t.typbasetype
LEFT JOIN pg_catalog.pg_type AS e ON t.typcategory = 'A' AND e.oid = t.typelem
JOIN pg_catalog.pg_namespace AS n ON n.oid = coalesce(e.typnamespace, t.typnamespace)
WHERE s.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0
  AND NOT a.attisdropped
ORDER BY a.attnum
"""

_KEY = """
SELECT a.attname::text AS name
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indrelid
JOIN pg_catalog.pg_namespace AS s ON s.oid = c.relnamespace
CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (number, position)
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.number
WHERE i.indisprimary AND s.nspname = $1 AND c.relname = $2
ORDER BY k.position
"""

_PRIVILEGES: Mapping[Direction, tuple[str, ...]] = {
    Direction.SOURCE_TO_DL: ("SELECT",),
    Direction.DL_TO_SINK: ("SELECT", "INSERT", "UPDATE", "DELETE"),
}

_AS_NUMBER = {
    "DATE": "({} - DATE '1970-01-01')::numeric",
    "TIMESTAMP": "extract(epoch FROM {}) * 1000000",
    "TIMESTAMP_NTZ": "extract(epoch FROM {}) * 1000000",
}


def connect(options: Mapping[str, str]) -> PostgresDatabase:
    """Connect with these options (the keys of OPTIONS).

    Raises:
        DatabaseError: nobody answers, or we aren't let in.
        UsageError: the driver isn't installed.
    """
    try:
        import adbc_driver_postgresql
        from adbc_driver_manager import AdbcConnection, Error
    except ImportError as problem:
        raise UsageError(
            "the driver of PostgreSQL isn't installed", hint="pip install 'lakeflow-job-meta[pipelines]'"
        ) from problem
    words = {_LIBPQ.get(name, name): value for name, value in options.items() if value}
    info = " ".join(f"{name}='{_escaped(value)}'" for name, value in words.items())
    try:
        connection = AdbcConnection(adbc_driver_postgresql.connect(info))
    except Error as problem:
        raise DatabaseError(f"PostgreSQL at {options['host']}:{options['port']}: {_said(problem)}") from None
    database = PostgresDatabase(connection)
    for each in SESSION:
        database.run(each)
    return database


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def _said(problem: Exception) -> str:
    """What the server says, without our statement, which the driver repeats."""
    text = str(problem).partition("\nQuery was:")[0].partition("[libpq] ")[2] or str(problem)
    return " ".join(text.split())


@dataclass
class PostgresDatabase:
    """See base.Database."""

    connection: AdbcConnection
    _types: dict[Relation, dict[str, PostgresType]] = field(default_factory=dict[Relation, dict[str, PostgresType]])

    def close(self) -> None:
        """End the session; what isn't committed is gone."""
        self.connection.close()

    def run(self, text: str, parameters: Sequence[str] = ()) -> list[dict[str, Any]]:
        """The rows of one statement, with parameters that are texts."""
        with self._answer(text, parameters) as stream:
            return to_rows(stream)

    @contextmanager
    def _answer(self, text: str, parameters: Sequence[str] = ()) -> Generator[ArrowStream, None, None]:
        from adbc_driver_manager import AdbcStatement, Error

        try:
            with AdbcStatement(self.connection) as statement:
                statement.set_sql_query(text)
                if parameters:
                    given: dict[str, Any] = {
                        f"p{place}": Array([value], DataType.string()) for place, value in enumerate(parameters)
                    }
                    statement.bind_stream(Table.from_pydict(given))  # pyright: ignore[reportUnknownMemberType] (partly untyped)
                stream, _ = statement.execute_query()
                yield stream
        except Error as problem:
            raise DatabaseError(_said(problem)) from problem

    def table(self, relation: Relation) -> RemoteTable | None:
        names = (relation.schema, relation.name)
        rows = self.run(_COLUMNS, names)
        if not rows:
            return None
        types = {row["name"]: _type(row) for row in rows}
        self._types[relation] = types
        columns = tuple(
            RemoteColumn(
                row["name"],
                row["native"],
                types[row["name"]].lake,
                row["computed"],
                row["defaulted"] or not row["required"],
                types[row["name"]].takes,
            )
            for row in rows
        )
        return RemoteTable(relation, columns, tuple(row["name"] for row in self.run(_KEY, names)))

    def lacking(self, relation: Relation, direction: Direction) -> Sequence[str]:
        whole = _whole(relation)
        wanted = [(each, f"has_table_privilege($1, '{each}')") for each in _PRIVILEGES[direction]]
        found = self.run(f"SELECT {', '.join(f'{test} AS {name}' for name, test in wanted)}", [whole])[0]
        missing = [f"{name} on {relation}" for name, _ in wanted if not found[name.lower()]]
        if direction is Direction.SOURCE_TO_DL:
            return missing
        marks = _whole(Relation(relation.schema, MARKS))
        told = self.run(
            "SELECT has_database_privilege(current_database(), 'TEMPORARY') AS temporary, "
            "to_regclass($1) IS NOT NULL AS marked, has_schema_privilege($2, 'CREATE') AS creates",
            [marks, relation.schema],
        )[0]
        if not told["temporary"]:
            missing.append("TEMPORARY on the database")
        if not told["marked"] and not told["creates"]:
            missing.append(f"CREATE on schema {relation.schema}, for the table {MARKS}")
        return missing

    @contextmanager
    def _transaction(self) -> Generator[None, None, None]:
        self.connection.set_autocommit(False)
        try:
            yield
        except BaseException:
            self.connection.rollback()
            self.connection.set_autocommit(True)
            raise
        self._commit()

    def _commit(self) -> None:
        from adbc_driver_manager import Error

        try:
            self.connection.commit()
            self.connection.set_autocommit(True)
        except Error as problem:
            raise DatabaseError(_said(problem)) from problem

    @contextmanager
    def reading(self) -> Generator[None, None, None]:
        with self._transaction():
            self.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield

    def type_of(self, table: RemoteTable, name: str) -> PostgresType:
        """The type of a column of a table that was asked for."""
        return self._types[table.relation][name]

    def totals(self, table: RemoteTable, key: str | None, span: Span | None = None) -> Totals:
        whole = _whole(table.relation)
        if key is None:
            return Totals(self.run(f"SELECT count(*) AS n FROM {whole}")[0]["n"])  # noqa: S608 (quoted)
        quoted, column = double_quoted(key), table.column(key)
        kind = column.type if column else ""
        within = f" FILTER (WHERE {self.condition(table, span)})" if span else ""
        number = _AS_NUMBER.get(kind, "{}::numeric").format(quoted)
        row = self.run(
            f"SELECT count(*){within} AS n, count(*) FILTER (WHERE {quoted} IS NULL) AS missing, "  # noqa: S608 (quoted)
            f"(sum({number}){within})::text AS total, max({quoted}){within} AS greatest FROM {whole}"
        )[0]
        return Totals(row["n"], row["missing"], plain_number(row["total"]), _key(kind, row["greatest"]))

    def condition(self, table: RemoteTable, span: Span) -> str:
        """The condition of a span, its texts put into the session: COPY takes no parameters."""
        conditions: list[str] = []
        kind = self.type_of(table, span.key).quoted
        for place, (operator, text) in enumerate(span.bounds):
            setting = f"lakeflow.bound{place}"
            self.run(f"SELECT set_config('{setting}', $1, false)", [text])
            conditions.append(f"{double_quoted(span.key)} {operator} current_setting('{setting}')::{kind}")
        return " AND ".join(conditions)

    @contextmanager
    def stream(
        self, table: RemoteTable, *, span: Span | None = None, ordered_by: str | None = None
    ) -> Generator[ArrowStream, None, None]:
        listed = ", ".join(
            f"{self.type_of(table, name).selected(double_quoted(name), _in_text(name))} AS {double_quoted(name)}"
            for name in table.names
        )
        where = f" WHERE {self.condition(table, span)}" if span else ""
        order = f" ORDER BY {double_quoted(ordered_by)}" if ordered_by else ""
        with self._answer(f"SELECT {listed} FROM {_whole(table.relation)}{where}{order}") as rows:  # noqa: S608 (quoted)
            yield rows

    def there(self, table: str) -> bool:
        """Whether there is a table of this quoted name."""
        return bool(self.run("SELECT to_regclass($1) IS NOT NULL AS there", [table])[0]["there"])

    def mark(self, relation: Relation) -> Mark | None:
        marks = _whole(Relation(relation.schema, MARKS))
        if not self.there(marks):
            return None
        names = ", ".join(MARK_COLUMNS[1:])
        found = self.run(f"SELECT {names} FROM {marks} WHERE sink_table = $1", [relation.name])  # noqa: S608 (quoted)
        return Mark(**found[0]) if found else None

    @contextmanager
    def loading(self, table: RemoteTable) -> Generator[PostgresLoading, None, None]:
        with self._transaction():
            yield PostgresLoading(self, table)


def _type(row: Mapping[str, Any]) -> PostgresType:
    return PostgresType(row["type"], row["modifier"], row["is_array"], row["quoted"])


def _whole(relation: Relation) -> str:
    return f"{double_quoted(relation.schema)}.{double_quoted(relation.name)}"


def _in_text(name: str) -> str:
    return name.replace("'", "''")


def _key(kind: str, value: Any) -> str | None:
    # Moments come from Arrow in UTC, those without a zone too.
    return key_text(value.replace(tzinfo=None) if isinstance(value, datetime) and kind == "TIMESTAMP_NTZ" else value)


@dataclass
class PostgresLoading:
    """See base.Loading."""

    database: PostgresDatabase
    table: RemoteTable
    _columns: Sequence[str] = ()

    def stage(self, rows: ArrowStream, columns: Sequence[str]) -> None:
        from adbc_driver_manager import AdbcStatement, Error

        try:
            with AdbcStatement(self.database.connection) as statement:
                statement.set_options(
                    **{
                        "adbc.ingest.target_table": STAGE,
                        "adbc.ingest.mode": "adbc.ingest.mode.create",
                        "adbc.ingest.temporary": "true",
                    }
                )
                statement.bind_stream(rows)
                statement.execute_update()
        except Error as problem:
            raise DatabaseError(_said(problem)) from problem
        self._columns = columns

    def _target(self) -> Target:
        types = [self.database.type_of(self.table, each) for each in self._columns]
        names = [double_quoted(each) for each in self._columns]
        values = [kind.loaded(f"s.{name}") for kind, name in zip(types, names, strict=True)]
        return Target(_whole(self.table.relation), f"pg_temp.{STAGE}", names, values)

    def swap(self) -> None:
        target = self._target()
        self.database.run(target.clear())
        self.database.run(target.insert(OVERRIDING))

    def upsert(self, key: Sequence[str], span: Span | None = None) -> None:
        target, quoted = self._target(), [double_quoted(each) for each in key]
        if span:
            self.database.run(target.clear_span(quoted, self.database.condition(self.table, span)))
        self.database.run(target.insert(OVERRIDING) + target.on_conflict(quoted))

    def note(self, mark: Mark) -> None:
        marks = _whole(Relation(self.table.relation.schema, MARKS))
        kinds = {name: "bigint" if name in MARK_NUMBERS else "text" for name in MARK_COLUMNS}
        listed = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
        if not self.database.there(marks):
            self.database.run(f"CREATE TABLE IF NOT EXISTS {marks} ({listed}, PRIMARY KEY (sink_table))")
        values = ["" if each is None else str(each) for each in mark.row(self.table.relation.name).values()]
        given = ", ".join(f"nullif(${place}, '')::{kind}" for place, kind in enumerate(kinds.values(), 1))
        target = Target(marks, "", MARK_COLUMNS, ())
        self.database.run(
            f"INSERT INTO {marks} ({', '.join(MARK_COLUMNS)}) VALUES ({given})"  # noqa: S608 (our own names)
            + target.on_conflict(["sink_table"]),
            values,
        )


OVERRIDING = " OVERRIDING SYSTEM VALUE"
