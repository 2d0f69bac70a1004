"""Writing to the workspace only while the lease holds, and putting right what was written after it was lost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from lakeflow_job_meta.engine.diff import changes, merge
from lakeflow_job_meta.engine.ports import Jobs, Queries
from lakeflow_job_meta.engine.rules import Rules
from lakeflow_job_meta.errors import NotFound
from lakeflow_job_meta.model.job import ObservedJob, RecordedJob, SavedQuery, Settings


@dataclass(frozen=True, slots=True)
class FencedJobs:
    """The Jobs port of a lease's holder: each write asks first whether there is time for it, and is remembered."""

    jobs: Jobs
    check: Callable[[], None]
    made: set[int] = field(default_factory=set[int])
    reset_to: dict[int, Settings] = field(default_factory=dict[int, Settings])

    def list(self, name: str | None = None) -> Iterator[ObservedJob]:
        return self.jobs.list(name)

    def get(self, job_id: int) -> ObservedJob:
        return self.jobs.get(job_id)

    def create(self, settings: Settings) -> int:
        self.check()
        job_id = self.jobs.create(settings)
        self.made.add(job_id)
        return job_id

    def reset(self, job_id: int, settings: Settings) -> None:
        self.check()
        self.reset_to[job_id] = settings
        self.jobs.reset(job_id, settings)

    def delete(self, job_id: int) -> None:
        self.check()
        self.jobs.delete(job_id)

    def forget(self, recorded: Collection[RecordedJob]) -> None:
        """These are in the state now: nothing to put right about them any more."""
        for row in recorded:
            if row.job_id is not None:
                self.made.discard(row.job_id)
                self.reset_to.pop(row.job_id, None)

    def put_right(self, state: Mapping[str, RecordedJob], rules: Rules) -> None:
        """After the lease was lost: delete the jobs that only we know of, and give back what a late reset took.

        A job that whoever took over has adopted isn't ours to delete; the settings that it recorded win over ours.
        """
        recorded = {row.job_id: row for row in state.values() if row.job_id is not None}
        for job_id in self.made - recorded.keys():
            self.jobs.delete(job_id)
        for job_id, ours in self.reset_to.items():
            row = recorded.get(job_id)
            if row is None or row.pending is not None:
                continue
            try:
                observed = self.jobs.get(job_id).settings
            except NotFound:
                continue
            target = merge(row.settings, ours, observed, rules)
            if changes(observed, target, rules):
                self.jobs.reset(job_id, target)


@dataclass(frozen=True, slots=True)
class FencedQueries:
    """The Queries port of a lease's holder."""

    queries: Queries
    check: Callable[[], None]

    def existing(self) -> Mapping[str, tuple[str, str]]:
        return self.queries.existing()

    def find(self, queries: Mapping[str, str]) -> Mapping[str, str]:
        return self.queries.find(queries)

    def create(self, query: SavedQuery) -> str:
        self.check()
        return self.queries.create(query)

    def update(self, query_id: str, query: SavedQuery) -> None:
        self.check()
        self.queries.update(query_id, query)

    def delete(self, query_id: str) -> None:
        self.check()
        self.queries.delete(query_id)
