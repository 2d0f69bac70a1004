"""Carrying out a plan: intents first, calls side by side, results in groups.

The order matters. What we are about to do is in the state before the first call, so that after a crash the next run
knows what to look for; a create is never sent twice; results reach the state in few commits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from lakeflow_job_meta.engine.carry_out import Applied, CarryOut
from lakeflow_job_meta.engine.diff import union
from lakeflow_job_meta.engine.fence import FencedJobs, FencedQueries
from lakeflow_job_meta.engine.lag import look_until_settled
from lakeflow_job_meta.engine.ports import Files, Jobs, Queries, State, StateWrite
from lakeflow_job_meta.engine.rules import Rules
from lakeflow_job_meta.engine.targets import desired_settings
from lakeflow_job_meta.errors import LeaseLost, WorkspaceError
from lakeflow_job_meta.model.job import Pending, RecordedJob
from lakeflow_job_meta.model.masking import secrets_in, without
from lakeflow_job_meta.model.plan import Action, ActionKind, Outcome, Plan, Summary

GROUP_SIZE = 250
"""Results in one commit of the state; a commit costs as much as dozens of calls."""
GROUP_SECONDS = 5.0
"""How long a result waits for its group at the most."""

MAKES_JOB = (ActionKind.CREATE, ActionKind.RECREATE)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What applying needs beside the plan. `stop` is asked between two actions; `now` and `new_nonce` are the only
    sources of time and chance."""

    jobs: Jobs
    queries: Queries
    files: Files
    state: State
    rules: Rules
    now: Callable[[], datetime]
    new_nonce: Callable[[], str]
    actor: str
    concurrency: int = 10
    list_lag: float = 0.0
    stop: Callable[[], bool] = lambda: False
    on_outcome: Callable[[Outcome], None] = lambda outcome: None


def apply_plan(plan: Plan, around: Surroundings) -> list[Outcome]:
    """Carry out every effective action; a module that fails, fails alone. Actions left out by `stop` have no outcome.

    Raises:
        ConflictError: somebody else wrote the state meanwhile. Jobs may have been changed by then: the next run finds
            out by the intents.
    """
    actions = plan.effective
    if not actions:
        return []
    intents = {action.module: _intent(action, plan, around) for action in actions}
    around.state.begin(_first_write(actions, intents))
    jobs, queries = FencedJobs(around.jobs, around.state.check), FencedQueries(around.queries, around.state.check)
    group, started = _Group(around.state, intents, jobs), time.monotonic()
    outcomes: list[Outcome] = []
    try:
        try:
            carry_out = CarryOut(
                jobs,
                queries,
                around.files,
                around.rules,
                plan,
                around.now,
                around.actor,
                around.list_lag,
                around.state.since or around.now(),
                _find_unrecorded(actions, queries, around),
            )
            for applied in _carry_out(actions, carry_out, intents, around):
                group.add(applied)
                outcomes.append(applied.outcome)
                around.on_outcome(applied.outcome)
        finally:
            complete = len(outcomes) == len(actions) and all(outcome.done for outcome in outcomes)
            done = sum(outcome.done for outcome in outcomes)
            took = round((time.monotonic() - started) * 1000)
            whole = Summary(done, len(outcomes) - done, len(actions) - len(outcomes), took)
            group.flush(whole, mark=plan.mark if complete else None)
    except LeaseLost:
        jobs.put_right(around.state.read(), around.rules)
        raise
    return outcomes


def _find_unrecorded(actions: Sequence[Action], queries: Queries, around: Surroundings) -> Mapping[str, str]:
    """Saved queries (name to id) that an interrupted run made and the rows don't ask for any more.

    What they do ask for is found when it is made.
    """
    sought: dict[str, str] = {}
    for action in actions:
        wanted = {query.name for query in action.desired.queries.values()} if action.desired else set[str]()
        if action.recorded is not None:
            made = action.recorded.unrecorded_queries
            sought |= {name: source for name, source in made.items() if name not in wanted}
    since = around.state.since or around.now()
    return look_until_settled(
        lambda: queries.find(sought), lambda found: len(found) == len(sought), since, around.now, around.list_lag
    )


def _first_write(actions: Sequence[Action], intents: Mapping[str, RecordedJob]) -> StateWrite:
    rows: dict[str, RecordedJob | None] = dict(intents)
    expected: dict[str, RecordedJob | None] = {action.module: action.recorded for action in actions}
    for action in actions:
        if action.kind is ActionKind.MOVE and action.recorded is not None:
            # The row changes its module in one commit: at no moment do two modules have the job, or none.
            rows[action.recorded.module_name] = None
            expected |= {action.module: None, action.recorded.module_name: action.recorded}
    return StateWrite(rows, expected)


