"""A recorded deployment by the databricks CLI (validate, deploy, plan, change, destroy), played against the server.

The recording's own server was a fake with ids above 2^53; ids and user names of the two are mapped to each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.local_server import Reply, Site, running_server

TRACE = Path(__file__).parent.parent / "data" / "bundle_deploy_trace.jsonl"
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
    entries = [json.loads(line) for line in TRACE.read_text().splitlines()]
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
