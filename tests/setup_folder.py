"""A folder with a pipeline file, config.yml and schema files, as `ljm bootstrap` reads it, to be changed by a test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Field = dict[str, Any]

RUNS: list[Field] = [
    {"name": "run_id", "type": "STRING", "mode": "REQUIRED", "description": "which run"},
    {"name": "at", "type": "TIMESTAMP", "mode": "REQUIRED"},
    {"name": "state", "type": "STRING", "default": "'NEW'"},
    {"name": "number", "type": "SMALLINT"},
]
TENANTS: list[Field] = [
    {"name": "tenant_id", "type": "STRING", "mode": "REQUIRED"},
    {"name": "price", "type": "NUMERIC", "precision": 10, "scale": 2},
    {"name": "tags", "type": "STRING", "mode": "REPEATED"},
    {
        "name": "address",
        "type": "RECORD",
        "fields": [{"name": "city", "type": "STRING", "description": "where"}, {"name": "zip", "type": "STRING"}],
    },
]


@dataclass
class SetupFolder:
    """The files of one dataset; `write` puts all of them where the pipeline finds them."""

    folder: Path
    dataset: str = "tenants"
    catalog: str = "main"

    def __post_init__(self) -> None:
        self.tables: list[Any] = [
            {"name": "tenants", "cluster_by": ["tenant_id"]},
            {"name": "runs", "partition_by": "at", "cluster_by": ["state", "run_id"], "description": "all runs"},
        ]
        self.schemas: dict[str, Any] = {"tenants": deepcopy(TENANTS), "runs": deepcopy(RUNS)}
        self.config: dict[str, Any] = {}

    @property
    def pipeline(self) -> Path:
        return self.folder / "bootstrap.yml"

    def field(self, table: str, name: str) -> Field:
        """A field of a table's schema, to be changed."""
        return next(each for each in self.schemas[table] if each["name"] == name)

    def write(self) -> Path:
        """Write all files; returns the pipeline's."""
        initial = self.folder / "initial"
        (initial / "schemas").mkdir(parents=True, exist_ok=True)
        step = {"step_id": "s", "ps_type": "setup.initial.onetime_bootstrap", "config": self.config}
        self._yaml(self.pipeline, {"pipeline": {"id": "p"}, "steps": [step]})
        said = {"dataset": self.dataset, "catalog": self.catalog, "tables": self.tables}
        self._yaml(initial / "config.yml", said)
        for path in (initial / "schemas").glob("*.json"):
            path.unlink()
        for name, fields in self.schemas.items():
            (initial / "schemas" / f"{name}.json").write_text(json.dumps(fields, indent=2), "utf-8")
        return self.pipeline

    def _yaml(self, path: Path, value: Any) -> None:
        path.write_text(yaml.safe_dump(value, sort_keys=False), "utf-8")


def named(names: Sequence[str]) -> list[str]:
    """The last parts of full names, in order."""
    return sorted(name.rpartition(".")[2] for name in names)
