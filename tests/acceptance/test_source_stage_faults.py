"""The source stage when the API fails, or the disk: the tables stay as they were, the log tells the truth."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from typing import Any

import pytest

from lakeflow_job_meta.stages.http.failure import (
    ApiError,
    Elsewhere,
    EndlessPages,
    Forbidden,
    LoginRefused,
    NoAnswer,
    NotJson,
    SchemaChanged,
    TooMany,
)
from lakeflow_job_meta.stages.source_stage import EndpointsFailed
from tests.source_api import answering, hook, running, trickling
from tests.stage_ground import Ground


def test_a_token_that_ends_in_mid_run_is_fetched_anew(desk: Ground) -> None:
    desk.api.fault("/tickets", answering(401), times=1)
    assert desk.run().endpoint_success_count == 4
    assert desk.api.paths().count("/oauth/token") == 2


REFUSED = (LoginRefused, Forbidden)


@pytest.mark.parametrize(
    ("path", "answer", "expected", "words"),
    [
        ("/me", answering(401), LoginRefused, "401"),
        ("/me", answering(403), Forbidden, "403"),
        ("/cycles", answering(401), LoginRefused, "401"),
        ("/cycles", answering(403), EndpointsFailed, "GET /releases/{release_id}/cycles: 403"),
        ("/cycles", answering(429, retry_after="1"), TooMany, "429"),
        ("/cycles", answering(429, retry_after="3600"), TooMany, "429"),
        ("/cycles", answering(500), EndpointsFailed, "500: the API failed"),
        ("/cycles", trickling(60), EndpointsFailed, "no whole answer in 2 s"),
        ("/cycles", answering(200, b'{"items": [1,'), EndpointsFailed, "no valid JSON"),
        ("/cycles", answering(200, b"<!DOCTYPE html><p>", b"text/html"), EndpointsFailed, "HTML instead of JSON"),
        ("/me", answering(200, b"<html>", b"text/html"), NotJson, "HTML instead of JSON"),
        ("/cycles", answering(302, location="https://elsewhere.example/x"), EndpointsFailed, "elsewhere.example"),
        ("/cycles", answering(200, b"[" + b" " * 2**20 + b"]"), EndpointsFailed, "more than 100000 bytes"),
    ],
)
def test_a_run_that_fails_keeps_the_tables_and_tells_it_in_the_log_and_of_the_login_alone_in_its_table(
    hub: Ground, path: str, answer: Any, expected: type[ApiError], words: str
) -> None:
    hub.change(limits={"response_bytes": 100_000})
    hub.run(bootstrap=True, preview=True)
    before = hub.state()
    hub.api.fault(path, answer)
    with pytest.raises(expected, match=words) as raised:
        hub.run(bootstrap=True, preview=True)
    assert raised.value.exit_code == 4
    after = hub.state()
    # Of all tables one tells how the login is now: the other tables' versions are those of the last good batch.
    credentials = {**before.pop("credentials")[0], **({"validation_status": "Failed"} if expected in REFUSED else {})}
    (found,) = after.pop("credentials")
    assert {**found, "last_validated": None} == {**credentials, "last_validated": None}
    assert after == before
    last = hub.log()[-1]
    assert (last["status"], last["error_kind"], last["tables"]) == ("failed", expected.kind, None)
    assert words in last["error"]


def test_pages_without_end_are_noticed(hub: Ground) -> None:
    hub.change(limits={"pages": 5}, sample_limit=1000)
    hub.run()
    page = json.dumps({"items": [{"id": number} for number in range(10)]}).encode()
    hub.api.fault("/projects", answering(200, page), after=1)
    with pytest.raises(EndlessPages, match="two pages are the same"):
        hub.run(preview=True)
    assert hub.log()[-1]["error_kind"] == "endless_pages"


def test_a_cursor_that_leads_back_is_noticed(desk: Ground) -> None:
    desk.change(sample_limit=1000)
    number = iter(range(10**6))

    async def answer(send: Any) -> None:
        body = {"result": {"customers": [{"id": f"c{next(number)}"}]}, "paging": {"next": "5"}}
        await answering(200, json.dumps(body).encode())(send)

    desk.api.fault("/customers", answer)
    with pytest.raises(EndlessPages, match="leads back"):
        desk.run(preview=True)


def test_storms_of_429_and_500_that_pass_are_waited_out(hub: Ground) -> None:
    hub.change(limits={"retries": 4, "most_wait_seconds": 20})
    hub.api.fault("/projects", answering(429, retry_after="1"), times=2)
    hub.api.fault("/cycles", answering(503), times=2)
    result = hub.run()
    assert result.endpoint_success_count == 6
    assert result.duration_seconds > 1  # Retry-After was 1
    assert hub.log()[-1]["retry_count"] >= 3


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"id": "one"}, "'id' was BIGINT, and is STRING now"),
        ({"name": "x"}, "the field 'id' is gone"),
    ],
)
def test_a_changed_schema_is_told_field_by_field_and_written_nowhere(
    hub: Ground, record: dict[str, Any], words: str
) -> None:
    hub.run(preview=True)
    before = hub.rows("source.sampleprojects", "_position")
    whole = {"id": 1, "key": "k", "name": "n", **record}
    kept = whole if "id" in record else {name: value for name, value in whole.items() if name != "id"}
    hub.api.fault("/projects", answering(200, json.dumps({"items": [kept]}).encode()), after=1)
    with pytest.raises(SchemaChanged, match=words):
        hub.run(preview=True)
    assert hub.rows("source.sampleprojects", "_position") == before
    assert hub.log()[-1]["error_kind"] == "schema_changed"


def test_the_token_stays_on_its_host(hub: Ground) -> None:
    with running(hook) as other:
        hub.api.fault("/me", answering(302, location=f"{other.url}/me"))
        with pytest.raises(Elsewhere):
            hub.run()
        assert other.requests == []


def test_a_secret_that_is_not_there_fails_the_run_by_name(hub: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TESTHUB_TOKEN")
    with pytest.raises(LoginRefused, match="TESTHUB_TOKEN is not set"):
        hub.run()
    assert hub.log()[-1]["error_kind"] == "unauthorized"


DISK = """
import asyncio, resource, signal, sys
from pathlib import Path
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.stages import SourceStage, StageOptions
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
stage = SourceStage(sys.argv[1], "main.etl.control", StageOptions(True, True),
                    settings=Settings("main.etl.control", Path(sys.argv[2])))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
