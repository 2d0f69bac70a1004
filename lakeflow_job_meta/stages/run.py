"""How one run of the stage goes, and what comes of it: data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lakeflow_job_meta.stages.contract.handoff import SUCCEEDED
from lakeflow_job_meta.stages.validate import Check

PIPELINE, INTERACTIVE = "pipeline", "interactive"


@dataclass(frozen=True, slots=True)
class StageOptions:
    """How one run goes.

    Args:
        bootstrap: write source.endpoints too.
        preview: write the sample tables too.
        correlation_id: what ties this run to others; a new one by default.
        batch_id: what the next stage calls it; made from the system and the moment by default.
        execution_mode: pipeline (a job's task) or interactive.
        notebook_name: what runs it, for source.config.
        job_run_id: the run of the job that it is part of.
    """

    bootstrap: bool = False
    preview: bool = False
    correlation_id: str = ""
    batch_id: str = ""
    execution_mode: str = INTERACTIVE
    notebook_name: str = "ljm stage source"
    job_run_id: str = ""


@dataclass(frozen=True, slots=True)
class StageResult:
    """A run that succeeded: its envelope, its tables with their versions, what it counted, and what changed of the
    records of endpoints since the run before."""

    envelope: Mapping[str, Any]
    tables: Mapping[str, int]
    endpoint_count: int
    endpoint_success_count: int
    duration_seconds: float
    checks: Mapping[str, Check] = field(repr=False)
    notes: tuple[str, ...] = ()
    schema_changes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **self.envelope,
            "status": SUCCEEDED,
            "tables": dict(self.tables),
            "endpoint_count": self.endpoint_count,
            "endpoint_success_count": self.endpoint_success_count,
            "duration_seconds": round(self.duration_seconds, 3),
            "endpoints": {name: check.to_dict() for name, check in self.checks.items()},
            "notes": list(self.notes),
            "schema_changes": list(self.schema_changes),
        }
