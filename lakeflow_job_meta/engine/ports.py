"""What the engine needs of the world: jobs, saved queries, the state. Adapters live in `workspace` and `control`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from lakeflow_job_meta.model.job import ObservedJob, RecordedJob, SavedQuery, Settings
from lakeflow_job_meta.model.local_file import LocalFile
from lakeflow_job_meta.model.plan import Outcome, Summary


class Jobs(Protocol):
    """Jobs of one workspace. Every method may raise WorkspaceError and its kinds."""

    def list(self, name: str | None = None) -> Iterator[ObservedJob]:
        """All jobs, or those of this name; what a list leaves out makes a job incomplete."""
        ...

    def get(self, job_id: int) -> ObservedJob:
        """One job, whole.

        Raises:
            NotFound: the workspace confirms that there is no such job.
            Denied: we may not see it, whether it exists or not.
        """
        ...

    def create(self, settings: Settings) -> int:
        """Make a job, return its id; never sent twice.

        Raises:
            Unreachable: no answer: it may exist or not.
        """
        ...

    def reset(self, job_id: int, settings: Settings) -> None:
        """Replace all settings of a job."""
        ...

    def delete(self, job_id: int) -> None:
        """Delete a job; one that is gone already is no error."""
        ...


class Queries(Protocol):
    """Saved queries in a folder of our own."""

    def existing(self) -> Mapping[str, tuple[str, str]]:
        """All saved queries that aren't in the trash: id to text and warehouse id."""
        ...

    def find(self, queries: Mapping[str, str]) -> Mapping[str, str]:
        """Those of these queries (name to source_id) that are in our folder: name to id."""
        ...

    def create(self, query: SavedQuery) -> str:
        """Make a saved query, or take the one that already stands at its path; returns the id."""
        ...

    def update(self, query_id: str, query: SavedQuery) -> None:
        """Write text, name and warehouse anew.

        Raises:
            NotFound: it is gone, or in the trash.
        """
        ...

    def delete(self, query_id: str) -> None:
        """Put it into the trash; one that is gone already is no error."""
        ...


class Files(Protocol):
    """Files that tasks name, at paths of their content: to put one there again does no harm."""

    def put(self, file: LocalFile) -> None:
        """Make sure that it is at its path in the workspace.

        Raises:
            WorkspaceError: it can't be put there, or isn't any more what it was when the plan was made.
        """
        ...


@dataclass(frozen=True, slots=True)
class StateWrite:
    """One group commit: rows to write (None: to delete), each only if it is still the one read (None: none there)."""

    rows: Mapping[str, RecordedJob | None]
    expected: Mapping[str, RecordedJob | None]


class State(Protocol):
    """The recorded jobs of one control table in one workspace, and the log of actions."""

    def read(self) -> Mapping[str, RecordedJob]:
        """Recorded jobs by module."""
        ...

    def begin(self, write: StateWrite) -> None:
        """Take the lease and write the first rows in the same commit; waits while somebody else holds it.

        Raises:
            ConflictError: it was held all the time, or somebody wrote one of the rows; nothing was written.
        """
        ...

    def write(self, write: StateWrite, *, last: bool = False, mark: Mapping[str, Any] | None = None) -> None:
        """Write rows in one commit, while the lease is ours; `last` lets go of it in the same commit, and `mark` notes
        what is reconciled completely then.

        Raises:
            LeaseLost: somebody took over; nothing was written.
        """
        ...

    def check(self) -> None:
        """Raise LeaseLost unless the lease lasts for one more call."""
        ...

    @property
    def since(self) -> datetime | None:
        """A moment after which no earlier holder of the lease has sent anything; None before the lease is taken."""
        ...

    def log(self, outcomes: Sequence[Outcome], whole: Summary | None = None) -> None:
        """Append what was done to the log; `whole` comes with the last of them."""
        ...
