"""One DuckDB session: the engine that evaluates every expression, over Arrow from delta-rs.

It lives for one statement, can't reach files or the network, and speaks UTC.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from itertools import count
from typing import Any, cast

import duckdb
from arro3.core import Table
from sqlglot import Expr, exp
from sqlglot.dialects.databricks import Databricks
from sqlglot.errors import ErrorLevel, UnsupportedError

from lakeflow_job_meta.diagnostics import nearest
from lakeflow_job_meta.errors import SqlError
from lakeflow_job_meta.store.arrow import to_rows
from lakeflow_job_meta.store.delta_tables import user
from lakeflow_job_meta.store.sql.rewrite import as_duckdb

_ZONED = "TIMESTAMP WITH TIME ZONE"
_WHOLE = re.compile(r"HUGEINT|DECIMAL\(\d+,\s*0\)")
"""Whole numbers that come as decimals: DuckDB's widest integer (the type of every sum), and what round gives."""
_MACROS = (
    # Databricks gives NULL for text that isn't JSON; DuckDB raises.
    "lf_json(x, p) AS CASE WHEN json_valid(CAST(x AS VARCHAR)) THEN json_extract_string(CAST(x AS VARCHAR), p) END",
    """lf_whole(x) AS CASE WHEN typeof(x) IN ('DOUBLE', 'FLOAT')
    THEN CAST(CAST(trunc(TRY_CAST(x AS DOUBLE)) AS HUGEINT) AS VARCHAR)
    WHEN starts_with(typeof(x), 'DECIMAL') THEN string_split(CAST(x AS VARCHAR), '.')[1]
    WHEN typeof(x) = 'VARCHAR' AND TRY_CAST(x AS DOUBLE) IS NOT NULL
    AND NOT regexp_full_match(trim(CAST(x AS VARCHAR)), '[+-]?[0-9]+') THEN concat('''', x, '''')
    WHEN typeof(x) = 'BOOLEAN' THEN CAST(TRY_CAST(x AS INTEGER) AS VARCHAR) ELSE CAST(x AS VARCHAR) END""",
    """lf_text(x) AS CASE WHEN typeof(x) = 'TIMESTAMP WITH TIME ZONE'
    THEN regexp_replace(CAST(x AS VARCHAR), '[+]00$', '') ELSE CAST(x AS VARCHAR) END""",
    """substring_index(x, d, n) AS CASE WHEN n > 0 THEN array_to_string(string_split(x, d)[:n], d)
    WHEN n < 0 THEN array_to_string(string_split(x, d)[n:], d) ELSE '' END""",
)

_BY_TYPE: tuple[tuple[type, str], ...] = (
    (datetime, "TIMESTAMPTZ"), (date, "DATE"), (bool, "BOOLEAN"), (int, "BIGINT"), (float, "DOUBLE"),
)  # fmt: skip


@cache
def _database(pid: int) -> duckdb.DuckDBPyConnection:
    """The database of this process, empty but for our macros.

    To make one costs more than most statements do; a connection of its own costs nothing, and what a statement
    registers or makes (temporary, all of it) is that connection's alone.
    """
    del pid  # part of the cache's key only: a forked child can't use its parent's
    database = duckdb.connect(":memory:", config={"enable_external_access": "false"})
    for macro in _MACROS:
        _ = database.execute(f"CREATE MACRO {macro}")
    return database


