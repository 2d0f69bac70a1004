"""How the next stage gets a batch: it waits for the completion row in log.source, and reads the versions named there.

Versions, because tables are written one after the other: whoever reads the newest of each may read two batches at once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from lakeflow_job_meta.diagnostics import errors_in
from lakeflow_job_meta.errors import ConflictError, InputError
from lakeflow_job_meta.model.table import Row, TableName
from lakeflow_job_meta.stages.contract.check import check_contract
from lakeflow_job_meta.stages.contract.model import ENVELOPE, Contract, Version
from lakeflow_job_meta.stages.tables import rows_of
from lakeflow_job_meta.store.base import Store

RUN = "run"
SUCCEEDED, FAILED, SKIPPED = "succeeded", "failed", "skipped"


@dataclass(frozen=True, slots=True)
class Batch:
    """A completed run: its envelope, and the versions of its tables."""

    envelope: Mapping[str, Any]
    versions: Mapping[str, int]

    def read(self, store: Store, table: TableName) -> tuple[Row, ...]:
        """The rows that the batch handed over.

        Raises:
            InputError: the batch has no such table.
        """
        version = self.versions.get(str(table))
        if version is None:
            raise InputError(f"the batch {self.envelope['batch_id']} has no table {table}")
        return store.read(table, version=version).rows


@dataclass(frozen=True, slots=True)
class Handoff:
    """Where a consumer waits, for which system, under which contract."""

    store: Store
    catalog: str
    contract: Contract
    source_system: str

    def wait(self, timeout_seconds: float = 0, after: datetime | None = None, poll_seconds: float = 5.0) -> Batch:
        """The newest batch, checked; waits for one that ended after a moment.

        Args:
            timeout_seconds: how long to wait at the most.
            after: batches that ended earlier don't count; those older than the contract allows never do.
            poll_seconds: between two looks.

        Raises:
            ConflictError: there is no fresh batch in that time; the message tells what there is.
            InputError: the batch breaks the contract, with all findings.
        """
        ends = time.monotonic() + timeout_seconds
        while True:
            now = datetime.now(UTC)
            since = max(now - timedelta(hours=self.contract.handoff_hours), after or datetime.min.replace(tzinfo=UTC))
            runs = self.runs()
            fresh = [row for row in runs if row["status"] == SUCCEEDED and row["finished_at"] >= since]
            if fresh:
                return self._checked(fresh[-1], now)
            if (left := ends - time.monotonic()) <= 0:
                raise ConflictError(f"no batch of {self.source_system}: {_told(runs, since)}", hint="ljm stage health")
            time.sleep(min(poll_seconds, left))

    def runs(self) -> Sequence[Row]:
        """The runs of the system, the newest last."""
        name = TableName.parse(f"{self.catalog}.{self.contract.handoff_table}")
        where = {"source_system": [self.source_system], "step": [RUN]}
        return sorted(rows_of(self.store, name, where=where) or (), key=lambda row: row["finished_at"])

    def _checked(self, row: Row, now: datetime) -> Batch:
        said = Version.parse(str(row["contract_version"]))
        wanted = self.contract.version
        if said is None or said.major != wanted.major or said < wanted:
            raise InputError(f"the batch keeps contract {row['contract_version']}, needed is {wanted} or a later minor")
        try:
            versions = {str(name): int(version) for name, version in json.loads(row["tables"] or "{}").items()}
        except (ValueError, AttributeError) as error:
            raise InputError(f"the batch {row['batch_id']} doesn't tell its tables") from error
        found = errors_in(check_contract(self.contract, self.store, self.catalog, now, versions))
        if found:
            raise InputError(f"the batch {row['batch_id']} breaks the contract", diagnostics=found)
        return Batch({name: row[name] for name in ENVELOPE}, versions)


def _told(runs: Sequence[Row], since: datetime) -> str:
    if not runs:
        return "it never ran"
    last = runs[-1]
    if last["status"] == SUCCEEDED:
        return f"the newest ended {last['finished_at']:%Y-%m-%d %H:%M}, before {since:%Y-%m-%d %H:%M}: it is stale"
    return f"the last run failed at {last['finished_at']:%Y-%m-%d %H:%M}: {last['error']}"
