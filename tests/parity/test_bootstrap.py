"""A dataset from schema files on every engine: made, found as declared, changed without losing a row, made anew."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta.bootstrap import Bootstrap, Wishes
from lakeflow_job_meta.bootstrap.difference import differences
from lakeflow_job_meta.bootstrap.table_plan import TablePlan
from lakeflow_job_meta.errors import ApplyError, LakeflowJobMetaError
from lakeflow_job_meta.model.finding import Status
from lakeflow_job_meta.model.table import TableInfo, TableName
from lakeflow_job_meta.settings import Settings
from tests.parity.engines import Engine
from tests.setup_folder import SetupFolder

EVENING = datetime(2024, 1, 31, 23, 30, tzinfo=UTC)


class Ground:
    """A dataset of its own on one engine."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        catalog, _, schema = engine.schema.partition(".")
        self.engine = engine
        self.files = SetupFolder(folder, dataset=f"{schema}_boot", catalog=catalog)
        self.settings = Settings(str(engine.table("control")), engine.home)

    def bootstrap(self) -> Bootstrap:
        return Bootstrap(self.files.write(), settings=self.settings, store=self.engine.store)

    def run(self, **wishes: bool) -> TablePlan:
        boot = self.bootstrap()
        (planned,) = boot.plan(Wishes(**wishes))
        boot.apply(planned)
        return planned.plan

    def name(self, table: str) -> TableName:
        return TableName(self.files.catalog, self.files.dataset, table)

    def info(self, table: str) -> TableInfo:
        found = self.engine.open().info(self.name(table))
        assert found is not None
        return found

    def spec(self, table: str) -> Any:
        ((_, dataset),) = self.bootstrap().datasets()
        return next(each for each in dataset.tables if each.name.name == table)

    def fill(self) -> None:
        store = self.engine.store
        store.append(
            self.spec("tenants"),
            [{"tenant_id": "a", "price": Decimal("1.50"), "tags": ["x"], "address": {"city": "Bern", "zip": "1"}}],
        )
        store.append(self.spec("runs"), [{"run_id": "r", "at": EVENING, "number": 7}])

    def rows(self, table: str) -> tuple[Any, ...]:
        return self.engine.open().read(self.name(table)).rows


@pytest.fixture
def ground(engine: Engine, tmp_path: Path) -> Ground:
    return Ground(engine, tmp_path / "setup")


def test_tables_are_made_as_declared_and_a_second_run_has_nothing_to_do(ground: Ground) -> None:
    plan = ground.run()
    assert plan.counts() == {"create": 3}
    for table in ("tenants", "runs"):
        assert differences(ground.spec(table), ground.info(table)) == []
    runs = ground.info("runs")
    assert (runs.partition_by, runs.cluster_by, runs.description) == (("at_day",), ("state", "run_id"), "all runs")
    versions = [ground.info(table).version for table in ("tenants", "runs")]
    assert ground.run().counts() == {"skip": 2}
    assert [ground.info(table).version for table in ("tenants", "runs")] == versions


def test_a_row_lies_in_the_partition_of_its_day_and_gets_the_defaults(ground: Ground) -> None:
    ground.run()
    ground.fill()
    (row,) = ground.rows("runs")
    assert (row["at"], row["at_day"], row["state"]) == (EVENING, date(2024, 1, 31), "NEW")
    (tenant,) = ground.rows("tenants")
    assert (tenant["price"], tenant["tags"], tenant["address"]) == (
        Decimal("1.50"),
        ["x"],
        {"city": "Bern", "zip": "1"},
    )


def test_a_required_column_refuses_null_from_whoever_writes(ground: Ground) -> None:
    ground.run()
    store, name = ground.engine.store, ground.name("tenants")
    with pytest.raises(LakeflowJobMetaError):
        store.sql(f"INSERT INTO {name} (tenant_id, price) VALUES (NULL, 1)")
    with pytest.raises(LakeflowJobMetaError):
        store.append(ground.spec("tenants"), [{"price": Decimal(1)}])
    assert ground.rows("tenants") == ()


