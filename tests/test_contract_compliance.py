"""What the source stage writes keeps the contract that it ships with, on every table; and what breaks it is found."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from lakeflow_job_meta.diagnostics import Diagnostic
from lakeflow_job_meta.errors import ConflictError, InputError
from lakeflow_job_meta.stages.contract.check import check_contract
from lakeflow_job_meta.stages.contract.model import ENVELOPE, Contract, Version
from lakeflow_job_meta.stages.contract.read import read_contract
from lakeflow_job_meta.stages.contract.versions import differences, least_version
from lakeflow_job_meta.stages.http.failure import ApiError
from lakeflow_job_meta.stages.tables import StageTables
from tests.source_api import answering, running
from tests.stage_ground import ROOT, Ground, ground

CONTRACT = ROOT / "metadata" / "contracts" / "source.contract.yaml"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    from testhub_server import create_app

    with running(create_app()) as api:
        yield ground(tmp_path, api, monkeypatch)


@pytest.fixture
def full(hub: Ground) -> Ground:
    """A system after a full run."""
    hub.run(bootstrap=True, preview=True)
    return hub


@pytest.fixture
def prepare(full: Ground) -> Any:
    sys.path.insert(0, str(ROOT / "examples" / "source_stage"))
    from prepare import prepare as take

    return lambda **given: take(full.store, full.config, "main", **given)


def contract() -> Contract:
    return read_contract(CONTRACT)


def broken(found: Ground, now: datetime | None = None) -> list[str]:
    return [str(each) for each in findings(found, now)]


def findings(found: Ground, now: datetime | None = None) -> list[Diagnostic]:
    return check_contract(contract(), found.store, "main", now or datetime.now(UTC))


def changed(tmp_path: Path, **values: Any) -> Contract:
    """The contract with other top-level values."""
    whole = {**yaml.safe_load(CONTRACT.read_text("utf-8")), **values}
    file = tmp_path / "changed.yaml"
    file.write_text(json.dumps(whole), "utf-8")
    return read_contract(file)


def test_the_contract_names_every_column_of_every_declared_table_with_its_type_and_whether_it_is_required() -> None:
    tables = StageTables("main", "source", "log")
    for kind in ("config", "credentials", "portfolio", "endpoints"):
        promised = contract().table(kind)
        assert promised is not None
        declared = [(each.name, each.sql_type, each.required) for each in tables.spec(kind).columns]
        assert [(each.name, each.type, each.required) for each in promised.columns] == declared


@pytest.mark.parametrize(("bootstrap", "preview"), [(False, False), (True, False), (True, True)])
def test_each_kind_of_run_keeps_the_contract(hub: Ground, bootstrap: bool, preview: bool) -> None:
    hub.run(bootstrap=bootstrap, preview=preview)
    assert findings(hub) == []


def test_a_missing_table_is_found(hub: Ground) -> None:
    assert [each.split(":")[0] for each in broken(hub)] == [
        "main.source.config", "main.source.credentials", "main.source.portfolio",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("UPDATE main.source.credentials SET validation_status = 'Failed'", "'Failed' isn't one of Success"),
        ("UPDATE main.source.credentials SET credential_value = 'plain'", "isn't like"),
        ("UPDATE main.source.portfolio SET endpoint_success_rate = 1.5", "1.5 is more than 1"),
        ("UPDATE main.source.portfolio SET total_endpoints = 0", "0 is less than 1"),
        ("UPDATE main.source.portfolio SET endpoint_categories = '{'", "the text isn't JSON"),
        ("DELETE FROM main.source.endpoints WHERE endpoint_path = '/me'", "main.source.endpoints has 6 rows"),
        ("DELETE FROM main.source.config", "0 rows, at least 1 are promised"),
        ("INSERT INTO main.source.config SELECT * FROM main.source.config", "not unique: 'source'"),
        ("ALTER TABLE main.source.config ADD COLUMN more STRING", "the contract doesn't know the column"),
        ("UPDATE main.source.sampleprojects SET id = NULL", "required"),
    ],
)
def test_what_breaks_a_guarantee_is_found_and_named(full: Ground, sql: str, words: str) -> None:
    try:
        full.store.sql(sql)
    except InputError as refused:  # where the column is NOT NULL, the store doesn't let it happen at all
        assert "NULL" in str(refused).upper()
        return
    assert any(words in each for each in broken(full)), broken(full)


def test_a_type_that_changed_and_a_column_that_is_gone_are_found(full: Ground) -> None:
    full.store.sql("DROP TABLE main.source.config; CREATE TABLE main.source.config (stage BIGINT)")
    told = "\n".join(broken(full))
    assert "main.source.config/stage: error: the column is BIGINT, expected STRING" in told
    assert "main.source.config/last_updated: error: the column is missing, expected TIMESTAMP" in told


def test_tables_that_are_too_old_are_found(full: Ground) -> None:
    told = broken(full, datetime.now(UTC) + timedelta(hours=25))
    assert sum("hours old, at most 24 are promised" in each for each in told) == 3


def test_each_row_of_the_log_carries_the_envelope(full: Ground) -> None:
    for row in full.rows("log.source"):
        assert all(row[name] is not None for name in ENVELOPE)
        assert row["contract_version"] == str(contract().version)
    assert len({row["execution_id"] for row in full.rows("log.source")}) == 1


def test_prepare_takes_a_batch_over_and_reads_every_table(full: Ground, prepare: Any) -> None:
    taken = prepare()
    assert taken["batch_id"] == full.log()[-1]["batch_id"]
    assert taken["rows"] == {
        "source.config": 1, "source.credentials": 1, "source.portfolio": 1, "source.endpoints": 7,
        "source.sampleProjects": 10, "source.sampleReleases": 4,
    }  # fmt: skip


def test_prepare_reads_the_batch_that_was_handed_over_whatever_was_written_since(full: Ground, prepare: Any) -> None:
    full.store.sql("UPDATE main.source.portfolio SET total_endpoints = 99, endpoint_success_rate = 7")
    assert prepare()["rows"]["source.portfolio"] == 1


def test_prepare_waits_for_the_batch(full: Ground, prepare: Any) -> None:
    asked = datetime.now(UTC)
    timer = threading.Timer(1, full.run)
    timer.start()
    taken = prepare(wait_seconds=60, after=asked)
    timer.join()
    assert taken["finished_at"] > asked


def test_prepare_refuses_a_batch_that_is_stale_or_failed(full: Ground, prepare: Any) -> None:
    with pytest.raises(ConflictError, match="it is stale"):
        prepare(after=datetime.now(UTC) + timedelta(seconds=1))
    asked = datetime.now(UTC)
    full.api.fault("/me", answering(401))
    with pytest.raises(ApiError):
        full.run()
    with pytest.raises(ConflictError, match=r"the last run failed .* 401"):
        prepare(after=asked)


def test_prepare_refuses_a_batch_that_breaks_the_contract_or_is_incomplete(full: Ground, prepare: Any) -> None:
    full.store.sql("UPDATE main.log.source SET tables = '{}'")
    full.store.sql("DELETE FROM main.source.portfolio")
    with pytest.raises(InputError, match="breaks the contract"):
        prepare()


def test_prepare_refuses_a_batch_of_another_major_version(full: Ground, prepare: Any) -> None:
    full.store.sql("UPDATE main.log.source SET contract_version = '2.0.0'")
    with pytest.raises(InputError, match=r"contract 2\.0\.0, needed is 1\.0\.0"):
        prepare()


@pytest.mark.parametrize(
    ("change", "least"),
    [
        (lambda tables: tables.pop(), "2.0.0"),
        (lambda tables: tables[0]["columns"].pop(2), "2.0.0"),
        (lambda tables: tables[0]["columns"][0].update(type="BIGINT"), "2.0.0"),
        (lambda tables: tables[0]["columns"][0].update(required=False), "2.0.0"),
        (lambda tables: tables[0]["columns"][0]["allowed"].append("other"), "2.0.0"),
        (lambda tables: tables[0]["freshness"].update(max_age_hours=48), "2.0.0"),
        (lambda tables: tables[0].pop("unique"), "2.0.0"),
        (lambda tables: tables[0]["columns"].append({"name": "more", "type": "STRING"}), "1.1.0"),
        (lambda tables: tables[0]["columns"][2].update(required=True), "1.1.0"),
        (lambda tables: tables[0]["freshness"].update(max_age_hours=12), "1.1.0"),
        (lambda tables: tables[0]["columns"][0].update(description="words"), "1.0.1"),
        (lambda tables: None, "1.0.0"),
    ],
)
def test_what_changed_decides_how_far_the_version_must_rise(tmp_path: Path, change: Any, least: str) -> None:
    tables = yaml.safe_load(CONTRACT.read_text("utf-8"))["tables"]
    change(tables)
    known = {f"source.{table}" for table in ("endpoints", "portfolio")}
    complete = [] if not known <= {each["table"] for each in tables} else None
    new = changed(tmp_path, tables=tables, **({} if complete is None else {"completeness": complete}))
    assert least_version(contract(), new) == Version.parse(least)
    assert bool(differences(contract(), new)) == (least != "1.0.0")


def test_a_bad_contract_tells_everything_at_once_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        "contract: source\n"
        "version: 1.0\n"
        "tables:\n"
        "  - table: config\n"
        "    when: sometimes\n"
        "    unique: [[gone]]\n"
        "    columns:\n"
        "      - {name: a, type: STRNG}\n"
        "      - {name: b, type: STRING, patern: x}\n"
        "completeness: [{count: a.b.c, rows_of: x.y}]\n",
        "utf-8",
    )
    with pytest.raises(InputError) as raised:
        read_contract(file)
    told = [str(each).replace(str(file), "c.yaml") for each in raised.value.diagnostics]
    for words in (
        "c.yaml:2:10: error: version: expected text, found a number",
        "c.yaml:4:12: error: table: expected schema.table, found 'config'",
        "c.yaml:5:11: error: when: unknown value 'sometimes'",
        "unique: the table has no column 'gone'",
        "unknown type 'STRNG' (did you mean 'STRING'?)",
        "unknown key 'patern' (did you mean 'pattern'?)",
        "no table here has 'a.b.c'",
        "rows_of: no table 'x.y' here",
    ):
        assert any(words in each for each in told), (words, told)
