"""The pipeline file that `ljm bootstrap` executes: its steps, each with the type of its processor and a config."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from lakeflow_job_meta.bootstrap.keys import Keys
from lakeflow_job_meta.diagnostics import errors_in, nearest
from lakeflow_job_meta.errors import InputError, UsageError
from lakeflow_job_meta.model.schema_file import IDENTIFIER
from lakeflow_job_meta.reader.document import read_file


@dataclass(frozen=True, slots=True)
class PipelineStep:
    """One step: which processor (`ps_type`), and what it is told."""

    step_id: str
    name: str
    ps_type: str
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PipelineFile:
    """A pipeline as its file declares it."""

    path: Path
    id: str
    name: str
    steps: tuple[PipelineStep, ...]


def read_pipeline(path: Path, processors: Mapping[str, Collection[str]]) -> PipelineFile:
    """Read a pipeline file.

    Args:
        path: the file.
        processors: the keys that the config of each known `ps_type` may have.

    Raises:
        InputError: with every finding.
    """
    reading = read_file(path)
    if reading.document is None or errors_in(reading.diagnostics):
        raise InputError(f"{path} can't be used", diagnostics=reading.diagnostics)
    keys = Keys(reading.document)
    whole = keys.mapping(reading.document.value, (), ("pipeline", "steps"))
    pipeline = keys.mapping(whole.get("pipeline"), ("pipeline",), ("id", "name")) if "pipeline" in whole else {}
    if "pipeline" not in whole:
        keys.find("pipeline is missing", (), "pipeline: {id: …, name: …}")
    elif not pipeline.get("id"):
        keys.find("the pipeline has no id", ("pipeline",))
    listed = keys.value(whole, (), "steps", list, [])
    if not listed:
        keys.find("there are no steps", ("steps",), "steps: a list of {step_id, name, ps_type, config}")
    steps = tuple(_step(keys, each, position, processors) for position, each in enumerate(cast("list[Any]", listed)))
    for position, step in enumerate(steps):
        if step.step_id and step.step_id in [each.step_id for each in steps[:position]]:
            keys.find(f"duplicate step_id '{step.step_id}'", ("steps", position, "step_id"))
    if keys.found:
        raise InputError(f"{path} can't be used", diagnostics=keys.found)
    return PipelineFile(path, str(pipeline["id"]), str(pipeline.get("name") or pipeline["id"]), steps)


def checked_config(config: Mapping[str, Any], known: Collection[str]) -> Mapping[str, Any]:
    """The config of a step that no file declares.

    Raises:
        UsageError: a key that isn't known, or a value that isn't of its kind.
    """
    for key, value in config.items():
        if key not in known:
            raise UsageError(f"unknown key '{key}' in the step's config", hint=nearest(key, known))
        if key.startswith("force_") and not isinstance(value, bool):
            raise UsageError(f"{key} is {value!r}, expected true or false")
        if key in ("catalog", "dataset") and not IDENTIFIER.fullmatch(str(value)):
            raise UsageError(f"{key} '{value}' is not an identifier")
    return config


def _step(keys: Keys, value: Any, position: int, processors: Mapping[str, Collection[str]]) -> PipelineStep:
    path = ("steps", position)
    said = keys.mapping(value, path, ("step_id", "name", "ps_type", "config"))
    step_id = keys.value(said, path, "step_id", str, "")
    kind = keys.value(said, path, "ps_type", str, "")
    if said and not step_id:
        keys.find("the step has no step_id", path)
    if said and kind not in processors:
        hint = nearest(kind, processors) or "known: " + ", ".join(processors)
        keys.find(f"unknown ps_type '{kind}'" if kind else "the step has no ps_type", (*path, "ps_type"), hint)
    config = said.get("config")
    if config is not None and kind in processors:
        config = keys.mapping(config, (*path, "config"), processors[kind])
        for key in config:
            if key.startswith("force_"):
                _ = keys.value(config, (*path, "config"), key, bool, False)
            elif key == "folder":
                _ = keys.value(config, (*path, "config"), key, str, "")
            else:
                _ = keys.name(config, (*path, "config"), key)
    return PipelineStep(step_id, keys.value(said, path, "name", str, step_id), kind, config or {})
