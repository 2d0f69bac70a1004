"""Making plans: reads what is declared, recorded and observed, and hands it to the planner.

Belongs here: which rows have to be read at all. Doesn't: what to do about them (`engine`), carrying it out.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from lakeflow_job_meta.compile import COMPILER_VERSION, Compiled, CompileOptions, compile_modules
from lakeflow_job_meta.compile.tasks import OWN_PROGRAMS
from lakeflow_job_meta.control.actor import actor
from lakeflow_job_meta.control.causes import Evidence, with_causes
from lakeflow_job_meta.control.declared import Declared, read_declared
from lakeflow_job_meta.control.deployed import deployed_wheel
from lakeflow_job_meta.control.identity import check_identity, check_owner, check_workspace
from lakeflow_job_meta.control.local_files import LocalFiles
from lakeflow_job_meta.control.mark import Changed, changed_since_mark, mark_of, same_rows, state_as_left
from lakeflow_job_meta.control.selection import select_modules
from lakeflow_job_meta.control.state import JobState
from lakeflow_job_meta.control.tables import ControlTables, owner_of
from lakeflow_job_meta.control.tenure import Tenure
from lakeflow_job_meta.diagnostics import Diagnostic, RowLocation, Severity, counted, errors_in
from lakeflow_job_meta.engine.observe import Observation, observe
from lakeflow_job_meta.engine.planner import MONITOR_STAYS, Policy, World, find_moves, plan_actions
from lakeflow_job_meta.engine.ports import Queries
from lakeflow_job_meta.engine.rules import load_rules
from lakeflow_job_meta.errors import ConflictError, InputError
from lakeflow_job_meta.model.control import MONITOR_MODULE
from lakeflow_job_meta.model.job import RecordedJob, fingerprint
from lakeflow_job_meta.model.plan import Action, Basis, Plan
from lakeflow_job_meta.model.table import RowChange, TableName
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.store.base import Store
from lakeflow_job_meta.workspace.connect import Workspace


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be planned; see JobOrchestrator.plan. `offline` looks at the workspace in no case: such a plan is for
    showing, not for applying. `remove_monitor` says that the monitor's own job is to go."""

    modules: Collection[str] | None = None
    refresh: bool = True
    prune: bool = False
    destroy: bool = False
    changed_only: bool = False
    offline: bool = False
    remove_monitor: bool = False


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read: all of it, or only what changed since the last complete reconcile; then `rows` are the changes."""

    declared: Declared
    compiled: Compiled
    recorded: dict[str, RecordedJob]
    rows: tuple[Sequence[RowChange], Sequence[RowChange]] | None = None


@dataclass(frozen=True, slots=True)
class Planning:
    """Makes the plans of one control table in one workspace."""

    settings: Settings
    store: Store
    tables: ControlTables
    workspace: Workspace
    files: LocalFiles

    def make(self, request: Request) -> Plan:
        """The plan; errors as JobOrchestrator.plan tells."""
        info = self.tables.require(self.store)
        check_identity(info)
        owner = owner_of(info)
        changed = self._changed_only() if request.changed_only else None
        known = changed or self._everything(request, owner)
        compiled, recorded = known.compiled, known.recorded
        selected = None
        if request.modules is not None:
            names = compiled.jobs.keys() | compiled.frozen | recorded.keys()
            selected = select_modules(request.modules, names, compiled.jobs, known.declared.sources)
        frozen = {name: _findings_of(name, compiled) for name in compiled.frozen}
        policy = Policy(request.prune, request.destroy, request.remove_monitor, self.settings.drift)
        world = World(compiled.jobs, frozen, recorded, None, owner, load_rules(), policy, selected)
        # A state that others wrote may have lost rows: no job is made before all of the workspace was swept for ours.
        wanted = compiled.jobs.keys() if selected is None else compiled.jobs.keys() & selected
        makes = any(compiled.jobs[name].active for name in wanted - recorded.keys())
        sweep = changed is None and makes and not state_as_left(self.store, self.tables, self.tenure())
        if request.refresh or (sweep and not request.offline):
            world = replace(world, observation=self._observe(world, sweep=sweep))
        evidence = Evidence(self.store, self.tables, known.declared, recorded, self.tenure(), known.rows)
        actions = with_causes(plan_actions(world), compiled.frozen, evidence)
        whole = selected is None and not any(action.failed for action in actions) and not request.destroy
        stays = [self._warning(action) for action in actions if action.reason == MONITOR_STAYS]
        return Plan(
            actions,
            _basis(known.declared, self.tables.control.name, self.workspace.id, owner),
            self.workspace.label,
            self.store.label,
            tuple(each for each in (*compiled.diagnostics, *stays) if _concerns(each, selected)),
            world.observation is not None,
            world.observation.lost_queries if world.observation else frozenset(),
            world.observation.edited_queries if world.observation else frozenset(),
            self.settings.drift,
            mark=mark_of(known.declared, self._arguments(), self.files.followed) if whole else None,
        )

    def unchanged(self) -> bool:
        """Whether no row, argument or state changed since the last complete reconcile; sends no request."""
        check_identity(self.tables.require(self.store))
        changed = self._changed()
        return changed is not None and not changed.modules

    def check_fresh(self, plan: Plan) -> None:
        """Refuse a plan whose rows ask for something else by now.

        Raises:
            ConflictError: it is stale.
        """
        basis = plan.basis
        then = {
            "control": [basis.control_id, basis.control_version],
            "modules": [basis.modules_id, basis.modules_version],
        }
        if not plan.effective or same_rows(self.store, self.tables, then):
            return
        compiled = self.compile(read_declared(self.store, self.tables))
        for action in plan.effective:
            before = action.desired.fingerprint if action.desired else None
            job = compiled.jobs.get(action.module)
            if action.module in compiled.frozen or before != (job.fingerprint if job else None):
                raise ConflictError(
                    f"the plan is stale: the rows of module {action.module} changed since it was made",
                    hint="plan again",
                )

    def compile(self, declared: Declared) -> Compiled:
        """The jobs that these rows ask for; only files that they name are followed from then on."""
        self.files.followed.clear()
        return self._compile(declared)

    def _compile(self, declared: Declared) -> Compiled:
        settings, wheel = self.settings, self.settings.wheel_path
        configs = [each.transformation_config or "" for each in declared.sources] if wheel is None else []
        if any(program in config for config in configs for program in OWN_PROGRAMS):
            wheel = deployed_wheel(self.store, self.tables) or None
        options = CompileOptions(
            str(self.tables.control.name), settings.default_warehouse_id, settings.cluster_id, wheel, settings.reach
        )
        compiled = compile_modules(declared.sources, declared.modules, options)
        return self.files.put_in(compiled, options.control_table)

    def state(self, correlation_id: str, control_version: int = 0) -> JobState:
        """The state of this workspace."""
        return JobState(
            self.store,
            self.tables,
            self.workspace.id,
            now=lambda: datetime.now(UTC),
            actor=lambda: actor(self.workspace),
            correlation_id=correlation_id,
            tenure=self.tenure(),
            control_version=control_version,
            lock_timeout=self.settings.lock_timeout_seconds,
        )

    def tenure(self) -> Tenure:
        """A hold on the lease, not taken yet."""
        return Tenure(self.store, self.tables, self.workspace.id, self.settings.lease_seconds)

    def queries(self, owner: str) -> Queries:
        """Our saved queries. Copies of one control table may have the same name: the owner keeps them apart."""
        return self.workspace.queries(f"{self.tables.control.name}-{owner[:8]}")

    def _warning(self, action: Action) -> Diagnostic:
        where = RowLocation(str(self.tables.control.name), action.module)
        return Diagnostic(action.reason, where, severity=Severity.WARNING)

    def _everything(self, request: Request, owner: str) -> _Known:
        declared = read_declared(self.store, self.tables)
        state = self.state("plan")
        recorded = state.read()
        check_owner(recorded.values(), owner, str(self.tables.control.name))
        if not recorded:
            check_workspace(self.workspace.id, state.workspaces())
        rows = [source for source in declared.sources if source.module_name != MONITOR_MODULE]
        if request.modules is None and not rows and not request.destroy:
            _refuse_empty(recorded, self.tables.control.name)
        return _Known(declared, self.compile(declared), recorded)

    def _changed_only(self) -> _Known | None:
        """What changed since the last complete reconcile; None where everything has to be looked at."""
        since = self._changed()
        if since is None:
            return None
        changed = since.modules
        declared = read_declared(self.store, self.tables, changed)
        if (declared.control_version, declared.modules_version) != (since.control_version, since.modules_version):
            return None  # somebody wrote between the two looks: what, only the whole table tells for sure
        compiled = self._compile(declared)
        state = self.state("plan")
        others = state.job_names() if compiled.jobs else {}
        names = {name.casefold() for module, name in others.items() if module not in changed}
        for job in compiled.jobs.values():
            # What concerns other modules too, only the whole table tells.
            if job.lifecycle.moved_from or job.name.casefold() in names:
                return None
        if changed and not declared.sources:
            return None
        return _Known(declared, compiled, state.read(changed), since.rows)

    def _changed(self) -> Changed | None:
        since = changed_since_mark(self.store, self.tables, self.tenure(), self._arguments())
        return since if since is not None and self.files.unchanged(since.files) else None

    def _arguments(self) -> str:
        """Changes whenever equal rows may lead to other jobs."""
        settings = self.settings
        compiled_with = [settings.default_warehouse_id, settings.cluster_id, settings.wheel_path, settings.reach]
        return fingerprint([COMPILER_VERSION, *compiled_with, dict(settings.drift)])

    def _observe(self, world: World, *, sweep: bool) -> Observation:
        """Look at the selected modules, and at those whose jobs move to them."""
        selected = world.selected
        if selected is not None:
            selected |= {origin for module, origin in find_moves(world).items() if module in selected}

        def wanted(module: str) -> bool:
            return selected is None or module in selected

        desired = {name: job for name, job in world.desired.items() if wanted(name)}
        recorded = {name: row for name, row in world.recorded.items() if wanted(name)}
        return observe(
            self.workspace.jobs, self.queries(world.owner), desired, recorded, world.owner, world.rules, sweep=sweep
        )


def _basis(declared: Declared, table: TableName, workspace_id: str, owner: str) -> Basis:
    return Basis(
        str(table),
        declared.control_id,
        declared.control_version,
        declared.modules_id,
        declared.modules_version,
        workspace_id,
        owner,
    )


def _concerns(found: Diagnostic, selected: frozenset[str] | None) -> bool:
    return selected is None or (isinstance(found.location, RowLocation) and found.location.module in selected)


def _refuse_empty(recorded: dict[str, RecordedJob], table: TableName) -> None:
    """A table that is empty, but for the monitor's own rows, never means: pause all."""
    jobs = [row for row in recorded.values() if row.job_id is not None and row.module_name != MONITOR_MODULE]
    if jobs:
        raise InputError(
            f"{table} has no rows, but the state has {counted(len(jobs), 'job')}: refusing to pause all of them",
            hint=f"restore the rows (RESTORE TABLE {table} TO VERSION AS OF …), or deactivate them one by one",
        )


def _findings_of(module: str, compiled: Compiled) -> str:
    own = errors_in(each for each in compiled.diagnostics if _concerns(each, frozenset([module])))
    more = f" (and {len(own) - 1} more)" if len(own) > 1 else ""
    return f"{own[0].message}{more}" if own else "bad rows"
