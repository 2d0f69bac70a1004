"""The registry from YAML, from a SQLite file and row by row: all findings with their places, all or nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta import PipelineRegistry
from lakeflow_job_meta.errors import InputError, TableNotFound
from lakeflow_job_meta.pipelines.tables import DESTINATIONS, KINDS, SOURCES, STAGES, TABLES
from lakeflow_job_meta.pipelines.uuid7 import is_uuid7
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.store.delta import DeltaStore

GOOD = """\
registry_version: "1.0"
sources:
  - source_name: crm
    source_type: postgres
    source_creds: {host: db, port: 5432, password: "{{secrets/crm/password}}"}
destinations:
  - destination_name: dwh
    destination_type: postgres
    destination_creds: {host: dwh, password: env:DWH_PASSWORD}
templates:
  default:
    - {stage_order: 1, stage_name: Check, stage_type: driver_check}
    - {stage_order: 2, stage_name: Extract, stage_type: extract}
    - {stage_order: 3, stage_name: Load, stage_type: load, driver_container: "environment:pg"}
tables:
  - source_tablename: crm.public.orders
    sink_tablename: dwh.public.orders
    source_to_dl_schedule: 15
    source_to_dl_load_type: incremental
    source_to_dl_incremental_key: updated_at
    dl_to_sink_load_type: full
  - source_tablename: crm.public.customers
    source_to_dl_load_type: full
    source_to_dl_is_active: false