class Session:
    """A connection with the tables that one statement reads."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._connection = _database(os.getpid()).cursor()
        self._parameters = parameters
        self._numbers = count()
        self.columns: set[str] = set()
        """Names of all columns that the statement could mean, for hints."""
        for setting in ("TimeZone='UTC'", "python_enable_replacements=false", "ieee_floating_point_ops=false"):
            _ = self._connection.execute(f"SET {setting}")

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def register(self, rows: Table) -> str:
        """Make the rows a view; says its name."""
        name = f"__source{next(self._numbers)}"
        _ = self._connection.register(name, rows)
        self.columns.update(rows.column_names)
        return name

    def plain(self, text: str) -> list[tuple[Any, ...]]:
        """Run DuckDB's own SQL, made here and holding nothing of the user's."""
        return self._guarded(text, {}).fetchall()

    def run(self, tree: Expr, suffix: str = "") -> list[tuple[Any, ...]]:
        """Run a statement that writes to a table of this session."""
        text, used = self._rendered(tree)
        return self._guarded(text + suffix, used).fetchall()

    def rows(self, tree: Expr) -> list[dict[str, Any]]:
        """Run a query, and give its rows as Python values."""
        relation = self._relation(tree)
        names = _distinct(list(relation.columns))
        kinds = [str(kind) for kind in relation.types]
        try:
            if any(_ZONED in kind for kind in kinds):
                # DuckDB wants pytz to hand over such a value itself.
                return self._by_arrow(relation, names, kinds)
            converted = [_integer if _WHOLE.fullmatch(kind) else _python for kind in kinds]
            return [
                {name: convert(value) for name, convert, value in zip(names, converted, row, strict=True)}
                for row in relation.fetchall()
            ]
        except duckdb.Error as problem:
            raise self._explained(problem) from problem
        except (OverflowError, ValueError) as problem:  # Python's dates end with the year 9999, DuckDB's don't
            raise SqlError(f"a value can't be shown: {problem}", hint="cast it to STRING") from problem

    def _by_arrow(self, relation: Any, names: Sequence[str], kinds: Sequence[str]) -> list[dict[str, Any]]:
        for name, kind in zip(names, kinds, strict=True):
            if "INTERVAL" in kind:
                raise SqlError(f"column {name} is an interval, which can't be shown", hint="cast it to STRING")
        table = Table.from_arrow(relation).rename_columns([f"c{position}" for position in range(len(names))])
        converted = [_integer if _WHOLE.fullmatch(kind) else _python for kind in kinds]
        return [
            {name: convert(value) for name, convert, value in zip(names, converted, row.values(), strict=True)}
            for row in to_rows(table)
        ]

    def arrow(self, text: str) -> Table:
        """The result of DuckDB's own SQL, as Arrow."""
        try:
            return Table.from_arrow(self._connection.sql(text))
        except duckdb.Error as problem:
            raise self._explained(problem) from problem

    def arrow_of(self, tree: Expr) -> tuple[Table, list[tuple[str, str]]]:
        """A query's result as Arrow, with each column's name and DuckDB type."""
        relation = self._relation(tree)
        described = [(str(name), str(kind)) for name, kind in zip(relation.columns, relation.types, strict=True)]
        try:
            return Table.from_arrow(relation), described
        except duckdb.Error as problem:
            raise self._explained(problem) from problem

    def _relation(self, tree: Expr) -> Any:
        text, used = self._rendered(tree)
        try:
            return self._connection.sql(text, params=used) if used else self._connection.sql(text)
        except duckdb.Error as problem:
            raise self._explained(problem) from problem

    def _rendered(self, tree: Expr) -> tuple[str, dict[str, Any]]:
        used: dict[str, Any] = {}
        tree = tree.copy()
        for marker in list(tree.find_all(exp.Placeholder)):
            name = marker.this
            if not isinstance(name, str) or name not in self._parameters:
                shown = f":{name}" if isinstance(name, str) else "?"
                hint = nearest(str(name), self._parameters) or "pass the values as a dict of names"
                raise SqlError(f"[UNBOUND_SQL_PARAMETER] no value for the parameter {shown}", hint=hint)
            value, kind = _bound(self._parameters[name])
            used[name] = value
            if kind:
                _ = marker.replace(exp.cast(marker.copy(), kind))
        try:
            return as_duckdb(tree, user()).sql("duckdb", unsupported_level=ErrorLevel.RAISE), used
        except UnsupportedError as problem:
            raise SqlError(f"{problem} (not supported by the embedded store)") from problem

    def _guarded(self, text: str, parameters: Mapping[str, Any]) -> Any:
        try:
            return self._connection.execute(text, dict(parameters)) if parameters else self._connection.execute(text)
        except duckdb.Error as problem:
            raise self._explained(problem) from problem

    def _explained(self, problem: duckdb.Error) -> SqlError:
        """DuckDB's error in Databricks' words, without the names that only exist in here."""
        text = str(problem)
        for pattern, code, said in _EXPLANATIONS:
            if found := re.search(pattern, text):
                name = found[1] if found.lastindex else ""
                others = [each for each in self._known(code) if each.lower() != name.lower()]
                hint = nearest(name, others) if code.startswith("UNRESOLVED") else ""
                return SqlError(f"[{code}] {said.format(*found.groups())}", hint=hint)
        return SqlError(re.sub(r"__(source\d+|target|before)", "the table", text.split("\n", 1)[0]))

    def _known(self, code: str) -> Sequence[str]:
        if code == "UNRESOLVED_ROUTINE":
            names = cast("dict[str, object]", Databricks.Parser.FUNCTIONS)  # pyright: ignore[reportUnknownMemberType] (untyped)
            return [name.lower() for name in names]
        return sorted(self.columns)


