"""The one-time bootstrap of the tenants dataset: as a script it sets it up, under pytest it proves what it promises.

    python tests/test_bootstrap_setup.py                   what is missing is made
    python tests/test_bootstrap_setup.py --force-tables    all tables anew and empty, after a question
    python tests/test_bootstrap_setup.py --force-all       the whole dataset anew, after a question

Where nobody can be asked, `--yes-delete tenants` answers. `--home` says where embedded tables live.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SETUP = ROOT / "metadata" / "setup"
PIPELINE = SETUP / "bootstrap_system.yml"


def main(arguments: list[str]) -> int:
    """Run the bootstrap as the command line does."""
    parser = argparse.ArgumentParser(description="Set up the tenants dataset and its tables.")
    force = parser.add_mutually_exclusive_group()
    force.add_argument("--force-tables", action="store_true", help="make all tables anew; copies of them are kept")
    force.add_argument("--force-all", action="store_true", help="delete the dataset and make it anew")
    parser.add_argument("--yes-delete", metavar="DATASET", help="the dataset's name: don't ask")
    parser.add_argument("--pipeline", default=str(PIPELINE), help="the pipeline file")
    parser.add_argument("--home", help="where embedded tables live")
    given = parser.parse_args(arguments)
    from lakeflow_job_meta.cli.app import run

    command = ["bootstrap", "--pipeline", given.pipeline]
    command += ["--force-tables"] if given.force_tables else []
    command += ["--force-all", "--yes-delete", given.yes_delete or ""] if given.force_all else []
    command += ["--home", given.home] if given.home else []
    said = given.yes_delete is not None and given.yes_delete in _datasets(Path(given.pipeline))
    if said or not given.force_tables:
        command += ["--yes"]  # to make what is missing takes nothing away
    elif not sys.stdin.isatty():
        _ = run([*command, "--dry-run"])
        parser.error("all tables would be made anew, and nobody can be asked: --yes-delete tenants, if that is meant")
    return run(command)


def _datasets(pipeline: Path) -> list[str]:
    from lakeflow_job_meta.bootstrap import Bootstrap
    from lakeflow_job_meta.errors import InputError

    try:
        return [dataset.name for _, dataset in Bootstrap(pipeline).datasets()]
    except InputError:
        return []  # the command tells what is wrong with the files


if __name__ == "__main__":  # here, since a script needs nothing that only tests need: pytest may not be installed
    raise SystemExit(main(sys.argv[1:]))

# ruff: noqa: E402

import asyncio
import json
import os
import pty
import shutil
import subprocess
from typing import Any

import pytest

from lakeflow_job_meta.bootstrap.onetime_bootstrap_processor import OnetimeBootstrapProcessor, get_engine
from lakeflow_job_meta.model.table import Column, TableInfo, TableName
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.store.delta import DeltaStore

DAILY = {"usage_date": "usage_date", "scheduled_time": "scheduled_time_day"}
"""What a table is partitioned by, and the column that holds its day."""

LAYOUT: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "tenant_profiles": (None, ()),
    "tenant_api_keys": (None, ()),
    "tenant_subscriptions": (None, ()),
    "tenant_usage_quotas": ("usage_date", ("tenant_id", "usage_date")),
    "tenant_cloud_credentials": (None, ()),
    "tenant_pipeline_configs": (None, ()),
    "scheduled_pipeline_runs": ("scheduled_time", ("tenant_id", "state", "config_id")),
    "pipeline_execution_queue": ("scheduled_time", ("state", "priority", "tenant_id")),
}
"""The eight tables: partitioning and clustering, as the reference document has them."""

DELTA = {
    "STRING": "STRING", "JSON": "STRING", "BYTES": "BINARY", "INT64": "BIGINT", "FLOAT64": "DOUBLE", "BOOL": "BOOLEAN",
    "DATE": "DATE", "TIMESTAMP": "TIMESTAMP", "RECORD": "STRUCT",
}  # fmt: skip


def script(*arguments: str, home: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """This file as a script, where nobody can be asked."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__)), "--home", str(home), *arguments], capture_output=True, text=True,
        stdin=subprocess.DEVNULL, cwd=home.parent, timeout=120, check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith("LAKEFLOW_")},
    )  # fmt: skip
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


def in_a_terminal(answer: str, *arguments: str, home: Path) -> int:
    """This file as a script, where somebody types an answer; its exit code."""
    master, slave = pty.openpty()
    try:
        os.write(master, f"{answer}\n".encode())
        command = [sys.executable, str(Path(__file__)), "--home", str(home), *arguments]
        return subprocess.run(
            command, stdin=slave, capture_output=True, cwd=home.parent, timeout=120, check=False
        ).returncode
    finally:
        os.close(master)
        os.close(slave)


