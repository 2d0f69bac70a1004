"""The program of a task with `task_type: source_stage`: `lakeflow-source-stage`, with the task's parameters."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from lakeflow_job_meta.errors import UsageError
from lakeflow_job_meta.settings import load_settings
from lakeflow_job_meta.stages.attempt import attempt
from lakeflow_job_meta.stages.run import PIPELINE, StageOptions

SETTINGS = ("control_table", "home", "store", "workspace")
OWN = ("config", "bootstrap", "preview", "job_run_id", "correlation_id", "source_id", "module_name")
FLAGS = {"true": True, "false": False, "": False}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the source stage once.

    Args:
        arguments: `--config=…/testhub.yml`, `--control_table=main.etl.control`, `--bootstrap=true`, …; an empty value
            counts as not given. Those of the command line by default.

    Raises:
        LakeflowJobMetaError: what failed; the log has it too. An exception, since to a job that alone is a failure.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    given = _parse(sys.argv[1:] if arguments is None else arguments)
    if not given["config"]:
        raise UsageError("no stage file is named", hint="--config=…")
    settings = load_settings({name: given[name] for name in SETTINGS if given[name]}, os.environ)
    run = given["job_run_id"]
    source = "/".join(filter(None, (given["module_name"], given["source_id"])))
    options = StageOptions(
        _flag(given, "bootstrap"),
        _flag(given, "preview"),
        # By the run's id, so that the job's run, log.source and the product's log can be put beside each other.
        given["correlation_id"] or (f"job-run-{run}" if run else ""),
        "",
        PIPELINE,
        source or "lakeflow-source-stage",
        run,
    )
    result = asyncio.run(attempt(given["config"], options, settings).execute())
    print(json.dumps(result.to_dict(), ensure_ascii=False, default=str), flush=True)
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _parse(arguments: Sequence[str]) -> dict[str, str]:
    parser = _Parser(prog="lakeflow-source-stage", description="Run the source stage once.", allow_abbrev=False)
    for name in (*OWN, *SETTINGS):
        parser.add_argument(*dict.fromkeys((f"--{name.replace('_', '-')}", f"--{name}")), dest=name, default="")
    return vars(parser.parse_args(arguments))


def _flag(given: dict[str, str], name: str) -> bool:
    value = FLAGS.get(given[name].strip().lower())
    if value is None:
        raise UsageError(f"{name}: expected true or false, found '{given[name]}'")
    return value
