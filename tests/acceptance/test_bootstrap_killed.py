"""A bootstrap that is killed between any two of its writes: nothing is lost, and the same command makes it whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta.bootstrap import Bootstrap, Wishes
from lakeflow_job_meta.bootstrap.difference import differences
from lakeflow_job_meta.bootstrap.kept import is_kept
from lakeflow_job_meta.bootstrap.planner import plan_purge
from lakeflow_job_meta.bootstrap.table_plan import TablePlan
from lakeflow_job_meta.model.table import Row, TableName, TableSpec
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.store.delta import DeltaStore
from tests.setup_folder import SetupFolder

ROOT = Path(__file__).resolve().parents[2]
TABLES = ("tenants", "runs")
READS = ("SELECT", "SHOW", "DESCRIBE")


class Dying(DeltaStore):
    """A store whose process is killed just after its so-manieth write; 0: just before the first one."""

    def __init__(self, home: Path, writes: int) -> None:
        super().__init__(home)
        self.left = writes

    def _wrote(self) -> None:
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1

    def create(self, spec: TableSpec) -> bool:
        self._wrote()
        return super().create(spec)

    def rename(self, table: TableName, to: TableName) -> None:
        self._wrote()
        super().rename(table, to)

    def ensure_schema(self, catalog: str, schema: str, description: str = "") -> None:
        self._wrote()
        super().ensure_schema(catalog, schema, description)

    def append(self, spec: TableSpec, rows: Sequence[Row]) -> int:
        self._wrote()
        return super().append(spec, rows)

    def sql(self, text: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        if not text.startswith(READS):
            self._wrote()
        return super().sql(text, parameters)


DYING = """
import sys
from pathlib import Path
from lakeflow_job_meta.bootstrap import Bootstrap, Wishes
from lakeflow_job_meta.settings import Settings
from tests.acceptance.test_bootstrap_killed import Dying

home, pipeline, writes, *wishes = sys.argv[1:]
store = Dying(Path(home), int(writes))
bootstrap = Bootstrap(Path(pipeline), settings=Settings(home=Path(home)), store=store)
(planned,) = bootstrap.plan(Wishes(**dict.fromkeys(wishes, True)))
bootstrap.apply(planned)
"""


class Ground:
    """A dataset of two tables with a row in each, and a bootstrap that can be killed in it."""

    def __init__(self, folder: Path) -> None:
        self.files = SetupFolder(folder / "setup")
        self.home = folder / "home"

    @property
    def store(self) -> DeltaStore:
        return DeltaStore(self.home)

    def killed_after(self, writes: int, *wishes: str) -> bool:
        """Run the bootstrap in a process that is killed after so many writes; says whether it came so far."""
        given = [str(self.home), str(self.files.write()), str(writes), *wishes]
        done = subprocess.run(
            [sys.executable, "-c", DYING, *given], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        return done.returncode == -signal.SIGKILL

    def bootstrap(self) -> Bootstrap:
        return Bootstrap(self.files.write(), settings=Settings(home=self.home), store=self.store)

    def run(self, *wishes: str) -> TablePlan:
        bootstrap = self.bootstrap()
        (planned,) = bootstrap.plan(Wishes(**dict.fromkeys(wishes, True)))
        bootstrap.apply(planned)
        return planned.plan

    def purge(self) -> None:
        bootstrap = self.bootstrap()
        (planned,) = bootstrap.plan_purge()
        bootstrap.apply(planned)

    def fill(self) -> None:
        self.store.sql("INSERT INTO main.tenants.tenants (tenant_id) VALUES ('a')")
        self.store.sql("INSERT INTO main.tenants.runs (run_id, at, number) VALUES ('r', timestamp'2024-01-31', 7)")

    def is_whole(self) -> bool:
        """Whether both tables are as declared, and nothing else is there but copies that were kept and our log."""
        ((_, dataset),) = self.bootstrap().datasets()
        found = {spec.name: self.store.info(spec.name) for spec in dataset.tables}
        others = {each.name for each in self.listed() if each not in found and not is_kept(each)}
        return others <= {"_ljm_log"} and all(
            info is not None and differences(spec, info) == [] for spec in dataset.tables for info in [found[spec.name]]
        )

    def listed(self) -> list[TableName]:
        return self.store.listed("main", "tenants") or []

    def keys(self, table: str) -> list[str]:
        """The keys of the rows that a table has, and those of its copies."""
        those = [each for each in self.listed() if each.name == table or each.name.startswith(f"{table}__kept_")]
        return [str(next(iter(row.values()))) for each in those for row in self.store.read(each).rows]


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


def points(count: int) -> pytest.MarkDecorator:
    """All points of a run with so many writes: before the first of them, and after each; the last run isn't killed."""
    return pytest.mark.parametrize(("writes", "killed"), [(each, each < count) for each in range(count + 1)])


