"""The builders of task kinds: `transformation_config.task_type` picks one from a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from lakeflow_job_meta.compile.findings import Report, type_name
from lakeflow_job_meta.compile.local_files import is_relative
from lakeflow_job_meta.diagnostics import nearest
from lakeflow_job_meta.model import jobs_api
from lakeflow_job_meta.model.control import Source
from lakeflow_job_meta.model.job import QUERY_REF, SavedQuery, mapping
from lakeflow_job_meta.model.stage_type import BUILT_IN, DIRECTIONS, NOTEBOOK, UserStage, parse_stage_type

GIVEN_PARAMETERS = ("source_id", "module_name", "control_table")
"""Parameters that every notebook task gets from us, so that one notebook serves many rows."""

CLUSTER_CHOICES = ("existing_cluster_id", "new_cluster", "job_cluster_key", "environment_key")
ENVIRONMENT_VERSION = "4"
"""Serverless environment with Python 3.12, supported until August 2028."""

OWN_ENVIRONMENT = "lakeflow_job_meta"
"""The environment of our own programs' tasks on serverless compute, which takes no libraries of a task."""

PACKAGE, STAGE_PROGRAM, PIPELINE_PROGRAM = "lakeflow_job_meta", "lakeflow-source-stage", "lakeflow-pipeline-stage"
SOURCE_STAGE, PIPELINE_STAGE = OWN_PROGRAMS = ("source_stage", "pipeline_stage")
"""Kinds of tasks that run programs of this product's wheel."""

STAGE_SETTINGS = ("store", "home", "workspace")
"""Settings that a stage's task may name, where its process can't see them by itself."""

PIPELINE_SETTINGS = (*STAGE_SETTINGS, "pipelines_schema", "lake_schema")

PIPELINE_TEXTS = ("stage_type", "stage_name", "pipeline_name", "source_tablename", "direction")
PIPELINE_NUMBERS = ("stage_order", "stage_position", "stage_count")
PIPELINE_CHOICES = ("load_type", "incremental_key", "driver_container")
"""What a pipeline's stage is told: what must be there, and what may be."""

TOLD_AT_RUN_TIME = {
    "job_run_id": "{{job.run_id}}",
    "task_run_id": "{{task.run_id}}",
    "trigger_type": "{{job.trigger.type}}",
    **{name: f"{{{{job.parameters.{name}}}}}" for name in ("triggered_by", "backfill_from", "backfill_to")},
}

OURS = ("task_key", "depends_on")
"""Task fields that follow from the row, not from the builder."""


@dataclass(frozen=True, slots=True)
class TaskContext:
    """What a builder may look at beside the config: the row, the arguments, and where to report."""

    source: Source
    control_table: str
    default_warehouse_id: str | None
    cluster_id: str | None
    report: Report
    wheel_path: str | None = None
    reach: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class BuiltTask:
    """Fields of a Jobs API task, without task_key and depends_on; the saved query and the job's environment that it
    needs, if any."""

    fields: Mapping[str, Any]
    query: SavedQuery | None = None
    environment: Mapping[str, Any] | None = None


Builder = Callable[[Mapping[str, Any], TaskContext], BuiltTask]


@dataclass(frozen=True, slots=True)
class TaskType:
    """One kind of task: keys of its own in transformation_config, the task field that they become, the builder."""

    keys: tuple[str, ...]
    makes: str
    build: Builder


def build_task(config: Mapping[str, Any], context: TaskContext) -> BuiltTask | None:
    """The task that a transformation_config asks for; None, with findings, where it can't be told."""
    kind = config.get("task_type", "task" if "task" in config else None)
    if kind is None:
        context.report("task_type is missing", hint="one of " + ", ".join(TASK_TYPES))
        return None
    task_type = TASK_TYPES.get(kind) if isinstance(kind, str) else None
    if task_type is None:
        context.report(
            f"unknown task_type {kind!r}", path=("task_type",), hint=nearest(str(kind), TASK_TYPES) or _known_types()
        )
        return None
    if kind == "task":
        return _raw(config, context)
    common = jobs_api.fields("Task")
    beside = {key: value for key, value in config.items() if key in common and key not in (*OURS, *task_type.keys)}
    allowed = {"task_type", "depends_on", *task_type.keys, *common} - {"task_key"}
    for key in config:
        if key not in allowed:
            hint = "it is the source_id" if key == "task_key" else nearest(key, allowed)
            context.report(f"unknown key '{key}' for task_type {kind}", path=(key,), hint=hint)
        elif key.endswith("_task") and key not in task_type.keys:
            context.report(f"'{key}' doesn't go with task_type {kind}", path=(key,), hint="use one task kind a source")
    built = task_type.build(config, context)
    for problem in jobs_api.check(beside, "Task"):
        context.report(problem.message, path=problem.path, hint=problem.hint)
    if kind == "notebook" and context.cluster_id and not any(key in beside for key in CLUSTER_CHOICES):
        beside["existing_cluster_id"] = context.cluster_id
    return BuiltTask({**beside, **built.fields}, built.query, built.environment)