def test_what_loses_nothing_is_changed_and_the_rows_stay(ground: Ground) -> None:
    ground.run()
    ground.fill()
    files = ground.files
    files.field("runs", "number")["type"] = "INT64"
    files.field("runs", "run_id")["description"] = "what it's called"
    files.field("runs", "at").pop("mode")
    files.field("runs", "state")["default"] = "'QUEUED'"
    files.schemas["runs"].append({"name": "note", "type": "STRING", "description": "free text"})
    files.field("tenants", "price").update(precision=12, mode="REQUIRED")
    files.field("tenants", "address")["fields"].append({"name": "country", "type": "STRING"})
    files.tables[0]["cluster_by"] = []
    files.tables[1]["description"] = "every run"
    files.tables[1]["cluster_by"] = ["state"]

    reported = ground.run()
    assert reported.counts() == {"skip": 2}
    assert {change.path for change in reported.actions[1].reported} >= {"number", "run_id", "note", "description"}

    done = ground.run(evolve=True)
    assert done.counts() == {"update": 2}
    for table in ("tenants", "runs"):
        left = differences(ground.spec(table), ground.info(table))
        assert left == []
    (row,) = ground.rows("runs")
    assert (row["run_id"], row["number"], row["note"], row["at_day"]) == ("r", 7, None, date(2024, 1, 31))
    (tenant,) = ground.rows("tenants")
    assert tenant["address"] == {"city": "Bern", "zip": "1", "country": None}
    assert ground.run(evolve=True).counts() == {"skip": 2}
    ground.engine.store.append(ground.spec("runs"), [{"run_id": "s", "at": EVENING}])
    assert {each["run_id"]: each["state"] for each in ground.rows("runs")} == {"r": "NEW", "s": "QUEUED"}


def test_what_would_lose_data_is_refused_with_the_rows_at_stake(ground: Ground) -> None:
    ground.run()
    ground.fill()
    before = ground.rows("runs")
    files = ground.files
    files.schemas["runs"] = [each for each in files.schemas["runs"] if each["name"] != "number"]
    files.field("runs", "state")["type"] = "INT64"
    files.field("runs", "state").pop("default")
    files.tables[1].pop("partition_by")
    files.field("tenants", "address")["mode"] = "REPEATED"
    plan = ground.run(evolve=True)
    told = {(each.location.column, each.message) for each in plan.diagnostics}  # type: ignore[union-attr]
    assert any(where == "number" and "1 value would be lost" in message for where, message in told)
    assert any(where == "state" and "1 value may not fit" in message for where, message in told)
    assert any(where == "partition_by" and "1 row would have to be written anew" in message for where, message in told)
    assert any(where == "address" and "1 value may not fit" in message for where, message in told)
    assert ground.rows("runs") == before


def test_made_anew_the_old_table_is_kept_until_it_is_purged(ground: Ground) -> None:
    ground.run()
    ground.fill()
    boot = ground.bootstrap()
    (planned,) = boot.plan(Wishes(force_tables=True))
    outcomes = boot.apply(planned)
    assert ground.rows("runs") == ()
    kept = TableName.parse(next(each.kept for each in outcomes if each.action.subject.endswith(".runs")))
    assert [row["run_id"] for row in ground.engine.store.read(kept).rows] == ["r"]
    assert differences(ground.spec("runs"), ground.info("runs")) == []

    (purge,) = boot.plan_purge()
    assert purge.plan.counts() == {"delete": 2}
    boot.apply(purge)
    assert ground.engine.store.listed(kept.catalog, kept.schema) == [ground.name("runs"), ground.name("tenants")]


def test_a_run_that_fails_leaves_nothing_half_made(ground: Ground) -> None:
    # A default of engines is checked only when the table is made; this one is refused by each of them in its own way.
    files = ground.files
    ground.run()
    ground.fill()
    before = {table: (ground.info(table), ground.rows(table)) for table in ("tenants", "runs")}
    files.field("tenants", "price")["precision"] = 12
    files.schemas["zz"] = [{"name": "id", "type": "STRING"}]
    files.tables.append("zz")
    boot = ground.bootstrap()
    (planned,) = boot.plan(Wishes(evolve=True))
    broken = planned.plan.actions[-1]
    assert broken.spec is not None
    bad = replace(broken, spec=replace(broken.spec, columns=(replace(broken.spec.columns[0], type="NO_SUCH_TYPE"),)))
    plan = replace(planned.plan, actions=(*planned.plan.actions[:-1], bad))
    with pytest.raises(ApplyError, match="zz failed, and what was done before it is taken back"):
        boot.apply(replace(planned, plan=plan))
    for table, (info, rows) in before.items():
        assert (ground.info(table).columns, ground.rows(table)) == (info.columns, rows)
    assert ground.engine.store.listed(files.catalog, files.dataset) == [ground.name("runs"), ground.name("tenants")]


