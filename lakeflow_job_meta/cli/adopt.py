"""`ljm adopt`: take jobs that exist into the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.apply import require_terminal, say_where
from lakeflow_job_meta.cli.render import print_data, print_json, say
from lakeflow_job_meta.diagnostics import counted
from lakeflow_job_meta.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lakeflow_job_meta.model.job import ObservedJob
    from lakeflow_job_meta.settings import Settings

NAME = "adopt"
HELP = "Take jobs that exist into the table, as they are: from then on its rows declare them."


def command(
    patterns: Annotated[
        list[str] | None, typer.Argument(metavar="[PATTERN...]", help="Job ids, names, globs, or tag:key=value.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All jobs that no other tool keeps.")] = False,
    yaml: Annotated[
        str | None, typer.Option("--yaml", metavar="FILE", help="Export the table to this file afterwards.")
    ] = None,
    yes: options.Yes = False,
    lock_timeout: options.LockTimeout = None,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    if bool(patterns) == everything:
        raise UsageError("say which jobs", hint="`ljm adopt PATTERN…`, or `ljm adopt --all`: one of them")
    settings = options.settings_of(
        control_table=control_table, home=home, workspace=workspace, lock_timeout_seconds=lock_timeout
    )
    from lakeflow_job_meta.orchestrator import JobOrchestrator

    orchestrator = JobOrchestrator(settings.control_table, settings=settings)
    say_where(orchestrator)
    jobs, skipped = orchestrator.adoptable(patterns or ["*"])
    if output is options.Output.TEXT:
        _show(jobs, skipped)
    if jobs and not yes:
        require_terminal(counted(len(jobs), "job"))
        typer.confirm(f"Adopt {counted(len(jobs), 'job')}?", abort=True, err=True)
    # By id: what was shown is what is taken, whatever has been made or renamed meanwhile.
    outcomes = orchestrator.adopt([str(job.job_id) for job in jobs])[0] if jobs else ()
    exported = _export(settings, yaml) if yaml is not None else None
    if output is options.Output.JSON:
        adopted = [outcome.to_dict() for outcome in outcomes]
        print_json({"adopted": adopted, "skipped": skipped, "exported": exported})
        return 0
    print_data(f"Adopted {counted(len(outcomes), 'job')}.")
    return 0


def _show(jobs: Sequence[ObservedJob], skipped: Mapping[str, str]) -> None:
    for job in jobs:
        print_data(f"= {job.name}: job {job.job_id}, {counted(len(job.settings.get('tasks', ())), 'task')}")
    for name, reason in skipped.items():
        print_data(f"  {name}: skipped, {reason}")


def _export(settings: Settings, path: str) -> dict[str, Any]:
    from lakeflow_job_meta.metadata_manager import MetadataManager

    report = MetadataManager(settings.control_table, settings=settings).export_yaml(path)
    say(str(report))
    return report.to_dict()
