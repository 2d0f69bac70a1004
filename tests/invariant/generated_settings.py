"""Random settings of a job that the service accepts, drawn from the API's own schema. Equal seeds draw the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from lakeflow_job_meta.model import jobs_api

Json = dict[str, Any]

KEYS = ("k", "w", "é")
SCALARS: Mapping[str, Sequence[Any]] = {
    "str": ("x", "é☃", "it's", "1", "true", "a b", "{{job.id}}", ""),
    "int": (0, 1, 2, 60),
    "float": (0.5, 1, 1.0),
    "bool": (True, False),
}
TASK_KINDS = tuple(name for name in jobs_api.fields("Task") if name.endswith("_task"))

LISTS_BY_KEY: Mapping[str, tuple[str, Sequence[str]]] = {
    # Keys are unique in all that is drawn: the service refuses some doubles and makes one entry of others.
    "JobCluster": ("job_cluster_key", KEYS),
    "JobEnvironment": ("environment_key", KEYS),
    "JobEnvironmentVariables": ("environment_variables_key", KEYS),
    "JobParameterDefinition": ("name", ("p", "q", "r.s")),
    "JobsHealthRule": ("metric", jobs_api.choices("JobsHealthRule", "metric")),
    "Webhook": ("id", KEYS),
}
"""Entry type to the field that tells its entries apart, and the values that it takes."""

ONE_OF: Mapping[str, tuple[Sequence[str], ...]] = {
    "JobSettings": (("schedule", "trigger", "continuous", ""),),
    "Task": (TASK_KINDS, ("existing_cluster_id", "new_cluster", "job_cluster_key", "environment_key", "")),
    "SqlTask": (("query", "file", "dashboard", "alert"),),
    "TriggerSettings": (
        ("file_arrival", "periodic", "table", "table_update", "model", "sql_condition", "job_completion"),
    ),
    "ClusterSpec": (("autoscale", "num_workers", ""),),
    "JobRunAs": (("user_name", "service_principal_name", "group_name"),),
    "GitSource": (("git_branch", "git_tag", "git_commit"),),
}
"""Type to its fields of which one excludes the others; an empty name is none of them."""

REQUIRED: Mapping[str, Mapping[str, Sequence[Any]]] = {
    "CronSchedule": {"quartz_cron_expression": ("0 0 1 * * ?", "0 5 2 * * ?"), "timezone_id": ("UTC", "Europe/Berlin")},
    "FileArrivalTriggerConfiguration": {"url": ("/Volumes/a/b/c/", "s3://a/b/")},
    "GitSource": {"git_url": ("https://example.org/r",), "git_provider": ("gitHub", "gitLab")},
    "JobRunAs": dict.fromkeys(ONE_OF["JobRunAs"][0], ("u", "v")),
    "JobParameterDefinition": {"default": SCALARS["str"]},
    "NotebookTask": {"notebook_path": ("/x", "/Workspace/x", "/Workspace/Users/é/y")},
    "SqlTask": {"warehouse_id": ("w", "v")},
    "SqlTaskQuery": {"query_id": ("q", "r")},
    "SqlTaskFile": {"path": ("/x.sql", "/Workspace/x.sql")},
    # A relative path would be a file beside the metadata.
    "SparkPythonTask": {"python_file": ("/x.py", "dbfs:/x.py", "/Workspace/é.py")},
    "Library": {"whl": ("/x.whl", "dbfs:/x.whl"), "requirements": ("/x.txt", "/Workspace/x.txt")},
    "SqlTaskDashboard": {"dashboard_id": ("d", "e")},
    "SqlTaskAlert": {"alert_id": ("a", "b")},
    "ConditionTask": {"op": jobs_api.choices("ConditionTask", "op"), "left": ("1", "x"), "right": ("1", "y")},
    "ForEachTask": {"inputs": ("[1]", "[1, 2]")},
    "RunJobTask": {"job_id": (5, 6)},
    "PipelineTask": {"pipeline_id": ("p", "q")},
}
"""Type to the fields that it can't do without or that take few values, with these."""

REFERENCES: Mapping[str, str] = {
    "job_cluster_key": "job_clusters",
    "environment_key": "environments",
    "environment_variables_key": "environment_variables",
}
"""Field of a task to the list of its job that has an entry with this key."""

LEFT_OUT: Mapping[str, Sequence[str]] = {
    # The rows and the product say these: keys, edges, the tasks themselves; one format is left.
    "JobSettings": ("tasks", "format", "name", "run_as"),
    "Task": ("task_key", "depends_on"),
}
"""Type to the fields that aren't drawn by chance."""


@dataclass(frozen=True)
class Declared:
    """What the rows of one module say: its job_config, and each source's execution_order and raw task."""

    job_config: Json
    tasks: Mapping[str, tuple[int, Json]]

    def shuffled(self, rng: Random) -> Declared:
        """The same with the entries of every keyed list, and the fields of every mapping, in another order."""
        tasks = {key: (order, _shuffled(task, "Task", rng)) for key, (order, task) in self.tasks.items()}
        return Declared(_shuffled(self.job_config, "JobSettings", rng), tasks)


