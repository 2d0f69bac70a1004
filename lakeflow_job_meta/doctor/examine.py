"""All checks, one after the other, each with an end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from lakeflow_job_meta.doctor import store_checks, workspace_checks
from lakeflow_job_meta.doctor.check import Check
from lakeflow_job_meta.doctor.subject import Subject
from lakeflow_job_meta.errors import InputError, LakeflowJobMetaError
from lakeflow_job_meta.model.finding import Finding, Status, failed, not_tried, ok
from lakeflow_job_meta.settings import EMBEDDED, Settings
from lakeflow_job_meta.store.base import Store

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 20.0
SLOW = 4
"""A slow check may take so many times longer: several requests, or an engine that has to start."""

START_SECONDS = 600.0
"""How long an engine may take to start: a SQL warehouse, a Spark session."""

MESSAGE_LENGTH = 300


@dataclass(frozen=True, slots=True)
class Wishes:
    """How to look: as in Subject. `store` is where the tables live, by default what the settings name."""

    timeout: float = TIMEOUT_SECONDS
    write: bool = False
    volume: str = ""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    store: Store | None = None


def examine(
    load: Callable[[], Settings], wishes: Wishes | None = None, tell: Callable[[Finding], None] = lambda finding: None
) -> list[Finding]:
    """Look at everything; what fails is a finding and raises nothing.

    Args:
        load: gives the settings.
        wishes: how to look.
        tell: called with each finding as it comes.

    Example:
        settings = Settings("main.etl.control")
        broken = [each for each in examine(lambda: settings) if each.status is Status.FAILED]
    """
    wishes = wishes or Wishes()
    subject = Subject(load, wishes.timeout, wishes.write, wishes.volume, wishes.now, wishes.store)
    found: dict[str, Finding] = {}
    for check in _checks(wishes):
        finding = _examined(check, subject, found)
        found[check.name] = finding
        tell(finding)
    return list(found.values())


def _checks(wishes: Wishes) -> Sequence[Check]:
    every = (Check("settings", _settings), *workspace_checks.CHECKS, *store_checks.CHECKS)
    return [each for each in every if wishes.volume or each.name != "volume"]


def _settings(subject: Subject) -> Finding:
    settings = subject.settings
    where = f"store: {settings.store}, workspace: {settings.workspace}"
    return ok(f"control table: {settings.control_table or 'none'}, {where}")


def _examined(check: Check, subject: Subject, found: dict[str, Finding]) -> Finding:
    missed = [name for name in check.needs if found[name].status not in (Status.OK, Status.WARNING)]
    if missed:
        return replace(not_tried(f"first '{missed[0]}' has to be mended"), check=check.name)
    started = time.monotonic()
    finding = _with_end(check, subject, _limit(check, subject))
    return replace(finding, check=check.name, seconds=time.monotonic() - started)


def _limit(check: Check, subject: Subject) -> float:
    if check.name == "store" and (subject.settings.store != EMBEDDED or subject.given_store):
        return START_SECONDS
    return subject.timeout * (SLOW if check.slow else 1) + 1


def _with_end(check: Check, subject: Subject, limit: float) -> Finding:
    """Run it in a thread of its own: whatever it waits for, we go on after a time."""
    results: list[Finding] = []

    def run() -> None:
        try:
            results.append(check.run(subject))
        except LakeflowJobMetaError as error:
            told = [error.message, *map(str, error.diagnostics)] if isinstance(error, InputError) else [error.message]
            results.append(failed("; ".join(told), error.hint))
        except Exception as error:
            # The edge: drivers and the SDK have errors of many kinds, and each is a finding.
            logger.debug("the check %s", check.name, exc_info=True)
            text = str(error).strip().splitlines() or [""]
            results.append(failed(f"{type(error).__name__}: {text[0]}"[:MESSAGE_LENGTH], ""))

    # A thread that still waits must not keep the process alive.
    thread = threading.Thread(target=run, name=f"doctor: {check.name}", daemon=True)
    thread.start()
    thread.join(limit)
    if results:
        return results[0]
    return failed(f"no answer within {limit:.0f} s", "check address and network, or give it longer: --timeout")
