"""What changed of an API's records since the run before: in the log, the notice and the command's output."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import pytest

from lakeflow_job_meta.cli.app import run
from lakeflow_job_meta.stages.http.failure import ServerFailed
from tests.source_api import answering, running
from tests.stage_ground import Ground

CYCLES = "GET /releases/{release_id}/cycles"
CHANGE = f"{CYCLES}: the field 'releaseId' is gone; 'id' was int, and is str now; the field 'state' is new"


def cycles(**record: Any) -> Any:
    return answering(200, json.dumps({"items": [record]}).encode())


def changed(hub: Ground) -> None:
    hub.api.fault("/cycles", cycles(id="c1", name="Cycle", state="open"))


def test_fields_that_came_went_or_have_other_types_are_told_once(hub: Ground) -> None:
    assert hub.run().schema_changes == ()
    changed(hub)
    # Executions are asked by the cycle's id, which is another one now.
    hub.api.fault("/executions", cycles(id=1, cycleId=1, test="T", result="passed"))
    result = hub.run()
    assert result.schema_changes == (CHANGE,)
    for step in ("validate", "run"):
        assert json.loads(hub.log(step)[-1]["details"])["schema_changes"] == [CHANGE]
    assert hub.run().schema_changes == ()
    assert "schema_changes" not in json.loads(hub.log("validate")[-1]["details"])


def test_null_or_a_whole_number_where_numbers_were_is_no_change(hub: Ground) -> None:
    hub.api.fault("/cycles", cycles(id=1, weight=0.5, note=None, name="x"), times=1)
    hub.api.fault("/cycles", cycles(id=1, weight=1, note="why", name=None), times=1)
    hub.api.fault("/cycles", cycles(id=1, weight=0.5, note="why", name="x"), times=1)
    assert [hub.run().schema_changes for _ in range(3)] == [(), (), ()]


def test_what_a_run_could_not_see_is_still_known_to_the_next_one(hub: Ground) -> None:
    hub.change(min_success_rate=0)
    hub.run()
    hub.api.fault("/cycles", answering(200, b'{"items": []}'), times=1)
    assert hub.run().schema_changes == ()
    hub.api.fault("/me", answering(500), times=2)
    with pytest.raises(ServerFailed):
        hub.run()
    hub.api.faults.clear()
    hub.api.fault("/cycles", answering(500), times=2)
    assert hub.run().schema_changes == ()
    hub.api.faults.clear()
    changed(hub)
    assert hub.run().schema_changes == (CHANGE,)


def test_keys_of_a_mapping_that_is_no_record_are_not_remembered(hub: Ground) -> None:
    hub.api.fault("/cycles", cycles(**{f"user{number}": 1 for number in range(300)}))
    hub.change(min_success_rate=0)
    hub.run()
    assert "user1" not in hub.log("validate")[-1]["details"]


def test_who_waits_for_it_is_told_also_with_a_failure_or_a_recovery(
    hub: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies: list[dict[str, Any]] = []

    async def taking(scope: Any, receive: Any, send: Any) -> None:
        bodies.append({"to": scope["path"], **json.loads((await receive())["body"])})
        await answering(204, b"")(send)

    with running(taking) as hooks:
        monkeypatch.setenv("USUAL", f"{hooks.url}/usual")
        monkeypatch.setenv("FAILURES", f"{hooks.url}/failures")
        hub.change(min_success_rate=0.5, notify=[
            {"type": "webhook", "url": "env:USUAL"},
            {"type": "webhook", "url": "env:FAILURES", "on": ["failure"]},
        ])  # fmt: skip
        hub.run()
        assert bodies == []
        changed(hub)
        hub.run()
        (told,) = bodies
        assert (told["to"], told["event"], told["message"]) == ("/usual", "schema_change", CHANGE)
        bodies.clear()
        hub.api.faults.clear()
        hub.change(min_success_rate=1.0)
        hub.api.fault("/projects/1", answering(500))
        with pytest.raises(Exception, match="endpoints failed"):
            hub.run()
    assert {each["to"] for each in bodies} == {"/usual", "/failures"}
    assert all(each["event"] == "failure" and CYCLES in each["message"] for each in bodies)


def test_the_command_warns_of_it(hub: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEFLOW_HOME", str(hub.settings.home))
    hub.run()
    changed(hub)
    hub.change(min_success_rate=0)
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(["stage", "source", "--config", str(hub.config), "--control-table", hub.control_table])
    assert code == 0
    assert f"warning: the schema changed: {CHANGE}" in err.getvalue()
