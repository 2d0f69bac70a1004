"""The recorded jobs of one workspace in `{control_table}_jobs`, and the actions' rows in `{control_table}_log`."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, cast

from lakeflow_job_meta.control.heartbeat import MONITOR
from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.control.tenure import Tenure, workspace_of
from lakeflow_job_meta.engine.ports import StateWrite
from lakeflow_job_meta.errors import ConflictError, StoreError, TableNotFound
from lakeflow_job_meta.model.job import Pending, RecordedJob, RecordedQuery, canonical
from lakeflow_job_meta.model.plan import Action, ActionKind, Outcome, Summary
from lakeflow_job_meta.model.table import Changes, Row, Snapshot, TableSpec
from lakeflow_job_meta.store.base import Store

RESERVED = "$"
"""What the names of rows start with that aren't modules."""


@dataclass(frozen=True, slots=True)
class JobState:
    """The engine's State port over a store."""

    store: Store
    tables: ControlTables
    workspace_id: str
    now: Callable[[], datetime]
    actor: Callable[[], str]
    correlation_id: str
    tenure: Tenure
    control_version: int = 0
    lock_timeout: float = 0.0

    def read(self, modules: Collection[str] | None = None) -> dict[str, RecordedJob]:
        """Recorded jobs by module; all of them by default.

        Raises:
            StoreError: a row can't be understood: a state that can't be read must not be taken for an empty one.
        """
        where: dict[str, list[str]] = {"workspace_id": [self.workspace_id]}
        if modules is not None:
            where["module_name"] = list(modules)
        try:
            snapshot = self.store.read(self.tables.jobs.name, where=where)
        except TableNotFound:
            return {}  # lost: the jobs are found again by their tags, and the table is made before anything is written
        return _by_module(snapshot, self.workspace_id)

    def job_names(self) -> dict[str, str]:
        """The names of all recorded jobs, by module."""
        snapshot = self.store.read(
            self.tables.jobs.name,
            columns=["module_name", "job_name"],
            where={"workspace_id": [self.workspace_id]},
        )
        return {row["module_name"]: row["job_name"] or "" for row in snapshot.rows}

    def workspaces(self) -> frozenset[str]:
        """The ids of all workspaces that the state has jobs in, and of those that it was told to have."""
        try:
            snapshot = self.store.read(self.tables.jobs.name, columns=["workspace_id", "module_name"])
        except TableNotFound:
            return frozenset()
        # A monitor that looks at the wrong workspace must not make it a right one by its sign of life.
        rows = [row for row in snapshot.rows if row["module_name"] != MONITOR]
        return frozenset(workspace_of(str(row["workspace_id"])) for row in rows)

    def acknowledge(self) -> None:
        """Note that this workspace is meant to have jobs, though it has none yet."""
        self.begin(StateWrite({}, {}))
        self.write(StateWrite({}, {}), last=True)

    def forget(self, modules: Mapping[str, RecordedJob]) -> None:
        """Delete the rows of these modules; their jobs aren't touched.

        Raises:
            ConflictError: another process holds the lease, or wrote one of the rows.
        """
        self.begin(StateWrite(dict.fromkeys(modules), modules))
        self.write(StateWrite({}, {}), last=True)
        self.log([Outcome(_forgetting(row), True, row.job_id) for row in modules.values()])

    def begin(self, write: StateWrite) -> None:
        """Take the lease and write rows in one commit, unless one of them isn't any more what was expected.

        Raises:
            ConflictError: another process holds the lease, or wrote a row meanwhile.
        """
        now = self.now()
        take = partial(self.tenure.take, self._decide(write, now), now, self.lock_timeout, tuple(write.rows))
        self._made(self.tables.jobs, take)

    def write(self, write: StateWrite, *, last: bool = False, mark: Mapping[str, Any] | None = None) -> None:
        """Write rows in one commit while the lease is ours; `last` lets go of it in the same commit, with a mark.

        Raises:
            LeaseLost: another process took over.
        """
        now = self.now()
        self.tenure.within(self._decide(write, now), now, modules=tuple(write.rows), release=last, mark=mark)

    @property
    def since(self) -> datetime | None:
        """A moment after which no earlier holder of the lease has sent anything."""
        return self.tenure.since

    def check(self) -> None:
        """Raise LeaseLost unless the lease lasts for one more call."""
        self.tenure.check()

    def _decide(self, write: StateWrite, now: datetime) -> Callable[[Snapshot], Changes]:
        def decide(snapshot: Snapshot) -> Changes:
            found = _by_module(snapshot, self.workspace_id, only=write.rows)
            moved = sorted(module for module in write.rows if found.get(module) != write.expected[module])
            if moved:
                raise ConflictError(
                    f"the recorded state of {', '.join(moved)} was written by another process meanwhile",
                    hint="let it finish, then plan again",
                )
            gone = [module for module, row in write.rows.items() if row is None and module in found]
            return Changes(
                tuple(_to_row(row, now) for row in write.rows.values() if row is not None),
                tuple({"workspace_id": self.workspace_id, "module_name": module} for module in gone),
            )

        return decide

    def log(self, outcomes: Sequence[Outcome], whole: Summary | None = None) -> None:
        """Append what was done; `whole` gets a row of its own."""
        about = {
            "correlation_id": self.correlation_id,
            "logged_at": self.now(),
            "actor": self.actor(),
            "workspace_id": self.workspace_id,
            "control_version": self.control_version,
        }
        rows: list[Row] = [
            {
                **about,
                "module_name": outcome.action.module,
                "job_id": outcome.job_id,
                "action": str(outcome.action.kind),
                "outcome": "done" if outcome.done else "failed",
                "message": outcome.error or outcome.action.reason,
                "before_fingerprint": outcome.action.recorded.fingerprint if outcome.action.recorded else None,
                "after_fingerprint": outcome.fingerprint,
                "duration_ms": outcome.duration_ms,
            }
            for outcome in outcomes
        ]
        if whole is not None:
            ended = "failed" if whole.failed or whole.left else "done"
            told = {"action": "reconcile", "outcome": ended, "message": str(whole), "duration_ms": whole.duration_ms}
            rows.append({**about, **told})
        self._made(self.tables.log, lambda: self.store.append(self.tables.log, rows))

    def _made(self, spec: TableSpec, write: Callable[[], object]) -> None:
        """Write a table; one that was lost meanwhile is made again first."""
        try:
            _ = write()
        except TableNotFound:
            _ = self.store.create(spec)
            _ = write()


