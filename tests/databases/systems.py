"""Each kind of database as tests use it: how a statement is run in it, and what its credentials say."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from lakeflow_job_meta.pipelines.drivers import mysql, postgres
from tests.databases.server import DatabaseServer

Run = Callable[[str], list[tuple[Any, ...]]]


@dataclass(frozen=True)
class System:
    """A database with a schema that only one test uses."""

    type: str
    creds: str
    schema: str
    run: Run
    password: str = ""
    moment: str = "timestamp"
    """Its type of a moment without a zone."""


def creds_of(server: DatabaseServer, database: str) -> str:
    """How a server of the tests is reached; the password is a reference."""
    said = {"host": server.host, "port": server.port, "user": server.user, "database": database}
    return json.dumps({**said, "password": "env:PASSWORD"})


def on_postgres(server: DatabaseServer, schema: str) -> System:
    given = {"host": server.host, "port": str(server.port), "user": server.user, "password": server.password}
    session = postgres.connect({**postgres.OPTIONS, **given})
    session.run(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    session.run(f"CREATE SCHEMA {schema}")
    session.run(f"SET search_path = '{schema}'")

    def run(text: str) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in session.run(text)]

    return System("postgres", creds_of(server, "postgres"), schema, run, server.password)


def on_mariadb(server: DatabaseServer, schema: str) -> System:
    given = {"host": server.host, "port": str(server.port), "user": server.user, "password": server.password}
    session = mysql.connect({**mysql.OPTIONS, **given})
    for text in (f"DROP DATABASE IF EXISTS {schema}", f"CREATE DATABASE {schema}", f"USE {schema}"):
        session.run(text)

    def run(text: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in session.run(text.replace("%", "%%"))]

    return System("mariadb", creds_of(server, schema), schema, run, server.password, "datetime(6)")


def on_sqlite(folder: Path) -> System:
    path = folder / "shop.db"

    def run(text: str) -> list[tuple[Any, ...]]:
        session = sqlite3.connect(path)
        try:
            with session:
                return session.execute(text).fetchall()
        finally:
            session.close()

    return System("sqlite", json.dumps({"path": str(path)}), "", run)


def on_duckdb(folder: Path) -> System:
    path = folder / "shop.duckdb"

    def run(text: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(path)) as session:
            return session.execute(text).fetchall()

    return System("duckdb", json.dumps({"path": str(path)}), "main", run)
