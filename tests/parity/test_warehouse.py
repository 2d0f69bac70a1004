"""A SQL warehouse over its real wire: values, errors, sessions, and what becomes of a statement when the wire fails."""

from __future__ import annotations

import gc
import logging
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.control.tenure import Tenure
from lakeflow_job_meta.errors import SqlError, StoreError, TableNotFound
from lakeflow_job_meta.model.table import Changes, Snapshot, TableName, TableSpec
from lakeflow_job_meta.store.connection import LostRace
from lakeflow_job_meta.store.warehouse import WarehouseConnection
from tests.parity.engines import fresh_schema

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from tests.parity.warehouse_server import WarehouseServer

HOSTILE = [
    "it's", 'say "x"', "a\\b\\", "\\' OR 1=1 --", "two\nlines\r\ttab", "😀 ü ẞ", "", " ", "; DROP TABLE t",
    "${spark.app.name}", ":p ? %s %%", "`t`", "\\u0041", "/* no */", "{'a': 1}", "x" * 100_000,
]  # fmt: skip


@pytest.fixture
def connection(warehouse: WarehouseServer) -> WarehouseConnection:
    return warehouse.connection()


@pytest.fixture
def table(connection: WarehouseConnection, spark: SparkSession, warehouse: WarehouseServer) -> str:
    """An empty table of an id and a number, made over the wire."""
    name = f"{fresh_schema(spark)}.t"
    connection.run(f"CREATE TABLE {name} (id STRING, n INT) USING DELTA")
    warehouse.calm()
    return name


def count(connection: WarehouseConnection, table: str) -> int:
    return connection.run(f"SELECT count(*) AS n FROM {table}")[0]["n"]


@pytest.mark.parametrize("arrow", [True, False], ids=["arrow", "columns"])
def test_values_come_as_the_embedded_store_has_them(
    warehouse: WarehouseServer, connection: WarehouseConnection, arrow: bool
) -> None:
    warehouse.calls.front.arrow = arrow
    (row,) = connection.run(
        "SELECT 'x' AS s, 1 AS i, 3000000000 AS l, 1.5D AS d, true AS b, X'00FF' AS raw, DATE '2024-02-29' AS day, "
        "TIMESTAMP '1900-01-01 00:00:00.000001' AS old, TIMESTAMP '2024-10-27 00:30:00.123456+02:00' AS at, "
        "CAST(1.50 AS DECIMAL(10, 2)) AS price, array('a', 'b') AS list, map('k', 'v') AS map, "
        "named_struct('x', 1) AS parts, CAST(NULL AS MAP<STRING, STRING>) AS no_map, NULL AS nothing"
    )
    assert row == {
        "s": "x", "i": 1, "l": 3_000_000_000, "d": 1.5, "b": True, "raw": b"\x00\xff", "day": date(2024, 2, 29),
        "old": datetime(1900, 1, 1, 0, 0, 0, 1, UTC), "at": datetime(2024, 10, 26, 22, 30, 0, 123456, UTC),
        "price": Decimal("1.50"), "list": ["a", "b"], "map": {"k": "v"},
        "parts": {"x": 1}, "no_map": None, "nothing": None,
    }  # fmt: skip
    assert type(row["at"]) is datetime and row["at"].utcoffset() == timedelta()


@pytest.mark.parametrize("arrow", [True, False], ids=["arrow", "columns"])
def test_no_text_is_more_than_a_text(warehouse: WarehouseServer, connection: WarehouseConnection, arrow: bool) -> None:
    warehouse.calls.front.arrow = arrow
    given = {f"p{place}": text for place, text in enumerate(HOSTILE)}
    (row,) = connection.run("SELECT " + ", ".join(f":{name} AS {name}" for name in given), given)
    assert row == given


def test_a_parameter_has_the_type_of_its_value(connection: WarehouseConnection) -> None:
    moment, naive = datetime(2024, 1, 2, 3, 4, 5, 6, UTC), datetime(2024, 1, 2, 3, 4, 5)
    given: dict[str, Any] = {
        "int": -5, "bigint": 2**62, "double": 1e300, "boolean": False, "string": "5", "void": None,
        "date": date(2024, 2, 29), "timestamp": moment, "naive": naive,
    }  # fmt: skip
    asked = ", ".join(f":{name} AS `{name}`, typeof(:{name}) AS `type of {name}`" for name in given)
    (row,) = connection.run(f"SELECT {asked}", given)
    assert {name: row[name] for name in given} == {**given, "naive": naive.replace(tzinfo=UTC)}
    assert {name: row[f"type of {name}"] for name in given} == {
        **{name: name for name in given}, "naive": "timestamp",
    }  # fmt: skip
    assert connection.run("SELECT id FROM range(9) ORDER BY id LIMIT :n", {"n": 2}) == [{"id": 0}, {"id": 1}]


