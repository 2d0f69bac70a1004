"""MetadataMonitor: keeps jobs equal to rows, and rows equal to files, for ever.

Level-based: an event decides only when to look. What to do follows from the whole state each time, so nothing has to be
remembered over a restart.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lakeflow_job_meta.control.heartbeat import Heartbeat
from lakeflow_job_meta.control.mark import versions
from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.diagnostics import Diagnostic
from lakeflow_job_meta.errors import ApplyError, ConflictError, LakeflowJobMetaError
from lakeflow_job_meta.ingest.volume import place_of_files
from lakeflow_job_meta.ingest.watch import FolderWatch
from lakeflow_job_meta.model.plan import Action, Outcome, Plan
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.monitor.back_off import BackOff
from lakeflow_job_meta.monitor.cycle import Cycle, Extent
from lakeflow_job_meta.monitor.files import WatchedFiles
from lakeflow_job_meta.monitor.listen import Address
from lakeflow_job_meta.monitor.record import Record
from lakeflow_job_meta.monitor.registry import WatchedRegistry
from lakeflow_job_meta.monitor.runs import RunWatch
from lakeflow_job_meta.monitor.turns import Turns
from lakeflow_job_meta.orchestrator import JobOrchestrator
from lakeflow_job_meta.pipelines.sync import Syncing
from lakeflow_job_meta.pipelines.tables import RegistryTables
from lakeflow_job_meta.settings import Settings, load_settings

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

    from lakeflow_job_meta.ingest.report import LoadReport
    from lakeflow_job_meta.pipelines.sync import SyncReport
    from lakeflow_job_meta.store.base import Store

logger = logging.getLogger("lakeflow_job_meta.monitor")

DRIFT_SECONDS = 600.0
"""How often the workspace itself is looked at, though no row changed."""

HEARTBEAT_SECONDS = 60.0
"""How often a sign of life is written."""


class MetadataMonitor:
    """Watches the control table, the pipeline registry if there is one, and a folder of YAML files if one is given.

    Args:
        control_table: `catalog.schema.table`.
        volume_path: a folder or a `/Volumes/…` path whose YAML files are loaded when they change.
        check_interval_seconds: seconds between two looks; a file that changes in a local folder is seen at once.
        auto_update_jobs: False only loads files and leaves jobs alone.
        drift_interval_seconds: seconds between two looks at the workspace itself.
        workspace_client, default_warehouse_id, cluster_id, store: as in JobOrchestrator.
        heartbeat_seconds: seconds between two signs of life in the state table; 0 writes none, and takes no turns.
        listen: `127.0.0.1:9108` answers `/healthz` and `/metrics` there while `run_continuous` runs.
        runs_interval_seconds: seconds between two looks for runs, which go into the ledger; 0: never.

    Raises:
        UsageError: an address to listen on that others can reach.

    Example:
        MetadataMonitor("main.etl.control", "/Volumes/main/etl/metadata").run_continuous()
    """

    def __init__(
        self,
        control_table: str,
        volume_path: str | Path | None = None,
        check_interval_seconds: float = 60,
        auto_update_jobs: bool = True,
        drift_interval_seconds: float = DRIFT_SECONDS,
        workspace_client: WorkspaceClient | None = None,
        default_warehouse_id: str | None = None,
        cluster_id: str | None = None,
        store: Store | None = None,
        *,
        settings: Settings | None = None,
        on_cycle: Callable[[Cycle], None] = lambda cycle: None,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        listen: str | None = None,
        runs_interval_seconds: float = 0,
    ) -> None:
        arguments = {
            "control_table": control_table,
            "default_warehouse_id": default_warehouse_id,
            "cluster_id": cluster_id,
        }
        self._address = Address.parse(listen) if listen is not None else None
        settings = settings or load_settings(arguments, os.environ)
        self.orchestrator = JobOrchestrator(control_table, workspace_client, store=store, settings=settings)
        self.interval = check_interval_seconds
        self.auto_update_jobs = auto_update_jobs
        self.drift_interval = drift_interval_seconds
        self.heartbeat_interval = heartbeat_seconds
        self._on_cycle = on_cycle
        self._tables = ControlTables.of(TableName.parse(control_table))
        self._files = self._watched(volume_path) if volume_path is not None else None
        registry = RegistryTables.beside(control_table, settings.pipelines_schema)
        self._registry = WatchedRegistry(Syncing(self.orchestrator.store, self._tables, registry, settings))
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._seen: object = None
        self._drift_due = 0.0
        self._run_watch = RunWatch(self.orchestrator, runs_interval_seconds) if runs_interval_seconds else None
        self._back_off = BackOff(max(check_interval_seconds, 1.0))
        self._takes_turns = False
        self.record = Record(check_interval_seconds, self.orchestrator.workspace.calls)

    def check_and_update(self) -> Cycle:
        """Look once: load what changed in the folder, then bring the jobs up to date, whoever's turn it is.

        Raises:
            LakeflowJobMetaError: the store or the workspace can't be reached, or another run holds the lease. Modules
                that fail by themselves are in the cycle's `failures` and are tried again later.
        """
        self.orchestrator.ensure_setup()
        loaded, synced = self._load()
        return replace(self._update_jobs(loaded), synced=synced)

    def run_continuous(self, max_iterations: int | None = None) -> None:
        """Look again and again until `stop` is called or SIGTERM or Ctrl-C comes; ends between two actions.

        Args:
            max_iterations: end after so many looks.

        Raises:
            UsageError: the port to listen on is in use.
        """
        place = self._files.place if self._files is not None else None
        watch = FolderWatch(place.folder, self._wake) if place and place.folder and not place.polled else None
        done = 0
        # Who looks once neither waits for a turn nor stays to be seen.
        self._takes_turns = self.auto_update_jobs and self.heartbeat_interval > 0 and max_iterations != 1
        with self._signals(), self.record.served(self._address), watch or nullcontext(), self._signing_off():
            while not self._stopping.is_set():
                self._wake.clear()
                if watch is not None:
                    watch.attach()
                self._look()
                done += 1
                if max_iterations is not None and done >= max_iterations:
                    return
                self._wake.wait(self.interval)

    def stop(self) -> None:
        """End the loop after the actions under way; may be called from any thread or signal handler."""
        self._stopping.set()
        self._wake.set()

    def _look(self) -> None:
        self.record.began()
        try:
            cycle = self._cycle()
        except LakeflowJobMetaError as error:
            logger.error("cycle failed, next try in %g s: %s", self.interval, error)
            self.record.failed(error.message)
            return
        except Exception as error:
            # A loop that has to run for ever: what we didn't foresee is told with its trace, and tried again.
            logger.exception("cycle failed unexpectedly, next try in %g s", self.interval)
            self.record.failed(f"{type(error).__name__}: {error}")
            return
        seconds = self.record.done(cycle)
        logger.log(logging.INFO if cycle.telling else logging.DEBUG, "%s", cycle.line(seconds))
        self._on_cycle(cycle)

    def _cycle(self) -> Cycle:
        self.orchestrator.ensure_setup()
        if not self.auto_update_jobs:
            loaded, synced = self._load()
            return replace(self._update_jobs(loaded), synced=synced)
        standby = self._whose_turn()
        self.record.stands_by(self._turns.standby)
        loaded, synced = self._load()
        cycle = self._wait(loaded, standby) if standby else self._update_or_wait(loaded)
        self._turns.tell(cycle.standby)
        if self._run_watch is not None and not cycle.standby:
            self._run_watch.look()
        return replace(cycle, synced=synced)

    def _whose_turn(self) -> str:
        if not self._takes_turns:
            return ""
        ((_, version),) = versions(self.orchestrator.store, self._tables.jobs.name)
        return self._turns.whose(version, self.record.health)

    def _update_or_wait(self, loaded: LoadReport | None) -> Cycle:
        try:
            return self._update_jobs(loaded)
        except ConflictError as error:
            if not error.holder:
                raise
            return self._wait(loaded, error.holder)

    def _wait(self, loaded: LoadReport | None, standby: str) -> Cycle:
        rows = self._rows_version()
        failures = self._back_off.reasons
        return Cycle(False, loaded, self._findings, (), failures, standby, (rows[0][1], rows[1][1]))

    def _watched(self, path: str | Path) -> WatchedFiles:
        place = place_of_files(path, self.orchestrator.workspace)
        return WatchedFiles(place, self.orchestrator.store, self._tables, self._rows_version)

    def _load(self) -> tuple[LoadReport | None, SyncReport | None]:
        """Files first, then what is registered: each decides what it writes on what the other left."""
        loaded = self._files.load() if self._files is not None else None
        return loaded, self._registry.look()

    @property
    def _findings(self) -> tuple[Diagnostic, ...]:
        return (*(self._files.findings if self._files is not None else ()), *self._registry.findings)

    def _update_jobs(self, loaded: LoadReport | None) -> Cycle:
        rows, findings = self._rows_version(), self._findings
        row_versions = (rows[0][1], rows[1][1])
        if not self.auto_update_jobs:
            return Cycle(True, loaded, findings, versions=row_versions)
        files = self.orchestrator.files()
        seen = (rows, self._state_version(), files)
        refresh = time.monotonic() >= self._drift_due
        if seen == self._seen and not refresh and not self._back_off.any_due:
            return Cycle(False, loaded, findings, failures=self._back_off.reasons, versions=row_versions)
        outcomes, extent = self._reconcile(refresh=refresh)
        if not self._stopping.is_set():
            # Rows and files as they were when they were compiled; the state as we left it.
            self._seen = (rows, self._state_version(), files)
            if refresh:
                self._drift_due = time.monotonic() + self.drift_interval
        return Cycle(True, loaded, findings, outcomes, self._back_off.reasons, versions=row_versions, extent=extent)

    def _reconcile(self, *, refresh: bool) -> tuple[tuple[Outcome, ...], Extent | None]:
        # While something fails there is no mark, and a failing module is due by time, not by its rows: look at all.
        changed_only = not refresh and not self._back_off.failures
        whole = self.orchestrator.plan(refresh=refresh, changed_only=changed_only)
        waiting = {action.module for action in whole.actions if self._back_off.waits(action.module, _asked(action))}
        plan = self._without_disruption(whole.without(waiting) if waiting else whole)
        try:
            with nullcontext() if plan.empty else self.record.changing_jobs():
                outcomes = self.orchestrator.apply(plan, stop=self._stopping.is_set, on_outcome=self.record.outcome)
            failures = dict[str, str]()
        except ApplyError as error:
            outcomes, failures = error.outcomes, error.failures
        asked = {action.module: _asked(action) for action in plan.actions}
        for module, reason in failures.items():
            wait = self._back_off.failed(module, reason, asked.get(module, ""))
            logger.error("%s: next try in %g s: %s", module, wait, reason)
        self._back_off.keep_only(failures.keys() | waiting)
        return tuple(outcomes), None if changed_only else Extent.of(whole, tuple(outcomes))

    def _without_disruption(self, plan: Plan) -> Plan:
        """Leave out what a person would have to agree to; the rest goes on."""
        if not (why := self.orchestrator.too_disruptive(plan)):
            return plan
        logger.error("%s: left out until `ljm apply --allow-disruptive`", why)
        return plan.without({action.module for action in plan.effective if action.disruptions})

    def _rows_version(self) -> tuple[tuple[str, int], tuple[str, int]]:
        control, modules = versions(self.orchestrator.store, self._tables.control.name, self._tables.modules.name)
        return control, modules

    def _state_version(self) -> tuple[str, int]:
        """The state's id and version, signs of life left out: neither our own nor another monitor's is a change."""
        ((table_id, version),) = versions(self.orchestrator.store, self._tables.jobs.name)
        return table_id, self._turns.heart.settled(version)

    @cached_property
    def _turns(self) -> Turns:
        # Not before the first look: to learn the workspace's id may take a request.
        workspace_id = self.orchestrator.workspace.id
        return Turns(
            Heartbeat(self.orchestrator.store, self._tables, workspace_id, self.interval, self.heartbeat_interval)
        )

    @contextmanager
    def _signing_off(self) -> Generator[None]:
        try:
            yield
        finally:
            if self._takes_turns and "_turns" in self.__dict__:
                self._turns.leave()

    @contextmanager
    def _signals(self) -> Generator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def on_signal(number: int, frame: object) -> None:
            self.stop()

        before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _asked(action: Action) -> str:
    """What the rows ask for: a module that failed is tried again at once when this changes."""
    return action.desired.fingerprint if action.desired else action.reason
