"""A project folder with the example's stage files and contract, and a store, for tests of the source stage."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.stages import SourceStage, StageOptions
from lakeflow_job_meta.stages.run import StageResult
from lakeflow_job_meta.store.base import Store
from lakeflow_job_meta.store.delta import DeltaStore
from tests.source_api import Api

ROOT = Path(__file__).resolve().parents[1]
TABLE = "main.etl.control"
TABLES = ("config", "credentials", "portfolio", "endpoints", "sampleprojects", "samplereleases")


@dataclass
class Ground:
    """One system's stage in a folder of its own; `change` rewrites its file."""

    folder: Path
    api: Api
    store: Store
    settings: Settings
    control_table: str = TABLE
    name: str = "testhub"

    @property
    def config(self) -> Path:
        return self.folder / "metadata" / "stages" / f"{self.name}.yml"

    def change(self, **values: Any) -> None:
        """Set top-level keys of the stage file; None takes one out; mappings are merged."""
        whole = yaml.safe_load(self.config.read_text("utf-8"))
        for key, value in values.items():
            merged = {**whole.get(key, {}), **value} if isinstance(value, dict) else value
            whole[key] = merged
        whole = {key: value for key, value in whole.items() if value is not None}
        self.config.write_text(json.dumps(whole), "utf-8")

    def stage(self, bootstrap: bool = False, preview: bool = False, **options: Any) -> SourceStage:
        chosen = StageOptions(bootstrap, preview, **options)
        return SourceStage(self.config, self.control_table, chosen, store=self.store, settings=self.settings)

    def run(self, bootstrap: bool = False, preview: bool = False, **options: Any) -> StageResult:
        return asyncio.run(self.stage(bootstrap, preview, **options).execute())

    def rows(self, table: str, order: str = "1") -> list[dict[str, Any]]:
        catalog = self.control_table.split(".")[0]
        return self.store.sql(f"SELECT * FROM {catalog}.{table} ORDER BY {order}")

    def log(self, step: str = "run") -> list[dict[str, Any]]:
        return [row for row in self.rows("log.source", "finished_at") if row["step"] == step]

    def state(self) -> dict[str, list[dict[str, Any]]]:
        """The content of every table of the system."""
        return {name: self.rows(f"source.{name}") for name in TABLES}


def ground(tmp_path: Path, api: Api, monkeypatch: pytest.MonkeyPatch, name: str = "testhub") -> Ground:
    """The example's files in a folder, and the variables that they name."""
    for part in ("metadata/stages", "metadata/contracts", "examples/source_stage"):
        shutil.copytree(ROOT / part, tmp_path / part)
    values = {
        "TESTHUB_URL": f"{api.url}/api",
        "TESTHUB_TOKEN": "testhub-example-token",
        "TICKETDESK_URL": api.url,
        "TICKETDESK_CLIENT": "ticketdesk-example",
        "TICKETDESK_SECRET": "ticketdesk-example-secret",
    }
    for variable, value in values.items():
        monkeypatch.setenv(variable, value)
    home = tmp_path / "home"
    made = Ground(tmp_path, api, DeltaStore(home), Settings(TABLE, home), name=name)
    limits = {"retries": 1, "total_seconds": 2, "requests_per_second": 1000, "most_wait_seconds": 3}
    made.change(limits=limits)
    return made
