"""Which fields of a job name a file, and what stands there once the file is in the workspace. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from lakeflow_job_meta.diagnostics import Path
from lakeflow_job_meta.model.job import Settings, mapping

Replace = Callable[[str, bool, Path], str]
"""What to write instead of a relative path; whether it is a notebook's; where it stands, from the job or the task."""

WORKSPACE, GIT = "WORKSPACE", "GIT"
NOTEBOOK, PYTHON_FILE, SQL_FILE = "notebook_task", "spark_python_task", "sql_task"
LIBRARIES = ("whl", "requirements")

_ELSEWHERE = re.compile(r"/|~|[A-Za-z][A-Za-z0-9+.-]*:|.*\{\{")


def is_relative(path: object) -> bool:
    """Whether it is a path beside the metadata: no absolute one, no address, nothing that is put in later.

    >>> [is_relative(each) for each in ("a/b.py", "./a", "/Shared/a", "dbfs:/a", "{{job.parameters.path}}")]
    [True, True, False, False, False]
    """
    return isinstance(path, str) and bool(path.strip()) and not _ELSEWHERE.match(path)


def with_files(settings: Settings, replace: Replace) -> dict[str, Any]:
    """The settings, with each relative path replaced; the same object where there is none.

    Paths that mean the job's Git repository stay, and so do names of packages among an environment's dependencies.

    Args:
        settings: Jobs API settings.
        replace: told path and place: `("tasks", 0, "notebook_task", "notebook_path")`.
    """
    git = bool(settings.get("git_source"))
    tasks = [
        _task(cast("Settings", each), git, ("tasks", number), replace)
        for number, each in enumerate(settings.get("tasks", ()))
    ]
    environments = [
        _environment(each, ("environments", number), replace)
        for number, each in enumerate(settings.get("environments") or ())
    ]
    changed = {"tasks": tasks} if "tasks" in settings else {}
    return {**settings, **changed, **({"environments": environments} if environments else {})}


def _task(task: Settings, git: bool, place: Path, replace: Replace) -> Settings:
    made: dict[str, Any] = {}
    for kind, key in ((NOTEBOOK, "notebook_path"), (PYTHON_FILE, "python_file")):
        fields = mapping(task.get(kind))
        if is_relative(fields.get(key)) and not _in_git(fields, git):
            path = replace(fields[key], kind == NOTEBOOK, (*place, kind, key))
            made[kind] = {**fields, key: path}
    file = mapping(mapping(task.get(SQL_FILE)).get("file"))
    if is_relative(file.get("path")) and not _in_git(file, git):
        path = replace(file["path"], False, (*place, SQL_FILE, "file", "path"))
        made[SQL_FILE] = {**task[SQL_FILE], "file": {**file, "path": path}}
    if libraries := task.get("libraries"):
        made["libraries"] = [
            _library(each, (*place, "libraries", number), replace) for number, each in enumerate(libraries)
        ]
    inner = mapping(task.get("for_each_task")).get("task")
    if isinstance(inner, Mapping):
        looped = _task(cast("Settings", inner), git, (*place, "for_each_task", "task"), replace)
        made["for_each_task"] = {**task["for_each_task"], "task": looped}
    return {**task, **made} if made else task


def _in_git(fields: Settings, git: bool) -> bool:
    return fields.get("source", GIT if git else WORKSPACE) == GIT


def _library(library: Any, place: Path, replace: Replace) -> Any:
    named = mapping(library)
    found = {key: replace(named[key], False, (*place, key)) for key in LIBRARIES if is_relative(named.get(key))}
    return {**named, **found} if found else library


def _environment(environment: Any, place: Path, replace: Replace) -> Any:
    spec = mapping(mapping(environment).get("spec"))
    if not (listed := spec.get("dependencies")):
        return environment
    dependencies = [
        replace(each, False, (*place, "spec", "dependencies", number)) if _is_wheel(each) else each
        for number, each in enumerate(listed)
    ]
    return {**environment, "spec": {**spec, "dependencies": dependencies}}


def _is_wheel(dependency: object) -> bool:
    return is_relative(dependency) and str(dependency).endswith(".whl")
