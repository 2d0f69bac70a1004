"""`ljm export`: the control table as YAML."""

from __future__ import annotations

from typing import Annotated

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.render import print_data, print_json

NAME = "export"
HELP = "Write the control table as YAML that loads back without any change."


def command(
    path: Annotated[str, typer.Argument(help="The .yml file to write, or a folder.")],
    control_table: options.ControlTable = None,
    home: options.Home = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    settings = options.settings_of(control_table=control_table, home=home)
    from lakeflow_job_meta.metadata_manager import MetadataManager

    report = MetadataManager(settings.control_table, settings=settings).export_yaml(path)
    if output is options.Output.JSON:
        print_json(report.to_dict())
    else:
        print_data(str(report))
    return 0