def test_what_the_driver_would_change_or_cannot_send_is_refused(
    warehouse: WarehouseServer, connection: WarehouseConnection
) -> None:
    for statement, parameters in (("SELECT '%(n)s', :n", {"n": 1}), ("SELECT :text", {"text": "half \ud83d"})):
        with pytest.raises(SqlError):
            connection.run(statement, parameters)
    assert warehouse.statements() == []
    assert connection.run("SELECT '%(n)s' AS text") == [{"text": "%(n)s"}]


def test_a_big_result_comes_as_arrow_in_parts(warehouse: WarehouseServer, connection: WarehouseConnection) -> None:
    rows = connection.run("SELECT id, CAST(id AS STRING) AS text, timestamp_seconds(id) AS at FROM range(20000)")
    assert sorted(row["id"] for row in rows) == list(range(20000))
    assert all(row["text"] == str(row["id"]) for row in rows)
    assert rows[0]["at"].tzinfo is not None
    assert (len(warehouse.statements()), warehouse.count("FetchResults")) == (1, 2)


def test_a_statement_without_a_result_has_no_rows(connection: WarehouseConnection, table: str) -> None:
    assert connection.run(f"ALTER TABLE {table} SET TBLPROPERTIES ('x' = 'y')") == []
    assert connection.run(f"SELECT * FROM {table}") == []


@pytest.mark.parametrize(
    ("statement", "kind", "told"),
    [
        ("SELECT * FROM main.nowhere.nothing", TableNotFound, "[TABLE_OR_VIEW_NOT_FOUND] The table or view"),
        ("SELEC 1", SqlError, "[PARSE_SYNTAX_ERROR] Syntax error at or near 'SELEC'. SQLSTATE: 42601"),
        ("SELECT nothing", SqlError, "[UNRESOLVED_COLUMN.WITHOUT_SUGGESTION] "),
        ("SELECT 1/0", SqlError, "[DIVIDE_BY_ZERO] Division by zero."),
    ],
)
def test_the_engine_s_word_is_told_in_one_line(
    connection: WarehouseConnection, statement: str, kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind) as caught:
        connection.run(statement)
    message = str(caught.value).partition("\n  hint:")[0]
    assert message.startswith(told) and "SQLSTATE: " in message
    assert "\n" not in message and "org.apache" not in message


def test_who_loses_a_race_is_told_so(warehouse: WarehouseServer, connection: WarehouseConnection, table: str) -> None:
    connection.run(f"INSERT INTO {table} VALUES ('a', 0)")
    together = threading.Barrier(3)

    def add(_: int) -> bool:
        connection.run("SELECT 1")  # the session is there
        together.wait(60)
        try:
            connection.run(f"UPDATE {table} SET n = n + 1 WHERE id = 'a'")
        except LostRace:
            return False
        return True

    with ThreadPoolExecutor(3) as pool:
        won = list(pool.map(add, range(3)))
    assert connection.run(f"SELECT n FROM {table}") == [{"n": sum(won)}]
    assert not all(won)


def test_a_read_is_run_again_once_after_the_connection_broke(
    warehouse: WarehouseServer, connection: WarehouseConnection
) -> None:
    for when in ("before", "after"):
        warehouse.calm()
        warehouse.fault("ExecuteStatement", "drop", when=when)
        assert connection.run("SELECT 1 AS one") == [{"one": 1}]
        assert len(warehouse.statements()) == 2
    warehouse.fault("ExecuteStatement", "drop", times=2)
    with pytest.raises(StoreError, match="the connection broke"):
        connection.run("SELECT 1 AS one")


@pytest.mark.parametrize(("when", "done"), [("before", 0), ("after", 1)])
def test_a_write_is_not_run_again_after_the_connection_broke(
    warehouse: WarehouseServer, connection: WarehouseConnection, table: str, when: str, done: int
) -> None:
    write = f"INSERT INTO {table} VALUES ('a', 1)"
    warehouse.fault("ExecuteStatement", "drop", "INSERT", when=when)
    with pytest.raises(StoreError, match="whether it was done isn't known"):
        connection.run(write)
    assert count(connection, table) == done
    assert warehouse.statements().count(write) == 1


