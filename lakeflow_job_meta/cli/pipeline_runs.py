"""`ljm pipelines run`, `backfill`, and `runs …`: pipelines started by hand, and the record of their runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.apply import say_where
from lakeflow_job_meta.cli.default_group import ListsByDefault
from lakeflow_job_meta.cli.render import print_data, print_json, print_table, say
from lakeflow_job_meta.cli.run import INTERRUPTED
from lakeflow_job_meta.cli.runs import orchestrator_of
from lakeflow_job_meta.cli.watch import watch
from lakeflow_job_meta.errors import InputError, RunFailed, WorkspaceError

if TYPE_CHECKING:
    from lakeflow_job_meta.model.run import Run
    from lakeflow_job_meta.model.table import Row
    from lakeflow_job_meta.orchestrator import JobOrchestrator
    from lakeflow_job_meta.pipelines.registry import Direction, RegisteredTable
    from lakeflow_job_meta.pipelines.runs.record import RunRecord
    from lakeflow_job_meta.pipelines.tables import RegistryTables

NAME = "runs"
app = typer.Typer(
    help="The record of pipeline runs, the newest first: `ljm pipelines runs [NAME]` is `… runs list [NAME]`.",
    cls=ListsByDefault,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The table's source_tablename, or its end.")]
OneDirection = Annotated[
    str | None, typer.Option("--direction", metavar="DIRECTION", help="Only source_to_dl, or only dl_to_sink.")
]
Watched = Annotated[bool, typer.Option("--watch", "-w", help="Stay until it ends, and show how it goes.")]


def run(
    name: Name,
    direction: OneDirection = None,
    watched: Watched = False,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    ground = Ground.of(orchestrator_of(control_table, home, workspace))
    table = ground.table(name)
    from lakeflow_job_meta.pipelines.asked import halves

    return Started(ground, table, {}, output).through(halves(table, direction), watched=watched)


def backfill(
    name: Name,
    start: Annotated[str, typer.Option("--from", metavar="VALUE", help="The first value of the incremental key.")],
    end: Annotated[str, typer.Option("--to", metavar="VALUE", help="The first value that isn't moved any more.")],
    direction: OneDirection = None,
    watched: Watched = False,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    ground = Ground.of(orchestrator_of(control_table, home, workspace))
    table = ground.table(name)
    from lakeflow_job_meta.pipelines.asked import backfilled, halves

    wanted = backfilled(table, halves(table, direction), direction is not None)
    span = {"backfill_from": start, "backfill_to": end}
    return Started(ground, table, span, output).through(wanted, watched=watched)


COMMANDS = (
    ("run", "Run a table's pipeline now: both directions, or one.", run),
    ("backfill", "Move a span of a table's incremental key again; the watermarks stay.", backfill),
)
"""Those that stand beside the group of runs."""


@app.command("list", help="List runs of pipelines as they are recorded, the newest first.")
def list_(
    name: Annotated[str | None, typer.Argument(help="Only this table's.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that failed.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="So many at the most.")] = 20,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    ground = Ground.of(orchestrator_of(control_table, home, workspace))
    only = None if name is None else ground.table(name).source_tablename
    ground.settle()
    rows = ground.newest(only, failed=failed, limit=limit)
    if output is options.Output.JSON:
        print_json(rows)
    elif rows:
        columns = ("started", "table", "direction", "run_id", "status", "stage", "took", "by")
        print_table(columns, [_cells(row) for row in rows], _sentence)
        for row in rows:
            if row["error_message"]:
                print_data(f"{row['id']}: {row['error_message']}")
    else:
        say("no runs")
    return 0


def _sentence(cells: Sequence[str]) -> str:
    """A run where the table is too wide.

    >>> _sentence(["11-30 13:59:47", "crm.orders", "dl_to_sink", "7", "success", "3/3", "2.1 s", "manual"])
    '11-30 13:59:47 crm.orders, dl_to_sink: success, run 7, stage 3/3, took 2.1 s, by manual'
    """
    started, table, direction, run_id, status, stage, took, by = cells
    about = [f"stage {stage}" if stage else "", f"took {took}" if took else "", f"by {by}" if by else ""]
    return ", ".join([f"{started} {table}, {direction}: {status}, run {run_id}", *filter(None, about)])


@app.command("show", help="Show a run of a pipeline with its stages.")
def show(
    run_id: Annotated[int, typer.Argument(metavar="ID", help="The run's id.")],
    control_table: options.ControlTable = None,
    home: options.Home = None,
    workspace: options.WorkspaceName = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    ground = Ground.of(orchestrator_of(control_table, home, workspace))
    ground.settle()
    row, stages = ground.run(run_id), ground.record.stage_rows(run_id)
    if output is options.Output.JSON:
        print_json({**row, "stages": stages})
        return 0
    print_data(f"run {run_id} of {row['source_tablename']}, {row['direction'] or 'direction unknown'}: {row['status']}")
    print_data(f"  template {row['pipeline_name']}, started {_moment(row)} by {row['triggered_by'] or '?'}")
    if row["error_message"]:
        print_data("\n".join(f"  {line}" for line in str(row["error_message"]).splitlines()))
    columns = ("stage", "status", "rows", "took", "started")
    cells = [
        (each["stage_order"], each["status"], each["rows_processed"], each["time_taken"], _moment(each))
        for each in stages
    ]
    if cells:
        print_table(columns, [tuple("" if cell is None else str(cell) for cell in row) for row in cells])
    return 0


@dataclass(frozen=True)
class Ground:
    """The registry, its record, and the jobs of one control table."""

    orchestrator: JobOrchestrator
    tables: RegistryTables
    record: RunRecord

    @classmethod
    def of(cls, orchestrator: JobOrchestrator) -> Ground:
        """Of these jobs."""
        from lakeflow_job_meta.pipelines.runs.record import RunRecord
        from lakeflow_job_meta.pipelines.tables import RegistryTables

        settings = orchestrator.settings
        tables = RegistryTables.beside(settings.control_table, settings.pipelines_schema)
        return cls(orchestrator, tables, RunRecord.of(orchestrator.store, tables))

    def table(self, name: str) -> RegisteredTable:
        """A registered table.

        Raises:
            InputError: no such table; TableNotFound: no registry.
        """
        from lakeflow_job_meta.pipelines.asked import table_named
        from lakeflow_job_meta.pipelines.registry import RegisteredTable
        from lakeflow_job_meta.pipelines.tables import TABLES

        rows = self.tables.read(self.orchestrator.store, [TABLES])[TABLES]
        return table_named(name, [RegisteredTable.from_row(row) for row in rows if row.get("source_tablename")])

    def settle(self) -> None:
        """Bring the record up to date, if the workspace tells."""
        try:
            _ = self.orchestrator.runs.collect()
        except WorkspaceError as error:
            say(f"what became of runs that go on isn't known: {error.message}")

    def newest(self, only: str | None, *, failed: bool, limit: int) -> list[dict[str, Any]]:
        """Rows of runs with their directions."""
        rows = [row for row in self.record.rows(only) if not failed or row["status"] == "failed"]
        epoch = datetime.min.replace(tzinfo=UTC)
        newest = sorted(rows, key=lambda row: (row["started_at"] or epoch, row["id"]), reverse=True)[:limit]
        return self._directed(newest)

    def run(self, run_id: int) -> dict[str, Any]:
        """The row of a run.

        Raises:
            InputError: there is none.
        """
        found = [row for row in self.record.rows() if row["id"] == run_id]
        if not found:
            raise InputError(f"no run {run_id} of a pipeline is recorded", hint="`ljm pipelines runs` lists them")
        return self._directed(found)[0]

    def _directed(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """The ledger knows the module of a run, and by that which half of a pipeline it was."""
        days = sorted({row["started_at"].date().isoformat() for row in rows if row["started_at"]})
        ids = [row["id"] for row in rows]
        modules = {row["run_id"]: row["module_name"] for row in self.orchestrator.runs.ledger.runs(days, ids)}
        return [{**row, "direction": modules.get(row["id"], "").rpartition(".")[2] or None} for row in rows]


@dataclass(frozen=True)
class Started:
    """Runs of one table, one direction after the other, told as the output wants it."""

    ground: Ground
    table: RegisteredTable
    span: Mapping[str, str]
    output: options.Output

    def through(self, wanted: Sequence[Direction], *, watched: bool) -> int:
        """Run these directions in turn, the next when the one before has succeeded; the last is left to itself unless
        it is watched.

        Raises:
            RunFailed: one ended without success.
        """
        say_where(self.ground.orchestrator)
        told: list[dict[str, Any]] = []
        for number, direction in enumerate(wanted, start=1):
            module, run_id = self._start(direction)
            told.append({"direction": str(direction), "module": module, "run_id": run_id})
            if number == len(wanted) and not watched:
                self._say(f"{module}: run {run_id} started; `ljm pipelines runs show {run_id}` tells how it goes")
                break
            run, interrupted = watch(self.ground.orchestrator.runs, module, run_id)
            row = self._ended(run)
            told[-1] |= {"status": row["status"], "error_message": row["error_message"]}
            self._say(f"{module}: run {run_id} is {row['status']}")
            if interrupted or not run.succeeded:
                return self._failed(told, row, interrupted=interrupted)
        if self.output is options.Output.JSON:
            print_json(told)
        return 0

    def _start(self, direction: Direction) -> tuple[str, int]:
        from lakeflow_job_meta.pipelines.naming import module_name
        from lakeflow_job_meta.pipelines.runs.words import MANUAL
        from lakeflow_job_meta.pipelines.stage_task import stages_of

        runs = self.ground.orchestrator.runs
        module = module_name(self.table.source_tablename, direction)
        job = runs.recorded().get(module)
        if job is None or job.job_id is None:
            hint = "`ljm pipelines sync` makes its rows of what is registered, `ljm apply` its job of those"
            raise InputError(f"{self.table.source_tablename} has no job for {direction} yet", hint=hint)
        run_id = runs.start(module, {"triggered_by": MANUAL, **self.span})
        for first in (stage for stage in stages_of(job.settings).values() if stage.position == 1):
            self.ground.record.pending(run_id, first, datetime.now(UTC))
        return module, run_id

    def _ended(self, run: Run) -> dict[str, Any]:
        from lakeflow_job_meta.pipelines.runs.kept import PipelineRuns
        from lakeflow_job_meta.pipelines.runs.rows import is_final

        self.ground.settle()
        row = self.ground.run(run.run_id)
        if run.ended and not is_final(row):  # the workspace's list lags behind
            PipelineRuns(self.ground.record, self.ground.orchestrator.runs.recorded).keep([run])
            row = self.ground.run(run.run_id)
        return row

    def _failed(self, told: list[dict[str, Any]], row: Row, *, interrupted: bool) -> int:
        if self.output is options.Output.JSON:
            print_json(told)
            return INTERRUPTED if interrupted else RunFailed.exit_code
        if interrupted:
            return INTERRUPTED
        hint = f"`ljm repair {row['id']}` runs again what failed"
        raise RunFailed(f"{row['source_tablename']}: {row['error_message']}", hint=hint)

    def _say(self, text: str) -> None:
        if self.output is not options.Output.JSON:
            print_data(text)


def _cells(row: Row) -> Sequence[str]:
    stage = f"{row['current_stage']}/{row['total_stages']}"
    return (
        _moment(row), row["source_tablename"], row["direction"] or "", str(row["id"]), row["status"], stage,
        _took(row), row["triggered_by"] or "",
    )  # fmt: skip


def _took(row: Row) -> str:
    from lakeflow_job_meta.cli.run_text import STEP, duration

    if not row["started_at"]:
        return ""
    return duration(((row["completed_at"] or datetime.now(UTC)) - row["started_at"]) / STEP)


def _moment(row: Row) -> str:
    return f"{row['started_at']:%m-%d %H:%M:%S}" if row["started_at"] else ""
