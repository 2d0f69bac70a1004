"""The record of pipeline runs: what stages write of themselves, and what is written for those that can't any more."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta.errors import UsageError
from lakeflow_job_meta.model.run import Run, milliseconds
from lakeflow_job_meta.model.table import TableName, TableSpec
from lakeflow_job_meta.pipelines.registry import Direction
from lakeflow_job_meta.pipelines.runs.record import RunRecord
from lakeflow_job_meta.pipelines.runs.rows import StageRun
from lakeflow_job_meta.pipelines.runs.settled import Known
from lakeflow_job_meta.pipelines.stage_task import StageTask, stages_of
from lakeflow_job_meta.pipelines.stages.stage import StageOutcome
from lakeflow_job_meta.store.delta import DeltaStore

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
TABLE = "shop.public.orders"
CHECK = StageTask(TABLE, "default", Direction.SOURCE_TO_DL, "driver_check", "Check", 1, 1, 2)
EXTRACT = replace(CHECK, stage_type="extract", stage_name="Extract", stage_order=4, position=2)
STAGES = {"check": CHECK, "extract": EXTRACT}


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def spec(name: str) -> TableSpec:
    schemas = resources.files("lakeflow_job_meta.pipelines") / "dataset" / "schemas"
    return TableSpec.from_json(TableName("main", "pipelines", name), json.loads((schemas / f"{name}.json").read_text()))


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    specs = [spec(name) for name in ("pipeline_runs_master", "pipeline_run_stage_logs", "pipeline_config")]
    store = DeltaStore(tmp_path)
    for each in specs:
        store.create(each)
    columns = {"source_type": "postgres", "sink_type": "postgres", "source_to_dl_load_type": "full"}
    store.append(specs[2], [{"source_tablename": TABLE, **columns}])
    return RunRecord(store, *specs)


def begin(record: RunRecord, stage: StageTask, task_run_id: int, at: float = 0, run_id: int = 7) -> StageRun:
    run = StageRun(stage, run_id, task_run_id)
    record.begin(run, later(at))
    return run


def the_run(record: RunRecord) -> dict[str, Any]:
    (row,) = record.rows()
    return dict(row)


def config(record: RunRecord) -> dict[str, Any]:
    (row,) = record.store.read(record.config.name).rows
    return dict(row)


def told(state: str, result: str | None, *tasks: dict[str, Any], **more: Any) -> Known:
    """A run as the workspace tells it."""
    given = {
        "run_id": 7, "job_id": 1, "start_time": 1_000, "trigger": "PERIODIC", "tasks": list(tasks),
        "state": {"life_cycle_state": state, "result_state": result}, **more,
    }  # fmt: skip
    return Known(Run.from_api(given), STAGES)


def task(
    key: str, run_id: int, state: str, result: str | None = None, message: str = "", **more: Any
) -> dict[str, Any]:
    about = {"life_cycle_state": state, "result_state": result, "state_message": message}
    return {"run_id": run_id, "task_key": key, "start_time": 2_000, "end_time": 5_250, "state": about, **more}


def test_a_run_goes_from_pending_over_its_stages_to_success(record: RunRecord) -> None:
    record.pending(7, CHECK, NOW)
    asked = the_run(record)
    assert (asked["status"], asked["current_stage"], asked["total_stages"]) == ("pending", 0, 2)
    check = begin(record, replace(CHECK, triggered_by="manual"), 70, at=1)
    assert (the_run(record)["status"], the_run(record)["current_stage"]) == ("running", 1)
    record.succeed(check, StageOutcome(), None, later(2))
    assert the_run(record)["completed_at"] is None
    extract = begin(record, EXTRACT, 71, at=3)
    record.succeed(extract, StageOutcome(12, ("a.parquet", "b.parquet")), later(-60), later(4.5))
    row = the_run(record)
    assert row["status"] == "success" and row["started_at"] == NOW and row["completed_at"] == later(4.5)
    assert (row["current_stage"], row["triggered_by"], row["error_message"]) == (2, "manual", None)
    assert [(each["stage_order"], each["status"], each["time_taken"]) for each in record.stage_rows(7)] == [
        (1, "success", "00:00:01.000"), (4, "success", "00:00:01.500"),
    ]  # fmt: skip
    moved = record.stage_rows(7)[1]
    assert (moved["rows_processed"], json.loads(moved["file_paths"])) == (12, ["a.parquet", "b.parquet"])
    assert config(record)["source_to_dl_last_incremental_value"] == later(-60)


def test_a_failed_stage_fails_its_run_with_the_cause_and_a_repair_takes_it_up_again(record: RunRecord) -> None:
    check = begin(record, CHECK, 70)
    record.fail(check, "no such table", later(1))
    row = the_run(record)
    assert (row["status"], row["error_message"], row["completed_at"]) == ("failed", "Check: no such table", later(1))
    begin(record, CHECK, 72, at=60)
    row = the_run(record)
    assert (row["status"], row["error_message"], row["completed_at"]) == ("running", None, None)
    assert [each["status"] for each in record.stage_rows(7)] == ["failed", "running"]


def test_what_was_asked_for_is_pending_only_until_it_has_begun(record: RunRecord) -> None:
    begin(record, CHECK, 70)
    record.pending(7, CHECK, NOW)
    assert the_run(record)["status"] == "running"


def test_the_registrys_row_repeats_when_the_sink_was_loaded_and_how_that_went(record: RunRecord) -> None:
    load = replace(EXTRACT, direction=Direction.DL_TO_SINK, stage_type="load")
    record.succeed(begin(record, load, 71), StageOutcome(3), None, later(9))
    loaded = config(record)
    assert loaded["dl_to_sink_last_loader_run_timestamp"] == later(9)
    assert loaded["dl_to_sink_last_loader_run_status"] == "success"
    record.fail(StageRun(load, 6, 61), "an older run that was late to tell", later(3))
    assert config(record) == loaded
    record.fail(StageRun(load, 8, 81), "the sink is gone", later(20))
    assert config(record)["dl_to_sink_last_loader_run_status"] == "failed"
    assert loaded["source_to_dl_load_type"] == config(record)["source_to_dl_load_type"] == "full"


def test_a_row_that_was_deleted_meanwhile_is_not_brought_back(record: RunRecord) -> None:
    run = begin(record, EXTRACT, 71)
    record.store.sql(f"DELETE FROM {record.config.name}")
    record.succeed(run, StageOutcome(1), NOW, later(1))
    assert record.store.read(record.config.name).rows == ()


def test_a_table_of_the_record_that_somebody_dropped_is_made_again(record: RunRecord) -> None:
    for each in (record.runs, record.stages):
        record.store.sql(f"DROP TABLE {each.name}")
    record.fail(begin(record, CHECK, 70), "no such table", later(1))
    assert the_run(record)["status"] == "failed" and len(record.stage_rows(7)) == 1


def test_a_killed_stage_is_settled_from_the_workspaces_run(record: RunRecord) -> None:
    record.succeed(begin(record, CHECK, 70, at=1), StageOutcome(), None, later(2))
    begin(record, EXTRACT, 71, at=3)
    killed = told(
        "TERMINATED", "FAILED", task("check", 70, "TERMINATED", "SUCCESS"),
        task("extract", 71, "TERMINATED", "FAILED", "The process was ended by signal 9 (SIGKILL)."),
        end_time=1_801_000_000_000,
    )  # fmt: skip
    assert record.settle([killed]) == 1
    row = the_run(record)
    assert (row["status"], row["current_stage"]) == ("failed", 2)
    assert row["error_message"] == "Extract: The process was ended by signal 9 (SIGKILL)."
    assert row["completed_at"] == datetime.fromtimestamp(1_801_000_000, UTC)
    assert [each["status"] for each in record.stage_rows(7)] == ["success", "failed"]
    versions = [record.store.info(each.name) for each in (record.runs, record.stages)]
    assert record.settle([killed]) == 0
    assert versions == [record.store.info(each.name) for each in (record.runs, record.stages)], "it is written once"


def test_a_run_that_no_stage_told_of_gets_its_rows_from_the_workspace(record: RunRecord) -> None:
    goes_on = told("RUNNING", None, task("check", 70, "RUNNING"), task("extract", 71, "BLOCKED"))
    assert record.settle([goes_on]) == 0
    row = the_run(record)
    assert (row["status"], row["triggered_by"], row["current_stage"]) == ("running", "schedule", 1)
    ended = told(
        "TERMINATED", "SUCCESS", task("check", 70, "TERMINATED", "SUCCESS"),
        task("extract", 71, "TERMINATED", "SUCCESS", local={"rows_written": 5}), end_time=9_000,
    )  # fmt: skip
    assert record.settle([ended]) == 1
    row = the_run(record)
    assert (row["status"], row["current_stage"], row["pipeline_name"]) == ("success", 2, "default")
    assert [(each["id"], each["rows_processed"], each["time_taken"]) for each in record.stage_rows(7)] == [
        (70, None, "00:00:03.250"), (71, 5, "00:00:03.250"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("known", "error"),
    [
        (told("TERMINATED", "CANCELED", task("check", 70, "SKIPPED", "CANCELED"), end_time=9_000), "cancelled"),
        (
            told(
                "INTERNAL_ERROR", "FAILED", task("check", 70, "INTERNAL_ERROR", "FAILED", "no cluster could be had"),
                task("extract", 71, "SKIPPED", "UPSTREAM_FAILED", "An upstream task failed."), end_time=9_000,
            ),
            "Check: no cluster could be had",
        ),
        (told("GONE", None), "the workspace doesn't say why"),
    ],
)  # fmt: skip
def test_a_run_that_never_began_or_was_lost_has_failed_and_says_why(
    record: RunRecord, known: Known, error: str
) -> None:
    record.pending(7, CHECK, NOW)
    assert record.settle([known]) == 1
    row = the_run(record)
    assert row["status"] == "failed" and error in row["error_message"] and row["triggered_by"] == "manual"


def test_stages_that_a_dead_server_takes_with_it_unbegun_have_no_row(record: RunRecord) -> None:
    lost = "The embedded workspace ended while this run was under way"
    after = {"depends_on": [{"task_key": "check"}], "start_time": 1_000}
    tasks = (
        task("check", 70, "INTERNAL_ERROR", "FAILED", lost),
        task("extract", 71, "INTERNAL_ERROR", "FAILED", lost, **after),
    )
    record.settle([told("INTERNAL_ERROR", "FAILED", *tasks, end_time=9_000)])
    assert the_run(record)["current_stage"] == 1 and lost in the_run(record)["error_message"]
    assert [row["id"] for row in record.stage_rows(7)] == [70]


def test_an_old_look_does_not_undo_what_a_stage_told_since(record: RunRecord) -> None:
    look = told("RUNNING", None, task("check", 70, "TERMINATED", "SUCCESS"), task("extract", 71, "RUNNING"))
    record.succeed(begin(record, replace(CHECK, triggered_by="api"), 70), StageOutcome(), None, later(1))
    record.succeed(begin(record, EXTRACT, 71), StageOutcome(9), None, later(2))
    before = the_run(record), record.stage_rows(7)
    assert record.settle([look]) == 0
    assert (the_run(record), record.stage_rows(7)) == before


def test_a_run_that_was_repaired_and_failed_again_tells_the_newer_cause(record: RunRecord) -> None:
    record.fail(begin(record, CHECK, 70), "no such table", later(1))
    after = milliseconds(later(60))
    again = task("extract", 72, "TERMINATED", "FAILED", "killed", start_time=after, end_time=after + 2_000)
    earlier = task("check", 71, "TERMINATED", "SUCCESS", start_time=after - 9, end_time=after)
    record.settle([told("RUNNING", None, earlier, {**again, "state": {"life_cycle_state": "RUNNING"}})])
    assert (the_run(record)["status"], the_run(record)["error_message"]) == ("running", None)
    assert record.settle([told("TERMINATED", "FAILED", earlier, again, end_time=after + 2_000)]) == 1
    row = the_run(record)
    assert (row["status"], row["error_message"], row["completed_at"]) == ("failed", "Extract: killed", later(62))


def test_the_cause_that_the_stage_told_is_kept_over_what_the_workspace_says(record: RunRecord) -> None:
    record.fail(begin(record, CHECK, 70), "table public.orders has no column 'id'", later(1))
    failed = task("check", 70, "TERMINATED", "FAILED", "Workload failed, see run output for details")
    record.settle([told("TERMINATED", "FAILED", failed, end_time=9_000)])
    assert the_run(record)["error_message"] == "Check: table public.orders has no column 'id'"


def test_a_success_whose_process_was_killed_before_it_ended_is_a_failed_run(record: RunRecord) -> None:
    record.succeed(begin(record, EXTRACT, 71), StageOutcome(9), None, later(2))
    record.settle([told("TERMINATED", "FAILED", task("extract", 71, "TERMINATED", "FAILED", "killed"), end_time=9_000)])
    assert the_run(record)["status"] == "failed"
    (stage,) = record.stage_rows(7)
    assert (stage["status"], stage["rows_processed"]) == ("failed", 9)


def test_many_runs_are_recorded_at_once_and_none_loses_a_row(record: RunRecord) -> None:
    def run(number: int) -> None:
        # A store of its own, as each process has.
        ours = replace(record, store=DeltaStore(record.store.home))  # type: ignore[attr-defined]
        for stage, task_run in ((CHECK, number * 10), (EXTRACT, number * 10 + 1)):
            ours.succeed(begin(ours, stage, task_run, run_id=number), StageOutcome(number), None, later(1))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(1, 9)))
    assert sorted((row["id"], row["status"]) for row in record.rows()) == [(each, "success") for each in range(1, 9)]
    stages = record.store.read(record.stages.name).rows
    assert sorted((row["pipeline_run_id"], row["rows_processed"]) for row in stages) == [
        (each, each) for each in range(1, 9) for _ in range(2)
    ]


def test_the_stages_of_a_job_are_read_from_its_settings_whatever_kind_of_task_they_are() -> None:
    def told_to(stage: StageTask) -> dict[str, str]:
        return {
            "source_tablename": TABLE, "pipeline_name": "default", "direction": "source_to_dl",
            "stage_type": stage.stage_type, "stage_name": stage.stage_name, "stage_order": str(stage.stage_order),
            "stage_position": str(stage.position), "stage_count": "2", "trigger_type": "{{job.trigger.type}}",
        }  # fmt: skip

    settings: dict[str, Any] = {
        "tasks": [
            {"task_key": "check", "python_wheel_task": {"named_parameters": told_to(CHECK)}},
            {"task_key": "extract", "notebook_task": {"base_parameters": told_to(EXTRACT)}},
            {"task_key": "other", "sql_task": {}},
        ]
    }
    assert stages_of(settings) == STAGES
    with pytest.raises(UsageError, match=r"stage_order: expected a number, found 'x'.*expected source_to_dl or dl_to"):
        StageTask.of({**told_to(CHECK), "stage_order": "x", "direction": "source_to_lake"})
