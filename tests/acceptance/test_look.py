"""The look at many jobs, by lists of a hundred: what a list leaves out is got from the job itself, and nothing else."""

from __future__ import annotations

import json
from collections import Counter

from tests.acceptance.steps import apply, notebook
from tests.conftest import TABLE, Project

OTHERS = [f"m{number:02}" for number in range(22)]
LONG, WITH_PARAMETERS = "long", "with_parameters"
TASKS = 130


def declare(project: Project) -> None:
    """So many modules that they are looked at by lists; of one the list has not all tasks, of one no parameters."""
    config = json.dumps(notebook())
    rows = [*((module, "a") for module in (*OTHERS, WITH_PARAMETERS)), *((LONG, f"t{each}") for each in range(TASKS))]
    values = (f"('{source}', '{module}', 'x', 1, '{{}}', '{{}}', '{config}', true)" for module, source in rows)
    project.sql(f"INSERT INTO {TABLE} VALUES {', '.join(values)}")
    project.job_config(WITH_PARAMETERS, parameters=[{"name": "day", "default": "1"}])


def looked(project: Project) -> tuple[dict[str, list[str]], Counter[str]]:
    """What a plan finds to do, by module, and which requests it sends for that."""
    project.site.forget_requests()
    found = {
        action.module: [change.path for change in action.changes] for action in project.orchestrator.plan().effective
    }
    return found, Counter(path.rpartition("/")[2] for _, path in project.site.requests() if "/jobs/" in path)


def test_what_a_list_leaves_out_is_looked_up_and_nothing_else(project: Project) -> None:
    declare(project)
    apply(project)
    whole_pages_of_the_long_one = 2
    assert looked(project) == ({}, {"list": 1, "get": 1 + whole_pages_of_the_long_one})
    jobs = {row["module"]: row["job_id"] for row in project.orchestrator.status()}
    project.update_job(jobs[WITH_PARAMETERS], parameters=[{"name": "day", "default": "2"}])
    last = project.client.jobs.get(jobs[LONG]).as_dict()["settings"]["tasks"][-1]
    moved = {**last["notebook_task"], "notebook_path": "/etl/elsewhere"}
    project.update_job(jobs[LONG], tasks=[{**last, "notebook_task": moved}])
    project.update_job(jobs[OTHERS[0]], max_concurrent_runs=5)
    found, _ = looked(project)
    assert found == {
        LONG: [f"tasks[{last['task_key']}].notebook_task.notebook_path"],
        WITH_PARAMETERS: ["parameters[day].default"],
    }, "nobody declared how many runs there may be"
    apply(project)
    assert looked(project)[0] == {}
