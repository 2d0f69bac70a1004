"""What to do, decided from desired, recorded and observed; a pure function of the three."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from lakeflow_job_meta.engine.diff import changes, merge, three_way
from lakeflow_job_meta.engine.drift import IGNORE, REPORT, Pattern, parse_pattern
from lakeflow_job_meta.engine.identity import TAG, Identity, module_hash
from lakeflow_job_meta.engine.kept import NOT_KEPT_HINT, not_kept, tried_in_vain
from lakeflow_job_meta.engine.observe import Observation
from lakeflow_job_meta.engine.pausing import PAUSED, fired_by, is_paused, with_pause
from lakeflow_job_meta.engine.rules import Rules
from lakeflow_job_meta.engine.targets import (
    ACTIVE,
    INACTIVE,
    PAUSED_BY_US,
    desired_settings,
    known_nonce,
    not_ours,
    tag_nonce,
    target_settings,
)
from lakeflow_job_meta.model.control import MONITOR_MODULE
from lakeflow_job_meta.model.job import (
    QUERY_REF,
    DesiredJob,
    ObservedJob,
    Pending,
    RecordedJob,
    SavedQuery,
    Settings,
    mapping,
)
from lakeflow_job_meta.model.plan import DRIFT, MISSING, Action, ActionKind, FieldChange

AFTER_APPLY = "(known after apply)"

MONITOR_STAYS = "the monitor's own job stays as it is: only `ljm deploy --remove` takes it away"


@dataclass(frozen=True, slots=True)
class Policy:
    """What the caller wants beyond the rows: `prune` deletes the jobs of modules that have no rows left, `destroy`
    those of all modules; only `remove_monitor` lets go of the monitor's own. `drift` maps paths of fields to enforce,
    report or ignore."""

    prune: bool = False
    destroy: bool = False
    remove_monitor: bool = False
    drift: Mapping[str, str] = field(default_factory=dict[str, str])

    def patterns(self, *kinds: str) -> tuple[Pattern, ...]:
        """The paths with one of these policies."""
        return tuple(parse_pattern(path) for path, kind in self.drift.items() if kind in kinds)


@dataclass(frozen=True, slots=True)
class World:
    """All that a plan is made from. `observation` is None where the workspace wasn't looked at; `selected` limits the
    plan to some modules."""

    desired: Mapping[str, DesiredJob]
    frozen: Mapping[str, str]
    recorded: Mapping[str, RecordedJob]
    observation: Observation | None
    owner: str
    rules: Rules
    policy: Policy = Policy()
    selected: frozenset[str] | None = None


def plan_actions(world: World) -> tuple[Action, ...]:
    """One action a module, in the order of module names."""
    modules = sorted(world.desired.keys() | world.frozen.keys() | world.recorded.keys())
    moves = find_moves(world)
    moved = {origin: module for module, origin in moves.items()}
    actions: list[Action] = []
    for module in modules:
        if world.selected is not None and module not in world.selected:
            continue
        action = plan_module(module, world, moved_from=moves.get(module, ""))
        if module in moved:
            action = replace(action, kind=ActionKind.SKIP, reason=f"moves to module {moved[module]}", changes=())
        actions.append(action)
    return tuple(actions)


def find_moves(world: World) -> dict[str, str]:
    """New module to old one: only where the new one has no job yet and the old one has a job but no active rows."""
    moves: dict[str, str] = {}
    for module, desired in world.desired.items():
        origin = desired.lifecycle.moved_from
        new, old = world.recorded.get(module), world.recorded.get(origin)
        still = world.desired.get(origin)
        free = new is None or (new.job_id is None and new.pending is None)
        gone = world.observation.absent if world.observation else frozenset[int]()
        left = old is not None and old.job_id is not None and old.job_id not in gone and origin not in world.frozen
        if origin and desired.active and free and left and not (still and still.active):
            moves[module] = origin
    return moves


def plan_module(module: str, world: World, *, moved_from: str = "") -> Action:
    """What to do for one module; `moved_from` is the module whose job it takes over."""
    desired, recorded = world.desired.get(module), world.recorded.get(moved_from or module)
    action = Action(
        ActionKind.SKIP,
        module,
        "unchanged",
        job_id=recorded.job_id if recorded else None,
        job_name=(desired.name if desired and desired.active else recorded.job_name if recorded else "") or "",
        sources=desired.sources if desired else (),
        desired=desired,
        recorded=recorded,
    )
    if module in world.frozen:
        return replace(action, reason=f"frozen, stays as it is: {world.frozen[module]}", failed=True)
    if _is_monitor_to_stay(action, world.policy):
        return replace(action, reason=MONITOR_STAYS)
    if world.policy.destroy:
        return _plan_deletion(action, world, "destroy")
    if desired is None or not desired.active:
        return _plan_inactive(action, world)
    if moved_from and recorded is not None:
        return _plan_move(action, desired, recorded, world)
    if recorded is None or recorded.job_id is None:
        return _plan_new(action, desired, recorded, world)
    return _plan_existing(action, desired, recorded, world)


def _is_monitor_to_stay(action: Action, policy: Policy) -> bool:
    """Whether this is the monitor's own job, and something other than its rows' being active asks for its end."""
    if action.module != MONITOR_MODULE or action.recorded is None or policy.remove_monitor:
        return False
    return policy.destroy or action.desired is None or not action.desired.active


def _plan_new(action: Action, desired: DesiredJob, recorded: RecordedJob | None, world: World) -> Action:
    created = changes({}, _without_tag(desired_settings(desired, recorded, None)), world.rules)
    reason = "new module" + _why_not_moved(desired, world)
    if world.observation is None:
        return replace(action, kind=ActionKind.CREATE, reason=reason, changes=_shown(created))
    candidates = world.observation.ours.get(module_hash(action.module), ())
    unspent = recorded.pending.nonce if recorded and recorded.pending else None
    if recorded is not None:
        # The state is there, so only a create of ours that never got recorded can be adopted: its nonce tells.
        candidates = [job for job in candidates if tag_nonce(job) == unspent]
    if len(candidates) > 1:
        return replace(action, reason=_several(candidates), failed=True)
    if candidates:
        return _plan_adoption(action, desired, candidates[0], world)
    same_name = world.observation.namesakes.get(desired.name.casefold(), ())
    if same_name:
        ids = ", ".join(str(job_id) for job_id in same_name)
        reason += f"; another job has the same name and isn't ours: {ids}"
    return replace(action, kind=ActionKind.CREATE, reason=reason, changes=_shown(created))


def _why_not_moved(desired: DesiredJob, world: World) -> str:
    """Who names a module that it was moved from, has to be told that it isn't: the job would be there twice."""
    origin = world.desired.get(desired.lifecycle.moved_from)
    if origin is None or not origin.active:
        return ""
    return f"; moved_from: module {origin.module_name} still has active rows, so its job stays there"


