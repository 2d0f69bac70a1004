"""One action against the workspace: look again, call, and say what is recorded now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import cast

from lakeflow_job_meta.engine.diff import changes
from lakeflow_job_meta.engine.identity import Identity, tagged
from lakeflow_job_meta.engine.kept import NOT_KEPT_HINT, changes_fingerprint, not_kept
from lakeflow_job_meta.engine.lag import look_until_settled
from lakeflow_job_meta.engine.pausing import PAUSED, fired_by, is_paused, with_pause
from lakeflow_job_meta.engine.planner import Policy, left_alone
from lakeflow_job_meta.engine.ports import Files, Jobs, Queries
from lakeflow_job_meta.engine.rules import Rules
from lakeflow_job_meta.engine.targets import (
    ACTIVE,
    INACTIVE,
    PAUSED_BY_US,
    desired_settings,
    known_nonce,
    not_ours,
    paused_by_us,
    target_settings,
)
from lakeflow_job_meta.errors import NotFound, NotKept, Unreachable, WorkspaceError
from lakeflow_job_meta.model.job import (
    DesiredJob,
    ObservedJob,
    Pending,
    RecordedJob,
    RecordedQuery,
    Settings,
    canonical,
)
from lakeflow_job_meta.model.plan import Action, ActionKind, Outcome, Plan


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of one action, and the state's row that says so: None where the job is gone."""

    row: RecordedJob | None
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class CarryOut:
    """Carries out actions of one plan; used by several threads at once, each with a module of its own.

    `unrecorded` are saved queries (name to id) that interrupted runs made and didn't record. `reached` holds how far a
    module came, so that a failure half way forgets nothing that was made.
    """

    jobs: Jobs
    queries: Queries
    files: Files
    rules: Rules
    plan: Plan
    now: Callable[[], datetime]
    actor: str
    list_lag: float
    lease_since: datetime
    unrecorded: Mapping[str, str]
    reached: dict[str, RecordedJob] = field(default_factory=dict[str, RecordedJob])

    def run(self, action: Action, intent: RecordedJob) -> RecordedJob | None:
        """Do it; returns the row to record, None where there is nothing left to record.

        Raises:
            WorkspaceError: it failed; `reached` has what to record.
        """
        desired, interrupted = action.desired, _interrupted(action)
        row = self._with_unrecorded_queries(intent)
        if action.kind is ActionKind.DELETE:
            return self._delete(row)
        if desired is None or not desired.active:
            done = self._pause(row, interrupted=interrupted)
        else:
            self._put_files(desired, row)
            row = self._with_queries(desired, row)
            if row.job_id is None:
                nonce = intent.pending.nonce if intent.pending else row.nonce
                row = self._create(desired, replace(row, nonce=nonce), interrupted=interrupted)
            else:
                row = self._reset(desired, row, self.jobs.get(row.job_id))
                if _mends(action):
                    self._check_kept(desired, intent, row)
            done = self._without_stale_queries(desired, row)
        return done and self._stamped(done)

    def _stamped(self, row: RecordedJob) -> RecordedJob:
        basis = self.plan.basis
        return replace(
            row,
            applied_at=self.now(),
            applied_by=self.actor,
            control_version=basis.control_version,
            modules_version=basis.modules_version,
        )

    def _create(self, desired: DesiredJob, row: RecordedJob, *, interrupted: bool) -> RecordedJob:
        identity = Identity.of(self.plan.basis.owner, row.module_name, row.nonce or "")
        settings = desired_settings(desired, row, identity)
        if interrupted and (job := self._find(_names(desired, row), identity, self.lease_since)):
            return self._reset(desired, replace(row, job_id=job.job_id), job)
        if not self.plan.refreshed and (job := self._made_before(desired, identity)):
            return self._reset(desired, replace(row, job_id=job.job_id, nonce=None), job)
        sent = self.now()
        try:
            job_id = self.jobs.create(settings)
        except Unreachable:
            # The call may have had its effect: only the nonce on the job can tell.
            job = self._find({desired.name}, identity, sent)
            if job is None:
                raise
            job_id = job.job_id
        return self._recorded(desired, replace(row, job_id=job_id), settings)

    def _made_before(self, desired: DesiredJob, wanted: Identity) -> ObservedJob | None:
        """A job of this module that the state has lost: looked for here where the plan didn't look."""
        found: list[ObservedJob] = []
        for job in self.jobs.list(name=desired.name):
            identity = Identity.read(job.tags)
            if identity and (identity.owner, identity.module_hash) == (wanted.owner, wanted.module_hash):
                found.append(job)
        if len(found) > 1:
            ids = ", ".join(str(job.job_id) for job in found)
            raise WorkspaceError(f"several jobs carry this module's tag: {ids}", hint="delete all but one")
        return found[0] if found else None

    def _find(self, names: set[str], identity: Identity, sent: datetime) -> ObservedJob | None:
        """The job of a create that was sent at that time and never heard of again; lists may lag behind creates."""

        def look() -> ObservedJob | None:
            listed = (job for name in sorted(names) for job in self.jobs.list(name=name))
            return next((job for job in listed if Identity.read(job.tags) == identity), None)

        return look_until_settled(look, lambda job: job is not None, sent, self.now, self.list_lag)

    def _reset(self, desired: DesiredJob, row: RecordedJob, job: ObservedJob) -> RecordedJob:
        """Bring a job that exists to what is desired, decided on what it is at this moment."""
        row = replace(row, nonce=known_nonce(row, job))
        if refusal := not_ours(job, row, self.plan.basis.owner):
            raise WorkspaceError(refusal, hint="give the tag back, or `ljm forget` the module")
        identity = Identity.of(self.plan.basis.owner, row.module_name, row.nonce or "")
        wanted = desired_settings(desired, row, identity)
        target = self._target(desired, wanted, row, job)
        if changes(job.settings, target, self.rules):
            self.jobs.reset(job.job_id, target)
        return self._recorded(desired, row, wanted)

    def _check_kept(self, desired: DesiredJob, intent: RecordedJob, row: RecordedJob) -> None:
        """After drift was put right: what the workspace changed back by itself, it would change back for ever.

        Raises:
            NotKept: and the state then has what was in vain.
        """
        job = self.jobs.get(cast("int", row.job_id))
        if left := changes(job.settings, self._target(desired, row.settings, row, job), self.rules):
            pending = replace(cast("Pending", intent.pending), not_kept=changes_fingerprint(left))
            self._reached(replace(row, pending=pending))
            raise NotKept(not_kept(left), hint=NOT_KEPT_HINT)

    def _target(self, desired: DesiredJob, wanted: Settings, row: RecordedJob, job: ObservedJob) -> Settings:
        """What the job is to be reset to."""
        alone = left_alone(desired, Policy(drift=self.plan.drift))
        return target_settings(wanted, row, job.settings, self.rules, alone)

    def _pause(self, row: RecordedJob, *, interrupted: bool) -> RecordedJob | None:
        found = self._with_unrecorded(row)
        if found is None or found.job_id is None:
            self._delete_queries(row)
            return None
        row = found
        job = self.jobs.get(found.job_id)
        if refusal := not_ours(job, row, self.plan.basis.owner):
            raise WorkspaceError(refusal, hint="give the tag back, or `ljm forget` the module")
        # A pause of ours that was interrupted after its effect is still ours.
        ours = paused_by_us(row) if interrupted else row.status == PAUSED_BY_US
        status = PAUSED_BY_US if ours else INACTIVE
        if fired_by(job.settings) and not is_paused(job.settings):
            self.jobs.reset(job.job_id, with_pause(job.settings, PAUSED))
            status = PAUSED_BY_US
        return replace(row, status=status, pending=None, last_error=None)

    def _with_unrecorded(self, row: RecordedJob) -> RecordedJob | None:
        """The row with the job that an interrupted create may have made; None where there is no job at all."""
        if row.job_id is not None or row.pending is None:
            return row
        identity = Identity.of(self.plan.basis.owner, row.module_name, row.pending.nonce)
        job = self._find(set(row.pending.names), identity, self.lease_since)
        if job is None:
            return None
        return replace(row, job_id=job.job_id, nonce=identity.nonce, settings=tagged(row.pending.settings, identity))

    def _delete(self, row: RecordedJob) -> None:
        row = self._with_unrecorded(row) or row
        if row.job_id is not None:
            try:
                job = self.jobs.get(row.job_id)
            except NotFound:
                job = None
            if job is not None and (refusal := not_ours(job, row, self.plan.basis.owner)):
                raise WorkspaceError(refusal, hint="give the tag back, or `ljm forget` the module")
            if job is not None:
                self.jobs.delete(row.job_id)
        self._delete_queries(row)

    def _delete_queries(self, row: RecordedJob) -> None:
        for query in row.queries.values():
            self.queries.delete(query.query_id)

    def _with_unrecorded_queries(self, row: RecordedJob) -> RecordedJob:
        """The row with the saved queries that an interrupted run made: the job may refer to them already."""
        made = {
            source: RecordedQuery(self.unrecorded[name], "")
            for name, source in row.unrecorded_queries.items()
            if name in self.unrecorded and source not in row.queries
        }
        return replace(row, queries={**row.queries, **made})

    def _put_files(self, desired: DesiredJob, row: RecordedJob) -> None:
        """Put the files that the job is going to name into place, but for those that it names already."""
        there = canonical(row.settings) if desired.files and row.job_id is not None else ""
        for file in desired.files:
            if file.remote not in there:
                self.files.put(file)

    def _with_queries(self, desired: DesiredJob, row: RecordedJob) -> RecordedJob:
        """Make or update the saved queries that the job's tasks refer to, before the job does."""
        for source, query in desired.queries.items():
            known = row.queries.get(source)
            lost = known is not None and known.query_id in self.plan.lost_queries
            edited = known is not None and known.query_id in self.plan.edited_queries
            if known is not None and known.fingerprint == query.fingerprint and not (lost or edited):
                continue
            query_id = known.query_id if known and not lost else None
            if query_id is not None:
                try:
                    self.queries.update(query_id, query)
                except NotFound:
                    query_id = None
            if query_id is None:
                query_id = self.queries.create(query)
            recorded = RecordedQuery(query_id, query.fingerprint)
            row = self._reached(replace(row, queries={**row.queries, source: recorded}))
        return row

    def _without_stale_queries(self, desired: DesiredJob, row: RecordedJob) -> RecordedJob:
        """Delete the saved queries of tasks that are gone, after the job stopped referring to them."""
        for source in row.queries.keys() - desired.queries.keys():
            self.queries.delete(row.queries[source].query_id)
            left = {name: query for name, query in row.queries.items() if name != source}
            row = self._reached(replace(row, queries=left))
        return row

    def _recorded(self, desired: DesiredJob, row: RecordedJob, settings: Settings) -> RecordedJob:
        return self._reached(
            replace(
                row,
                status=ACTIVE,
                job_name=desired.name,
                settings=settings,
                pending=None,
                fingerprint=desired.fingerprint,
                control_version=self.plan.basis.control_version,
                modules_version=self.plan.basis.modules_version,
                last_error=None,
            )
        )

    def _reached(self, row: RecordedJob) -> RecordedJob:
        self.reached[row.module_name] = row
        return row


def _names(desired: DesiredJob, row: RecordedJob) -> set[str]:
    """What the job may be called: as the rows say now, or as they said when an interrupted create was sent."""
    return {desired.name, *(row.pending.names if row.pending else ())}


def _mends(action: Action) -> bool:
    """Whether the action does nothing but put drift right."""
    recorded, desired = action.recorded, action.desired
    if action.kind is not ActionKind.UPDATE or recorded is None or desired is None:
        return False
    return recorded.pending is None and recorded.fingerprint == desired.fingerprint


def _interrupted(action: Action) -> bool:
    """Whether an earlier run began something with this module and didn't finish."""
    return action.recorded is not None and action.recorded.pending is not None
