"""Bootstrap: a pipeline file executed step by step. Wiring only."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from uuid import uuid4

from lakeflow_job_meta.bootstrap.apply import Applying, TableOutcome
from lakeflow_job_meta.bootstrap.dataset_file import Dataset, read_dataset
from lakeflow_job_meta.bootstrap.pipeline_file import PipelineFile, PipelineStep, checked_config, read_pipeline
from lakeflow_job_meta.bootstrap.planner import Wishes, plan_dataset, plan_purge
from lakeflow_job_meta.bootstrap.processors import PROCESSORS
from lakeflow_job_meta.bootstrap.record import Record, log_table
from lakeflow_job_meta.bootstrap.table_plan import TablePlan
from lakeflow_job_meta.diagnostics import Diagnostic, FileLocation
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.model.finding import Finding
from lakeflow_job_meta.settings import Settings, load_settings
from lakeflow_job_meta.store.base import TableStore
from lakeflow_job_meta.store.open import open_store

PIPELINE = Path("metadata/setup/bootstrap_system.yml")
SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class StepPlan:
    """What there is to do for one step of a pipeline."""

    step: PipelineStep
    dataset: Dataset
    plan: TablePlan


class Bootstrap:
    """The set-up that a pipeline file declares.

    Args:
        pipeline: the file.
        tenant_id: on whose behalf it runs; told in the logs.
        settings: where the store is; by default what environment and lakeflow.yml say.
        store: where the tables are made; by default what the settings name.

    Example:
        bootstrap = Bootstrap(Path("metadata/setup/bootstrap_system.yml"))
        for each in bootstrap.plan(Wishes(evolve=True)):
            print(each.plan)
            bootstrap.apply(each)
    """

    def __init__(
        self,
        pipeline: Path = PIPELINE,
        *,
        tenant_id: str = SYSTEM,
        settings: Settings | None = None,
        store: TableStore | None = None,
    ) -> None:
        self.settings = settings or load_settings({}, os.environ)
        self.store = store or open_store(self.settings)
        self.tenant_id = tenant_id
        self.correlation_id = uuid4().hex
        self._path = Path(pipeline)

    @cached_property
    def pipeline(self) -> PipelineFile:
        """The pipeline as declared.

        Raises:
            InputError: with every finding.
        """
        return read_pipeline(self._path, {name: each.keys for name, each in PROCESSORS.items()})

    def datasets(self) -> list[tuple[PipelineStep, Dataset]]:
        """What each step declares.

        Raises:
            InputError: with every finding of all files of all steps.
        """
        read: list[tuple[PipelineStep, Dataset]] = []
        problems: list[InputError] = []
        for step in self.pipeline.steps:
            try:
                read.append((step, self.dataset(step)))
            except InputError as problem:
                problems.append(problem)
        found = [each for problem in problems for each in problem.diagnostics] + self._doubled(read)
        if found:
            first = problems[0].message if len(problems) == 1 else f"{self._path} can't be used"
            raise InputError(first, diagnostics=found)
        return read

    def _doubled(self, read: Sequence[tuple[PipelineStep, Dataset]]) -> list[Diagnostic]:
        """Datasets that two steps set up: each would take the other's tables for strangers, or delete them."""
        first: dict[str, PipelineStep] = {}
        return [
            Diagnostic(
                f"{dataset.full_name} is set up by step '{before.step_id}' and by step '{step.step_id}'",
                FileLocation(str(self._path)),
                "one config.yml lists all tables of a dataset; or give the step another dataset",
            )
            for step, dataset in read
            if (before := first.setdefault(dataset.full_name, step)) is not step
        ]

    def dataset(self, step: PipelineStep) -> Dataset:
        """What one step declares."""
        processor = PROCESSORS[step.ps_type]
        folder = processor.dataset_folder(self._path.parent, str(step.config.get("folder") or ""))
        said = {name: str(step.config.get(name) or "").lower() for name in ("catalog", "dataset")}
        return read_dataset(folder, **said)

    def plan(self, wishes: Wishes | None = None) -> list[StepPlan]:
        """What there is to do for each step; changes nothing.

        Args:
            wishes: what is asked for beyond what the steps' own configs say.

        Raises:
            InputError: with every finding of the files.
            StoreError: the store can't be read.
        """
        return [self._planned(step, dataset, wishes or Wishes()) for step, dataset in self.datasets()]

    def plan_step(self, step: PipelineStep, wishes: Wishes | None = None) -> StepPlan:
        """What there is to do for one step, whatever the pipeline file says.

        Raises:
            UsageError: its config can't be used.
            InputError: with every finding of the dataset's files.
        """
        _ = checked_config(step.config, PROCESSORS[step.ps_type].keys)
        return self._planned(step, self.dataset(step), wishes or Wishes())

    def _planned(self, step: PipelineStep, dataset: Dataset, asked: Wishes) -> StepPlan:
        both = Wishes(
            asked.evolve,
            asked.force_tables or bool(step.config.get("force_recreate_tables")),
            asked.force_dataset or bool(step.config.get("force_recreate_dataset")),
        )
        return StepPlan(step, dataset, plan_dataset(self.store, dataset, both))

    def plan_purge(self) -> list[StepPlan]:
        """The copies that making tables anew has left, to be deleted."""
        return [StepPlan(step, dataset, plan_purge(self.store, dataset)) for step, dataset in self.datasets()]

    def apply(
        self, planned: StepPlan, on_outcome: Callable[[TableOutcome], None] = lambda outcome: None
    ) -> Sequence[TableOutcome]:
        """Do what a plan says, all or nothing; a row of the log tells of each table.

        Raises:
            ApplyError: something failed; what was done before is taken back.
            ConflictError: somebody else changed a table since the plan was made; the same.
        """
        dataset = planned.dataset
        log = log_table(self.settings.control_table, dataset.catalog, dataset.name)
        record = Record(self.store, log, self.correlation_id, self.tenant_id)

        def told(outcome: TableOutcome) -> None:
            record.tell(outcome)
            on_outcome(outcome)

        applying = Applying(self.store, planned.plan, datetime.now(UTC), told)
        try:
            return applying.run()
        finally:
            record.write(applying.outcomes, datetime.now(UTC))

    def check(self) -> list[Finding]:
        """How the tables are that are there: readable, writable, well laid out, holding what they should."""
        from lakeflow_job_meta.bootstrap.health import examine

        return [found for _, dataset in self.datasets() for found in examine(self.store, dataset)]