def history(seed: int, steps: int) -> list[Declared]:
    """What one module declares, one after the other."""
    rng = Random(seed)
    # Once given, run_as can't be taken away again, so a history has it always or never.
    runs_as = rng.random() < 0.3
    return [_declared(rng, seed, runs_as=runs_as) for _ in range(steps)]


def _declared(rng: Random, seed: int, *, runs_as: bool) -> Declared:
    making = _Making(rng)
    config = making.value("JobSettings", 0)
    if rng.random() < 0.5:
        # Two modules can't have jobs of one name.
        config["name"] = f"{rng.choice(('Ü☃', 'n'))} {seed}"
    if runs_as:
        config["run_as"] = making.value("JobRunAs", 1)
    tasks = _Making(rng, config)
    keys = rng.sample(("a", "b", "c", "d"), rng.choice((1, 2, 3)))
    return Declared(config, {key: (rng.choice((1, 2)), tasks.value("Task", 1)) for key in keys})


@dataclass(frozen=True)
class _Making:
    """Draws values of the schema's types; `config` is the job that the drawn tasks refer to."""

    rng: Random
    config: Json = field(default_factory=dict)

    def value(self, kind: str, depth: int, owner: str = "", name: str = "") -> Any:
        if kind in SCALARS:
            return self.rng.choice(jobs_api.choices(owner, name) or SCALARS[kind])
        if kind.startswith("list["):
            return self.entries(kind[5:-1], depth, owner)
        if kind.startswith("map["):
            return {key: self.value(kind[4:-1], depth + 1) for key in self.some(KEYS)}
        return self.fields(kind, depth)

    def entries(self, kind: str, depth: int, owner: str) -> list[Any]:
        if owner.endswith("EmailNotifications"):
            return self.some(("a@x.io", "b@x.io", "é@x.io"))
        if kind in LISTS_BY_KEY:
            key, values = LISTS_BY_KEY[kind]
            return [{**self.value(kind, depth + 1), key: each} for each in self.some(values)]
        return [self.value(kind, depth + 1) for _ in range(self.rng.choice((0, 1, 2)))]

    def fields(self, kind: str, depth: int) -> Json:
        schema = jobs_api.fields(kind)
        chosen, others = self.choices(kind, depth)
        made: Json = {}
        for name, inner in schema.items():
            if name in LEFT_OUT.get(kind, ()) or name in others:
                continue
            if name in REQUIRED.get(kind, {}):
                made[name] = self.rng.choice(REQUIRED[kind][name])
            elif name in chosen or self.rng.random() < (0.35 if depth < 2 else 0.2):
                made[name] = self.value(inner, depth + 1, kind, name)
        if kind == "Task":
            self.refer(made)
        if kind == "ForEachTask":
            made["task"] = {"task_key": "inner", **self.fields("Task", depth + 1)}
        return made

    def choices(self, kind: str, depth: int) -> tuple[set[str], set[str]]:
        """Which field of each union there is, and which there aren't."""
        chosen: set[str] = set()
        others: set[str] = set()
        for union in ONE_OF.get(kind, ()):
            # A loop in a loop is refused.
            chosen.add(self.rng.choice([name for name in union if depth < 2 or name != "for_each_task"]))
            others.update(union)
        return chosen, others - chosen

    def refer(self, task: Json) -> None:
        """Make the task refer to what its job has."""
        for key, declared in REFERENCES.items():
            if key in task:
                known = [each[key] for each in self.config.get(declared, ())]
                task.pop(key)
                task |= {key: self.rng.choice(known)} if known else {}
        for place in _origins(task):
            if place.get("source") == "GIT" and "git_source" not in self.config:
                place["source"] = "WORKSPACE"

    def some(self, values: Sequence[str]) -> list[str]:
        return self.rng.sample(values, self.rng.choice((0, 1, 2)))


def _origins(task: Json) -> list[Json]:
    """The parts of a task that may say where its code comes from."""
    parts = [task.get(kind) for kind in ("notebook_task", "spark_python_task", "dbt_task")]
    return [part for part in (*parts, task.get("sql_task", {}).get("file")) if part is not None]


def _shuffled(value: Any, kind: str, rng: Random) -> Any:
    if kind.startswith("list["):
        inner = kind[5:-1]
        entries = [_shuffled(each, inner, rng) for each in value]
        return rng.sample(entries, len(entries)) if inner in LISTS_BY_KEY else entries
    if not isinstance(value, dict):
        return value
    names = rng.sample(list(value), len(value))
    if kind.startswith("map["):
        return {name: value[name] for name in names}
    fields = jobs_api.fields(kind)
    mixed = {name: _shuffled(value[name], fields[name], rng) for name in names}
    if kind.endswith("EmailNotifications"):
        return {name: rng.sample(each, len(each)) if isinstance(each, list) else each for name, each in mixed.items()}
    return mixed
