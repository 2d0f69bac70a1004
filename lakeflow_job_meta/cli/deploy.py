"""`ljm deploy`: run the monitor as a job of the workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.apply import require_terminal, say_where
from lakeflow_job_meta.cli.render import print_data, print_json, progress, say
from lakeflow_job_meta.errors import ApplyError, UsageError
from lakeflow_job_meta.model.control import MONITOR_MODULE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lakeflow_job_meta.deploy.deployment import Deployer, Proposal, Removal
    from lakeflow_job_meta.deploy.rows import Deployment
    from lakeflow_job_meta.model.plan import Outcome

NAME = "deploy"
HELP = "Run the monitor as a continuous job of the workspace, made and updated by this product itself."

DEPLOYMENT = {
    "volume": "--volume", "run_as": "--run-as", "notify": "--notify", "interval": "--interval",
    "monitor_cluster_id": "--cluster-id",
}  # fmt: skip
"""What `--remove` doesn't go with."""


def command(
    context: typer.Context,
    volume: Annotated[
        str | None, typer.Option("--volume", metavar="PATH", help="A /Volumes/… folder that the monitor loads.")
    ] = None,
    run_as: Annotated[
        str | None,
        typer.Option("--run-as", metavar="ID", help="A service principal's application id, or a user's name."),
    ] = None,
    notify: Annotated[
        list[str] | None,
        typer.Option("--notify", metavar="EMAIL", help="Who is told of failed runs; a destination's id works too."),
    ] = None,
    interval: Annotated[float, typer.Option("--interval", min=1, help="Seconds between two looks.")] = 60,
    monitor_cluster_id: Annotated[
        str | None, typer.Option("--cluster-id", metavar="ID", help="Run on this cluster [default: serverless].")
    ] = None,
    wheel_path: Annotated[
        str | None,
        typer.Option("--wheel-path", metavar="FOLDER", help="Where wheels are kept [default: your home folder]."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done; change nothing.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Delete the monitor's job, rows and wheels.")] = False,
    yes: options.Yes = False,
    lock_timeout: options.LockTimeout = None,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    default_warehouse_id: options.Warehouse = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    settings = options.settings_of(
        control_table=control_table,
        home=home,
        workspace=workspace,
        default_warehouse_id=default_warehouse_id,
        lock_timeout_seconds=lock_timeout,
    )
    from lakeflow_job_meta.deploy.deployment import Deployer
    from lakeflow_job_meta.deploy.rows import Deployment
    from lakeflow_job_meta.orchestrator import JobOrchestrator

    orchestrator = JobOrchestrator(settings.control_table, settings=settings)
    say_where(orchestrator)
    deployer = Deployer(orchestrator, wheel_path or "")
    if remove:
        _refuse_beside_remove(context)
        return _remove(deployer, output, dry_run=dry_run, yes=yes)
    deployment = Deployment(volume or "", run_as or "", tuple(notify or ()), interval, monitor_cluster_id or "")
    return _deploy(deployer, deployment, output, dry_run=dry_run, yes=yes)


def _refuse_beside_remove(context: typer.Context) -> None:
    for name, option in DEPLOYMENT.items():
        if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE":
            raise UsageError(f"{option} doesn't go with --remove", hint="leave it out")


def _deploy(deployer: Deployer, deployment: Deployment, output: options.Output, *, dry_run: bool, yes: bool) -> int:
    from lakeflow_job_meta.deploy.package import this_package
    from lakeflow_job_meta.deploy.wheel import Wheel

    proposal = deployer.propose(deployment, Wheel(this_package()))
    _show(_proposal_text(proposal), output)
    if not _goes_on(proposal, "Deploy this?", output, dry_run=dry_run, yes=yes):
        return 0
    with progress("Deploying", len(proposal.plan.effective)) as tell:
        return _report(proposal, lambda: deployer.carry_out(proposal, on_outcome=tell), output)


def _remove(deployer: Deployer, output: options.Output, *, dry_run: bool, yes: bool) -> int:
    removal = deployer.propose_removal()
    _show(_removal_text(removal), output)
    if not _goes_on(removal, "Take the monitor away?", output, dry_run=dry_run, yes=yes):
        return 0
    with progress("Removing", len(removal.plan.effective) if removal.plan else 0) as tell:
        return _report(removal, lambda: deployer.remove(removal, on_outcome=tell), output)


def _show(text: str, output: options.Output) -> None:
    """Tell what would be done; where JSON is wanted, that comes at the end, together with what was done."""
    if output is options.Output.TEXT:
        print_data(text)
    else:
        say(text)


def _goes_on(proposal: Proposal | Removal, question: str, output: options.Output, *, dry_run: bool, yes: bool) -> bool:
    """Whether there is something to do, and a person agrees."""
    if dry_run or proposal.empty:
        if output is options.Output.JSON:
            print_json({**proposal.to_dict(), "outcomes": []})
        say("dry run: nothing was changed" if dry_run else "nothing to do")
        return False
    if not yes:
        require_terminal("a deployment's changes")
        typer.confirm(question, abort=True, err=True)
    return True


def _report(proposal: Proposal | Removal, do: Callable[[], Sequence[Outcome]], output: options.Output) -> int:
    """Do it, and tell what became of it; returns the exit code."""
    error: ApplyError | None = None
    try:
        outcomes = do()
    except ApplyError as failed:
        outcomes, error = failed.outcomes, failed
    if output is options.Output.JSON:
        print_json({**proposal.to_dict(), "outcomes": [outcome.to_dict() for outcome in outcomes]})
    else:
        for outcome in outcomes:
            if outcome.done:
                print_data(f"{outcome.action.module}: {outcome.action.kind} done, job {outcome.job_id}")
    if error is not None:
        raise error
    return 0


def _proposal_text(proposal: Proposal) -> str:
    wheel, folder = proposal.wheel, proposal.folder.path
    where = f"to be uploaded to {folder}" if proposal.uploads else f"is in {folder} already"
    rows = "to be written" if proposal.writes else "are so already"
    lines = [
        f"wheel: {wheel.name} ({len(wheel.data) // 1024} KiB) {where}",
        f"rows: those of module {MONITOR_MODULE} {rows}",
        str(proposal.plan),
    ]
    return "\n".join(lines)


def _removal_text(removal: Removal) -> str:
    if removal.empty:
        return "no monitor is deployed"
    lines = [f"wheel: {path} to be deleted" for path in removal.wheels]
    lines += [f"rows: those of module {MONITOR_MODULE} to be deleted"] if removal.rows else []
    lines += [str(removal.plan)] if removal.plan else []
    return "\n".join(lines)
