"""A job's settings as the service keeps them: read from a request, with its defaults, merged by an update."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from lakeflow_job_meta.diagnostics import dotted
from lakeflow_job_meta.local.call import invalid, malformed
from lakeflow_job_meta.model import jobs_api

Settings = dict[str, Any]

LIST_KEYS: Mapping[str, str] = {
    "tasks": "task_key",
    "job_clusters": "job_cluster_key",
    "environments": "environment_key",
    "environment_variables": "environment_variables_key",
    "parameters": "name",
}
TRIGGERS = ("schedule", "trigger", "continuous")
# Where a task of this type says what its code comes from: in itself, or in this field of it.
SOURCED: Mapping[str, str] = {"notebook_task": "", "spark_python_task": "", "dbt_task": "", "sql_task": "file"}

# Documented: "when set to WORKSPACE or not specified"; the others follow the job's git_source.
NEVER_GIT_BY_DEFAULT = ("spark_python_task",)


def parsed(settings: object, type_name: str = "JobSettings") -> Settings:
    """The settings as the service reads them: wrong JSON types refused, unknown names and nulls left out.

    Raises:
        Refusal: 400 MALFORMED_REQUEST.
    """
    for problem in jobs_api.check(settings, type_name):
        if not problem.unknown:
            malformed(f"{dotted(problem.path) or 'request'}: {problem.message}")
    return cast("Settings", jobs_api.known(settings, type_name))


def normalised(settings: Settings, *, queue_by_default: bool) -> Settings:
    """The settings with the defaults that the service adds; `get` returns these."""
    git = "git_source" in settings
    result: Settings = {
        "name": "Untitled", "email_notifications": {}, "webhook_notifications": {}, "timeout_seconds": 0,
        "max_concurrent_runs": 1,
        **settings,
        "format": "MULTI_TASK",
    }  # fmt: skip
    if queue_by_default:
        result.setdefault("queue", {"enabled": True})
    for name in TRIGGERS:
        if name in result:
            result[name] = {"pause_status": "UNPAUSED", **result[name]}
    if "tasks" in result:
        result["tasks"] = [_normalised_task(task, git=git) for task in result["tasks"]]
    for cluster in result.get("job_clusters", ()):
        _normalise_cluster(cluster)
    return result


def merged(old: Settings, new: Settings, remove: Iterable[str]) -> Settings:
    """What `jobs/update` makes of settings: lists merged by key, all else replaced, named fields removed.

    Raises:
        Refusal: 400, for a field to remove that can't be.
    """
    result = dict(old)
    for name, value in new.items():
        if name in LIST_KEYS:
            key = LIST_KEYS[name]
            entries = {each[key]: each for each in old.get(name, [])}
            entries.update({each[key]: each for each in value})
            result[name] = list(entries.values())
        else:
            result[name] = value
    for path in remove:
        name, slash, key = path.partition("/")
        if slash and name in LIST_KEYS:
            result[name] = [each for each in result.get(name, []) if each[LIST_KEYS[name]] != key]
        elif slash or name not in jobs_api.fields("JobSettings"):
            invalid(f"Field '{path}' cannot be removed.")
        else:
            result.pop(name, None)
    return {name: value for name, value in result.items() if name == "tasks" or value != [] or name not in LIST_KEYS}


def sourced(task: Settings, kind: str) -> Settings | None:
    """The part of a task that says where its code comes from, None if it has none."""
    if kind not in SOURCED or kind not in task:
        return None
    return cast("Settings | None", task[kind].get(SOURCED[kind]) if SOURCED[kind] else task[kind])


def _normalised_task(task: Settings, *, git: bool) -> Settings:
    result: Settings = {"run_if": "ALL_SUCCESS", "timeout_seconds": 0, "email_notifications": {}, **task}
    if "depends_on" in result:
        result["depends_on"] = sorted(result["depends_on"], key=lambda each: str(each["task_key"]))
    for kind in SOURCED:
        if (source := sourced(result, kind)) is not None:
            source.setdefault("source", "GIT" if git and kind not in NEVER_GIT_BY_DEFAULT else "WORKSPACE")
    if "new_cluster" in result:
        _normalise_cluster(result)
    if "for_each_task" in result:
        loop = result["for_each_task"]
        result["for_each_task"] = {**loop, "task": _normalised_task(loop["task"], git=git)}
    return result


def _normalise_cluster(owner: Settings) -> None:
    if "new_cluster" in owner:
        cluster = {"data_security_mode": "SINGLE_USER", "enable_elastic_disk": False, **owner["new_cluster"]}
        # The service reads this one and never returns it.
        cluster.pop("apply_policy_default_values", None)
        owner["new_cluster"] = cluster
