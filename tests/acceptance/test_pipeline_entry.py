"""The program of a stage's task: what it is told, what it reads when it runs, what it leaves in the record."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta.errors import InputError, LakeflowJobMetaError, UsageError
from lakeflow_job_meta.pipelines.entry import StageFailed, main
from tests.registered_shop import Shop

HIDDEN = "hunter2-and-a-bit-more"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    made = Shop.of_files(tmp_path / "home", tmp_path, "main")
    told = {"source_to_dl_load_type": "incremental", "source_to_dl_incremental_key": "updated_at"}
    made.table("orders", **told)
    made.orders("orders", (1, "new", "01 08:00:00"), (2, "new", "02 08:00:00"))
    made.declare()
    return made


def given(shop: Shop, **other: Any) -> list[str]:
    told = {
        "source_tablename": "shop.orders", "pipeline_name": shop.template, "direction": "source_to_dl",
        "stage_type": "extract", "stage_name": "Extract", "stage_order": 1, "stage_position": 1, "stage_count": 1,
        "control_table": shop.control_table, "home": shop.home, "job_run_id": 7, "task_run_id": 70,
        "trigger_type": "periodic", "triggered_by": "", "backfill_from": "", "backfill_to": "", **other,
    }  # fmt: skip
    return [f"--{name}={value}" for name, value in told.items()]


def the_run(shop: Shop) -> dict[str, Any]:
    return shop.record()[-1]


def test_a_stage_prints_what_it_did_and_records_it(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(given(shop)) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["rows_processed"] == 2 and printed["watermark"].startswith("2026-11-02 08:00:00")
    row = the_run(shop)
    assert (row["id"], row["status"], row["triggered_by"]) == (7, "success", "schedule")
    assert [each["order_id"] for each in shop.lake("orders")] == [1, 2]


def test_what_the_row_says_when_the_stage_runs_counts_not_what_it_was_when_the_job_was_made(shop: Shop) -> None:
    config = f"{shop.catalog}.pipelines.pipeline_config"
    shop.sql(f"UPDATE {config} SET source_to_dl_load_type = 'full'")
    shop.source("UPDATE orders SET updated_at = NULL")
    assert main(given(shop, load_type="incremental")) == 0


def test_both_ends_of_a_backfill_are_needed_and_its_span_is_moved(shop: Shop) -> None:
    assert main(given(shop)) == 0
    shop.source("UPDATE orders SET status = 'fixed'")
    with pytest.raises(UsageError, match="both of backfill_from and backfill_to"):
        main(given(shop, backfill_from="2026-11-01", task_run_id=71))
    assert "both of backfill_from" in the_run(shop)["error_message"]
    assert main(given(shop, backfill_from="2026-11-01", backfill_to="2026-11-02", task_run_id=72)) == 0
    assert [each["status"] for each in shop.lake("orders")] == ["fixed", "new"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("DELETE FROM {}.pipeline_config", "shop.orders isn't registered any more"),
        ("UPDATE {}.pipeline_config SET source_type = 'sqlit'", "source_type: unknown type 'sqlit'"),
        ("DELETE FROM {}.sources_config", "none is registered"),
        ("UPDATE {}.sources_config SET source_creds = NULL", "'path' is missing"),
        ('UPDATE {}.sources_config SET source_creds = \'{{"path": "env:NOWHERE"}}\'', "NOWHERE is not set"),
        ('UPDATE {}.sources_config SET source_creds = \'{{"path": "/nowhere/shop.db"}}\'', "/nowhere/shop.db"),
        ("UPDATE {}.sources_config SET source_creds = '{{'", "can't be read: bad JSON"),
    ],
)
def test_what_is_wrong_with_a_row_is_told_in_the_run(shop: Shop, change: str, words: str) -> None:
    shop.sql(change.format(f"{shop.catalog}.pipelines"))
    with pytest.raises(LakeflowJobMetaError, match=words):
        main(given(shop))
    row = the_run(shop)
    assert row["status"] == "failed" and row["error_message"].startswith("Extract: ") and words in row["error_message"]


def test_an_unknown_stage_is_told_with_the_nearest_name(shop: Shop) -> None:
    with pytest.raises(InputError, match="did you mean 'extract'"):
        main(given(shop, stage_type="extrac"))
    assert "there is no stage of the type 'extrac'" in the_run(shop)["error_message"]


def test_what_the_task_is_told_is_checked_as_a_whole(shop: Shop) -> None:
    wrong = given(shop, stage_order="", direction="dl", stage_count="two")
    with pytest.raises(UsageError, match=r"stage_order is missing; stage_count: .* 'two'; direction: .* found 'dl'"):
        main(wrong)
    with pytest.raises(UsageError, match="unrecognized arguments: --stage_typ=x"):
        main([*given(shop), "--stage_typ=x"])
    with pytest.raises(UsageError, match="job_run_id: expected the id"):
        main(given(shop, job_run_id="{{job.run_id}}"))


def test_no_secret_that_a_stage_has_read_gets_into_its_error_its_trace_or_the_record(shop: Shop) -> None:
    folder = shop.folder / HIDDEN
    creds = json.dumps({"path": "env:SHOP_FILE"})
    shop.sql(f"UPDATE {shop.catalog}.pipelines.sources_config SET source_creds = '{creds}'")
    environment = {**os.environ, "SHOP_FILE": str(folder / "shop.db")}
    command = [sys.executable, "-c", "from lakeflow_job_meta.pipelines.entry import main; main()", *given(shop)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode and HIDDEN not in done.stdout + done.stderr
    error = the_run(shop)["error_message"]
    assert "(masked)" in error and HIDDEN not in error


def test_an_error_that_nobody_foresaw_is_told_by_its_root_and_raised_as_it_is(shop: Shop) -> None:
    # The disk of the home is full, or somebody took its rights away: here, a file stands where a table should be.
    (shop.home / "tables" / shop.catalog / "dl").write_text("")
    with pytest.raises((OSError, LakeflowJobMetaError)) as caught:
        main(given(shop))
    assert not isinstance(caught.value, StageFailed)
    assert the_run(shop)["status"] == "failed"


def test_two_tables_that_are_moved_at_once_leave_both_their_records(shop: Shop) -> None:
    with closing(sqlite3.connect(shop.folder / "shop.db")) as connection, connection:
        connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY)")
    shop.tables["items"] = {}
    shop.declare()
    commands = [given(shop), given(shop, source_tablename="shop.items", job_run_id=8, task_run_id=80)]
    program = "from lakeflow_job_meta.pipelines.entry import main; main()"
    processes = [subprocess.Popen([sys.executable, "-c", program, *each]) for each in commands]
    assert [process.wait(120) for process in processes] == [0, 0]
    assert [(row["id"], row["status"]) for row in shop.record()] == [(7, "success"), (8, "success")]
