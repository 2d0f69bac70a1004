"""The Jobs API's calls about runs: run-now, submit, get, list, get-output, cancel, delete, export."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lakeflow_job_meta.local import jobs
from lakeflow_job_meta.local.call import Answer, Call, Route, invalid, reply
from lakeflow_job_meta.local.job_settings import parsed
from lakeflow_job_meta.local.paging import decode_token, encode_token
from lakeflow_job_meta.local.runs import asked, views
from lakeflow_job_meta.local.runs.dag import FINE
from lakeflow_job_meta.local.runs.left_behind import executed_notebook, printed_so_far
from lakeflow_job_meta.local.runs.notebook_html import as_html
from lakeflow_job_meta.local.runs.phases import PENDING
from lakeflow_job_meta.local.runs.record import Run, TaskRun, kind_of, run_from
from lakeflow_job_meta.local.runs.run_named import may, run_named
from lakeflow_job_meta.local.state import MAX_ID, new_id

PAGE = 100
KINDS = ("JOB_RUN", "SUBMIT_RUN", "WORKFLOW_RUN")
NOT_SUBMITTED = ("name", "schedule", "trigger", "continuous", "max_concurrent_runs", "tags", "parameters")
"""Settings of a job that runs/submit has not."""


def run_now(call: Call) -> Answer:
    """Run a job; the same token always gives the same run."""
    body = call.json()
    job = jobs.require(call, jobs.id_in(body.get("job_id")), jobs.RUN)
    if (known := _of_token(call, body)) is not None:
        return reply({"run_id": known, "number_in_job": known})
    run = call.runner.launch(asked.run_of_job(job, call.caller.user, body, call.now_ms))
    return reply({"run_id": run.run_id, "number_in_job": run.run_id})


def submit(call: Call) -> Answer:
    """Run tasks without making a job of them."""
    body = call.json()
    if (known := _of_token(call, body)) is not None:
        return reply({"run_id": known})
    name = str(body.get("run_name") or "Untitled")
    given = {key: value for key, value in body.items() if key not in NOT_SUBMITTED}
    settings = jobs.checked(call, {**parsed(given), "name": name})
    for unasked in ("queue", "max_concurrent_runs"):
        settings.pop(unasked, None)
    run = Run(
        run_id=new_id(), workspace=call.caller.workspace_id, job_id=new_id(), kind="SUBMIT_RUN", name=name,
        creator=call.caller.user, trigger="ONE_TIME", start_ms=call.now_ms, phase=PENDING, settings=settings,
        token=asked.token_of(body),
    )  # fmt: skip
    return reply({"run_id": call.runner.launch(run).run_id})


def get(call: Call) -> Answer:
    """A run, a hundred of its tasks at a time; of a task run that task, and a hundred of its iterations."""
    run, task = run_named(call, call.query.get("run_id"), jobs.READ)
    resolved = call.flag("include_resolved_values")
    number = int(decode_token(call.query["page_token"])) if call.query.get("page_token") else 0
    origin = _origin(call)
    view = views.run_view(run, origin)
    if task is not None:
        iterations = call.runner.rows.iterations(task.run_id)
        shown = [views.task_view(run, each, origin, resolved=resolved) for each in _page(iterations, number)]
        own = views.task_view(run, task, origin, resolved=resolved)
        own = views.loop_view(own, iterations) if task.kind == "for_each_task" else own
        listed = iterations
        view |= {name: own[name] for name in OF_A_TASK_RUN if name in own}
        view |= {"job_run_id": run.run_id, "tasks": [own], **({"iterations": shown} if shown else {})}
    else:
        listed = call.runner.rows.tasks(run.run_id)
        view["tasks"] = [_task(call, run, each, resolved=resolved) for each in _page(listed, number)]
        if call.flag("include_history"):
            view["repair_history"] = views.history_view(run, listed)
    if number and number * PAGE >= len(listed):
        invalid("Invalid page_token: there is no such page.")
    if number:
        # The SDK adds up the pages: what is whole on the first isn't told again.
        for once in ("job_clusters", "job_parameters", "repair_history"):
            view.pop(once, None)
    if len(listed) > (number + 1) * PAGE:
        view["next_page_token"] = encode_token(str(number + 1))
    return reply(view)


OF_A_TASK_RUN = (
    "run_id", "state", "status", "start_time", "end_time", "setup_duration", "execution_duration", "queue_duration",
    "attempt_number", "original_attempt_run_id", "run_page_url",
)  # fmt: skip
"""What a task run, asked for by its own id, shows of itself in the place of its job run's."""


