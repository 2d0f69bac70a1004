"""`ljm pipelines add …`: one row of the registry."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.render import print_data, print_json, say
from lakeflow_job_meta.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lakeflow_job_meta.pipelines.pipeline_registry import PipelineRegistry

app = typer.Typer(help="Register one table, source, destination or stage.", no_args_is_help=True, rich_markup_mode=None)

Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A connection detail (host=…, password=env:NAME); a secret only as a reference; may be repeated.",
    ),
]
Type = Annotated[str, typer.Option("--type", metavar="TYPE", help="postgres, mysql, sqlite, parquet, …")]


def open_registry(**arguments: Any) -> PipelineRegistry:
    """The registry of a command's options."""
    settings = options.settings_of(**arguments)
    from lakeflow_job_meta.pipelines.pipeline_registry import PipelineRegistry

    registry = PipelineRegistry(settings.control_table, settings=settings)
    say(f"store: {registry.store.label}, registry: {registry.tables.catalog}.{registry.tables.schema}")
    return registry


@app.command("table", help="Register a table to be moved, or change how it is.")
def table(
    name: Annotated[str, typer.Argument(metavar="SOURCE.SCHEMA.TABLE", help="The table, and where it comes from.")],
    sink: Annotated[
        str | None,
        typer.Option("--sink", metavar="DESTINATION.SCHEMA.TABLE", help="Where it goes [default: only to the lake]."),
    ] = None,
    source_type: Annotated[str, typer.Option("--source-type", metavar="TYPE", help="The source's type.")] = "postgres",
    sink_type: Annotated[str, typer.Option("--sink-type", metavar="TYPE", help="The sink's type.")] = "postgres",
    load_type: Annotated[
        str, typer.Option("--load-type", metavar="TYPE", help="full or incremental, in both directions.")
    ] = "full",
    key: Annotated[
        str | None, typer.Option("--key", metavar="COLUMN", help="What tells what is new, where it is incremental.")
    ] = None,
    schedule: Annotated[
        int | None, typer.Option("--schedule", metavar="MINUTES", help="How often [default: only when asked for].")
    ] = None,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    values: dict[str, Any] = {"source_tablename": name, "source_type": source_type, "sink_type": sink_type}
    values["sink_tablename"] = sink
    for direction in ("source_to_dl", "dl_to_sink") if sink else ("source_to_dl",):
        values |= {
            f"{direction}_load_type": load_type,
            f"{direction}_incremental_key": key,
            f"{direction}_schedule": schedule,
        }
    return _add("pipeline_config", values, control_table, home, output)


@app.command("source", help="Register a database that tables come from, or change how to reach it.")
def source(
    name: Annotated[str, typer.Argument(metavar="NAME", help="How tables call it.")],
    type_: Type = "postgres",
    set_: Set = None,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    values = {"source_name": name, "source_type": type_, **_creds("source_creds", set_)}
    return _add("sources_config", values, control_table, home, output)


@app.command("destination", help="Register a database that tables go to, or change how to reach it.")
def destination(
    name: Annotated[str, typer.Argument(metavar="NAME", help="How tables call it.")],
    type_: Type = "postgres",
    set_: Set = None,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    values = {"destination_name": name, "destination_type": type_, **_creds("destination_creds", set_)}
    return _add("destinations_config", values, control_table, home, output)


@app.command("stage", help="Put a stage into a template, or change it.")
def stage(
    template: Annotated[str, typer.Argument(metavar="TEMPLATE", help="{source_type}_to_{sink_type}, or default.")],
    order: Annotated[int, typer.Argument(metavar="ORDER", help="1, 2, 3, …")],
    type_: Annotated[
        str,
        typer.Argument(
            metavar="TYPE",
            help="driver_check, extract, load, verify, notebook:<path> or entry_point:<package>:<name>.",
        ),
    ],
    name: Annotated[str | None, typer.Option("--name", help="For people.")] = None,
    driver_container: Annotated[
        str | None, typer.Option("--driver-container", metavar="IMAGE", help="Or environment:<key>.")
    ] = None,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    values = {
        "pipeline_name": template, "stage_order": order, "stage_type": type_, "stage_name": name or type_,
        "driver_container": driver_container,
    }  # fmt: skip
    return _add("pipeline_stages", values, control_table, home, output)


def _add(
    kind: str, values: Mapping[str, Any], control_table: str | None, home: str | None, output: options.Output
) -> int:
    report = open_registry(control_table=control_table, home=home).add(kind, values)
    if output is options.Output.JSON:
        print_json(report.to_dict())
    else:
        print_data(str(report))
    if report.wrote:
        say("next: `ljm pipelines sync` writes the control rows that follow")
    return 0


def _creds(column: str, pairs: list[str] | None) -> dict[str, str]:
    """Connection details as JSON; numbers stay text, which every driver takes. None given: they stay as they are."""
    creds: dict[str, str] = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError("--set takes KEY=VALUE", hint="--set host=db.example.com --set password=env:CRM_PASSWORD")
        creds[key] = value
    return {column: json.dumps(creds, ensure_ascii=False)} if creds else {}
