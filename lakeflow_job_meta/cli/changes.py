"""`ljm changes`: what changed in the table since a moment."""

from __future__ import annotations

from typing import Annotated

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.render import print_data, print_json

NAME = "changes"
HELP = "Show which modules and sources changed since a moment, by their timestamps."


def command(
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="ISO 8601, UTC without a zone [default: ever].")
    ] = None,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    settings = options.settings_of(control_table=control_table, home=home)
    from lakeflow_job_meta.metadata_manager import MetadataManager

    found = MetadataManager(settings.control_table, settings=settings).detect_changes(since)
    if output is options.Output.JSON:
        print_json(found)
        return 0
    for kind in ("new_modules", "updated_modules", "deactivated_modules"):
        print_data(f"{kind}: {', '.join(found[kind]) or '–'}")
    print_data("changed_sources:" if found["changed_sources"] else "changed_sources: –")
    for source in found["changed_sources"]:
        print_data(f"  {source['module_name']}/{source['source_id']}: {source['action']}")
    return 0
