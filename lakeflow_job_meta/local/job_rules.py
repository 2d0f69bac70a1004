"""What a job's settings must hold for the service to take them."""

from __future__ import annotations

import re
from typing import cast

from lakeflow_job_meta.local.call import invalid
from lakeflow_job_meta.local.job_settings import LIST_KEYS, TRIGGERS, Settings, sourced
from lakeflow_job_meta.local.quartz import cron_problem, timezone_problem
from lakeflow_job_meta.model import jobs_api

MAX_TASKS, MAX_TAGS, MAX_NAME_BYTES, MAX_INPUTS = 1000, 25, 4096, 10_000
TASK_KEY = re.compile(r"[A-Za-z0-9_-]{1,100}")
PARAMETER_NAME = re.compile(r"[A-Za-z0-9_.-]+")
TASK_TYPES = tuple(name for name in jobs_api.fields("Task") if name.endswith("_task"))
SQL_TASK_TYPES = {"query": "query_id", "file": "path", "dashboard": "dashboard_id", "alert": "alert_id"}
TRIGGER_TYPES = ("file_arrival", "periodic", "table", "table_update", "model", "sql_condition", "job_completion")
GIT_PROVIDERS = jobs_api.choices("GitSource", "git_provider")
CONDITION_OPS = jobs_api.choices("ConditionTask", "op")
RUN_IFS = jobs_api.choices("Task", "run_if")
# Whole numbers and their bounds, where the service has any.
BOUNDS = {"timeout_seconds": (0, 2**31 - 1), "max_concurrent_runs": (0, 1000)}


def validate(settings: Settings) -> None:
    """Refuse what the service refuses.

    Raises:
        Refusal: 400 INVALID_PARAMETER_VALUE.
    """
    if len(str(settings.get("name", "")).encode()) > MAX_NAME_BYTES:
        invalid(f"The job name is longer than {MAX_NAME_BYTES} bytes.")
    if len(settings.get("tags", {})) > MAX_TAGS:
        invalid(f"The job has {len(settings['tags'])} tags; the maximum is {MAX_TAGS}.")
    for name, (low, high) in BOUNDS.items():
        if not low <= settings.get(name, low) <= high:
            invalid(f"{name} must be between {low} and {high}, got {settings[name]}.")
    _validate_triggers(settings)
    _validate_git_source(settings)
    _validate_run_as(settings)
    for name in LIST_KEYS:
        _validate_keys(settings, name)
    for parameter in settings.get("parameters", ()):
        if not PARAMETER_NAME.fullmatch(parameter["name"]):
            invalid(f"Invalid job parameter name '{parameter['name']}': use letters, digits, '_', '-' and '.'.")
    tasks = cast("list[Settings]", settings.get("tasks", []))
    if not tasks:
        invalid("At least one task must be specified in the job settings.")
    if len(tasks) > MAX_TASKS:
        invalid(f"The job has {len(tasks)} tasks; the maximum is {MAX_TASKS}.")
    for task in tasks:
        _validate_task(task, settings)
    _validate_graph(tasks)


def _validate_triggers(settings: Settings) -> None:
    given = [name for name in TRIGGERS if name in settings]
    if len(given) > 1:
        invalid(f"Only one of schedule, trigger and continuous can be set; found {' and '.join(given)}.")
    if (schedule := settings.get("schedule")) is not None:
        expression, zone = schedule.get("quartz_cron_expression", ""), schedule.get("timezone_id", "")
        if problem := cron_problem(expression):
            invalid(f"Invalid quartz_cron_expression '{expression}': {problem}.")
        if not zone:
            invalid("Missing required field: schedule.timezone_id")
        if problem := timezone_problem(zone):
            invalid(f"Invalid timezone_id: {problem}.")
    if (trigger := settings.get("trigger")) is not None:
        kinds = [name for name in TRIGGER_TYPES if name in trigger]
        if not kinds or (len(kinds) > 1 and kinds != ["table", "table_update"]):
            found = " and ".join(kinds) or "none"
            invalid(f"A trigger needs exactly one of {', '.join(TRIGGER_TYPES)}; found {found}.")
        if "file_arrival" in trigger and not trigger["file_arrival"].get("url"):
            invalid("Missing required field: trigger.file_arrival.url")


def _validate_git_source(settings: Settings) -> None:
    if (source := settings.get("git_source")) is None:
        return
    folded = {each.lower() for each in GIT_PROVIDERS}
    if str(source.get("git_provider", "")).lower() not in folded:
        invalid(f"git_source.git_provider must be one of: {','.join(sorted(folded))}")
    if not source.get("git_url"):
        invalid("Missing required field: git_source.git_url")
    if sum(1 for name in ("git_branch", "git_tag", "git_commit") if source.get(name)) > 1:
        invalid("Only one of git_branch, git_tag and git_commit can be set.")


def _validate_run_as(settings: Settings) -> None:
    run_as = settings.get("run_as")
    if run_as is not None and sum(1 for each in run_as.values() if each) != 1:
        invalid("run_as needs exactly one of user_name, service_principal_name and group_name.")


def _validate_keys(settings: Settings, name: str) -> None:
    key, seen = LIST_KEYS[name], set[str]()
    for position, each in enumerate(cast("list[Settings]", settings.get(name, []))):
        value = each.get(key)
        if not value:
            invalid(f"Missing required field: {name}[{position}].{key}")
        if value in seen:
            invalid(f"Duplicate {key} '{value}' in {name}.")
        seen.add(value)


