"""Modules to jobs: the settings of each, or the findings that freeze it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lakeflow_job_meta.compile import graph
from lakeflow_job_meta.compile.findings import Findings, parse_object
from lakeflow_job_meta.compile.lifecycle import take_lifecycle
from lakeflow_job_meta.compile.tasks import TaskContext, build_task, with_origin
from lakeflow_job_meta.diagnostics import Diagnostic
from lakeflow_job_meta.model import jobs_api
from lakeflow_job_meta.model.control import SOURCE_CONFIGS, Module, Source
from lakeflow_job_meta.model.job import DesiredJob, SavedQuery, mapping

COMPILER_VERSION = 1
"""Raised whenever equal rows would compile to other settings: it makes every module look again."""

NAME_PREFIX = "Metadata_Driven_ETL_"
MAX_TAGS = 24  # of the API's 25, one is ours
MAX_NAME_BYTES = 4096
MAX_TASKS = 1000
PAUSABLE = ("schedule", "trigger", "continuous")


@dataclass(frozen=True, slots=True)
class CompileOptions:
    """What the arguments of a run add to the rows; `reach` are settings that a task of our own program is told."""

    control_table: str
    default_warehouse_id: str | None = None
    cluster_id: str | None = None
    wheel_path: str | None = None
    reach: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Compiled:
    """The good modules as jobs, everything found, and the modules that an error freezes."""

    jobs: Mapping[str, DesiredJob]
    diagnostics: tuple[Diagnostic, ...]
    frozen: frozenset[str]


def compile_modules(sources: Sequence[Source], modules: Sequence[Module], options: CompileOptions) -> Compiled:
    """Compile all the modules that these rows declare; a bad row freezes its module, the others compile."""
    rows: dict[str, list[Source]] = {}
    for source in sources:
        rows.setdefault(source.module_name, []).append(source)
    settings: dict[str, list[Module]] = {}
    for module in modules:
        settings.setdefault(module.module_name, []).append(module)
    jobs: dict[str, DesiredJob] = {}
    collectors: dict[str, Findings] = {}
    for name in sorted(rows.keys() | settings.keys()):
        findings = collectors[name] = Findings(options.control_table, name)
        job = _compile_module(name, rows.get(name, []), settings.get(name, []), options, findings)
        if job is not None and not findings.failed:
            jobs[name] = job
    _report_equal_names(jobs, collectors)
    _report_equal_origins(jobs, collectors)
    found = [each for collector in collectors.values() for each in collector.found]
    frozen = frozenset(name for name, collector in collectors.items() if collector.failed)
    return Compiled({name: job for name, job in jobs.items() if name not in frozen}, tuple(found), frozen)


def _compile_module(
    name: str, rows: list[Source], settings: list[Module], options: CompileOptions, findings: Findings
) -> DesiredJob | None:
    _report_doubled(rows, settings, findings)
    if not name.strip():
        findings.add("module_name is blank", column="module_name")
        return None
    if name.startswith("$"):
        findings.add(f"module_name '{name}' is reserved", column="module_name", hint="don't start it with $")
        return None
    module = settings[0] if settings else Module(name)
    # What follows from a row that is there twice (one task key, a circle with itself) is no finding of its own.
    rows = list({row.source_id: row for row in reversed(rows)}.values())
    active = sorted((row for row in rows if row.active), key=lambda row: (graph.order_of(row), row.source_id))
    config = parse_object(module.job_config, findings, "job_config")
    if config is None:
        return None
    lifecycle = take_lifecycle(config, findings.at("job_config"))
    if not module.active or not active:
        # Whatever else such a module says doesn't matter until it is active again.
        return DesiredJob(name, "", active=False, lifecycle=lifecycle)
    _check_config(config, findings)
    built = _tasks(rows, active, options, findings)
    if built is None:
        return None
    job_name = config.get("name", f"{NAME_PREFIX}{name}")
    description = {"description": module.description} if module.description and "description" not in config else {}
    origin = "GIT" if config.get("git_source") else "WORKSPACE"
    tasks = [with_origin(task, origin) for task in built.tasks]
    desired = {"name": job_name, **description, **_with_environments(config, built), "tasks": tasks}
    _check_job(desired, {source.source_id: task for source, task in zip(active, built.tasks, strict=True)}, findings)
    return DesiredJob(
        name, str(job_name), True, desired, built.queries, tuple(source.source_id for source in active), lifecycle
    )


@dataclass(frozen=True, slots=True)
class _Tasks:
    tasks: list[dict[str, Any]]
    queries: dict[str, SavedQuery]
    environments: dict[str, Mapping[str, Any]]


def _with_environments(config: dict[str, Any], built: _Tasks) -> dict[str, Any]:
    """The module's settings with the environments that its tasks need; one of that name in them is taken as it is."""
    if not built.environments:
        return config
    listed: Sequence[Any] = config.get("environments") or ()
    named = {mapping(each).get("environment_key") for each in listed}
    return {
        **config,
        "environments": [*listed, *(each for key, each in built.environments.items() if key not in named)],
    }


