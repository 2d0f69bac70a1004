"""A dbt task: its commands, one after the other, by the dbt that is installed."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from lakeflow_job_meta.errors import InputError, UsageError
from lakeflow_job_meta.local.tasks.inside.assignment import Assignment
from lakeflow_job_meta.local.tasks.inside.disk import in_volume, on_disk
from lakeflow_job_meta.local.tasks.inside.report import Report
from lakeflow_job_meta.local.tasks.inside.workspace import Workspace


def run(assignment: Assignment, report: Report) -> int:
    """Run the commands until one fails; returns its exit code.

    Raises:
        UsageError: dbt isn't installed; InputError: a command or folder that can't be used.
    """
    program = Path(sys.executable).with_name("dbt")
    if find_spec("dbt") is None or not program.exists():
        raise UsageError(
            "dbt isn't installed", hint=f"{sys.executable} -m pip install dbt-core and the adapter of your profile"
        )
    what = assignment.what
    commands = [shlex.split(str(each)) for each in what.get("commands") or ()]
    wrong = [shlex.join(each) for each in commands if each[:1] != ["dbt"]]
    if wrong or not commands:
        raise InputError(f"dbt_task.commands must all begin with dbt; got {wrong or 'none'}")
    project = _project(assignment, str(what.get("project_directory") or ""))
    profiles = str(what.get("profiles_directory") or "")
    options = ["--profiles-dir", str(project / profiles)] if profiles else []
    for command in commands:
        print("+", shlex.join(command), flush=True)
        code = subprocess.run([str(program), *command[1:], *options], cwd=project, check=False).returncode
        if code:
            report.end(error=(f"{shlex.join(command)} ended with exit code {code}.", ""))
            return code
    report.end()
    return 0


def _project(assignment: Assignment, folder: str) -> Path:
    if in_volume(folder):
        copy = assignment.work / "project"
        _ = shutil.copytree(on_disk(assignment.home, folder), copy)
        return copy
    if folder.startswith("file:"):
        return on_disk(assignment.home, folder)
    Workspace(assignment.home, assignment.workspace_id).copy_files(folder or "/", assignment.work)
    if not (assignment.work / "dbt_project.yml").exists():
        raise InputError(f"there is no dbt_project.yml in the workspace's folder '{folder}'")
    return assignment.work