def test_a_write_that_is_still_running_ends_with_its_connection(
    warehouse: WarehouseServer, connection: WarehouseConnection, table: str, spark: SparkSession
) -> None:
    warehouse.calls.front.direct_seconds = 0
    warehouse.fault("ExecuteStatement", "drop", "INSERT", when="begun")
    long = "SELECT a.id FROM range(100000) a CROSS JOIN range(100000) b WHERE a.id * b.id = -1"
    with pytest.raises(StoreError, match="whether it was done isn't known"):
        connection.run(f"INSERT INTO {table} SELECT CAST(id AS STRING), 1 FROM ({long})")
    assert warehouse.count("CloseSession") == 1
    deadline = time.monotonic() + 20
    tracker = spark.sparkContext.statusTracker()
    while tracker.getActiveJobsIds():
        assert time.monotonic() < deadline, "it goes on"
        time.sleep(0.05)
    assert count(connection, table) == 0


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_merge_has_its_effect_exactly_once_whatever_the_connection_does(
    warehouse: WarehouseServer, spark: SparkSession, when: str
) -> None:
    name = TableName.parse(f"{fresh_schema(spark)}.t")
    spec = TableSpec.from_json(
        name, {"fields": [{"name": "id", "type": "STRING"}, {"name": "n", "type": "INT"}], "key": ["id"]}
    )
    store = warehouse.store()
    store.create(spec)
    store.append(spec, [{"id": "a", "n": 0}, {"id": "b", "n": 0}])

    def add(snapshot: Snapshot) -> Changes:
        return Changes(tuple({"id": row["id"], "n": row["n"] + 1} for row in snapshot.rows))

    warehouse.calm()
    fault = warehouse.fault("ExecuteStatement", "drop", "MERGE", when=when)
    assert store.transact(spec, add) == 2
    assert fault.struck.is_set()
    assert sorted(row["n"] for row in store.read(name).rows) == [1, 1]


@pytest.mark.parametrize("how", ["by the engine", "by what stands before it"])
def test_what_was_not_begun_is_run_in_a_new_session_after_the_old_one_expired(
    warehouse: WarehouseServer, connection: WarehouseConnection, table: str, how: str
) -> None:
    write = f"INSERT INTO {table} VALUES ('a', 1)"
    if how == "by the engine":
        warehouse.fault("ExecuteStatement", "expire", "INSERT")
    else:
        told = {"x-thriftserver-error-message": "BAD_REQUEST: Invalid SessionHandle: Session [01f05276] is closed."}
        warehouse.fault("ExecuteStatement", "status", "INSERT", status=400, headers=told)
    connection.run(write)
    assert count(connection, table) == 1
    assert (warehouse.statements().count(write), warehouse.count("OpenSession")) == (2, 1)


