"""What is wrong with the registry's rows: each finding names the row and the column, and no secret."""

from __future__ import annotations

from typing import Any

import pytest

from lakeflow_job_meta.pipelines.check.runs import check_runs
from lakeflow_job_meta.pipelines.tables import BUILT_IN_STAGES, RUNS, STAGE_LOGS, TABLES
from tests.registry_rows import IDS, REGISTRY, destination, orders, rows, source, told


def stage(order: int = 1, kind: str = "extract", name: str = "default", number: int = 1) -> dict[str, Any]:
    return {"id": number, "pipeline_name": name, "stage_order": order, "stage_name": "x", "stage_type": kind}


def test_a_good_registry_has_no_findings() -> None:
    assert told(rows()) == []


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"source_type": "postgrs"}, "source_type: unknown type 'postgrs' (did you mean 'postgres'?)"),
        ({"source_to_dl_load_type": "ful"}, "expected one of full, incremental, found 'ful' (did you mean 'full'?)"),
        ({"source_to_dl_load_type": None}, "source_to_dl_load_type: expected one of full, incremental, found nothing"),
        ({"source_to_dl_incremental_key": None}, "source_to_dl_incremental_key: incremental needs a key"),
        ({"source_to_dl_schedule": 90}, "no job can start every 90 minutes (write 60 or 120, or leave it out)"),
        ({"dl_to_sink_schedule": 0}, "dl_to_sink_schedule: no job can start every 0 minutes"),
        ({"sink_tablename": None}, "sink_tablename: expected a table, found nothing, and dl_to_sink is active"),
        ({"source_tablename": "cmr.public.orders"}, "there is no source 'cmr' (did you mean 'crm'?)"),
        ({"source_tablename": "crm.orders"}, "names the source crm and no schema (write crm.schema.table)"),
        ({"source_tablename": "crm.a.b.c"}, "'crm.a.b.c' has 4 parts"),
        ({"source_tablename": "crm..orders"}, "'crm..orders' has an empty part"),
        ({"source_tablename": "  "}, "source_tablename: expected text, found blanks"),
        ({"sink_tablename": "dhw.public.orders"}, "there is no destination 'dhw' (did you mean 'dwh'?)"),
        ({"source_type": "mysql"}, "the source crm is of type postgres, the row says mysql"),
    ],
)  # fmt: skip
def test_a_bad_value_of_a_table_is_a_finding(changed: dict[str, Any], expected: str) -> None:
    found = told(rows([orders(**changed)]))
    assert any(expected in each for each in found), found
    assert all("main.pipelines.pipeline_config/" in each for each in found)


def test_all_findings_come_at_once() -> None:
    bad = orders(source_to_dl_schedule=7, source_to_dl_load_type="x", dl_to_sink_load_type="y")
    found = told(rows([bad], sources=[source(kind="postgrs")], stages=[stage(kind="extrakt")]))
    for column in (
        "source_to_dl_schedule",
        "source_to_dl_load_type",
        "dl_to_sink_load_type",
        "source_type",
        "stage_type",
    ):
        assert any(column in each for each in found), column


def test_an_inactive_direction_needs_neither_load_type_nor_template() -> None:
    bare = orders(source_to_dl_is_active=False, source_to_dl_load_type=None, sink_tablename=None)
    assert told(rows([{**bare, "dl_to_sink_load_type": None, "dl_to_sink_schedule": None}], stages=[])) == []


def test_a_bare_name_is_the_only_source_of_its_type_and_ambiguous_with_two() -> None:
    assert told(rows([orders(source_tablename="public.orders")])) == []
    found = told(rows([orders(source_tablename="public.orders")], [source(), source("erp", number=1)]))
    assert any(
        "'public.orders' is ambiguous: 2 sources are of type postgres (write crm.public.orders or erp.public.orders)"
        in each for each in found
    )  # fmt: skip


def test_a_type_without_schemas_has_tables_of_two_parts() -> None:
    files = orders(source_tablename="drop.orders", source_type="parquet")
    assert told(rows([files], [source("drop", "parquet")])) == []
    found = told(rows([{**files, "source_tablename": "drop.a.orders"}], [source("drop", "parquet")]))
    assert any("has 3 parts (write source_name.table)" in each for each in found)


def test_a_row_that_says_no_type_is_told_that_of_its_source() -> None:
    found = told(rows([orders(source_tablename="drop.orders")], [source("drop", "sqlite")]))
    assert any(
        "the source drop is of type sqlite, the row says postgres (write source_type: sqlite in the row; what isn't "
        "said there is postgres)" in each for each in found
    ), found  # fmt: skip


@pytest.mark.parametrize(
    "creds",
    [
        '{"user": "bo", "password": "hunter2-secret"}', '{"pass": "hunter2-secret"}', '{"api_token": 12345678901}',
        '{"options": {"sslpassword": "hunter2-secret"}}', '{"url": "postgres://bo:hunter2-secret@db/x"}',
        '{"dsn": "host=db password=hunter2-secret"}', '{"key": "-----BEGIN PRIVATE KEY-----hunter2-secret"}',
        '{"hosts": [{"pwd": "hunter2-secret"}]}',
    ],
)  # fmt: skip
def test_a_secret_that_is_written_out_is_named_by_row_and_never_quoted(creds: str) -> None:
    found = told(rows(sources=[source(creds=creds)]))
    assert len(found) == 1
    assert "main.pipelines.sources_config/crm/source_creds" in found[0]
    assert "is written out, expected a reference" in found[0]
    assert "hunter2" not in found[0]
    assert "12345678901" not in found[0]


