"""`ljm lease …`: who may write now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.apply import say_where
from lakeflow_job_meta.cli.render import print_data, print_json
from lakeflow_job_meta.diagnostics import counted
from lakeflow_job_meta.engine.lease import Lease

FREE: dict[str, Any] = {"held": False, "holder": None, "since": None, "epoch": None, "ttl_seconds": None}
"""A lease that nobody ever took."""

app = typer.Typer(help="Who may write now.", no_args_is_help=True, rich_markup_mode=None)


@app.command("show", help="Show who holds the lease, since when, and which monitors there are.")
def show(
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    settings = options.settings_of(control_table=control_table, home=home, workspace=workspace)
    from lakeflow_job_meta.orchestrator import JobOrchestrator

    orchestrator = JobOrchestrator(settings.control_table, settings=settings)
    lease, monitors = orchestrator.lease(), orchestrator.monitors()
    if output is options.Output.JSON:
        print_json({**(_data(lease) or FREE), "monitors": monitors} if lease or monitors else None)
        return 0
    if lease is None or not lease.held:
        print_data("nobody holds the lease")
    else:
        print_data(f"{_text(lease)}; taken over if it gives no sign of life for {lease.ttl:g} s")
    for monitor in monitors:
        print_data(monitor_text(monitor))
    return 0


@app.command("release", help="Take the lease from whoever holds it; that run then stops writing.")
def release(
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    settings = options.settings_of(control_table=control_table, home=home, workspace=workspace)
    from lakeflow_job_meta.orchestrator import JobOrchestrator

    orchestrator = JobOrchestrator(settings.control_table, settings=settings)
    say_where(orchestrator)
    orchestrator.lease()  # a table that doesn't exist is told, not made
    released = orchestrator.release_lease()
    if output is options.Output.JSON:
        print_json({"released": _data(released)})
    else:
        print_data("nobody held the lease" if released is None else f"released; {_text(released)}")
    return 0


def monitor_text(monitor: Mapping[str, Any]) -> str:
    """One of JobOrchestrator.monitors as a line."""
    seen = datetime.fromisoformat(monitor["beat_at"])
    ago = max(round((datetime.now(UTC) - seen).total_seconds()), 0)
    does = "died" if monitor["died"] else "works" if monitor["works"] else "stands by"
    failing = f", {counted(monitor['failing'], 'module')} failing" if monitor["failing"] else ""
    return f"monitor {monitor['holder']} {does}; started {monitor['since']}, last seen {ago} s ago{failing}"


def _text(lease: Lease) -> str:
    return f"{lease.holder} holds the lease since {lease.since} (epoch {lease.epoch})"


def _data(lease: Lease | None) -> dict[str, Any] | None:
    if lease is None:
        return None
    return {
        "held": lease.held,
        "holder": lease.holder,
        "since": lease.since,
        "epoch": lease.epoch,
        "ttl_seconds": lease.ttl,
    }
