"""The monitor's looks for runs: on an interval of their own, and never the end of the cycle that they are in."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from lakeflow_job_meta.errors import LakeflowJobMetaError
from lakeflow_job_meta.orchestrator import JobOrchestrator

logger = logging.getLogger("lakeflow_job_meta.monitor")


@dataclass(slots=True)
class RunWatch:
    """Brings the ledger up to date now and then; `interval` is in seconds."""

    orchestrator: JobOrchestrator
    interval: float
    _due: float = 0.0

    def look(self) -> None:
        """Collect runs if it is time to. What fails is told, and made up for by the next look."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + self.interval
        try:
            collected = self.orchestrator.runs.collect()
        except LakeflowJobMetaError as error:
            logger.error("runs can't be collected, next try in %g s: %s", self.interval, error)
            return
        for row in collected.breaches:
            logger.warning(
                "%s: run %s is %s, %s s are allowed", row["module_name"], row["run_id"], row["sla"], row["sla_seconds"]
            )
        logger.log(logging.INFO if collected.runs else logging.DEBUG, "%s", collected)
