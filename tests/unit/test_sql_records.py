"""Records, decimals and generated days through the front door: written, changed, found again, or refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from lakeflow_job_meta.errors import InputError, SqlError
from lakeflow_job_meta.model.table import Changes, TableName, TableSpec
from lakeflow_job_meta.store.delta import DeltaStore

T = TableName.parse("main.etl.t")
EVENING = datetime(2024, 1, 31, 23, 30, tzinfo=UTC)
SPEC = TableSpec.from_json(
    T,
    {
        "key": ["id"],
        "partition_by": "at",
        "fields": [
            {"name": "id", "type": "INT64", "mode": "REQUIRED"},
            {"name": "at", "type": "TIMESTAMP"},
            {"name": "price", "type": "NUMERIC", "precision": 6, "scale": 2},
            {
                "name": "who",
                "type": "RECORD",
                "mode": "REQUIRED",
                "fields": [{"name": "name", "type": "STRING", "mode": "REQUIRED"}, {"name": "age", "type": "INT64"}],
            },
            {
                "name": "lines",
                "type": "RECORD",
                "mode": "REPEATED",
                "fields": [{"name": "sku", "type": "STRING"}, {"name": "cost", "type": "NUMERIC"}],
            },
        ],
    },
)
ANNE = {"name": "Anne", "age": None}
ONE = {"id": 1, "at": EVENING, "price": Decimal("1.50"), "who": ANNE, "lines": [{"sku": "a", "cost": Decimal(2)}, None]}


@pytest.fixture
def store(tmp_path: Path) -> DeltaStore:
    made = DeltaStore(tmp_path)
    made.create(SPEC)
    made.append(SPEC, [ONE])
    return made


def test_what_was_appended_is_read_back_with_its_day(store: DeltaStore) -> None:
    (row,) = store.read(T).rows
    assert row == {**ONE, "at_day": date(2024, 1, 31)}
    assert store.sql(f"SELECT who.name, lines[0].cost AS cost FROM {T}") == [{"name": "Anne", "cost": Decimal(2)}]


def test_sql_writes_records_and_the_day_follows(store: DeltaStore) -> None:
    store.sql(
        f"INSERT INTO {T} (id, at, who, lines) VALUES (2, timestamp'2024-02-01 10:00:00Z',"
        " named_struct('name', 'Bo', 'age', 3), array(named_struct('sku', 'b', 'cost', 1)))"
    )
    store.sql(f"UPDATE {T} SET at = timestamp'2025-05-05 00:00:00Z' WHERE id = 2")
    store.sql(f"DELETE FROM {T} WHERE id = 1")
    (row,) = store.read(T).rows
    assert (row["who"], row["lines"], row["at_day"]) == (
        {"name": "Bo", "age": 3},
        [{"sku": "b", "cost": Decimal(1)}],
        date(2025, 5, 5),
    )


def test_a_transaction_moves_a_row_to_the_partition_of_its_new_day(store: DeltaStore) -> None:
    later = datetime(2026, 1, 1, tzinfo=UTC)
    store.transact(SPEC, lambda found: Changes(({**found.rows[0], "at": later}, {"id": 2, "who": ANNE})))
    rows = {row["id"]: row["at_day"] for row in store.read(T).rows}
    assert rows == {1: date(2026, 1, 1), 2: None}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ("(id, who) VALUES (2, named_struct('name', NULL, 'age', 1))", "a required field of a record has no value"),
        ("(id) VALUES (2)", "column 'who' is required, but NULL"),
        (
            "(id, who, at_day) VALUES (2, named_struct('name', 'x', 'age', 1), NULL)",
            r"at_day is always CAST\(at AS DATE\)",
        ),
        ("(id, who, price) VALUES (2, named_struct('name', 'x', 'age', 1), 12345.5)", "CAST_INVALID_INPUT|range"),
    ],
)
def test_a_statement_that_does_not_fit_writes_nothing(store: DeltaStore, values: str, says: str) -> None:
    with pytest.raises((SqlError, InputError), match=says):
        store.sql(f"INSERT INTO {T} {values}")
    assert len(store.read(T).rows) == 1


@pytest.mark.parametrize(
    "row",
    [
        {"who": {"name": None}},
        {"who": {"nam": "x", "name": "x"}},
        {"who": ANNE, "price": Decimal("1.234")},
        {"who": ANNE, "price": Decimal(12345)},
        {"who": ANNE, "price": 1.5},
        {"who": ANNE, "price": Decimal("NaN")},
        {},
    ],
    ids=str,
)
def test_a_row_that_does_not_fit_is_refused(store: DeltaStore, row: dict[str, object]) -> None:
    with pytest.raises(InputError):
        store.append(SPEC, [{"id": 2, **row}])
    assert len(store.read(T).rows) == 1


def test_altering_keeps_rows_history_and_the_way_back(store: DeltaStore) -> None:
    before = store.info(T)
    assert before is not None
    for action in (
        "ALTER COLUMN price TYPE DECIMAL(10,2)",
        "ALTER COLUMN price COMMENT 'each'",
        "ALTER COLUMN price SET NOT NULL",
        "ALTER COLUMN who TYPE STRUCT<name: STRING NOT NULL COMMENT 'who', age: BIGINT, city: STRING> ",
        "ALTER COLUMN id DROP NOT NULL",
        "CLUSTER BY (price)",
    ):
        store.sql(f"ALTER TABLE {T} {action}")
    store.sql(f"COMMENT ON TABLE {T} IS 'all of it'")
    after = store.info(T)
    assert after is not None
    by_name = {each.name: each for each in after.columns}
    price, who = by_name["price"], by_name["who"]
    assert (price.type, price.description, price.required) == ("DECIMAL(10,2)", "each", True)
    assert ([each.name for each in who.fields], who.fields[0].description) == (["name", "age", "city"], "who")
    assert (by_name["id"].required, after.cluster_by, after.description) == (False, ("price",), "all of it")
    assert (after.table_id, after.partition_by) == (before.table_id, ("at_day",))
    (row,) = store.read(T).rows
    assert (row["who"], row["price"]) == ({"name": "Anne", "age": None, "city": None}, Decimal("1.50"))
    store.sql(f"RESTORE TABLE {T} TO VERSION AS OF {before.version}")
    restored = store.info(T)
    assert restored is not None
    assert restored.columns == before.columns


def test_a_column_that_holds_nulls_can_not_be_required(store: DeltaStore) -> None:
    store.sql(f"UPDATE {T} SET price = NULL")
    with pytest.raises(SqlError, match="column price is NULL in 1 row"):
        store.sql(f"ALTER TABLE {T} ALTER COLUMN price SET NOT NULL")


def test_a_schema_is_dropped_only_when_it_is_empty_or_with_all_in_it(store: DeltaStore) -> None:
    with pytest.raises(SqlError, match=r"schema main.etl has 1 table"):
        store.sql("DROP SCHEMA main.etl")
    store.sql(f"ALTER TABLE {T} RENAME TO main.etl.u")
    assert store.info(T) is None
    assert len(store.read(TableName.parse("main.etl.u")).rows) == 1
    store.sql("DROP SCHEMA main.etl CASCADE")
    assert store.listed("main", "etl") is None
    with pytest.raises(SqlError, match="SCHEMA_NOT_FOUND"):
        store.sql("DROP SCHEMA main.etl")


def test_optimize_sorts_by_what_the_table_is_clustered_by(store: DeltaStore) -> None:
    store.sql(f"ALTER TABLE {T} CLUSTER BY (id, at_day)")
    store.append(SPEC, [{**ONE, "id": 2}])
    (done,) = store.sql(f"OPTIMIZE {T}")
    assert done["metrics"]["plannerStrategy"] == "zOrder"
    assert {row["id"] for row in store.read(T).rows} == {1, 2}