def _forgetting(row: RecordedJob) -> Action:
    return Action(ActionKind.FORGET, row.module_name, "let go of, the job stays", recorded=row)


def _by_module(snapshot: Snapshot, workspace_id: str, only: Container[str] | None = None) -> dict[str, RecordedJob]:
    found: dict[str, RecordedJob] = {}
    for row in snapshot.rows:
        module = str(row["module_name"])
        if (
            row["workspace_id"] != workspace_id
            or module.startswith(RESERVED)
            or (only is not None and module not in only)
        ):
            continue
        if module in found:
            raise StoreError(
                f"the state has two rows for module {module} in workspace {workspace_id}",
                hint="delete the one whose job_id is wrong",
            )
        found[module] = _from_row(row)
    return found


def _from_row(row: Row) -> RecordedJob:
    pending = _json(row, "pending")
    queries = cast("Mapping[str, Mapping[str, str]]", _json(row, "queries") or {})
    return RecordedJob(
        module_name=row["module_name"],
        workspace_id=row["workspace_id"],
        status=row["status"] or "",
        job_id=row["job_id"],
        job_name=row["job_name"],
        nonce=row["nonce"],
        settings=_json(row, "settings") or {},
        pending=_pending(pending) if pending else None,
        queries={source: RecordedQuery(**query) for source, query in queries.items()},
        fingerprint=row["fingerprint"],
        control_version=row["control_version"],
        modules_version=row.get("modules_version"),  # a table of schema version 1, read before it is migrated, has none
        applied_at=row["applied_at"],
        applied_by=row["applied_by"],
        last_error=row["last_error"],
        created_timestamp=row["created_timestamp"],
    )


def _pending(fields: Mapping[str, Any]) -> Pending:
    pending = Pending(**fields)
    return replace(pending, names=tuple(pending.names))  # JSON knows lists only


def _json(row: Row, column: str) -> Any:
    try:
        return json.loads(row[column]) if row[column] else None
    except json.JSONDecodeError as error:
        raise StoreError(
            f"the state of module {row['module_name']} can't be read: {column} isn't JSON: {error}",
            hint="restore the state table to an earlier version",
        ) from error


def _to_row(job: RecordedJob, now: datetime) -> Row:
    pending = job.pending
    queries = {
        source: {"query_id": query.query_id, "fingerprint": query.fingerprint} for source, query in job.queries.items()
    }
    return {
        "module_name": job.module_name,
        "job_id": job.job_id,
        "job_name": job.job_name,
        "workspace_id": job.workspace_id,
        "status": job.status,
        "nonce": job.nonce,
        "settings": canonical(job.settings) if job.settings else None,
        "pending": canonical(asdict(pending)) if pending else None,
        "queries": canonical(queries) if queries else None,
        "fingerprint": job.fingerprint,
        "control_version": job.control_version,
        "modules_version": job.modules_version,
        "applied_at": job.applied_at,
        "applied_by": job.applied_by,
        "last_error": job.last_error,
        "created_timestamp": job.created_timestamp,
        "updated_timestamp": now,
    }
