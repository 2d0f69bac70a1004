"""The folder or volume that a monitor loads: read again only where it, or the tables, changed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.diagnostics import Diagnostic, Severity
from lakeflow_job_meta.errors import InputError, WorkspaceError
from lakeflow_job_meta.ingest.volume import Place
from lakeflow_job_meta.ingest.watch import wait_until_rested

if TYPE_CHECKING:
    from lakeflow_job_meta.ingest.report import LoadReport
    from lakeflow_job_meta.store.base import Store

logger = logging.getLogger("lakeflow_job_meta.monitor")


@dataclass(slots=True)
class WatchedFiles:
    """What was last found there. `version` tells the versions of the tables that files are loaded into.

    A place that can't be reached says nothing about its files: their rows stay, and jobs are kept up to date meanwhile.
    """

    place: Place
    store: Store
    tables: ControlTables
    version: Callable[[], object]
    findings: tuple[Diagnostic, ...] = ()
    _seen: object = None
    _of_last_load: tuple[Diagnostic, ...] = ()

    def load(self) -> LoadReport | None:
        """Load what changed; None where nothing did, or nothing is there. What is wrong is in `findings`."""
        from lakeflow_job_meta.ingest.load import load_folder

        if self.place.folder is not None:
            wait_until_rested(self.place.folder)
        try:
            found = self.place.look()
        except (WorkspaceError, InputError) as error:
            self._report((Diagnostic(error.message, hint=error.hint),))
            return None
        if found is None:
            self._report(self._missing())
            return None
        digest = found.digest()
        if self._seen == (digest, self.version()):
            # It may have been out of reach in between.
            self._report(self._of_last_load)
            return None
        loaded, self._of_last_load = load_folder(self.store, self.tables, found, now=datetime.now(UTC))
        self._report(self._of_last_load)
        # The digest from before the load: what was written meanwhile is read the next time.
        self._seen = (digest, self.version())
        return loaded

    def _missing(self) -> tuple[Diagnostic, ...]:
        """A local folder may be yet to come. A volume is there, or its name is wrong."""
        what = "its rows stay as they are; is the name right, and may we read it?"
        hint = what if self.place.polled else "it is waited for"
        return (Diagnostic(f"{self.place} isn't there", hint=hint, severity=Severity.WARNING),)

    def _report(self, findings: tuple[Diagnostic, ...]) -> None:
        """Tell findings, once until they change."""
        if findings != self.findings:
            for finding in findings:
                logger.warning("%s", finding)
        self.findings = findings
