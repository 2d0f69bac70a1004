"""Whether the source stage of a system is well: the checklist of the runbook, done by a program."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from lakeflow_job_meta.diagnostics import counted, errors_in
from lakeflow_job_meta.errors import LakeflowJobMetaError
from lakeflow_job_meta.model.finding import Finding, failed, not_tried, ok
from lakeflow_job_meta.stages.contract.check import check_contract
from lakeflow_job_meta.stages.contract.handoff import SUCCEEDED
from lakeflow_job_meta.stages.source_stage import SourceStage

RUNBOOK = "docs/source/OPERATIONAL-RUNBOOK.md tells what to do"


def health(stage: SourceStage, *, offline: bool = False) -> list[Finding]:
    """All checks; each is done whatever the others find. Writes nothing.

    Args:
        stage: the system's stage; that it could be made says that its file and contract can be read.
        offline: don't ask the API.
    """
    catalogue = f"{counted(len(stage.config.endpoints), 'endpoint')}, contract {stage.contract_version}"
    found = [replace(ok(catalogue), check="stage file")]
    for name, check in CHECKS.items():
        if offline and name in NEEDS_API:
            found.append(replace(not_tried("not asked"), check=name))
            continue
        try:
            finding = check(stage)
        except LakeflowJobMetaError as error:
            finding = failed(error.message, error.hint)
        found.append(replace(finding, check=name))
    return found


def _secrets(stage: SourceStage) -> Finding:
    names = [*stage.config.auth.secrets.values(), *(each.url for each in stage.config.notify)]
    stage.look_up_secrets()
    return ok(f"{counted(len(names), 'reference')} found")


def _login(stage: SourceStage) -> Finding:
    check = asyncio.run(stage.check_login())
    return ok(f"taken in {check.latency_ms} ms")


def _last_run(stage: SourceStage) -> Finding:
    runs = stage.log.runs()
    if not runs:
        return failed("it never ran", "ljm stage source --bootstrap")
    last = runs[-1]
    ended = f"{last['finished_at']:%Y-%m-%d %H:%M} UTC"
    if last["status"] != SUCCEEDED:
        return failed(f"failed at {ended}: {str(last['error']).splitlines()[0]}", RUNBOOK)
    return ok(f"succeeded at {ended} in {last['duration_seconds']:.1f} s")


def _endpoints(stage: SourceStage) -> Finding:
    last = next((row for row in reversed(stage.log.runs()) if row["endpoint_count"] is not None), None)
    if last is None:
        return not_tried("none was asked yet")
    good, asked = last["endpoint_success_count"] or 0, last["endpoint_count"]
    told = f"{good} of {asked} answered as they should"
    return ok(told) if good == asked else failed(told, "the step 'validate' of log.source has the details of each")


def _contract(stage: SourceStage) -> Finding:
    if stage.contract is None:
        return not_tried("the stage file names none")
    found = errors_in(check_contract(stage.contract, stage.store, stage.tables.catalog, datetime.now(UTC)))
    if not found:
        return ok(f"all tables keep {stage.contract_version}")
    first = f"{found[0].location}: {found[0].message}"
    return failed(f"{counted(len(found), 'finding')}; {first}", "`ljm contract check`")


CHECKS: dict[str, Callable[[SourceStage], Finding]] = {
    "secrets": _secrets,
    "login": _login,
    "last run": _last_run,
    "endpoints": _endpoints,
    "contract": _contract,
}
NEEDS_API = ("secrets", "login")
