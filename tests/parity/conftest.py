"""What the parity suite shares: one Spark session for all tests, an engine and a project for each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.local_server import Site
from tests.parity.engines import ENGINES, Engine
from tests.parity.ground import Ground
from tests.parity.spark_session import missing, running_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from tests.parity.warehouse_server import WarehouseServer


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The one session of the run."""
    if reason := missing():
        pytest.skip(reason)
    with running_session(tmp_path_factory.mktemp("spark")) as session:
        yield session


@pytest.fixture(scope="session")
def warehouse_server(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarehouseServer]:
    """A SQL warehouse on the tables of that session."""
    pytest.importorskip("databricks.sql", reason="its driver isn't installed: pip install -e '.[warehouse]'")
    from tests.parity.warehouse_server import running_warehouse, start_thrift_server

    with running_warehouse(start_thrift_server(spark), tmp_path_factory.mktemp("warehouse")) as running:
        yield running


@pytest.fixture
def warehouse(warehouse_server: WarehouseServer) -> Iterator[WarehouseServer]:
    """The warehouse without faults or memories of other tests."""
    warehouse_server.calm()
    yield warehouse_server
    warehouse_server.close()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn."""
    return ENGINES[request.param](request)


@pytest.fixture
def ground(engine: Engine, site: Site) -> Ground:
    """A project on the engine, its tables made."""
    site.no_faults()
    site.forget_requests()
    made = Ground(engine, site, site.client(uuid4().hex))
    made.manager.ensure_exists()
    return made