def _validate_task(task: Settings, settings: Settings, *, nested: bool = False) -> None:
    key = task.get("task_key", "")
    if not TASK_KEY.fullmatch(key):
        invalid(f"Invalid task_key '{key}': use 1 to 100 letters, digits, '_' and '-'.")
    kinds = [name for name in TASK_TYPES if name in task]
    if len(kinds) != 1:
        found = " and ".join(kinds) or "none"
        invalid(f"Task '{key}' must have exactly one task type such as notebook_task or sql_task; found {found}.")
    if not 0 <= task.get("timeout_seconds", 0) < 2**31 or task.get("max_retries", 0) < -1:
        invalid(f"Task '{key}': timeout_seconds must be 0 or more, max_retries -1 or more.")
    if (run_if := task.get("run_if", "ALL_SUCCESS")) not in RUN_IFS:
        invalid(f"Task '{key}': run_if must be one of {', '.join(RUN_IFS)}; found '{run_if}'.")
    _validate_compute(task, settings)
    if (check := TASK_CHECKS.get(kinds[0])) is not None:
        check(task, key)
    source = sourced(task, kinds[0])
    if source is not None and source.get("source") == "GIT" and "git_source" not in settings:
        invalid(f"Task '{key}' has source GIT, but the job has no git_source.")
    if "for_each_task" in task:
        if nested:
            invalid(f"Task '{key}': a for_each_task can't hold another for_each_task.")
        _validate_task(task["for_each_task"]["task"], settings, nested=True)


def _validate_compute(task: Settings, settings: Settings) -> None:
    choices = [name for name in ("existing_cluster_id", "job_cluster_key", "new_cluster") if name in task]
    if len(choices) > 1:
        invalid(f"Task '{task['task_key']}' has {' and '.join(choices)}; only one can be set.")
    for name, entries in (("job_cluster_key", "job_clusters"), ("environment_key", "environments")):
        known = {each[name] for each in settings.get(entries, [])}
        if name in task and task[name] not in known:
            invalid(f"Task '{task['task_key']}' refers to {name} '{task[name]}', which is not in {entries}.")


def _check_notebook(task: Settings, key: str) -> None:
    if not task["notebook_task"].get("notebook_path"):
        invalid(f"Task '{key}': missing required field notebook_task.notebook_path.")


def _check_sql(task: Settings, key: str) -> None:
    sql = task["sql_task"]
    if not sql.get("warehouse_id"):
        invalid(f"Task '{key}': missing required field sql_task.warehouse_id.")
    kinds = [name for name in SQL_TASK_TYPES if name in sql]
    if len(kinds) != 1:
        found = " and ".join(kinds) or "none"
        invalid(f"Task '{key}': sql_task needs exactly one of {', '.join(SQL_TASK_TYPES)}; found {found}.")
    needed = SQL_TASK_TYPES[kinds[0]]
    if not sql[kinds[0]].get(needed):
        invalid(f"Task '{key}': missing required field sql_task.{kinds[0]}.{needed}.")


def _check_for_each(task: Settings, key: str) -> None:
    loop = task["for_each_task"]
    if not loop.get("inputs") or "task" not in loop:
        invalid(f"Task '{key}': for_each_task needs inputs and task.")
    if len(loop["inputs"]) > MAX_INPUTS:
        invalid(f"Task '{key}': for_each_task.inputs is longer than {MAX_INPUTS} characters.")


def _check_condition(task: Settings, key: str) -> None:
    if any(name not in task["condition_task"] for name in ("op", "left", "right")):
        invalid(f"Task '{key}': condition_task needs op, left and right.")
    if (op := task["condition_task"]["op"]) not in CONDITION_OPS:
        invalid(f"Task '{key}': condition_task.op must be one of {', '.join(CONDITION_OPS)}; found '{op}'.")


def _check_run_job(task: Settings, key: str) -> None:
    if "job_id" not in task["run_job_task"]:
        invalid(f"Task '{key}': missing required field run_job_task.job_id.")


def _check_pipeline(task: Settings, key: str) -> None:
    if not task["pipeline_task"].get("pipeline_id"):
        invalid(f"Task '{key}': missing required field pipeline_task.pipeline_id.")


TASK_CHECKS = {
    "notebook_task": _check_notebook,
    "sql_task": _check_sql,
    "for_each_task": _check_for_each,
    "condition_task": _check_condition,
    "run_job_task": _check_run_job,
    "pipeline_task": _check_pipeline,
}


def _validate_graph(tasks: list[Settings]) -> None:
    before: dict[str, list[str]] = {}
    for task in tasks:
        before[task["task_key"]] = [str(each.get("task_key", "")) for each in task.get("depends_on", [])]
    for key, needs in before.items():
        for need in needs:
            if need not in before:
                invalid(f"Task '{key}' depends on '{need}', which is not a task of this job.")
    # Take away what waits for nothing, again and again; what stays waits for itself.
    after: dict[str, list[str]] = {key: [] for key in before}
    waiting = {key: len(needs) for key, needs in before.items()}
    for key, needs in before.items():
        for need in needs:
            after[need].append(key)
    ready = [key for key, count in waiting.items() if count == 0]
    while ready:
        done = ready.pop()
        del waiting[done]
        for key in after[done]:
            waiting[key] -= 1
            if waiting[key] == 0:
                ready.append(key)
    if waiting:
        invalid(f"The tasks depend on each other in a cycle: {', '.join(sorted(waiting))}.")
