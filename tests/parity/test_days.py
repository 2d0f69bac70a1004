"""The day that a table is partitioned by, in rows that come by SQL: filled on each engine, in any time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest

from lakeflow_job_meta.bootstrap.difference import differences
from lakeflow_job_meta.errors import LakeflowJobMetaError
from lakeflow_job_meta.model.column import Column, day_of
from lakeflow_job_meta.model.table import TableSpec
from lakeflow_job_meta.store.delta import DeltaStore
from tests.parity.engines import Engine

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

AT = Column("at", "TIMESTAMP", "REQUIRED")
LOCAL = Column("local", "TIMESTAMP_NTZ")
COLUMNS = (Column("id", "STRING", "REQUIRED"), AT, LOCAL, Column("n", "INT", default="7"), day_of(AT), day_of(LOCAL))

LATE = "timestamp'2024-01-31 23:30:00Z'"
FORMS = {
    "by name": "INSERT INTO {t} (at, id) VALUES ({at}, 'by name')",
    "by position": "INSERT INTO {t} VALUES ('by position', {at}, timestamp_ntz'2024-02-01 00:30:00')",
    "with the word": "INSERT INTO {t} VALUES ('with the word', {at}, NULL, DEFAULT)",
    "before 1970": "INSERT INTO {t} (id, at) VALUES ('before 1970', timestamp'1969-12-31 23:59:59.5Z')",
    "from a query": "INSERT INTO {t} (id, at, local) SELECT 'from a query', {at}, timestamp_ntz'2024-01-31 01:00:00'",
    "in a MERGE": "MERGE INTO {t} AS t USING (SELECT 'in a MERGE' AS id, {at} AS late) AS s ON t.id = s.id "
    "WHEN NOT MATCHED THEN INSERT (id, at) VALUES (s.id, s.late)",
}


def test_a_row_that_is_inserted_by_sql_lies_in_the_partition_of_its_day(engine: Engine) -> None:
    spec, store = TableSpec(engine.table(), COLUMNS, ("id",), partition_by=("at_day",)), engine.store
    store.create(spec)
    texts = [form.replace("{t}", str(spec.name)).replace("{at}", LATE) for form in FORMS.values()]
    store.sql(";\n".join(texts))
    rows = {row["id"]: row for row in engine.open().read(spec.name).rows}
    assert set(rows) == set(FORMS)
    old = rows.pop("before 1970")
    assert (old["at"], old["at_day"]) == (datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC), date(1969, 12, 31))
    assert {row["at_day"] for row in rows.values()} == {date(2024, 1, 31)}
    days = {name: row["local_day"] for name, row in rows.items() if row["local_day"]}
    assert days == {"by position": date(2024, 2, 1), "from a query": date(2024, 1, 31)}
    assert {row["n"] for row in rows.values()} == {7}


@pytest.mark.parametrize("engine", ["spark"], indirect=True)
def test_the_day_is_that_of_utc_whatever_the_sessions_time_zone(engine: Engine) -> None:
    spec, store = TableSpec(engine.table(), COLUMNS, ("id",), partition_by=("at_day",)), engine.store
    store.create(spec)
    store.sql("SET TIME ZONE 'Asia/Tokyo'")
    store.sql(f"INSERT INTO {spec.name} (id, at) VALUES ('a', {LATE}), ('b', timestamp'2024-02-01 08:30:00')")
    rows = engine.open().read(spec.name).rows
    assert {(row["at"], row["at_day"]) for row in rows} == {
        (datetime(2024, 1, 31, 23, 30, tzinfo=UTC), date(2024, 1, 31))
    }


@pytest.mark.parametrize("engine", ["spark"], indirect=True)
def test_days_that_the_engine_generates_are_found_as_declared_and_left_to_it(
    engine: Engine, spark: SparkSession
) -> None:
    # Without `local`: Spark opens no table of delta-rs that has a TIMESTAMP_NTZ beside a NOT NULL.
    columns = [each for each in COLUMNS if not each.name.startswith("local")]
    spec = TableSpec(engine.table(), tuple(columns), ("id",), partition_by=("at_day",))
    DeltaStore(engine.home).create(spec)  # it declares generated columns as Databricks does, where Spark's SQL can't
    folder = engine.home / "tables" / spec.name.catalog / spec.name.schema / spec.name.name
    spark.sql(f"CREATE TABLE {spec.name} USING DELTA LOCATION '{folder}'")
    found = engine.store.info(spec.name)
    assert found is not None
    assert differences(spec, found) == []
    # Noon is on the same day in whatever zone the engine's session is.
    engine.store.sql(f"INSERT INTO {spec.name} (id, at) VALUES ('a', timestamp'2024-01-31 12:00:00')")
    engine.store.sql(f"INSERT INTO {spec.name} VALUES ('b', timestamp'2024-01-31 12:00:00')")
    days = {row["at_day"] for row in engine.open().read(spec.name).rows}
    assert days == {date(2024, 1, 31)}


def test_an_insert_of_too_few_or_too_many_values_is_refused_as_ever(engine: Engine) -> None:
    spec, store = TableSpec(engine.table(), COLUMNS, ("id",), partition_by=("at_day",)), engine.store
    store.create(spec)
    for values in ("('a')", "('a', current_timestamp(), NULL, 1, NULL, NULL, 2)"):
        with pytest.raises(LakeflowJobMetaError):
            store.sql(f"INSERT INTO {spec.name} VALUES {values}")
    assert engine.open().read(spec.name).rows == ()
