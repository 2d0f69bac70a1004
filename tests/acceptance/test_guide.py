"""The metadata management guide, to the letter: its three workflows, its statements, its change detection, its FAQ."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta import ApplyError, JobOrchestrator, MetadataManager, MetadataMonitor
from lakeflow_job_meta.workspace.launcher import stop_local
from tests.acceptance.steps import wait_for

ROOT = Path(__file__).resolve().parents[2]
CONTROL_TABLE = "fe_ppark_demo.job_demo.etl_control"

INSERT = """
-- Add a new source
INSERT INTO fe_ppark_demo.job_demo.etl_control VALUES (
  'new_sql_task',
  'my_module',
  'sql',
  1,
  '{}',
  '{"catalog": "bronze", "schema": "data", "table": "customers"}',
  '{"task_type": "sql_query", "sql_task": {"warehouse_id": "abc123", "sql_query": "SELECT * FROM bronze.customers"}}',
  true
);
"""

UPDATE = """
-- Update existing source
UPDATE fe_ppark_demo.job_demo.etl_control
SET execution_order = 2,
    transformation_config = '{"task_type": "sql_query", "sql_task": {...}}',
    updated_timestamp = current_timestamp()
WHERE source_id = 'existing_source' AND module_name = 'my_module';
"""

SOFT_DELETE = """
-- Deactivate source (soft delete)
UPDATE fe_ppark_demo.job_demo.etl_control
SET is_active = false,
    updated_timestamp = current_timestamp()
