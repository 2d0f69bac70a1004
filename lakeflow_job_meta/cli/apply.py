"""`ljm apply`: plan, show, ask, do."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.render import print_data, print_json, print_plan, progress, say
from lakeflow_job_meta.diagnostics import counted
from lakeflow_job_meta.errors import ApplyError, InputError, UsageError

if TYPE_CHECKING:
    from lakeflow_job_meta.model.plan import AnyPlan, Outcome, Plan, Shown
    from lakeflow_job_meta.model.saved_plan import SavedPlan
    from lakeflow_job_meta.orchestrator import JobOrchestrator

NAME = "apply"
HELP = "Make the jobs equal to the rows: plan, show, ask, do."

STOPPED = 130

SAVED = ("select", "prune", "refresh", "control_table", "workspace", "default_warehouse_id", "cluster_id")
"""What a saved plan says by itself."""


def command(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(metavar="[PLAN]", help="A plan that `ljm plan --out` saved: apply just that.")
    ] = None,
    select: options.Select = None,
    prune: options.Prune = False,
    yes: options.Yes = False,
    allow_disruptive: Annotated[
        bool,
        typer.Option("--allow-disruptive", help="Even if more is taken away than the settings allow: that is meant."),
    ] = False,
    refresh: options.Refresh = True,
    lock_timeout: options.LockTimeout = None,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    default_warehouse_id: options.Warehouse = None,
    cluster_id: options.Cluster = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    saved = _read(file, context) if file is not None else None
    arguments = {
        "control_table": control_table,
        "workspace": workspace,
        "default_warehouse_id": default_warehouse_id,
        "cluster_id": cluster_id,
    }
    if saved is not None:
        arguments, select, prune, refresh = dict(saved.arguments), list(saved.select or ()), saved.prune, saved.refresh
    settings = options.settings_of(home=home, lock_timeout_seconds=lock_timeout, **arguments)
    from lakeflow_job_meta.orchestrator import JobOrchestrator

    orchestrator = JobOrchestrator(settings.control_table, settings=settings)
    say_where(orchestrator)
    # Without a look at the workspace, only rows that changed since all was applied can lead to anything.
    changed_only = not (refresh or select or prune or saved)
    plan = orchestrator.plan(select or None, refresh=refresh, prune=prune, changed_only=changed_only)
    if saved is not None:
        saved.check(plan)
    show(plan, output)
    disruptive = "" if allow_disruptive else orchestrator.too_disruptive(plan)
    if disruptive and not sys.stdin.isatty():
        raise UsageError(disruptive, hint="look at the plan; if that is meant: --allow-disruptive")
    if plan.effective and saved is None and not yes:
        ask(f"Apply {counted(len(plan.effective), 'change')}?", plan, output)
    if disruptive:
        ask(f"{disruptive[0].upper()}{disruptive[1:]}. Is that meant?", plan, output)
    return carry_out(orchestrator, plan, output)


def say_where(orchestrator: JobOrchestrator) -> None:
    """Tell which store and which workspace will be written."""
    say(f"store: {orchestrator.store.label}, workspace: {orchestrator.workspace.label}")


def show(plan: AnyPlan[Shown], output: options.Output) -> None:
    """Print a plan before it is carried out; as JSON it comes at the end, together with what was done."""
    if output is options.Output.TEXT:
        print_plan(plan)


def require_terminal(what: str) -> None:
    """Refuse to go on where a person has to be asked, and none can be.

    Raises:
        UsageError: standard input is no terminal.
    """
    if not sys.stdin.isatty():
        raise UsageError(f"to go on takes a yes ({what}), and nobody can be asked", hint="add --yes")


def ask(question: str, plan: AnyPlan[Shown], output: options.Output) -> None:
    """Go on only with a yes."""
    require_terminal(counted(len(plan.effective), "change"))
    if output is options.Output.JSON:
        say(str(plan))
    typer.confirm(question, abort=True, err=True)


def carry_out(orchestrator: JobOrchestrator, plan: Plan, output: options.Output) -> int:
    """Apply a plan that a person has agreed to; returns the exit code."""
    stopping = threading.Event()
    error: ApplyError | None = None
    with progress("Applying", len(plan.effective)) as tell, _interruptible(stopping):
        try:
            outcomes = orchestrator.apply(plan, on_outcome=tell, stop=stopping.is_set, allow_disruptive=True)
        except ApplyError as failed:
            outcomes, error = failed.outcomes, failed
    _report(plan, outcomes, output)
    if error is not None:
        raise error
    left = len(plan.effective) - len(outcomes)
    if left:
        say(f"stopped before {counted(left, 'module')}: apply again to go on")
        return STOPPED
    return 0


def _read(file: Path, context: typer.Context) -> SavedPlan:
    from lakeflow_job_meta.model.saved_plan import SavedPlan

    given = [name for name in SAVED if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"]
    if given:
        raise UsageError(
            f"{file} says by itself what --{given[0].replace('_', '-')} would say",
            hint="give a saved plan, or say what to plan",
        )
    try:
        return SavedPlan.from_json(file.read_text("utf-8"), str(file))
    except UnicodeDecodeError as error:
        raise InputError(f"{file} isn't a saved plan", hint="`ljm plan --out FILE` writes one") from error
    except OSError as error:
        raise InputError(f"{file} can't be read: {error.strerror}", hint="`ljm plan --out FILE` writes one") from error


def _report(plan: Plan, outcomes: Sequence[Outcome], output: options.Output) -> None:
    if output is options.Output.JSON:
        print_json({"plan": plan.to_dict(), "outcomes": [outcome.to_dict() for outcome in outcomes]})
        return
    done = [outcome for outcome in outcomes if outcome.done]
    for outcome in done:
        print_data(f"{outcome.action.module}: {outcome.action.kind} done, job {outcome.job_id}")
    print_data(f"Applied {len(done)} of {len(plan.effective)} changes.")


@contextmanager
def _interruptible(stopping: threading.Event) -> Generator[None]:
    """Ctrl-C and SIGTERM let the calls under way finish; a second Ctrl-C ends at once."""

    def on_signal(*_: object) -> None:
        if stopping.is_set():
            raise KeyboardInterrupt
        say("stopping after the calls under way …")
        stopping.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
