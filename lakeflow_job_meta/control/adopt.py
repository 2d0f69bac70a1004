"""Choosing jobs that exist, and writing the rows that declare them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from lakeflow_job_meta.control.adoption import module_row, owned_by_another, source_rows
from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.engine.ports import Jobs
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.model.job import ObservedJob
from lakeflow_job_meta.model.table import Changes, Row, Snapshot, TableSpec
from lakeflow_job_meta.store.base import Store

TAG = "tag:"


@dataclass(frozen=True, slots=True)
class Adoption:
    """Takes jobs into the tables; each becomes a module of the job's name."""

    store: Store
    tables: ControlTables
    now: datetime

    def choose(
        self, wanted: Collection[str], jobs: Jobs, known: Collection[int]
    ) -> tuple[list[ObservedJob], dict[str, str]]:
        """The jobs that are meant by id, name, glob or tag, and those left alone by name, each with the reason.

        Raises:
            InputError: something that is wanted matches no job.
        """
        listed = list(jobs.list())
        matched = {each: [job for job in listed if _matches(each, job)] for each in wanted}
        if missing := sorted(each for each, found in matched.items() if not found):
            raise InputError(f"no job matches {', '.join(missing)}", hint="look up names and ids in the workspace")
        chosen: dict[int, ObservedJob] = {}
        skipped: dict[str, str] = {}
        for job in (job for found in matched.values() for job in found):
            if job.job_id in known:
                skipped[f"{job.name} (job {job.job_id})"] = "is declared already"
            elif why := owned_by_another(job):
                skipped[f"{job.name} (job {job.job_id})"] = f"is kept by {why}"
            else:
                chosen[job.job_id] = job
        return list(chosen.values()), skipped

    def write(self, jobs: Sequence[ObservedJob]) -> dict[str, int]:
        """Write the rows; returns job ids by module.

        Raises:
            InputError: two jobs of one name, or a module of that name exists; nothing was written.
        """
        by_module = {job.name: job for job in jobs}
        if len(by_module) < len(jobs):
            names = [job.name for job in jobs]
            doubled = next(name for name in names if names.count(name) > 1)
            raise InputError(f"several jobs are named '{doubled}'", hint="rename them, or adopt them by id, one by one")
        sources = [row for module, job in by_module.items() for row in source_rows(job, module, self.now)]
        self._insert(self.tables.control, sources, by_module)
        self._insert(self.tables.modules, [module_row(job, name, self.now) for name, job in by_module.items()], ())
        return {module: job.job_id for module, job in by_module.items()}

    def _insert(self, spec: TableSpec, rows: Sequence[Row], must_be_new: Collection[str]) -> None:
        def decide(snapshot: Snapshot) -> Changes:
            present = {row["module_name"] for row in snapshot.rows}
            if there := sorted(present & set(must_be_new)):
                raise InputError(f"module {', '.join(there)} exists already", hint="rename the job or the module first")
            return Changes(tuple(rows))

        if rows:
            self.store.transact(spec, decide)


def _matches(wanted: str, job: ObservedJob) -> bool:
    if wanted.startswith(TAG):
        key, _, value = wanted.removeprefix(TAG).partition("=")
        return job.tags.get(key) == value
    return wanted == str(job.job_id) or fnmatchcase(job.name, wanted)
