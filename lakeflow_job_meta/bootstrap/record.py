"""What was done, as rows of the product's log, and as lines for whoever reads along."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from lakeflow_job_meta.bootstrap.apply import TableOutcome
from lakeflow_job_meta.bootstrap.dataset_file import RESERVED
from lakeflow_job_meta.control.actor import actor
from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.errors import TableNotFound
from lakeflow_job_meta.model.table import Row, TableName, TableSpec
from lakeflow_job_meta.store.base import TableStore

logger = logging.getLogger("lakeflow_job_meta.bootstrap")


def log_table(control_table: str, catalog: str, dataset: str) -> TableSpec:
    """The log that a dataset's rows go to: that of the control table; without one, a log of the dataset's own.

    >>> str(log_table("", "main", "tenants").name), str(log_table("main.etl.control", "main", "tenants").name)
    ('main.tenants._ljm_log', 'main.etl.control_log')
    """
    if control_table:
        return ControlTables.of(TableName.parse(control_table)).log
    own = TableName(catalog, dataset, f"{RESERVED}log")
    return replace(ControlTables.of(own).log, name=own)


@dataclass(frozen=True, slots=True)
class Record:
    """One run's rows; `correlation_id` is the same in all of them, and in each line."""

    store: TableStore
    log: TableSpec
    correlation_id: str
    tenant_id: str

    def tell(self, outcome: TableOutcome) -> None:
        """Write a line of what was done, with the same facts beside it for programs that gather logs."""
        about = {
            "correlation_id": self.correlation_id,
            "tenant_id": self.tenant_id,
            "table": outcome.action.subject,
            "action": str(outcome.action.kind),
            "outcome": "done" if outcome.done else "failed",
            "duration_ms": outcome.duration_ms,
        }
        level = logging.INFO if outcome.done else logging.ERROR
        text = " ".join(f"{name}={value}" for name, value in about.items())
        logger.log(level, "bootstrap %s%s", text, f" error={outcome.error!r}" if outcome.error else "", extra=about)

    def write(self, outcomes: Sequence[TableOutcome], now: datetime) -> None:
        """Add a row for each outcome; the log is made where there is none yet."""
        # A failed run leaves nothing behind, so not even a dataset that would hold its log alone.
        place = self.log.name
        if not outcomes or (
            not any(each.done for each in outcomes) and self.store.listed(place.catalog, place.schema) is None
        ):
            return
        rows: list[Row] = [
            {
                "correlation_id": self.correlation_id,
                "logged_at": now,
                "actor": actor(),
                "module_name": each.action.subject,
                "action": str(each.action.kind),
                "outcome": "done" if each.done else "failed",
                "message": each.error or each.action.reason,
                "duration_ms": each.duration_ms,
            }
            for each in outcomes
        ]
        try:
            _ = self.store.append(self.log, rows)
        except TableNotFound:
            self.store.ensure_schema(self.log.name.catalog, self.log.name.schema)
            _ = self.store.create(self.log)
            _ = self.store.append(self.log, rows)
