"""What a job should be: the settings to reset it to, and whether it is ours to reset at all. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lakeflow_job_meta.engine.diff import merge, union
from lakeflow_job_meta.engine.drift import Pattern, disown
from lakeflow_job_meta.engine.identity import TAG, Identity, tagged
from lakeflow_job_meta.engine.pausing import UNPAUSED, carry_pause, fired_by, with_pause
from lakeflow_job_meta.engine.rules import Rules
from lakeflow_job_meta.model.job import QUERY_REF, DesiredJob, ObservedJob, RecordedJob, Settings, mapping
from lakeflow_job_meta.model.plan import ActionKind

PAUSED_BY_US = "paused"
INACTIVE = "inactive"
"""Deactivated without a pause of ours: nothing fires the job, or an operator had paused it before."""
ACTIVE = "active"


def desired_settings(desired: DesiredJob, recorded: RecordedJob | None, identity: Identity | None) -> dict[str, Any]:
    """The desired settings with our tag, and with the ids of those saved queries that exist."""
    ids = {source: query.query_id for source, query in recorded.queries.items()} if recorded else {}
    tasks = [_with_query(task, ids) for task in desired.settings.get("tasks", ())]
    settings = {**desired.settings, "tasks": tasks}
    return tagged(settings, identity) if identity else settings


def target_settings(
    desired: Settings, recorded: RecordedJob, observed: Settings, rules: Rules, left_alone: Sequence[Pattern] = ()
) -> dict[str, Any]:
    """What the job should be reset to: ours merged over what is there, with the right pause.

    `left_alone` are fields that others may change.
    """
    # A field that the rows have only just set is enforced once: what an action under way wants isn't recorded yet.
    ours, _ = disown(desired, recorded.settings, left_alone, rules)
    _, before = disown(desired, owned_settings(recorded, rules), left_alone, rules)
    merged = carry_pause(merge(ours, before, observed, rules), observed, desired, before)
    kind = fired_by(merged)
    says_pause = kind is not None and "pause_status" in mapping(desired.get(kind))
    if paused_by_us(recorded) and not says_pause:
        return with_pause(merged, UNPAUSED)
    return merged


def paused_by_us(recorded: RecordedJob) -> bool:
    """Whether we paused the job, or may have: an interrupted pause counts, since it found the job firing."""
    return recorded.status == PAUSED_BY_US or (recorded.pending is not None and recorded.pending.pauses)


def owned_settings(recorded: RecordedJob, rules: Rules) -> Settings:
    """What we set before: recorded, and what an interrupted action was about to set."""
    if recorded.pending is None:
        return recorded.settings
    return union(recorded.settings, recorded.pending.settings, rules)


def not_ours(job: ObservedJob, recorded: RecordedJob, owner: str) -> str:
    """Why we must keep our hands off a job that we recorded; empty where it is ours.

    A missing tag is drift on a job that has the recorded name; on any other the recorded id may be wrong.
    """
    if TAG not in job.tags:
        names = {recorded.job_name, *(recorded.pending.names if recorded.pending else ())}
        adopting = recorded.pending is not None and recorded.pending.kind == ActionKind.ADOPT
        if adopting or job.name in names:
            return ""
        return f"job {job.job_id} is called '{job.name}' and carries no tag of ours: the recorded id may be wrong"
    if recorded.nonce is None:
        identity = Identity.read(job.tags)
        ours = identity is not None and identity.owner == owner
        return "" if ours else f"job {job.job_id} belongs to another control table: {TAG}={job.tags[TAG]}"
    moved_from = recorded.pending.moved_from if recorded.pending else ""
    for module in (recorded.module_name, moved_from):
        if job.tags[TAG] == Identity.of(owner, module, recorded.nonce).tag:
            return ""
    return f"job {job.job_id} carries the tag {TAG}={job.tags[TAG]}, which isn't the one that we gave it"


def known_nonce(recorded: RecordedJob, job: ObservedJob | None) -> str:
    """The nonce that the job's tag should have: as recorded, or, where that isn't known yet, as it is there."""
    if recorded.nonce is not None:
        return recorded.nonce
    there = tag_nonce(job) if job is not None else ""
    return there or (recorded.pending.nonce if recorded.pending else "")


def tag_nonce(job: ObservedJob) -> str:
    """The nonce in the job's tag; empty where it carries none of our making."""
    identity = Identity.read(job.tags)
    return identity.nonce if identity else ""


def _with_query(task: Settings, ids: Mapping[str, str]) -> Settings:
    query = mapping(mapping(task.get("sql_task")).get("query"))
    query_id = str(query.get("query_id", ""))
    source = query_id.removeprefix(QUERY_REF)
    if source == query_id or source not in ids:
        return task
    return {**task, "sql_task": {**task["sql_task"], "query": {**query, "query_id": ids[source]}}}
