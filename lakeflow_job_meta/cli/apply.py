"""`ljm apply`: plan, show, ask, do."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.render import print_data, print_json, progress, say
from lakeflow_job_meta.errors import ApplyError, UsageError

if TYPE_CHECKING:
    from lakeflow_job_meta.model.plan import Outcome, Plan

NAME = "apply"
HELP = "Make the jobs equal to the rows: plan, show, ask, do."

STOPPED = 130


def command(
    select: options.Select = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    refresh: options.Refresh = True,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    default_warehouse_id: options.Warehouse = None,
    cluster_id: options.Cluster = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    settings = options.settings_of(
        control_table=control_table,
        home=home,
        workspace=workspace,
        default_warehouse_id=default_warehouse_id,
        cluster_id=cluster_id,
    )
    from lakeflow_job_meta.orchestrator import JobOrchestrator

    orchestrator = JobOrchestrator(settings.control_table, settings=settings)
    say(f"store: {orchestrator.store.label}, workspace: {orchestrator.workspace.label}")
    plan = orchestrator.plan(select or None, refresh=refresh)
    if output is options.Output.TEXT:
        print_data(str(plan))
    if plan.effective and not yes:
        _ask(len(plan.effective))
    stopping = threading.Event()
    error: ApplyError | None = None
    with progress("Applying", len(plan.effective)) as show, _interruptible(stopping):
        try:
            outcomes = orchestrator.apply(plan, on_outcome=show, stop=stopping.is_set)
        except ApplyError as failed:
            outcomes, error = failed.outcomes, failed
    _report(plan, outcomes, output)
    if error is not None:
        raise error
    left = len(plan.effective) - len(outcomes)
    if left:
        say(f"stopped; {left} modules are left: apply again to go on")
        return STOPPED
    return 0


def _ask(number: int) -> None:
    if not sys.stdin.isatty():
        raise UsageError(f"{number} changes want a yes, and nobody can be asked", hint="add --yes")
    typer.confirm(f"Apply these {number} changes?", abort=True, err=True)


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
