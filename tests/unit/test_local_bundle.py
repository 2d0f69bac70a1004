"""A recorded deployment by the databricks CLI (validate, deploy, plan, change, run, destroy), played against ours.

The recording's own server was a fake with ids above 2^53; ids and user names of the two are mapped to each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.local_runs import Runs
from tests.local_server import Reply, Site, running_server

TRACE = Path(__file__).parent.parent / "data" / "bundle_deploy_trace.jsonl"
RUN_TRACE = TRACE.with_name("bundle_run_trace.jsonl")
# What differs from one workspace to another.
OF_THE_WORKSPACE = {"object_id", "created_time", "workspace_id", "id", "userName", "message"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_server(tmp_path_factory.mktemp("home")) as site:
        yield site


def test_a_recorded_bundle_deployment_plays_back_with_the_same_answers(site: Site) -> None:
    mine = site.client().current_user.me().user_name
    assert mine is not None
    ids: dict[str, str] = {"tester@databricks.com": mine}
    entries = _entries(TRACE)
    assert len(entries) > 90
    for number, entry in enumerate(entries, 1):
        entry = json.loads(_mapped(json.dumps(entry), ids))
        path = entry["path"] + (f"?{_mapped(entry['query'], ids)}" if entry["query"] else "")
        answer = site.call(entry["method"], path, entry["body"].encode() or None)
        assert answer.status == entry["status"], (number, entry["method"], path, answer.body)
        if entry["path"].endswith("/jobs/create"):
            ids[str(entry["resp"]["job_id"])] = str(answer.data["job_id"])
            continue
        _compare(entry, answer, f"line {number}")
    assert not list(site.client().jobs.list()), "the bundle was destroyed"


def test_a_recorded_bundle_run_plays_back_and_is_told_in_the_same_fields(site: Site) -> None:
    """The recording's own server ran no task in order, so what each came to is its own; what is told of it isn't."""
    (created,) = [each for each in _entries(TRACE) if each["path"].endswith("/jobs/create")]
    job_id = site.call("POST", created["path"], created["body"].encode()).data["job_id"]
    run_now, *looks, check, extract = _entries(RUN_TRACE)
    ids = {str(created["resp"]["job_id"]): str(job_id)}

    started = site.call("POST", run_now["path"], _mapped(run_now["body"], ids).encode())
    assert started.data.keys() >= run_now["resp"].keys()
    ids[str(run_now["resp"]["run_id"])] = str(started.data["run_id"])

    path = f"{looks[0]['path']}?{_mapped(looks[0]['query'], ids)}"
    assert site.call("GET", path).status == looks[0]["status"]
    last = Runs(site).ended(started.data["run_id"])
    assert _told(looks[-1]["resp"]) <= _told(last)
    assert (last["state"]["result_state"], last["run_name"]) == ("FAILED", looks[-1]["resp"]["run_name"])

    ours = {each["task_key"]: each["run_id"] for each in last["tasks"]}
    for recorded in (check, extract):
        (key,) = [
            each["task_key"] for each in looks[-1]["resp"]["tasks"] if recorded["query"] == f"run_id={each['run_id']}"
        ]
        output = site.call("GET", f"{recorded['path']}?run_id={ours[key]}")
        assert (output.status, bool(output.data["error"])) == (200, True)


def _told(value: Any, path: str = "") -> set[str]:
    """The fields of an answer, of all tasks together, and what is the same at each run of the job."""
    if isinstance(value, list):
        return set[str]().union(*(_told(each, f"{path}[]") for each in value))
    if isinstance(value, dict):
        return set[str]().union(*(_told(each, f"{path}.{name}") for name, each in value.items()))
    return {f"{path}={value}" if path.endswith(("run_type", "task_key")) else path}


def _entries(trace: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in trace.read_text().splitlines()]


def _mapped(text: str, ids: dict[str, str]) -> str:
    for theirs, ours in ids.items():
        text = text.replace(theirs, ours).replace(theirs.replace("@", "%40"), ours.replace("@", "%40"))
    return text


def _compare(entry: dict[str, Any], answer: Reply, where: str) -> None:
    if entry["path"].endswith("/export"):
        assert answer.body.decode() == entry["resp"], where
    elif isinstance(entry["resp"], dict) and "telemetry" not in entry["path"]:
        _contains(answer.data, entry["resp"], where)


def _contains(found: Any, expected: Any, where: str) -> None:
    if isinstance(expected, dict):
        for key, value in expected.items():
            if key not in OF_THE_WORKSPACE:
                assert key in found, f"{where}.{key}"
                _contains(found[key], value, f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for position, value in enumerate(expected):
            _contains(found[position], value, f"{where}[{position}]")
    else:
        assert found == expected, where
