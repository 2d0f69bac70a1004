"""The program that the monitor's job runs: `lakeflow-monitor`, with the job's parameters as its arguments."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, NoReturn

from lakeflow_job_meta.deploy.own_rows import OwnRows
from lakeflow_job_meta.errors import UsageError
from lakeflow_job_meta.model.control import MONITOR_MODULE
from lakeflow_job_meta.monitor import Cycle, MetadataMonitor
from lakeflow_job_meta.settings import Settings, load_settings

logger = logging.getLogger(__name__)

OWN = {"volume": "", "interval": "60"}
"""Parameters that are no settings, and their defaults."""

AS_JSON = ("drift", "rates", "pipelines_job", "pipelines_task", "driver_environments")


def main(arguments: Sequence[str] | None = None) -> int:
    """Keep jobs equal to rows until SIGTERM comes, or until the monitor is deployed anew.

    Args:
        arguments: `--control_table=main.etl.control`, `--volume=/Volumes/…`, `--interval=60`, and any other setting by
            its name; an empty value counts as not given. Those of the command line by default.

    Raises:
        LakeflowJobMetaError: it can't even begin. An exception, and no exit code: to the job that alone is a failure.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("lakeflow_job_meta").setLevel(logging.INFO)
    given = _parse(sys.argv[1:] if arguments is None else arguments)
    own = {name: given.pop(name, default) for name, default in OWN.items()}
    settings = load_settings(_as_settings(given), os.environ)

    def on_cycle(cycle: Cycle) -> None:
        if cycle.changed or cycle.failures:
            print(json.dumps(cycle.to_dict(), ensure_ascii=False, default=str), flush=True)
        # A look that didn't fail has put our own job right too: the next run is the one that the rows ask for.
        settled = cycle.looked and not cycle.standby and MONITOR_MODULE not in cycle.failures
        if settled and before and _own_rows(monitor).asked != before.asked:
            logger.info("deployed anew: this run ends, and the job starts the next one")
            monitor.stop()

    monitor = MetadataMonitor(
        settings.require_control_table(),
        own["volume"] or None,
        check_interval_seconds=_seconds(own["interval"]),
        settings=settings,
        on_cycle=on_cycle,
    )
    before = _own_rows(monitor)
    where = monitor.orchestrator
    logger.info("watching %s (store: %s)", settings.control_table, where.store.label)
    if settings.wheel_path:
        logger.info("wheel: %s", settings.wheel_path)
    monitor.run_continuous()
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _parse(arguments: Sequence[str]) -> dict[str, str]:
    """The arguments that aren't empty; a name may be written with `_`, as parameters of jobs are, or with `-`."""
    parser = _Parser(prog="lakeflow-monitor", description="Keep jobs equal to rows until stopped.", allow_abbrev=False)
    for name in (*(each.name for each in fields(Settings)), *OWN):
        parser.add_argument(*dict.fromkeys((f"--{name.replace('_', '-')}", f"--{name}")), dest=name, default="")
    return {name: value for name, value in vars(parser.parse_args(arguments)).items() if value}


def _as_settings(given: Mapping[str, str]) -> dict[str, Any]:
    try:
        return {name: json.loads(value) if name in AS_JSON else value for name, value in given.items()}
    except ValueError as error:
        raise UsageError(f"{' or '.join(AS_JSON)} isn't JSON: {error}") from error


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if seconds <= 0:
        raise UsageError(f"interval: expected seconds, found '{text}'")
    return seconds


def _own_rows(monitor: MetadataMonitor) -> OwnRows:
    return OwnRows.read(monitor.orchestrator.store, monitor.orchestrator.tables)
