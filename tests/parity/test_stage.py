"""The source stage on each engine: the same tables, the same contract, the same handoff."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lakeflow_job_meta.stages.contract.check import check_contract
from lakeflow_job_meta.stages.contract.handoff import Handoff
from lakeflow_job_meta.stages.contract.read import read_contract
from lakeflow_job_meta.stages.http.failure import LoginRefused
from tests.parity.engines import Engine
from tests.source_api import Api, answering, running
from tests.stage_ground import TABLES, Ground, ground


@pytest.fixture
def api() -> Iterator[Api]:
    from testhub_server import create_app

    with running(create_app()) as each:
        yield each


@pytest.fixture
def hub(engine: Engine, tmp_path: Path, api: Api, monkeypatch: pytest.MonkeyPatch) -> Ground:
    made = ground(tmp_path, api, monkeypatch)
    made.store, made.control_table = engine.store, f"{engine.schema}.control"
    for name in (*(f"source.{each}" for each in TABLES), "log.source"):
        engine.store.sql(f"DROP TABLE IF EXISTS main.{name}")  # two engines may have one catalog
    return made


def test_a_full_run_the_contract_and_the_handoff(hub: Ground) -> None:
    contract = read_contract(hub.folder / "metadata/contracts/source.contract.yaml")
    assert len(hub.run(bootstrap=True, preview=True).tables) == 6
    found = check_contract(contract, hub.store, "main", datetime.now(UTC))
    assert [str(each) for each in found] == []
    endpoints = {row["endpoint_path"]: row for row in hub.rows("source.endpoints")}
    assert endpoints["/projects"]["query_parameters"] == ["page", "size"]
    assert endpoints["/me"]["path_parameters"] == []
    batch = Handoff(hub.store, "main", contract, "testhub").wait()
    assert len(batch.read(hub.store, hub.stage().tables.name("sampleProjects"))) == 10


def test_a_second_run_keeps_the_discovery_date_and_one_that_fails_keeps_the_tables(hub: Ground) -> None:
    hub.run()
    (first,) = hub.rows("source.portfolio")
    hub.run()
    (second,) = hub.rows("source.portfolio")
    assert second["discovery_date"] == first["discovery_date"] and second["last_updated"] > first["last_updated"]
    hub.api.fault("/me", answering(401))
    with pytest.raises(LoginRefused):
        hub.run()
    assert hub.rows("source.portfolio") == [second]
    assert hub.log()[-1]["error_kind"] == "unauthorized"