def schema_file(table: str) -> list[dict[str, Any]]:
    return json.loads((SETUP / "initial" / "schemas" / f"{table}.json").read_text("utf-8"))


def sql(home: Path, text: str) -> list[dict[str, Any]]:
    return DeltaStore(home).sql(text)


def tables(home: Path) -> list[str]:
    return [row["tableName"] for row in sql(home, "SHOW TABLES IN main.tenants")]


def info(home: Path, table: str) -> TableInfo:
    found = DeltaStore(home).info(TableName("main", "tenants", table))
    assert found is not None, f"{table} isn't there"
    return found


def versions(home: Path) -> dict[str, tuple[str, int]]:
    return {table: (info(home, table).table_id, info(home, table).version) for table in LAYOUT}


def add_row(home: Path) -> None:
    sql(
        home,
        "INSERT INTO main.tenants.pipeline_execution_queue (queue_id, run_id, tenant_id, config_id, scheduled_time) "
        "VALUES ('q1', 'r1', 't1', 'c1', TIMESTAMP '2026-01-31 23:30:00')",
    )


def queue(home: Path) -> list[dict[str, Any]]:
    return sql(home, "SELECT * FROM main.tenants.pipeline_execution_queue")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which this script ran once; for tests that only look."""
    home = tmp_path_factory.mktemp("bootstrap") / "home"
    script(home=home)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(made, tmp_path / "home"))


def test_the_central_dataset_is_created(made: Path) -> None:
    assert {"catalog": "main", "databaseName": "tenants"} in sql(made, "SHOW SCHEMAS IN main")


def test_all_eight_tables_and_no_others_are_created(made: Path) -> None:
    assert sorted(each for each in tables(made) if not each.startswith("_ljm_")) == sorted(LAYOUT)


@pytest.mark.parametrize("table", LAYOUT)
def test_a_table_has_the_columns_that_its_schema_file_declares(made: Path, table: str) -> None:
    found = {column.name: column for column in info(made, table).columns}
    declared = schema_file(table)
    day = [DAILY[by] for by in [LAYOUT[table][0]] if by is not None and DAILY[by] != by]
    assert list(found) == [each["name"] for each in declared] + day
    for each in declared:
        same_column(found[each["name"]], each)


def same_column(found: Column, declared: dict[str, Any]) -> None:
    kind = DELTA.get(declared["type"]) or f"DECIMAL({declared['precision']},{declared['scale']})"
    default = declared.get("default")
    assert (found.type.replace(" ", ""), found.mode, found.description, found.default) == (
        kind,
        declared["mode"],
        declared["description"],
        default,
    )
    assert [each.name for each in found.fields] == [each["name"] for each in declared.get("fields", ())]
    for inner, each in zip(found.fields, declared.get("fields", ()), strict=True):
        same_column(inner, each)


@pytest.mark.parametrize("table", LAYOUT)
def test_a_table_is_partitioned_and_clustered_as_the_document_has_it(made: Path, table: str) -> None:
    partition, cluster = LAYOUT[table]
    found = info(made, table)
    assert found.partition_by == (() if partition is None else (DAILY[partition],))
    assert found.cluster_by == cluster
    (detail,) = sql(made, f"DESCRIBE DETAIL main.tenants.{table}")
    assert tuple(detail["partitionColumns"]) == found.partition_by


def test_required_columns_and_defaults_are_enforced_and_a_row_falls_into_its_day(home: Path) -> None:
    add_row(home)
    (row,) = queue(home)
    assert (row["state"], row["priority"], row["attempt"]) == ("QUEUED", 5, 1)
    assert str(row["scheduled_time_day"]) == "2026-01-31"
    with pytest.raises(Exception, match="queue_id"):
        sql(home, "INSERT INTO main.tenants.pipeline_execution_queue (run_id) VALUES ('r2')")


def test_running_it_again_changes_nothing(home: Path) -> None:
    add_row(home)
    before = versions(home)
    again = script(home=home)
    assert versions(home) == before
    assert len(queue(home)) == 1
    assert "8 unchanged" in again.stdout


def test_only_what_is_missing_is_made(home: Path) -> None:
    before = versions(home)
    sql(home, "DROP TABLE main.tenants.tenant_api_keys")
    script(home=home)
    after = versions(home)
    assert {table for table in LAYOUT if before[table] != after[table]} == {"tenant_api_keys"}


@pytest.mark.parametrize("flag", ["--force-tables", "--force-all"])
def test_nothing_is_taken_away_unless_somebody_says_so(home: Path, flag: str) -> None:
    add_row(home)
    before = versions(home)
    assert "--yes-delete tenants" in script(flag, home=home, code=2).stderr
    assert "--yes-delete tenants" in script(flag, "--yes-delete", "tenant", home=home, code=2).stderr
    assert versions(home) == before
    assert len(queue(home)) == 1


@pytest.mark.parametrize(
    ("flag", "answer", "wrong"), [("--force-tables", "y", "n"), ("--force-all", "tenants", "tenant")]
)
def test_in_a_terminal_it_asks(home: Path, flag: str, answer: str, wrong: str) -> None:
    add_row(home)
    assert in_a_terminal(wrong, flag, home=home) == 1
    assert len(queue(home)) == 1
    assert in_a_terminal(answer, flag, home=home) == 0
    assert queue(home) == []


def test_forced_tables_are_new_and_empty_and_the_old_ones_are_kept_until_purged(home: Path) -> None:
    add_row(home)
    before = versions(home)
    script("--force-tables", "--yes-delete", "tenants", home=home)
    after = versions(home)
    assert all(before[table][0] != after[table][0] for table in LAYOUT)
    assert queue(home) == []
    kept = [each for each in tables(home) if each.startswith("pipeline_execution_queue__kept_")]
    assert [row["queue_id"] for row in sql(home, f"SELECT * FROM main.tenants.{kept[0]}")] == ["q1"]


def test_a_forced_dataset_is_new_with_nothing_of_the_old_one(home: Path) -> None:
    add_row(home)
    sql(home, "CREATE TABLE main.tenants.strange (id INT)")
    script("--force-all", "--yes-delete", "tenants", home=home)
    assert sorted(each for each in tables(home) if not each.startswith("_ljm_")) == sorted(LAYOUT)
    assert queue(home) == []


def test_a_table_is_added_by_a_schema_file_and_a_line_in_the_config(home: Path, tmp_path: Path) -> None:
    setup = Path(shutil.copytree(SETUP, tmp_path / "setup"))
    fields = [{"name": "field_name", "type": "STRING", "mode": "REQUIRED", "description": "Field description"}]
    (setup / "initial" / "schemas" / "new_table.json").write_text(json.dumps(fields), "utf-8")
    with (setup / "initial" / "config.yml").open("a", encoding="utf-8") as config:
        config.write("\n  - new_table\n")
    before = versions(home)
    script("--pipeline", str(setup / "bootstrap_system.yml"), home=home)
    assert versions(home) == before
    assert [column.name for column in info(home, "new_table").columns] == ["field_name"]


def test_the_processor_does_the_same_as_a_step_of_a_pipeline(tmp_path: Path) -> None:
    home = tmp_path / "home"
    engine = get_engine()
    assert isinstance(engine, OnetimeBootstrapProcessor)
    context = {"pipeline": PIPELINE, "settings": Settings(home=home), "tenant_id": "system"}
    step = {"ps_type": "setup.initial.onetime_bootstrap", "config": {"force_recreate_tables": False}}
    first = asyncio.run(engine.execute(step, context))
    names = sorted(f"main.tenants.{table}" for table in LAYOUT)
    assert (first["status"], sorted(first["created"]), first["skipped"]) == ("success", names, [])
    again = asyncio.run(get_engine().execute(step, context))
    assert (again["created"], sorted(again["skipped"])) == ([], names)


def test_there_are_no_custom_scripts_only_data_and_words() -> None:
    files = [path for path in (SETUP / "initial").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".yml", ".json", ".md"}
    assert sorted(path.stem for path in files if path.suffix == ".json") == sorted(LAYOUT)


def test_the_readme_tells_of_each_table_and_of_each_task() -> None:
    text = (SETUP / "initial" / "README.md").read_text("utf-8")
    assert [table for table in LAYOUT if f"| `{table}` |" not in text] == []
    tasks = ("## Add a table", "## Change a table", "## In production", "## Why not Alembic", "test_bootstrap_setup.py")
    assert [task for task in tasks if task not in text] == []


def test_files_that_cannot_be_used_are_told_and_nothing_is_made(tmp_path: Path) -> None:
    setup = Path(shutil.copytree(SETUP, tmp_path / "setup"))
    (setup / "initial" / "schemas" / "tenant_profiles.json").write_text("[", "utf-8")
    told = script(
        "--pipeline", str(setup / "bootstrap_system.yml"), "--yes-delete", "tenants", home=tmp_path / "home", code=1
    )
    assert "tenant_profiles.json:1:2: error: not valid JSON" in told.stderr
    assert not (tmp_path / "home").exists()


def test_the_script_says_how_it_is_used() -> None:
    done = subprocess.run([sys.executable, __file__, "--help"], capture_output=True, text=True, check=True)
    assert all(flag in done.stdout for flag in ("--force-tables", "--force-all", "--yes-delete"))
