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
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.diagnostics import Diagnostic
from lakeflow_job_meta.errors import ApplyError, LakeflowJobMetaError
from lakeflow_job_meta.ingest.volume import is_volume, volume_folder
from lakeflow_job_meta.ingest.watch import FolderWatch, wait_until_rested
from lakeflow_job_meta.model.plan import Action, Outcome, Plan
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.orchestrator import JobOrchestrator
from lakeflow_job_meta.settings import Settings, load_settings

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

    from lakeflow_job_meta.ingest.report import LoadReport
    from lakeflow_job_meta.store.base import Store

logger = logging.getLogger(__name__)

DRIFT_SECONDS = 600.0
"""How often the workspace itself is looked at, though no row changed."""

BACK_OFF_SECONDS = 900.0
"""The longest time between two tries of a module that fails."""


@dataclass(frozen=True, slots=True)
class Cycle:
    """What one look did. `looked` is false where nothing had changed since the last one."""

    looked: bool
    loaded: LoadReport | None = None
    findings: tuple[Diagnostic, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    failures: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def changed(self) -> bool:
        """Whether it changed a row or a job."""
        return bool(self.outcomes) or (self.loaded is not None and self.loaded.wrote)

    def to_dict(self) -> dict[str, Any]:
        """The cycle as JSON-ready values."""
        return {
            "looked": self.looked,
            "loaded": self.loaded.to_dict() if self.loaded else None,
            "findings": [each.to_dict() for each in self.findings],
            "outcomes": [each.to_dict() for each in self.outcomes],
            "failures": self.failures,
        }


@dataclass(frozen=True, slots=True)
class _Failure:
    """A module that failed: why, what it was asked for then, how often, and when it is due again."""

    reason: str
    asked: str
    tries: int
    due: float


@dataclass(slots=True)
class _BackOff:
    """When failing modules are tried again: later each time, but at once when their rows changed."""

    base: float
    failures: dict[str, _Failure] = field(default_factory=dict[str, _Failure])

    def failed(self, module: str, reason: str, asked: str) -> None:
        before = self.failures.get(module)
        tries = before.tries + 1 if before and before.asked == asked else 1
        due = time.monotonic() + min(self.base * 2 ** (tries - 1), BACK_OFF_SECONDS)
        self.failures[module] = _Failure(reason, asked, tries, due)

    def waits(self, module: str, asked: str) -> bool:
        """Whether a module, asked for the same as when it failed, isn't due yet."""
        failure = self.failures.get(module)
        return failure is not None and failure.asked == asked and failure.due > time.monotonic()

    def keep_only(self, failing: Collection[str]) -> None:
        self.failures = {module: failure for module, failure in self.failures.items() if module in failing}

    @property
    def reasons(self) -> dict[str, str]:
        return {module: failure.reason for module, failure in self.failures.items()}

    @property
    def any_due(self) -> bool:
        return any(failure.due <= time.monotonic() for failure in self.failures.values())


class MetadataMonitor:
    """Watches the control table, and a folder of YAML files if one is given.

    Args:
        control_table: `catalog.schema.table`.
        volume_path: a folder or a `/Volumes/…` path whose YAML files are loaded when they change.
        check_interval_seconds: seconds between two looks; a file that changes in a local folder is seen at once.
        auto_update_jobs: False only loads files and leaves jobs alone.
        drift_interval_seconds: seconds between two looks at the workspace itself.
        workspace_client, default_warehouse_id, cluster_id, store: as in JobOrchestrator.

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
    ) -> None:
        arguments = {
            "control_table": control_table,
            "default_warehouse_id": default_warehouse_id,
            "cluster_id": cluster_id,
        }
        settings = settings or load_settings(arguments, os.environ)
        self.orchestrator = JobOrchestrator(control_table, workspace_client, store=store, settings=settings)
        self.interval = check_interval_seconds
        self.auto_update_jobs = auto_update_jobs
        self.drift_interval = drift_interval_seconds
        self._on_cycle = on_cycle
        self._polls = volume_path is not None and is_volume(str(volume_path))
        self._folder = volume_folder(str(volume_path), settings.home) if volume_path is not None else None
        self._tables = ControlTables.of(TableName.parse(control_table))
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._seen: object = None
        self._files_seen: object = None
        self._findings: tuple[Diagnostic, ...] = ()
        self._drift_due = 0.0
        self._back_off = _BackOff(max(check_interval_seconds, 1.0))

    def check_and_update(self) -> Cycle:
        """Look once: load what changed in the folder, then bring the jobs up to date.

        Raises:
            LakeflowJobMetaError: the store or the workspace can't be reached. Modules that fail by themselves are in
                the cycle's `failures` and are tried again later.
        """
        self.orchestrator.ensure_setup()
        loaded, findings = self._load_files()
        if not self.auto_update_jobs:
            return Cycle(True, loaded, findings)
        seen = self._versions()
        refresh = time.monotonic() >= self._drift_due
        if seen == self._seen and not refresh and not self._back_off.any_due:
            return Cycle(False, loaded, findings, failures=self._back_off.reasons)
        outcomes = self._reconcile(refresh=refresh)
        if not self._stopping.is_set():
            # The rows as they were when they were compiled; the state as we left it.
            self._seen = [*seen[:-1], self._versions()[-1]]
            if refresh:
                self._drift_due = time.monotonic() + self.drift_interval
        return Cycle(True, loaded, findings, outcomes, self._back_off.reasons)

    def run_continuous(self, max_iterations: int | None = None) -> None:
        """Look again and again until `stop` is called or SIGTERM or Ctrl-C comes; ends between two actions.

        Args:
            max_iterations: end after so many looks.
        """
        watch = FolderWatch(self._folder, self._wake) if self._folder and not self._polls else None
        done = 0
        with self._signals(), watch or nullcontext():
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
        started = time.monotonic()
        try:
            cycle = self.check_and_update()
        except LakeflowJobMetaError as error:
            logger.error("cycle failed, next try in %g s: %s", self.interval, error)
            return
        except Exception:
            # A loop that has to run for ever: what we didn't foresee is told with its trace, and tried again.
            logger.exception("cycle failed unexpectedly, next try in %g s", self.interval)
            return
        _log(cycle, time.monotonic() - started)
        self._on_cycle(cycle)

    def _load_files(self) -> tuple[LoadReport | None, tuple[Diagnostic, ...]]:
        if self._folder is None or not self._folder.exists():
            return None, ()
        from lakeflow_job_meta.ingest.folder import content_digest
        from lakeflow_job_meta.ingest.load import load_folder

        wait_until_rested(self._folder)
        digest = content_digest(self._folder)
        if self._files_seen == (digest, self._versions()[:2]):
            return None, self._findings
        loaded, findings = load_folder(self.orchestrator.store, self._tables, self._folder, now=datetime.now(UTC))
        if findings != self._findings:
            for finding in findings:
                logger.warning("%s", finding)
        # The digest from before the load: what was written meanwhile is read the next time.
        self._files_seen, self._findings = (digest, self._versions()[:2]), findings
        return loaded, findings

    def _reconcile(self, *, refresh: bool) -> tuple[Outcome, ...]:
        # While something fails there is no mark, and a failing module is due by time, not by its rows: look at all.
        plan = self.orchestrator.plan(refresh=refresh, changed_only=not refresh and not self._back_off.failures)
        waiting = {action.module for action in plan.actions if self._back_off.waits(action.module, _asked(action))}
        plan = self._without_disruption(plan.without(waiting) if waiting else plan)
        try:
            outcomes, failures = self.orchestrator.apply(plan, stop=self._stopping.is_set), {}
        except ApplyError as error:
            outcomes, failures = error.outcomes, error.failures
        asked = {action.module: _asked(action) for action in plan.actions}
        for module, reason in failures.items():
            self._back_off.failed(module, reason, asked.get(module, ""))
        self._back_off.keep_only(failures.keys() | waiting)
        return tuple(outcomes)

    def _without_disruption(self, plan: Plan) -> Plan:
        """Leave out what a person would have to agree to; the rest goes on."""
        if not (why := self.orchestrator.too_disruptive(plan)):
            return plan
        logger.error("%s: left out until `ljm apply --allow-disruptive`", why)
        return plan.without({action.module for action in plan.effective if action.disruptions})

    def _versions(self) -> list[tuple[str, int] | None]:
        tables = (self._tables.control, self._tables.modules, self._tables.jobs)
        found = [self.orchestrator.store.info(table.name) for table in tables]
        return [(info.table_id, info.version) if info else None for info in found]

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


def _log(cycle: Cycle, seconds: float) -> None:
    for module, why in cycle.failures.items():
        logger.error("%s: %s", module, why)
    done: dict[str, int] = {}
    for outcome in cycle.outcomes:
        if outcome.done:
            done[str(outcome.action.kind)] = done.get(str(outcome.action.kind), 0) + 1
    what = ", ".join(f"{number} {kind}" for kind, number in done.items()) or "nothing to do"
    level = logging.INFO if cycle.changed or cycle.failures else logging.DEBUG
    logger.log(level, "cycle in %.1f s: %s, %d failed", seconds, what, len(cycle.failures))
