"""What is Spark's own: sessions, guards, commits that are refused, answers that get lost."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from lakeflow_job_meta import SparkStore, UsageError
from lakeflow_job_meta.cli.app import run
from lakeflow_job_meta.errors import SqlError, StoreError
from lakeflow_job_meta.model.table import Changes, Column, Snapshot, TableName, TableSpec
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.store import statements
from lakeflow_job_meta.store.connection import LostRace
from lakeflow_job_meta.store.databricks_sql import SqlStore
from lakeflow_job_meta.store.edits import ACTION
from lakeflow_job_meta.store.open import open_store
from lakeflow_job_meta.store.spark import SparkConnection
from lakeflow_job_meta.store.statements import HASH, Decided
from tests.local_server import Site
from tests.parity.engines import fresh_schema

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture
def spec(spark: SparkSession) -> TableSpec:
    columns = (Column("id", "STRING", "REQUIRED"), Column("n", "INT"))
    made = TableSpec(TableName.parse(f"{fresh_schema(spark)}.t"), columns, ("id",))
    SparkStore(spark).create(made)
    return made


MODULE = """\
metadata_version: "1.0"
modules:
  - module_name: sales
    sources:
      - source_id: orders
        transformation_config: {task_type: notebook, notebook_path: /Shared/it's}
"""


def test_one_variable_points_the_command_line_at_spark(
    spark: SparkSession,
    site: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table, token = f"{fresh_schema(spark)}.control", uuid4().hex
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "sales.yml").write_text(MODULE, "utf-8")
    monkeypatch.chdir(tmp_path)
    for name, value in (
        ("LAKEFLOW_STORE", "spark"),
        ("LAKEFLOW_CONTROL_TABLE", table),
        ("LAKEFLOW_WORKSPACE", site.server.url),
        ("DATABRICKS_TOKEN", token),
    ):
        monkeypatch.setenv(name, value)

    def ljm(*arguments: str, code: int = 0) -> str:
        assert run([*arguments]) == code
        return capsys.readouterr().out

    ljm("load", "modules")
    assert "1 to create" in ljm("plan", "--detailed-exitcode", code=2)
    ljm("apply", "--yes")
    ljm("sql", f"UPDATE {table} SET is_active = false WHERE source_id = 'orders'")
    assert "1 to pause" in ljm("plan", "--detailed-exitcode", code=2)
    assert "sales" in ljm("status")
    assert "create" in ljm("log")
    (job,) = site.client(token).jobs.list()
    assert job.settings is not None
    assert job.settings.name == "Metadata_Driven_ETL_sales"


def settings_of(session: SparkSession) -> dict[str, str]:
    """The session's settings, but for the one that Delta itself writes into it."""
    return {row["key"]: row["value"] for row in session.sql("SET").collect() if "lastCommitVersion" not in row["key"]}


def test_the_store_takes_the_active_session_and_leaves_its_settings(spark: SparkSession, spec: TableSpec) -> None:
    before = settings_of(spark)
    store = open_store(Settings(str(spec.name), store="spark"))
    assert store.label == f"Spark {spark.version}"
    store.transact(spec, lambda snapshot: Changes(({"id": "a", "n": 1},)))
    assert [row["id"] for row in store.read(spec.name).rows] == ["a"]
    assert settings_of(spark) == before


def test_without_pyspark_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(UsageError) as caught:
        open_store(Settings("main.etl.control", store="spark"))
    assert "pip install 'lakeflow-job-meta[spark]'" in caught.value.hint


def test_importing_the_package_imports_no_pyspark() -> None:
    code = "import lakeflow_job_meta, sys; import lakeflow_job_meta.store.spark; print('pyspark' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert done.stdout.strip() == "False"


def test_values_of_every_shape_come_as_plain_ones(spark: SparkSession) -> None:
    moment = "timestamp'2024-04-06 15:15:00Z'"  # twice on the clocks of Lord Howe
    (row,) = SparkConnection(spark).run(
        f"SELECT {moment} AS t, array({moment}) AS a, map('x', {moment}) AS m,"
        f" named_struct('u', {moment}, 'v', X'00') AS s,"
        " timestamp'0001-01-01 00:00:00Z' AS old, timestamp_ntz'2024-01-01 00:00:00' AS plain, NULL AS nothing, 1 AS t2"
    )
    then = datetime(2024, 4, 6, 15, 15, tzinfo=UTC)
    assert row == {
        "t": then,
        "a": [then],
        "m": {"x": then},
        "s": {"u": then, "v": b"\x00"},
        "old": datetime(1, 1, 1, tzinfo=UTC),
        "plain": datetime(2024, 1, 1),
        "nothing": None,
        "t2": 1,
    }


def test_errors_are_told_once_and_without_a_trace(spark: SparkSession, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SqlError) as caught:
        SparkStore(spark).sql("SELECT 1/0")
    assert caught.value.message.startswith("[DIVIDE_BY_ZERO]")
    assert caught.value.message.endswith("SQLSTATE: 22012")
    with pytest.raises(SqlError, match="REQUIRES_SINGLE_PART_NAMESPACE") as caught:
        SparkStore(spark).sql("SELECT * FROM nosuch.etl.control")
    assert "docs/stores.md" in caught.value.hint
    assert "SQLQueryContextLogger" not in capfd.readouterr().err


def test_a_schema_that_is_not_there_is_named(spark: SparkSession, spec: TableSpec) -> None:
    lost = TableSpec(TableName.parse("main.nosuch.t"), spec.columns, spec.key)
    assert SparkStore(spark).info(lost.name) is None
    with pytest.raises(StoreError, match="SCHEMA_NOT_FOUND") as caught:
        SparkStore(spark).create(lost)
    assert "CREATE SCHEMA" in caught.value.hint


def test_a_table_replaced_under_the_same_history_is_another_table(spark: SparkSession, spec: TableSpec) -> None:
    store = SparkStore(spark)
    store.append(spec, [{"id": "a", "n": 1}])
    before = store.read(spec.name)
    spark.sql(f"CREATE OR REPLACE TABLE {spec.name} (id STRING, n INT) USING DELTA "
              "TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')")  # fmt: skip
    after = store.read(spec.name)
    assert after.version == before.version + 1
    assert after.table_id != before.table_id
    assert store.changes(spec, before.version) is None


def decided(store: SparkStore, spec: TableSpec, *edits: dict[str, Any], where: Any = None) -> Decided:
    """A write decided on the rows as they are now."""
    version = store.history(spec.name, 1)[0].version
    query = statements.select_to_decide(spec.name, version, where or {})
    rows = store.connection.run(query.text, query.parameters)
    hashes: dict[tuple[Any, ...], list[str]] = {}
    for row in rows:
        hashes.setdefault((row["id"],), []).append(row.pop(HASH))
    return Decided(spec, where or {}, hashes, ["id", "n"], spec.columns, edits)


def send(store: SparkStore, write: Decided) -> None:
    merge = statements.merge(write)
    store.connection.run(merge.text, merge.parameters)


def test_the_statement_itself_refuses_rows_that_moved(spark: SparkSession, spec: TableSpec) -> None:
    store = SparkStore(spark)
    store.append(spec, [{"id": "a", "n": 1}, {"id": "b", "n": 2}])
    everything = decided(
        store,
        spec,
        {"id": "a", "n": 10, ACTION: "update"},
        {"id": "b", ACTION: "delete"},
        {"id": "c", "n": 3, ACTION: "insert"},
    )
    only_c = decided(store, spec, {"id": "c", "n": 3, ACTION: "insert"}, where={"id": ["c"]})
    a_beside_b = decided(store, spec, {"id": "a", "n": 10, ACTION: "update"}, where={"id": ["a"]})

    spark.sql(f"UPDATE {spec.name} SET n = 20 WHERE id = 'b'")
    with pytest.raises(LostRace):
        send(store, everything)
    # A row guards itself too: here what was read is there, but under another key.
    with pytest.raises(LostRace):
        send(store, replace(a_beside_b, hashes={("x",): a_beside_b.hashes["a",]}))
    assert spark.sql(f"SELECT sum(n) FROM {spec.name}").collect()[0][0] == 21
    send(store, a_beside_b)  # b isn't in its scope
    send(store, only_c)
    with pytest.raises(LostRace):
        send(store, only_c)
    assert {row["id"]: row["n"] for row in store.read(spec.name).rows} == {"a": 10, "b": 20, "c": 3}


def test_sessions_that_count_at_the_same_time_lose_nothing(spark: SparkSession, spec: TableSpec) -> None:
    rounds, start = 3, threading.Barrier(2)
    stores = [SparkStore(spark.newSession()) for _ in range(2)]
    stores[0].append(spec, [{"id": "a", "n": 0}])

    def add_one(snapshot: Snapshot) -> Changes:
        (row,) = snapshot.rows
        return Changes(({"id": "a", "n": row["n"] + 1},))

    def count(store: SparkStore) -> None:
        start.wait()
        for _ in range(rounds):
            store.transact(spec, add_one)
            store.sql(f"UPDATE {spec.name} SET n = n + 1")

    with ThreadPoolExecutor(2) as pool:
        for counting in [pool.submit(count, store) for store in stores]:
            counting.result()
    assert stores[0].read(spec.name).rows == ({"id": "a", "n": 4 * rounds},)


class Unreliable:
    """A connection that fails at a MERGE, before or after it had its effect."""

    def __init__(self, session: SparkSession, when: str, times: int) -> None:
        self.spark = SparkConnection(session)
        self.label = self.spark.label
        self.when, self.times = when, times

    def run(self, statement: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        if not statement.startswith("MERGE") or self.times == 0:
            return self.spark.run(statement, parameters)
        self.times -= 1
        if self.when == "after":
            self.spark.run(statement, parameters)
        raise StoreError("the connection was cut")


def test_a_write_whose_answer_got_lost_is_looked_up(spark: SparkSession, spec: TableSpec) -> None:
    def add_one(snapshot: Snapshot) -> Changes:
        return Changes(({"id": "a", "n": sum(row["n"] for row in snapshot.rows) + 1},))

    assert SqlStore(Unreliable(spark, "after", 1)).transact(spec, add_one) == 1
    assert SqlStore(Unreliable(spark, "before", 2)).transact(spec, add_one) == 2
    with pytest.raises(StoreError, match="was cut"):
        SqlStore(Unreliable(spark, "before", 3)).transact(spec, add_one)
    assert SparkStore(spark).read(spec.name).rows == ({"id": "a", "n": 2},)


def test_many_rows_travel_in_one_statement(spark: SparkSession, spec: TableSpec) -> None:
    store = SparkStore(spark)
    rows = [{"id": f"s{number}", "n": number} for number in range(5000)]
    store.transact(spec, lambda snapshot: Changes(tuple(rows)))
    before = store.statements
    store.transact(spec, lambda snapshot: Changes(tuple({**row, "n": row["n"] + 1} for row in snapshot.rows)))
    assert store.statements - before == 3
    assert sum(row["n"] for row in store.read(spec.name).rows) == sum(range(5001))