def _several(jobs: Sequence[ObservedJob]) -> str:
    ids = ", ".join(str(job.job_id) for job in jobs)
    return f"several jobs carry this module's tag: {ids}; delete all but one"


def _plan_adoption(action: Action, desired: DesiredJob, job: ObservedJob, world: World) -> Action:
    wanted = desired_settings(desired, action.recorded, Identity.of(world.owner, action.module, tag_nonce(job)))
    target = merge(wanted, {}, job.settings, world.rules)
    return replace(
        action,
        kind=ActionKind.ADOPT,
        reason="made by us but not recorded: found by its tag",
        job_id=job.job_id,
        changes=_shown(three_way({}, target, job.settings, world.rules)),
    )


def _plan_existing(action: Action, desired: DesiredJob, recorded: RecordedJob, world: World) -> Action:
    unfinished = recorded.pending is not None or recorded.last_error is not None
    stale_queries = recorded.queries.keys() - desired.queries.keys()
    rows_changed = desired.fingerprint != recorded.fingerprint or unfinished or bool(stale_queries)
    job = world.observation.jobs.get(recorded.job_id or 0) if world.observation else None
    identity = Identity.of(world.owner, action.module, known_nonce(recorded, job))
    wanted = desired_settings(desired, recorded, identity)
    resumes = recorded.status in (PAUSED_BY_US, INACTIVE)
    job_id = cast("int", recorded.job_id)
    asks_the_same = desired.fingerprint == recorded.fingerprint
    if world.observation is None:
        if not rows_changed and not resumes:
            return action
        if asks_the_same and tried_in_vain(recorded, None):
            return replace(action, reason=f"stopped: {recorded.last_error}; {NOT_KEPT_HINT}", failed=True)
        before: Settings = recorded.settings
    elif job_id in world.observation.absent:
        # A job of ours with another nonce was made after this row: the state is older than the workspace. One with the
        # row's own nonce is a clone of the job that was deleted.
        later = [
            each
            for each in world.observation.ours.get(module_hash(action.module), ())
            if tag_nonce(each) != recorded.nonce
        ]
        if len(later) == 1:
            return _plan_adoption(action, desired, later[0], world)
        if later:
            return replace(action, reason=_several(later), failed=True)
        created = changes({}, _without_tag(wanted), world.rules)
        return replace(
            action, kind=ActionKind.RECREATE, reason=f"job {job_id} was deleted by hand", changes=_shown(created)
        )
    elif job_id in world.observation.unknown:
        why = world.observation.unknown[job_id]
        return replace(action, reason=f"job {job_id} can't be seen, so nothing is done: {why}", failed=True)
    elif why := not_ours(world.observation.jobs[job_id], recorded, world.owner):
        return replace(action, reason=why, failed=True)
    else:
        before = world.observation.jobs[job_id].settings
    seen = world.observation or Observation()
    target = target_settings(wanted, recorded, before, world.rules, left_alone(desired, world.policy))
    changed = changes(before, target, world.rules)
    if asks_the_same and world.observation is not None and tried_in_vain(recorded, changed):
        return replace(action, reason=f"stopped: {not_kept(changed)}; {NOT_KEPT_HINT}", failed=True)
    told = three_way(recorded.settings, target, before, world.rules) if changed and world.observation else changed
    found = _shown(told) + _query_changes(desired, recorded, seen)
    reported = _reported(wanted, desired, recorded, before, world, target)
    action = replace(action, reported=reported, drifted=_drifted(found, desired, recorded, before, world))
    if resumes:
        return replace(action, kind=ActionKind.RESUME, reason="active again", changes=found)
    if rows_changed:
        reason = "rows changed" if found else "rows changed, the job is already so"
        return replace(action, kind=ActionKind.UPDATE, reason=reason, changes=found)
    if found:
        return replace(action, kind=ActionKind.UPDATE, reason=DRIFT, changes=found)
    return action


