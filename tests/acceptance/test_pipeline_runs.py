"""Pipelines from a file to rows in the sink: registered, synced, applied, run by the embedded workspace, on record."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from lakeflow_job_meta import PipelineRegistry
from tests.acceptance.steps import wait_for
from tests.databases.server import DatabaseServer
from tests.local_server import running_server
from tests.registered_shop import PostgresSchema, Shop, SqliteFile

WHOLE = ("driver_check", "extract", "load", "verify")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("pipelines")
    with running_server(folder):
        yield folder


@pytest.fixture
def shop(home: Path, tmp_path: Path) -> Shop:
    return Shop.of_files(home, tmp_path, f"shop_{uuid4().hex[:8]}")


@pytest.fixture
def on_postgres(home: Path, tmp_path: Path, postgres_server: DatabaseServer) -> Shop:
    name = uuid4().hex[:8]
    client = Shop.of_files(home, tmp_path, name).orchestrator.workspace_client
    client.secrets.create_scope(name)
    client.secrets.put_secret(name, "password", string_value=postgres_server.password)
    source, sink = (
        PostgresSchema(postgres_server, f"{kind}_{name}", f"{{{{secrets/{name}/password}}}}").make()
        for kind in ("from", "to")
    )
    return Shop(home, tmp_path, f"shop_{name}", source, sink)


def stages(run: dict[str, Any]) -> list[tuple[int, str, int | None]]:
    return [(each["stage_order"], each["status"], each["rows_processed"]) for each in run["stages"]]


def test_a_table_moves_from_the_source_over_the_lake_into_the_sink_and_both_runs_are_on_record(shop: Shop) -> None:
    shop.stages = WHOLE
    shop.table("customers", "id INTEGER PRIMARY KEY, name TEXT")
    shop.source("INSERT INTO customers VALUES (1, 'Łukasz'), (2, NULL), (3, '')")
    shop.register()
    assert shop.orchestrator.plan().empty

    into = shop.run("customers", "source_to_dl")
    assert [row["name"] for row in shop.lake("customers")] == ["Łukasz", None, ""]
    assert (into["status"], into["current_stage"], into["total_stages"]) == ("success", 3, 3)
    assert (into["triggered_by"], into["pipeline_name"], into["direction"]) == ("manual", shop.template, "source_to_dl")
    assert [(order, status) for order, status, _ in stages(into)] == [(1, "success"), (2, "success"), (4, "success")]
    assert stages(into)[1][2] == 3
    assert into["started_at"] < into["completed_at"] and into["error_message"] is None

    out = shop.run("customers", "dl_to_sink")
    assert out["status"] == "success" and shop.same("customers")
    assert shop.row("customers")["dl_to_sink_last_loader_run_status"] == "success"
    assert shop.row("customers")["dl_to_sink_last_loader_run_timestamp"] is not None
    assert shop.orchestrator.plan().empty, "a run never changes its own job"
    assert PipelineRegistry(shop.control_table, settings=shop.settings).check() == []


def test_from_postgres_over_the_lake_into_postgres_with_the_password_in_a_secret_scope(on_postgres: Shop) -> None:
    on_postgres.incremental("orders", (1, "new", "01 08:00:00"), (2, "sent", "02 08:00:00"))
    on_postgres.register()
    on_postgres.through("orders")
    assert on_postgres.same("orders")
    told = on_postgres.ljm("pipelines", "list", "sources", "-o", "json")
    assert str(on_postgres.from_database.creds["password"]) in told


def test_the_second_incremental_run_moves_just_what_is_new(shop: Shop) -> None:
    shop.incremental("orders", (1, "new", "01 08:00:00"), (2, "new", "02 08:00:00"))
    shop.register()
    shop.through("orders")
    watermark = datetime(2026, 11, 2, 8, tzinfo=UTC)
    assert shop.row("orders")["source_to_dl_last_incremental_value"] == watermark
    shop.orders("orders", (1, "sent", "03 08:00:00"), (3, "new", "03 09:00:00"))
    for direction in ("source_to_dl", "dl_to_sink"):
        run = shop.run("orders", direction)
        # The row at the watermark moves again: one that was written in the same moment may have come later.
        assert 3 in [stage["rows_processed"] for stage in run["stages"]], run
    assert shop.same("orders")
    assert shop.row("orders")["dl_to_sink_last_incremental_value"] == datetime(2026, 11, 3, 9, tzinfo=UTC)
    assert shop.orchestrator.plan().empty


def test_without_a_direction_both_halves_run_one_after_the_other(shop: Shop) -> None:
    shop.table("items", "id INTEGER PRIMARY KEY")
    shop.source("INSERT INTO items VALUES (1)")
    shop.register()
    told = shop.json("pipelines", "run", "items", "--watch")
    assert [(each["direction"], each["status"]) for each in told] == [
        ("source_to_dl", "success"), ("dl_to_sink", "success"),
    ]  # fmt: skip
    assert shop.same("items")
    listed = shop.json("pipelines", "runs", "items")
    assert [row["direction"] for row in listed] == ["dl_to_sink", "source_to_dl"]


def test_a_run_that_is_started_is_pending_until_a_stage_begins_and_is_then_followed(shop: Shop) -> None:
    shop.table("items", "id INTEGER PRIMARY KEY")
    shop.register()
    (told,) = shop.json("pipelines", "run", "items", "--direction", "source_to_dl")
    first = shop.show(told["run_id"])
    assert first["status"] in ("pending", "running", "success") and first["triggered_by"] == "manual"
    wait_for(lambda: shop.show(told["run_id"])["status"] == "success", 60)


def test_a_backfill_moves_a_span_again_and_leaves_the_watermark(shop: Shop) -> None:
    shop.incremental("orders", *((day, "new", f"{day:02} 08:00:00") for day in range(1, 6)))
    shop.register()
    shop.through("orders")
    # Changed behind the key's back: no incremental run ever finds these.
    shop.source("UPDATE orders SET status = 'fixed' WHERE order_id IN (2, 5)", "DELETE FROM orders WHERE order_id = 3")
    before = shop.row("orders")["source_to_dl_last_incremental_value"]
    told = shop.json("pipelines", "backfill", "orders", "--from", "2026-11-02", "--to", "2026-11-05", "--watch")
    assert [each["status"] for each in told] == ["success", "success"]
    query = "SELECT order_id, status FROM orders ORDER BY 1"
    assert shop.sink(query) == [("1", "new"), ("2", "fixed"), ("4", "new"), ("5", "new")]
    assert shop.row("orders")["source_to_dl_last_incremental_value"] == before


def test_what_cannot_be_asked_for_is_told_before_anything_runs(shop: Shop) -> None:
    shop.table("items", "id INTEGER PRIMARY KEY")
    shop.register()
    told = shop.ljm("pipelines", "backfill", "items", "--from", "1", "--to", "2", code=1)
    assert "shop.items can't be backfilled" in told and "its load is full" in told
    assert "did you mean 'shop.items'" in shop.ljm("pipelines", "run", "shop.item", code=1)
    assert "unknown direction" in shop.ljm("pipelines", "run", "items", "--direction", "dl", code=2)
    assert shop.json("pipelines", "runs") == []


def test_a_disabled_pipeline_is_paused_and_enabled_it_goes_on(shop: Shop) -> None:
    shop.table("items", "id INTEGER PRIMARY KEY", source_to_dl_schedule=15)
    shop.register()

    def paused() -> bool:
        job_id = shop.orchestrator.runs.recorded()[shop.module("items")].job_id
        job = shop.orchestrator.workspace.api.get("/api/2.2/jobs/get", {"job_id": job_id})
        return job["settings"]["schedule"]["pause_status"] == "PAUSED"

    shop.ljm("pipelines", "disable", "shop.items", "--direction", "source_to_dl")
    shop.apply()
    assert paused()
    shop.ljm("pipelines", "enable", "shop.items", "--direction", "source_to_dl")
    shop.apply()
    assert not paused()


def test_each_error_is_told_in_its_runs_row_and_the_others_go_on(shop: Shop) -> None:
    broken = ("gone", "no_column", "other_type", "null_key", "clock", "unregistered")
    for name in (*broken, "healthy"):
        shop.incremental(name, (1, "new", "02 08:00:00"))
    shop.elsewhere["nowhere"] = SqliteFile(shop.folder / "no" / "folder" / "shop.db")
    shop.tables["unreachable"] = {"source_tablename": "nowhere.unreachable"}
    shop.register()
    shop.sql(f"DELETE FROM {shop.catalog}.pipelines.pipeline_config WHERE source_tablename = 'shop.unregistered'")
    ended = run_at_once(shop, ("unregistered", "healthy", "null_key", "other_type", "clock", "no_column"))
    assert "isn't registered any more" in ended.pop("unregistered")["error_message"]
    assert {row["status"] for row in ended.values()} == {"success"}, ended

    shop.source(
        "DROP TABLE gone",
        "ALTER TABLE no_column DROP COLUMN updated_at",
        "DROP TABLE other_type",
        "CREATE TABLE other_type (order_id INTEGER PRIMARY KEY, status BLOB, updated_at TIMESTAMP)",
        "INSERT INTO other_type VALUES (1, x'00ff', '2026-11-05 08:00:00')",
        "INSERT INTO null_key VALUES (2, 'new', NULL)",
        "UPDATE clock SET updated_at = '2026-11-01 08:00:00'",
    )
    ended = run_at_once(shop, ("gone", "no_column", "other_type", "null_key", "clock", "unreachable", "healthy"))
    healthy = ended.pop("healthy")
    assert (healthy["status"], healthy["triggered_by"]) == ("success", "api")
    expected = {
        "gone": "gone", "no_column": "updated_at", "other_type": "status", "null_key": "1 rows .* have no updated_at",
        "clock": "the clock went backwards", "unreachable": "no/folder/shop.db",
    }  # fmt: skip
    for name, words in expected.items():
        assert ended[name]["status"] == "failed"
        assert re.match(f"extract: (.|\n)*{words}", ended[name]["error_message"]), ended[name]["error_message"]
    failed = shop.json("pipelines", "runs", "--failed")
    assert {row["id"] for row in failed} >= {row["id"] for row in ended.values()}
    assert "the clock went backwards" in shop.ljm("pipelines", "runs", "shop.clock")


def run_at_once(shop: Shop, names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Run the first halves of these all at once; their rows in the record."""
    runs = shop.orchestrator.runs
    modules = {name: str(shop.tables[name].get("source_tablename", shop.name(name))) for name in names}
    ids = {name: runs.start(f"{module}.source_to_dl") for name, module in modules.items()}
    for run_id in ids.values():
        runs.wait(run_id, timeout=120)
    return {name: shop.show(run_id) for name, run_id in ids.items()}
