"""A shop whose tables are registered: two databases, jobs in an embedded workspace, and the commands people use."""

from __future__ import annotations

import io
import json
import os
import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from lakeflow_job_meta import JobOrchestrator
from lakeflow_job_meta.cli.app import run
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.store.delta import DeltaStore
from tests.databases.server import DatabaseServer
from tests.pipeline_ground import postgres_session

MOVING = ("extract", "load")
"""A template of just these is one process a run: enough where driver_check and verify aren't what is tested."""
TIMES = "order_id INTEGER PRIMARY KEY, status TEXT, updated_at TIMESTAMP"


class Database(Protocol):
    """Where tables come from, or go: its type and schema, and how the registry is told to reach it."""

    system: ClassVar[str]

    @property
    def schema(self) -> str:
        """Empty where the type has none."""
        ...

    @property
    def creds(self) -> Mapping[str, Any]:
        """Without any secret."""
        ...

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        """The rows of the last one, as text."""
        ...


@dataclass(frozen=True)
class SqliteFile:
    """A database in a file."""

    path: Path
    schema: str = ""
    system: ClassVar[str] = "sqlite"

    @property
    def creds(self) -> Mapping[str, Any]:
        return {"path": str(self.path)}

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        with closing(sqlite3.connect(self.path)) as connection, connection:
            for statement in statements:
                rows = connection.execute(statement).fetchall()
        return [tuple(None if value is None else str(value) for value in row) for row in rows]


@dataclass(frozen=True)
class PostgresSchema:
    """A schema of the tests' server; `secret` refers to the password."""

    server: DatabaseServer
    schema: str
    secret: str
    system: ClassVar[str] = "postgres"

    @property
    def creds(self) -> Mapping[str, Any]:
        about = {"host": self.server.host, "port": self.server.port, "user": self.server.user}
        return {**about, "password": self.secret}

    def make(self) -> PostgresSchema:
        self.run(f"CREATE SCHEMA {self.schema}")
        return self

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        rows: list[dict[str, Any]] = []
        with postgres_session(self.server) as session:
            session.run(f"SET search_path = {self.schema}")
            for each in statements:
                rows = session.run(each)
        return [tuple(None if value is None else str(value) for value in row.values()) for row in rows]


@dataclass
class Shop:
    """One control table and one registry in a catalog of their own, so that tests can share a server.

    `stages` are the types of the template's stages; `tables` what the registry is told of each, beside their names;
    `elsewhere` are more sources, by name.
    """

    home: Path
    folder: Path
    catalog: str
    from_database: Database
    to_database: Database
    stages: Sequence[str] = MOVING
    tables: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    elsewhere: dict[str, Database] = field(default_factory=dict[str, Database])

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

    @classmethod
    def of_files(cls, home: Path, folder: Path, catalog: str, stages: Sequence[str] = MOVING) -> Shop:
        """From one SQLite file into another."""
        return cls(home, folder, catalog, SqliteFile(folder / "shop.db"), SqliteFile(folder / "out.db"), stages)

    def source(self, *statements: str) -> list[tuple[Any, ...]]:
        return self.from_database.run(*statements)

    def sink(self, *statements: str) -> list[tuple[Any, ...]]:
        return self.to_database.run(*statements)

    def name(self, table: str) -> str:
        """How a table of the source is registered."""
        return ".".join(filter(None, ("shop", self.from_database.schema, table)))

    def module(self, table: str, direction: str = "source_to_dl") -> str:
        return f"{self.name(table)}.{direction}"

    def table(self, name: str, columns: str = TIMES, **told: Any) -> None:
        """Make a table at both ends, and have it registered."""
        for database in (self.source, self.sink):
            database(f"CREATE TABLE {name} ({columns})")
        self.tables[name] = told

    def orders(self, name: str, *rows: tuple[int, str, str]) -> None:
        """Rows with the usual columns, new or changed: id, status, and a day in November 2026 with its time."""
        for number, status, day in rows:
            self.source(
                f"INSERT INTO {name} VALUES ({number}, '{status}', '2026-11-{day}') "
                "ON CONFLICT (order_id) DO UPDATE SET status = excluded.status, updated_at = excluded.updated_at"
            )

    def incremental(self, name: str, *rows: tuple[int, str, str]) -> None:
        """A table that grows, moved by the time of its rows."""
        told = {f"{each}_load_type": "incremental" for each in ("source_to_dl", "dl_to_sink")}
        keys = {f"{each}_incremental_key": "updated_at" for each in ("source_to_dl", "dl_to_sink")}
        self.table(name, **told, **keys)
        self.orders(name, *rows)

    @property
    def template(self) -> str:
        return f"{self.from_database.system}_to_{self.to_database.system}"

    def registry(self) -> Mapping[str, Any]:
        """What a file would say."""

        def endpoint(kind: str, name: str, database: Database) -> dict[str, Any]:
            return {f"{kind}_name": name, f"{kind}_type": database.system, f"{kind}_creds": dict(database.creds)}

        source, sink = self.from_database, self.to_database
        return {
            "registry_version": "1.0",
            "sources": [
                endpoint("source", name, each) for name, each in {"shop": source, **self.elsewhere}.items()
            ],
            "destinations": [endpoint("destination", "out", sink)],
            "templates": {
                self.template: [
                    {"stage_order": number, "stage_name": kind, "stage_type": kind}
                    for number, kind in enumerate(self.stages, start=1)
                ]
            },
            "tables": [
                {
                    "source_tablename": self.name(name), "source_type": source.system, "sink_type": sink.system,
                    "sink_tablename": ".".join(filter(None, ("out", sink.schema, name))),
                    "source_to_dl_load_type": "full", "dl_to_sink_load_type": "full", **told,
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
        (row,) = self.sql(f"SELECT * FROM {config} WHERE source_tablename = '{self.name(name)}'")
        return row

    def lake(self, name: str) -> list[dict[str, Any]]:
        return self.sql(f"SELECT * FROM {self.catalog}.dl.{self.name(name).replace('.', '_')} ORDER BY 1")

    def same(self, name: str) -> bool:
        """Whether the sink has just what the source has."""
        query = f"SELECT * FROM {name} ORDER BY 1"
        return self.source(query) == self.sink(query)
