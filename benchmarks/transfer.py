"""`python -m benchmarks.transfer`: what it costs to move a table of PostgreSQL, beside COPY to a file and beside dlt.

Each figure is of a process of its own: wall time from its first import to its end, peak of resident memory.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.databases.postgres import binary, postgres_server
from tests.databases.server import DatabaseServer
from tests.databases.systems import on_postgres
from tests.pipeline_ground import route

TABLE = """
CREATE TABLE orders AS SELECT i::bigint AS id, (i % 1000)::int AS shop, 'name of row ' || i AS name,
       (i * 1.25)::numeric(12, 2) AS amount, timestamptz '2024-01-01 00:00Z' + i * interval '1 second' AS changed,
       i % 7 = 0 AS paid, md5(i::text) AS hash, i * 0.5::float8 AS share
FROM generate_series(1, {}) AS i
"""
STAGE = """
import sys
from benchmarks.transfer import run_stage
run_stage(*sys.argv[1:])
"""
DLT = """
import sys
import dlt
from dlt.sources.sql_database import sql_table
url, folder, backend = sys.argv[1:]
table = sql_table(url, table="orders", schema="bench", backend=backend, chunk_size=100_000, reflection_level="full")
target = dlt.destinations.filesystem(folder)
pipeline = dlt.pipeline("bench", destination=target, dataset_name="out", pipelines_dir=folder)
print(pipeline.run(table, loader_file_format="parquet", table_format="delta", write_disposition="replace"))
"""


@dataclass(frozen=True)
class Cost:
    """What a process took."""

    seconds: float
    cpu: float
    megabytes: float


def measure(command: Sequence[str], extra: Mapping[str, str] | None = None, output: Path | None = None) -> Cost:
    """Run a command to its end."""
    began = time.monotonic()
    with (output or Path(os.devnull)).open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, env={**os.environ, **(extra or {})})
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return Cost(time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def run_stage(stage: str, home: str, creds: str, password: str, load_type: str, key: str) -> None:
    """What a task of a job does."""
    table, direction = {"extract": ("orders", "source_to_dl"), "load": ("copies", "dl_to_sink")}[stage]
    from lakeflow_job_meta.pipelines.stages.stage import Relation

    way = route(Path(home), "postgres", creds, Relation("bench", table), direction, password)
    way.by(key or None, load_type).run(stage)


def measured(server: DatabaseServer, folder: Path, rows: int, dlt_python: str | None) -> dict[str, Cost]:
    """All cases on one table."""
    system = on_postgres(server, "bench")
    system.run(TABLE.format(rows))
    system.run("ALTER TABLE orders ADD PRIMARY KEY (id)")
    system.run("CREATE TABLE copies (LIKE orders INCLUDING ALL)")
    system.run("VACUUM ANALYZE orders")
    psql, where = str(binary("psql")), ["-h", server.host, "-p", str(server.port), "-U", server.user]
    login = {"PGPASSWORD": server.password}

    def stage(name: str, load_type: str = "full", key: str = "") -> Cost:
        words = [name, str(folder / "home"), system.creds, server.password, load_type, key]
        return measure([sys.executable, "-c", STAGE, *words])

    found = {
        "COPY … TO, CSV, by psql": measure(
            [psql, "-q", *where, "-c", "COPY bench.orders TO STDOUT CSV"], login, folder / "orders.csv"
        ),
        "extract, full": stage("extract"),
        "load, full": stage("load"),
    }
    found["COPY … FROM, CSV, by psql"] = measure(
        [
            psql,
            "-q",
            *where,
            "-c",
            "TRUNCATE bench.copies",
            "-c",
            rf"\copy bench.copies FROM '{folder}/orders.csv' CSV",
        ],
        login,
    )
    if dlt_python:
        url = f"postgresql://{server.user}:{server.password.replace(' ', '%20')}@{server.host}:{server.port}/postgres"
        for backend in ("pyarrow", "connectorx"):
            target = folder / f"dlt-{backend}"
            found[f"dlt, {backend}, to Delta"] = measure([dlt_python, "-c", DLT, url, str(target), backend])
            shutil.rmtree(target)
    _ = stage("extract", "full", "changed")
    system.run("UPDATE orders SET changed = '2030-01-01' WHERE id % 100 = 1")
    found["extract, 1 % changed"] = stage("extract", "incremental", "changed")
    return found


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="benchmarks.transfer", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000], help="10000000 takes some minutes")
    parser.add_argument("--dlt", help="a Python that has dlt[sql_database,deltalake,filesystem]")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    given = parser.parse_args()
    for rows in given.rows:
        with tempfile.TemporaryDirectory() as folder, postgres_server() as server:
            found = measured(server, Path(folder), rows, given.dlt)
        if given.output == "json":
            print(json.dumps({name: vars(cost) for name, cost in found.items()}))
            continue
        base = {False: found["COPY … TO, CSV, by psql"].seconds, True: found["COPY … FROM, CSV, by psql"].seconds}
        print(
            f"\n| {rows:,} rows | seconds | CPU s | rows/s | peak MB | speed beside COPY |"
            "\n| --- | ---: | ---: | ---: | ---: | ---: |"
        )
        for name, cost in found.items():
            ratio = base["load" in name or "FROM" in name] / cost.seconds
            figures = f"{cost.seconds:.1f} | {cost.cpu:.1f} | {rows / cost.seconds:,.0f} | {cost.megabytes:.0f}"
            print(f"| {name} | {figures} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