def test_the_checks_find_all_well_and_then_what_is_wrong(ground: Ground) -> None:
    ground.run()
    ground.fill()
    assert {each.check: each for each in ground.bootstrap().check() if each.status is not Status.OK} == {}
    ground.engine.store.sql(f"CREATE TABLE {ground.name('stranger')} (a INT)")
    ground.engine.store.sql(f"ALTER TABLE {ground.name('runs')} ADD COLUMN more STRING")
    found = {each.check.split(": ")[-1]: each for each in ground.bootstrap().check() if each.status is not Status.OK}
    assert "strangers: stranger" in found["tables"].found
    assert "more" in found["declared"].found


def test_what_was_done_is_in_the_log_under_one_id(ground: Ground) -> None:
    boot = ground.bootstrap()
    (planned,) = boot.plan()
    boot.apply(planned)
    rows = ground.engine.store.read(ground.engine.table("control_log")).rows
    assert {row["correlation_id"] for row in rows} == {boot.correlation_id}
    assert {(row["module_name"].rpartition(".")[2], row["action"], row["outcome"]) for row in rows} == {
        ("runs", "create", "done"),
        ("tenants", "create", "done"),
        (ground.files.dataset, "create", "done"),
    }


@pytest.mark.parametrize("engine", ["spark", "warehouse"], indirect=True)
def test_a_rewrite_that_was_killed_is_taken_back_before_anything_else(ground: Ground) -> None:
    ground.run()
    ground.fill()
    ground.files.field("runs", "number")["type"] = "INT64"
    (planned,) = ground.bootstrap().plan(Wishes(evolve=True))
    (action,) = planned.plan.effective
    replaced = action.statements[0]
    assert replaced.startswith("CREATE OR REPLACE TABLE")
    ground.engine.store.sql(replaced)  # and no more: the rows are only in the version before
    assert ground.rows("runs") == ()
    plan = ground.run()
    assert "a change of it was interrupted: it is taken back to version 1" in str(plan)
    assert [row["number"] for row in ground.rows("runs")] == [7]
    ground.run(evolve=True)
    assert differences(ground.spec("runs"), ground.info("runs")) == []
    assert [row["number"] for row in ground.rows("runs")] == [7]


def test_one_change_alone_is_one_commit(ground: Ground) -> None:
    ground.run()
    files = ground.files
    changes = {
        "description": lambda: files.tables[0].update(description="all of them"),
        "comment": lambda: files.field("tenants", "address")["fields"][0].update(description="which town"),
        "clustering": lambda: files.tables[0].update(cluster_by=["price"]),
        "relaxed": lambda: files.field("tenants", "tenant_id").update(mode="NULLABLE"),
        "default": lambda: files.field("tenants", "price").update(default="0"),
    }
    for what, change in changes.items():
        change()
        found = ground.info("tenants")
        # What an engine doesn't tell isn't compared: comments inside of records, and what is REQUIRED.
        told = found.tells_required or what not in ("comment", "relaxed")
        assert ground.run(evolve=True).counts() == ({"update": 1, "skip": 1} if told else {"skip": 2}), what
        assert ground.info("tenants").version == found.version + told, what
        assert differences(ground.spec("tenants"), ground.info("tenants")) == [], what


@pytest.mark.parametrize("engine", ["spark"], indirect=True)
def test_defaults_that_the_engine_fills_are_changed_too(ground: Ground) -> None:
    ground.engine.__dict__["store"] = ground.engine.open(table_defaults="engine")
    ground.run()
    files = ground.files
    files.field("runs", "state")["default"] = "'QUEUED'"
    files.field("runs", "number")["type"] = "INT64"
    ground.run(evolve=True)
    name = ground.name("runs")
    ground.engine.store.sql(
        f"INSERT INTO {name} (run_id, at, at_day) VALUES ('s', current_timestamp(), current_date())"
    )
    assert [row["state"] for row in ground.rows("runs")] == ["QUEUED"]
