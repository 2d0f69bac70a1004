"""SELECT through the front door: Databricks' meaning, whatever engine evaluates it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta.errors import SqlError
from lakeflow_job_meta.store.delta import DeltaStore

T = "main.etl.t"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> DeltaStore:
    home: Path = tmp_path_factory.mktemp("home")
    made = DeltaStore(home)
    made.sql(f"""
        CREATE TABLE {T} (id STRING, n INT, config STRING, at TIMESTAMP);
        INSERT INTO {T} VALUES ('a', 1, '{{"k": {{"x": "one", "l": [1, 2]}}, "b": true}}', '2024-01-02 03:04:05'),
            ('b', 2, '{{...}}', NULL), ('c', 3, NULL, '2024-06-01');
        UPDATE {T} SET n = 30 WHERE id = 'c'
    """)
    return made


@pytest.mark.parametrize(
    ("query", "value"),
    [
        (f"SELECT sum(n) FROM {T}", 33),
        (f"SELECT max(at) FROM {T}", datetime(2024, 6, 1, tzinfo=UTC)),
        (f"SELECT sum(n) + 0 FROM {T} WHERE at > '2024-01-01'", 31),
        (f"SELECT get_json_object(config, '$.k.x') FROM {T} WHERE id = 'a'", "one"),
        (f"SELECT config:k.x FROM {T} WHERE id = 'a'", "one"),
        (f"SELECT config:k.l[1]::int FROM {T} WHERE id = 'a'", 2),
        (f"SELECT config:k FROM {T} WHERE id = 'a'", '{"x":"one","l":[1,2]}'),
        (f"SELECT config:k.x = 'one' AND n = 1 FROM {T} WHERE id = 'a'", True),
        (f"SELECT count(*) FROM {T} WHERE get_json_object(config, '$.k') IS NULL", 2),
        (f"SELECT date_format(at, 'yyyy/MM/dd HH:mm:ss') FROM {T} WHERE id = 'a'", "2024/01/02 03:04:05"),
        (f"SELECT id FROM {T} QUALIFY row_number() OVER (ORDER BY n DESC) = 1", "c"),
        (f"SELECT lag(id) OVER (ORDER BY n) AS l FROM {T} ORDER BY n DESC LIMIT 1", "b"),
        (f"SELECT o.id FROM {T} o JOIN {T} p ON o.n = p.n + 1", "b"),
        (f"SELECT count(*) FROM {T} AS l LEFT ANTI JOIN {T} VERSION AS OF 1 AS r ON l.n = r.n", 1),
        (f"WITH w AS (SELECT n FROM {T}), v AS (SELECT sum(n) AS s FROM w) SELECT s FROM v", 33),
        (f"SELECT n FROM {T} VERSION AS OF 1 WHERE id = 'c'", 3),
        (f"SELECT n FROM {T}@v1 WHERE id = 'c'", 3),
        (f"SELECT t.n FROM {T}@v1 WHERE t.id = 'c'", 3),
        (f"SELECT sum(n) FROM {T} TIMESTAMP AS OF current_timestamp()", 33),
        (f"SELECT main.etl.t.n FROM {T} WHERE T.ID = 'a'", 1),
        ("SELECT id FROM range(3, 4)", 3),
        ("SELECT current_user() IS NOT NULL AND uuid() <> uuid()", True),
        ("SELECT current_date() = to_date(now())", True),
        ("SELECT 7 / 2", 3.5),
        ("SELECT CAST(2.7 AS INT)", 2),
        ("SELECT try_cast('x' AS INT) IS NULL AND try_cast(2.7 AS INT) = 2", True),
        ("SELECT CAST(-2.7D AS BIGINT)", -2),
        ("SELECT CAST('12' AS INT) + int(true)", 13),
        ("SELECT regexp_replace('ab', '(a)(b)', '$2$1')", "ba"),
        (f"SELECT /*+ BROADCAST(x) */ count(*) FROM {T} x", 3),
        ("SELECT 7 DIV 2", 3),
        ("SELECT 1.50BD", Decimal("1.50")),
        ("SELECT date'2024-02-03'", date(2024, 2, 3)),
        ("SELECT NULL <=> NULL", True),
        ("SELECT nvl(NULL, 'x') || if(1 = 1, 'y', 'z')", "xy"),
        ("SELECT substring_index('a.b.c', '.', 2)", "a.b"),
        ("SELECT size(split('a,b', ','))", 2),
        ("SELECT array(1, 2)", [1, 2]),
        ("SELECT concat_ws('-', 'a', 'b')", "a-b"),
        ("SELECT date_add(DATE'2024-02-28', 2)", date(2024, 3, 1)),
        ("SELECT date_sub(to_date('2024-03-01'), 1)", date(2024, 2, 29)),
        ("SELECT unix_timestamp(TIMESTAMP'1970-01-02 00:00:00.9')", 86400),
        ("SELECT unix_timestamp('02.01.1970', 'dd.MM.yyyy')", 86400),
        ("SELECT round(2.5)", 3),
        ("SELECT round(2.5), current_timestamp() > TIMESTAMP'2020-01-01'", [3, True]),
        ("SELECT TRY_CAST('2.7' AS INT)", None),
        ("SELECT current_timezone()", "UTC"),
        ("SELECT current_date() = CAST(now() AS DATE) AS current_date", True),
        ("SELECT CAST(localtimestamp() AS DATE) = current_date()", True),
        ("SELECT user() = current_user() AND current_user() = session_user()", True),
        ("SELECT get_json_object(get_json_object('{\"a\": \"{\\\\\"b\\\\\": 1}\"}', '$.a'), '$.b')", "1"),
        ("SELECT get_json_object(regexp_replace('x1', 'x(.)', '{\"a\": $1}'), '$.a')", "1"),
    ],
)
def test_a_value_is_what_databricks_gives(store: DeltaStore, query: str, value: Any) -> None:
    rows = store.sql(query)
    assert [list(row.values()) for row in rows] == [value if query.startswith("SELECT round(2.5), ") else [value]]


def test_columns_are_named_as_people_expect(store: DeltaStore) -> None:
    assert list(store.sql(f"SELECT id, n AS m, count(*), id AS ID FROM {T} GROUP BY id, n LIMIT 1")[0]) == [
        "id",
        "m",
        "count(*)",
        "ID",
    ]
    assert store.sql("SELECT 1 AS a, 2 AS a") == [{"a": 1, "a_2": 2}]


@pytest.mark.parametrize(
    "function",
    ["current_date()", "current_timestamp()", "localtimestamp()", "current_user()", "session_user()", "uuid()"],
)
def test_a_function_without_arguments_is_named_by_its_call(store: DeltaStore, function: str) -> None:
    assert list(store.sql(f"SELECT {function}, count(*) FROM {T}")[0]) == [function, "count(*)"]
    assert list(store.sql(f"SELECT * FROM (SELECT {function} FROM {T})")[0]) == [function]
    name = function.removesuffix("()")
    assert list(store.sql(f"SELECT {function} AS {name} FROM {T}")[0]) == [name]


def test_nulls_sort_first_as_in_spark(store: DeltaStore) -> None:
    assert [row["id"] for row in store.sql(f"SELECT id FROM {T} ORDER BY at")] == ["b", "a", "c"]


def test_only_the_last_statements_rows_come_back(store: DeltaStore) -> None:
    assert store.sql("SELECT 1 AS a; -- first; not this\n/* ; */ SELECT ';' AS b;") == [{"b": ";"}]
    assert store.sql("") == store.sql("-- nothing\n;") == []


@pytest.mark.parametrize(
    ("query", "says"),
    [
        (f"SELECT idd FROM {T}", r"no column 'idd'[\s\S]*did you mean 'id'"),
        ("SELECT * FROM main.etl.tt", r"\[TABLE_OR_VIEW_NOT_FOUND\].*[\s\S]*did you mean 'main.etl.t'"),
        ("SELECT * FROM t", "write catalog.schema.table"),
        ("SELECT * FROM etl.t", "write catalog.schema.table"),
        ("SELECT * FROM a.b.c.d", "write catalog.schema.table"),
        ("SELECT * FROM main.etl.`../../../secret`", "not a table name"),
        ("SELECT * FROM delta.`/tmp/x`", "not a full table name"),
        ("SELECT * FROM read_csv('/etc/passwd')", "table function read_csv isn't supported"),
        ("SELECT * FROM __target", "not a full table name"),
        ("SELECT get_json_objekt('a', 'b')", r"no function 'get_json_objekt'[\s\S]*did you mean 'get_json_object'"),
        (f"SELECT * FROM {T} VERSION AS OF 99", r"no version 99[\s\S]*newest version is 2"),
        (f"SELECT * FROM {T} TIMESTAMP AS OF '2001-01-01'", "did not exist at 2001-01-01"),
        ("SELECT from_json('{}', 'a INT')", "function from_json isn't supported"),
        ("SELECT get_json_object('{}', '$.a[*]')", r"path with \* isn't supported"),
        ("SELECT 1 / 0", r"\[DIVIDE_BY_ZERO\]"),
        ("SELECT CAST('x' AS INT)", r"\[CAST_INVALID_INPUT\]"),
        ("SELECT CAST('2.7' AS INT)", r"\[CAST_INVALID_INPUT\].*'2.7'"),
        ("SELECT TIMESTAMP'10000-01-01 00:00:00'", "can't be shown.*[\\s\\S]*cast it to STRING"),
        ("SELECT current_schema()", "function current_schema isn't supported"),
        ("SELECT version()", "function version isn't supported"),
        (
            "SELECT * FROM IDENTIFIER(upper('t'))",
            "of anything but texts and parameters isn't supported",
        ),
        ("SELECT 1 FROM", r"\[PARSE_SYNTAX_ERROR\] line 1"),
        ("SELECT 'open", "doesn't end"),
        ("SELECT 1;\nSELECT 1 FROM x", "statement 2, line 2: .*'x' is not a full table name"),
        ("SELECT :id, :x", r"no value for the parameter :x"),
    ],
)
def test_mistakes_are_explained(store: DeltaStore, query: str, says: str) -> None:
    with pytest.raises(SqlError, match=says):
        store.sql(query, {"id": 1})
