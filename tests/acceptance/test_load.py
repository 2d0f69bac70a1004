"""load: what the data lake has is in PostgreSQL, once and whole, with how far it goes in the same transaction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta.errors import DatabaseError, InputError
from lakeflow_job_meta.pipelines.drivers.postgres import PostgresDatabase
from lakeflow_job_meta.pipelines.stages.stage import Relation
from tests.databases.server import DatabaseServer
from tests.pipeline_ground import LAKE, Route, postgres_session, route, run_all, server_creds


@dataclass(frozen=True)
class Sink:
    """The data lake with 100 orders, and a table that takes them."""

    session: PostgresDatabase
    route: Route

    def rows(self, columns: str = "id") -> list[Any]:
        found = self.session.run(f"SELECT {columns} FROM out.orders ORDER BY id")
        return [row[columns] if "," not in columns else tuple(row.values()) for row in found]

    def lake(self, statement: str) -> None:
        self.route.store.sql(statement.replace("orders", str(LAKE)))


@pytest.fixture
def sink(tmp_path: Path, postgres_server: DatabaseServer) -> Iterator[Sink]:
    creds = server_creds(postgres_server)
    way = route(tmp_path, "postgres", creds, Relation("out", "orders"), "dl_to_sink", postgres_server.password)
    with postgres_session(postgres_server) as session:
        run_all(
            session,
            [
                "DROP SCHEMA IF EXISTS out CASCADE",
                "CREATE SCHEMA out",
                "CREATE TABLE out.orders (id bigint PRIMARY KEY, what varchar(20), at timestamptz)",
            ],
        )
        way.store.ensure_schema(LAKE.catalog, LAKE.schema)
        made = Sink(session, way)
        made.lake(
            "CREATE TABLE orders AS SELECT id, concat('order ', id) AS what, "
            "timestampadd(MINUTE, CAST(id AS INT), TIMESTAMP '2024-05-01 00:00:00') AS at FROM range(1, 101)"
        )
        yield made


def test_a_full_load_swaps_all_rows(sink: Sink) -> None:
    sink.session.run("INSERT INTO out.orders VALUES (7, 'old', now()), (5000, 'old', now())")
    assert sink.route.run("load").rows_processed == 100
    assert sink.rows() == list(range(1, 101))
    assert sink.rows("id, what")[6] == (7, "order 7")


def test_an_incremental_load_updates_and_adds_by_primary_key(sink: Sink) -> None:
    by_time = sink.route.by("at")
    assert by_time.run("load").watermark == "2024-05-01 01:40:00+00:00"
    sink.lake("UPDATE orders SET what = 'changed', at = TIMESTAMP '2024-05-02 00:00:00' WHERE id = 5")
    sink.lake("INSERT INTO orders VALUES (101, 'new', TIMESTAMP '2024-05-02 00:00:00')")
    outcome = by_time.run("load")
    assert (outcome.rows_processed, outcome.watermark) == (3, "2024-05-02 00:00:00+00:00")
    assert sink.rows() == list(range(1, 102))
    assert sink.rows("id, what")[4] == (5, "changed")


def test_what_is_loaded_already_is_not_loaded_again(sink: Sink) -> None:
    by_time = sink.route.by("at")
    by_time.run("load")
    outcome = by_time.run("load")
    assert (outcome.rows_processed, outcome.watermark) == (0, "2024-05-01 01:40:00+00:00")


def test_a_backfill_replaces_exactly_its_span(sink: Sink) -> None:
    by_id = sink.route.by("id")
    by_id.run("load")
    sink.lake("UPDATE orders SET what = 'x'")
    sink.lake("DELETE FROM orders WHERE id IN (10, 20)")
    assert by_id.run("load", ("10", "20")).watermark == "100"
    assert [number for number, what in sink.rows("id, what") if what == "x"] == list(range(11, 20))
    assert sink.rows() == [each for each in range(1, 101) if each != 10]


def test_a_load_that_fails_changes_nothing(sink: Sink) -> None:
    by_id = sink.route.by("id")
    by_id.run("load")
    sink.lake("INSERT INTO orders VALUES (101, 'a text that is longer than its column', NULL)")
    with pytest.raises(DatabaseError, match=r"value too long for type character varying\(20\)"):
        by_id.run("load")
    with pytest.raises(DatabaseError, match="value too long"):
        sink.route.run("load")
    assert sink.rows() == list(range(1, 101))
    assert sink.session.run("SELECT watermark FROM out._lakeflow_watermarks") == [{"watermark": "100"}]


def test_without_a_primary_key_an_incremental_load_is_refused_and_a_full_one_is_not(sink: Sink) -> None:
    sink.session.run("ALTER TABLE out.orders DROP CONSTRAINT orders_pkey")
    with pytest.raises(InputError, match="no primary key"):
        sink.route.by("id").run("load")
    assert sink.route.run("load").rows_processed == 100


def test_all_columns_that_do_not_fit_are_told_at_once(sink: Sink) -> None:
    run_all(
        sink.session,
        [
            "ALTER TABLE out.orders ALTER COLUMN id TYPE int",
            "ALTER TABLE out.orders DROP COLUMN what",
            "ALTER TABLE out.orders ADD COLUMN place text NOT NULL",
        ],
    )
    for stage in ("driver_check", "load"):
        with pytest.raises(InputError) as told:
            sink.route.run(stage)
        assert "'id' is integer, which can't hold every BIGINT" in str(told.value)
        assert "has no column 'what'" in str(told.value)
        assert "'place' needs a value" in str(told.value)


def test_columns_that_the_sink_makes_itself_are_left_to_it(sink: Sink) -> None:
    run_all(
        sink.session,
        [
            "ALTER TABLE out.orders ADD COLUMN twice bigint GENERATED ALWAYS AS (id * 2) STORED",
            "ALTER TABLE out.orders ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY",
            "ALTER TABLE out.orders ADD COLUMN loaded timestamptz NOT NULL DEFAULT now()",
        ],
    )
    sink.route.run("load")
    assert sink.rows("id, twice")[:2] == [(1, 2), (2, 4)]


def test_a_source_that_is_not_in_the_lake_yet_is_told(sink: Sink) -> None:
    empty = replace(sink.route, lake=replace(LAKE, name="nothing"))
    with pytest.raises(InputError, match=r"main.dl.nothing isn't in the data lake yet"):
        empty.run("load")


def test_missing_privileges_are_told_by_driver_check(sink: Sink, postgres_server: DatabaseServer) -> None:
    run_all(
        sink.session,
        [
            "DROP ROLE IF EXISTS reader",
            "CREATE ROLE reader LOGIN PASSWORD 'a reader''s \\ word'",
            "GRANT USAGE ON SCHEMA out TO reader",
            "GRANT SELECT ON out.orders TO reader",
        ],
    )
    creds = server_creds(replace(postgres_server, user="reader"))
    endpoint = replace(sink.route.endpoint, creds=creds)
    as_reader = replace(sink.route, endpoint=endpoint, secrets={"env:PASSWORD": "a reader's \\ word"})
    with pytest.raises(InputError) as told:
        as_reader.run("driver_check")
    for missing in ("INSERT on out.orders", "DELETE on out.orders", "CREATE on schema out"):
        assert missing in str(told.value)
    sink.session.run("DROP OWNED BY reader")


def test_verify_finds_what_a_sink_lost(sink: Sink) -> None:
    by_id = sink.route.by("id")
    by_id.run("load")
    assert by_id.run("verify").rows_processed == 100
    sink.session.run("DELETE FROM out.orders WHERE id = 44")
    with pytest.raises(InputError, match=r"1 rows of main.dl.shop_orders are not in out.orders of shop"):
        by_id.run("verify")
    sink.session.run("INSERT INTO out.orders (id) VALUES (-1)")
    with pytest.raises(InputError, match="the sums of the key differ: 5050 in"):
        by_id.run("verify")
