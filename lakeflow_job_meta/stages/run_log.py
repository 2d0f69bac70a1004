"""log.source: written once a run, all its rows in one commit; and what it knows of earlier runs."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.errors import LakeflowJobMetaError
from lakeflow_job_meta.model.table import Row, TableName
from lakeflow_job_meta.stages.activity import VALIDATE, Activity, Step
from lakeflow_job_meta.stages.contract.handoff import FAILED, RUN
from lakeflow_job_meta.stages.shape import Shape
from lakeflow_job_meta.stages.tables import LOG, StageTables, make_table, rows_of
from lakeflow_job_meta.store.base import TableStore

logger = logging.getLogger(__name__)

SCHEMAS, SCHEMA_CHANGES = "schemas", "schema_changes"
"""Details of the step `validate`: what is known of each endpoint's records, and what of it changed, which the whole
run's row has too."""


@dataclass(frozen=True, slots=True)
class Sums:
    """What only the row of a whole run has."""

    requests: int = 0
    retries: int = 0
    discovered: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunLog:
    """The log of one source system; `control` is the table whose product's log gets a row too, if there is one."""

    store: TableStore
    tables: StageTables
    control: TableName
    source_system: str

    def runs(self) -> Sequence[Row]:
        """The runs of this system, the newest last."""
        return self._rows(RUN)

    def known_shapes(self) -> dict[str, Shape]:
        """What the last run that looked knew of the records of each endpoint."""
        looked = self._rows(VALIDATE, ("execution_id", "finished_at"))
        if not looked:
            return {}
        last = {"execution_id": [looked[-1]["execution_id"]], "step": [VALIDATE]}
        rows = rows_of(self.store, self.tables.name(LOG), columns=("details",), where=last) or ()
        details: Mapping[str, Any] = json.loads(rows[0]["details"] or "{}") if rows else {}
        return dict(details.get(SCHEMAS, {}))

    def _rows(self, step: str, columns: Sequence[str] | None = None) -> Sequence[Row]:
        where = {"source_system": [self.source_system], "step": [step]}
        found = rows_of(self.store, self.tables.name(LOG), columns=columns, where=where) or ()
        return sorted(found, key=lambda row: row["finished_at"])

    def write(self, activity: Activity, whole: Step, sums: Sums) -> LakeflowJobMetaError | None:
        """Write the rows of a run; returns why it couldn't."""
        spec = self.tables.spec(LOG)
        try:
            make_table(self.store, spec)
            self.store.append(spec, activity.rows(whole, sums.requests, sums.retries, sums.discovered))
        except LakeflowJobMetaError as error:
            return error
        try:
            self._write_product(activity, whole)
        except LakeflowJobMetaError as error:
            # The handoff is in log.source already: the product's log is for people only.
            logger.warning("the run isn't in %s_log: %s", self.control, error.message)
        return None

    def _write_product(self, activity: Activity, whole: Step) -> None:
        """The run as a row of the product's own log, where there is one, under the same correlation id."""
        spec = ControlTables.of(self.control).log
        if self.store.info(spec.name) is None:
            return
        message = whole.error or f"{activity.envelope['batch_id']}: {len(whole.tables)} tables"
        row = {
            "correlation_id": activity.envelope["correlation_id"],
            "logged_at": whole.finished_at,
            "actor": activity.envelope["actor"],
            "action": "source_stage",
            "outcome": "failed" if whole.status == FAILED else "done",
            "message": f"{self.source_system}: {message}",
            "duration_ms": round(whole.seconds * 1000),
        }
        self.store.append(spec, [row])
