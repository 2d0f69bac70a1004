"""Every database with a driver: rows come out of it and get into it, whole and once, full and by key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta.errors import DatabaseError, InputError
from lakeflow_job_meta.pipelines.registry import Direction, Transfer
from lakeflow_job_meta.pipelines.stages.stage import Relation
from tests.databases.systems import System, on_duckdb, on_mariadb, on_postgres, on_sqlite
from tests.pipeline_ground import Route, route

COLUMNS = "(id bigint PRIMARY KEY, what varchar(40), amount decimal(12, 2), made {moment})"
STEP = "2024-05-01 {:02}:{:02}:00"


@dataclass(frozen=True)
class Ground:
    """A source with 100 orders and an empty sink, both in the same database."""

    system: System
    source: Route
    sink: Route

    def run(self, text: str) -> list[tuple[Any, ...]]:
        return self.system.run(text)

    def both(self) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """The rows of the source, and those of the sink."""
        text = "SELECT id, what, amount, made FROM {} ORDER BY id"
        return self.run(text.format("orders")), self.run(text.format("copies"))


@pytest.fixture(params=["postgres", "mariadb", "sqlite", "duckdb"])
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Ground:
    if request.param in ("postgres", "mariadb"):
        make = {"postgres": on_postgres, "mariadb": on_mariadb}[request.param]
        system = make(request.getfixturevalue(f"{request.param}_server"), "every")
    else:
        system = {"sqlite": on_sqlite, "duckdb": on_duckdb}[request.param](tmp_path)
    for name in ("orders", "copies"):
        system.run(f"CREATE TABLE {name} {COLUMNS.format(moment=system.moment)}")
    rows = [f"({i}, 'order {i} é€😀', {i * 1.25}, '{STEP.format(i // 60, i % 60)}')" for i in range(1, 101)]
    system.run(f"INSERT INTO orders VALUES {', '.join(rows)}")
    source = route(tmp_path / "home", system.type, system.creds, Relation(system.schema, "orders"))
    source = replace(source, secrets={"env:PASSWORD": system.password})
    sink = replace(
        source, relation=Relation(system.schema, "copies"), transfer=Transfer(Direction.DL_TO_SINK, None, "full")
    )
    return Ground(system, source, sink)


def test_rows_go_there_and_back_unchanged(ground: Ground) -> None:
    for way, stages in (
        (ground.source, ("driver_check", "extract", "verify")),
        (ground.sink, ("driver_check", "load", "verify")),
    ):
        for stage in stages:
            way.run(stage)
    here, there = ground.both()
    assert len(here) == 100
    assert here == there
    assert {type(row["made"]).__name__: str(row["amount"]) for row in ground.source.rows() if row["id"] == 1} == {
        "datetime": "1.25"
    }


@pytest.mark.parametrize("key", ["id", "made"])
def test_new_and_changed_rows_follow_by_key(ground: Ground, key: str) -> None:
    source, sink = ground.source.by(key), ground.sink.by(key)
    first = source.run("extract"), sink.run("load")
    assert [each.watermark for each in first] == [{"id": "100", "made": "2024-05-01 01:40:00"}[key]] * 2
    ground.run("UPDATE orders SET what = 'changed', made = '2024-05-02 00:00:00' WHERE id = 100")
    ground.run("INSERT INTO orders VALUES (101, '', NULL, '2024-05-02 00:00:00')")
    second = source.run("extract"), sink.run("load")
    assert [each.watermark for each in second] == [{"id": "101", "made": "2024-05-02 00:00:00"}[key]] * 2
    assert second[1].rows_processed in (2, 3)
    here, there = ground.both()
    assert len(here) == 101
    assert here == there
    assert (source.run("verify").notes, sink.run("verify").notes) == ((), ())


def test_what_is_not_new_is_not_moved_again(ground: Ground) -> None:
    source, sink = ground.source.by("made"), ground.sink.by("made")
    source.run("extract"), sink.run("load")
    before = source.versions()
    source.run("extract")
    assert source.versions() == before
    assert sink.run("load").rows_processed == 0


def test_a_span_is_moved_again(ground: Ground) -> None:
    source, sink = ground.source.by("made"), ground.sink.by("made")
    source.run("extract"), sink.run("load")
    ground.run("UPDATE orders SET what = 'x'")
    ground.run("DELETE FROM orders WHERE id IN (5, 10, 20)")
    span = ("2024-05-01 00:10", "2024-05-01 00:20")
    source.run("extract", span), sink.run("load", span)
    found = ground.run("SELECT id, what FROM copies ORDER BY id")
    assert [int(number) for number, what in found if what == "x"] == list(range(11, 20))
    assert [int(number) for number, _ in found] == [each for each in range(1, 101) if each != 10]


@pytest.mark.parametrize("span", [None, ("2024-05-01 00:10:00", "2024-05-01 00:20:00")], ids=["new rows", "a span"])
def test_rows_without_a_usable_key_are_told_before_anything_is_taken_for_gone(
    tmp_path: Path, span: tuple[str, str] | None
) -> None:
    system = on_sqlite(tmp_path)
    system.run(f"CREATE TABLE orders {COLUMNS.format(moment=system.moment)}")
    system.run("INSERT INTO orders VALUES (1, 'a', 1, '2024-05-01 00:11:00'), (2, 'b', 2, '2024-05-01 00:12:00')")
    source = route(tmp_path / "home", system.type, system.creds, Relation(system.schema, "orders")).by("made")
    source.run("extract")
    for made, said in (("'not a date'", "not a date"), ("NULL", "1 rows .* have no made")):
        system.run(f"UPDATE orders SET made = {made} WHERE id = 2")
        with pytest.raises(InputError, match=said):
            source.run("extract", span) if span else source.run("extract")
        assert source.values("id") == [1, 2]


def test_a_load_that_fails_leaves_the_sink_as_it_was(ground: Ground) -> None:
    source, sink = ground.source.by("id"), ground.sink.by("id")
    source.run("extract"), sink.run("load")
    ground.run("INSERT INTO orders VALUES (101, 'new', 1, '2024-05-02 00:00:00')")
    source.run("extract")
    before = ground.run("SELECT * FROM copies ORDER BY id")
    ground.run("CREATE UNIQUE INDEX one_what ON copies (what)")
    ground.run("UPDATE copies SET what = 'new' WHERE id = 7")
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        sink.run("load")
    ground.run("UPDATE copies SET what = 'order 7 é€😀' WHERE id = 7")
    assert ground.run("SELECT * FROM copies ORDER BY id") == before
    assert ground.run("SELECT watermark FROM _lakeflow_watermarks") == [("100",)]
    sink.run("load")
    assert ground.both()[0] == ground.both()[1]


@pytest.mark.parametrize("key", [None, "id"])
def test_a_decimal_that_is_no_number_is_told_with_its_column(tmp_path: Path, key: str | None) -> None:
    system = on_sqlite(tmp_path)
    system.run(f"CREATE TABLE orders {COLUMNS.format(moment=system.moment)}")
    whole = route(tmp_path / "home", system.type, system.creds, Relation(system.schema, "orders"))
    source = whole.by(key) if key else whole
    system.run("INSERT INTO orders VALUES (1, 'an order', 1.5, '2024-05-01 00:00:00')")
    source.run("extract")
    system.run("INSERT INTO orders VALUES (2, 'an order', 'abc', '2024-05-01 00:00:00')")
    with pytest.raises(DatabaseError, match=r"amount is DECIMAL\(12,2\), but has the value 'abc', a str") as told:
        source.run("extract")
    assert "C Data interface" not in str(told.value)


def test_a_missing_table_is_told(ground: Ground) -> None:
    elsewhere = replace(ground.source, relation=Relation(ground.system.schema, "ordrs"))
    with pytest.raises(InputError, match="there is no table"):
        elsewhere.run("driver_check")


@pytest.mark.parametrize("kind", ["parquet", "csv", "delta"])
def test_files_and_delta_tables_go_there_and_back(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    system = on_sqlite(tmp_path)
    system.run(f"CREATE TABLE orders {COLUMNS.format(moment='text')}")
    system.run("INSERT INTO orders VALUES (1, '', 1.5, NULL), (2, NULL, NULL, 'a, \"b\"\nc'), (3, 'é', 2, '')")
    first = route(tmp_path / "home", "sqlite", system.creds, Relation("", "orders"))
    first.run("extract")
    creds = '{"schema": "out"}' if kind == "delta" else f'{{"path": "{folder}"}}'
    sink = route(tmp_path / "home", kind, creds, Relation("", "copies"), "dl_to_sink")
    for stage in ("driver_check", "load", "verify", "load"):
        sink.run(stage)
    back = replace(
        route(tmp_path / "home", kind, creds, Relation("", "copies")), lake=replace(first.lake, name="again")
    )
    for stage in ("driver_check", "extract", "verify"):
        back.run(stage)
    texts = [{name: None if value is None else str(value) for name, value in row.items()} for row in first.rows()]
    found = [{name: None if value is None else str(value) for name, value in row.items()} for row in back.rows()]
    assert sorted(found, key=lambda row: row["id"]) == texts
    with pytest.raises(InputError, match="no primary key"):
        sink.by("id").run("load")
