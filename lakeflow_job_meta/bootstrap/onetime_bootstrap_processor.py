"""The processor of `ps_type: setup.initial.onetime_bootstrap`, for whoever executes pipelines: a thin face.

Everything is done by this package's other modules; here is only the shape that a pipeline's executor expects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lakeflow_job_meta.bootstrap.bootstrap import PIPELINE, SYSTEM, Bootstrap
from lakeflow_job_meta.bootstrap.dataset_file import read_dataset
from lakeflow_job_meta.bootstrap.pipeline_file import PipelineStep
from lakeflow_job_meta.errors import UsageError
from lakeflow_job_meta.model.plan import ActionKind
from lakeflow_job_meta.model.table import TableSpec
from lakeflow_job_meta.store.base import TableStore

PS_TYPE = "setup.initial.onetime_bootstrap"


class OnetimeBootstrapProcessor:
    """Makes a system's central dataset and its tables, once or as often as one likes."""

    async def execute(self, step_config: Mapping[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
        """Make what is missing, and what the config asks to be made anew.

        Args:
            step_config: an entry of a pipeline's `steps`, or its `config` alone.
            context: `pipeline` is the pipeline file; `settings` and `store` say where tables are; `tenant_id` is told
                in the logs; `yes_delete` names the dataset that may be deleted, where the config asks for that.

        Returns:
            `status`, `dataset`, the names of tables by what became of them (`created`, `recreated`, `skipped`), and
            `correlation_id`.

        Raises:
            InputError: the files can't be used; all findings.
            UsageError: the dataset is to be deleted, and nobody said yes to that.
            ApplyError: a table could not be made; nothing is left half made.
        """
        return await asyncio.to_thread(self._execute, step_config, context)

    def _execute(self, step_config: Mapping[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
        bootstrap = Bootstrap(
            Path(context.get("pipeline") or PIPELINE),
            tenant_id=str(context.get("tenant_id") or SYSTEM),
            settings=context.get("settings"),
            store=context.get("store"),
        )
        config = step_config.get("config", {}) if "ps_type" in step_config else step_config
        name = str(step_config.get("step_id", PS_TYPE))
        kind = str(step_config.get("ps_type", PS_TYPE))
        planned = bootstrap.plan_step(PipelineStep(name, name, kind, config or {}))
        if planned.plan.deletes and context.get("yes_delete") != planned.plan.deletes:
            raise UsageError(
                f"the dataset {planned.plan.deletes} would be deleted with all that is in it",
                hint=f"if that is meant: yes_delete = '{planned.plan.deletes}' in the context",
            )
        outcomes = bootstrap.apply(planned)
        done = {kind: [each.action.subject for each in outcomes if each.action.kind is kind] for kind in ActionKind}
        dataset = planned.plan.dataset
        return {
            "status": "success",
            "dataset": dataset,
            "created": [each for each in done[ActionKind.CREATE] if each != dataset],
            "recreated": [each for each in done[ActionKind.RECREATE] if each != dataset],
            "skipped": [each.subject for each in planned.plan.actions if not each.effective],
            "correlation_id": bootstrap.correlation_id,
        }

    def _ensure_tenants_dataset(self, store: TableStore, catalog: str, dataset: str) -> bool:
        """Make the dataset unless it exists; says whether it was made."""
        missing = store.listed(catalog, dataset) is None
        store.ensure_schema(catalog, dataset)
        return missing

    def _ensure_table(self, store: TableStore, spec: TableSpec) -> bool:
        """Make one table unless it exists; says whether it was made."""
        return store.create(spec)

    def _load_table_schema(self, folder: Path, table: str) -> TableSpec:
        """A table's declaration, from its schema file and config.yml.

        Raises:
            InputError: the folder's files can't be used; all findings.
            UsageError: config.yml lists no such table.
        """
        for spec in read_dataset(folder).tables:
            if spec.name.name == table.lower():
                return spec
        raise UsageError(f"config.yml lists no table '{table}'", hint=f"in {folder}")


def get_engine() -> OnetimeBootstrapProcessor:
    """The processor, as a pipeline's executor asks for it."""
    return OnetimeBootstrapProcessor()
