"""A stage that is killed anywhere and run again: no row is lost, none is doubled."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta.pipelines.registry import Direction, Transfer
from lakeflow_job_meta.pipelines.stages.stage import Relation
from tests.chaos.mover import run_and_kill
from tests.databases.systems import System, on_mariadb, on_postgres
from tests.pipeline_ground import Route, route

SEED = int(os.environ.get("CHAOS_SEED", "1"))
KILLS = int(os.environ.get("CHAOS_KILLS", "2"))
ROWS = 12_000


@dataclass(frozen=True)
class Ground:
    """A table with rows to move, and one to move them to."""

    system: System
    source: Route
    sink: Route

    def checksum(self, table: str) -> Any:
        """What differs where any row does."""
        return self.system.run(
            "SELECT count(*) AS n, count(DISTINCT id) AS ids, sum(id) AS a, sum(amount) AS b, sum(length(what)) AS c, "
            f"max(made) AS d FROM {table}"
        )

    def lake_checksum(self) -> tuple[int, int, Any]:
        rows = self.source.rows()
        return len(rows), len({row["id"] for row in rows}), sum(row["amount"] for row in rows)

    def change(self) -> None:
        """A third of the rows changes, and as many come new."""
        third = ROWS // 3
        self.system.run(f"UPDATE orders SET amount = amount + 1, made = '2024-06-01 00:00:00' WHERE id <= {third}")
        self.system.run(
            "INSERT INTO orders SELECT id + 1000000, what, amount, '2024-06-02 00:00:00' FROM orders "
            f"WHERE id <= {third}"
        )


@pytest.fixture
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Ground:
    make = {"postgres": on_postgres, "mariadb": on_mariadb}[request.param]
    system = make(request.getfixturevalue(f"{request.param}_server"), "killed")
    numbers = {
        "postgres": f"generate_series(1, {ROWS}) AS t (i)",
        "mariadb": f"(SELECT seq AS i FROM seq_1_to_{ROWS}) AS t",
    }
    for name in ("orders", "copies"):
        columns = "id bigint PRIMARY KEY, what varchar(40), amount decimal(12, 2)"
        system.run(f"CREATE TABLE {name} ({columns}, made {system.moment})")
    step = {"postgres": "i * interval '1 second'", "mariadb": "interval i second"}[request.param]
    system.run(
        f"INSERT INTO orders SELECT i, concat('order ', i), i * 0.25, timestamp '2024-05-01 00:00:00' + {step} "
        f"FROM {numbers[request.param]}"
    )
    source = route(tmp_path / "home", system.type, system.creds, Relation(system.schema, "orders"))
    source = replace(source, secrets={"env:PASSWORD": system.password}).by("made")
    transfer = Transfer(Direction.DL_TO_SINK, None, "incremental", None, "made")
    return Ground(system, source, replace(source, relation=Relation(system.schema, "copies"), transfer=transfer))


def kill_again_and_again(way: Route, stage: str, whole: float) -> int:
    """Kill the stage at moments that a seed chooses, then let it end; says how often it was killed."""
    chance, killed = random.Random(SEED), 0
    for _ in range(KILLS):
        killed += run_and_kill(way, stage, chance.uniform(0.05, 1) * whole) is None
    assert run_and_kill(way, stage, None) is not None
    return killed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ground", "load_type"),
    [("postgres", "incremental"), ("postgres", "full"), ("mariadb", "incremental")],
    indirect=["ground"],
)
def test_killed_in_extract_and_load_both_ends_hold_the_same(ground: Ground, load_type: str) -> None:
    source, sink = ground.source.by("made", load_type), ground.sink.by("made", load_type)
    whole = {stage: run_and_kill(way, stage, None) or 0.0 for stage, way in (("extract", source), ("load", sink))}
    ground.change()
    killed = kill_again_and_again(source, "extract", whole["extract"])
    source.run("verify")
    killed += kill_again_and_again(sink, "load", whole["load"])
    sink.run("verify")
    assert ground.checksum("orders") == ground.checksum("copies")
    (count, distinct, *_), *_ = ground.checksum("orders")
    assert ground.lake_checksum()[:2] == (int(count), int(distinct))
    assert killed > 0
