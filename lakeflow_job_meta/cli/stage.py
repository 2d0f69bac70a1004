"""`ljm stage …`: stages, run from here."""

from __future__ import annotations

from typing import Annotated

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.render import print_data, print_finding, print_json, say

FAILED = 1

app = typer.Typer(help="Run stages from here.", no_args_is_help=True, rich_markup_mode=None)

Config = Annotated[str, typer.Option("--config", "-c", metavar="FILE", help="The system's stage file.")]


@app.command("source", help="Learn what an API has, and write it as tables under contract.")
def source(
    config: Config,
    bootstrap: Annotated[bool, typer.Option("--bootstrap", help="Write the catalogue of endpoints too.")] = False,
    preview: Annotated[bool, typer.Option("--preview", help="Write the sample tables too.")] = False,
    correlation_id: Annotated[
        str, typer.Option("--correlation-id", metavar="ID", help="What ties this run to others [default: a new one].")
    ] = "",
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    import asyncio

    from lakeflow_job_meta.stages import StageOptions
    from lakeflow_job_meta.stages.attempt import attempt

    settings = options.settings_of(control_table=control_table, home=home, workspace=workspace)
    stage = attempt(config, StageOptions(bootstrap, preview, correlation_id), settings)
    say(f"store: {stage.store.label}")
    result = asyncio.run(stage.execute())
    if output is options.Output.JSON:
        print_json(result.to_dict())
        return 0
    for name, version in result.tables.items():
        print_data(f"{name} at version {version}")
    for change in result.schema_changes:
        say(f"warning: the schema changed: {change}")
    for note in result.notes:
        say(f"note: {note}")
    good, asked = result.endpoint_success_count, result.endpoint_count
    print_data(f"{good} of {asked} endpoints answered as they should; batch {result.envelope['batch_id']}")
    return 0


@app.command("health", help="Go through the runbook's checklist: file, secrets, login, last run, endpoints, contract.")
def health(
    config: Config,
    offline: Annotated[bool, typer.Option("--offline", help="Don't ask the API.")] = False,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    from lakeflow_job_meta.model.finding import Status
    from lakeflow_job_meta.stages import SourceStage
    from lakeflow_job_meta.stages.health import health as check

    settings = options.settings_of(control_table=control_table, home=home, workspace=workspace)
    found = check(SourceStage(config, settings.control_table, settings=settings), offline=offline)
    if output is options.Output.JSON:
        print_json([each.to_dict() for each in found])
    else:
        for each in found:
            print_finding(each)
    return FAILED if any(each.status is Status.FAILED for each in found) else 0