WHERE source_id = 'old_source';
"""


@pytest.fixture
def laptop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A folder with the examples, nothing configured, and credentials lying about that mustn't matter."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABRICKS_HOST", "https://production.example.com")
    monkeypatch.setenv("DATABRICKS_TOKEN", "not-to-be-used")
    yield tmp_path
    stop_local(tmp_path / ".lakeflow")


def add(manager: MetadataManager, source_id: str) -> None:
    manager.sql(INSERT.replace("new_sql_task", source_id))


def job_ids(jobs: list[dict[str, Any]]) -> dict[str, int]:
    return {job["module"]: job["job_id"] for job in jobs}


def test_workflow_1_direct_table_updates(laptop: Path) -> None:
    manager = MetadataManager(CONTROL_TABLE)
    add(manager, "existing_source")
    add(manager, "old_source")
    manager.sql(INSERT)

    orchestrator = JobOrchestrator(CONTROL_TABLE)
    jobs = orchestrator.run_all_modules()
    (job_id,) = job_ids(jobs).values()

    manager.sql(SOFT_DELETE)
    jobs = orchestrator.run_all_modules()
    assert job_ids(jobs) == {"my_module": job_id}
    tasks = orchestrator.workspace_client.jobs.get(job_id).settings.tasks
    assert sorted(task.task_key for task in tasks) == ["existing_source", "new_sql_task"]


def test_the_guides_update_holds_bad_json_so_its_module_is_frozen_and_told(laptop: Path) -> None:
    manager = MetadataManager(CONTROL_TABLE)
    add(manager, "existing_source")
    add(manager, "other")
    orchestrator = JobOrchestrator(CONTROL_TABLE)
    (job_id,) = job_ids(orchestrator.run_all_modules()).values()
    assert manager.sql(UPDATE) == [{"num_affected_rows": 1, "num_updated_rows": 1}]
    (finding,) = orchestrator.plan().diagnostics
    assert str(finding.location) == f"{CONTROL_TABLE}/my_module/existing_source/transformation_config at offset 40"
    with pytest.raises(ApplyError, match="bad JSON"):
        orchestrator.run_all_modules()
    before = orchestrator.workspace_client.jobs.get(job_id).settings.as_dict()
    assert len(before["tasks"]) == 2


def test_the_guides_update_filled_in_updates_the_job_in_place(laptop: Path) -> None:
    manager = MetadataManager(CONTROL_TABLE)
    add(manager, "existing_source")
    add(manager, "other")
    orchestrator = JobOrchestrator(CONTROL_TABLE)
    (job_id,) = job_ids(orchestrator.run_all_modules()).values()
    manager.sql(UPDATE.replace("{...}", '{"warehouse_id": "abc123", "sql_query": "SELECT 2"}'))
    assert job_ids(orchestrator.run_all_modules()) == {"my_module": job_id}
    tasks = {task.task_key: task for task in orchestrator.workspace_client.jobs.get(job_id).settings.tasks}
    assert [needed.task_key for needed in tasks["existing_source"].depends_on] == ["other"]
    query_id = tasks["existing_source"].sql_task.query.query_id
    assert orchestrator.workspace_client.queries.get(query_id).query_text == "SELECT 2"


def test_workflow_2_yaml_file_ingestion(laptop: Path) -> None:
    manager = MetadataManager(CONTROL_TABLE)
    manager.load_yaml("./examples/metadata_examples.yaml")

    orchestrator = JobOrchestrator(CONTROL_TABLE)
    jobs = orchestrator.run_all_modules()
    assert sorted(job["module"] for job in jobs) == manager.get_all_modules()
    assert all(job["action"] == "create" for job in jobs)


def test_workflow_2_with_the_path_passed_to_the_orchestrator(laptop: Path) -> None:
    orchestrator = JobOrchestrator(CONTROL_TABLE)
    jobs = orchestrator.run_all_modules(yaml_path="./examples/metadata_examples.yaml", sync_yaml=True)
    again = orchestrator.run_all_modules(yaml_path="./examples/metadata_examples.yaml", sync_yaml=True)
    assert job_ids(again) == job_ids(jobs)
    assert {job["action"] for job in again} == {"skip"}


def test_workflow_3_volume_monitoring(laptop: Path) -> None:
    monitor = MetadataMonitor(
        control_table=CONTROL_TABLE, volume_path="/Volumes/catalog/schema/metadata_volume", check_interval_seconds=60
    )
    monitor.run_continuous(max_iterations=1)  # the folder isn't there yet: waited for
    folder = laptop / ".lakeflow" / "volumes" / "catalog" / "schema" / "metadata_volume"
    folder.mkdir(parents=True)
    text = (ROOT / "examples" / "metadata_examples.yaml").read_text()
    (folder / "metadata.yaml").write_text(text)
    cycle = monitor.check_and_update()
    assert {str(outcome.action.kind) for outcome in cycle.outcomes} == {"create"}
    assert monitor.check_and_update().outcomes == ()


def test_the_monitor_as_a_process_sees_a_file_and_ends_cleanly_on_sigterm(laptop: Path) -> None:
    (laptop / "drop").mkdir()
    command = [sys.executable, "-m", "lakeflow_job_meta", "monitor", "drop", "--interval", "30", "-t", CONTROL_TABLE]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        manager = MetadataManager(CONTROL_TABLE)
        wait_for(lambda: manager.store.info(manager.tables.log.name) is not None)
        time.sleep(1)
        (laptop / "drop" / "metadata.yaml").write_text((ROOT / "examples" / "metadata_examples.yaml").read_text())
        orchestrator = JobOrchestrator(CONTROL_TABLE)
        # Far less than the interval: the file itself was noticed.
        wait_for(lambda: {row["status"] for row in orchestrator.status()} == {"active"})
    finally:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "create done, job" in out


def test_change_detection_by_hand(laptop: Path) -> None:
    manager = MetadataManager(CONTROL_TABLE)
    manager.load_yaml("./examples/metadata_examples.yaml")
    changes = manager.detect_changes(last_check_timestamp=None)
    assert list(changes) == ["new_modules", "updated_modules", "deactivated_modules", "changed_sources"]
    assert changes["new_modules"] == manager.get_all_modules()


def test_faq_direct_edits_are_overwritten_by_yaml_and_it_says_so(laptop: Path) -> None:
    manager = MetadataManager(CONTROL_TABLE)
    manager.load_yaml("./examples/metadata_examples.yaml")
    module = manager.get_all_modules()[0]
    source_id = manager.get_module_sources(module)[0]["source_id"]
    manager.sql(f"UPDATE {CONTROL_TABLE} SET execution_order = 77 WHERE source_id = '{source_id}'")
    report = manager.load_yaml("./examples/metadata_examples.yaml")
    assert [row.key for row in report.overwritten] == [(module, source_id)]
    assert manager.get_module_sources(module)[0]["execution_order"] != 77


def test_faq_a_job_deleted_by_hand_is_made_again(laptop: Path) -> None:
    manager = MetadataManager(CONTROL_TABLE)
    add(manager, "a")
    orchestrator = JobOrchestrator(CONTROL_TABLE)
    (job_id,) = job_ids(orchestrator.run_all_modules()).values()
    orchestrator.workspace_client.jobs.delete(job_id)
    (new_id,) = job_ids(orchestrator.run_all_modules()).values()
    stored = manager.sql(f"SELECT job_id FROM {CONTROL_TABLE}_jobs WHERE module_name = 'my_module'")
    assert stored == [{"job_id": new_id}]
    assert new_id != job_id


def test_migration_from_yaml_only_to_the_table(laptop: Path) -> None:
    manager = MetadataManager(CONTROL_TABLE)
    manager.load_yaml("./examples/metadata_examples.yaml")
    module = manager.get_all_modules()[0]
    manager.sql(f"UPDATE {CONTROL_TABLE} SET source_type = 'edited' WHERE module_name = '{module}'")
    manager.export_yaml("backup.yml")
    version = manager.sql(f"DESCRIBE HISTORY {CONTROL_TABLE} LIMIT 1")[0]["version"]
    report = manager.load_yaml("backup.yml", on_conflict="fail")
    assert not report.wrote
    assert manager.sql(f"DESCRIBE HISTORY {CONTROL_TABLE} LIMIT 1")[0]["version"] == version


def test_everything_stays_on_the_laptop(laptop: Path) -> None:
    client = JobOrchestrator(CONTROL_TABLE).workspace_client
    assert client.config.host.startswith("http://127.0.0.1:")
    assert json.dumps(client.config.as_dict()).count("not-to-be-used") == 0
