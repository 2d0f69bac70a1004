"""Statements for engines that speak SQL themselves: as written, but for defaults that the engine doesn't fill."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lakeflow_job_meta.errors import SqlError
from lakeflow_job_meta.model.table import Column, TableName
from lakeflow_job_meta.store.sql.as_written import statements_of

COLUMNS = (
    Column("a", "STRING"),
    Column("b", "INT"),
    Column("c", "BOOLEAN", default="true"),
    Column("d", "INT", default="7"),
)
DAILY = (
    Column("a", "STRING"),
    Column("at", "TIMESTAMP", default="current_timestamp()"),
    Column("at_day", "DATE", generated="CAST(at AS DATE)"),
    Column("b", "INT", default="7"),
)


def columns_of(table: TableName) -> Sequence[Column]:
    if table.name == "view":
        raise SqlError("[DELTA_ONLY_OPERATION] not a Delta table")
    return DAILY if table.name == "daily" else COLUMNS


def sent(text: str) -> list[str]:
    return [each.completed(columns_of).text for each in statements_of(text, {})]


COMPLETED = {
    "INSERT INTO m.e.t VALUES ('x', 1)": "INSERT INTO m.e.t (`a`, `b`, `c`, `d`) VALUES ('x', 1, true, 7)",
    "INSERT INTO m.e.t VALUES ('x', f(1, (2))), ('y', 2)": (
        "INSERT INTO m.e.t (`a`, `b`, `c`, `d`) VALUES ('x', f(1, (2)), true, 7), ('y', 2, true, 7)"
    ),
    "INSERT INTO m.e.t VALUES ('x', 1, DEFAULT)": "INSERT INTO m.e.t (`a`, `b`, `c`, `d`) VALUES ('x', 1, true, 7)",
    "INSERT INTO `m`.e.t (B, `a`) VALUES (1, 'x')": "INSERT INTO `m`.e.t (B, `a`, `c`, `d`) VALUES (1, 'x', true, 7)",
    "INSERT OVERWRITE m.e.t VALUES ('x', 1, DEFAULT, DEFAULT)": "INSERT OVERWRITE m.e.t VALUES ('x', 1, true, 7)",
    "INSERT INTO m.e.t SELECT 'x', 1 FROM s": (
        "INSERT INTO m.e.t (`a`, `b`, `c`, `d`) SELECT s.*, true, 7 FROM (SELECT 'x', 1 FROM s) AS s"
    ),
    "INSERT INTO m.e.t (a) SELECT * FROM s": (
        "INSERT INTO m.e.t (a, `c`, `d`) SELECT s.*, true, 7 FROM (SELECT * FROM s) AS s"
    ),
    "MERGE INTO m.e.t USING s ON x WHEN NOT MATCHED THEN INSERT (a, d) VALUES (s.a, DEFAULT)": (
        "MERGE INTO m.e.t USING s ON x WHEN NOT MATCHED THEN INSERT (a, d, `c`) VALUES (s.a, 7, true)"
    ),
}


def day(value: str) -> str:
    return f"date_from_unix_date(CAST(floor(unix_seconds(CAST({value} AS TIMESTAMP)) / 86400) AS INT))"


DAYS = {
    "INSERT INTO m.e.daily (a, at) VALUES ('x', :at), ('y', f(1, 2))": (
        f"INSERT INTO m.e.daily (a, at, `b`, `at_day`) VALUES ('x', :at, 7, {day(':at')}),"
        f" ('y', f(1, 2), 7, {day('f(1, 2)')})"
    ),
    "INSERT INTO m.e.daily VALUES ('x', DEFAULT, 1)": (
        f"INSERT INTO m.e.daily (`a`, `at`, `b`, `at_day`)"
        f" VALUES ('x', current_timestamp(), 1, {day('current_timestamp()')})"
    ),
    "INSERT INTO m.e.daily (a) VALUES ('x')": (
        f"INSERT INTO m.e.daily (a, `at`, `b`, `at_day`)"
        f" VALUES ('x', current_timestamp(), 7, {day('current_timestamp()')})"
    ),
    "INSERT INTO m.e.daily (At, b) SELECT * FROM s": (
        f"INSERT INTO m.e.daily (At, b, `at_day`) SELECT s.*, {day('s.`at`')} FROM (SELECT * FROM s) AS s (`at`, `b`)"
    ),
    "MERGE INTO m.e.daily USING s ON x WHEN NOT MATCHED THEN INSERT (at, b) VALUES (s.t, 1)": (
        "MERGE INTO m.e.daily USING s ON x"
        f" WHEN NOT MATCHED THEN INSERT (at, b, `at_day`) VALUES (s.t, 1, {day('s.t')})"
    ),
}

AS_WRITTEN = (
    "INSERT INTO m.e.daily VALUES ('x', , 1)",
    "INSERT INTO m.e.daily VALUES ('x', timestamp'2024-01-31', date'2024-01-31', 1)",
    "INSERT INTO m.e.daily (a, at, at_day, b) VALUES ('x', timestamp'2024-01-31', date'2024-01-31', 1)",
    "INSERT INTO m.e.t VALUES ('x')",  # b has no default: the engine says so
    "INSERT INTO m.e.t VALUES ('x', 1, true, 7, 8)",
    "INSERT INTO m.e.t VALUES ('x', 1), ('y')",
    "INSERT INTO m.e.t SELECT * FROM s",
    "INSERT INTO m.e.t TABLE s",
    "INSERT INTO m.e.t BY NAME SELECT 1 AS b",
    "INSERT INTO m.e.t PARTITION (b = 1) VALUES ('x')",
    "INSERT INTO m.e.t (a, nope) VALUES ('x', 1)",
    "INSERT INTO m.e.view VALUES ('x', 1)",
    "INSERT INTO t VALUES ('x', 1)",
    "INSERT INTO",
    "MERGE INTO m.e.t USING s ON x WHEN NOT MATCHED THEN INSERT *",
    "SELECT a:b, 'it''s; so', r'\\' FROM t@v3 -- and more",
    "WITH q AS (SELECT 1) INSERT INTO m.e.t SELECT * FROM q",
    "something that nobody knows",
)


@pytest.mark.parametrize("written", COMPLETED)
def test_what_an_insert_leaves_out_is_filled(written: str) -> None:
    assert sent(written) == [COMPLETED[written]]


@pytest.mark.parametrize("written", DAYS)
def test_the_day_that_an_insert_leaves_out_follows_from_its_timestamp(written: str) -> None:
    assert sent(written) == [DAYS[written]]


@pytest.mark.parametrize("written", AS_WRITTEN)
def test_all_else_is_sent_as_it_is(written: str) -> None:
    assert sent(written) == [written.removesuffix(" -- and more")]


def test_texts_are_split_at_semicolons_and_take_their_own_parameters() -> None:
    text = "/* one; */ SELECT :a, 'ü;'; -- two;\n ; INSERT INTO m.e.t VALUES (:b, 1);"
    first, second = statements_of(text, {"a": 1, "b": "x", "c": None})
    assert (first.completed(columns_of).text, first.parameters) == ("SELECT :a, 'ü;'", {"a": 1})
    assert second.completed(columns_of).text == "INSERT INTO m.e.t (`a`, `b`, `c`, `d`) VALUES (:b, 1, true, 7)"
    assert (second.parameters, second.where) == ({"b": "x"}, "statement 2, line 2")
