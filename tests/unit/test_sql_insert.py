"""INSERT through the front door: what goes in comes out, exactly."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lakeflow_job_meta.errors import SqlError
from lakeflow_job_meta.model.table import TableName, TableSpec
from lakeflow_job_meta.store.delta import DeltaStore

T = "main.etl.control"
FIELDS = [
    {"name": "source_id", "type": "STRING", "mode": "REQUIRED"},
    {"name": "n", "type": "INT"},
    {"name": "config", "type": "STRING"},
    {"name": "active", "type": "BOOLEAN", "default": "true"},
    {"name": "created", "type": "TIMESTAMP", "default": "current_timestamp()"},
]


@pytest.fixture
def store(tmp_path: Path) -> DeltaStore:
    made = DeltaStore(tmp_path)
    made.create(TableSpec.from_json(TableName.parse(T), {"fields": FIELDS, "key": ["source_id"]}))
    return made


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("'it''s'", "it's"),
        (r"'it\'s'", "it's"),
        (r"'a\\b'", "a\\b"),
        (r"'a\nb\tc'", "a\nb\tc"),
        ("'two\nlines'", "two\nlines"),
        (r"r'C:\new\d+'", r"C:\new\d+"),
        ('"double"', "double"),
        (r'"say \"x\""', 'say "x"'),
        ('"it\'s"', "it's"),
        ("""'{"sql": "SELECT ''a'' AS \\\\"b\\\\""}'""", """{"sql": "SELECT 'a' AS \\"b\\""}"""),
        ("'😀 ünï 漢'", "😀 ünï 漢"),
        ("'a;b -- no /* comment */'", "a;b -- no /* comment */"),
        ("'{\"sql_task\": {...}}'", '{"sql_task": {...}}'),
        ("''", ""),
        ("''''", "'"),
        ("'one' 'two'", "onetwo"),
        ("'%s ? :name $1'", "%s ? :name $1"),
    ],
)
def test_strings_survive_exactly(store: DeltaStore, written: str, meant: str) -> None:
    store.sql(f"INSERT INTO {T} VALUES ('a', 1, {written}) -- the 'end';")
    assert store.sql(f"SELECT config FROM {T} WHERE config = {written}") == [{"config": meant}]


def test_trailing_columns_with_defaults_may_be_left_out(store: DeltaStore) -> None:
    assert store.sql(f"INSERT INTO {T} VALUES ('a', 1, '{{}}'), ('b', 2, NULL)") == [
        {"num_affected_rows": 2, "num_inserted_rows": 2}
    ]
    rows = store.sql(f"SELECT * FROM {T} ORDER BY source_id")
    assert [(row["n"], row["config"], row["active"]) for row in rows] == [(1, "{}", True), (2, None, True)]
    assert rows[0]["created"] == rows[1]["created"]
    assert rows[0]["created"].tzinfo is not None
    assert abs((datetime.now(UTC) - rows[0]["created"]).total_seconds()) < 60


@pytest.mark.parametrize(
    "statement",
    [
        f"INSERT INTO {T} (config, source_id) VALUES ('x', 'a')",
        f"INSERT INTO {T} (SOURCE_ID, Config) SELECT 'a', 'x'",
        f"INSERT INTO TABLE {T} VALUES ('a', DEFAULT, 'x', DEFAULT, DEFAULT)",
        f"INSERT INTO {T} BY NAME SELECT 'x' AS config, 'a' AS source_id",
        f"INSERT INTO {T} WITH w AS (SELECT 'a' AS k) SELECT k, NULL, 'x' FROM w",
        "INSERT INTO MAIN.etl.`Control` VALUES ('a', NULL, 'x', true, current_timestamp())",
        f"INSERT OVERWRITE {T} (source_id, config) VALUES ('a', 'x')",
    ],
)
def test_every_form_fills_the_defaults(store: DeltaStore, statement: str) -> None:
    store.sql(statement)
    assert store.sql(f"SELECT source_id, n, config, active, created IS NOT NULL AS made FROM {T}") == [
        {"source_id": "a", "n": None, "config": "x", "active": True, "made": True}
    ]


def test_parameters_are_bound_as_values(store: DeltaStore) -> None:
    nasty = "'); DROP TABLE main.etl.control; --"
    values = {"id": nasty, "n": 3, "c": None, "t": datetime(2024, 5, 6, 7, 8, 9, 123456, UTC)}
    store.sql(f"INSERT INTO {T} VALUES (:id, :n, :c, false, :t)", values)
    assert store.sql(f"SELECT * FROM {T} WHERE source_id = :id AND created = :t", values) == [
        {"source_id": nasty, "n": 3, "config": None, "active": False, "created": values["t"]}
    ]


def test_a_table_may_be_inserted_into_itself(store: DeltaStore) -> None:
    store.sql(f"INSERT INTO {T} VALUES ('a', 1, 'x'); INSERT INTO {T} SELECT source_id || '2', n + 1, config FROM {T}")
    assert store.sql(f"SELECT source_id, n FROM {T} ORDER BY n") == [
        {"source_id": "a", "n": 1},
        {"source_id": "a2", "n": 2},
    ]


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("VALUES ('a')", r"takes 5 values a row, got 1[\s\S]*missing: n, config, active, created"),
        ("VALUES (1, 2, 3, 4, 5, 6)", "takes 5 values a row, got 6"),
        ("VALUES ('a', 1, 'x'), ('b', 2)", "rows of 2 and of 3 values"),
        ("(source_id, n) VALUES ('a')", r"takes 2 values a row, got 1[\s\S]*missing: n"),
        ("(source_id, nn) VALUES ('a', 1)", r"no column 'nn'[\s\S]*did you mean 'n'"),
        ("(source_id, source_id) VALUES ('a', 'b')", "listed twice"),
        ("(n) VALUES (1)", "column 'source_id' is required, but NULL"),
        ("VALUES (NULL, 1, 'x')", "column 'source_id' is required, but NULL"),
        ("VALUES ('a', 'many', 'x')", r"\[CAST_INVALID_INPUT\].*'many'"),
        ("VALUES ('a', 99999999999, 'x')", "CAST_INVALID_INPUT"),
        ("VALUES ('a', nope(1), 'x')", "no function 'nope'"),
        ("VALUES ('a', :n, 'x')", "no value for the parameter :n"),
        ("REPLACE WHERE n = 1 SELECT 'a', 1, 'x'", "REPLACE WHERE isn't supported"),
    ],
)
def test_what_does_not_fit_is_refused_clearly_and_writes_nothing(store: DeltaStore, statement: str, says: str) -> None:
    with pytest.raises(SqlError, match=says):
        store.sql(f"INSERT INTO {T} {statement}")
    assert store.read(TableName.parse(T)).version == 0


def test_a_fraction_is_cut_off_as_in_databricks(store: DeltaStore) -> None:
    store.sql(f"INSERT INTO {T} (source_id, n) VALUES ('a', 2.7); INSERT INTO {T} (source_id, n) SELECT 'b', 3.7D")
    store.sql(f"INSERT INTO {T} (source_id, n) VALUES ('c', '4'); UPDATE {T} SET n = n + 0.9 WHERE source_id = 'c'")
    assert store.sql(f"SELECT n FROM {T} ORDER BY n") == [{"n": 2}, {"n": 3}, {"n": 4}]


def test_a_column_may_have_a_reserved_name(store: DeltaStore) -> None:
    store.sql("CREATE TABLE a.b.words (`select` STRING, `order` INT, `default` STRING, `from` STRING)")
    store.sql("INSERT INTO a.b.words (`select`, `order`, `default`, `from`) VALUES ('s', 1, 'd', 'f')")
    store.sql("UPDATE a.b.words SET `order` = `order` + 1, `default` = `from` WHERE `select` = 's'")
    assert store.sql("SELECT * FROM a.b.words") == [{"select": "s", "order": 2, "default": "f", "from": "f"}]