@points(7)  # the dataset, two tables, the rows of a log that isn't there; it is made, with its place, and written
def test_a_first_run_killed_anywhere_is_made_whole(ground: Ground, writes: int, killed: bool) -> None:
    assert ground.killed_after(writes) is killed
    ground.run()
    assert ground.is_whole()
    assert ground.run().counts() == {"skip": 2}


@points(5)  # a rename and a create for each of two tables, the log's rows
def test_a_recreate_killed_anywhere_keeps_every_row_until_it_is_purged(
    ground: Ground, writes: int, killed: bool
) -> None:
    ground.run()
    ground.fill()
    assert ground.killed_after(writes, "force_tables") is killed
    assert [ground.keys(table) for table in TABLES] == [["a"], ["r"]]
    plan = ground.run("force_tables")
    assert ground.is_whole()
    assert [ground.keys(table) for table in TABLES] == [["a"], ["r"]], str(plan)
    assert all(ground.store.read(TableName("main", "tenants", table)).rows == () for table in TABLES)
    ground.purge()
    assert ground.is_whole()
    assert ground.keys("runs") == []


def test_between_the_two_steps_of_a_recreate_the_old_table_is_named(ground: Ground) -> None:
    ground.run()
    ground.fill()
    assert ground.killed_after(1, "force_tables")
    assert [each.name for each in ground.listed() if each.name == "tenants"] == []
    (kept,) = [each for each in ground.listed() if is_kept(each)]
    ((_, dataset),) = ground.bootstrap().datasets()
    purge = plan_purge(ground.store, dataset)
    assert (purge.effective, [str(each).partition(" (")[0] for each in purge.diagnostics]) == (
        (),
        [f"{kept}: error: stays: main.tenants.tenants isn't there"],
    )
    plan = ground.run()
    assert f"there is no such table; the old one is kept as {kept}" in str(plan)
    assert ground.is_whole()
    assert ground.keys("tenants") == ["a"]


@points(12)  # two tables renamed and made, they, a stranger and the log deleted, the log made anew as at first
def test_a_dataset_deleted_and_made_anew_is_whole_wherever_it_was_killed(
    ground: Ground, writes: int, killed: bool
) -> None:
    ground.run()
    ground.fill()
    ground.store.sql("CREATE TABLE main.tenants.stranger (a INT)")
    assert ground.killed_after(writes, "force_dataset") is killed
    ground.run("force_dataset")
    assert ground.is_whole()
    assert [each for each in ground.listed() if is_kept(each)] == []
    assert [ground.keys(table) for table in TABLES] == [[], []]


@points(6)  # one statement of a table, four of the other, the log's rows
def test_an_evolution_killed_anywhere_loses_no_row_and_is_finished(ground: Ground, writes: int, killed: bool) -> None:
    ground.run()
    ground.fill()
    ground.files.field("runs", "number")["type"] = "INT64"
    ground.files.field("runs", "run_id")["description"] = "what it's called"
    ground.files.schemas["runs"].append({"name": "note", "type": "STRING", "default": "'none'"})
    ground.files.field("tenants", "price")["precision"] = 12
    assert ground.killed_after(writes, "evolve") is killed
    ground.run("evolve")
    assert ground.is_whole()
    assert [row["number"] for row in ground.store.read(TableName("main", "tenants", "runs")).rows] == [7]
    assert ground.keys("tenants") == ["a"]


def test_a_table_whose_making_was_killed_before_its_first_commit_is_made(ground: Ground) -> None:
    log = ground.home / "tables" / "main" / "tenants" / "runs" / "_delta_log"
    log.mkdir(parents=True)
    (log / "_commit_0f6a.json.tmp").write_text("{", "utf-8")
    assert ground.run().counts() == {"create": 2}
    assert ground.is_whole()
