"""JobOrchestrator: plans and applies the jobs of one control table. Wiring only."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lakeflow_job_meta.control.actor import actor
from lakeflow_job_meta.control.declared import read_declared
from lakeflow_job_meta.control.heartbeat import read_monitors
from lakeflow_job_meta.control.identity import keep_owner, mint_owner
from lakeflow_job_meta.control.local_files import LocalFiles
from lakeflow_job_meta.control.selection import select_modules
from lakeflow_job_meta.control.tables import APPLIED, NAME_PROPERTY, ControlTables, owner_of
from lakeflow_job_meta.diagnostics import Diagnostic, counted
from lakeflow_job_meta.engine.apply import Surroundings, apply_plan
from lakeflow_job_meta.engine.rules import load_rules
from lakeflow_job_meta.errors import ApplyError, InputError, UsageError
from lakeflow_job_meta.model.plan import Action, ActionKind, Outcome, Plan
from lakeflow_job_meta.model.secret_reference import FORMS, SecretReference
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.planning import Planning, Request
from lakeflow_job_meta.runs.ledger import Ledger
from lakeflow_job_meta.runs.module_runs import ModuleRuns
from lakeflow_job_meta.settings import Settings, load_settings
from lakeflow_job_meta.store.base import one_look
from lakeflow_job_meta.store.open import open_store
from lakeflow_job_meta.workspace.connect import connect

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

    from lakeflow_job_meta.engine.lease import Lease
    from lakeflow_job_meta.model.job import ObservedJob
    from lakeflow_job_meta.model.run import Run
    from lakeflow_job_meta.runs.collector import Tell
    from lakeflow_job_meta.store.base import Store


RUN_AFTER = (ActionKind.CREATE, ActionKind.UPDATE, ActionKind.RECREATE)
"""What auto_run runs a job after."""

FEW = 3
"""Disruptions up to that number are no matter of per cent."""


class JobOrchestrator:
    """Keeps the jobs of one control table equal to its rows.

    Args:
        control_table: `catalog.schema.table`.
        workspace_client: a databricks.sdk WorkspaceClient; by default the workspace that the settings name (the
            embedded local one).
        default_warehouse_id: for SQL tasks that name none.
        cluster_id: for notebook tasks that name no compute.
        store: where the tables live; by default what the settings name.

    Example:
        orchestrator = JobOrchestrator("main.etl.control")
        print(orchestrator.plan())
        orchestrator.run_all_modules()
    """

    def __init__(
        self,
        control_table: str,
        workspace_client: WorkspaceClient | None = None,
        default_warehouse_id: str | None = None,
        cluster_id: str | None = None,
        store: Store | None = None,
        *,
        settings: Settings | None = None,
    ) -> None:
        arguments = {
            "control_table": control_table,
            "default_warehouse_id": default_warehouse_id,
            "cluster_id": cluster_id,
        }
        self.settings = settings or load_settings(arguments, os.environ)
        self.store = store or open_store(self.settings)
        self.tables = ControlTables.of(TableName.parse(control_table))
        self.workspace = connect(self.settings, workspace_client)
        self._planning = Planning(
            self.settings, self.store, self.tables, self.workspace, LocalFiles(self.settings.files_root)
        )
        self._versions_seen = False
        self._set_up = False

    @property
    def workspace_client(self) -> WorkspaceClient:
        """The SDK client in use; starts the local workspace if that is the one."""
        return self.workspace.client

    def ensure_setup(self) -> list[str]:
        """Make those of our tables that don't exist; returns their names.

        Raises:
            StoreError: a table is of another schema version than this product's: `ljm migrate`.
        """
        made = [str(name) for name in self.tables.ensure(self.store)]
        self._versions_seen = self._set_up = True
        return made

    def plan(
        self,
        modules: Collection[str] | None = None,
        *,
        refresh: bool = True,
        prune: bool = False,
        destroy: bool = False,
        changed_only: bool = False,
    ) -> Plan:
        """What applying would do; changes nothing.

        Args:
            modules: plan only these: names, globs, `tag:key=value`, `source:id`; all by default.
            refresh: look at the workspace too. Without, only what the rows changed is found, and no request is sent.
            prune: delete the jobs of modules that have no rows left; otherwise they are paused.
            destroy: delete all (selected) jobs, whatever the rows say.
            changed_only: read and plan only modules whose rows changed since all was applied, where that can be told;
                sends no request. Goes with none of the others.

        Raises:
            InputError: a module that nothing declares; or the table is empty although there are jobs.
            ConflictError: the table is a copy, or its jobs are in another workspace.
            TableNotFound: there is no control table.
        """
        if changed_only and (modules is not None or prune or destroy):
            raise UsageError("changed_only goes with no other choice")
        with one_look(self.store):
            warnings = self._check_readable()
            plan = self._planning.make(Request(modules, refresh and not changed_only, prune, destroy, changed_only))
        return replace(plan, diagnostics=(*plan.diagnostics, *warnings)) if warnings else plan

    def files(self) -> Mapping[str, str]:
        """The files that rows name by relative paths, as far as a plan has met them: the hash that each has now."""
        return self._planning.files.now()

    def unchanged(self) -> bool:
        """Whether no row, file, argument or state changed since all was applied: then a plan without a look at the
        workspace is empty. Costs three versions, and no request."""
        return self._planning.unchanged()

    def apply(
        self,
        plan: Plan,
        *,
        on_outcome: Callable[[Outcome], None] | None = None,
        stop: Callable[[], bool] | None = None,
        allow_disruptive: bool = False,
    ) -> tuple[Outcome, ...]:
        """Carry out a plan: one outcome for each action that was tried.

        Args:
            allow_disruptive: a person has agreed to a plan that takes away more than the settings allow.
            on_outcome: called as each module is done.
            stop: asked between two actions; True ends the run after those under way.

        Raises:
            ConflictError: the plan's rows changed since it was made, or another run holds the lease; nothing was done.
            UsageError: the plan takes away more than the settings allow; nothing was done.
            ApplyError: some modules failed, or can't go on; all others are done.
        """
        if not allow_disruptive and (why := self.too_disruptive(plan)):
            raise UsageError(why, hint="look at the plan; if that is meant: --allow-disruptive")
        with one_look(self.store):
            self._planning.check_fresh(plan)
            # Once: a table that is lost after that is made again by who writes it.
            if not plan.empty and not self._set_up:
                _ = self.tables.ensure(self.store, APPLIED)
                self._versions_seen = self._set_up = True
        around = Surroundings(
            self.workspace.jobs,
            self._planning.queries(plan.basis.owner),
            self.workspace.local_files,
            self._planning.state(uuid4().hex, plan.basis.control_version),
            load_rules(),
            now=lambda: datetime.now(UTC),
            new_nonce=lambda: uuid4().hex[:16],
            actor=actor(self.workspace),
            concurrency=self.settings.concurrency,
            list_lag=self.settings.list_lag_seconds,
            stop=stop or (lambda: False),
            on_outcome=on_outcome or (lambda outcome: None),
        ) if not plan.empty else None  # fmt: skip
        outcomes = tuple(apply_plan(plan, around)) if around else ()
        failures = {outcome.action.module: outcome.error for outcome in outcomes if not outcome.done}
        failures |= {action.module: action.reason for action in plan.failed}
        if failures:
            left = len(plan.effective) - len(outcomes)
            raise ApplyError(
                f"{counted(len(failures), 'module')} failed; all others are done"
                + (f", but for {left} that were not begun" if left else ""),
                failures=failures,
                outcomes=outcomes,
            )
        return outcomes

    def too_disruptive(self, plan: Plan) -> str:
        """Why a person has to agree to a plan that takes much away; empty where it doesn't."""
        number = sum(action.disruptions for action in plan.effective)
        jobs = sum(action.recorded is not None for action in plan.actions)
        share = 100 * sum(action.disruptions > 0 for action in plan.effective) / max(jobs, 1)
        what = f"the plan deletes, pauses or makes again {number} jobs and tasks"
        if number > self.settings.max_disruptive:
            return f"{what}, more than max_disruptive = {self.settings.max_disruptive}"
        if number > FEW and share > self.settings.max_disruptive_percent:
            most = self.settings.max_disruptive_percent
            return f"{what}, {share:.0f} % of the modules, more than max_disruptive_percent = {most:g}"
        return ""

    def adoptable(self, wanted: Collection[str]) -> tuple[list[ObservedJob], dict[str, str]]:
        """The jobs that `adopt` would take, and those that it would leave alone by name, with the reason.

        Raises:
            InputError: nothing matches.
        """
        from lakeflow_job_meta.control.adopt import Adoption

        self.ensure_setup()
        adoption = Adoption(self.store, self.tables, datetime.now(UTC))
        known = {row.job_id for row in self._planning.state("adopt").read().values()}
        return adoption.choose(wanted, self.workspace.jobs, {job for job in known if job is not None})

    def adopt(self, wanted: Collection[str]) -> tuple[tuple[Outcome, ...], dict[str, str]]:
        """Take jobs that exist into the tables: rows that declare them as they are, so that the next plan is empty.

        Args:
            wanted: job ids, names, globs, `tag:key=value`, or `*`.

        Returns:
            The outcomes, and the jobs that were left alone by name, with the reason.

        Raises:
            InputError: nothing matches, or a module of that name exists.
            ApplyError: some could not be taken over.
        """
        from lakeflow_job_meta.control.adopt import Adoption

        jobs, skipped = self.adoptable(wanted)
        adoption = Adoption(self.store, self.tables, datetime.now(UTC))
        ids = adoption.write([self.workspace.jobs.get(job.job_id) for job in jobs])
        plan = self.plan(list(ids), refresh=False) if ids else None
        if plan is None:
            return (), skipped
        actions = tuple(
            replace(action, kind=ActionKind.ADOPT, job_id=ids[action.module], reason="taken over", changes=())
            for action in plan.actions
            if not action.failed
        )
        return self.apply(replace(plan, actions=actions)), skipped

    def forget(self, modules: Collection[str]) -> list[str]:
        """Let go of the jobs of these modules without touching them; returns the modules.

        Raises:
            InputError: no such module, or its rows still ask for the job.
            ConflictError: another run holds the lease.
        """
        declared = read_declared(self.store, self.tables)
        self.tables.check_writable(self.store)
        state = self._planning.state(uuid4().hex, declared.control_version)
        recorded = state.read()
        compiled = self._planning.compile(declared)
        selected = select_modules(modules, recorded.keys(), compiled.jobs, ())
        for module in sorted(selected):
            if (job := compiled.jobs.get(module)) is not None and job.active:
                raise InputError(
                    f"the rows of module {module} still ask for its job: the next run would take it up again",
                    hint="deactivate or delete its rows first",
                )
        state.forget({module: recorded[module] for module in selected})
        return sorted(selected)

    def lease(self) -> Lease | None:
        """Who may write now; None where nobody ever did."""
        return self._planning.tenure().current()

    def monitors(self) -> list[dict[str, Any]]:
        """The monitors that gave a sign of life: holder, works, died, and what control.heartbeat.Sign has."""
        return read_monitors(self.store, self.tables, self.workspace.id)

    def release_lease(self) -> Lease | None:
        """Let go of the lease whoever holds it; the holder is fenced off. Returns what was held."""
        self.tables.check_readable(self.store, "jobs")
        # The table as it is: who wants to migrate it may have to do this first.
        tenure = replace(self._planning.tenure(), tables=self.tables.as_found(self.store))
        return tenure.break_lease(datetime.now(UTC))

    def identity(self) -> dict[str, Any]:
        """Whose jobs these are: control_table, made_as (its name when it was made), owner, workspace, workspaces."""
        info = self.tables.require(self.store)
        state = self._planning.state("identity")
        return {
            "control_table": str(info.name),
            "made_as": info.properties.get(NAME_PROPERTY, str(info.name)),
            "owner": owner_of(info),
            "workspace": self.workspace.id,
            "workspaces": sorted(state.workspaces()),
        }

    def new_identity(self) -> str:
        """Make a copied table a control table of its own: a new owner, and none of the original's jobs."""
        info = self.tables.require(self.store)
        self.tables.check_writable(self.store)
        state = self._planning.state(uuid4().hex, info.version)
        if recorded := state.read():
            state.forget(recorded)
        return mint_owner(self.store, info)

    def keep_identity(self) -> None:
        """Say that this table is the original, under its present name, and meant to have jobs in this workspace too."""
        info = self.tables.require(self.store)
        self.tables.check_writable(self.store)
        keep_owner(self.store, info)
        self._planning.state("identity").acknowledge()

    def log(self, limit: int = 100, module: str | None = None) -> list[dict[str, Any]]:
        """The newest actions first; those of one module if one is named. The table has the reconciles too."""
        self.tables.require(self.store)
        self.tables.check_readable(self.store, "log")
        where = None if module is None else {"module_name": [module]}
        rows = self.store.read(self.tables.log.name, where=where).rows
        actions = (row for row in rows if row["module_name"] is not None)
        return [dict(row) for row in sorted(actions, key=lambda row: row["logged_at"], reverse=True)[:limit]]

    def create_or_update_job(self, module: str) -> int:
        """Bring one module's job up to date; returns its id.

        Raises:
            InputError: no such module, or it has no job and is inactive.
            ApplyError: it failed.
        """
        plan = self.plan([module])
        outcomes = {outcome.action.module: outcome.job_id for outcome in self.apply(plan)}
        job_id = outcomes.get(module, plan.actions[0].job_id)
        if job_id is None:
            raise InputError(f"module {module} has no job: {plan.actions[0].reason}")
        return job_id

    @cached_property
    def runs(self) -> ModuleRuns:
        """The runs of these jobs: started, followed, looked up, collected into the ledger."""
        ledger = Ledger(self.store, self.tables, self.workspace.id)
        recorded = self._planning.state("runs").read
        return ModuleRuns(self.workspace.runs, ledger, recorded, self._hook(), self._keep_pipeline_runs)

    def _keep_pipeline_runs(self, runs: Sequence[Run]) -> None:
        """Runs of pipelines stand in a record of their own too."""
        from lakeflow_job_meta.pipelines.runs.kept import PipelineRuns
        from lakeflow_job_meta.pipelines.runs.record import RunRecord
        from lakeflow_job_meta.pipelines.tables import RegistryTables

        registry = RegistryTables.beside(str(self.tables.control.name), self.settings.pipelines_schema)
        PipelineRuns(RunRecord.of(self.store, registry), self._planning.state("runs").read).keep(runs)

    def _hook(self) -> Tell | None:
        """What tells the web hook of the settings, if they name one."""
        if self.settings.notify_url is None:
            return None
        from lakeflow_job_meta.notify.web_hook import WebHook
        from lakeflow_job_meta.workspace.secrets import secrets_of

        about = {"control_table": str(self.tables.control.name)}
        reference = self.settings.notify_secret
        if reference is None:
            return WebHook(self.settings.notify_url, about).tell
        if SecretReference.parse(reference) is None:
            hint = f"write {FORMS}, not the secret itself"
            raise UsageError("notify_secret isn't a reference to a secret", hint=hint)
        return WebHook(self.settings.notify_url, about, lambda: secrets_of(self.workspace).value(reference)).tell

    def run_all_modules(
        self,
        auto_run: bool = False,
        yaml_path: str | Path | None = None,
        sync_yaml: bool = False,
        *,
        wait: bool = False,
    ) -> list[dict[str, Any]]:
        """Bring the jobs of all modules up to date.

        Args:
            auto_run: run the jobs that were made or changed.
            yaml_path: load this file or folder first; goes with sync_yaml.
            sync_yaml: says that yaml_path is to be loaded.
            wait: wait until these runs have ended; goes with auto_run.

        Returns:
            One entry a module: module, job_id, action; with auto_run also run_id (None where nothing ran), with wait
            also result (SUCCESS, FAILED, …).

        Raises:
            UsageError: yaml_path without sync_yaml or the other way round; wait without auto_run.
            ApplyError: some modules failed; the others are done, and with auto_run they run: `runs` has their run ids.
        """
        if sync_yaml != (yaml_path is not None):
            raise UsageError("yaml_path and sync_yaml=True go together", hint="give both, or neither")
        if wait and not auto_run:
            raise UsageError("wait=True goes with auto_run=True: otherwise nothing runs", hint="give both, or neither")
        self.ensure_setup()
        if yaml_path is not None:
            self._load(yaml_path)
        plan = self.plan()
        try:
            outcomes = self.apply(plan)
        except ApplyError as error:
            if auto_run:
                error.runs = self._run(error.outcomes)
            raise
        ids = {outcome.action.module: outcome.job_id for outcome in outcomes}
        entries: list[dict[str, Any]] = [
            {
                "module": action.module,
                "job_id": ids.get(action.module, action.job_id),
                "action": str(action.kind),
            }
            for action in plan.actions
        ]
        if auto_run:
            started = self._run(outcomes)
            results = {module: self.runs.wait(run_id).word for module, run_id in started.items()} if wait else {}
            for entry in entries:
                entry["run_id"] = started.get(entry["module"])
                if wait:
                    entry["result"] = results.get(entry["module"])
        return entries

    def _run(self, outcomes: Sequence[Outcome]) -> dict[str, int]:
        """Start the jobs that were made or changed; their run ids by module."""
        changed = (each.action.module for each in outcomes if each.done and each.action.kind in RUN_AFTER)
        return {module: self.runs.start(module) for module in changed}

    def status(self, *, refresh: bool = False) -> list[dict[str, Any]]:
        """Each module's job as recorded, with what the rows ask for beyond that.

        Args:
            refresh: look at the workspace too; without, no request is sent.

        Returns:
            One entry a module: module, job_id, job_name, status, applied_at, applied_by, control_version, last_error,
            to_do (the action that a plan has), drift (paths of fields that differ in the workspace, see Action.drift;
            None where it wasn't looked at, and where the module can't go on).
        """
        self._check_readable()
        plan = self._planning.make(Request(refresh=refresh, offline=not refresh))
        entries: list[dict[str, Any]] = []
        for action in plan.actions:
            row = action.recorded
            to_do = action.reason if action.failed else str(action.kind) if action.effective else None
            entries.append(
                {
                    "module": action.module,
                    "job_id": row.job_id if row else None,
                    "job_name": action.job_name,
                    "status": row.status if row else "new" if _wants_job(action) else "inactive",
                    "applied_at": row.applied_at if row else None,
                    "applied_by": row.applied_by if row else None,
                    "control_version": row.control_version if row else None,
                    "last_error": row.last_error if row else None,
                    "to_do": to_do,
                    "drift": list(action.drift) if refresh and not action.failed else None,
                }
            )
        return entries

    def _check_readable(self) -> tuple[Diagnostic, ...]:
        """Refuse tables of a newer schema version, warn of older ones; asked until none is found."""
        if self._versions_seen:
            return ()
        found = self.tables.check_readable(self.store, "modules", "jobs")
        self._versions_seen = not found
        return found

    def _load(self, path: str | Path) -> None:
        from lakeflow_job_meta.ingest.load import load
        from lakeflow_job_meta.ingest.volume import find_at

        load(self.store, self.tables, find_at(path, self.workspace), now=datetime.now(UTC))


def _wants_job(action: Action) -> bool:
    return action.desired is None or action.desired.active