asyncio.run(stage.execute())
"""


def test_a_full_disk_in_the_middle_of_writing_leaves_the_tables_as_they_were(hub: Ground) -> None:
    """The limit on a file's size stands for the disk: the operating system refuses to write on."""
    import random

    hub.run(bootstrap=True, preview=True)
    before = hub.state()
    noise = random.Random(1)
    long = ["".join(noise.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=4000)) for _ in range(100)]
    hub.change(
        openapi=None, hierarchy=None, samples=None,
        endpoints=[{"path": "/projects"}, *({"path": f"/x{n}", "method": "POST", "description": text}
                                            for n, text in enumerate(long))],
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", DISK, str(hub.config), str(hub.folder / "home")],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "StoreError" in done.stderr, done.stderr
    assert hub.state() == before
    last = hub.log()[-1]
    assert last["status"] == "failed" and last["error_kind"] == "StoreError", last
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 100_000


def test_a_refused_login_is_no_batch_for_the_next_stage_which_keeps_the_last_one(hub: Ground) -> None:
    from lakeflow_job_meta.stages.contract.handoff import Handoff

    hub.run(bootstrap=True)
    contract = hub.stage().contract
    assert contract is not None
    handoff = Handoff(hub.store, "main", contract, "testhub")
    before = handoff.wait()
    hub.api.fault("/me", answering(401))
    with pytest.raises(LoginRefused):
        hub.run()
    after = handoff.wait()
    assert after == before
    (row,) = after.read(hub.store, hub.stage().tables.name("credentials"))
    assert row["validation_status"] == "Success"
    assert hub.rows("source.credentials")[0]["validation_status"] == "Failed"
    hub.api.faults.clear()
    hub.run()
    assert hub.rows("source.credentials")[0]["validation_status"] == "Success"


def test_a_token_that_is_not_there_is_told_as_a_login_that_failed(hub: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TESTHUB_TOKEN")
    with pytest.raises(LoginRefused):
        hub.run()
    (row,) = hub.rows("source.credentials")
    assert (row["credential_value"], row["validation_status"]) == ("***", "Failed")
    assert [row["step"] for row in hub.rows("log.source", "started_at")][:2] == ["run", "authenticate"]


def test_a_refused_login_leaves_another_systems_table_alone(hub: Ground) -> None:
    hub.run()
    before = hub.rows("source.credentials")
    hub.change(source_system="other")
    hub.api.fault("/me", answering(401))
    with pytest.raises(LoginRefused):
        hub.run()
    assert hub.rows("source.credentials") == before


def test_requests_go_through_the_proxy_of_the_environment(hub: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", hub.api.url)
    monkeypatch.setenv("TESTHUB_URL", "http://127.0.0.1:9/api")
    with pytest.raises(ApiError):
        hub.run()
    assert any("127.0.0.1:9" in headers["host"] for _, headers in hub.api.requests)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    hub.api.requests.clear()
    with pytest.raises(NoAnswer):
        hub.run()
    assert hub.api.requests == []
