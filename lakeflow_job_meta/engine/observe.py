"""Looking at the workspace: by paged lists for many modules, by single gets for few. A list nominates, get decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lakeflow_job_meta.engine.identity import Identity
from lakeflow_job_meta.engine.ports import Jobs, Queries
from lakeflow_job_meta.engine.rules import Rules
from lakeflow_job_meta.errors import Denied, NotFound
from lakeflow_job_meta.model.job import DesiredJob, ObservedJob, RecordedJob, mapping

GET_AT_MOST = 20
"""Up to that many modules are looked at one by one; a list costs a request for each 100 jobs of the workspace."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen. `jobs` by job id; a recorded id is in exactly one of jobs, absent and unknown.

    `ours` are jobs that carry our owner's tag, by hash of the module; `namesakes` are ids of jobs by folded name.
    """

    jobs: Mapping[int, ObservedJob] = field(default_factory=dict[int, ObservedJob])
    absent: frozenset[int] = frozenset()
    unknown: Mapping[int, str] = field(default_factory=dict[int, str])
    ours: Mapping[str, Sequence[ObservedJob]] = field(default_factory=dict[str, list[ObservedJob]])
    namesakes: Mapping[str, Sequence[int]] = field(default_factory=dict[str, list[int]])
    lost_queries: frozenset[str] = frozenset()


def observe(
    jobs: Jobs,
    queries: Queries,
    desired: Mapping[str, DesiredJob],
    recorded: Mapping[str, RecordedJob],
    owner: str,
    rules: Rules,
) -> Observation:
    """Look at the jobs of these modules.

    Raises:
        WorkspaceError: the workspace can't be read. A single job that we may not see is no error but `unknown`.
    """
    modules = desired.keys() | recorded.keys()
    ids = {row.job_id: module for module, row in recorded.items() if row.job_id is not None}
    searched = [module for module in modules if _needs_search(module, desired, recorded)]
    listed = list(_list(jobs, desired, searched, few=len(modules) <= GET_AT_MOST))
    found = {job.job_id: job for job in listed}
    absent: set[int] = set()
    unknown: dict[int, str] = {}
    for job_id, module in ids.items():
        if job_id in found and not _left_out(found[job_id], desired.get(module), recorded[module], rules):
            continue
        try:
            found[job_id] = jobs.get(job_id)
        except NotFound:
            found.pop(job_id, None)
            absent.add(job_id)
        except Denied as error:
            found.pop(job_id, None)
            unknown[job_id] = error.message
    ours, namesakes = _index(found.values(), owner)
    kept = {query.query_id for row in recorded.values() for query in row.queries.values()}
    lost = frozenset(kept - set(queries.existing())) if kept else frozenset[str]()
    return Observation(found, frozenset(absent), unknown, ours, namesakes, lost)


def _needs_search(module: str, desired: Mapping[str, DesiredJob], recorded: Mapping[str, RecordedJob]) -> bool:
    """A module that wants a job but has none recorded: one may exist all the same, after a crash or a lost state."""
    row = recorded.get(module)
    return module in desired and desired[module].active and (row is None or row.job_id is None)


def _list(jobs: Jobs, desired: Mapping[str, DesiredJob], searched: list[str], *, few: bool) -> Iterable[ObservedJob]:
    if not few:
        yield from jobs.list()
        return
    for module in searched:
        yield from jobs.list(name=desired[module].name)


def _left_out(job: ObservedJob, desired: DesiredJob | None, recorded: RecordedJob, rules: Rules) -> bool:
    """Whether the list left out something that is ours."""
    if not job.complete:
        return True
    owned = mapping(desired and desired.settings).keys() | recorded.settings.keys()
    return any(name in owned and name not in job.settings for name in rules.not_in_lists)


def _index(found: Iterable[ObservedJob], owner: str) -> tuple[dict[str, list[ObservedJob]], dict[str, list[int]]]:
    ours: dict[str, list[ObservedJob]] = {}
    namesakes: dict[str, list[int]] = {}
    for job in found:
        identity = Identity.read(job.tags)
        if identity is not None and identity.owner == owner:
            ours.setdefault(identity.module_hash, []).append(job)
        namesakes.setdefault(job.name.casefold(), []).append(job.job_id)
    return ours, namesakes
