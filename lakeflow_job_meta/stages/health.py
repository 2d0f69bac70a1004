"""Whether the source stage of a system is well: the checklist of the runbook, done by a program."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from lakeflow_job_meta.diagnostics import counted, errors_in
from lakeflow_job_meta.errors import LakeflowJobMetaError
from lakeflow_job_meta.stages.contract.check import check_contract
from lakeflow_job_meta.stages.contract.handoff import SUCCEEDED
from lakeflow_job_meta.stages.source_stage import SourceStage

RUNBOOK = "docs/source/OPERATIONAL-RUNBOOK.md tells what to do"

OK, FAILED, SKIPPED = "ok", "failed", "skipped"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One line of the checklist: ok, failed or skipped, what was found, and what to do."""

    check: str
    status: str
    found: str
    hint: str = ""

    def to_dict(self) -> dict[str, str]:
        """JSON-ready."""
        return {"check": self.check, "status": self.status, "found": self.found, "hint": self.hint}


def health(stage: SourceStage, *, offline: bool = False) -> list[HealthCheck]:
    """All checks; each is done whatever the others find. Writes nothing.

    Args:
        stage: the system's stage; that it could be made says that its file and contract can be read.
        offline: don't ask the API.
    """
    catalogue = f"{counted(len(stage.config.endpoints), 'endpoint')}, contract {stage.contract_version}"
    found = [HealthCheck("stage file", OK, catalogue)]
    for name, check in CHECKS.items():
        if offline and name in NEEDS_API:
            found.append(HealthCheck(name, SKIPPED, "not asked"))
            continue
        try:
            found.append(check(stage))
        except LakeflowJobMetaError as error:
            found.append(HealthCheck(name, FAILED, error.message, error.hint))
    return found


def _secrets(stage: SourceStage) -> HealthCheck:
    names = [*stage.config.auth.secrets.values(), *(each.url for each in stage.config.notify)]
    stage.look_up_secrets()
    return HealthCheck("secrets", OK, f"{counted(len(names), 'reference')} found")


def _login(stage: SourceStage) -> HealthCheck:
    check = asyncio.run(stage.check_login())
    return HealthCheck("login", OK, f"taken in {check.latency_ms} ms")


def _last_run(stage: SourceStage) -> HealthCheck:
    runs = stage.log.runs()
    if not runs:
        return HealthCheck("last run", FAILED, "it never ran", "ljm stage source --bootstrap")
    last = runs[-1]
    ended = f"{last['finished_at']:%Y-%m-%d %H:%M} UTC"
    if last["status"] != SUCCEEDED:
        return HealthCheck("last run", FAILED, f"failed at {ended}: {last['error']}", RUNBOOK)
    return HealthCheck("last run", OK, f"succeeded at {ended} in {last['duration_seconds']:.1f} s")


def _endpoints(stage: SourceStage) -> HealthCheck:
    last = next((row for row in reversed(stage.log.runs()) if row["endpoint_count"] is not None), None)
    if last is None:
        return HealthCheck("endpoints", SKIPPED, "none was asked yet")
    good, asked = last["endpoint_success_count"] or 0, last["endpoint_count"]
    status = OK if good == asked else FAILED
    hint = "" if good == asked else "the step 'validate' of log.source has the details of each"
    return HealthCheck("endpoints", status, f"{good} of {asked} answered as they should", hint)


def _contract(stage: SourceStage) -> HealthCheck:
    if stage.contract is None:
        return HealthCheck("contract", SKIPPED, "the stage file names none")
    found = errors_in(check_contract(stage.contract, stage.store, stage.tables.catalog, datetime.now(UTC)))
    if not found:
        return HealthCheck("contract", OK, f"all tables keep {stage.contract_version}")
    first = f"{found[0].location}: {found[0].message}"
    return HealthCheck("contract", FAILED, f"{counted(len(found), 'finding')}; {first}", "`ljm contract check`")


CHECKS: dict[str, Callable[[SourceStage], HealthCheck]] = {
    "secrets": _secrets,
    "login": _login,
    "last run": _last_run,
    "endpoints": _endpoints,
    "contract": _contract,
}
NEEDS_API = ("secrets", "login")
