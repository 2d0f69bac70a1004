"""Deploying the monitor, and taking it away: the wheel first, then its rows, then its job, by plan and apply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from lakeflow_job_meta.control.deployed import deployed_wheel, wheel_of
from lakeflow_job_meta.control.local_files import LocalFiles
from lakeflow_job_meta.control.tables import owner_of
from lakeflow_job_meta.deploy.own_rows import OwnRows, delete, differs, present, write
from lakeflow_job_meta.deploy.rows import SOURCE_ID, Deployment, module_row, source_row
from lakeflow_job_meta.deploy.wheel import Wheel
from lakeflow_job_meta.deploy.wheel_folder import WheelFolder
from lakeflow_job_meta.errors import ConflictError, InputError
from lakeflow_job_meta.model.control import MONITOR_MODULE
from lakeflow_job_meta.model.plan import Outcome, Plan
from lakeflow_job_meta.model.table import Row
from lakeflow_job_meta.orchestrator import JobOrchestrator
from lakeflow_job_meta.planning import Planning, Request
from lakeflow_job_meta.store.base import Store

OnOutcome = Callable[[Outcome], None]


@dataclass(frozen=True, slots=True)
class Proposal:
    """What deploying would do: which wheel goes where, which rows are written, what becomes of the job."""

    deployment: Deployment
    wheel: Wheel
    folder: WheelFolder
    uploads: bool
    source: Row
    module: Row
    writes: bool
    plan: Plan

    @property
    def empty(self) -> bool:
        """Whether all is as it should be."""
        return not (self.uploads or self.writes) and self.plan.empty

    def to_dict(self) -> dict[str, Any]:
        """The proposal as JSON-ready values."""
        wheel = {"path": self.folder.path_of(self.wheel), "version": self.wheel.version, "sha256": self.wheel.sha256}
        return {
            "wheel": {**wheel, "bytes": len(self.wheel.data), "uploads": self.uploads},
            "writes_rows": self.writes,
            "plan": self.plan.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class Removal:
    """What taking the monitor away would do; `plan` is None where it has no job."""

    rows: bool
    plan: Plan | None
    folders: tuple[WheelFolder, ...]
    wheels: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """Whether nothing of a monitor is there."""
        return not (self.rows or self.plan or self.wheels)

    def to_dict(self) -> dict[str, Any]:
        """The removal as JSON-ready values."""
        plan = self.plan.to_dict() if self.plan else None
        return {"wheels": list(self.wheels), "deletes_rows": self.rows, "plan": plan}


class Deployer:
    """Deploys the monitor of one control table.

    Args:
        orchestrator: of that table, and of the workspace that the monitor is to run in.
        wheel_folder: a folder in a volume or below /Workspace; by default in the home folder of whoever deploys.
    """

    def __init__(self, orchestrator: JobOrchestrator, wheel_folder: str = "") -> None:
        self._orchestrator = orchestrator
        self._tables = orchestrator.tables
        self._store = orchestrator.store
        self._wheel_folder = wheel_folder

    def propose(self, deployment: Deployment, wheel: Wheel) -> Proposal:
        """What deploying would do; changes nothing.

        Raises:
            TableNotFound: there is no control table.
            UsageError: the job couldn't reach it, or the wheel can't be kept there.
            InputError: a module with the monitor's name is there, and isn't ours.
        """
        folder, settings = self._folder(), self._orchestrator.settings
        path, rows = folder.path_of(wheel), OwnRows.read(self._store, self._tables)
        old_source = present(rows.sources, (MONITOR_MODULE, SOURCE_ID))
        old_module = present(rows.modules, (MONITOR_MODULE, ""))
        source = source_row(deployment, settings, path, old_source)
        module = module_row(deployment, settings, path, old_module)
        plan = self._plan(rows.with_row(self._store, source, module), Request([MONITOR_MODULE]))
        writes = differs(old_source, source) or differs(old_module, module)
        return Proposal(deployment, wheel, folder, not folder.has(wheel), source, module, writes, plan)

    def carry_out(self, proposal: Proposal, *, on_outcome: OnOutcome | None = None) -> tuple[Outcome, ...]:
        """Upload, write the rows, and apply them to the monitor's job alone.

        Raises:
            ConflictError: the rows were changed meanwhile, or another run holds the lease.
            ApplyError: the job couldn't be made or changed.
        """
        self._orchestrator.ensure_setup()
        folder, run_as = proposal.folder, proposal.deployment.run_as
        if proposal.uploads:
            folder.put(proposal.wheel)
        if run_as and not proposal.empty:
            folder.let_read(run_as)
        now = datetime.now(UTC)
        write(self._store, self._tables.control, proposal.source, now)
        write(self._store, self._tables.modules, proposal.module, now)
        plan = self._orchestrator.plan([MONITOR_MODULE])
        if _asked(plan) != _asked(proposal.plan):
            raise ConflictError("the monitor's rows were changed meanwhile", hint="deploy again")
        return self._orchestrator.apply(plan, on_outcome=on_outcome, allow_disruptive=True)

    def propose_removal(self) -> Removal:
        """What taking the monitor away would do; changes nothing.

        Raises:
            InputError: its job can't be seen, or isn't ours any more.
        """
        rows = OwnRows.read(self._store, self._tables)
        plan = self._plan_removal(rows.without(self._store))
        if plan is not None and plan.failed:
            raise InputError(plan.failed[0].reason, hint="`ljm forget` lets go of a job without touching it")
        recorded = [action.recorded.settings for action in plan.actions if action.recorded] if plan else []
        known = [deployed_wheel(self._store, self._tables), *map(wheel_of, recorded)]
        api = self._orchestrator.workspace.api
        folders = {str(PurePosixPath(path).parent): None for path in known if path}
        if self._wheel_folder or not folders:
            folders[self._folder().path] = None
        listed = tuple(WheelFolder(api, path) for path in folders)
        return Removal(bool(rows), plan, listed, tuple(path for folder in listed for path in folder.wheels()))

    def remove(self, removal: Removal, *, on_outcome: OnOutcome | None = None) -> tuple[Outcome, ...]:
        """Delete the rows, so that nothing makes the job again; then the job; then its wheels.

        Raises:
            ConflictError: another run holds the lease.
            ApplyError: the job couldn't be deleted.
        """
        self._orchestrator.ensure_setup()
        delete(self._store, self._tables)
        plan = self._plan_removal(self._store)
        outcomes = self._orchestrator.apply(plan, on_outcome=on_outcome, allow_disruptive=True) if plan else ()
        for folder in removal.folders:
            folder.clear()
        return outcomes

    def _folder(self) -> WheelFolder:
        owner = owner_of(self._tables.require(self._store))
        # A folder of its own: what two control tables share, neither could clear away.
        name = f"{self._tables.control.name}-{owner[:8]}"
        return WheelFolder.below(self._orchestrator.workspace.api, self._wheel_folder, name)

    def _plan(self, store: Store, request: Request) -> Plan:
        around = self._orchestrator
        plan = Planning(
            around.settings, store, self._tables, around.workspace, LocalFiles(around.settings.files_root)
        ).make(request)
        # Who changed which row when can't be told of rows that nobody has written yet.
        return replace(plan, actions=tuple(replace(action, causes=()) for action in plan.actions))

    def _plan_removal(self, store: Store) -> Plan | None:
        """What becomes of the job once the rows are gone; None where there is none."""
        try:
            return self._plan(store, Request([MONITOR_MODULE], prune=True, remove_monitor=True))
        except InputError:  # nothing is recorded of such a module
            return None


def _asked(plan: Plan) -> list[str | None]:
    return [action.desired.fingerprint if action.desired else None for action in plan.actions]
