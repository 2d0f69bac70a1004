"""Looking at the workspace: by paged lists for many modules, by single gets for few. A list nominates, get decides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from lakeflow_job_meta.engine.identity import Identity
from lakeflow_job_meta.engine.ports import Jobs, Queries
from lakeflow_job_meta.engine.rules import Rules
from lakeflow_job_meta.errors import Denied, NotFound
from lakeflow_job_meta.model.job import DesiredJob, ObservedJob, RecordedJob, mapping

GET_AT_MOST = 20
"""Up to that many modules are looked at one by one; a list costs a request for each 100 jobs of the workspace."""


LOOKS_AT_ONCE = 10


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen. `jobs` by job id; a recorded id is in exactly one of jobs, absent and unknown.

    `ours` are jobs that carry our owner's tag, by hash of the module; `namesakes` are ids of jobs by folded name.
    `queries` are the text and the warehouse of those of our saved queries that exist, by id.
    """

    jobs: Mapping[int, ObservedJob] = field(default_factory=dict[int, ObservedJob])
    absent: frozenset[int] = frozenset()
    unknown: Mapping[int, str] = field(default_factory=dict[int, str])
    ours: Mapping[str, Sequence[ObservedJob]] = field(default_factory=dict[str, list[ObservedJob]])
    namesakes: Mapping[str, Sequence[int]] = field(default_factory=dict[str, list[int]])
    lost_queries: frozenset[str] = frozenset()
    edited_queries: frozenset[str] = frozenset()
    queries: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])


def observe(
    jobs: Jobs,
    queries: Queries,
    desired: Mapping[str, DesiredJob],
    recorded: Mapping[str, RecordedJob],
    owner: str,
    rules: Rules,
    *,
    sweep: bool = False,
) -> Observation:
    """Look at the jobs of these modules; `sweep` looks at all jobs there are, since the state can't be relied on.

    Raises:
        WorkspaceError: the workspace can't be read. A single job that we may not see is no error but `unknown`.
    """
    modules = desired.keys() | recorded.keys()
    ids = {row.job_id: module for module, row in recorded.items() if row.job_id is not None}
    few = len(modules) <= GET_AT_MOST and not sweep
    searched = [module for module in modules if _needs_search(module, desired, recorded)]
    found = {job.job_id: job for job in (_by_names(jobs, searched, desired, recorded) if few else jobs.list())}
    doubtful = [
        job_id
        for job_id, module in ids.items()
        if job_id not in found or _left_out(found[job_id], desired.get(module), recorded[module], rules)
    ]
    absent, unknown = _look_at(jobs, doubtful, found)
    if few and absent:
        # The state may be older than the workspace: a job made since then is found by its name.
        gone = [module for job_id, module in ids.items() if job_id in absent and module in desired]
        found |= {job.job_id: job for job in _by_names(jobs, gone, desired, recorded)}
    ours, namesakes = _index(found.values(), owner)
    there, lost, edited = _look_at_queries(queries, desired, recorded)
    return Observation(found, absent, unknown, ours, namesakes, lost, edited, there)


def _look_at(
    jobs: Jobs, job_ids: Sequence[int], found: dict[int, ObservedJob]
) -> tuple[frozenset[int], dict[int, str]]:
    """Get jobs one by one, several at once, into `found`; returns those that are absent, and those not to be seen."""
    absent: set[int] = set()
    unknown: dict[int, str] = {}

    def look(job_id: int) -> None:
        found.pop(job_id, None)
        try:
            found[job_id] = jobs.get(job_id)
        except NotFound:
            absent.add(job_id)
        except Denied as error:
            unknown[job_id] = error.message

    if len(job_ids) == 1:
        look(job_ids[0])
    elif job_ids:
        with ThreadPoolExecutor(LOOKS_AT_ONCE, thread_name_prefix="look") as pool:
            list(pool.map(look, job_ids))
    return frozenset(absent), unknown


def _look_at_queries(
    queries: Queries, desired: Mapping[str, DesiredJob], recorded: Mapping[str, RecordedJob]
) -> tuple[dict[str, tuple[str, str]], frozenset[str], frozenset[str]]:
    """Our saved queries that exist, the ids of those that are gone, and of those whose text or warehouse differs."""
    kept = {
        query.query_id: (module, source) for module, row in recorded.items() for source, query in row.queries.items()
    }
    if not kept:
        return {}, frozenset(), frozenset()
    there = {query_id: query for query_id, query in queries.existing().items() if query_id in kept}
    edited: set[str] = set()
    for query_id in there:
        module, source = kept[query_id]
        wanted = desired[module].queries.get(source) if module in desired else None
        if wanted is not None and there[query_id] != (wanted.text, wanted.warehouse_id):
            edited.add(query_id)
    return there, frozenset(kept.keys() - there.keys()), frozenset(edited)


def _needs_search(module: str, desired: Mapping[str, DesiredJob], recorded: Mapping[str, RecordedJob]) -> bool:
    """A module that wants a job but has none recorded: one may exist all the same, after a crash or a lost state."""
    row = recorded.get(module)
    return module in desired and desired[module].active and (row is None or row.job_id is None)


def _by_names(
    jobs: Jobs, modules: Iterable[str], desired: Mapping[str, DesiredJob], recorded: Mapping[str, RecordedJob]
) -> Iterator[ObservedJob]:
    """The jobs by whatever name a module's job may have: as the rows say, as recorded, as an interrupted run said."""
    for module in modules:
        names = {desired[module].name}
        if (row := recorded.get(module)) is not None:
            names.add(row.job_name or "")
            names.update(row.pending.names if row.pending else ())
        for name in sorted(names - {""}):
            yield from jobs.list(name=name)


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
