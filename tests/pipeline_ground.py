"""One table on its way: a database, the data lake of an embedded store, and the stages between them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.pipelines.drivers import postgres
from lakeflow_job_meta.pipelines.registry import Direction, Endpoint, RegisteredTable, Transfer
from lakeflow_job_meta.pipelines.stages.stage import Backfill, Relation, StageContext, StageOutcome
from lakeflow_job_meta.pipelines.stages.stage_types import STAGES
from lakeflow_job_meta.store.delta import DeltaStore
from tests.databases.server import DatabaseServer

LAKE = TableName("main", "dl", "shop_orders")


@dataclass(frozen=True)
class Route:
    """A way from a source to the data lake, or from there to a sink."""

    home: Path
    endpoint: Endpoint
    relation: Relation
    transfer: Transfer
    secrets: Mapping[str, str] = field(default_factory=dict)
    lake: TableName = LAKE

    @property
    def store(self) -> DeltaStore:
        """A new one each time, as a new process has."""
        return DeltaStore(self.home)

    def context(self, backfill: Backfill | None = None) -> StageContext:
        other = Transfer(Direction.DL_TO_SINK if self.transfer.direction == "source_to_dl" else Direction.SOURCE_TO_DL)
        halves = {self.transfer.direction: self.transfer, other.direction: other}
        table = RegisteredTable(
            "shop.orders", "out.orders", self.endpoint.type, self.endpoint.type,
            halves[Direction.SOURCE_TO_DL], halves[Direction.DL_TO_SINK],
        )  # fmt: skip
        return StageContext(
            self.store, self.lake, table, self.transfer.direction, self.endpoint, self.relation, self._secret, 7,
            datetime.now(UTC), backfill,
        )  # fmt: skip

    def _secret(self, reference: str) -> str:
        if reference not in self.secrets:
            raise InputError(f"{reference} isn't known")
        return self.secrets[reference]

    def run(self, stage: str, backfill: tuple[str, str] | None = None) -> StageOutcome:
        return STAGES[stage](self.context(Backfill(*backfill) if backfill else None))

    def by(self, key: str | None, load_type: str = "incremental") -> Route:
        """The same way, loaded otherwise."""
        return replace(self, transfer=replace(self.transfer, load_type=load_type, incremental_key=key))

    def rows(self) -> list[dict[str, Any]]:
        """What is in the data lake."""
        return [dict(row) for row in self.store.read(self.lake).rows]

    def values(self, column: str) -> list[Any]:
        return sorted(row[column] for row in self.rows())

    def versions(self) -> int:
        return self.store.history(self.lake, 1)[0].version


def server_creds(server: DatabaseServer, database: str = "postgres") -> str:
    """How a server of the tests is reached; the password is a reference."""
    return json.dumps(
        {
            "host": server.host,
            "port": server.port,
            "user": server.user,
            "password": "env:PASSWORD",
            "database": database,
        }
    )


def route(
    home: Path, system: str, creds: str, relation: Relation, direction: str = "source_to_dl", password: str = ""
) -> Route:
    """A full load of one table."""
    return Route(
        home, Endpoint("1", "shop", system, creds), relation, Transfer(Direction(direction), load_type="full"),
        {"env:PASSWORD": password},
    )  # fmt: skip


@contextmanager
def postgres_session(server: DatabaseServer) -> Iterator[postgres.PostgresDatabase]:
    """A connection for what a test does by itself."""
    given = {"host": server.host, "port": str(server.port), "user": server.user, "password": server.password}
    session = postgres.connect({**postgres.OPTIONS, **given})
    try:
        yield session
    finally:
        session.close()


def run_all(session: postgres.PostgresDatabase, statements: Sequence[str]) -> None:
    for each in statements:
        session.run(each)
