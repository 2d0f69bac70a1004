"""The source stage as a job's task in the embedded workspace: the deployed wheel, the stage file in a volume, the token
in a secret scope."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta import JobOrchestrator, MetadataManager
from lakeflow_job_meta.deploy.deployment import Deployer
from lakeflow_job_meta.deploy.package import this_package
from lakeflow_job_meta.deploy.rows import Deployment
from lakeflow_job_meta.deploy.wheel import Wheel
from lakeflow_job_meta.model.run import Run
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.stages import SourceStage
from lakeflow_job_meta.workspace.launcher import stop_local
from tests.source_api import Api, answering
from tests.stage_ground import TABLE, Ground, ground

pytestmark = pytest.mark.slow

VOLUME = "/Volumes/main/etl/hub"
FILE = f"{VOLUME}/metadata/stages/testhub.yml"
TOKEN = "testhub-example-token"
STAGE = {"task_type": "source_stage", "config_path": FILE, "bootstrap": True, "preview": True}


@dataclass
class Shop:
    """A project on this machine with a workspace of its own, whose volume holds the stage's files."""

    files: Ground
    settings: Settings

    @property
    def orchestrator(self) -> JobOrchestrator:
        return JobOrchestrator(TABLE, settings=self.settings)

    def sql(self, text: str) -> list[dict[str, Any]]:
        return MetadataManager(TABLE, settings=self.settings).sql(text)

    def run(self) -> Run:
        """Bring the stage's job up to date, run it, wait for it."""
        orchestrator = self.orchestrator
        orchestrator.create_or_update_job("hub")
        return orchestrator.runs.wait(orchestrator.runs.start("hub"), timeout=120)


@pytest.fixture
def shop(tmp_path: Path, api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    home = tmp_path / "home"
    files = ground(home / "volumes/main/etl/hub", api, monkeypatch)
    files.change(base_url=f"{api.url}/api", auth={"token": "{{secrets/hub/token}}"})
    made = Shop(files, Settings(TABLE, home))
    MetadataManager(TABLE, settings=made.settings).ensure_exists()
    client = made.orchestrator.workspace.client
    client.secrets.create_scope("hub")
    client.secrets.put_secret("hub", "token", string_value=TOKEN)
    yield made
    stop_local(home)


def deploy(shop: Shop) -> str:
    """Deploy the monitor, which looks once in this test; returns the wheel's path."""
    deployer = Deployer(shop.orchestrator)
    proposal = deployer.propose(Deployment(interval=3600), Wheel(this_package()))
    deployer.carry_out(proposal)
    return proposal.folder.path_of(proposal.wheel)


def test_the_stage_runs_in_the_workspace_by_the_deployed_wheel_and_fails_the_job_when_the_api_does(shop: Shop) -> None:
    wheel = deploy(shop)
    shop.sql(f"INSERT INTO {TABLE} VALUES ('api', 'hub', 'api', 1, NULL, NULL, '{json.dumps(STAGE)}', true)")
    run = shop.run()
    assert run.result == "SUCCESS", run
    job = shop.orchestrator.workspace.api.get("/api/2.2/jobs/get", {"job_id": run.job_id})
    assert job["settings"]["environments"][0]["spec"]["dependencies"] == [wheel]
    (row,) = shop.sql("SELECT * FROM main.log.source WHERE step = 'run'")
    assert row["correlation_id"] == f"job-run-{run.run_id}" and row["status"] == "succeeded"
    assert len(json.loads(row["tables"])) == 6
    assert shop.sql("SELECT execution_mode, notebook_name FROM main.source.config") == [
        {"execution_mode": "pipeline", "notebook_name": "hub/api"}
    ]
    shop.files.api.fault("/me", answering(401))
    assert shop.run().result == "FAILED"
    assert shop.sql("SELECT status, error_kind FROM main.log.source WHERE step = 'run' ORDER BY finished_at")[1] == {
        "status": "failed", "error_kind": "unauthorized",
    }  # fmt: skip


def test_a_stage_file_in_a_volume_has_one_name_here_and_in_the_job(shop: Shop) -> None:
    assert SourceStage(FILE, TABLE, settings=shop.settings).config.source_system == "testhub"
