"""What is looked at in the workspace."""

from __future__ import annotations

import math
from typing import Any
from uuid import uuid4

from lakeflow_job_meta.diagnostics import counted, errors_in
from lakeflow_job_meta.doctor.check import Check
from lakeflow_job_meta.doctor.subject import Subject
from lakeflow_job_meta.errors import Unreachable
from lakeflow_job_meta.ingest.volume import place_of_files
from lakeflow_job_meta.model.finding import Finding, failed, not_tried, ok, warning
from lakeflow_job_meta.workspace.connect import ME
from lakeflow_job_meta.workspace.queries import ROOT

SKEW_SECONDS = 30.0
ORG_HEADER = "x-databricks-org-id"
NAME_OF_JOB = "ljm doctor"
LOG_IN = "log in again (the databricks CLI), or renew the token"


def reachable(subject: Subject) -> Finding:
    """Somebody answers there."""
    answer, place = subject.first_answer, subject.workspace.label
    if 300 <= answer.status < 400:
        return failed(f"{place} leads elsewhere ({answer.status})", "is this the address of a workspace?")
    return ok(f"{place} answers in {answer.seconds:.1f} s")


def login(subject: Subject) -> Finding:
    """The SDK finds credentials, and the workspace lets us in with them."""
    config = subject.workspace.client.config
    answer = subject.probe.send("GET", ME)
    how = f"{config.auth_type}, profile {config.profile}" if config.profile else str(config.auth_type)
    if not answer.done:
        return failed(f"the workspace doesn't let us in ({how}): {answer.message}", LOG_IN)
    subject.workspace_id = answer.headers.get(ORG_HEADER, "")
    if not subject.workspace_id:
        return failed("the workspace doesn't tell its id", "is this the address of a workspace, or of an account?")
    return ok(f"{answer.body.get('userName', 'somebody')} ({how}), workspace {subject.workspace_id}")


def clocks(subject: Subject) -> Finding:
    """Our clock and the workspace's."""
    ahead = subject.first_answer.ahead
    if ahead is None:
        return not_tried("the workspace doesn't say what time it is")
    if abs(ahead) <= SKEW_SECONDS:
        return ok(f"at most {math.ceil(abs(ahead)) + 1} s from the workspace's")
    side = "ahead of" if ahead > 0 else "behind"
    return warning(
        f"our clock is {abs(ahead):.0f} s {side} the workspace's",
        "set it (NTP): after an interrupted run it decides how long a new job may still be missing from lists, and it"
        " is what the tables' timestamps and the log say",
    )


def jobs(subject: Subject) -> Finding:
    """Jobs can be listed; with `write`, made: one that nothing can start, deleted at once."""
    answer = subject.probe.send("GET", "/api/2.2/jobs/list", {"limit": "1"})
    if not answer.done:
        return failed(f"jobs can't be listed: {answer.message}", LOG_IN)
    if not subject.write:
        return not_tried("jobs can be listed; to make one wasn't tried", "--write makes one, and deletes it at once")
    return _make_job(subject, f"{NAME_OF_JOB} {uuid4().hex[:12]}")


def _make_job(subject: Subject, name: str) -> Finding:
    settings = {
        "name": name,
        "schedule": {"quartz_cron_expression": "0 0 0 1 1 ?", "timezone_id": "UTC", "pause_status": "PAUSED"},
        "tasks": [{"task_key": "none", "notebook_task": {"notebook_path": "/Workspace/none"}}],
    }
    try:
        answer = subject.probe.send("POST", "/api/2.2/jobs/create", body=settings)
    except Unreachable as error:
        return failed(f"a job was sent, and {error.message}; {_delete_by_name(subject, name)}", error.hint)
    if not answer.done:
        left = f"; {_delete_by_name(subject, name)}" if answer.status >= 500 else ""
        return failed(f"jobs can't be made: {answer.message}{left}", "ask an admin for the right to create jobs")
    job_id = answer.body.get("job_id")
    if why := _not_deleted(subject, job_id):
        return warning(f"job {job_id} was made, but not deleted: {why}", f"delete it by hand: {name}")
    return ok(f"job {job_id} was made, and deleted")


def _not_deleted(subject: Subject, job_id: object) -> str:
    """Delete a job; why it couldn't be, or empty."""
    try:
        answer = subject.probe.send("POST", "/api/2.2/jobs/delete", body={"job_id": job_id})
    except Unreachable as error:
        return error.message
    return "" if answer.done else answer.message


def _delete_by_name(subject: Subject, name: str) -> str:
    """After a create whose outcome isn't known: whatever came of it goes. Says what is left."""
    try:
        answer = subject.probe.send("GET", "/api/2.2/jobs/list", {"name": name})
    except Unreachable:
        return f"should a job '{name}' turn up, delete it"
    found: list[dict[str, Any]] = answer.body.get("jobs", [])
    if found and not any(_not_deleted(subject, each["job_id"]) for each in found):
        return "it was there, and is deleted"
    return f"should a job '{name}' turn up, delete it"


def queries(subject: Subject) -> Finding:
    """The folder of saved queries can be seen."""
    answer = subject.probe.send("GET", "/api/2.0/workspace/get-status", {"path": ROOT})
    if answer.status == 404:
        return ok(f"{ROOT} isn't there yet: it is made with the first saved query")
    if not answer.done:
        return warning(
            f"{ROOT} can't be looked at: {answer.message}", "only SQL tasks with a text of their own need that folder"
        )
    return ok(f"{ROOT} is there")


def volume(subject: Subject) -> Finding:
    """The YAML files of a volume can be read."""
    if not subject.volume:
        return not_tried("no volume is named", "--volume /Volumes/catalog/schema/volume")
    found = place_of_files(subject.volume, subject.workspace).look()
    if found is None:
        return failed(
            f"{subject.volume} doesn't exist", "is its name right? may we READ VOLUME, USE SCHEMA, USE CATALOG?"
        )
    if wrong := errors_in(found.findings):
        return failed(f"{subject.volume}: {wrong[0].message}", wrong[0].hint)
    return ok(f"{subject.volume}: {counted(len(found.files), 'YAML file')}")


CHECKS = (
    Check("workspace", reachable, ("settings",)),
    Check("clock", clocks, ("workspace",)),
    Check("login", login, ("workspace",)),
    Check("jobs", jobs, ("login",), slow=True),
    Check("saved queries", queries, ("login",)),
    Check("volume", volume, ("settings",)),
)
