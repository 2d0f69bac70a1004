"""The program of a stage's task: `lakeflow-pipeline-stage`, with the task's parameters.

What the task is told says only which stage of which pipeline it is: how the table moves, from where, with whose
credentials, is read from the registry when it runs. What became of it stands in the record of runs.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

from lakeflow_job_meta.diagnostics import nearest
from lakeflow_job_meta.errors import InputError, LakeflowJobMetaError, UsageError
from lakeflow_job_meta.model.masking import without
from lakeflow_job_meta.pipelines.runs.record import RunRecord
from lakeflow_job_meta.pipelines.runs.rows import StageRun
from lakeflow_job_meta.pipelines.stage_task import StageTask
from lakeflow_job_meta.pipelines.stages.stage import Backfill, StageFunction, StageOutcome
from lakeflow_job_meta.pipelines.stages.stage_types import STAGES
from lakeflow_job_meta.pipelines.tables import RegistryTables
from lakeflow_job_meta.pipelines.work import Work, watermark_time
from lakeflow_job_meta.settings import load_settings
from lakeflow_job_meta.store.open import open_store

PROGRAM = "lakeflow-pipeline-stage"
SETTINGS = ("control_table", "home", "store", "workspace", "pipelines_schema", "lake_schema")
STAGE = (
    "source_tablename", "pipeline_name", "direction", "stage_type", "stage_name", "stage_order", "stage_position",
    "stage_count",
)  # fmt: skip
RUN = ("job_run_id", "task_run_id", "trigger_type", "triggered_by", "backfill_from", "backfill_to")
SHOWN = ("load_type", "incremental_key", "driver_container", "source_id", "module_name")
"""Told for whoever looks at the job; what counts is the registry's row."""


class StageFailed(LakeflowJobMetaError):
    """A stage failed by an error that quotes a secret: this is its text without it."""

    exit_code = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one stage of one pipeline.

    Args:
        arguments: `--source_tablename=shop.public.orders`, `--direction=source_to_dl`, `--stage_type=extract`, …; an
            empty value counts as not given. Those of the command line by default.

    Raises:
        Exception: what failed; the run's row has it too. An exception, since to a job that alone is a failure.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    given = _parse(sys.argv[1:] if arguments is None else arguments)
    run = StageRun(StageTask.of(given), _number(given, "job_run_id"), _number(given, "task_run_id"))
    settings = load_settings({name: given[name] for name in SETTINGS if given[name]}, os.environ)
    store = open_store(settings)
    tables = RegistryTables.beside(settings.require_control_table(), settings.pipelines_schema)
    record = RunRecord.of(store, tables)
    record.begin(run, _now())
    work = Work(settings, store, tables, run)
    try:
        outcome = _stage(run.stage.stage_type)(work.context(_backfill(given), _now()))
    except Exception as error:
        # The edge of a stage: whatever it failed by is the run's cause, and told without secrets.
        record.fail(run, without(_cause(error), work.read_secrets), _now())
        _raise_without_secrets(work.read_secrets)
        raise
    record.succeed(run, outcome, watermark_time(outcome.watermark), _now())
    for note in outcome.notes:
        print(f"note: {note}", file=sys.stderr)
    print(json.dumps(_shown(outcome), ensure_ascii=False), flush=True)
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _parse(arguments: Sequence[str]) -> dict[str, str]:
    parser = _Parser(prog=PROGRAM, description="Run one stage of one pipeline.", allow_abbrev=False)
    for name in (*STAGE, *RUN, *SETTINGS, *SHOWN):
        parser.add_argument(*dict.fromkeys((f"--{name.replace('_', '-')}", f"--{name}")), dest=name, default="")
    return vars(parser.parse_args(arguments))


def _number(given: dict[str, str], name: str) -> int:
    if not given[name].isdecimal():
        raise UsageError(f"{name}: expected the id that the workspace gave, found '{given[name]}'")
    return int(given[name])


def _backfill(given: dict[str, str]) -> Backfill | None:
    start, end = given["backfill_from"], given["backfill_to"]
    if not start and not end:
        return None
    if not start or not end:
        raise UsageError("a backfill needs both of backfill_from and backfill_to")
    return Backfill(start, end)


def _stage(stage_type: str) -> StageFunction:
    try:
        return STAGES[stage_type]
    except KeyError:
        hint = nearest(stage_type, STAGES) or "known: " + ", ".join(STAGES)
        raise InputError(f"there is no stage of the type '{stage_type}'", hint=hint) from None


def _cause(error: BaseException) -> str:
    """What a person needs to know; of what nobody foresaw, the error at its root."""
    if isinstance(error, LakeflowJobMetaError):
        return str(error)
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}"


def _raise_without_secrets(secrets: frozenset[str]) -> None:
    """The trace of an error goes into the task's output: one that quotes a secret is told by its text alone."""
    trace = traceback.format_exc()
    if without(trace, secrets) != trace:
        error = sys.exception()
        raise StageFailed(without(_cause(error), secrets) if error else "") from None


def _shown(outcome: StageOutcome) -> dict[str, Any]:
    return {
        "rows_processed": outcome.rows_processed,
        "file_paths": list(outcome.file_paths),
        "watermark": outcome.watermark,
        "notes": list(outcome.notes),
    }


def _now() -> datetime:
    return datetime.now(UTC)
