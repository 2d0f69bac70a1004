"""`ljm pipelines …`: what is registered to be moved, and the control rows that follow from it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.apply import ask, carry_out, say_where, show
from lakeflow_job_meta.cli.default_group import ListsByDefault
from lakeflow_job_meta.cli.pipelines_add import app as add_app
from lakeflow_job_meta.cli.pipelines_add import open_registry
from lakeflow_job_meta.cli.render import print_data, print_json, print_table, say
from lakeflow_job_meta.diagnostics import counted

if TYPE_CHECKING:
    from lakeflow_job_meta.diagnostics import Diagnostic
    from lakeflow_job_meta.pipelines.pipeline_registry import PipelineRegistry
    from lakeflow_job_meta.pipelines.register import RegisterReport
    from lakeflow_job_meta.pipelines.registry import Direction

LISTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "tables": (
        "pipeline_config",
        ("source_tablename", "source_to_dl", "sink_tablename", "dl_to_sink", "dl_to_sink_last_loader_run_status"),
    ),
    "sources": ("sources_config", ("source_name", "source_type", "source_creds", "created_at")),
    "destinations": (
        "destinations_config", ("destination_name", "destination_type", "destination_creds", "created_at"),
    ),
    "templates": (
        "pipeline_stages", ("pipeline_name", "stage_order", "stage_name", "stage_type", "driver_container"),
    ),
}  # fmt: skip
"""What can be listed: the table, and the columns that are shown."""

Name = Annotated[str, typer.Argument(metavar="SOURCE_TABLENAME", help="The table as it is registered.")]
OneDirection = Annotated[
    str | None,
    typer.Option("--direction", metavar="DIRECTION", help="source_to_dl or dl_to_sink [default: both]."),
]

app = typer.Typer(
    cls=ListsByDefault, help="Tables to move, from where, to where, how.", no_args_is_help=False, rich_markup_mode=None
)
app.add_typer(add_app, name="add")


@app.command("list", help="List what is registered: tables, sources, destinations or templates.")
def list_(
    what: Annotated[str, typer.Argument(metavar="[WHAT]", help="tables, sources, destinations, templates.")] = "tables",
    control_table: options.ControlTable = None,
    home: options.Home = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    if what not in LISTS:
        raise typer.BadParameter(f"'{what}' is none of {', '.join(LISTS)}")
    registry = open_registry(control_table=control_table, home=home)
    kind, columns = LISTS[what]
    rows = sorted(registry.rows(kind), key=lambda row: tuple(str(row.get(name)) for name in columns[:2]))
    if output is options.Output.JSON:
        print_json(rows)
    elif rows:
        cells = ([_cell(row, name) for name in columns] for row in rows)
        print_table(columns, cells, _sentence if what == "tables" else None)
    else:
        print_data(f"no {what} are registered")
    return 0


def _sentence(cells: Sequence[str]) -> str:
    """A registered table where all of them together are too wide.

    >>> _sentence(["shop.public.orders", "full, every 15 min", "bi.shop.orders", "full, by hand", "success"])
    'shop.public.orders: full, every 15 min; to bi.shop.orders: full, by hand; last load: success'
    """
    source, into_lake, sink, out_of_lake, loaded = cells
    onward = f"; to {sink}: {out_of_lake}" if sink else ""
    return f"{source}: {into_lake}{onward}{f'; last load: {loaded}' if loaded else ''}"


@app.command("show", help="Show a registered table: its row, stages, modules, and what is wrong with it.")
def show_(
    name: Name,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    described = open_registry(control_table=control_table, home=home).describe(name)
    if output is options.Output.JSON:
        print_json(described)
        return 0
    for key, value in described.items():
        if key not in ("modules", "stages", "diagnostics") and value is not None:
            print_data(f"{key}: {value}")
    for direction, stages in described["stages"].items():
        steps = ", ".join(f"{stage['stage_order']} {stage['stage_type']}" for stage in stages)
        print_data(f"{direction}: module {described['modules'][direction]}: {steps or 'no stage'}")
    for found in described["diagnostics"]:
        say(f"{found['location']}: {found['severity']}: {found['message']}")
    return 0


@app.command("enable", help="Let a table's pipeline run again: at the next sync, its jobs are resumed.")
def enable(
    name: Name,
    direction: OneDirection = None,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    return _switch(open_registry(control_table=control_table, home=home), name, direction, output, active=True)


@app.command("disable", help="Keep a table's pipeline from running: at the next sync, its jobs are paused.")
def disable(
    name: Name,
    direction: OneDirection = None,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    return _switch(open_registry(control_table=control_table, home=home), name, direction, output, active=False)


@app.command("load", help="Register what a YAML file, or all in a folder, declare: all or nothing.")
def load(
    path: Annotated[str, typer.Argument(help="A file, a folder, or /Volumes/catalog/schema/volume.")],
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    registry = open_registry(control_table=control_table, home=home, workspace=workspace)
    return report_registered(registry.load_yaml(path), output)


@app.command("export", help="Write what is registered as YAML that loads back without any change.")
def export(
    path: Annotated[Path, typer.Argument(help="The .yml file to write, or a folder.")],
    control_table: options.ControlTable = None,
    home: options.Home = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    written = open_registry(control_table=control_table, home=home).export_yaml(path)
    if output is options.Output.JSON:
        print_json({"path": str(written)})
    else:
        print_data(str(written))
    return 0


@app.command("import", help="Register what a SQLite file has in tables of these names; the file is only read.")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE.db", help="The SQLite file.")],
    secret_scope: Annotated[
        str | None,
        typer.Option("--secret-scope", metavar="SCOPE", help="Move plain passwords into this scope of the workspace."),
    ] = None,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    registry = open_registry(control_table=control_table, home=home, workspace=workspace)
    return report_registered(registry.import_sqlite(file, secret_scope), output)


@app.command("import-secrets", help="Move plain passwords of registered rows into a secret scope of the workspace.")
def import_secrets(
    scope: Annotated[str, typer.Option("--secret-scope", metavar="SCOPE", help="The scope.")] = "pipelines",
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    moved = open_registry(control_table=control_table, home=home, workspace=workspace).import_secrets(scope)
    if output is options.Output.JSON:
        print_json({"moved": moved})
    else:
        for reference in moved:
            print_data(reference)
        print_data(f"{counted(len(moved), 'secret')} moved")
    if moved:
        say("older versions of the tables still hold them: VACUUM them, and change the passwords")
    return 0


@app.command("check", help="Tell all that is wrong with what is registered, also where rows came by SQL.")
def check(
    control_table: options.ControlTable = None,
    home: options.Home = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    from lakeflow_job_meta.diagnostics import errors_in

    found = open_registry(control_table=control_table, home=home).check()
    errors = errors_in(found)
    if output is options.Output.JSON:
        print_json({"valid": not errors, "diagnostics": [each.to_dict() for each in found]})
    else:
        for each in found:
            print_data(str(each))
        say(f"{counted(len(errors), 'error')}, {counted(len(found) - len(errors), 'warning')}")
    return 1 if errors else 0


@app.command("sync", help="Write the control rows that follow from what is registered; only what differs.")
def sync(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be written.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Then make the jobs so: plan, ask, do.")] = False,
    yes: options.Yes = False,
    lock_timeout: options.LockTimeout = None,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    default_warehouse_id: options.Warehouse = None,
    cluster_id: options.Cluster = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    if apply and dry_run:
        raise typer.BadParameter("--dry-run writes nothing that could be applied")
    registry = open_registry(
        control_table=control_table, home=home, workspace=workspace, lock_timeout_seconds=lock_timeout,
        default_warehouse_id=default_warehouse_id, cluster_id=cluster_id,
    )  # fmt: skip
    report = registry.sync(dry_run=dry_run)
    _say_findings(report.findings)
    if not apply:
        if output is options.Output.JSON:
            print_json(report.to_dict())
        else:
            print_data(str(report))
        if report.wrote:
            again = "`ljm pipelines sync` writes it" if dry_run else "`ljm apply` makes the jobs so"
            say(f"next: {again}")
        return 1 if report.failed else 0
    say(str(report))
    return _apply(registry, yes=yes, output=output) or (1 if report.failed else 0)


def _apply(registry: PipelineRegistry, *, yes: bool, output: options.Output) -> int:
    from lakeflow_job_meta.errors import UsageError
    from lakeflow_job_meta.orchestrator import JobOrchestrator

    settings = registry.settings
    orchestrator = JobOrchestrator(settings.control_table, settings=settings, store=registry.store)
    say_where(orchestrator)
    plan = orchestrator.plan()
    show(plan, output)
    if disruptive := orchestrator.too_disruptive(plan):
        raise UsageError(disruptive, hint="look at the plan; if that is meant: `ljm apply --allow-disruptive`")
    if plan.effective and not yes:
        ask(f"Apply {counted(len(plan.effective), 'change')}?", plan, output)
    return carry_out(orchestrator, plan, output)


def report_registered(report: RegisterReport, output: options.Output) -> int:
    """Tell what became of rows, and what to do next."""
    _say_findings(report.warnings)
    if output is options.Output.JSON:
        print_json(report.to_dict())
    else:
        print_data(str(report))
    if report.wrote:
        say("next: `ljm pipelines sync` writes the control rows that follow")
    return 0


def _switch(
    registry: PipelineRegistry, name: str, direction: str | None, output: options.Output, *, active: bool
) -> int:
    changed = registry.set_active(name, active, _directions(direction))
    if output is options.Output.JSON:
        print_json({"source_tablename": name, "changed": changed})
    else:
        print_data(f"{name}: {'changed' if changed else 'it was so already'}")
    if changed:
        say("next: `ljm pipelines sync` writes the control rows that follow")
    return 0


def _directions(named: str | None) -> tuple[Direction, ...]:
    from lakeflow_job_meta.pipelines.registry import Direction

    if named is None:
        return tuple(Direction)
    if named not in tuple(Direction):
        raise typer.BadParameter(f"'{named}' is neither {' nor '.join(Direction)}")
    return (Direction(named),)


def _say_findings(found: Sequence[Diagnostic]) -> None:
    for each in found:
        say(str(each))


def _cell(row: Mapping[str, Any], name: str) -> str:
    if name in ("source_to_dl", "dl_to_sink"):
        return _transfer(row, name)
    value = row.get(name)
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else str(value)


def _transfer(row: Mapping[str, Any], direction: str) -> str:
    """One half of a pipeline in a few words: `incremental by updated_at, every 60 min`."""
    if direction == "dl_to_sink" and not row.get("sink_tablename"):
        return ""
    key, minutes = row.get(f"{direction}_incremental_key"), row.get(f"{direction}_schedule")
    by = f" by {key}" if key else ""
    every = f", every {minutes} min" if minutes is not None else ""
    state = "" if row.get(f"{direction}_is_active") is not False else ", inactive"
    return f"{row.get(f'{direction}_load_type') or '?'}{by}{every}{state}"