def _intent(action: Action, plan: Plan, around: Surroundings) -> RecordedJob:
    before = action.recorded or RecordedJob(
        action.module, plan.basis.workspace_id, status="pending", created_timestamp=around.now()
    )
    since = around.now().isoformat()
    pauses = (action.kind is ActionKind.PAUSE and bool(action.changes)) or bool(
        before.pending and before.pending.pauses
    )
    # An adoption stays one until it has succeeded: until then the job carries no tag of ours.
    adopting = before.pending is not None and before.pending.kind == ActionKind.ADOPT
    kind = ActionKind.ADOPT if adopting else action.kind
    queries = {**before.unrecorded_queries, **_queries_to_make(action, plan)}
    pending = Pending(str(kind), {}, before.nonce or "", since, pauses=pauses, queries=queries)
    if action.desired is None or not action.desired.active or action.kind is ActionKind.DELETE:
        # Without an id there is but an interrupted create: what it left behind has to stay known.
        return before if before.job_id is None else replace(before, pending=pending)
    wanted = desired_settings(action.desired, action.recorded, None)
    if action.kind is ActionKind.ADOPT:
        # The id is known from the start, so that no crash can lead to a second job.
        return replace(
            before,
            job_id=action.job_id,
            nonce=None,
            pending=replace(pending, settings=wanted, nonce=around.new_nonce()),
        )
    if action.kind in MAKES_JOB:
        # A confirmed absent job's id is forgotten here, so that after a crash the nonce is what is looked for.
        unfinished = before.pending if before.pending and before.job_id is None else None
        nonce = unfinished.nonce if unfinished else around.new_nonce()
        names = (*(unfinished.names if unfinished else ()), action.desired.name)
        made = Pending("create", wanted, nonce, since, names=tuple(dict.fromkeys(names)), queries=queries)
        return replace(before, job_id=None, nonce=None, pending=made)
    # What an interrupted action was about to set is ours too, until a later one has succeeded.
    wanted = union(wanted, before.pending.settings, around.rules) if before.pending else wanted
    moved_from = before.pending.moved_from if before.pending else ""
    if action.kind is ActionKind.MOVE:
        moved_from = before.module_name
    return replace(before, module_name=action.module, pending=replace(pending, settings=wanted, moved_from=moved_from))


def _queries_to_make(action: Action, plan: Plan) -> dict[str, str]:
    if action.desired is None:
        return {}
    kept = set[str]()
    if action.recorded is not None:
        known = action.recorded.queries
        kept = {source for source, query in known.items() if query.query_id not in plan.lost_queries}
    return {query.name: source for source, query in action.desired.queries.items() if source not in kept}


def _carry_out(
    actions: Iterable[Action], carry_out: CarryOut, intents: Mapping[str, RecordedJob], around: Surroundings
) -> Iterator[Applied]:
    """Results as they come, never more than `concurrency` calls under way."""
    left = iter(actions)
    with ThreadPoolExecutor(around.concurrency, thread_name_prefix="apply") as pool:
        running: set[Future[Applied]] = set()

        def fill() -> None:
            while len(running) < around.concurrency and not around.stop():
                action = next(left, None)
                if action is None:
                    return
                running.add(pool.submit(_one, carry_out, action, intents[action.module]))

        fill()
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            running -= done
            for future in done:
                yield future.result()
            fill()


def _one(carry_out: CarryOut, action: Action, intent: RecordedJob) -> Applied:
    started = time.monotonic()
    try:
        row = carry_out.run(action, intent)
        outcome = Outcome(action, True, row.job_id if row else intent.job_id)
        outcome = replace(outcome, fingerprint=row.fingerprint if row else None)
    except (WorkspaceError, ValueError, TypeError, KeyError, RecursionError) as error:
        # What can't even be sent (the latter four) must not take the other modules down. What was made before the
        # failure (saved queries) is in the intent's place already: see CarryOut.run.
        told = _told(error, intent)
        row = replace(carry_out.reached.get(action.module, intent), last_error=told.splitlines()[0])
        outcome = Outcome(action, False, row.job_id, error=told, fingerprint=row.fingerprint)
    return Applied(row, replace(outcome, duration_ms=round((time.monotonic() - started) * 1000)))


def _told(error: Exception, intent: RecordedJob) -> str:
    """What may be told of a failure: whoever refuses settings may quote them."""
    secrets = secrets_in(intent.settings, intent.pending.settings if intent.pending else None)
    return without(str(error) or type(error).__name__, secrets)


@dataclass(slots=True)
class _Group:
    """Results that wait for their commit."""

    state: State
    intents: Mapping[str, RecordedJob]
    jobs: FencedJobs
    waiting: list[Applied] = field(default_factory=list[Applied])
    since: float = field(default_factory=time.monotonic)

    def add(self, applied: Applied) -> None:
        self.waiting.append(applied)
        if len(self.waiting) >= GROUP_SIZE or time.monotonic() - self.since >= GROUP_SECONDS:
            self.flush()

    def flush(self, whole: Summary | None = None, *, mark: Mapping[str, Any] | None = None) -> None:
        """Commit what waits; `whole` says that it was the last."""
        last = whole is not None
        if self.waiting or last:
            rows = {applied.outcome.action.module: applied.row for applied in self.waiting}
            self.state.write(StateWrite(rows, {module: self.intents[module] for module in rows}), last=last, mark=mark)
            self.jobs.forget([row for row in rows.values() if row is not None])
        if self.waiting or last:
            self.state.log([applied.outcome for applied in self.waiting], whole)
            self.waiting = []
        self.since = time.monotonic()