def with_origin(task: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """The task with where its notebook, SQL file or dbt project comes from: left out, it would be what the job had
    before."""
    fields = dict(task)
    for kind in ("notebook_task", "dbt_task"):
        if isinstance(task_of_kind := fields.get(kind), dict):
            fields[kind] = {"source": origin, **cast("dict[str, Any]", task_of_kind)}
    inner = mapping(fields.get("for_each_task")).get("task")
    if isinstance(inner, dict):
        looped = with_origin(cast("dict[str, Any]", inner), origin)
        fields["for_each_task"] = {**fields["for_each_task"], "task": looped}
    file = mapping(fields.get("sql_task")).get("file")
    if isinstance(file, dict):
        fields["sql_task"] = {**fields["sql_task"], "file": {"source": origin, **cast("dict[str, Any]", file)}}
    return fields


def _known_types() -> str:
    return "one of " + ", ".join(TASK_TYPES)


def _notebook(config: Mapping[str, Any], context: TaskContext) -> BuiltTask:
    path = _text(config, "notebook_path", context.report)
    parameters = _parameters(config.get("parameters"), context.report, ("parameters",))
    for name in GIVEN_PARAMETERS:
        if name in parameters:
            context.report(f"parameter '{name}' is set by the product", path=("parameters", name), hint="rename yours")
    return BuiltTask({"notebook_task": {"notebook_path": path, "base_parameters": {**parameters, **_given(context)}}})


def _sql_query(config: Mapping[str, Any], context: TaskContext) -> BuiltTask:
    task = _sql_task(config, ("warehouse_id", "sql_query", "query_id", "parameters"), context)
    warehouse, parameters = _warehouse(task, context), _sql_parameters(task, context)
    text, query_id = task.get("sql_query"), task.get("query_id")
    if (text is None) == (query_id is None):
        found = "neither" if text is None else "both"
        context.report(f"expected one of sql_query and query_id, found {found}", path=("sql_task",))
        return BuiltTask({})
    if query_id is not None:
        query_id = _text(task, "query_id", context.report, ("sql_task",))
        return _sql(warehouse, {"query": {"query_id": query_id}}, parameters)
    text = _text(task, "sql_query", context.report, ("sql_task",))
    source = context.source
    query = SavedQuery(source.source_id, f"{source.module_name}.{source.source_id}", text, warehouse)
    return BuiltTask(
        _sql(warehouse, {"query": {"query_id": QUERY_REF + source.source_id}}, parameters).fields, query=query
    )


def _sql_file(config: Mapping[str, Any], context: TaskContext) -> BuiltTask:
    task = _sql_task(config, ("warehouse_id", "sql_file_path", "file_source", "parameters"), context)
    warehouse, parameters = _warehouse(task, context), _sql_parameters(task, context)
    source = task.get("file_source", "WORKSPACE")
    if source not in ("WORKSPACE", "GIT"):
        context.report(
            f"expected WORKSPACE or GIT, found {source!r}", path=("sql_task", "file_source"),
            hint=nearest(str(source), ("WORKSPACE", "GIT")),
        )  # fmt: skip
    path = _text(task, "sql_file_path", context.report, ("sql_task",))
    return _sql(warehouse, {"file": {"path": path, "source": source}}, parameters)


def _source_stage(config: Mapping[str, Any], context: TaskContext) -> BuiltTask:
    """Our own wheel's program. Where the tables are, the program is told; how to reach them, it sees by itself."""
    path, parameters = _text(config, "config_path", context.report), dict[str, str]()
    if is_relative(path):
        hint = "its task runs elsewhere, and the file names others: put them in a volume, and write /Volumes/…"
        context.report(f"expected an absolute path, found '{path}'", path=("config_path",), hint=hint)
    for name in ("bootstrap", "preview"):
        if name in config and not isinstance(config[name], bool):
            context.report(f"expected true or false, found {type_name(config[name])}", path=(name,))
        parameters[name] = str(config.get(name) is True).lower()
    settings = _settings(config, STAGE_SETTINGS, context)
    told = {
        "config": path, **parameters, **settings, **_given(context), "job_run_id": TOLD_AT_RUN_TIME["job_run_id"],
    }  # fmt: skip
    return _own_program(STAGE_PROGRAM, told, config, context)


def _pipeline_stage(config: Mapping[str, Any], context: TaskContext) -> BuiltTask:
    """A stage of a pipeline: ours, or the user's notebook or program, which is told the same."""
    texts = {name: _text(config, name, context.report) for name in PIPELINE_TEXTS}
    numbers = {name: _count(config, name, context.report) for name in PIPELINE_NUMBERS}
    chosen = {name: config[name] for name in PIPELINE_CHOICES if config.get(name) is not None}
    if texts["direction"] and texts["direction"] not in DIRECTIONS:
        hint = nearest(texts["direction"], DIRECTIONS) or " or ".join(DIRECTIONS)
        context.report(f"unknown direction '{texts['direction']}'", path=("direction",), hint=hint)
    stage = parse_stage_type(texts["stage_type"])
    if texts["stage_type"] and stage is None:
        hint = nearest(texts["stage_type"], BUILT_IN) or "one of " + ", ".join(BUILT_IN)
        context.report(f"unknown stage_type '{texts['stage_type']}'", path=("stage_type",), hint=hint)
    settings = _settings(config, PIPELINE_SETTINGS, context)
    told = {
        **texts, **numbers, **_parameters(chosen, context.report, ()), **settings, **_given(context),
        **TOLD_AT_RUN_TIME,
    }  # fmt: skip
    if not isinstance(stage, UserStage):
        return _own_program(PIPELINE_PROGRAM, told, config, context)
    if stage.kind == NOTEBOOK:
        task = {"notebook_task": {"notebook_path": stage.path, "base_parameters": told}}
    else:
        task = {"python_wheel_task": _program(stage.package, stage.name, told)}
    return BuiltTask({**task, **_cluster(config, context)})


def _own_program(
    program: str, parameters: Mapping[str, str], config: Mapping[str, Any], context: TaskContext
) -> BuiltTask:
    """A program of this product's wheel."""
    fields: dict[str, Any] = {"python_wheel_task": _program(PACKAGE, program, parameters)}
    fields |= _cluster(config, context)
    if not context.wheel_path:
        # In the embedded workspace our programs are this product's own, whatever wheel a task names.
        if not context.reach:
            context.report(
                "no wheel of this product is known",
                hint="set wheel_path (LAKEFLOW_WHEEL_PATH); `ljm deploy` uploads one",
            )
    elif not any(key in (*config, *fields) for key in (*CLUSTER_CHOICES, "libraries")):
        spec = {"environment_version": ENVIRONMENT_VERSION, "dependencies": [context.wheel_path]}
        environment = {"environment_key": OWN_ENVIRONMENT, "spec": spec}
        return BuiltTask({**fields, "environment_key": OWN_ENVIRONMENT}, environment=environment)
    elif "environment_key" not in config:
        libraries = config.get("libraries")
        others = cast("list[Any]", libraries) if isinstance(libraries, list) else []
        fields["libraries"] = [*others, {"whl": context.wheel_path}]
    return BuiltTask(fields)


def _program(package: str, name: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    return {"package_name": package, "entry_point": name, "named_parameters": dict(parameters)}


def _cluster(config: Mapping[str, Any], context: TaskContext) -> dict[str, str]:
    """The cluster of who names none."""
    chosen = any(key in config for key in CLUSTER_CHOICES)
    return {"existing_cluster_id": context.cluster_id} if context.cluster_id and not chosen else {}


def _given(context: TaskContext) -> dict[str, str]:
    return {
        "source_id": context.source.source_id,
        "module_name": context.source.module_name,
        "control_table": context.control_table,
    }


def _settings(config: Mapping[str, Any], known: tuple[str, ...], context: TaskContext) -> dict[str, str]:
    settings = _parameters(config.get("settings"), context.report, ("settings",))
    for name in settings:
        if name not in known:
            hint = nearest(name, known) or "known: " + ", ".join(known)
            context.report(f"unknown setting '{name}'", path=("settings", name), hint=hint)
    return {**context.reach, **settings}


def _count(config: Mapping[str, Any], key: str, report: Report) -> str:
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        found = "nothing" if key not in config else repr(value)
        report(f"expected a number from 1 for '{key}', found {found}", path=(key,) if key in config else ())
        return ""
    return str(value)


def _raw(config: Mapping[str, Any], context: TaskContext) -> BuiltTask | None:
    for key in config:
        if key not in ("task_type", "task", "depends_on"):
            context.report(
                f"unknown key '{key}' beside task", path=(key,), hint="fields of the task go inside of `task`"
            )
    task = config.get("task")
    if not isinstance(task, dict):
        context.report(f"expected a Jobs API task, found {type_name(task)}", path=("task",))
        return None
    fields = cast("dict[str, Any]", task)
    for key in OURS:
        if key in fields:
            hint = "it is the source_id" if key == "task_key" else "write depends_on beside task"
            context.report(f"'{key}' is set by the product", path=("task", key), hint=hint)
    for problem in jobs_api.check(fields, "Task"):
        context.report(problem.message, path=("task", *problem.path), hint=problem.hint)
    kinds = [key for key in fields if key.endswith("_task")]
    if len(kinds) != 1:
        context.report(f"expected one task kind (…_task), found {', '.join(kinds) or 'none'}", path=("task",))
    return BuiltTask(fields)


TASK_TYPES: Mapping[str, TaskType] = {
    "notebook": TaskType(("notebook_path", "parameters"), "notebook_task", _notebook),
    "sql_query": TaskType(("sql_task",), "sql_task", _sql_query),
    "sql_file": TaskType(("sql_task",), "sql_task", _sql_file),
    SOURCE_STAGE: TaskType(("config_path", "bootstrap", "preview", "settings"), "python_wheel_task", _source_stage),
    PIPELINE_STAGE: TaskType(
        (*PIPELINE_TEXTS, *PIPELINE_NUMBERS, *PIPELINE_CHOICES, "settings"), "python_wheel_task", _pipeline_stage
    ),
    "task": TaskType(("task",), "", lambda config, context: _raw(config, context) or BuiltTask({})),
}


def _sql(warehouse: str, what: Mapping[str, Any], parameters: Mapping[str, str]) -> BuiltTask:
    task = {"warehouse_id": warehouse, **what, **({"parameters": parameters} if parameters else {})}
    return BuiltTask({"sql_task": task})


def _sql_task(config: Mapping[str, Any], known: tuple[str, ...], context: TaskContext) -> Mapping[str, Any]:
    task = config.get("sql_task")
    if not isinstance(task, dict):
        found = type_name(task) if "sql_task" in config else "nothing"
        context.report(f"expected a mapping with {', '.join(known)}, found {found}", path=("sql_task",))
        return {}
    fields = cast("dict[str, Any]", task)
    for key in fields:
        if key not in known:
            context.report(f"unknown key '{key}'", path=("sql_task", key), hint=nearest(key, known))
    return fields


def _warehouse(task: Mapping[str, Any], context: TaskContext) -> str:
    if task.get("warehouse_id") is None and context.default_warehouse_id:
        return context.default_warehouse_id
    if task.get("warehouse_id") is None:
        context.report(
            "warehouse_id is missing", path=("sql_task",), hint="name one here, or set default_warehouse_id for all"
        )
        return ""
    return _text(task, "warehouse_id", context.report, ("sql_task",))


def _sql_parameters(task: Mapping[str, Any], context: TaskContext) -> dict[str, str]:
    return _parameters(task.get("parameters"), context.report, ("sql_task", "parameters"))


def _text(config: Mapping[str, Any], key: str, report: Report, path: tuple[str, ...] = ()) -> str:
    value = config.get(key)
    if not isinstance(value, str) or not value.strip():
        found = "nothing" if key not in config else "blank text" if isinstance(value, str) else type_name(value)
        report(f"expected text for '{key}', found {found}", path=(*path, key) if key in config else path)
        return ""
    return value


def _parameters(value: object, report: Report, path: tuple[str, ...]) -> dict[str, str]:
    """Parameters as the API takes them: text. Scalars are written as JSON writes them."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        report(f"expected a mapping, found {type_name(value)}", path=path)
        return {}
    result: dict[str, str] = {}
    for name, each in cast("dict[str, object]", value).items():
        if isinstance(each, dict | list) or each is None:
            report(f"expected text, a number or a boolean, found {type_name(cast('object', each))}", path=(*path, name))
        else:
            result[name] = str(each).lower() if isinstance(each, bool) else str(each)
    return result
