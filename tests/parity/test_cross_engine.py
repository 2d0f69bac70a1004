"""A table that one engine made is read and written by the other."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lakeflow_job_meta import JobOrchestrator, SparkStore
from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.errors import StoreError
from lakeflow_job_meta.model.table import Changes, Column, TableName, TableSpec
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.store.delta import DeltaStore
from tests.local_server import Site
from tests.parity.engines import fresh_schema

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

COLUMNS = (
    Column("id", "STRING", "REQUIRED", "who's who"),
    Column("n", "INT"),
    Column("active", "BOOLEAN", default="true"),
    Column("at", "TIMESTAMP", default="current_timestamp()"),
)
THEN = datetime(2024, 2, 29, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def schema(spark: SparkSession) -> str:
    return fresh_schema(spark)


def register(spark: SparkSession, home: Path, name: TableName) -> None:
    """Let Spark know where the embedded store keeps a table."""
    folder = home / "tables" / name.catalog / name.schema / name.name
    spark.sql(f"CREATE TABLE {name} USING DELTA LOCATION '{folder}'")


def make_in_home(spark: SparkSession, home: Path, spec: TableSpec, *, table_defaults: str = "product") -> SparkStore:
    """Let Spark make the table where the embedded store looks for it."""
    store = SparkStore(spark, table_defaults=table_defaults)
    assert store.create(spec)
    made = spark.sql(f"DESCRIBE DETAIL {spec.name}").collect()[0]["location"].removeprefix("file:")
    folder = home / "tables" / spec.name.catalog / spec.name.schema / spec.name.name
    folder.parent.mkdir(parents=True)
    folder.symlink_to(made)
    return store


def write_by_turns(first: DeltaStore | SparkStore, second: DeltaStore | SparkStore, spec: TableSpec) -> None:
    first.append(spec, [{"id": "a", "n": 1, "at": THEN}, {"id": "b", "n": 2}])
    second.transact(spec, lambda snapshot: Changes(({**snapshot.rows[0], "n": 10}, {"id": "c"}), ({"id": "b"},)))
    first.sql(f"INSERT INTO {spec.name} VALUES ('d', 4); UPDATE {spec.name} SET n = 11 WHERE id = 'a'")
    second.sql(f"INSERT INTO {spec.name} (id) VALUES ('e')")
    expected = {"a": 11, "c": None, "d": 4, "e": None}
    for store in (first, second):
        rows = {row["id"]: row for row in store.read(spec.name).rows}
        assert {name: row["n"] for name, row in rows.items()} == expected
        assert all(row["active"] and row["at"] is not None for row in rows.values())
        assert rows["a"]["at"] == THEN
        changes = store.changes(spec, 1)
        assert changes is not None
        assert sorted(change.key[0] for change in changes) == ["a", "b", "c", "d", "e"]
    assert first.info(spec.name) == second.info(spec.name) or _without_modes(first, second, spec)


def _without_modes(first: DeltaStore | SparkStore, second: DeltaStore | SparkStore, spec: TableSpec) -> bool:
    one, other = first.info(spec.name), second.info(spec.name)
    assert one is not None
    assert other is not None
    shown = [[(each.name, each.type, each.description, each.default) for each in info.columns] for info in (one, other)]
    return (one.table_id, one.version, shown[0]) == (other.table_id, other.version, shown[1])


def test_spark_goes_on_with_a_table_of_the_embedded_store_and_the_other_way_round(
    spark: SparkSession, schema: str, tmp_path: Path
) -> None:
    spec = TableSpec(TableName.parse(f"{schema}.t"), COLUMNS, ("id",))
    embedded = DeltaStore(tmp_path)
    embedded.create(spec)
    register(spark, tmp_path, spec.name)
    write_by_turns(embedded, SparkStore(spark), spec)


def test_the_embedded_store_goes_on_with_a_table_of_spark_and_the_other_way_round(
    spark: SparkSession, schema: str, tmp_path: Path
) -> None:
    spec = TableSpec(TableName.parse(f"{schema}.t"), COLUMNS, ("id",))
    write_by_turns(make_in_home(spark, tmp_path, spec), DeltaStore(tmp_path), spec)


def test_a_table_with_the_engines_own_defaults_is_refused_with_the_features_name(
    spark: SparkSession, schema: str, tmp_path: Path
) -> None:
    spec = TableSpec(TableName.parse(f"{schema}.t"), COLUMNS, ("id",))
    make_in_home(spark, tmp_path, spec, table_defaults="engine").append(spec, [{"id": "a"}])
    embedded = DeltaStore(tmp_path)
    assert [row["id"] for row in embedded.read(spec.name).rows] == ["a"]
    with pytest.raises(StoreError, match="ColumnDefaults") as caught:
        embedded.append(spec, [{"id": "b"}])
    assert "table_defaults: product" in caught.value.hint


def test_a_project_moves_from_the_embedded_store_to_spark_with_its_jobs(
    spark: SparkSession, schema: str, tmp_path: Path, site: Site
) -> None:
    name = f"{schema}.control"
    settings, client = Settings(name, tmp_path, list_lag_seconds=0.2), site.client("moved")
    laptop = JobOrchestrator(name, client, store=DeltaStore(tmp_path), settings=settings)
    laptop.ensure_setup()
    row = """'a', 'm', 'x', 1, '{}', '{}', '{"task_type": "notebook", "notebook_path": "/a"}', true"""
    laptop.store.sql(f"INSERT INTO {name} VALUES ({row})")
    laptop.apply(laptop.plan())
    for spec in ControlTables.of(TableName.parse(name)).all:
        register(spark, tmp_path, spec.name)
    cluster = JobOrchestrator(name, client, store=SparkStore(spark), settings=settings)
    assert cluster.plan().empty
    spark.sql(f"UPDATE {name} SET execution_order = 2, source_type = 'y'")
    spark.sql(f"INSERT INTO {name} (source_id, module_name, transformation_config) "
              f"SELECT 'b', 'm', transformation_config FROM {name}")  # fmt: skip
    outcomes = cluster.apply(cluster.plan())
    assert [str(outcome.action.kind) for outcome in outcomes] == ["update"]
    assert laptop.plan().empty
