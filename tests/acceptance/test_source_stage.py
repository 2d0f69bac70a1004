"""The source stage against real servers: what it writes when, what it keeps, and what it does when the API fails."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from lakeflow_job_meta.errors import InputError, LakeflowJobMetaError, StoreError
from lakeflow_job_meta.stages.http.failure import (
    ApiError,
    LoginRefused,
    SchemaChanged,
    ServerFailed,
)
from tests.source_api import answering, running
from tests.stage_ground import TABLES, Ground

DOCUMENTED = {
    "config": (
        "execution_mode", "operation_type", "notebook_name", "stage", "sdk_version", "bootstrap_enabled",
        "preview_enabled", "last_updated",
    ),
    "credentials": ("credential_type", "credential_value", "last_validated", "validation_status"),
    "portfolio": (
        "source_system", "contract_version", "discovery_date", "total_endpoints", "endpoint_categories",
        "hierarchical_endpoints", "auth_method", "auth_status", "last_auth_check", "hierarchical_access_validated",
        "endpoint_success_rate", "supports_incremental", "status", "is_enabled", "last_updated",
    ),
    "endpoints": (
        "endpoint_path", "full_path", "http_method", "category", "description", "requires_auth", "hierarchical",
        "query_parameters", "path_parameters", "resource",
    ),
}  # fmt: skip


def written(found: Ground) -> list[str]:
    """The tables that the last run wrote, by its steps."""
    last = found.log()[-1]["execution_id"]
    steps = [row for row in found.rows("log.source", "started_at") if row["execution_id"] == last]
    names = (row["step"].removeprefix("write ").lower() for row in steps if row["status"] == "succeeded")
    return [name for name in names if name in TABLES]


def test_the_three_flows_write_three_four_and_six_tables_in_the_documented_order(hub: Ground) -> None:
    hub.run()
    assert written(hub) == ["config", "credentials", "portfolio"]
    assert hub.store.info(hub.stage().tables.name("endpoints")) is None
    hub.run(bootstrap=True)
    assert written(hub) == ["config", "credentials", "endpoints", "portfolio"]
    hub.run(bootstrap=True, preview=True)
    assert written(hub) == ["config", "credentials", "endpoints", "portfolio", "sampleprojects", "samplereleases"]
    operations = [hub.rows("source.config")[0][name] for name in ("operation_type", "bootstrap_enabled")]
    assert operations == ["full", True]


def test_the_tables_have_the_documented_columns_in_their_order(hub: Ground) -> None:
    hub.run(bootstrap=True)
    for table, columns in DOCUMENTED.items():
        assert tuple(hub.rows(f"source.{table}")[0]) == columns


def test_the_portfolio_counts_the_configured_endpoints_until_there_is_a_table_of_them(hub: Ground) -> None:
    hub.run()
    (row,) = hub.rows("source.portfolio")
    assert (row["total_endpoints"], row["hierarchical_endpoints"]) == (7, 4)
    assert json.loads(row["endpoint_categories"]) == {
        "account": 1, "cycles": 1, "executions": 2, "projects": 2, "releases": 1,
    }  # fmt: skip
    assert (row["endpoint_success_rate"], row["hierarchical_access_validated"]) == (1.0, True)
    hub.run(bootstrap=True)
    hub.store.sql("DELETE FROM main.source.endpoints WHERE http_method = 'POST'")
    hub.run()
    assert hub.rows("source.portfolio")[0]["total_endpoints"] == 6


def test_the_discovery_date_stays_after_failures_and_after_the_table_is_lost(hub: Ground) -> None:
    hub.run()
    (first,) = hub.rows("source.portfolio")
    hub.api.fault("/me", answering(500))
    with pytest.raises(ServerFailed):
        hub.run()
    hub.api.faults.clear()
    hub.run()
    hub.store.sql("DROP TABLE main.source.portfolio")
    hub.run()
    (last,) = hub.rows("source.portfolio")
    assert last["discovery_date"] == first["discovery_date"]
    assert last["last_updated"] > first["last_updated"]


def test_endpoints_that_left_the_catalogue_leave_the_table_in_one_commit(hub: Ground) -> None:
    hub.run(bootstrap=True)
    hub.change(openapi=None, endpoints=[{"path": "/projects", "records": "items"}], hierarchy=None, samples=None)
    before = hub.store.info(hub.stage().tables.name("endpoints"))
    hub.run(bootstrap=True)
    after = hub.store.info(hub.stage().tables.name("endpoints"))
    assert [row["endpoint_path"] for row in hub.rows("source.endpoints")] == ["/projects"]
    assert before is not None and after is not None and after.version == before.version + 1


def test_samples_hold_the_first_records_of_several_pages_typed_as_the_contract_says(hub: Ground) -> None:
    hub.change(sample_limit=13)
    hub.run(preview=True)
    rows = hub.rows("source.sampleprojects", "_position")
    assert [row["id"] for row in rows] == list(range(1, 14))
    assert rows[0]["createdAt"] == datetime(2025, 1, 1, 8, tzinfo=UTC)
    assert rows[0]["lead"] == '{"name": "lead1"}'


def test_an_api_with_oauth_cursors_links_and_offsets_needs_no_code_of_its_own(desk: Ground) -> None:
    result = desk.run(bootstrap=True, preview=True)
    assert (result.endpoint_count, result.endpoint_success_count) == (4, 4)
    found = {table: desk.rows(f"ticketdesk_source.{table}", "_position") for table in
             ("samplecustomers", "sampletickets", "sampleevents")}  # fmt: skip
    assert [len(rows) for rows in found.values()] == [12, 12, 12]
    assert found["samplecustomers"][11]["id"] == "c11"
    assert desk.api.paths().count("/oauth/token") == 1
    (row,) = desk.rows("ticketdesk_source.credentials")
    assert (row["credential_type"], row["credential_value"]) == ("oauth", "***ret")


def test_without_a_contract_new_fields_become_columns_and_others_may_not_go(desk: Ground) -> None:
    desk.run(preview=True)
    event = {"id": 1, "kind": "opened", "by": {"name": "ana"}}
    desk.api.fault("/events", answering(200, json.dumps({"data": [event]}).encode()))
    desk.run(preview=True)
    (row,) = desk.rows("ticketdesk_source.sampleevents")
    assert row == {"_position": 0, "id": 1, "kind": "opened", "by": '{"name": "ana"}'}
    desk.api.faults.clear()
    with pytest.raises(SchemaChanged, match="the field 'by' is gone"):
        desk.run(preview=True)


def test_an_endpoint_without_records_makes_a_table_that_takes_columns_later(desk: Ground) -> None:
    desk.api.fault("/events", answering(200, b'{"data": []}'))
    desk.run(preview=True)
    assert desk.rows("ticketdesk_source.sampleevents") == []
    desk.api.faults.clear()
    desk.run(preview=True)
    assert desk.rows("ticketdesk_source.sampleevents", "_position")[0] == {"_position": 0, "id": 0, "kind": "opened"}


def test_a_lower_success_rate_may_be_enough_and_the_portfolio_tells_it(hub: Ground) -> None:
    hub.change(min_success_rate=0.5)
    hub.api.fault("/executions", answering(500))
    result = hub.run()
    assert (result.endpoint_count, result.endpoint_success_count) == (6, 5)
    assert hub.rows("source.portfolio")[0]["endpoint_success_rate"] == pytest.approx(5 / 6)
    details = json.loads(hub.log("validate")[-1]["details"])["endpoints"]
    assert details["GET /cycles/{cycle_id}/executions"]["error_kind"] == "server_error"
    assert details["GET /projects"]["records"] == 10 and details["GET /projects"]["status"] == 200


def test_no_secret_reaches_a_table_the_log_or_an_error(hub: Ground) -> None:
    token = "testhub-example-token"
    hub.run(bootstrap=True, preview=True)
    hub.api.fault("/me", answering(302, location=f"https://x.example/?t={token}"))
    with pytest.raises(ApiError) as raised:
        hub.run()
    files = [path for path in (hub.folder / "home").rglob("*") if path.is_file()]
    assert files and not [path for path in files if token.encode() in path.read_bytes()]
    assert token not in str(raised.value) and token not in str(hub.rows("log.source"))


@pytest.mark.parametrize(("token", "shown"), [("short", "***"), ("1234567", "***"), ("a-longer-one", "***one")])
def test_a_credential_shows_its_last_three_characters_and_a_short_one_none(
    hub: Ground, monkeypatch: pytest.MonkeyPatch, token: str, shown: str
) -> None:
    from testhub_server import create_app

    monkeypatch.setenv("TESTHUB_TOKEN", token)
    hub.api.app = create_app(token)
    hub.run()
    (row,) = hub.rows("source.credentials")
    assert (row["credential_value"], row["validation_status"]) == (shown, "Success")


def test_two_systems_can_not_share_one_schema(hub: Ground) -> None:
    hub.run()
    hub.change(source_system="other")
    with pytest.raises(StoreError, match="holds the tables of testhub"):
        hub.run()
    assert hub.rows("source.portfolio")[0]["source_system"] == "testhub"


def test_the_run_is_in_both_logs_under_one_correlation_id(hub: Ground) -> None:
    from lakeflow_job_meta import MetadataManager

    MetadataManager(hub.control_table, hub.store, settings=hub.settings).ensure_exists()
    hub.run(correlation_id="job-run-17", job_run_id="17")
    assert {row["correlation_id"] for row in hub.rows("log.source")} == {"job-run-17"}
    (row,) = hub.rows("etl.control_log")
    assert (row["correlation_id"], row["action"], row["outcome"]) == ("job-run-17", "source_stage", "done")
    run = hub.log()[-1]
    assert run["job_run_id"] == "17" and run["endpoint_count"] == 6 and run["table_creation_duration_ms"] > 0
    assert run["duration_seconds"] >= sum(row["duration_seconds"] for row in hub.rows("log.source")) / 2 - 1


def test_success_failure_and_recovery_are_told_with_figures_and_without_secrets(
    hub: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies: list[dict[str, Any]] = []

    async def taking(scope: Any, receive: Any, send: Any) -> None:
        bodies.append({"path": scope["path"], **json.loads((await receive())["body"])})
        await answering(204, b"")(send)

    with running(taking) as hooks:
        monkeypatch.setenv("DISCORD_HOOK", f"{hooks.url}/discord")
        monkeypatch.setenv("OTHER_HOOK", f"{hooks.url}/other")
        every = ["success", "failure", "recovery"]
        hub.change(notify=[
            {"type": "discord", "url": "env:DISCORD_HOOK", "on": every},
            {"type": "webhook", "url": "env:OTHER_HOOK", "on": every},
        ])  # fmt: skip
        hub.run()
        hub.api.fault("/me", answering(401), times=1)
        with pytest.raises(LoginRefused):
            hub.run()
        hub.run()
    assert [each["event"] for each in bodies if each["path"] == "/other"] == ["success", "failure", "recovery"]
    assert bodies[1]["metrics"]["endpoint_success_count"] == 6
    assert "endpoint_count: 6" in bodies[0]["content"] and "401" in bodies[2]["content"]
    assert "example-token" not in json.dumps(bodies) and hooks.url not in json.dumps(bodies)


def test_a_hook_that_fails_or_is_not_there_never_fails_the_run(
    hub: Ground, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("GONE", "http://127.0.0.1:9/secret-part")
    targets = [{"type": "webhook", "url": f"env:{name}", "on": ["success"]} for name in ("GONE", "MISSING_HOOK")]
    hub.change(notify=targets)
    hub.run()
    assert hub.log()[-1]["status"] == "succeeded"
    assert caplog.text.count("nobody was told") == 2 and "secret-part" not in caplog.text


def test_no_more_requests_are_under_way_than_allowed_and_their_rate_is_kept(hub: Ground) -> None:
    hub.change(
        openapi=None, hierarchy=None, samples=None, limits={"concurrency": 4, "requests_per_second": 1000},
        endpoints=[{"path": "/projects"}, *({"path": f"/projects/{n}"} for n in range(1, 20))],
    )  # fmt: skip
    hub.api.delay = 0.02
    hub.run()
    assert hub.api.most_at_once == 4
    hub.api.delay = 0
    hub.change(limits={"requests_per_second": 10})
    assert hub.run().duration_seconds > 0.9  # 21 requests, of which the first second's worth may come at once


def test_a_bad_stage_file_tells_everything_at_once_with_its_place(hub: Ground) -> None:
    hub.config.write_text(
        "source_system: test hub\n"
        "base_url: http://api.example/\n"
        "auth: {method: api_tokn, token: hunter2-secret}\n"
        "endpoints:\n"
        "  - {path: projects, metod: GET}\n"
        "  - {path: '/p/{project_id}'}\n"
        "samples: [{table: config, endpoint: /nowhere}]\n"
        "limits: {concurrency: 0}\n"
        "contract: gone.yaml\n",
        "utf-8",
    )
    with pytest.raises(InputError) as raised:
        hub.stage()
    told = [str(each).replace(str(hub.config), "f.yml") for each in raised.value.diagnostics]
    for words in (
        "f.yml:1:16: error: source_system 'test hub' is not an identifier",
        "f.yml:2:11: error: base_url: http would send the login in the clear",
        "did you mean 'api_token'?",
        "token: expected a reference to a secret, found the text itself",
        "f.yml:5:22: error: unknown key 'metod' (did you mean 'method'?)",
        "path: expected one that begins with /, found 'projects'",
        "table: 'config' can't be a sample's name",
        "no GET endpoint '/nowhere'",
        "concurrency: expected a number from 1 to 256",
        "contract: there is no file",
    ):
        assert any(words in each for each in told), (words, told)
    assert "hunter2" not in str(raised.value)


def test_a_base_url_from_a_variable_keeps_to_the_same_rules(hub: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    for url, words in (("http://api.example", "in the clear"), ("https://u:p@api.example", "must not hold a login")):
        monkeypatch.setenv("TESTHUB_URL", url)
        with pytest.raises(InputError, match=words) as raised:
            hub.run()
        assert "u:p" not in str(raised.value)


def test_a_contract_about_other_tables_is_refused(hub: Ground) -> None:
    hub.change(schema="elsewhere")
    with pytest.raises(InputError, match="the contract is about source, but the tables are in elsewhere"):
        hub.stage()


def test_a_bad_openapi_document_tells_everything_at_once_with_its_place(hub: Ground) -> None:
    document = hub.folder / "examples/source_stage/testhub.openapi.yaml"
    document.write_text(
        "openapi: 3.0.3\n"
        "paths:\n"
        "  /a: {$ref: '#/components/paths/none'}\n"
        "  /b: {$ref: '#/paths/~1c'}\n"
        "  /c: {$ref: '#/paths/~1b'}\n"
        "  /d/{x}: {get: {parameters: [{$ref: 'other.yaml#/x'}]}}\n"
        "  e: {get: {}}\n",
        "utf-8",
    )
    with pytest.raises(InputError) as raised:
        hub.stage()
    told = str(raised.value)
    assert ":3:7: error: the reference '#/components/paths/none' leads nowhere" in told
    assert "references go round in a circle" in told
    assert "leads out of the document" in told
    assert "the parameter 'x' of its path isn't declared" in told
    assert "the path 'e' doesn't begin with /" in told


def test_an_openapi_document_can_be_a_url(hub: Ground) -> None:
    text = (hub.folder / "examples/source_stage/testhub.openapi.yaml").read_bytes()
    hub.api.fault("/openapi.yaml", answering(200, text, b"text/yaml"))
    hub.change(openapi=f"{hub.api.url}/openapi.yaml")
    assert hub.run().endpoint_count == 6


def test_an_error_of_ours_is_always_one_of_the_products(hub: Ground) -> None:
    hub.api.fault("/me", answering(418))
    with pytest.raises(LakeflowJobMetaError, match="418"):
        hub.run()
