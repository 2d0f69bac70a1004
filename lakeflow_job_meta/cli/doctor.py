"""`ljm doctor`: whether all that is needed is there and works, and how to mend what isn't."""

from __future__ import annotations

import logging
import os
from collections import Counter
from typing import Annotated

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.render import print_data, print_finding, print_json
from lakeflow_job_meta.settings import Settings, load_settings

NAME = "doctor"
HELP = "Check settings, login, workspace, store, tables and rights; say how to mend what fails."

FAILED = 1


def command(
    write: Annotated[
        bool, typer.Option("--write", help="Also make a job and delete it, and write to the table of state.")
    ] = False,
    volume: Annotated[str | None, typer.Option("--volume", metavar="PATH", help="Look at this volume too.")] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=1, help="How long one check may take.")
    ] = 20,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    from lakeflow_job_meta.doctor import Status, Wishes, examine

    def load() -> Settings:
        return load_settings({"control_table": control_table, "home": home, "workspace": workspace}, os.environ)

    # What the SDK would warn of is a finding.
    logging.getLogger("databricks").setLevel(logging.ERROR)
    as_text = output is options.Output.TEXT
    wishes = Wishes(timeout, write, volume or "")
    findings = examine(load, wishes, print_finding if as_text else lambda finding: None)
    counts = Counter(str(each.status) for each in findings)
    if as_text:
        print_data(", ".join(f"{number} {status}" for status, number in counts.items()))
    else:
        print_json({"checks": [each.to_dict() for each in findings], "counts": counts})
    return FAILED if counts[Status.FAILED] else 0
