"""Values of every type, as hypothesis finds them, come back from the data lake as the text that they were."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from lakeflow_job_meta.pipelines.registry import Direction, Transfer
from lakeflow_job_meta.pipelines.stages.stage import Relation
from tests.databases.server import DatabaseServer
from tests.databases.systems import System, on_mariadb, on_postgres
from tests.pipeline_ground import Route, postgres_session, route

ROWS = 25
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    ["", " ", "NULL"]
)
BYTES = st.binary(max_size=30)
FLOATS = st.floats(width=64)
FINITE = st.floats(width=64, allow_nan=False, allow_infinity=False)
SINGLES = st.floats(width=32)
MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))
DAYS = st.dates()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
).map(json.dumps)


def whole(bits: int) -> SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def decimals(digits: int, scale: int) -> SearchStrategy[Decimal]:
    return st.integers(-(10**digits) + 1, 10**digits - 1).map(lambda number: Decimal(f"{number}e-{scale}"))


def array(inner: SearchStrategy[Any]) -> SearchStrategy[str]:
    """An array as PostgreSQL writes it."""

    def written(values: list[Any]) -> str:
        return (
            "{"
            + ",".join("NULL" if each is None else json.dumps(str(each), ensure_ascii=False) for each in values)
            + "}"
        )

    return st.lists(st.none() | inner, max_size=4).map(written)


def as_bytes(value: bytes) -> str:
    return "\\x" + value.hex()


def interval(span: timedelta) -> str:
    return f"{span.days} days {span.seconds}.{span.microseconds:06} s"


PLAIN_JSON = JSON.filter(lambda text: "\\u0000" not in text)

POSTGRES: Mapping[str, SearchStrategy[Any]] = {
    "boolean": st.booleans(), "smallint": whole(16), "integer": whole(32), "bigint": whole(64), "real": SINGLES,
    "double precision": FLOATS, "numeric(38,10)": decimals(38, 10), "numeric(5,5)": decimals(5, 5),
    "numeric": st.decimals(allow_nan=True, allow_infinity=True).filter(lambda found: not found.is_snan()).map(
        lambda found: Decimal("NaN") if found.is_nan() else found
    ).filter(lambda found: not found.is_finite() or abs(found.adjusted()) < 200),
    "text": TEXTS, "varchar(40)": TEXTS, "char(5)": st.text("ab é€", max_size=5), "bytea": BYTES.map(as_bytes),
    "date": DAYS, "time": st.times(), "timetz": st.times().map(lambda found: f"{found}+05:30"), "timestamp": MOMENTS,
    "timestamptz": MOMENTS.map(lambda found: f"{found}-03:30"),
    "interval": st.timedeltas(timedelta(-9999), timedelta(9999)).map(interval),
    "uuid": st.uuids(), "json": PLAIN_JSON, "jsonb": PLAIN_JSON,
    "inet": st.ip_addresses(), "bit varying": st.text("01", max_size=9), "money": decimals(9, 2),
    "int4range": st.just("[1,5)"),
    "integer[]": array(whole(32)), "text[]": array(TEXTS), "numeric(20,4)[]": array(decimals(20, 4)),
    "timestamptz[]": array(MOMENTS.map(lambda found: f"{found}+00")), "uuid[]": array(st.uuids()),
    "boolean[]": array(st.booleans()), "bytea[]": array(BYTES.map(as_bytes)), "double precision[]": array(FLOATS),
}  # fmt: skip

MARIADB: Mapping[str, SearchStrategy[Any]] = {
    "tinyint(1)": whole(8), "smallint": whole(16), "mediumint": whole(24), "int unsigned": st.integers(0, 2**32 - 1),
    "bigint": whole(64), "bigint unsigned": st.integers(0, 2**64 - 1),
    "float": SINGLES.filter(lambda found: abs(found) < 3e38),
    "double": FINITE.filter(lambda found: found == 0 or 1e-300 < abs(found) < 1e300),
    "decimal(38,10)": decimals(38, 10),
    "decimal(60,20)": decimals(60, 20), "varchar(40) character set utf8mb4": TEXTS, "text": TEXTS,
    "char(5)": st.text("ab é€", max_size=5), "varbinary(30)": BYTES,
    "binary(3)": st.binary(min_size=3, max_size=3),
    "blob": BYTES,
    "date": DAYS, "datetime(6)": MOMENTS, "datetime": MOMENTS.map(lambda found: found.replace(microsecond=0)),
    "timestamp(6) null": st.datetimes(datetime(1971, 1, 1), datetime(2037, 12, 30)),
    "time(6)": st.times().filter(lambda found: found != time()), "year": st.integers(1901, 2155), "json": JSON,
    "enum('a','b','')": st.sampled_from(["a", "b", ""]), "set('x','y')": st.sampled_from(["", "x", "x,y"]),
    "bit(9)": st.integers(0, 511),
    "uuid": st.uuids(version=4), "inet6": st.ip_addresses(v=6),
}  # fmt: skip


def rows_of(types: Mapping[str, SearchStrategy[Any]]) -> SearchStrategy[list[tuple[Any, ...]]]:
    return st.lists(st.tuples(*(st.none() | each for each in types.values())), min_size=1, max_size=ROWS)


@dataclass(frozen=True)
class Ground:
    """A table with a column of each type, and one like it for what comes back."""

    system: System
    source: Route
    sink: Route

    @classmethod
    def new(cls, system: System, types: Mapping[str, Any], home: Path) -> Ground:
        columns = ", ".join(f"c{place} {kind}" for place, kind in enumerate(types))
        for name in ("things", "copies"):
            system.run(f"CREATE TABLE {name} (id int PRIMARY KEY, {columns})")
        source = route(home, system.type, system.creds, Relation(system.schema, "things"))
        source = replace(source, secrets={"env:PASSWORD": system.password})
        transfer = Transfer(Direction.DL_TO_SINK, None, "full")
        return cls(system, source, replace(source, relation=Relation(system.schema, "copies"), transfer=transfer))

    def check(self, shown: str) -> None:
        """Move all rows there and back, and compare what the database shows of them."""
        self.source.run("extract")
        self.sink.run("load")
        text = "SELECT {} FROM {} ORDER BY id"
        assert self.system.run(text.format(shown, "copies")) == self.system.run(text.format(shown, "things"))


QUIET = settings(
    max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), phases=(Phase.explicit, Phase.generate)
)
"""Few examples of many rows: to look for a smaller one takes minutes."""


def test_every_type_of_postgresql_comes_back_unchanged(tmp_path: Path, postgres_server: DatabaseServer) -> None:
    system = on_postgres(postgres_server, "trips")
    ground = Ground.new(system, POSTGRES, tmp_path)
    values = ", ".join(f"${place}::text::{kind}" for place, kind in enumerate(POSTGRES, 2))
    shown = ", ".join(f"c{place}::text AS c{place}" for place in range(len(POSTGRES)))

    @QUIET
    @given(rows_of(POSTGRES))
    @example([tuple(None for _ in POSTGRES)])
    def check(rows: list[tuple[Any, ...]]) -> None:
        with postgres_session(postgres_server) as session:
            session.run("DELETE FROM trips.things")
            for number, row in enumerate(rows):
                given = [str(number), *(None if each is None else str(each) for each in row)]
                session.run(f"INSERT INTO trips.things VALUES ($1::text::int, {values})", given)  # type: ignore[arg-type]
        ground.check(shown)

    check()


def test_every_type_of_mariadb_comes_back_unchanged(tmp_path: Path, mariadb_server: DatabaseServer) -> None:
    from lakeflow_job_meta.pipelines.drivers import mysql

    system = on_mariadb(mariadb_server, "trips")
    ground = Ground.new(system, MARIADB, tmp_path)
    told = {"host": "127.0.0.1", "port": str(mariadb_server.port), "user": mariadb_server.user}
    session = mysql.connect({**mysql.OPTIONS, **told, "password": mariadb_server.password, "database": "trips"})
    shown = ", ".join(
        f"hex(c{place})" if kind == "bit(9)" else f"c{place} + 0e0" if kind == "float" else f"c{place}"
        for place, kind in enumerate(MARIADB)
    )
    values = ", ".join(["%s"] * (len(MARIADB) + 1))

    @QUIET
    @given(rows_of(MARIADB))
    @example([tuple(None for _ in MARIADB)])
    def check(rows: list[tuple[Any, ...]]) -> None:
        session.run("DELETE FROM things")
        for number, row in enumerate(rows):
            plain = [each if isinstance(each, int | float | bytes | None) else str(each) for each in row]
            session.run(f"INSERT INTO things VALUES ({values})", [number, *plain])
        ground.check(shown)

    check()
    session.close()
