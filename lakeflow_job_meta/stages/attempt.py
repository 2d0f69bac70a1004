"""A stage about to run: what can't even begin is a failed run all the same, and has its row in log.source."""

from __future__ import annotations

import logging
from pathlib import Path

from lakeflow_job_meta.errors import InputError, LakeflowJobMetaError
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.stages.activity import Activity
from lakeflow_job_meta.stages.config.read import read_identity
from lakeflow_job_meta.stages.run import StageOptions
from lakeflow_job_meta.stages.run_log import RunLog, Sums
from lakeflow_job_meta.stages.source_stage import NO_CONTRACT, SourceStage, envelope, on_disk
from lakeflow_job_meta.stages.tables import StageTables
from lakeflow_job_meta.store.open import open_store
from lakeflow_job_meta.workspace.connect import connect

logger = logging.getLogger(__name__)


def attempt(config: str | Path, options: StageOptions, settings: Settings) -> SourceStage:
    """The stage of a system, to be executed next.

    Args:
        config: the stage file.
        options: how the run goes.
        settings: where the tables are.

    Raises:
        InputError: the stage file or the contract can't be used, with all findings. The log has them too, as a failed
            run, if the file tells as much as its source_system; where it doesn't, our own log says so.
    """
    try:
        return SourceStage(config, settings.require_control_table(), options, settings=settings)
    except InputError as error:
        if problem := _unlogged(config, options, settings, error):
            logger.error("the run isn't in the log: %s", problem)
        raise


def _unlogged(config: str | Path, options: StageOptions, settings: Settings, error: InputError) -> str:
    """Log a run that ended before it began; why that can't be, empty if it could."""
    try:
        table = TableName.parse(settings.require_control_table())
        identity = read_identity(on_disk(config, connect(settings)))
    except LakeflowJobMetaError as problem:
        return problem.message
    if identity is None:
        return "the stage file doesn't tell whose run it is (source_system)"
    system, log_schema = identity
    activity = Activity(envelope(system, NO_CONTRACT, options))
    log = RunLog(open_store(settings), StageTables(table.catalog, "source", log_schema), table, system)
    problem = log.write(activity, activity.whole(error), Sums())
    return problem.message if problem is not None else ""