def _plan_inactive(action: Action, world: World) -> Action:
    recorded = action.recorded
    why = "deactivated" if action.desired is not None else "orphan: no row of this module is left"
    if recorded is None or (recorded.job_id is None and recorded.pending is None):
        return replace(action, reason=f"{why}; there is no job")
    deletes = _deletes(action, world)
    if recorded.job_id is None:
        kind = ActionKind.DELETE if deletes else ActionKind.PAUSE
        return replace(action, kind=kind, reason=f"{why}; an interrupted create may have made a job")
    before = recorded.settings
    if world.observation is not None:
        job = world.observation.jobs.get(recorded.job_id)
        if job is None and recorded.job_id in world.observation.absent and deletes:
            return _plan_deletion(action, world, why)
        if job is None:
            return replace(action, reason=f"{why}; job {recorded.job_id} is gone or can't be seen")
        if refusal := not_ours(job, recorded, world.owner):
            return replace(action, reason=refusal, failed=True)
        before = job.settings
    lifecycle = action.desired.lifecycle if action.desired else None
    if lifecycle is not None and lifecycle.on_deactivate == "keep":
        return replace(action, reason=f"{why}; on_deactivate: keep")
    if deletes:
        return _plan_deletion(action, world, why)
    already = recorded.status in (PAUSED_BY_US, INACTIVE)
    firing = fired_by(before) is not None and not is_paused(before)
    if already and (world.observation is None or not firing):
        return replace(action, reason=f"{why}; paused already")
    found = changes(before, with_pause(before, PAUSED), world.rules) if firing else ()
    reason = why if firing else f"{why}; nothing fires it"
    fires_again = tuple(change.path for change in found) if already else ()
    return replace(action, kind=ActionKind.PAUSE, reason=reason, changes=found, drifted=fires_again)


def _deletes(action: Action, world: World) -> bool:
    """Whether an inactive module's job is to be deleted: asked for, or begun before."""
    if action.desired is not None:
        return action.desired.lifecycle.on_deactivate == "delete"
    pending = action.recorded.pending if action.recorded else None
    return world.policy.prune or (pending is not None and pending.kind == "delete")


def _plan_move(action: Action, desired: DesiredJob, recorded: RecordedJob, world: World) -> Action:
    origin = recorded.module_name
    moving = replace(recorded, module_name=action.module, pending=Pending("move", {}, "", moved_from=origin))
    as_if = replace(action, recorded=moving)
    planned = _plan_existing(as_if, desired, moving, world)
    if planned.failed or planned.kind is ActionKind.RECREATE:
        return planned
    return replace(planned, kind=ActionKind.MOVE, reason=f"moved from module {origin}", recorded=recorded)


