"""JobOrchestrator: plans and applies the jobs of one control table. Wiring only."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lakeflow_job_meta.compile import CompileOptions, compile_modules
from lakeflow_job_meta.control.declared import read_declared
from lakeflow_job_meta.control.state import JobState
from lakeflow_job_meta.control.tables import ControlTables, owner_of
from lakeflow_job_meta.control.tenure import Tenure
from lakeflow_job_meta.diagnostics import errors_in, nearest
from lakeflow_job_meta.engine.apply import Surroundings, apply_plan
from lakeflow_job_meta.engine.observe import observe
from lakeflow_job_meta.engine.planner import World, plan_actions
from lakeflow_job_meta.engine.rules import load_rules
from lakeflow_job_meta.errors import ApplyError, ConflictError, InputError, RunnerMissing, UsageError
from lakeflow_job_meta.model.plan import Basis, Outcome, Plan
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.settings import Settings, load_settings
from lakeflow_job_meta.store.open import open_store
from lakeflow_job_meta.workspace.connect import connect

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

    from lakeflow_job_meta.compile import Compiled
    from lakeflow_job_meta.control.declared import Declared
    from lakeflow_job_meta.model.job import RecordedJob
    from lakeflow_job_meta.store.base import Store


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

    @property
    def workspace_client(self) -> WorkspaceClient:
        """The SDK client in use; starts the local workspace if that is the one."""
        return self.workspace.client

    def ensure_setup(self) -> list[str]:
        """Make those of our tables that don't exist; returns their names."""
        return [str(name) for name in self.tables.ensure(self.store)]

    def plan(self, modules: Collection[str] | None = None, *, refresh: bool = True) -> Plan:
        """What applying would do; changes nothing.

        Args:
            modules: plan only these; all by default.
            refresh: look at the workspace too. Without, only what the rows changed is found, and no request is sent.

        Raises:
            InputError: a module that nothing declares; or the table is empty although there are jobs.
            TableNotFound: there is no control table.
        """
        owner = owner_of(self.tables.require(self.store))
        declared = read_declared(self.store, self.tables)
        compiled = self._compile(declared)
        state = self._state("plan", declared)
        recorded = state.read()
        _check_selection(modules, compiled, recorded)
        if modules is None and not declared.sources:
            _refuse_empty(recorded, self.tables.control.name)
        selected = None if modules is None else frozenset(modules)

        def wanted(module: str) -> bool:
            return selected is None or module in selected

        desired = {name: job for name, job in compiled.jobs.items() if wanted(name)}
        known = {name: row for name, row in recorded.items() if wanted(name)}
        rules = load_rules()
        observation = (
            observe(self.workspace.jobs, self._queries(owner), desired, known, owner, rules) if refresh else None
        )
        frozen = {name: _findings_of(name, compiled) for name in compiled.frozen if wanted(name)}
        basis = Basis(
            str(self.tables.control.name),
            declared.control_id,
            declared.control_version,
            declared.modules_id,
            declared.modules_version,
            self.workspace.id,
            owner,
        )
        found = tuple(each for each in compiled.diagnostics if wanted(getattr(each.location, "module", "")))
        return Plan(
            plan_actions(World(desired, frozen, known, observation, owner, rules)),
            basis,
            self.workspace.label,
            self.store.label,
            found,
            refresh,
            observation.lost_queries if observation else frozenset(),
        )

    def apply(
        self,
        plan: Plan,
        *,
        on_outcome: Callable[[Outcome], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> tuple[Outcome, ...]:
        """Carry out a plan: one outcome for each action that was tried.

        Args:
            on_outcome: called as each module is done.
            stop: asked between two actions; True ends the run after those under way.

        Raises:
            ConflictError: the plan's rows changed since it was made; nothing was done.
            ApplyError: some modules failed, or can't go on; all others are done.
        """
        declared = self._check_fresh(plan)
        if not plan.empty:
            self.ensure_setup()
        around = Surroundings(
            self.workspace.jobs,
            self._queries(plan.basis.owner),
            self._state(uuid4().hex, declared),
            load_rules(),
            now=lambda: datetime.now(UTC),
            new_nonce=lambda: uuid4().hex[:16],
            actor=getpass.getuser(),
            concurrency=self.settings.concurrency,
            stop=stop or (lambda: False),
            on_outcome=on_outcome or (lambda outcome: None),
        ) if not plan.empty else None  # fmt: skip
        outcomes = tuple(apply_plan(plan, around)) if around else ()
        failures = {outcome.action.module: outcome.error for outcome in outcomes if not outcome.done}
        failures |= {action.module: action.reason for action in plan.failed}
        if failures:
            done = len(plan.actions) - len(failures)
            raise ApplyError(
                f"{len(failures)} of {len(plan.actions)} modules failed; the other {done} are done",
                failures=failures,
                outcomes=outcomes,
            )
        return outcomes

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

    def run_all_modules(
        self, auto_run: bool = False, yaml_path: str | Path | None = None, sync_yaml: bool = False
    ) -> list[dict[str, Any]]:
        """Bring the jobs of all modules up to date.

        Args:
            auto_run: run each job afterwards; needs a runner, which this version doesn't have.
            yaml_path: load this file or folder first; goes with sync_yaml.
            sync_yaml: says that yaml_path is to be loaded.

        Returns:
            One entry a module: module, job_id, action.

        Raises:
            UsageError: yaml_path without sync_yaml or the other way round; auto_run.
            ApplyError: some modules failed; the others are done.
        """
        if sync_yaml != (yaml_path is not None):
            raise UsageError("yaml_path and sync_yaml=True go together", hint="give both, or neither")
        if auto_run:
            raise RunnerMissing(
                "auto_run needs a runner, which this version doesn't have", hint="apply, then start the jobs yourself"
            )
        self.ensure_setup()
        if yaml_path is not None:
            self._load(Path(yaml_path))
        plan = self.plan()
        ids = {outcome.action.module: outcome.job_id for outcome in self.apply(plan)}
        return [
            {
                "module": action.module,
                "job_id": ids.get(action.module, action.job_id),
                "action": str(action.kind),
            }
            for action in plan.actions
        ]

    def status(self) -> list[dict[str, Any]]:
        """Each module's job as recorded, with what the rows ask for beyond that; sends no request to the workspace.

        Returns:
            One entry a module: module, job_id, job_name, status, applied_at, applied_by, control_version, last_error,
            to_do (the action that a plan without a look at the workspace has).
        """
        plan = self.plan(refresh=False)
        entries: list[dict[str, Any]] = []
        for action in plan.actions:
            row = action.recorded
            to_do = action.reason if action.failed else str(action.kind) if action.effective else None
            entries.append(
                {
                    "module": action.module,
                    "job_id": row.job_id if row else None,
                    "job_name": action.job_name,
                    "status": row.status if row else "new",
                    "applied_at": row.applied_at if row else None,
                    "applied_by": row.applied_by if row else None,
                    "control_version": row.control_version if row else None,
                    "last_error": row.last_error if row else None,
                    "to_do": to_do,
                }
            )
        return entries

    def _load(self, path: Path) -> None:
        from lakeflow_job_meta.ingest.load import load

        load(self.store, self.tables, path, now=datetime.now(UTC))

    def _compile(self, declared: Declared) -> Compiled:
        options = CompileOptions(
            str(self.tables.control.name), self.settings.default_warehouse_id, self.settings.cluster_id
        )
        return compile_modules(declared.sources, declared.modules, options)

    def _state(self, correlation_id: str, declared: Declared) -> JobState:
        return JobState(
            self.store,
            self.tables,
            self.workspace.id,
            now=lambda: datetime.now(UTC),
            actor=getpass.getuser(),
            correlation_id=correlation_id,
            tenure=Tenure(self.store, self.tables, self.workspace.id, self.settings.lease_seconds),
            lock_timeout=self.settings.lock_timeout_seconds,
            control_version=declared.control_version,
        )

    def _queries(self, owner: str) -> Any:
        # Copies of one control table have the same name in several workspaces or catalogs: the owner keeps them apart.
        return self.workspace.queries(f"{self.tables.control.name}-{owner[:8]}")

    def _check_fresh(self, plan: Plan) -> Declared:
        """The rows as they are now, if they still ask for what the plan does."""
        declared = read_declared(self.store, self.tables)
        now = (declared.control_id, declared.control_version, declared.modules_id, declared.modules_version)
        basis = plan.basis
        then = (basis.control_id, basis.control_version, basis.modules_id, basis.modules_version)
        if now == then:
            return declared
        compiled = self._compile(declared)
        for action in plan.effective:
            before = action.desired.fingerprint if action.desired else None
            job = compiled.jobs.get(action.module)
            if action.module in compiled.frozen or before != (job.fingerprint if job else None):
                raise ConflictError(
                    f"the plan is stale: the rows of module {action.module} changed since it was made",
                    hint="plan again",
                )
        return declared


def _check_selection(modules: Collection[str] | None, compiled: Compiled, recorded: dict[str, RecordedJob]) -> None:
    known = compiled.jobs.keys() | compiled.frozen | recorded.keys()
    for module in modules or ():
        if module not in known:
            raise InputError(f"there is no module '{module}'", hint=nearest(module, known))


def _refuse_empty(recorded: dict[str, RecordedJob], table: TableName) -> None:
    """An empty table never means: pause all."""
    jobs = [row for row in recorded.values() if row.job_id is not None]
    if jobs:
        raise InputError(
            f"{table} has no rows, but {len(jobs)} jobs are recorded: refusing to pause them all",
            hint=f"restore the rows (RESTORE TABLE {table} TO VERSION AS OF …), or deactivate them one by one",
        )


def _findings_of(module: str, compiled: Compiled) -> str:
    own = errors_in(each for each in compiled.diagnostics if getattr(each.location, "module", "") == module)
    more = f" (and {len(own) - 1} more)" if len(own) > 1 else ""
    return f"{own[0].message}{more}" if own else "bad rows"