_EXPLANATIONS: tuple[tuple[str, str, str], ...] = (
    (r'Referenced (?:update )?column "?([^" ]+)"? not found', "UNRESOLVED_COLUMN", "there is no column '{0}'"),
    (r'does not have a column (?:named|with name) "([^"]+)"', "UNRESOLVED_COLUMN", "there is no column '{0}'"),
    (r'Referenced table "([^"]+)" not found', "UNRESOLVED_COLUMN", "'{0}' is no table or alias of this statement"),
    (r"Function with name \"?([^\" ]+?)\"? does not exist", "UNRESOLVED_ROUTINE", "there is no function '{0}'"),
    (r"NOT NULL constraint failed: \w+\.(.+)", "NOT_NULL_CONSTRAINT_VIOLATION", "column '{0}' is required, but NULL"),
    (r"Division by zero", "DIVIDE_BY_ZERO", "division by zero"),
    (r"cannot affect the same target row", "DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE",
     "several source rows match one row of the target"),
    (r"[Cc]olumn name/value mismatch.*expected (\d+) columns but (\d+) values", "INSERT_COLUMN_ARITY_MISMATCH",
     "{0} columns, but {1} values"),
    (r"(?:Conversion Error|Invalid Input Error): ([^\n]+)", "CAST_INVALID_INPUT", "{0}"),
    (r'Ambiguous reference to column name "([^"]+)"', "AMBIGUOUS_REFERENCE", "'{0}' may be a column of several tables"),
    (r"No function matches the given name and argument types ([^\n]+)", "DATATYPE_MISMATCH", "no such function: {0}"),
)  # fmt: skip


def _distinct(names: Sequence[str]) -> list[str]:
    """A row is a dict: the second column of one name gets a number."""
    seen: dict[str, int] = {}
    result: list[str] = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return result


def _python(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    if isinstance(value, list):
        return [_python(each) for each in cast("list[Any]", value)]
    return value


def _integer(value: Any) -> int | None:
    return None if value is None else int(value)


def _bound(value: Any) -> tuple[Any, str]:
    """A parameter as DuckDB takes it, and the type to cast it to."""
    if value is None or isinstance(value, str | bytes | Decimal):
        return value, ""
    for kind, name in _BY_TYPE:
        if isinstance(value, kind):
            if isinstance(value, datetime):
                return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat(), name
            return (value.isoformat() if isinstance(value, date) else value), name
    raise SqlError(f"a parameter can't be a {type(value).__name__}", hint="use text, numbers, booleans, dates or None")
