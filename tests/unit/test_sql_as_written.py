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


def columns_of(table: TableName) -> Sequence[Column]:
    if table.name == "view":
        raise SqlError("[DELTA_ONLY_OPERATION] not a Delta table")
    return COLUMNS


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

AS_WRITTEN = (
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


@pytest.mark.parametrize("written", AS_WRITTEN)
def test_all_else_is_sent_as_it_is(written: str) -> None:
    assert sent(written) == [written.removesuffix(" -- and more")]


def test_texts_are_split_at_semicolons_and_take_their_own_parameters() -> None:
    text = "/* one; */ SELECT :a, 'ü;'; -- two;\n ; INSERT INTO m.e.t VALUES (:b, 1);"
    first, second = statements_of(text, {"a": 1, "b": "x", "c": None})
    assert (first.completed(columns_of).text, first.parameters) == ("SELECT :a, 'ü;'", {"a": 1})
    assert second.completed(columns_of).text == "INSERT INTO m.e.t (`a`, `b`, `c`, `d`) VALUES (:b, 1, true, 7)"
    assert (second.parameters, second.where) == ({"b": "x"}, "statement 2, line 2")
