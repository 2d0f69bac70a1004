"""The source stage on each engine: the same tables, the same contract, the same handoff."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lakeflow_job_meta.stages.contract.check import check_contract
from lakeflow_job_meta.stages.contract.handoff import Handoff
from lakeflow_job_meta.stages.contract.read import read_contract
from lakeflow_job_meta.stages.http.failure import EndlessPages
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


def test_the_three_flows_the_contract_and_the_handoff(hub: Ground) -> None:
    contract = read_contract(hub.folder / "metadata/contracts/source.contract.yaml")
    for bootstrap, preview, tables in ((False, False, 3), (True, False, 4), (True, True, 6)):
        assert len(hub.run(bootstrap=bootstrap, preview=preview).tables) == tables
        found = check_contract(contract, hub.store, "main", datetime.now(UTC))
        assert [str(each) for each in found] == []
    endpoints = {row["endpoint_path"]: row for row in hub.rows("source.endpoints")}
    assert endpoints["/projects"]["query_parameters"] == ["page", "size"]
    assert endpoints["/me"]["path_parameters"] == []
    batch = Handoff(hub.store, "main", contract, "testhub").wait()
    assert len(batch.read(hub.store, hub.stage().tables.name("sampleProjects"))) == 10


def test_a_run_that_fails_keeps_the_tables_and_one_that_writes_less_leaves_no_old_rows(hub: Ground) -> None:
    hub.run(bootstrap=True, preview=True)
    before = hub.state()
    hub.change(sample_limit=1000)
    hub.api.fault("/projects", answering(200, b'{"items": [' + b",".join([b'{"id": 1}'] * 10) + b"]}"), after=1)
    with pytest.raises(EndlessPages):
        hub.run(preview=True)
    assert hub.state() == before
    hub.api.faults.clear()
    hub.change(sample_limit=2)
    hub.run(preview=True)
    assert len(hub.rows("source.sampleprojects")) == 2
    assert hub.rows("source.portfolio")[0]["discovery_date"] == before["portfolio"][0]["discovery_date"]
