"""The engines that the parity suite runs on: a table of factories, one for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.settings import PRODUCT
from lakeflow_job_meta.store.base import Store
from lakeflow_job_meta.store.delta import DeltaStore
from lakeflow_job_meta.store.spark import SparkStore

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from tests.parity.warehouse_server import WarehouseServer


@dataclass(frozen=True)
class Engine:
    """An engine for one test, with a schema that no other test uses.

    `open` gives another store on the same tables, as another process has one; it takes `table_defaults`. `home` is
    where an embedded store would lie.
    """

    name: str
    schema: str
    home: Path
    open: Callable[..., Store]

    @cached_property
    def store(self) -> Store:
        return self.open()

    @property
    def embedded(self) -> bool:
        return self.name == "embedded"

    def table(self, name: str = "t") -> TableName:
        return TableName.parse(f"{self.schema}.{name}")


def _embedded(request: pytest.FixtureRequest) -> Engine:
    home = request.getfixturevalue("tmp_path") / "home"

    def open_store(*, table_defaults: str = PRODUCT) -> Store:
        return DeltaStore(home)

    return Engine("embedded", "main.etl", home, open_store)


def _spark(request: pytest.FixtureRequest) -> Engine:
    session: SparkSession = request.getfixturevalue("spark")
    schema = fresh_schema(session)

    def open_store(*, table_defaults: str = PRODUCT) -> Store:
        return SparkStore(session.newSession(), table_defaults=table_defaults)

    return Engine("spark", schema, request.getfixturevalue("tmp_path") / "home", open_store)


def _warehouse(request: pytest.FixtureRequest) -> Engine:
    server: WarehouseServer = request.getfixturevalue("warehouse")
    schema = fresh_schema(request.getfixturevalue("spark"))
    return Engine("warehouse", schema, request.getfixturevalue("tmp_path") / "home", server.store)


def fresh_schema(session: SparkSession) -> str:
    """Make a schema that no other test uses; `catalog.schema`."""
    schema = f"main.t{uuid4().hex[:12]}"
    session.sql(f"CREATE SCHEMA {schema}")
    return schema


ENGINES: dict[str, Callable[[pytest.FixtureRequest], Engine]] = {
    "embedded": _embedded,
    "spark": _spark,
    "warehouse": _warehouse,
}
"""An engine's name, and what makes it; all but embedded need the fixture `spark`."""
