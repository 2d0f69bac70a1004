"""Runs of pipelines among all runs that the ledger's collector meets: each is settled in the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lakeflow_job_meta.model.job import RecordedJob
from lakeflow_job_meta.model.run import Run
from lakeflow_job_meta.pipelines.runs.record import RunRecord
from lakeflow_job_meta.pipelines.runs.settled import Known
from lakeflow_job_meta.pipelines.stage_task import stages_of


@dataclass(frozen=True, slots=True)
class PipelineRuns:
    """Settles the runs of the jobs that a registry has made.

    Args:
        record: where to; recorded: reads our jobs, by module.
    """

    record: RunRecord
    recorded: Callable[[], Mapping[str, RecordedJob]]

    def keep(self, runs: Sequence[Run]) -> None:
        """Settle those that are of pipelines; costs nothing where none is."""
        stages = {job.job_id: stages_of(job.settings) for job in self.recorded().values()}
        # Of a job that is no longer ours only what was recorded tells whether it was a pipeline's.
        lost = [run.run_id for run in runs if run.job_id not in stages]
        there = self.record.known(lost) if lost else frozenset[int]()
        found = [Known(run, stages.get(run.job_id, {})) for run in runs]
        _ = self.record.settle([known for known in found if known.stages or known.run.run_id in there])
