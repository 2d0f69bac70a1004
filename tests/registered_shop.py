"""A shop whose tables are registered: two SQLite files, jobs in an embedded workspace, and the commands that people use."""

from __future__ import annotations

import io
import json
import os
import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lakeflow_job_meta import JobOrchestrator
from lakeflow_job_meta.cli.app import run
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.store.delta import DeltaStore

MOVING = ("extract", "load")
"""A template of just these is one process a run: enough where driver_check and verify aren't what is tested."""
TIMES = "order_id INTEGER PRIMARY KEY, status TEXT, updated_at TIMESTAMP"


@dataclass
class Shop:
    """One control table and one registry in a catalog of their own, so that tests can share a server.

    `stages` are the types of the template's stages; `tables` what the registry is told of each, beside their names.
    """

    home: Path
    folder: Path
    catalog: str
    stages: Sequence[str] = MOVING
    tables: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    @property
    def control_table(self) -> str:
        return f"{self.catalog}.etl.control"

    @property
    def settings(self) -> Settings:
        return Settings(self.control_table, self.home, list_lag_seconds=0.2)

    @property
    def orchestrator(self) -> JobOrchestrator:
        """A new one each time, as a new process has."""
        return JobOrchestrator(self.control_table, settings=self.settings)

    @property
    def store(self) -> DeltaStore:
        return DeltaStore(self.home)

    def sql(self, text: str) -> list[dict[str, Any]]:
        return self.store.sql(text)

    def source(self, *statements: str) -> list[tuple[Any, ...]]:
        return _sqlite(self.folder / "shop.db", statements)

    def sink(self, *statements: str) -> list[tuple[Any, ...]]:
        return _sqlite(self.folder / "out.db", statements)

    def table(self, name: str, columns: str = TIMES, **told: Any) -> None:
        """Make a table at both ends, and have it registered."""
        for database in (self.source, self.sink):
            database(f"CREATE TABLE {name} ({columns})")
        self.tables[name] = told

    def orders(self, name: str, *rows: tuple[int, str, str]) -> None:
        """Rows of a table with the usual columns, new or changed: id, status, and a day in November 2026 with its time."""
        for number, status, day in rows:
            self.source(f"INSERT OR REPLACE INTO {name} VALUES ({number}, '{status}', '2026-11-{day}')")

    def incremental(self, name: str, *rows: tuple[int, str, str]) -> None:
        """A table that grows, moved by the time of its rows."""
        told = {f"{each}_load_type": "incremental" for each in ("source_to_dl", "dl_to_sink")}
        keys = {f"{each}_incremental_key": "updated_at" for each in ("source_to_dl", "dl_to_sink")}
        self.table(name, **told, **keys)
        self.orders(name, *rows)

    def registry(self) -> Mapping[str, Any]:
        """What a file would say."""

        def endpoint(kind: str, name: str, file: str) -> dict[str, Any]:
            creds = {"path": str(self.folder / file)}
            return {f"{kind}_name": name, f"{kind}_type": "sqlite", f"{kind}_creds": creds}

        return {
            "registry_version": "1.0",
            "sources": [endpoint("source", "shop", "shop.db")],
            "destinations": [endpoint("destination", "out", "out.db")],
            "templates": {
                "sqlite_to_sqlite": [
                    {"stage_order": number, "stage_name": kind, "stage_type": kind}
                    for number, kind in enumerate(self.stages, start=1)
                ]
            },
            "tables": [
                {
                    "source_tablename": f"shop.{name}", "sink_tablename": f"out.{name}", "source_type": "sqlite",
                    "sink_type": "sqlite", "source_to_dl_load_type": "full", "dl_to_sink_load_type": "full", **told,
                }
                for name, told in self.tables.items()
            ],
        }  # fmt: skip

    def declare(self) -> None:
        """Have everything registered, from a file."""
        file = self.folder / "registry.yml"
        file.write_text(json.dumps(self.registry()), "utf-8")
        self.ljm("pipelines", "load", str(file))

    def register(self) -> None:
        """From a file to jobs, as people do it."""
        self.declare()
        self.apply()

    def apply(self) -> None:
        """Bring control rows and jobs up to what is registered."""
        self.ljm("pipelines", "sync", "--apply", "--yes")

    def ljm(self, *arguments: str, code: int = 0) -> str:
        """Run a command; what it printed."""
        out, err = io.StringIO(), io.StringIO()
        with self._settings(), redirect_stdout(out), redirect_stderr(err):
            found = run(list(arguments))
        assert found == code, (arguments, found, out.getvalue(), err.getvalue())
        return out.getvalue() if code == 0 else out.getvalue() + err.getvalue()

    @contextmanager
    def _settings(self) -> Generator[None]:
        """The environment of who works on this control table."""
        ours = {"LAKEFLOW_CONTROL_TABLE": self.control_table, "LAKEFLOW_HOME": str(self.home)}
        before = {name: os.environ.get(name) for name in ours}
        os.environ.update(ours)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.ljm(*arguments, "-o", "json", code=code))

    def run(self, name: str, direction: str, *more: str, code: int = 0) -> dict[str, Any]:
        """Run one half of a table's pipeline to its end; its row in the record, with its stages."""
        told = self.json("pipelines", "run", name, "--direction", direction, "--watch", *more, code=code)
        return self.show(told[-1]["run_id"])

    def through(self, name: str) -> None:
        """Run both halves, which have to succeed."""
        for direction in ("source_to_dl", "dl_to_sink"):
            assert self.run(name, direction)["status"] == "success"

    def show(self, run_id: int) -> dict[str, Any]:
        return self.json("pipelines", "runs", "show", str(run_id))

    def record(self) -> list[dict[str, Any]]:
        """The rows of all runs."""
        return self.sql(f"SELECT * FROM {self.catalog}.pipelines.pipeline_runs_master ORDER BY id")

    def row(self, name: str) -> dict[str, Any]:
        """The table's row in the registry."""
        config = f"{self.catalog}.pipelines.pipeline_config"
        (row,) = self.sql(f"SELECT * FROM {config} WHERE source_tablename = 'shop.{name}'")
        return row

    def lake(self, name: str) -> list[dict[str, Any]]:
        return self.sql(f"SELECT * FROM {self.catalog}.dl.shop_{name} ORDER BY 1")

    def same(self, name: str) -> bool:
        """Whether the sink has just what the source has."""
        query = f"SELECT * FROM {name} ORDER BY 1"
        return self.source(query) == self.sink(query)


def _sqlite(file: Path, statements: Sequence[str]) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    with closing(sqlite3.connect(file)) as connection, connection:
        for statement in statements:
            rows = connection.execute(statement).fetchall()
    return rows