def test_a_warehouse_that_starts_is_waited_for_and_that_is_told_once(
    warehouse: WarehouseServer, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    warehouse.fault("OpenSession", "status", status=503, headers={"Retry-After": "0"}, times=2)
    warehouse.fault("ExecuteStatement", "status", status=503, headers={"Retry-After": "0"})
    warehouse.fault("ExecuteStatement", "status", status=429)
    fresh = warehouse.connection()
    with caplog.at_level(logging.INFO, "lakeflow_job_meta"):
        fresh.run(f"INSERT INTO {table} VALUES ('a', 1)")
    assert [record.getMessage() for record in caplog.records if record.name.startswith("lakeflow_job_meta")] == [
        f"waiting for {fresh.label}: HTTP 503, it may be starting"
    ]
    assert count(fresh, table) == 1


def test_a_503_that_says_nothing_of_coming_again_may_hide_a_write(
    warehouse: WarehouseServer, connection: WarehouseConnection, table: str
) -> None:
    warehouse.fault("ExecuteStatement", "status", "INSERT", status=503, when="after")
    with pytest.raises(StoreError, match="whether it was done isn't known"):
        connection.run(f"INSERT INTO {table} VALUES ('a', 1)")
    assert count(connection, table) == 1


def test_a_running_statement_is_followed_through_lost_answers(
    warehouse: WarehouseServer, connection: WarehouseConnection, table: str
) -> None:
    warehouse.calls.front.direct_seconds = 0
    warehouse.fault("GetOperationStatus", "drop")
    warehouse.fault("GetOperationStatus", "status", status=503)
    connection.run(f"INSERT INTO {table} VALUES ('a', 1)")
    assert len(warehouse.statements()) == 1
    warehouse.fault("GetOperationStatus", "drop")
    with pytest.raises(SqlError, match="DIVIDE_BY_ZERO"):
        connection.run("SELECT 1/0")
    assert count(connection, table) == 1


def test_nobody_waits_for_the_statement_of_another_thread(
    warehouse: WarehouseServer, connection: WarehouseConnection, table: str
) -> None:
    with ThreadPoolExecutor(1) as pool, warehouse.holding("ExecuteStatement", "INSERT") as held:
        slow = pool.submit(connection.run, f"INSERT INTO {table} VALUES ('slow', 1)")
        assert held.struck.wait(10)
        for number in range(3):
            connection.run(f"MERGE INTO {table} USING (SELECT 'beat' AS k, :n AS m) ON id = k "
                           "WHEN MATCHED THEN UPDATE SET n = m WHEN NOT MATCHED THEN INSERT (id, n) VALUES (k, m)",
                           {"n": number})  # fmt: skip
        assert not slow.done()
    slow.result()
    rows = connection.run(f"SELECT * FROM {table}")
    assert sorted((row["id"], row["n"]) for row in rows) == [("beat", 2), ("slow", 1)]


def test_the_lease_lives_on_while_a_statement_takes_long(warehouse: WarehouseServer, spark: SparkSession) -> None:
    tables = ControlTables.of(TableName.parse(f"{fresh_schema(spark)}.control"))
    store = warehouse.store()
    store.create(tables.jobs)
    tenure = Tenure(store, tables, "42", ttl=2.0)
    tenure.take(lambda snapshot: Changes(), datetime.now(UTC), timeout=0)
    taken = tenure.current()
    with ThreadPoolExecutor(1) as pool, warehouse.holding("ExecuteStatement", "SELECT 'long'") as held:
        long = pool.submit(store.sql, "SELECT 'long' AS x")
        assert held.struck.wait(60)
        warehouse.calls.seen.clear()
        deadline = time.monotonic() + 60
        while sum("MERGE INTO" in each for each in warehouse.statements()) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        beaten = tenure.current()
        assert not long.done()
    tenure.abandon()
    assert long.result() == [{"x": "long"}]
    assert taken is not None and beaten is not None
    assert (beaten.epoch, beaten.holder) == (taken.epoch, tenure.holder) and beaten != taken


def test_threads_that_come_and_go_share_a_session(warehouse: WarehouseServer, connection: WarehouseConnection) -> None:
    connection.run("SELECT 1")
    for _ in range(4):
        thread = threading.Thread(target=connection.run, args=("SELECT 1",))
        thread.start()
        thread.join()
    connection.run("SELECT 1")
    assert (warehouse.count("OpenSession"), len(warehouse.statements())) == (2, 6)


def test_a_session_ends_with_its_connection(warehouse: WarehouseServer) -> None:
    warehouse.connection().run("SELECT 1")
    warehouse.connections.clear()
    gc.collect()
    assert (warehouse.count("OpenSession"), warehouse.count("CloseSession")) == (1, 1)


def test_a_connection_that_was_closed_opens_again(warehouse: WarehouseServer, connection: WarehouseConnection) -> None:
    for _ in range(2):
        assert connection.run("SELECT 1 AS one") == [{"one": 1}]
        connection.close()
    assert (warehouse.count("OpenSession"), warehouse.count("CloseSession")) == (2, 2)


def test_a_refused_token_is_told_with_a_hint_and_never_shown(
    warehouse: WarehouseServer, caplog: pytest.LogCaptureFixture
) -> None:
    secret = f"dapi{uuid4().hex}"
    refused = warehouse.connection(token=secret)
    with caplog.at_level(logging.DEBUG), pytest.raises(StoreError, match=r"403: Invalid access token\.") as caught:
        refused.run("SELECT 1")
    assert "CAN USE" in caught.value.hint
    everything = "".join(traceback.format_exception(caught.value)) + caplog.text + repr(refused) + repr(vars(refused))
    assert secret not in everything
    assert warehouse.statements() == []


def test_a_certificate_that_nobody_vouches_for_is_refused(warehouse: WarehouseServer, tmp_path: Path) -> None:
    from tests.certificate import certificate

    stranger, _ = certificate(tmp_path)
    with pytest.raises(StoreError, match="its certificate isn't trusted") as caught:
        warehouse.connection(ca_file=stranger).run("SELECT 1")
    assert "LAKEFLOW_WAREHOUSE_CA_FILE" in caught.value.hint
    assert warehouse.calls.seen == []
