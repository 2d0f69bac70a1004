"""A shop's five tables through the pipeline registry: database → Delta → database, first all rows, then what is new.

    python examples/pipelines/shop.py            # PostgreSQL, with a private server that is gone afterwards
    python examples/pipelines/shop.py --sqlite   # the same between two SQLite files: needs just Python

Each command shown is run as shown; whatever isn't as it should be ends the example with an error.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parent), str(FOLDER.parents[1])]

from databases import PostgresDatabase, SqliteFile, postgres_binaries, postgres_server  # noqa: E402
from shop_data import TABLES, Rows, first_wave, second_wave  # noqa: E402
from tour import check, fail, heading, ljm, prepare, quietly, say, show  # noqa: E402

HOME = Path(".lakeflow/shop")
ENVIRONMENT = {
    "LAKEFLOW_HOME": str(HOME),
    "LAKEFLOW_CONTROL_TABLE": "main.shop.control",
    "LAKEFLOW_STORE": "embedded",
    "LAKEFLOW_WORKSPACE": "local",
}
PATIENCE_SECONDS, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 240.0, 0.5, 5.0
KEPT_AT = "{{secrets/shop/postgres}}"
DIRECTIONS = ("source_to_dl", "dl_to_sink")
INCREMENTAL: Mapping[str, str] = {"orders": "updated_at", "payments": "paid_at"}
"""Tables that grow, each with the column that tells what is new; the others are small, and are moved whole."""

Database = SqliteFile | PostgresDatabase


@dataclass(frozen=True)
class Shop:
    """Where the tables come from, and where they go."""

    source: Database
    sink: Database
    orders: int
    stages: Sequence[str] = ()

    def name(self, table: str) -> str:
        """How the registry calls a table of the source."""
        return ".".join(filter(None, ("shop", self.source.schema, table)))

    def registry(self, tables: Sequence[str]) -> str:
        """What is registered, as YAML."""
        lines = ['registry_version: "1.0"', "sources:", *_endpoint("source", "shop", self.source)]
        lines += ["destinations:", *_endpoint("destination", "reports", self.sink)]
        if self.stages:
            lines += ["templates:", "  default:"]
            lines += [f"    - {{stage_order: {number}, stage_name: {stage}, stage_type: {stage}}}"
                      for number, stage in enumerate(self.stages, start=1)]  # fmt: skip
        lines += ["tables:"]
        for table in tables:
            key = INCREMENTAL.get(table)
            lines += [
                f"  - source_tablename: {self.name(table)}",
                f"    sink_tablename: {self.name(table).replace('shop', 'reports', 1)}",
                f"    source_type: {self.source.system}",
                f"    sink_type: {self.sink.system}",
            ]
            for direction, minutes in zip(DIRECTIONS, (15, 60), strict=True):
                lines += [f"    {direction}_schedule: {minutes}"]
                lines += [f"    {direction}_load_type: {'incremental' if key else 'full'}"]
                lines += [f"    {direction}_incremental_key: {key}"] if key else []
        return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description="A shop's five tables through the pipeline registry.")
    parser.add_argument("--sqlite", action="store_true", help="between two SQLite files instead of PostgreSQL")
    parser.add_argument("--orders", type=int, default=2_000, help="how many orders the shop has [2000]")
    parser.add_argument("--tables", nargs="+", choices=[each.name for each in TABLES], help="only these tables")
    parser.add_argument("--stages", nargs="+", help="a template of just these, instead of the four that are built in")
    given = parser.parse_args()
    prepare(HOME, ENVIRONMENT)
    from lakeflow_job_meta import JobOrchestrator
    from lakeflow_job_meta.workspace.launcher import stop_local

    JobOrchestrator(ENVIRONMENT["LAKEFLOW_CONTROL_TABLE"]).ensure_setup()

    try:
        with databases(given.sqlite) as (source, sink):
            shop = Shop(source, sink, given.orders, given.stages or ())
            move(shop, given.tables or [each.name for each in TABLES])
    finally:
        stop_local(HOME)


def move(shop: Shop, tables: Sequence[str]) -> None:
    """The whole way, twice: all rows, then what a day has changed."""
    first = first_wave(shop.orders)
    for table in TABLES:
        shop.source.run(table.create)
        shop.sink.run(table.create)
        shop.source.put(table, first[table.name])
    heading("What moves is declared: where from, where to, how often")
    file = HOME / "shop.yml"
    file.write_text(shop.registry(tables), "utf-8")
    say(f"$ cat {file}")
    lines = file.read_text("utf-8").splitlines()
    show(lines[: 1 + lines.index("tables:") + 10])
    ljm("pipelines", "load", str(file))
    heading("Each direction of each table becomes a module, and so a job")
    show(ljm("pipelines", "sync")[:4])
    ljm("apply", "--yes")
    heading("All rows: into the data lake, and from there into the sink")
    run_all(shop, tables)
    compare(shop, tables)
    heading("A day later: new orders, some shipped; only what is new moves")
    change(shop, second_wave(first, shop.orders // 20), tables)
    last = run_all(shop, tables)
    compare(shop, tables)
    heading("Each run has a row, and each of its stages")
    show(ljm("pipelines", "runs", "show", str(last)))
    check_rest()


@contextmanager
def databases(sqlite: bool) -> Generator[tuple[Database, Database]]:
    """The two databases; a PostgreSQL server is ended afterwards."""
    if sqlite:
        yield SqliteFile(HOME / "shop.db"), SqliteFile(HOME / "reports.db")
        return
    binaries = postgres_binaries()
    if binaries is None:
        fail("PostgreSQL is installed: apt-get install postgresql (or take --sqlite)")
    with postgres_server(binaries) as server:
        say(f"A PostgreSQL server of our own runs on port {server.port}.")
        keep_secret(server.password)
        for name in ("shop", "reports"):
            server.psql("postgres", f"CREATE DATABASE {name}")
        yield PostgresDatabase(server, "shop", KEPT_AT), PostgresDatabase(server, "reports", KEPT_AT)


def keep_secret(password: str) -> None:
    """The password goes into the workspace: rows only say where it is."""
    from lakeflow_job_meta import JobOrchestrator

    client = JobOrchestrator(ENVIRONMENT["LAKEFLOW_CONTROL_TABLE"]).workspace_client
    client.secrets.create_scope("shop")
    client.secrets.put_secret("shop", "postgres", string_value=password)


def change(shop: Shop, changes: Rows, tables: Sequence[str]) -> None:
    for table in TABLES:
        if table.name in changes:
            shop.source.put(table, changes[table.name])
    say(", ".join(f"{len(changes[name])} rows of {name}" for name in changes if name in tables) + " are new.\n")


def run_all(shop: Shop, tables: Sequence[str]) -> int:
    """All tables at once, one direction after the other; the id of the last run."""
    runs: list[dict[str, Any]] = []
    for direction in DIRECTIONS:
        started = [
            json.loads("\n".join(ljm("pipelines", "run", shop.name(table), "--direction", direction, "-o", "json")))[0]
            for table in tables
        ]
        runs = wait_for([each["run_id"] for each in started])
        for run in runs:
            check(run["status"] == "success", f"{run['source_tablename']} moves ({run['error_message']})")
        moved = rows_moved([run["id"] for run in runs])
        show([f"  {run['source_tablename']:24} {direction:14} {moved[run['id']]:>8} rows" for run in runs])
    return int(runs[-1]["id"])


def wait_for(run_ids: Sequence[int]) -> list[dict[str, Any]]:
    """The rows of these runs when all have ended, as the record has them."""
    end, pause = time.monotonic() + PATIENCE_SECONDS, FIRST_PAUSE_SECONDS
    while True:
        with quietly():
            rows = json.loads("\n".join(ljm("pipelines", "runs", "-o", "json")))
        found = {row["id"]: row for row in rows if row["status"] in ("success", "failed")}
        if all(run_id in found for run_id in run_ids):
            return [found[run_id] for run_id in run_ids]
        check(time.monotonic() < end, f"all runs end within {PATIENCE_SECONDS:.0f} s")
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)


def rows_moved(run_ids: Sequence[int]) -> dict[int, int]:
    """What the stages that move rows have recorded, by run."""
    logs, stages = "main.pipelines.pipeline_run_stage_logs", "main.pipelines.pipeline_stages"
    query = (
        f"SELECT l.pipeline_run_id AS run, l.rows_processed AS rows FROM {logs} l JOIN {stages} s "
        "ON s.pipeline_name = 'default' AND s.stage_order = l.stage_order "
        f"WHERE s.stage_type IN ('extract', 'load') AND l.pipeline_run_id IN ({', '.join(map(str, run_ids))})"
    )
    with quietly():
        rows = json.loads("\n".join(ljm("sql", query, "-o", "json")))
    return {row["run"]: row["rows"] for row in rows}


def compare(shop: Shop, tables: Sequence[str]) -> None:
    """Both databases hold the same rows."""
    for table in TABLES:
        if table.name in tables:
            there, here = shop.source.rows(table), shop.sink.rows(table)
            check(there == here and there, f"{table.name} is the same at both ends")
    say(f"\nThe same rows at both ends: {len(tables)} of {len(tables)} tables.")


def check_rest() -> None:
    with quietly():
        lines = ljm("plan")
    check("unchanged" in lines[-1], "a run changes no job: nothing is left to do")


def _endpoint(kind: str, name: str, database: Database) -> list[str]:
    creds = [f"      {key}: {json.dumps(value)}" for key, value in database.creds.items()]
    return [f"  - {kind}_name: {name}", f"    {kind}_type: {database.system}", f"    {kind}_creds:", *creds]


if __name__ == "__main__":
    main()