def _tasks(
    rows: Sequence[Source], active: Sequence[Source], options: CompileOptions, findings: Findings
) -> _Tasks | None:
    keys = graph.task_keys(active, findings)
    configs: dict[str, Mapping[str, Any]] = {}
    for source in active:
        parsed = {
            column: parse_object(getattr(source, column), findings, column, source.source_id)
            for column in SOURCE_CONFIGS
        }
        if (config := parsed["transformation_config"]) is not None:
            configs[source.source_id] = config
    inactive = {row.source_id for row in rows if not row.active}
    depends_on = graph.dependencies(active, configs, inactive, findings)
    tasks: list[dict[str, Any]] = []
    queries: dict[str, SavedQuery] = {}
    environments: dict[str, Mapping[str, Any]] = {}
    for source in active:
        if source.source_id not in configs:
            continue
        context = TaskContext(
            source,
            options.control_table,
            options.default_warehouse_id,
            options.cluster_id,
            findings.at("transformation_config", source.source_id),
            options.wheel_path,
            options.reach,
        )
        built = build_task(configs[source.source_id], context)
        if built is None:
            continue
        needs = depends_on[source.source_id]
        key = keys.get(source.source_id, graph.task_key(source.source_id))
        tasks.append({"task_key": key, **({"depends_on": needs} if needs else {}), **built.fields})
        if built.query is not None:
            queries[source.source_id] = built.query
        if built.environment is not None:
            environments[built.environment["environment_key"]] = built.environment
    return None if findings.failed else _Tasks(tasks, queries, environments)


def _check_config(config: Mapping[str, Any], findings: Findings) -> None:
    report = findings.at("job_config")
    if config.get("format", "MULTI_TASK") != "MULTI_TASK":
        report(f"expected MULTI_TASK, found {config['format']!r}", path=("format",), hint="leave it out")
    if "tasks" in config:
        report("tasks are declared by sources, not by job_config", path=("tasks",))
    for problem in jobs_api.check({key: value for key, value in config.items() if key != "tasks"}, "JobSettings"):
        report(problem.message, path=problem.path, hint=problem.hint)
    if findings.failed:
        return
    name = config.get("name")
    if name is not None and (not name.strip() or len(name.encode()) > MAX_NAME_BYTES):
        report(f"expected a name of 1 to {MAX_NAME_BYTES} bytes, found {len(name.encode())}", path=("name",))
    tags = mapping(config.get("tags"))
    if len(tags) > MAX_TAGS:
        report(f"found {len(tags)} tags, expected at most {MAX_TAGS}", path=("tags",), hint="one of the 25 is ours")
    firing = [key for key in PAUSABLE if config.get(key) is not None]
    if len(firing) > 1:
        report(f"expected one of schedule, trigger and continuous, found {' and '.join(firing)}", path=(firing[1],))


def _check_job(settings: Mapping[str, Any], tasks: Mapping[str, Mapping[str, Any]], findings: Findings) -> None:
    """What only the whole job tells: tasks that refer to the job's own clusters, environments and git source."""
    if len(tasks) > MAX_TASKS:
        findings.add(f"found {len(tasks)} active sources, expected at most {MAX_TASKS}", column="source_id")
    clusters = {each.get("job_cluster_key") for each in settings.get("job_clusters") or ()}
    environments = {each.get("environment_key") for each in settings.get("environments") or ()}
    for source, task in tasks.items():
        for key, known in (("job_cluster_key", clusters), ("environment_key", environments)):
            if key in task and task[key] not in known:
                findings.add(
                    f"task '{task['task_key']}' names {key} '{task[key]}', which job_config doesn't declare",
                    source=source, column="transformation_config", path=(key,),
                )  # fmt: skip
        git = mapping(mapping(task.get("sql_task")).get("file")).get("source") == "GIT"
        if git and not settings.get("git_source"):
            findings.add(
                f"task '{task['task_key']}' takes its file from GIT, but job_config has no git_source",
                source=source, column="transformation_config", path=("sql_task", "file_source"),
            )  # fmt: skip


def _report_doubled(rows: Sequence[Source], settings: Sequence[Module], findings: Findings) -> None:
    seen: set[str] = set()
    for row in rows:
        if not row.source_id.strip():
            findings.add("source_id is blank", column="source_id")
        if row.source_id in seen:
            findings.add(
                f"source_id '{row.source_id}' is there twice", source=row.source_id, column="source_id",
                hint="delete one of the rows",
            )  # fmt: skip
        seen.add(row.source_id)
    if len(settings) > 1:
        findings.add(f"the module has {len(settings)} settings rows, expected one", column="module_name")


def _report_equal_origins(jobs: Mapping[str, DesiredJob], collectors: Mapping[str, Findings]) -> None:
    by_origin: dict[str, list[str]] = {}
    for module, job in jobs.items():
        if job.active and job.lifecycle.moved_from:
            by_origin.setdefault(job.lifecycle.moved_from, []).append(module)
    for origin, modules in by_origin.items():
        for module in modules if len(modules) > 1 else ():
            others = ", ".join(f"'{other}'" for other in modules if other != module)
            collectors[module].add(
                f"moved from '{origin}', and so is module {others}: one job can't become two",
                column="job_config",
                path=("lifecycle", "moved_from"),
            )


def _report_equal_names(jobs: Mapping[str, DesiredJob], collectors: Mapping[str, Findings]) -> None:
    """Jobs are looked up by name without regard to case, so names that differ only by case can't be told apart."""
    by_name: dict[str, list[str]] = {}
    for module, job in jobs.items():
        if job.active:
            by_name.setdefault(job.name.casefold(), []).append(module)
    for modules in by_name.values():
        for module in modules if len(modules) > 1 else ():
            others = ", ".join(f"'{other}'" for other in modules if other != module)
            collectors[module].add(
                f"the job's name '{jobs[module].name}' is the same (but for case) as that of module {others}",
                column="module_name",
                hint="set job_config.name, or rename the module",
            )
