"""extract: what PostgreSQL has is in the data lake, once and whole, whatever the way it came."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakeflow_job_meta.errors import DatabaseError, InputError
from lakeflow_job_meta.pipelines.drivers.postgres import PostgresDatabase
from lakeflow_job_meta.pipelines.stages.stage import Relation
from tests.databases.server import DatabaseServer
from tests.pipeline_ground import Route, postgres_session, route, run_all, server_creds


@pytest.fixture
def shop(postgres_server: DatabaseServer) -> Iterator[PostgresDatabase]:
    """A session in a schema that no other test sees."""
    with postgres_session(postgres_server) as session:
        run_all(session, ["DROP SCHEMA IF EXISTS shop CASCADE", "CREATE SCHEMA shop"])
        run_all(
            session,
            [
                "CREATE TABLE shop.orders (id bigint PRIMARY KEY, what text, amount numeric(12, 2), at timestamptz)",
                "INSERT INTO shop.orders SELECT i, 'order ' || i, i * 1.25, timestamptz '2024-05-01 00:00Z' + i * "
                "interval '1 min' FROM generate_series(1, 100) AS i",
            ],
        )
        yield session


@pytest.fixture
def orders(tmp_path: Path, postgres_server: DatabaseServer) -> Route:
    creds = server_creds(postgres_server)
    return route(tmp_path, "postgres", creds, Relation("shop", "orders"), password=postgres_server.password)


def test_a_full_load_replaces_the_whole_table_in_one_commit(shop: PostgresDatabase, orders: Route) -> None:
    first = orders.run("extract")
    shop.run("DELETE FROM shop.orders WHERE id > 10")
    before = orders.versions()
    second = orders.run("extract")
    assert (first.rows_processed, second.rows_processed, len(orders.rows())) == (100, 10, 10)
    assert orders.versions() == before + 1


def test_an_incremental_load_takes_new_rows_and_changed_ones(shop: PostgresDatabase, orders: Route) -> None:
    by_time = orders.by("at")
    first = by_time.run("extract")
    assert first.watermark == "2024-05-01 01:40:00+00:00"
    shop.run("UPDATE shop.orders SET what = 'changed', at = '2024-05-02 00:00Z' WHERE id = 5")
    shop.run("INSERT INTO shop.orders VALUES (101, 'new', 1, '2024-05-02 00:00Z')")
    second = by_time.run("extract")
    assert second.watermark == "2024-05-02 00:00:00+00:00"
    assert by_time.values("id") == list(range(1, 102))
    assert [row["what"] for row in by_time.rows() if row["id"] == 5] == ["changed"]


def test_a_row_that_comes_late_with_the_same_key_value_isn_t_lost(shop: PostgresDatabase, orders: Route) -> None:
    by_time = orders.by("at")
    by_time.run("extract")
    shop.run("INSERT INTO shop.orders VALUES (101, 'late', 1, (SELECT max(at) FROM shop.orders))")
    by_time.run("extract")
    assert by_time.values("id") == list(range(1, 102))


def test_where_nothing_is_new_nothing_is_committed(shop: PostgresDatabase, orders: Route) -> None:
    by_time = orders.by("at")
    by_time.run("extract")
    before = by_time.versions()
    assert by_time.run("extract").watermark == "2024-05-01 01:40:00+00:00"
    assert by_time.versions() == before


def test_a_table_without_a_primary_key_is_loaded_by_its_key_too(shop: PostgresDatabase, orders: Route) -> None:
    shop.run("ALTER TABLE shop.orders DROP CONSTRAINT orders_pkey")
    by_id = orders.by("id")
    by_id.run("extract")
    shop.run("INSERT INTO shop.orders VALUES (100, 'a second one', 1, now()), (101, 'new', 1, now())")
    by_id.run("extract")
    assert by_id.values("id") == [*range(1, 101), 100, 101]


def test_a_backfill_replaces_exactly_its_span(shop: PostgresDatabase, orders: Route) -> None:
    by_id = orders.by("id")
    by_id.run("extract")
    run_all(shop, ["UPDATE shop.orders SET what = 'x'", "DELETE FROM shop.orders WHERE id IN (9, 10, 20)"])
    outcome = by_id.run("extract", ("10", "20"))
    assert outcome.watermark == "100"
    assert sorted(row["id"] for row in by_id.rows() if row["what"] == "x") == list(range(11, 20))
    assert by_id.values("id") == [each for each in range(1, 101) if each != 10]


def test_rows_without_a_key_are_told(shop: PostgresDatabase, orders: Route) -> None:
    shop.run("UPDATE shop.orders SET at = NULL WHERE id < 4")
    with pytest.raises(InputError, match=r"3 rows of shop.orders of shop have no at"):
        orders.by("at").run("extract")


def test_a_clock_that_went_backwards_is_told(shop: PostgresDatabase, orders: Route) -> None:
    by_time = orders.by("at")
    by_time.run("extract")
    shop.run("UPDATE shop.orders SET at = at - interval '1 day'")
    with pytest.raises(InputError, match="the clock went backwards"):
        by_time.run("extract")


def test_an_added_column_is_added_and_told(shop: PostgresDatabase, orders: Route) -> None:
    orders.run("extract")
    shop.run("ALTER TABLE shop.orders ADD COLUMN place uuid DEFAULT '00000000-0000-0000-0000-000000000001'")
    outcome = orders.run("extract")
    assert outcome.notes == ("added column place STRING to main.dl.shop_orders",)
    assert {row["place"] for row in orders.rows()} == {"00000000-0000-0000-0000-000000000001"}


def test_dropped_columns_and_changed_types_are_told_together_and_change_nothing(
    shop: PostgresDatabase, orders: Route
) -> None:
    orders.run("extract")
    before = orders.rows()
    run_all(
        shop,
        [
            "ALTER TABLE shop.orders DROP COLUMN what",
            "ALTER TABLE shop.orders ALTER COLUMN amount TYPE double precision",
        ],
    )
    with pytest.raises(InputError) as told:
        orders.run("extract")
    assert "no column 'what' any more" in str(told.value)
    assert "'amount' changed its type: it is double precision (DOUBLE)" in str(told.value)
    assert orders.rows() == before


def test_a_value_that_the_lake_can_t_hold_is_told_with_its_column(shop: PostgresDatabase, orders: Route) -> None:
    orders.run("extract")
    before = orders.rows()
    shop.run("UPDATE shop.orders SET amount = 'NaN' WHERE id = 50")
    with pytest.raises(InputError, match="amount"):
        orders.run("extract")
    shop.run("UPDATE shop.orders SET amount = 1, at = 'infinity' WHERE id = 50")
    with pytest.raises(DatabaseError, match="column at has the value infinity"):
        orders.run("extract")
    assert orders.rows() == before


def test_a_password_is_in_no_error(orders: Route, postgres_server: DatabaseServer) -> None:
    wrong = Route(
        **{
            **{name: getattr(orders, name) for name in orders.__dataclass_fields__},
            "secrets": {"env:PASSWORD": "hunter2-is-wrong"},
        }
    )
    with pytest.raises(DatabaseError) as told:
        wrong.run("extract")
    assert "password authentication failed" in str(told.value)
    assert "hunter2" not in str(told.value) and told.value.__cause__ is None


def test_an_unreachable_server_is_told_with_its_address(tmp_path: Path) -> None:
    creds = '{"host": "127.0.0.1", "port": 1, "user": "x", "connect_timeout": 2}'
    with pytest.raises(DatabaseError, match=r"PostgreSQL at 127.0.0.1:1: .*[Cc]onnection refused"):
        route(tmp_path, "postgres", creds, Relation("a", "b")).run("extract")


def test_verify_finds_rows_that_were_committed_too_late(shop: PostgresDatabase, orders: Route) -> None:
    by_time = orders.by("at")
    by_time.run("extract")
    assert by_time.run("verify").rows_processed == 100
    shop.run("INSERT INTO shop.orders VALUES (101, 'late', 1, '2024-05-01 00:30Z')")
    with pytest.raises(InputError, match=r"1 rows of shop.orders of shop are not in main.dl.shop_orders"):
        by_time.run("verify")
    by_time.run("extract", ("2024-05-01", "2024-05-01 01:00"))
    assert by_time.run("verify").rows_processed == 101


def test_verify_tells_what_changed_since(shop: PostgresDatabase, orders: Route) -> None:
    by_time = orders.by("at")
    by_time.run("extract")
    run_all(shop, ["DELETE FROM shop.orders WHERE id = 3", "ALTER TABLE shop.orders ADD COLUMN more int"])
    outcome = by_time.run("verify")
    assert outcome.notes == (
        "1 rows of main.dl.shop_orders are no longer so in shop.orders of shop: changed or deleted since",
        "shop.orders of shop has a new column 'more'",
    )


def test_driver_check_tells_everything_at_once(shop: PostgresDatabase, orders: Route) -> None:
    assert orders.by("at").run("driver_check").notes == (
        "main.dl.shop_orders isn't there yet: the first extract makes it",
    )
    run_all(shop, ['ALTER TABLE shop.orders ADD COLUMN "a b" int', 'ALTER TABLE shop.orders ADD COLUMN "AMOUNT" int'])
    with pytest.raises(InputError) as told:
        orders.by("what").run("driver_check")
    assert "can't have ' ' in its name" in str(told.value)
    assert "'AMOUNT' and 'amount' are one name to Delta" in str(told.value)
    assert "incremental_key is 'what' of type STRING" in str(told.value)


@pytest.mark.parametrize(
    ("system", "message"),
    [("snowflake", "no driver is installed for snowflake"), ("postgress", "unknown type 'postgress'\n.*postgres")],
)
def test_types_without_a_driver_are_told(tmp_path: Path, system: str, message: str) -> None:
    with pytest.raises(InputError) as told:
        route(tmp_path, system, "{}", Relation("a", "b")).run("driver_check")
    assert re.search(message, str(told.value))


def test_credentials_that_can_t_be_used_are_told_at_once(tmp_path: Path) -> None:
    creds = '{"hots": "h", "password": "hunter2-in-the-row"}'
    with pytest.raises(InputError) as told:
        route(tmp_path, "postgres", creds, Relation("a", "b")).run("driver_check")
    assert "unknown detail 'hots'" in str(told.value) and "did you mean 'host'" in str(told.value)
    assert "'password' holds a secret itself" in str(told.value) and "hunter2" not in str(told.value)
