"""The Jobs API's runs/repair: which tasks of an ended run go again, and with which settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lakeflow_job_meta.local import jobs
from lakeflow_job_meta.local.call import Answer, Call, Route, invalid, reply
from lakeflow_job_meta.local.job_settings import Settings, parsed
from lakeflow_job_meta.local.runs import asked
from lakeflow_job_meta.local.runs.dag import FINE, needs_of, reached, turned
from lakeflow_job_meta.local.runs.record import Run, TaskRun
from lakeflow_job_meta.local.runs.run_named import run_named
from lakeflow_job_meta.local.state import new_id


def repair(call: Call) -> Answer:
    """Run the failed tasks of a run again, or those named, with the settings that its job has now."""
    body = call.json()
    run, task = run_named(call, body.get("run_id"), jobs.RUN)
    if task is not None:
        invalid(f"Run {task.run_id} is a task run; repair its job run {run.run_id}.")
    if not run.phase.ended:
        invalid(f"Run {run.run_id} is active; only a run that has ended can be repaired.")
    _check_latest(run, body.get("latest_repair_id"))
    settings = _settings_now(call, run)
    keys = _to_rerun(call, run, settings, body)
    overriding = {**run.overriding, **asked.overriding_of(body)}
    run = replace(run, settings=settings, overriding=overriding)
    run = asked.with_parameters(run, {**run.parameters, **overriding.get("job_parameters", {})})
    repair_id = new_id()
    call.runner.repair(run, keys, repair_id)
    return reply({"repair_id": repair_id})


def _to_rerun(call: Call, run: Run, settings: Settings, body: Mapping[str, Any]) -> set[str]:
    named = body.get("rerun_tasks")
    if (named is not None) == (body.get("rerun_all_failed_tasks") is True):
        invalid("Exactly one of rerun_tasks and rerun_all_failed_tasks must be given.")
    latest = {each.key: each for each in call.runner.rows.tasks(run.run_id)}
    needs = needs_of(settings["tasks"])
    if named is not None:
        keys = set[str](parsed(named, "list[str]"))
        for key in sorted(keys - set(needs)):
            invalid(f"Task '{key}' of rerun_tasks is not a task of run {run.run_id}.")
    else:
        keys = {key for key in needs if key not in latest or latest[key].phase.result not in FINE}
    if body.get("rerun_dependent_tasks") is True or named is None:
        # What was left out because of a failure is decided on again.
        keys |= _after(keys, needs, latest, every=body.get("rerun_dependent_tasks") is True)
    if not keys:
        invalid(f"Run {run.run_id} has no failed tasks to rerun.")
    return keys


def _after(keys: set[str], needs: Mapping[str, list[str]], latest: Mapping[str, TaskRun], *, every: bool) -> set[str]:
    downstream = reached(keys, turned(needs))
    return {each for each in downstream if every or each not in latest or latest[each].phase.code == "SKIPPED"}


def _check_latest(run: Run, given: object) -> None:
    known = [each["id"] for each in run.repairs if "id" in each]
    if known and given is None:
        invalid("Missing required field: latest_repair_id (the run was repaired before)")
    if given is not None and (not known or jobs.id_in(given, "latest_repair_id") != known[-1]):
        found = f"it is {known[-1]}" if known else "the run was never repaired"
        invalid(f"latest_repair_id {given} is not the latest repair of run {run.run_id}: {found}.")


def _settings_now(call: Call, run: Run) -> Settings:
    """The settings that the job has now, of the tasks that the run had."""
    row = call.state.one("SELECT settings FROM jobs WHERE job_id = ?", run.job_id) if run.kind == "JOB_RUN" else None
    if row is None:
        return dict(run.settings)
    settings = json.loads(row["settings"])
    keys = {each["task_key"] for each in run.tasks}
    return {**settings, "tasks": [each for each in settings["tasks"] if each["task_key"] in keys]}


ROUTES = tuple(Route("POST", f"/api/{version}/jobs/runs/repair", repair) for version in jobs.VERSIONS)
