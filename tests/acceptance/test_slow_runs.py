"""Runs that take longer than their job's health rules allow: flagged in the ledger, and a web hook is told, once."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lakeflow_job_meta import JobOrchestrator, UsageError
from lakeflow_job_meta.notify import web_hook
from lakeflow_job_meta.notify.signature import verify
from tests.acceptance.steps import apply, ids, with_settings
from tests.conftest import TABLE, Project
from tests.seeded_runs import end_run, seed_runs
from tests.web_hook_receiver import Receiver, receiver

SECRET = "s3cret-of-the-hook"
RULES = {"rules": [{"metric": "RUN_DURATION_SECONDS", "op": "GREATER_THAN", "value": 10}]}


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    monkeypatch.setattr(web_hook, "WAITS", (0.01, 0.01))
    with receiver() as kept:
        yield kept


@pytest.fixture
def limited(project: Project) -> Project:
    """A project with a job that may take ten seconds."""
    project.add("a")
    project.job_config(health=RULES)
    apply(project)
    return project


def orchestrator(project: Project, hook: Receiver, reference: str = "env:HOOK_SECRET") -> JobOrchestrator:
    return with_settings(project, notify_url=hook.url, notify_secret=reference)


def seed(project: Project, took_ms: int, *, ago_ms: int = 120_000, **given: Any) -> int:
    workspace, start = int(project.orchestrator.workspace.id), int(time.time() * 1000) - ago_ms
    (run_id,) = seed_runs(project.site.home, workspace, [ids(project)["m"]], [start], took_ms=took_ms, **given)
    return run_id


def flags(project: Project) -> dict[int, str | None]:
    return {row["run_id"]: row["sla"] for row in project.sql(f"SELECT run_id, sla FROM {TABLE}_runs")}


def messages(hook: Receiver) -> list[dict[str, Any]]:
    return [json.loads(each.body) for each in hook.messages]


def test_a_run_is_slow_if_it_ran_too_long_and_late_if_only_its_wait_made_it_so(limited: Project) -> None:
    slow, late = seed(limited, 11_000), seed(limited, 11_000, queue_ms=5_000)
    fine, going_on = seed(limited, 10_000), seed(limited, 0, going_on=True)
    limited.orchestrator.runs.collect()
    assert flags(limited) == {slow: "slow", late: "late", fine: None, going_on: "slow"}


def test_the_web_hook_is_told_once_with_a_signature_that_it_can_check(limited: Project, hook: Receiver) -> None:
    run_id = seed(limited, 11_500)
    seed(limited, 500)
    collected = orchestrator(limited, hook).runs.collect()
    assert [row["run_id"] for row in collected.breaches] == [run_id]
    (message,) = messages(hook)
    told = {name: message[name] for name in ("event", "module", "run_id", "allowed_seconds", "took_seconds")}
    assert told == {"event": "run.slow", "module": "m", "run_id": run_id, "allowed_seconds": 10, "took_seconds": 11.5}
    assert message["control_table"] == TABLE
    received = hook.messages[0]
    header = received.headers["x-lakeflow-signature"]
    assert verify(received.body, SECRET, header, now=int(time.time()))
    at = header.split(",")[0].removeprefix("t=")
    digest = hmac.new(SECRET.encode(), at.encode() + b"." + received.body, hashlib.sha256).hexdigest()
    assert header == f"t={at},v1={digest}"
    assert not verify(received.body + b" ", SECRET, header, now=int(time.time()))
    assert not verify(received.body, SECRET, header, now=int(time.time()) + 3600)
    orchestrator(limited, hook).runs.collect()
    assert len(hook.messages) == 1


def test_a_run_that_goes_on_too_long_is_told_once_and_not_again_when_it_ends(limited: Project, hook: Receiver) -> None:
    run_id = seed(limited, 0, going_on=True)
    orchestrator(limited, hook).runs.collect()
    orchestrator(limited, hook).runs.collect()
    end_run(limited.site.home, run_id, int(time.time() * 1000))
    assert orchestrator(limited, hook).runs.collect().going_on == 0
    assert [each["took_seconds"] for each in messages(hook)] == [None]
    assert flags(limited) == {run_id: "slow"}


def test_a_web_hook_that_fails_for_a_moment_is_told_again_under_the_same_delivery(
    limited: Project, hook: Receiver
) -> None:
    seed(limited, 11_000)
    hook.answers = [503, 429]
    orchestrator(limited, hook).runs.collect()
    assert len({each.headers["x-lakeflow-delivery"] for each in hook.messages}) == 1
    assert len(hook.messages) == 3
    orchestrator(limited, hook).runs.collect()
    assert len(hook.messages) == 3


def test_a_web_hook_that_is_down_does_not_fail_the_collector_and_is_told_at_a_later_look(
    limited: Project, hook: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = seed(limited, 11_000), seed(limited, 11_000, ago_ms=60_000)
    hook.answers = [503] * 3
    with caplog.at_level(logging.ERROR):
        assert orchestrator(limited, hook).runs.collect().runs == 2
    assert "503" in caplog.text
    assert len(hook.messages) == 3, "it gave up, and spared the other message"
    hook.messages.clear()
    orchestrator(limited, hook).runs.collect()
    assert {each["run_id"] for each in messages(hook)} == {first, second}
    hook.messages.clear()
    assert orchestrator(limited, hook).runs.collect().runs == 0
    assert hook.messages == []


def test_a_message_goes_nowhere_but_where_it_was_addressed_to(limited: Project, hook: Receiver) -> None:
    seed(limited, 11_000)
    with receiver() as elsewhere:
        hook.answers, hook.location = [302], elsewhere.url
        orchestrator(limited, hook).runs.collect()
        assert elsewhere.messages == []
    assert len(hook.messages) == 1


def test_the_secret_may_be_one_of_the_workspace(limited: Project, hook: Receiver) -> None:
    limited.client.secrets.create_scope("hooks")
    limited.client.secrets.put_secret("hooks", "key", string_value="in-the-workspace")
    seed(limited, 11_000)
    orchestrator(limited, hook, "{{secrets/hooks/key}}").runs.collect()
    (message,) = hook.messages
    assert verify(message.body, "in-the-workspace", message.headers["x-lakeflow-signature"], now=int(time.time()))


def test_a_secret_that_cannot_be_read_stops_the_message_and_not_the_collector(
    limited: Project, hook: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    seed(limited, 11_000)
    with caplog.at_level(logging.ERROR):
        assert orchestrator(limited, hook, "env:NOT_SET_AT_ALL").runs.collect().runs == 1
    assert "NOT_SET_AT_ALL" in caplog.text
    assert hook.messages == []


def test_a_secret_itself_is_refused_and_not_quoted(limited: Project, hook: Receiver) -> None:
    with pytest.raises(UsageError) as caught:
        _ = orchestrator(limited, hook, SECRET).runs
    assert SECRET not in str(caught.value)


def test_what_is_long_over_is_flagged_and_not_told(limited: Project, hook: Receiver) -> None:
    run_id = seed(limited, 11_000, ago_ms=2 * 86_400_000)
    orchestrator(limited, hook).runs.collect()
    assert flags(limited) == {run_id: "slow"}
    assert hook.messages == []
