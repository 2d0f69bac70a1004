"""`ljm load`: YAML into the control table."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.render import print_data, print_json, say

NAME = "load"
HELP = "Load a YAML file, or all in a folder, into the control table: all or nothing."


class OnConflict(StrEnum):
    """What to do with rows that were edited in the table."""

    OVERWRITE = "overwrite"
    KEEP = "keep"
    FAIL = "fail"


def command(
    path: Annotated[str, typer.Argument(help="A file, a folder, or /Volumes/catalog/schema/volume.")],
    on_conflict: Annotated[
        OnConflict, typer.Option("--on-conflict", help="Rows that were edited in the table since a file wrote them.")
    ] = OnConflict.OVERWRITE,
    deactivate_missing: Annotated[
        bool,
        typer.Option("--deactivate-missing", help="Deactivate what this folder declared before and no longer does."),
    ] = False,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    settings = options.settings_of(control_table=control_table, home=home, workspace=workspace)
    from lakeflow_job_meta.metadata_manager import MetadataManager

    manager = MetadataManager(settings.control_table, settings=settings)
    say(f"store: {manager.store.label}, table: {settings.control_table}")
    report = manager.load_yaml(path, str(on_conflict), deactivate_missing)
    if output is options.Output.JSON:
        print_json(report.to_dict())
    else:
        print_data(str(report))
    return 0
