"""UPDATE, DELETE and MERGE through the front door."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta.errors import SqlError
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.store.delta import DeltaStore

T = "main.etl.t"
NAME = TableName.parse(T)


@pytest.fixture
def store(tmp_path: Path) -> DeltaStore:
    made = DeltaStore(tmp_path)
    made.sql(f"""
        CREATE TABLE {T} (id STRING NOT NULL, n INT, config STRING, at TIMESTAMP DEFAULT current_timestamp());
        INSERT INTO {T} VALUES
            ('a', 1, '{{"k": {{"x": "1"}}}}', '2024-01-01'), ('b', 2, '{{...}}', NULL), ('c', 3, NULL, NULL)
    """)
    return made


def numbers(store: DeltaStore) -> dict[str, Any]:
    return {row["id"]: row["n"] for row in store.read(NAME).rows}


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("id = 'a'", "a"),
        ("t.id = 'a'", "a"),
        ("main.etl.t.id = 'a'", "a"),
        ("ID = 'a'", "a"),
        ("config:k.x = '1'", "a"),
        ("get_json_object(config, '$.k.x') = 1", "a"),
        ("date_format(at, 'yyyy-MM-dd') = '2024-01-01'", "a"),
        ("at < current_timestamp() - interval 1 day", "a"),
        ("n <=> 2 OR id = 'nobody'", "b"),
        ("config <=> NULL", "c"),
        ("n IN (SELECT max(n) FROM main.etl.t)", "c"),
        ("EXISTS (SELECT 1 FROM main.etl.t o WHERE o.n = t.n + 1)", "ab"),
        ("n = :n", "b"),
        ("config RLIKE '^.\\\\.{3}.$'", "b"),
        ("true", "abc"),
    ],
)
def test_where_means_the_same_for_update_and_delete(store: DeltaStore, where: str, found: str) -> None:
    parameters = {"n": 2}
    assert store.sql(f"UPDATE {T} SET n = n + 10 WHERE {where}", parameters) == [
        {"num_affected_rows": len(found), "num_updated_rows": len(found)}
    ]
    assert "".join(sorted(each for each, n in numbers(store).items() if n > 10)) == found
    store.sql(f"RESTORE TABLE {T} TO VERSION AS OF 1")
    assert store.sql(f"DELETE FROM {T} WHERE {where}", parameters) == [
        {"num_affected_rows": len(found), "num_deleted_rows": len(found)}
    ]
    assert "".join(sorted(numbers(store))) == "".join(sorted(set("abc") - set(found)))


def test_values_may_be_any_expression(store: DeltaStore) -> None:
    store.sql(
        f"""UPDATE {T} AS x SET x.config = config:k, n = (SELECT count(*) FROM {T}), at = DEFAULT WHERE x.id = 'a'"""
    )
    row = store.read(NAME, where={"id": ["a"]}).rows[0]
    assert (row["config"], row["n"]) == ('{"x":"1"}', 3)
    assert abs((datetime.now(UTC) - row["at"]).total_seconds()) < 60


def test_an_update_that_changes_no_value_writes_no_version(store: DeltaStore) -> None:
    assert store.sql(f"UPDATE {T} SET n = n, config = config")[0]["num_updated_rows"] == 3
    assert store.sql(f"DELETE FROM {T} WHERE id = 'nobody'")[0]["num_deleted_rows"] == 0
    assert store.read(NAME).version == 1


def test_the_feed_tells_an_update_as_an_update(store: DeltaStore) -> None:
    store.sql(f"UPDATE {T} SET n = 5 WHERE id = 'a'; DELETE FROM {T} WHERE id = 'b'")
    told = store.sql(
        f"SELECT _change_type AS what, id, n FROM table_changes('{T}', 2) ORDER BY _commit_version, what DESC"
    )
    assert [tuple(row.values()) for row in told] == [
        ("update_preimage", "a", 1),
        ("update_postimage", "a", 5),
        ("delete", "b", 2),
    ]


def test_equal_rows_are_counted_one_by_one(store: DeltaStore) -> None:
    store.sql(f"INSERT INTO {T} VALUES ('d', 4, NULL, NULL), ('d', 4, NULL, NULL), ('d', 5, NULL, NULL)")
    assert store.sql(f"UPDATE {T} SET n = 7 WHERE id = 'd' AND n = 4")[0]["num_updated_rows"] == 2
    assert store.sql(f"SELECT n FROM {T} WHERE id = 'd' ORDER BY n") == [{"n": 5}, {"n": 7}, {"n": 7}]
    store.sql(f"UPDATE {T} SET config = uuid() WHERE id = 'd' AND n = 7")
    assert store.sql(f"SELECT count(DISTINCT config) AS c FROM {T} WHERE id = 'd' AND n = 7") == [{"c": 2}]
    assert store.sql(f"DELETE FROM {T} WHERE id = 'd'")[0]["num_deleted_rows"] == 3
    assert set(numbers(store)) == {"a", "b", "c"}


def test_a_row_of_nothing_but_null_is_a_row(store: DeltaStore) -> None:
    store.sql("CREATE TABLE a.b.nulls (x STRING, y INT); INSERT INTO a.b.nulls VALUES (NULL, NULL), ('k', 1)")
    store.sql("""MERGE INTO a.b.nulls t USING (SELECT 'k' AS x, 5 AS y UNION ALL SELECT 'new', 6) s ON t.x = s.x
        WHEN MATCHED THEN UPDATE SET y = s.y WHEN NOT MATCHED THEN INSERT *""")
    assert store.sql("SELECT * FROM a.b.nulls ORDER BY y") == [
        {"x": None, "y": None},
        {"x": "k", "y": 5},
        {"x": "new", "y": 6},
    ]
    store.sql("DELETE FROM a.b.nulls WHERE x IS NULL")
    assert store.sql("SELECT count(*) AS n FROM a.b.nulls") == [{"n": 2}]


def test_merge_updates_inserts_and_deletes(store: DeltaStore) -> None:
    done = store.sql(f"""
        MERGE INTO {T} AS t USING (SELECT 'a' AS id, 10 AS n UNION ALL SELECT 'b', 20 UNION ALL SELECT 'z', 30) AS s
        ON t.id = s.id
        WHEN MATCHED AND s.n > 15 THEN DELETE
        WHEN MATCHED THEN UPDATE SET t.n = s.n + t.n, config = DEFAULT
        WHEN NOT MATCHED AND s.n < 100 THEN INSERT (id, n, config) VALUES (s.id, s.n, 'it''s new')
        WHEN NOT MATCHED BY SOURCE THEN UPDATE SET n = -1
    """)
    assert done == [{"num_affected_rows": 4, "num_updated_rows": 2, "num_deleted_rows": 1, "num_inserted_rows": 1}]
    assert numbers(store) == {"a": 11, "z": 30, "c": -1}
    added = store.read(NAME, where={"id": ["z"]}).rows[0]
    assert added["config"] == "it's new"
    assert abs((datetime.now(UTC) - added["at"]).total_seconds()) < 60


def test_merge_with_stars_takes_columns_by_name(store: DeltaStore) -> None:
    store.sql(f"""CREATE TABLE main.etl.s AS SELECT 100 AS n, 'a' AS id, 'c1' AS config, timestamp'2020-02-02' AS at;
        INSERT INTO main.etl.s VALUES (200, 'q', 'c2', '2020-02-02');
        MERGE INTO {T} USING main.etl.s ON t.id = s.id
        WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *""")
    assert numbers(store) == {"a": 100, "b": 2, "c": 3, "q": 200}


def test_several_source_rows_for_one_row_are_an_error(store: DeltaStore) -> None:
    with pytest.raises(SqlError, match="several source rows match one row"):
        store.sql(f"""MERGE INTO {T} t USING (SELECT 'a' AS id, 1 AS n UNION ALL SELECT 'a', 2) s ON t.id = s.id
            WHEN MATCHED THEN UPDATE SET n = s.n""")
    assert store.read(NAME).version == 1


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (f"UPDATE {T} SET nn = 1", r"no column 'nn'[\s\S]*did you mean 'n'"),
        (f"UPDATE {T} SET n = confg", r"no column 'confg'[\s\S]*did you mean 'config'"),
        (f"UPDATE {T} SET n = 1, n = 2", "assigned twice"),
        (f"UPDATE {T} SET id = NULL", "column 'id' is required"),
        (f"UPDATE {T} SET n = 'x'", "CAST_INVALID_INPUT"),
        (f"UPDATE {T} SET n = 1 WHERE other.id = 'a'", "'other' is no table or alias"),
        (f"UPDATE {T} SET n = 1 FROM main.etl.s WHERE true", "FROM isn't supported"),
        ("UPDATE main.etl.tt SET n = 1", r"main.etl.tt does not exist[\s\S]*did you mean 'main.etl.t'"),
        ("UPDATE t SET n = 1", r"not a full table name[\s\S]*catalog.schema.table"),
        (f"DELETE FROM {T} WHERE id", "CAST_INVALID_INPUT"),
        (f"MERGE INTO {T} t USING nope s ON true WHEN MATCHED THEN DELETE", "'nope' is not a full table name"),
        (f"UPDATE {T} SET n = __row", "no column '__row'"),
    ],
)
def test_mistakes_are_refused_clearly_and_write_nothing(store: DeltaStore, statement: str, says: str) -> None:
    with pytest.raises(SqlError, match=says):
        store.sql(statement)
    assert store.read(NAME).version == 1


def test_one_row_of_ten_thousand_is_changed_in_reasonable_time(store: DeltaStore) -> None:
    store.sql("CREATE TABLE a.b.big AS SELECT id, id * 2 AS n, repeat('x', 100) AS text FROM range(10000)")
    store.sql("UPDATE a.b.big SET n = 0 WHERE id = 3")
    start = time.perf_counter()
    store.sql("UPDATE a.b.big SET n = 0 WHERE id = 5")
    assert time.perf_counter() - start < 1.5
    assert len(store.sql("SELECT * FROM table_changes('a.b.big', 2, 2)")) == 2


VALUES = {
    "b": ("BIGINT", ["9223372036854775807", "-9223372036854775808", "9007199254740993"]),
    "d": (
        "DOUBLE",
        ["CAST('-0.0' AS DOUBLE)", "CAST('NaN' AS DOUBLE)", "CAST('-Infinity' AS DOUBLE)", "0.1", "5e-324"],
    ),
    "f": ("FLOAT", ["CAST('NaN' AS FLOAT)", "0.1"]),
    "c": ("DECIMAL(38,18)", ["12345678901234567890.123456789012345678", "-0.000000000000000001"]),
    "t": ("TIMESTAMP", ["'0001-01-01'", "'1969-12-31 23:59:59.999999'", "'9999-12-31 23:59:59.999999'"]),
    "a": ("DATE", ["'0001-01-01'", "'1969-12-31'", "'9999-12-31'"]),
    "s": ("STRING", ["''", r"'a\0b'", r"' \t\r\n\\ '", "'null'", "'🧺'", "'e\u0301'"]),
    "x": ("BINARY", ["X''", "X'00FF'"]),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_statement_changes_no_value_but_those_it_sets(tmp_path: Path, name: str) -> None:
    kind, values = VALUES[name]
    store = DeltaStore(tmp_path)
    rows = ", ".join(f"({number}, {value}, 0)" for number, value in enumerate([*values, *values, "NULL"]))
    store.sql(f"CREATE TABLE main.etl.v (k INT, v {kind}, n INT); INSERT INTO main.etl.v VALUES {rows}")
    table = TableName.parse("main.etl.v")

    def kept() -> list[tuple[int, str]]:
        return sorted((row["k"], repr(row["v"])) for row in store.read(table).rows)

    before = kept()
    assert len(set(before)) == 2 * len(values) + 1
    store.sql("UPDATE main.etl.v SET n = 1")
    store.sql("MERGE INTO main.etl.v t USING main.etl.v s ON t.k = s.k WHEN MATCHED THEN UPDATE SET n = 2")
    store.sql("MERGE INTO main.etl.v t USING (SELECT * FROM main.etl.v) s ON t.k = s.k WHEN MATCHED THEN UPDATE SET *")
    store.sql("INSERT OVERWRITE main.etl.v SELECT * FROM main.etl.v")
    assert kept() == before
    shown = store.sql("SELECT k, v FROM main.etl.v")
    assert sorted((row["k"], repr(row["v"])) for row in shown) == before
    store.sql("DELETE FROM main.etl.v WHERE k > 0")
    assert kept() == before[:1]


def test_every_way_to_set_a_column_casts_as_databricks_does(tmp_path: Path) -> None:
    store = DeltaStore(tmp_path)
    store.sql("CREATE TABLE main.etl.v (k INT, s STRING)")
    moment = "TIMESTAMP'2024-01-02 03:04:05.5'"
    store.sql(f"INSERT INTO main.etl.v VALUES (1.9, {moment}); INSERT INTO main.etl.v SELECT 2.9, {moment}")
    source = f"(SELECT 2 AS id, 3.9 AS k, {moment} AS s)"
    store.sql(f"MERGE INTO main.etl.v t USING {source} s ON t.k = s.id WHEN MATCHED THEN UPDATE SET *")
    store.sql(
        f"MERGE INTO main.etl.v t USING (SELECT 4.9 AS k, {moment} AS s) s ON false WHEN NOT MATCHED THEN INSERT *"
    )
    store.sql(f"INSERT INTO main.etl.v VALUES (5, ''); UPDATE main.etl.v SET s = {moment} WHERE k = 5")
    rows = store.sql("SELECT * FROM main.etl.v ORDER BY k")
    assert rows == [{"k": number, "s": "2024-01-02 03:04:05.5"} for number in (1, 3, 4, 5)]