@pytest.mark.parametrize(
    "creds",
    [
        '{"user": "bo", "password": "env:PW"}', '{"password": "{{secrets/crm/password}}", "host": "db"}',
        '{"token_url": "https://login.example.com"}', '{"password_file": "/run/secrets/pw"}', None, "", "{}",
        '{"password": null}', '{"url": "postgres://db/x"}',
    ],
)  # fmt: skip
def test_references_and_what_holds_no_secret_are_fine(creds: str | None) -> None:
    assert told(rows(sources=[source(creds=creds)])) == []


def test_credentials_that_are_no_json_object_are_a_finding_without_their_text() -> None:
    found = told(rows(sources=[source(creds='{"password": "hunter2')], destinations=[destination(creds="[1]")]))
    assert any("bad JSON at offset" in each for each in found)
    assert any("expected a JSON object" in each for each in found)
    assert all("hunter2" not in each for each in found)


def test_ids_are_uuids_of_version_7_and_names_and_ids_unique() -> None:
    other = {**source("crm", number=1), "id": "919108f7-52d1-4320-9bac-f847db4148a8"}
    found = told(rows(sources=[source(), other, {**source("x.y", number=0)}]))
    assert any("expected a UUID of version 7" in each for each in found)
    assert sum("'crm' is there twice" in each for each in found) == 2
    assert sum(f"'{IDS[0]}' is there twice" in each for each in found) == 2
    assert any("'x.y' has a dot in it" in each for each in found)


def test_a_template_has_each_order_once_and_known_stages() -> None:
    stages = [
        stage(1),
        stage(1, number=2),
        stage(0, number=3),
        stage(4, "extrakt", number=4),
        stage(5, "notebook:", number=5),
    ]
    found = told(rows(stages=[*stages, stage(1, name="postgress_to_mysql", number=6)]))
    assert (
        sum("'default', 1 is there twice, expected unique pipeline_name and stage_order" in each for each in found) == 2
    )
    assert any("stage_order: expected 1, 2, 3, …, found 0" in each for each in found)
    assert any("unknown stage type 'extrakt' (did you mean 'extract'?)" in each for each in found)
    assert any("'notebook:' (write notebook:<path>, entry_point:<package>:<name>)" in each for each in found)
    assert any("warning" in each and "did you mean 'postgres_to_mysql'?" in each for each in found)


def test_an_active_direction_needs_a_template_with_a_stage_for_it() -> None:
    assert any("there is no template postgres_to_postgres or default" in each for each in told(rows(stages=[])))
    found = told(rows(stages=[stage(1, "extract")]))
    assert any("the template default has no stage for dl_to_sink" in each for each in found)


def test_two_rows_with_one_table_of_the_lake_or_of_a_sink_are_findings_of_both() -> None:
    found = told(
        rows([orders(), orders(source_tablename="public.orders", sink_tablename=None, dl_to_sink_is_active=False)])
    )
    assert sum("the lake's table main.dl.crm_public_orders would also be that of" in each for each in found) == 2
    found = told(rows([orders(), orders(source_tablename="crm.public.orders2")]))
    assert sum("the sink's table dwh.public.orders would also be that of" in each for each in found) == 2
    found = told(rows([orders(source_tablename="crm.public.a b"), orders(source_tablename="crm.public.a:b")]))
    assert any("the module crm.public.a b would also be that of crm.public.a:b" in each for each in found)


def test_a_table_that_is_registered_twice_is_a_finding_of_both_rows() -> None:
    assert sum("'crm.public.orders' is there twice" in each for each in told(rows([orders(), orders()]))) == 2


def test_recorded_runs_have_known_states_and_belong_to_something() -> None:
    run = {"id": 1, "source_tablename": "crm.public.orders", "status": "success", "triggered_by": "manual"}
    log = {"id": 5, "pipeline_run_id": 1, "status": "success"}
    registered = {TABLES: rows()[TABLES], RUNS: (run,), STAGE_LOGS: (log,)}
    assert check_runs(registered, REGISTRY) == ()
    bad = {
        **registered,
        RUNS: (run, {**run, "id": 2, "status": "succes", "triggered_by": "cron", "source_tablename": "gone"}),
        STAGE_LOGS: ({**log, "pipeline_run_id": 7}, {**log, "status": "pending"}),
    }
    found = [str(each.diagnostic) for each in check_runs(bad, REGISTRY)]
    assert any("/2/status: error" in each and "did you mean 'success'?" in each for each in found)
    assert any("found 'cron'" in each for each in found)
    assert any("warning: source_tablename: no row of pipeline_config is 'gone'" in each for each in found)
    assert any("no row of pipeline_runs_master has the id 7" in each for each in found)
    assert sum("5 is there twice" in each for each in found) == 2


def test_the_built_in_template_serves_both_directions() -> None:
    assert [row["stage_type"] for row in BUILT_IN_STAGES] == ["driver_check", "extract", "load", "verify"]