def _plan_deletion(action: Action, world: World, why: str) -> Action:
    recorded = action.recorded
    if recorded is None or recorded.job_id is None:
        return replace(action, reason=f"{why}; there is no job")
    if action.desired is not None and action.desired.lifecycle.prevent_delete:
        return replace(action, reason=f"{why}; lifecycle.prevent_delete keeps job {recorded.job_id}", failed=True)
    if world.observation is not None and recorded.job_id in world.observation.unknown:
        seen = world.observation.unknown[recorded.job_id]
        return replace(action, reason=f"job {recorded.job_id} can't be seen, so nothing is done: {seen}", failed=True)
    job = world.observation.jobs.get(recorded.job_id) if world.observation is not None else None
    if job is not None and (refusal := not_ours(job, recorded, world.owner)):
        return replace(action, reason=refusal, failed=True)
    return replace(action, kind=ActionKind.DELETE, reason=why)


def left_alone(desired: DesiredJob, policy: Policy) -> tuple[Pattern, ...]:
    """The fields of a module's job whose drift isn't mended."""
    own = tuple(parse_pattern(path) for path in desired.lifecycle.ignore_drift)
    return own + policy.patterns(IGNORE, REPORT)


def _reported(
    wanted: Settings, desired: DesiredJob, recorded: RecordedJob, before: Settings, world: World, target: Settings
) -> tuple[FieldChange, ...]:
    """Drift that is told but stays: what mending it would change."""
    if not world.policy.patterns(REPORT):
        return ()
    own = tuple(parse_pattern(path) for path in desired.lifecycle.ignore_drift)
    mended = target_settings(wanted, recorded, before, world.rules, own + world.policy.patterns(IGNORE))
    return three_way(recorded.settings, mended, target, world.rules)


def _drifted(
    found: Sequence[FieldChange], desired: DesiredJob, recorded: RecordedJob, before: Settings, world: World
) -> tuple[str, ...]:
    """Which of these changes others made necessary: what is there isn't what was applied, whatever the rows ask for
    now. After an interrupted action nobody can tell.
    """
    seen = world.observation
    if seen is None or recorded.pending is not None or not found:
        return ()
    kept = target_settings(
        recorded.settings, replace(recorded, status=ACTIVE), before, world.rules, left_alone(desired, world.policy)
    )
    strayed = {change.path for change in changes(before, kept, world.rules)}
    if recorded.status != ACTIVE:
        strayed = {path for path in strayed if not path.endswith(".pause_status")}  # that is our own pause
    # A query whose text the rows change differs from them too: that is no work of others.
    wanted = {source: query.fingerprint for source, query in desired.queries.items()}
    queries = tuple(
        f"queries[{source}]"
        for source, query in recorded.queries.items()
        if query.query_id in seen.lost_queries
        or (query.query_id in seen.edited_queries and wanted.get(source) == query.fingerprint)
    )
    return tuple(change.path for change in found if change.path in strayed or change.path.startswith(queries))


def _query_changes(desired: DesiredJob, recorded: RecordedJob, seen: Observation) -> tuple[FieldChange, ...]:
    found: list[FieldChange] = []
    for source, query in desired.queries.items():
        known = recorded.queries.get(source)
        if known is not None and known.query_id in seen.lost_queries:
            found.append(FieldChange(f"queries[{source}]", MISSING, "made again: it is gone or in the trash"))
        elif known is not None and (known.fingerprint != query.fingerprint or known.query_id in seen.edited_queries):
            found += _query_fields(query, seen.queries.get(known.query_id))
    return tuple(found)


def _query_fields(query: SavedQuery, there: tuple[str, str] | None) -> list[FieldChange]:
    """What of a saved query will differ; of what is there, only its text and its warehouse are known."""
    path, unknown = f"queries[{query.source_id}]", "(as recorded)"
    if there is None:
        return [FieldChange(f"{path}.query_text", unknown, query.text)]
    wanted = (("query_text", query.text), ("warehouse_id", query.warehouse_id))
    found = [
        FieldChange(f"{path}.{name}", old, new) for (name, new), old in zip(wanted, there, strict=True) if old != new
    ]
    return found or [FieldChange(f"{path}.display_name", unknown, query.name)]


def _without_tag(settings: Settings) -> Settings:
    tags = {name: value for name, value in mapping(settings.get("tags")).items() if name != TAG}
    return {**{name: value for name, value in settings.items() if name != "tags"}, **({"tags": tags} if tags else {})}


def _shown(found: tuple[FieldChange, ...]) -> tuple[FieldChange, ...]:
    """Changes as people read them: an id that isn't known yet is said to be so."""
    return tuple(replace(change, new=_known(change.new)) if change.new is not MISSING else change for change in found)


def _known(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(QUERY_REF):
        return AFTER_APPLY
    if isinstance(value, dict):
        return {name: _known(each) for name, each in cast("dict[str, Any]", value).items()}
    return [_known(each) for each in cast("list[Any]", value)] if isinstance(value, list) else value
