"""`ljm stage …`: stages, run from here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.render import print_data, print_json, say

if TYPE_CHECKING:
    from lakeflow_job_meta.stages import SourceStage, StageOptions

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

    chosen = StageOptions(bootstrap, preview, correlation_id)
    stage = _stage(config, control_table, home, workspace, chosen)
    say(f"store: {stage.store.label}")
    result = asyncio.run(stage.execute())
    if output is options.Output.JSON:
        print_json(result.to_dict())
        return 0
    for name, version in result.tables.items():
        print_data(f"{name} at version {version}")
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
    from lakeflow_job_meta.stages.health import FAILED as BAD
    from lakeflow_job_meta.stages.health import health as check

    found = check(_stage(config, control_table, home, workspace, None), offline=offline)
    if output is options.Output.JSON:
        print_json([each.to_dict() for each in found])
    else:
        for each in found:
            print_data(f"{each.status:<8} {each.check:<11} {each.found}")
            if each.hint:
                print_data(f"{'':<8} {'':<11} hint: {each.hint}")
    return FAILED if any(each.status == BAD for each in found) else 0


def _stage(
    config: str, control_table: str | None, home: str | None, workspace: str | None, chosen: StageOptions | None
) -> SourceStage:
    settings = options.settings_of(control_table=control_table, home=home, workspace=workspace)
    from lakeflow_job_meta.stages import SourceStage

    return SourceStage(config, settings.control_table, chosen, settings=settings)
