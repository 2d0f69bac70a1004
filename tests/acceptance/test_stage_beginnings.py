"""Runs of the source stage that end before they begin: failed runs of the log, or stderr says why they aren't in it."""

from __future__ import annotations

import pytest

from lakeflow_job_meta.cli.app import run
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.stages.entry import main
from tests.stage_ground import TABLE, Ground


@pytest.fixture
def here(hub: Ground, monkeypatch: pytest.MonkeyPatch) -> Ground:
    monkeypatch.setenv("LAKEFLOW_CONTROL_TABLE", TABLE)
    monkeypatch.setenv("LAKEFLOW_HOME", str(hub.settings.home))
    return hub


def ljm(hub: Ground, *arguments: str) -> int:
    return run(["stage", "source", "--config", str(hub.config), *arguments])


def test_a_stage_file_with_findings_is_a_failed_run_with_all_of_them(here: Ground) -> None:
    here.change(base_url="nowhere", sample_limit=0)
    assert ljm(here, "--correlation-id", "mine") == 1
    (row,) = here.rows("log.source")
    assert (row["step"], row["status"], row["error_kind"], row["source_system"]) == (
        "run", "failed", "InputError", "testhub",
    )  # fmt: skip
    assert "expected a URL, found 'nowhere'" in row["error"] and "sample_limit" in row["error"]
    assert row["correlation_id"] == "mine"
    here.change(base_url="env:TESTHUB_URL", sample_limit=10)
    assert ljm(here) == 0
    assert [row["status"] for row in here.log()] == ["failed", "succeeded"]


def test_a_contract_that_cannot_be_used_is_a_failed_run(here: Ground) -> None:
    contract = here.folder / "metadata/contracts/source.contract.yaml"
    contract.write_text(contract.read_text("utf-8").replace("type: INT", "type: INTT"), "utf-8")
    with pytest.raises(InputError):
        main([f"--config={here.config}", "--job_run_id=7"])
    (row,) = here.rows("log.source")
    assert (row["status"], row["job_run_id"]) == ("failed", "7") and "INTT" in row["error"]


def test_a_base_url_that_is_not_there_is_a_failed_run(here: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TESTHUB_URL")
    assert ljm(here) == 1
    (row,) = here.log()
    assert row["status"] == "failed" and "TESTHUB_URL is not set" in row["error"]


def test_the_log_is_where_the_file_says(here: Ground) -> None:
    here.change(base_url="nowhere", log_schema="journal")
    assert ljm(here) == 1
    assert [row["status"] for row in here.rows("journal.source")] == ["failed"]


def test_a_file_that_tells_no_system_or_is_not_there_is_told_on_stderr_only(
    here: Ground, capfd: pytest.CaptureFixture[str]
) -> None:
    for text in ("{", "- 1", "base_url: x"):
        here.config.write_text(text, "utf-8")
        assert ljm(here) == 1
        assert "the run isn't in the log: the stage file doesn't tell whose run it is" in capfd.readouterr().err
    here.config.unlink()
    assert ljm(here) == 1
    assert "the run isn't in the log" in capfd.readouterr().err
    assert here.store.info(TableName.parse("main.log.source")) is None