def list_(call: Call) -> Answer:
    """A page of runs, newest first."""
    limit = call.number("limit", 20, 0, 25) or 25
    where, values = _filters(call)
    token = int(decode_token(call.query["page_token"])) if call.query.get("page_token") else 0
    back = token % 2 == 1
    if token:
        where += " AND seq > ?" if back else " AND seq < ?"
        values.append(token // 2)
    sql = f"SELECT * FROM runs WHERE {where} ORDER BY seq {'ASC' if back else 'DESC'} LIMIT ?"  # noqa: S608
    rows = call.state.all(sql, *values, limit + 1)
    more, rows = len(rows) > limit, rows[:limit]
    if back:
        rows.reverse()
    result: dict[str, Any] = {"has_more": more if not back else True}
    if rows:
        result["runs"] = [_listed(call, run_from(row["record"], row["settings"])) for row in rows]
        # The token names a run, so those that begin or are deleted meanwhile neither shift nor repeat the others.
        if more or back:
            result["next_page_token"] = encode_token(str(rows[-1]["seq"] * 2))
        if (token and not back) or (back and more):
            result["prev_page_token"] = encode_token(str(rows[0]["seq"] * 2 + 1))
    return reply(result)


def get_output(call: Call) -> Answer:
    """What a task run left."""
    run, task = run_named(call, call.query.get("run_id"), jobs.READ)
    if task is None:
        tasks = {each.key: each for each in call.runner.rows.tasks(run.run_id)}
        if len(tasks) != 1:
            invalid(
                "Retrieving the output of runs with multiple tasks is not supported. "
                "Please retrieve the output of each individual task run instead."
            )
        (task,) = tasks.values()
    kept = call.runner.rows.output(task.run_id)
    view = views.run_view(run, _origin(call))
    own = views.task_view(run, task, _origin(call))
    view |= {name: own[name] for name in OF_A_TASK_RUN if name in own} | {"tasks": [own]}
    told = {name: kept[name] for name in ("error", "error_trace") if kept.get(name)}
    if not told and task.phase.ended and task.phase.result not in FINE:
        told = {"error": task.phase.message}
    if not task.phase.ended:
        kept["output"] = {"logs": printed_so_far(call.state, run.workspace, call.runner.folder_of(task))}
    output = dict(kept.get("output", {}))
    if rows := views.rows_told(task):
        output["local"] = {**output.get("local", {}), **rows}
    return reply({"metadata": view, **output, **told})


def export(call: Call) -> Answer:
    """The executed notebook of a task run, as HTML."""
    _, task = run_named(call, call.query.get("run_id"), jobs.READ)
    if task is None or task.kind != "notebook_task":
        invalid("Only runs of notebook tasks can be exported.")
    executed = executed_notebook(call.runner.folder_of(task))
    if executed is None:
        invalid(f"Run {task.run_id} has no executed notebook.")
    path = str(task.task["notebook_task"]["notebook_path"])
    view = {"content": as_html(executed, path), "name": path.rpartition("/")[2], "type": "NOTEBOOK"}
    return reply({"views": [view]})


def cancel(call: Call) -> Answer:
    """End a run, or one of its task runs; the end itself comes a little later."""
    run, task = run_named(call, call.json().get("run_id"), jobs.RUN)
    call.runner.cancel(run.run_id if task is None else task.run_id)
    return reply({})


def cancel_all(call: Call) -> Answer:
    """End all runs of a job, or all that are queued."""
    body = call.json()
    queued = body.get("all_queued_runs") is True
    if body.get("job_id") is None:
        if not queued:
            invalid("Missing required field: job_id")
        runs = [each for each in call.runner.rows.active() if each.workspace == call.caller.workspace_id]
        runs = [each for each in runs if call.caller.admin or may(call, each, jobs.RUN)]
    else:
        job = jobs.require(call, jobs.id_in(body["job_id"]), jobs.RUN)
        runs = call.runner.rows.active_of_job(job["job_id"])
    if queued:
        runs = [each for each in runs if each.phase.life_cycle == "QUEUED"]
    for run in runs[::-1]:  # those in the queue first, or they would begin as the others end
        call.runner.cancel(run.run_id)
    return reply({})


def delete(call: Call) -> Answer:
    """Forget a run that has ended."""
    run, task = run_named(call, call.json().get("run_id"), jobs.RUN)
    if task is not None:
        invalid(f"Run {task.run_id} is a task run; delete its job run {run.run_id}.")
    if not run.phase.ended:
        invalid(f"Run {run.run_id} is active; cancel it before deleting it.")
    call.runner.forget(run)
    return reply({})


def _of_token(call: Call, body: Mapping[str, Any]) -> int | None:
    token = asked.token_of(body)
    known = call.runner.rows.of_token(call.caller.workspace_id, token) if token else None
    if known is not None and known[1]:
        invalid(f"The run of idempotency_token '{token}' was deleted.")
    return None if known is None else known[0]


def _filters(call: Call) -> tuple[str, list[object]]:
    active, completed = call.flag("active_only"), call.flag("completed_only")
    if active and completed:
        invalid("active_only and completed_only cannot both be true.")
    where, values = "workspace = ? AND NOT deleted", [call.caller.workspace_id]
    conditions: list[tuple[str, object]] = []
    if active or completed:
        conditions.append(("active = ?", int(active)))
    if call.query.get("job_id"):
        conditions.append(("job_id = ?", min(jobs.id_in(call.query["job_id"]), MAX_ID)))
    if kind := call.query.get("run_type"):
        if kind not in KINDS:
            invalid(f"run_type must be one of {', '.join(KINDS)}, got '{kind}'")
        conditions.append(("kind = ?", kind))
    for name, operator in (("start_time_from", ">="), ("start_time_to", "<=")):
        if call.query.get(name):
            conditions.append((f"start_ms {operator} ?", call.number(name, 0, 0, MAX_ID)))
    if not call.caller.admin:
        conditions.append(
            ("'jobs/' || job_id IN (SELECT object FROM acls WHERE principal = ?)", call.caller.user),
        )
    where = " AND ".join([where, *(text for text, _ in conditions)])
    return where, [*values, *(value for _, value in conditions)]


def _listed(call: Call, run: Run) -> dict[str, Any]:
    view = views.run_view(run, _origin(call))
    if not call.flag("expand_tasks"):
        view.pop("job_clusters", None)
        return view
    tasks = call.runner.rows.tasks(run.run_id)
    view["tasks"] = [_task(call, run, each) for each in tasks[:PAGE]]
    return view | ({"has_more": True} if len(tasks) > PAGE else {})


def _task(call: Call, run: Run, task: TaskRun, *, resolved: bool = False) -> dict[str, Any]:
    view = views.task_view(run, task, _origin(call), resolved=resolved)
    if kind_of(task.task) == "for_each_task":
        return views.loop_view(view, call.runner.rows.iterations(task.run_id))
    return view


def _page(entries: list[TaskRun], number: int) -> list[TaskRun]:
    return entries[number * PAGE : (number + 1) * PAGE]


def _origin(call: Call) -> str:
    return f"http://{call.headers.get('host', '127.0.0.1')}"


def _routes() -> tuple[Route, ...]:
    served: tuple[tuple[str, str, Callable[[Call], Answer]], ...] = (
        ("POST", "run-now", run_now), ("POST", "runs/submit", submit), ("GET", "runs/get", get),
        ("GET", "runs/list", list_), ("GET", "runs/get-output", get_output), ("GET", "runs/export", export),
        ("POST", "runs/cancel", cancel), ("POST", "runs/cancel-all", cancel_all), ("POST", "runs/delete", delete),
    )  # fmt: skip
    return tuple(
        Route(method, f"/api/{version}/jobs/{name}", handler)
        for version in jobs.VERSIONS
        for method, name, handler in served
    )


ROUTES = _routes()
