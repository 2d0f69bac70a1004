"""Tables and schemas through the front door: made, described, altered, restored, dropped, or refused by name."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lakeflow_job_meta.errors import SqlError
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.store.delta import DeltaStore

T = "main.etl.t"


@pytest.fixture
def store(tmp_path: Path) -> DeltaStore:
    made = DeltaStore(tmp_path)
    made.sql(f"""CREATE TABLE {T} (id STRING NOT NULL COMMENT 'who''s', n INT DEFAULT 5, p STRING) USING DELTA
        PARTITIONED BY (p) COMMENT 'all of it'
        TBLPROPERTIES ('a.b' = 'c', 'delta.feature.allowColumnDefaults' = 'supported')""")
    return made


def test_create_table_keeps_all_that_was_said(store: DeltaStore) -> None:
    assert store.sql(f"DESCRIBE TABLE {T}") == [
        {"col_name": "id", "data_type": "string", "comment": "who's"},
        {"col_name": "n", "data_type": "int", "comment": None},
        {"col_name": "p", "data_type": "string", "comment": None},
    ]
    detail = store.sql(f"DESCRIBE DETAIL {T}")[0]
    assert (detail["description"], detail["partitionColumns"]) == ("all of it", ["p"])
    assert detail["properties"] == {"a.b": "c", "delta.enableChangeDataFeed": "true"}
    info = store.info(TableName.parse(T))
    assert info is not None
    assert [(each.name, each.mode, each.default) for each in info.columns][:2] == [
        ("id", "REQUIRED", None),
        ("n", "NULLABLE", "5"),
    ]
    assert {"col_name": "Default of n", "data_type": "5", "comment": None} in store.sql(f"DESCRIBE EXTENDED {T}")


def test_create_table_if_not_exists_is_quiet_and_otherwise_an_error(store: DeltaStore) -> None:
    assert store.sql(f"CREATE TABLE IF NOT EXISTS {T} (other INT)") == []
    with pytest.raises(SqlError, match="already exists"):
        store.sql(f"CREATE TABLE {T} (other INT)")


def test_create_table_as_takes_the_querys_columns(store: DeltaStore) -> None:
    made = store.sql(
        "CREATE TABLE a.b.c AS SELECT id, sum(id) OVER () AS s, now() AS at, 1.5BD AS d, NULL AS x FROM range(3)"
    )
    assert made == [{"num_affected_rows": 3, "num_inserted_rows": 3}]
    assert [row["data_type"] for row in store.sql("DESCRIBE a.b.c")] == [
        "bigint",
        "bigint",
        "timestamp",
        "decimal(2,1)",
        "string",
    ]
    assert store.sql("SELECT max(s) AS s FROM a.b.c") == [{"s": 3}]
    with pytest.raises(SqlError, match="give it a name"):
        store.sql("CREATE TABLE a.b.d AS SELECT 1 + 1")


def test_schemas_and_tables_are_shown(store: DeltaStore) -> None:
    store.sql(
        "CREATE SCHEMA IF NOT EXISTS Main.Empty; CREATE DATABASE IF NOT EXISTS main.empty; CREATE TABLE x.y.z (a INT)"
    )
    assert [row["databaseName"] for row in store.sql("SHOW SCHEMAS IN main")] == ["empty", "etl"]
    assert [row["tableName"] for row in store.sql("SHOW TABLES")] == ["t", "z"]
    assert [row["tableName"] for row in store.sql("SHOW TABLES IN x.y")] == ["z"]
    assert store.sql("SHOW TABLES FROM main.empty") == []
    with pytest.raises(SqlError, match="already exists"):
        store.sql("CREATE SCHEMA main.empty")


def test_drop_table_removes_only_its_folder(store: DeltaStore, tmp_path: Path) -> None:
    store.sql("CREATE TABLE main.etl.other (a INT)")
    store.sql(f"DROP TABLE {T}")
    assert not (tmp_path / "tables/main/etl/t").exists()
    assert [row["tableName"] for row in store.sql("SHOW TABLES")] == ["other"]
    assert store.sql(f"DROP TABLE IF EXISTS {T}") == []
    with pytest.raises(SqlError, match="does not exist"):
        store.sql(f"DROP TABLE {T}")
    with pytest.raises(SqlError, match="not a"):
        store.sql("DROP TABLE main.etl.`..`")


def test_alter_adds_columns_and_sets_properties(store: DeltaStore) -> None:
    store.sql(f"INSERT INTO {T} VALUES ('a', 1, 'p')")
    store.sql(f"ALTER TABLE {T} ADD COLUMN x INT COMMENT 'new'; ALTER TABLE {T} ADD COLUMNS (y STRING, z DATE)")
    store.sql(f"ALTER TABLE {T} SET TBLPROPERTIES ('owner' = 'it''s me')")
    assert store.sql(f"SELECT * FROM {T}") == [{"id": "a", "n": 1, "p": "p", "x": None, "y": None, "z": None}]
    info = store.info(TableName.parse(T))
    assert info is not None
    assert info.properties["owner"] == "it's me"
    with pytest.raises(SqlError, match="has a column 'X' already"):
        store.sql(f"ALTER TABLE {T} ADD COLUMN X INT")


def test_history_restore_and_time_travel_belong_together(store: DeltaStore) -> None:
    store.sql(f"INSERT INTO {T} VALUES ('a', 1, 'p')")
    between = datetime.now(UTC)
    store.sql(f"UPDATE {T} SET n = 2; DELETE FROM {T}")
    entries = store.sql(f"DESCRIBE HISTORY {T}")
    assert [(row["version"], row["operation"]) for row in entries] == [
        (3, "DELETE"),
        (2, "UPDATE"),
        (1, "WRITE"),
        (0, "CREATE TABLE"),
    ]
    assert [row["version"] for row in store.sql(f"DESCRIBE HISTORY {T} LIMIT 1")] == [3]
    store.sql(f"RESTORE TABLE {T} TO VERSION AS OF 2")
    assert store.sql(f"SELECT n FROM {T}") == [{"n": 2}]
    store.sql(f"RESTORE {T} TO TIMESTAMP AS OF '{between.isoformat()}'")
    assert store.sql(f"SELECT n FROM {T}") == [{"n": 1}]
    assert store.sql(f"SELECT n FROM {T} TIMESTAMP AS OF :t", {"t": between}) == [{"n": 1}]
    with pytest.raises(SqlError, match="no version 99"):
        store.sql(f"RESTORE TABLE {T} TO VERSION AS OF 99")


def test_table_changes_tells_versions_and_types(store: DeltaStore) -> None:
    store.sql(f"INSERT INTO {T} VALUES ('a', 1, 'p'); UPDATE {T} SET n = 2")
    rows = store.sql(f"SELECT * FROM table_changes('{T}', 1, 2) ORDER BY _commit_version, n")
    assert [(row["_change_type"], row["_commit_version"], row["n"]) for row in rows] == [
        ("insert", 1, 1),
        ("update_preimage", 2, 1),
        ("update_postimage", 2, 2),
    ]
    assert rows[0]["_commit_timestamp"].tzinfo is not None


def test_optimize_vacuum_and_truncate_keep_what_they_should(store: DeltaStore) -> None:
    for each in "abc":
        store.sql(f"INSERT INTO {T} VALUES ('{each}', 1, 'p')")
    store.sql(f"OPTIMIZE {T}")
    assert store.sql(f"DESCRIBE DETAIL {T}")[0]["numFiles"] == 1
    store.sql(f"OPTIMIZE {T} ZORDER BY (n)")
    assert store.sql(f"VACUUM {T} DRY RUN") == []
    with pytest.raises(SqlError, match=r"RETENTION_PERIOD_TOO_SHORT[\s\S]*deletedFileRetentionDuration"):
        store.sql(f"VACUUM {T} RETAIN 0 HOURS")
    store.sql(f"ALTER TABLE {T} SET TBLPROPERTIES ('delta.deletedFileRetentionDuration' = 'interval 0 hours')")
    assert len(store.sql(f"VACUUM {T} RETAIN 0 HOURS DRY RUN")) >= 3
    store.sql(f"VACUUM {T} RETAIN 0 HOURS")
    assert store.sql(f"SELECT count(*) AS n FROM {T}") == [{"n": 3}]
    store.sql(f"TRUNCATE TABLE {T}")
    assert store.sql(f"SELECT count(*) AS n FROM {T}") == [{"n": 0}]


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("CREATE VIEW a.b.v AS SELECT 1", "CREATE VIEW isn't supported"),
        ("CREATE OR REPLACE TABLE a.b.c (x INT)", "CREATE OR REPLACE TABLE isn't supported"),
        ("CREATE TABLE a.b.c (x INT, PRIMARY KEY (x))", "PRIMARY KEY.* isn't supported"),
        (
            "CREATE TABLE a.b.c (x BIGINT GENERATED ALWAYS AS IDENTITY)",
            "GENERATED ALWAYS AS IDENTITY.* isn't supported",
        ),
        ("CREATE TABLE a.b.c (x MAP<STRING, INT>)", "the type MAP<STRING, INT> isn't supported"),
        ("CREATE TABLE a.b.c (x INT) USING PARQUET", "PARQUET isn't supported"),
        ("CREATE TABLE a.b.c (x INT) LOCATION '/tmp/x'", "LOCATION '/tmp/x' isn't supported"),
        (f"CREATE TABLE a.b.c LIKE {T}", "LIKE isn't supported"),
        (f"CREATE TABLE a.b.c (LIKE {T})", "LIKE isn't supported"),
        (f"CREATE TABLE a.b.c SHALLOW CLONE {T}", "CLONE isn't supported"),
        ("UPDATE IDENTIFIER(:t) SET n = 1", r"IDENTIFIER\(…\) isn't supported"),
        ("CREATE TABLE c (x INT)", "not a full table name"),
        ("CREATE TABLE a.b.`c d` (x INT)", "not an identifier"),
        ("CREATE SCHEMA a", "write catalog.schema"),
        (f"ALTER TABLE {T} DROP COLUMN n", "isn't supported"),
        (f"ALTER TABLE {T} RENAME TO a.b.c", "only be renamed within its schema"),
        (f"ALTER TABLE {T} ADD COLUMN x INT NOT NULL", "NOT NULL, DEFAULT"),
        (f"DESCRIBE HISTORY {T} WHERE x", "isn't supported"),
        ("DESCRIBE SCHEMA a.b", "isn't supported"),
        ("SHOW COLUMNS IN a.b.c", "isn't supported"),
        (f"OPTIMIZE {T} WHERE n = 1", "isn't supported"),
        (f"RESTORE TABLE {T}", "needs a version"),
        ("USE CATALOG main", "USE CATALOG isn't supported"),
        ("EXPLAIN SELECT 1", "EXPLAIN SELECT isn't supported"),
        ("GRANT SELECT ON TABLE a.b.c TO x", "GRANT SELECT isn't supported"),
        ("COPY INTO a.b.c FROM 'x'", "COPY INTO isn't supported"),
        ("SET x = 1", "SET X isn't supported"),
        ("ATTACH '/tmp/x'", "ATTACH .*isn't supported"),
        ("SELCT 1", "SELCT 1 isn't supported"),
        ("MERGE WITH SCHEMA EVOLUTION INTO a.b.c USING a.b.d ON true WHEN MATCHED THEN DELETE", "SCHEMA EVOLUTION"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(store: DeltaStore, statement: str, says: str) -> None:
    with pytest.raises(SqlError, match=says):
        store.sql(statement)
    assert [row["tableName"] for row in store.sql("SHOW TABLES")] == ["t"]


def test_properties_have_dotted_names_quoted_or_not(store: DeltaStore) -> None:
    store.sql(f"ALTER TABLE {T} SET TBLPROPERTIES ('lakeflow_job_meta.owner' = 'Me', a.b.c = 'x', team = true)")
    properties = store.sql(f"DESCRIBE DETAIL {T}")[0]["properties"]
    found = {name: properties[name] for name in ("lakeflow_job_meta.owner", "a.b.c", "team")}
    assert found == {"lakeflow_job_meta.owner": "Me", "a.b.c": "x", "team": "true"}


def test_history_tells_how_a_table_was_made_without_its_schema(store: DeltaStore) -> None:
    store.sql(
        "CREATE TABLE main.etl.made (a INT, d DATE) PARTITIONED BY (d) COMMENT 'what for' TBLPROPERTIES ('x' = 'y')"
    )
    given = store.sql("DESCRIBE HISTORY main.etl.made")[0]["operationParameters"]
    assert (given["partitionBy"], given["description"]) == ('["d"]', "what for")
    assert json.loads(given["properties"])["x"] == "y"
    assert "schemaString" not in str(given)
