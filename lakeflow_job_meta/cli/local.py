"""`ljm local …`: the embedded workspace."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.render import print_data, print_json, print_table, say
from lakeflow_job_meta.diagnostics import counted
from lakeflow_job_meta.errors import UsageError
from lakeflow_job_meta.settings import LOCAL, Settings


class SqlEngine(StrEnum):
    """What carries out SQL tasks."""

    EMBEDDED = "embedded"
    SPARK = "spark"


app = typer.Typer(help="The embedded workspace.", no_args_is_help=True, rich_markup_mode=None)


@app.command("serve", help="Serve the embedded workspace in the foreground, for any client.")
def serve(
    port: Annotated[int | None, typer.Option("--port", min=1, max=65535, help="[default: a free one]")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse unknown warehouse and query ids.")] = False,
    stub_unsupported: Annotated[
        bool, typer.Option("--stub-unsupported", help="Tasks that can't run here (pipelines, JARs, …) succeed unrun.")
    ] = False,
    sql_engine: Annotated[
        SqlEngine,
        typer.Option("--sql-engine", help="What carries out SQL tasks: the embedded tables' own SQL, or Spark."),
    ] = SqlEngine.EMBEDDED,
    home: options.Home = None,
) -> int:
    if sql_engine is SqlEngine.SPARK:
        _require_spark()
    from lakeflow_job_meta.local.server import main
    from lakeflow_job_meta.workspace.launcher import find_local, stop_local

    folder = _settings(home).home
    running = find_local(folder)
    if running is not None and not running.foreground:
        # One that a command started in the background makes room; its jobs and its port stay.
        stop_local(folder)
    arguments = ["--home", str(folder), "--foreground", "--fire-triggers", "--idle-seconds", "0"]
    arguments += ["--port", str(port)] if port else []
    arguments += ["--strict"] if strict else []
    arguments += ["--stub-unsupported"] if stub_unsupported else []
    arguments += ["--sql-engine", sql_engine.value]
    return main(arguments)


@app.command("token", help="Print the embedded workspace's token; starts it if it doesn't run.")
def token(home: options.Home = None, output: options.OutputFormat = options.Output.TEXT) -> int:
    from lakeflow_job_meta.workspace.launcher import ensure_local

    server = ensure_local(_settings(home).home)
    if output is options.Output.JSON:
        print_json({"host": server.url, "token": server.token, "workspace_id": server.workspace_id})
    else:
        print_data(server.token)
    return 0


@app.command("jobs", help="List the jobs of the embedded workspace.")
def jobs(home: options.Home = None, output: options.OutputFormat = options.Output.TEXT) -> int:
    from lakeflow_job_meta.workspace.connect import connect

    found = sorted(connect(_settings(home)).jobs.list(), key=lambda job: job.name)
    if output is options.Output.JSON:
        print_json([{"job_id": job.job_id, "settings": job.settings} for job in found])
        return 0
    rows = [[str(job.job_id), job.name, str(len(job.settings.get("tasks", ()))), _fires(job.settings)] for job in found]
    print_table(("job_id", "name", "tasks", "fires"), rows)
    say(counted(len(found), "job"))
    return 0


@app.command("stop", help="End the embedded workspace's process; its jobs stay.")
def stop(home: options.Home = None, output: options.OutputFormat = options.Output.TEXT) -> int:
    from lakeflow_job_meta.workspace.launcher import stop_local

    stopped = stop_local(_settings(home).home)
    if output is options.Output.JSON:
        print_json({"stopped": stopped})
    else:
        say("stopped" if stopped else "it wasn't running")
    return 0


def _require_spark() -> None:
    from lakeflow_job_meta.store.spark_embedded import what_is_missing

    if missing := what_is_missing():
        raise UsageError(f"SQL tasks can't run on Spark: {missing}", hint="docs/tasks.md shows how it is set up")


def _settings(home: str | None) -> Settings:
    import os

    from lakeflow_job_meta.settings import load_settings

    return load_settings({"home": home, "workspace": LOCAL}, os.environ)


def _fires(settings: object) -> str:
    from lakeflow_job_meta.engine.pausing import fired_by, is_paused

    kind = fired_by(settings)  # pyright: ignore[reportArgumentType]
    return "" if kind is None else f"{kind} (paused)" if is_paused(settings) else kind  # pyright: ignore[reportArgumentType]
