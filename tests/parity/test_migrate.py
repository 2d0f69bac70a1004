"""Migrating and examining the tables on every engine: the same statements, the same findings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lakeflow_job_meta import JobOrchestrator, MetadataManager, StoreError
from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.doctor import Status, Wishes, examine
from lakeflow_job_meta.model.table import TableInfo, TableSpec
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.store.base import SCHEMA_VERSION
from tests.local_server import Site
from tests.parity.engines import Engine

SCHEMA_1 = Path(__file__).resolve().parents[1] / "data" / "schema_1"
NOTEBOOK = '{"task_type": "notebook", "notebook_path": "/etl/a"}'


def make_old(engine: Engine) -> ControlTables:
    """Our tables, that of the state as schema version 1 declared it, with one row."""
    tables = ControlTables.of(engine.table("control"))
    declared = json.loads((SCHEMA_1 / "jobs.json").read_text("utf-8"))
    old = replace(tables, jobs=TableSpec.from_json(tables.jobs.name, declared))
    old.ensure(engine.store)
    engine.store.append(old.jobs, [{"workspace_id": "1", "module_name": "before", "status": "orphan"}])
    return old


def manager(engine: Engine) -> MetadataManager:
    table = str(engine.table("control"))
    return MetadataManager(table, engine.store, settings=Settings(table, engine.home))


def state(engine: Engine) -> TableInfo:
    found = engine.store.info(engine.table("control_jobs"))
    assert found is not None
    return found


def test_a_migration_is_done_and_undone(engine: Engine) -> None:
    old = make_old(engine)
    before = state(engine)
    names = [column.name for column in before.columns]
    with pytest.raises(StoreError, match="control_jobs has schema version 1, this product writes 2"):
        manager(engine).ensure_exists()
    (done,) = manager(engine).migrate()
    assert [column.name for column in state(engine).columns] == [*names, "modules_version"]
    assert state(engine).properties[SCHEMA_VERSION] == "2"
    rows = engine.store.read(old.jobs.name, where={"module_name": ["before"]}).rows
    assert [(row["status"], row["modules_version"]) for row in rows] == [("orphan", None)]

    engine.store.sql(done.undo)
    assert [column.name for column in state(engine).columns] == names
    assert state(engine).properties == before.properties
    assert [row["module_name"] for row in engine.store.read(old.jobs.name).rows] == ["before"]
    assert [each.table for each in manager(engine).plan_migration().effective] == [old.jobs.name]


def test_a_migrated_table_is_applied_and_nothing_is_wrong_with_it(
    engine: Engine, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = make_old(engine)
    engine.store.sql(f"DELETE FROM {old.jobs.name}")
    manager(engine).migrate()
    table = str(engine.table("control"))
    engine.store.sql(
        f"INSERT INTO {table} (module_name, source_id, transformation_config, is_active)"
        f" VALUES ('m', 'a', '{NOTEBOOK}', true)"
    )
    token = engine.schema.replace(".", "")
    settings = Settings(table, engine.home, list_lag_seconds=0.5)
    one = JobOrchestrator(table, site.client(token), store=engine.store, settings=settings)
    assert [entry["action"] for entry in one.run_all_modules()] == ["create"]
    (row,) = engine.store.read(one.tables.jobs.name, where={"module_name": ["m"]}).rows
    assert (row["control_version"], row["modules_version"]) == (1, 0)

    monkeypatch.setenv("DATABRICKS_TOKEN", token)
    settings = replace(settings, workspace=site.server.url)
    found = examine(lambda: settings, Wishes(timeout=60, write=True, store=engine.store))
    assert [(each.check, each.found) for each in found if each.status is not Status.OK] == []
    assert one.plan(refresh=False).empty