"""


@pytest.fixture
def registry(tmp_path: Path) -> PipelineRegistry:
    settings = Settings("main.etl.control", tmp_path / "home")
    return PipelineRegistry("main.etl.control", DeltaStore(settings.home), settings=settings)


def put(registry: PipelineRegistry, tmp_path: Path, text: str, name: str = "registry.yml") -> Any:
    path = tmp_path / name
    path.write_text(text)
    return registry.load_yaml(path)


def refused(registry: PipelineRegistry, tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        put(registry, tmp_path, text)
    return [str(each).replace(f"{tmp_path}/", "") for each in caught.value.diagnostics]


def versions(registry: PipelineRegistry) -> dict[str, int]:
    return {kind: info.version for kind, info in registry.tables.infos(registry.store, KINDS).items() if info}


def database(path: Path, statements: Iterable[str]) -> Path:
    with closing(sqlite3.connect(path)) as made:
        for statement in statements:
            made.execute(statement)
        made.commit()
    return path


def test_a_file_is_registered_and_registered_again_changes_nothing(registry: PipelineRegistry, tmp_path: Path) -> None:
    first = put(registry, tmp_path, GOOD)
    assert first.added[TABLES] == ["crm.public.orders", "crm.public.customers"]
    assert first.deleted == {STAGES: ["default/4"]}
    (crm,) = registry.rows(SOURCES)
    assert is_uuid7(crm["id"])
    assert crm["created_at"].tzinfo is not None
    orders, customers = (registry.row(TABLES, name) for name in ("crm.public.orders", "crm.public.customers"))
    assert orders["source_to_dl_is_active"] is True
    assert orders["source_type"] == "postgres"
    assert customers["source_to_dl_is_active"] is False
    assert customers["sink_tablename"] is None
    before = versions(registry)
    assert not put(registry, tmp_path, GOOD).wrote
    assert versions(registry) == before
    assert registry.check() == []


def test_an_export_loads_back_without_any_change_here_and_elsewhere(registry: PipelineRegistry, tmp_path: Path) -> None:
    put(registry, tmp_path, GOOD)
    path = registry.export_yaml(tmp_path / "export.yml")
    before = versions(registry)
    assert not registry.load_yaml(path).wrote
    assert versions(registry) == before
    settings = Settings("main.etl.control", tmp_path / "elsewhere")
    other = PipelineRegistry("main.etl.control", DeltaStore(settings.home), settings=settings)
    other.load_yaml(path)
    again = other.export_yaml(tmp_path / "again.yml")
    assert again.read_text() == path.read_text()


def test_what_a_file_doesnt_say_of_runs_and_activity_stays(registry: PipelineRegistry, tmp_path: Path) -> None:
    put(registry, tmp_path, GOOD)
    table = registry.tables.names[TABLES]
    registry.store.sql(
        f"UPDATE {table} SET dl_to_sink_last_loader_run_status = 'success', dl_to_sink_is_active = false, "
        "source_to_dl_last_incremental_value = TIMESTAMP '2026-01-01 00:00:00' "
        "WHERE source_tablename = 'crm.public.orders'"
    )
    changed = put(registry, tmp_path, GOOD.replace("schedule: 15", "schedule: 30"))
    assert changed.changed == {TABLES: ["crm.public.orders"]}
    row = registry.row(TABLES, "crm.public.orders")
    assert row["source_to_dl_schedule"] == 30
    assert row["dl_to_sink_last_loader_run_status"] == "success"
    assert row["dl_to_sink_is_active"] is False
    assert row["source_to_dl_last_incremental_value"] == datetime(2026, 1, 1, tzinfo=UTC)


def test_every_finding_of_a_file_has_its_place_and_nothing_is_written(
    registry: PipelineRegistry, tmp_path: Path
) -> None:
    text = GOOD.replace("source_type: postgres", "source_type: postgrs").replace("schedule: 15", "schedule: 45")
    text = text.replace("stage_type: load", "stage_typ: load").replace('"{{secrets/crm/password}}"', "hunter2")
    found = refused(registry, tmp_path, text)
    for expected in (
        "registry.yml:4:18: error: source_type: expected one of postgres,",
        "registry.yml:5:19: error: source_creds: the secret 'password' is written out",
        "registry.yml:14:42: error: unknown key 'stage_typ' (did you mean 'stage_type'?)",
        "registry.yml:18:28: error: source_to_dl_schedule: no job can start every 45 minutes (write 30 or 60",
    ):  # fmt: skip
        assert any(each.startswith(expected) for each in found), (expected, found)
    assert all("hunter2" not in each for each in found)
    assert registry.rows(TABLES) == []


def test_what_isnt_of_the_dialect_is_a_finding(registry: PipelineRegistry, tmp_path: Path) -> None:
    found = refused(
        registry,
        tmp_path,
        "sources: 7\nsink: x\ntables:\n  - 5\n  - source_tablename: ''\n    source_to_dl_schedule: x\n",
    )
    for expected in (
        'expected registry_version "1.0", found nothing', "sources: expected a list", "unknown key 'sink'",
        "expected a mapping with source_tablename", "source_tablename: expected text, found nothing",
        "source_to_dl_schedule: expected a number",
    ):  # fmt: skip
        assert any(expected in each for each in found), (expected, found)
    twice = GOOD + "  - {source_tablename: crm.public.customers, source_to_dl_load_type: full}\n"
    assert any(
        "crm.public.customers is declared twice (the first is at" in each for each in refused(registry, tmp_path, twice)
    )


def test_a_folder_may_hold_what_something_else_reads(registry: PipelineRegistry, tmp_path: Path) -> None:
    folder = tmp_path / "pipelines"
    folder.mkdir()
    (folder / "bootstrap.yml").write_text("pipeline: {id: x}\nsteps: []\n")
    (folder / "modules.yml").write_text("modules: []\n")
    with pytest.raises(InputError) as caught:
        registry.load_yaml(folder)
    assert "no file declares what is registered" in str(caught.value)
    (folder / "a.yml").write_text(GOOD)
    assert registry.load_yaml(folder).wrote


def test_a_finding_of_a_row_that_no_file_declares_is_a_warning(registry: PipelineRegistry, tmp_path: Path) -> None:
    registry.ensure_exists()
    registry.store.sql(
        f"INSERT INTO {registry.tables.names[TABLES]} (source_tablename, source_to_dl_load_type) VALUES ('x.y.z', 'f')"
    )
    report = put(registry, tmp_path, GOOD)
    assert any("there is no source 'x'" in str(each) for each in report.warnings)


def test_rows_one_by_one_and_switched_off_and_on(registry: PipelineRegistry) -> None:
    creds = json.dumps({"host": "db", "password": "env:PW"})
    registry.add(SOURCES, {"source_name": "crm", "source_type": "postgres", "source_creds": creds})
    registry.add(TABLES, {"source_tablename": "crm.public.a", "source_to_dl_load_type": "full"})
    with pytest.raises(InputError, match="no source"):
        registry.add(TABLES, {"source_tablename": "cmr.public.a", "source_to_dl_load_type": "full"})
    assert registry.set_active("crm.public.a", False)
    assert not registry.set_active("crm.public.a", False)
    assert registry.row(TABLES, "crm.public.a")["source_to_dl_is_active"] is False
    with pytest.raises(InputError, match="did you mean 'crm\\.public\\.a'"):
        registry.set_active("crm.public.b", True)


def test_without_a_registry_commands_that_read_say_how_to_make_one(registry: PipelineRegistry) -> None:
    with pytest.raises(TableNotFound, match="there is no pipeline registry"):
        registry.check()
    assert len(registry.ensure_exists()) == len(KINDS)
    assert registry.ensure_exists() == []


def test_shown_rows_have_no_secret_even_if_the_table_has(registry: PipelineRegistry) -> None:
    registry.ensure_exists()
    names = registry.tables.names
    registry.store.sql(
        f"INSERT INTO {names[SOURCES]} (id, source_name, source_type, source_creds) VALUES "
        "('017f22e2-79b0-7cc3-98c4-dc0c0c07398f', 'crm', 'postgres', '{\"password\": \"hunter2-and-more\"}')"
    )
    registry.store.sql(
        f"INSERT INTO {names[DESTINATIONS]} (id, destination_name, destination_type, destination_creds) VALUES "
        "('017f22e2-79b0-7cc3-98c4-dc0c0c07398f', 'dwh', 'postgres', 'hunter2 is no json')"
    )
    assert registry.rows(SOURCES)[0]["source_creds"] == {"password": "***ore"}
    assert registry.rows(DESTINATIONS)[0]["destination_creds"] == "***"
    with pytest.raises(InputError) as caught:
        registry.export_yaml("never.yml")
    assert "hunter2" not in str(caught.value)


SQLITE = (
    "CREATE TABLE pipeline_config (source_tablename TEXT PRIMARY KEY, sink_tablename TEXT,"
    " source_to_dl_schedule INTEGER, source_to_dl_load_type TEXT, source_to_dl_is_active BOOLEAN,"
    " source_type TEXT DEFAULT 'postgres',"
    " source_to_dl_incremental_key TEXT, source_to_dl_last_incremental_value TIMESTAMP)",
    "CREATE TABLE sources_config (id TEXT PRIMARY KEY, source_name TEXT, source_type TEXT, source_creds TEXT,"
    " created_at)",
    "CREATE TABLE pipeline_stages (id INTEGER PRIMARY KEY, pipeline_name TEXT, stage_order INTEGER, stage_name TEXT,"
    " stage_type TEXT, driver_container TEXT)",
    "INSERT INTO sources_config VALUES ('017f22e2-79b0-7cc3-98c4-dc0c0c07398f', 'crm', 'postgres',"
    " '{\"host\": \"db\", \"password\": \"env:PW\"}', '2024-05-01 10:00:00')",
    "INSERT INTO pipeline_stages VALUES (1, 'default', 1, 'Check', 'driver_check', 'acme/pg:3')",
    "INSERT INTO pipeline_stages VALUES (2, 'default', 2, 'Extract', 'extract', NULL)",
    "INSERT INTO pipeline_config VALUES ('crm.public.orders', NULL, 60, 'incremental', 1, 'postgres', 'updated_at',"
    " '2024-06-01T12:00:00+02:00')",
)  # fmt: skip


def test_a_sqlite_registry_comes_over_with_its_ids_and_how_far_it_had_come(
    registry: PipelineRegistry, tmp_path: Path
) -> None:
    path = database(tmp_path / "config.db", SQLITE)
    content = path.read_bytes()
    report = registry.import_sqlite(path)
    assert report.added[TABLES] == ["crm.public.orders"]
    row = registry.row(TABLES, "crm.public.orders")
    assert row["source_to_dl_is_active"] is True
    assert row["source_to_dl_last_incremental_value"] == datetime(2024, 6, 1, 10, tzinfo=UTC)
    (crm,) = registry.rows(SOURCES)
    assert crm["id"] == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
    assert crm["created_at"] == datetime(2024, 5, 1, 10, tzinfo=UTC)
    assert [each["stage_type"] for each in registry.rows(STAGES)] == ["driver_check", "extract"]
    assert not registry.import_sqlite(path).wrote
    assert path.read_bytes() == content


def test_a_plain_password_in_a_sqlite_file_is_refused_with_its_row(registry: PipelineRegistry, tmp_path: Path) -> None:
    plain = """UPDATE sources_config SET source_creds = '{"password": "hunter2-secret"}'"""
    path = database(tmp_path / "config.db", [*SQLITE, plain])
    with pytest.raises(InputError) as caught:
        registry.import_sqlite(path)
    assert "config.db:sources_config/crm/source_creds: error: source_creds: the secret 'password' is wr" in str(
        caught.value
    )
    assert "hunter2" not in str(caught.value)
    assert registry.rows(SOURCES) == []


def test_what_a_sqlite_file_holds_in_the_wrong_type_is_a_finding(registry: PipelineRegistry, tmp_path: Path) -> None:
    wrong = [
        "UPDATE pipeline_config SET source_to_dl_schedule = 'soon', source_to_dl_is_active = 'maybe',"
        " source_to_dl_last_incremental_value = 'yesterday'",
        "ALTER TABLE pipeline_config ADD COLUMN sink_typ TEXT",
    ]
    path = database(tmp_path / "config.db", [*SQLITE, *wrong])
    with pytest.raises(InputError) as caught:
        registry.import_sqlite(path)
    for expected in (
        "source_to_dl_schedule: expected a whole number, found str", "source_to_dl_is_active: expected 0 or 1",
        "expected a time as ISO 8601 writes it", "no column 'sink_typ' (did you mean 'sink_type'?)",
    ):  # fmt: skip
        assert expected in str(caught.value)
    (tmp_path / "no.db").write_text("no database at all, but long enough to be looked at as if it were one" * 20)
    with pytest.raises(InputError, match="can't be read"):
        registry.import_sqlite(tmp_path / "no.db")
    with pytest.raises(InputError, match="has none of the registry's tables"):
        registry.import_sqlite(database(tmp_path / "empty.db", ["CREATE TABLE x (a)"]))
    with pytest.raises(InputError, match="there is no file"):
        registry.import_sqlite(tmp_path / "gone.db")
    assert not (tmp_path / "gone.db").exists()
