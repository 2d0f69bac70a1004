"""Migrations of a dataset's tables are the same on every store."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakeflow_job_meta.bootstrap.migrations.migrate import SetupMigrations
from lakeflow_job_meta.errors import ApplyError
from tests.parity.engines import Engine

FILES = {
    "0001_region.sql": "ALTER TABLE ${dataset}.tenants ADD COLUMN region STRING;\n"
    "UPDATE ${dataset}.tenants SET region = 'eu' WHERE region IS NULL;\n",
    "0002_plans.yml": "up:\n  - CREATE TABLE ${dataset}.plans (id STRING) USING DELTA\n"
    "  - INSERT INTO ${dataset}.plans SELECT id FROM ${dataset}.tenants\n",
    "0003_upper.sql": "-- migrate:up\nUPDATE ${dataset}.tenants SET name = upper(name);\n"
    "-- migrate:down\nUPDATE ${dataset}.tenants SET name = initcap(lower(name));\n",
}
BREAKS = "DELETE FROM ${dataset}.tenants WHERE id = 'a';\nUPDATE ${dataset}.tenants SET nothing = 1;\n"


def test_migrations_are_applied_restored_after_a_failure_and_taken_back(engine: Engine, tmp_path: Path) -> None:
    catalog, schema = engine.schema.split(".")
    table = f"{engine.schema}.tenants"
    engine.store.sql(f"CREATE TABLE {table} (id STRING NOT NULL, name STRING) USING DELTA")
    engine.store.sql(f"INSERT INTO {table} VALUES ('a', 'Acme'), ('b', 'Bolt')")
    folder = tmp_path / "migrations"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text, "utf-8")
    migrations = SetupMigrations(engine.store, catalog, schema, folder)
    before, after = [("Acme",), ("Bolt",)], [("ACME", "eu"), ("BOLT", "eu")]

    def rows(columns: str) -> list[tuple[object, ...]]:
        return [tuple(row.values()) for row in engine.store.sql(f"SELECT {columns} FROM {table} ORDER BY id")]

    migrations.apply(migrations.plan_up())
    assert rows("name, region") == after
    assert engine.store.sql(f"SELECT count(*) AS n FROM {engine.schema}.plans") == [{"n": 2}]
    assert migrations.plan_up().empty

    (folder / "0004_bad.sql").write_text(BREAKS, "utf-8")
    with pytest.raises(ApplyError, match=r"0004_bad\.sql:2:1: "):
        migrations.apply(migrations.plan_up())
    assert rows("name, region") == after
    assert [each.state for each in migrations.status()[0]] == ["applied", "applied", "applied", "failed"]

    migrations.apply(migrations.plan_down())
    assert rows("name, region") == [("Acme", "eu"), ("Bolt", "eu")]
    assert engine.store.info(engine.table("plans")) is not None
    migrations.apply(migrations.plan_down(0, discard=True))
    assert rows("name") == before
    assert list(engine.store.read(engine.table("tenants")).rows[0]) == ["id", "name"]
    assert engine.store.info(engine.table("plans")) is None
