"""The pipeline registry as a monitor looks after it: synced again only where it, or the control table, changed."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lakeflow_job_meta.control.mark import versions
from lakeflow_job_meta.diagnostics import Diagnostic
from lakeflow_job_meta.errors import InputError, LakeflowJobMetaError
from lakeflow_job_meta.pipelines.tables import REGISTERED, TABLES

if TYPE_CHECKING:
    from lakeflow_job_meta.pipelines.sync import Syncing, SyncReport

logger = logging.getLogger("lakeflow_job_meta.monitor")

ABSENT_SECONDS = 60.0
"""How often a registry that doesn't exist is looked for: most projects have none."""


@dataclass(slots=True)
class WatchedRegistry:
    """What was last found in it. A registry that doesn't exist costs one look at one table a minute.

    One that can't be read or synced says nothing about its rows: they stay, and jobs are kept up to date meanwhile.
    """

    syncing: Syncing
    findings: tuple[Diagnostic, ...] = ()
    _seen: object = None
    _due: float = 0.0

    def look(self) -> SyncReport | None:
        """Sync if anything changed; None where nothing did, or there is no registry. What is wrong is in `findings`."""
        if time.monotonic() < self._due:
            return None
        try:
            if self.syncing.store.info(self.syncing.registry.spec(TABLES).name) is None:
                self._report(())
                self._due = time.monotonic() + ABSENT_SECONDS
                return None
            if self._seen == self._versions():
                return None
            report = self.syncing.run(datetime.now(UTC))
        except LakeflowJobMetaError as error:
            # Tried again at the next look: what can't be read now may be readable then.
            found = error.diagnostics if isinstance(error, InputError) else ()
            self._report((*found, Diagnostic(f"pipelines aren't synced: {error.message}", hint=error.hint)))
            return None
        self._report(report.findings)
        if report.wrote:
            logger.info("pipelines: %s", str(report).splitlines()[0])
        for edit in report.overwritten:
            logger.warning("an edit of a generated row is overwritten: %s", edit)
        self._seen = self._versions()
        return report

    def _versions(self) -> object:
        syncing = self.syncing
        registry = [syncing.registry.spec(kind).name for kind in REGISTERED]
        return versions(syncing.store, *registry, syncing.control.control.name, syncing.control.modules.name)

    def _report(self, findings: tuple[Diagnostic, ...]) -> None:
        """Tell findings, once until they change."""
        if findings != self.findings:
            for finding in findings:
                logger.warning("%s", finding)
        self.findings = findings
