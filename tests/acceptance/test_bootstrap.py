"""`ljm bootstrap` as a person runs it: shown, asked, done, done again, changed, made anew, taken back, looked after."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta.bootstrap import Bootstrap, Wishes
from lakeflow_job_meta.bootstrap.onetime_bootstrap_processor import OnetimeBootstrapProcessor, get_engine
from lakeflow_job_meta.errors import ApplyError, ConflictError, UsageError
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.store.delta import DeltaStore
from tests.acceptance.shell import Shell
from tests.setup_folder import SetupFolder, named

RUNS = TableName.parse("main.tenants.runs")
TENANTS = TableName.parse("main.tenants.tenants")


@pytest.fixture
def files(tmp_path: Path) -> SetupFolder:
    made = SetupFolder(tmp_path / "metadata" / "setup")
    made.write()
    return made


@pytest.fixture
def ljm(files: SetupFolder, tmp_path: Path) -> Shell:
    shell = Shell(tmp_path)
    files.pipeline.rename(files.folder / "bootstrap_system.yml")
    return shell


@pytest.fixture
def store(tmp_path: Path) -> DeltaStore:
    return DeltaStore(tmp_path / ".lakeflow")


def bootstrap(files: SetupFolder, store: DeltaStore) -> Bootstrap:
    return Bootstrap(files.write(), settings=Settings(home=store.home), store=store)


def run(files: SetupFolder, store: DeltaStore, **wishes: bool) -> list[str]:
    boot = bootstrap(files, store)
    (planned,) = boot.plan(Wishes(**wishes))
    return [f"{each.action.kind} {each.action.subject.rpartition('.')[2]}" for each in boot.apply(planned)]


def test_it_is_shown_asked_done_and_then_there_is_nothing_left(ljm: Shell, store: DeltaStore) -> None:
    shown = ljm("bootstrap", "--dry-run")
    assert "+ main.tenants.runs: create (there is no such table)" in shown.stdout
    assert 'cluster_by: "state, run_id (Z-order, by OPTIMIZE: the table is partitioned)"' in shown.stdout
    assert store.listed("main", "tenants") is None
    refused = ljm("bootstrap", code=2)
    assert "to go on takes a yes (3 changes), and nobody can be asked" in refused.stderr
    assert store.listed("main", "tenants") is None
    done = ljm("bootstrap", "--yes")
    assert "Made 3 of 3 changes." in done.stdout
    again = ljm.json("bootstrap", "--yes")
    assert (again["plans"][0]["summary"], again["outcomes"]) == ({"skip": 2}, [])


def test_a_table_is_added_by_a_schema_file_and_a_line(files: SetupFolder, store: DeltaStore) -> None:
    run(files, store)
    version = store.info(RUNS)
    files.schemas["new_table"] = [{"name": "id", "type": "STRING", "mode": "REQUIRED"}]
    files.tables.append("new_table")
    assert run(files, store) == ["create new_table"]
    assert store.info(RUNS) == version


def test_the_old_tables_are_kept_and_purged_on_request(ljm: Shell, store: DeltaStore) -> None:
    ljm("bootstrap", "--yes")
    store.sql(f"INSERT INTO {RUNS} (run_id, at) VALUES ('r', timestamp'2024-01-31 23:30:00Z')")
    shown = ljm("bootstrap", "--force-tables", "--dry-run").stdout
    assert "+ main.tenants.runs: recreate (asked for: the old table (1 row) is kept as a copy)" in shown
    outcomes = ljm.json("bootstrap", "--force-tables", "--yes")["outcomes"]
    kept = TableName.parse(next(each["kept"] for each in outcomes if each["table"] == str(RUNS)))
    assert [row["run_id"] for row in store.read(kept).rows] == ["r"]
    assert store.read(RUNS).rows == ()
    assert f"{kept}: warning: a copy of a table that was made anew" in ljm("bootstrap", "--yes").stdout
    ljm("bootstrap", "--purge", "--yes")
    assert "2 unchanged" in ljm("bootstrap").stdout
    assert store.info(kept) is None


def test_a_dataset_is_deleted_only_by_its_name(ljm: Shell, store: DeltaStore) -> None:
    ljm("bootstrap", "--yes")
    store.sql("CREATE TABLE main.tenants.stranger (a INT)")
    refused = ljm("bootstrap", "--force-all", "--yes", code=2)
    assert "if that is meant: --yes-delete tenants" in refused.stderr
    wrong = ljm("bootstrap", "--force-all", "--yes", "--yes-delete", "tenant", code=2)
    assert "--yes-delete tenants" in wrong.stderr
    assert store.info(TableName.parse("main.tenants.stranger")) is not None
    done = ljm("bootstrap", "--force-all", "--yes-delete", "tenants")
    assert "main.tenants.stranger: delete done" in done.stdout
    left = store.listed("main", "tenants")
    assert left is not None
    assert named([str(each) for each in left]) == ["_ljm_log", "runs", "tenants"]


def test_what_is_refused_is_told_and_the_command_fails(ljm: Shell, files: SetupFolder, store: DeltaStore) -> None:
    ljm("bootstrap", "--yes")
    store.sql(f"INSERT INTO {RUNS} (run_id, at, number) VALUES ('r', timestamp'2024-01-31 23:30:00Z', 1)")
    files.schemas["runs"] = [each for each in files.schemas["runs"] if each["name"] != "number"]
    files.field("runs", "state")["mode"] = "REQUIRED"
    store.sql(f"UPDATE {RUNS} SET state = NULL")
    files.write()
    reported = ljm("bootstrap", "--yes").stdout
    assert "(only reported; --evolve changes what loses no data)" in reported
    refused = ljm("bootstrap", "--evolve", "--yes", code=1).stdout
    assert "drop, SMALLINT → nothing: 1 value would be lost: declare it, or drop it yourself" in refused
    assert "require, NULLABLE → REQUIRED: 1 row would break it: give them a value first" in refused


def test_nulls_given_a_value_a_column_can_be_required(files: SetupFolder, store: DeltaStore) -> None:
    run(files, store)
    store.sql(f"INSERT INTO {RUNS} (run_id, at) VALUES ('r', timestamp'2024-01-31 23:30:00Z')")
    files.field("runs", "number")["mode"] = "REQUIRED"
    boot = bootstrap(files, store)
    assert not boot.plan(Wishes(evolve=True))[0].plan.effective
    store.sql(f"UPDATE {RUNS} SET number = 1")
    assert run(files, store, evolve=True) == ["update runs"]
    with pytest.raises(Exception, match="'number' is required, but NULL"):
        store.sql(f"INSERT INTO {RUNS} (run_id, at) VALUES ('s', timestamp'2024-01-31 23:30:00Z')")


def test_what_is_in_the_way_is_left_alone_and_the_tables_made_before_are_removed(
    files: SetupFolder, store: DeltaStore
) -> None:
    boot = bootstrap(files, store)
    (planned,) = boot.plan()
    place = store.home / "tables" / "main" / "tenants"
    place.mkdir(parents=True)
    (place / "runs").write_text("something else is here", "utf-8")
    with pytest.raises(ApplyError, match="runs failed, and what was done before it is taken back"):
        boot.apply(planned)
    assert store.info(TENANTS) is None
    assert [each.name for each in place.iterdir() if not each.name.startswith("_ljm")] == ["runs"]
    (place / "runs").unlink()
    assert run(files, store) == ["create tenants", "create runs"]


def test_a_first_run_that_fails_leaves_no_dataset(files: SetupFolder, store: DeltaStore) -> None:
    files.schemas["aa"] = [{"name": "id", "type": "STRING"}]
    files.tables.append("aa")
    boot = bootstrap(files, store)
    (planned,) = boot.plan()
    *first, last = planned.plan.actions
    assert last.spec is not None
    no_type = replace(last.spec, columns=(replace(last.spec.columns[0], type="NO_SUCH_TYPE"),))
    plan = replace(planned.plan, actions=(*first, replace(last, spec=no_type)))
    with pytest.raises(ApplyError, match="aa failed, and what was done before it is taken back"):
        boot.apply(replace(planned, plan=plan))
    assert store.listed("main", "tenants") is None


def test_a_failed_evolution_restores_what_it_changed(
    files: SetupFolder, store: DeltaStore, caplog: pytest.LogCaptureFixture
) -> None:
    run(files, store)
    before = store.info(TENANTS)
    assert before is not None
    files.field("tenants", "price")["precision"] = 12
    files.schemas["runs"].append({"name": "note", "type": "STRING"})
    boot = bootstrap(files, store)
    (planned,) = boot.plan(Wishes(evolve=True))
    log = store.home / "tables" / "main" / "tenants" / "runs" / "_delta_log"
    log.chmod(0o500)
    blocker = log / f"{1:020}.json"
    blocker.parent.chmod(0o700)
    blocker.mkdir()  # a folder where the next commit would lie: the write can't succeed
    with caplog.at_level(logging.ERROR, "lakeflow_job_meta.bootstrap"), pytest.raises((ApplyError, ConflictError)):
        boot.apply(planned)
    now = store.info(TENANTS)
    assert now is not None
    assert now.columns == before.columns
    told = next(each for each in caplog.records if getattr(each, "outcome", "") == "failed")
    assert (getattr(told, "table"), getattr(told, "correlation_id")) == (str(RUNS), boot.correlation_id)  # noqa: B009
    rows = store.read(TableName.parse("main.tenants._ljm_log")).rows
    failed = [row for row in rows if row["correlation_id"] == boot.correlation_id]
    assert {(row["module_name"], row["outcome"]) for row in failed} == {
        (str(TENANTS), "failed"),
        (str(RUNS), "failed"),
    }


def test_a_table_that_moved_since_it_was_planned_is_not_touched(files: SetupFolder, store: DeltaStore) -> None:
    run(files, store)
    files.schemas["runs"].append({"name": "note", "type": "STRING"})
    boot = bootstrap(files, store)
    (planned,) = boot.plan(Wishes(evolve=True))
    store.sql(f"INSERT INTO {RUNS} (run_id, at) VALUES ('r', timestamp'2024-01-31 23:30:00Z')")
    with pytest.raises(ConflictError, match="runs changed since the plan was made"):
        boot.apply(planned)
    assert len(store.read(RUNS).rows) == 1


def test_the_processor_is_awaited_and_says_what_it_did(files: SetupFolder, store: DeltaStore) -> None:
    context = {"pipeline": files.pipeline, "store": store, "settings": Settings(home=store.home)}
    done = asyncio.run(get_engine().execute({}, context))
    assert (done["status"], named(done["created"]), done["skipped"]) == ("success", ["runs", "tenants"], [])
    again = asyncio.run(get_engine().execute({"force_recreate_tables": True}, context))
    assert named(again["recreated"]) == ["runs", "tenants"]
    with pytest.raises(UsageError, match="the dataset tenants would be deleted"):
        asyncio.run(get_engine().execute({"force_recreate_dataset": True}, context))
    gone = asyncio.run(get_engine().execute({"force_recreate_dataset": True}, {**context, "yes_delete": "tenants"}))
    assert named(gone["recreated"]) == ["runs", "tenants"]


def test_a_second_dataset_is_another_step_with_a_folder_of_its_own(ljm: Shell, files: SetupFolder) -> None:
    other = files.folder.parent / "pipelines" / "registry"
    (other / "schemas").mkdir(parents=True)
    (other / "config.yml").write_text("dataset: registry\ntables: [stages]\n", "utf-8")
    (other / "schemas" / "stages.json").write_text('[{"name": "stage_id", "type": "STRING"}]', "utf-8")
    more = "- {step_id: registry, ps_type: setup.initial.onetime_bootstrap, config: {folder: ../pipelines/registry}}\n"
    pipeline = files.folder / "bootstrap_system.yml"
    pipeline.write_text(pipeline.read_text("utf-8") + more, "utf-8")
    made = [each["table"] for each in ljm.json("bootstrap", "--yes")["outcomes"]]
    assert made == ["main.tenants", str(TENANTS), str(RUNS), "main.registry", "main.registry.stages"]
    refused = ljm("bootstrap", "--force-all", "--yes-delete", "tenants", code=2)
    assert "if that is meant: --yes-delete registry" in refused.stderr
    ljm("bootstrap", "--force-all", "--yes-delete", "tenants", "--yes-delete", "registry")
    assert [each["summary"] for each in ljm.json("bootstrap")["plans"]] == [{"skip": 2}, {"skip": 1}]


def test_what_is_wrong_with_the_files_of_all_steps_is_told_at_once(ljm: Shell, files: SetupFolder) -> None:
    step = "- {{step_id: {0}, ps_type: setup.initial.onetime_bootstrap, config: {{{1}}}}}\n"
    pipeline = files.folder / "bootstrap_system.yml"
    more = step.format("again", "force_recreate_tables: true") + step.format("gone", "folder: nowhere")
    pipeline.write_text(pipeline.read_text("utf-8") + more, "utf-8")
    told = ljm("bootstrap", code=1).stderr
    assert "main.tenants is set up by step 's' and by step 'again'" in told
    assert "nowhere" in told


class Stepwise(OnetimeBootstrapProcessor):
    """A processor that takes its steps for one table alone."""

    def make(self, store: DeltaStore, folder: Path, table: str) -> list[bool]:
        spec = self._load_table_schema(folder, table)
        return [
            self._ensure_tenants_dataset(store, spec.name.catalog, spec.name.schema),
            self._ensure_table(store, spec),
        ]


def test_the_steps_of_the_processor_can_be_taken_alone(files: SetupFolder, store: DeltaStore) -> None:
    engine, folder = Stepwise(), files.folder / "initial"
    with pytest.raises(UsageError, match=r"config\.yml lists no table 'run'"):
        engine.make(store, folder, "run")
    assert [engine.make(store, folder, "RUNS") for _ in range(2)] == [[True, True], [False, False]]
    assert run(files, store) == ["create tenants"]


def test_what_was_done_is_read_by_sql_also_where_no_control_table_is_named(ljm: Shell) -> None:
    done = ljm("bootstrap", "--yes").stderr
    rows = ljm.json("sql", "SELECT * FROM main.tenants._ljm_log")
    assert [(row["module_name"], row["action"], row["outcome"]) for row in rows] == [
        ("main.tenants", "create", "done"),
        (str(TENANTS), "create", "done"),
        (str(RUNS), "create", "done"),
    ]
    assert all(f"correlation_id={row['correlation_id']} tenant_id=system" in done for row in rows)


def test_the_checks_are_printed_and_fail_where_something_is_wrong(ljm: Shell, store: DeltaStore) -> None:
    assert "there is no such dataset" in ljm("bootstrap", "--check", code=1).stdout
    ljm("bootstrap", "--yes")
    store.sql(f"INSERT INTO {RUNS} (run_id, at) VALUES ('r', timestamp'2024-01-31 23:30:00Z')")
    checks = {each["check"]: each for each in ljm.json("bootstrap", "--check")["checks"]}
    assert checks["main.tenants.runs: readable"]["found"] == "1 row"
    assert checks["main.tenants.runs: partitions"]["found"] == "every row is in the partition of its day"
    assert {each["status"] for each in checks.values()} == {"ok"}
    store.sql("DROP TABLE main.tenants.runs")
    assert "missing: runs" in ljm("bootstrap", "--check", code=1).stdout


def test_what_others_write_between_the_look_and_the_change_stays(files: SetupFolder, store: DeltaStore) -> None:
    run(files, store)
    files.schemas["runs"].append({"name": "note", "type": "STRING"})
    faster = Faster(store.home)
    boot = Bootstrap(files.write(), settings=Settings(home=store.home), store=faster)
    (planned,) = boot.plan(Wishes(evolve=True))
    with pytest.raises(ConflictError, match="runs was written by somebody else meanwhile"):
        boot.apply(planned)
    assert [row["run_id"] for row in store.read(RUNS).rows] == ["theirs"]
    now = store.info(RUNS)
    assert now is not None
    assert "note" not in [each.name for each in now.columns]


def test_a_config_that_no_file_declares_is_checked_too(files: SetupFolder, store: DeltaStore) -> None:
    context = {"pipeline": files.pipeline, "store": store, "settings": Settings(home=store.home)}
    for config, says in (
        ({"force_recreate_dataset": "false"}, "force_recreate_dataset is 'false', expected true or false"),
        ({"force_recreate_table": True}, "unknown key 'force_recreate_table'"),
        ({"dataset": "../../elsewhere"}, "is not an identifier"),
    ):
        with pytest.raises(UsageError, match=says):
            asyncio.run(get_engine().execute(config, context))
    assert store.listed("main", "tenants") is None


class Faster(DeltaStore):
    """A store on which somebody else writes just before our first change of a column."""

    def sql(self, text: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        if text.startswith("ALTER TABLE") and "ADD COLUMN" in text:
            other = DeltaStore(self.home)
            other.sql(f"INSERT INTO {RUNS} (run_id, at) VALUES ('theirs', timestamp'2024-01-31 23:30:00Z')")
        return super().sql(text, parameters)
