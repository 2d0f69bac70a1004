"""Which dataset the migrations beside a pipeline file change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from lakeflow_job_meta.diagnostics import Diagnostic
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.model.table import IDENTIFIER
from lakeflow_job_meta.reader.document import Document, read_file

CATALOG = "main"
KIND = "setup"
"""The first part of the `ps_type` of a step that sets up a dataset; the next part names its folder."""


@dataclass(frozen=True, slots=True)
class Place:
    """A dataset, and the folder of its migrations."""

    catalog: str
    dataset: str
    folder: Path


def find_place(pipeline: Path) -> Place:
    """What the set-up step of a pipeline file names: the dataset of its config.yml, and `migrations/` beside the file.

    Raises:
        InputError: a file is missing, or doesn't say it; all findings.
    """
    found: list[Diagnostic] = []
    document = _read(pipeline, found)
    step = _step(document, found) if document else None
    if document is None or step is None:
        raise InputError(f"{pipeline} names no dataset", diagnostics=found)
    given, folder = step
    config = _read(pipeline.parent / str(given.get("folder") or folder) / "config.yml", found)
    values = _mapping(config.value if config else None)
    defaults = {"catalog": CATALOG, "dataset": ""}
    names = {key: given.get(key) or values.get(key) or default for key, default in defaults.items()}
    for key, name in names.items():
        if config and not (isinstance(name, str) and IDENTIFIER.fullmatch(name)):
            found.append(Diagnostic(f"{key}: expected a name, found {name!r}", config.position((key,))))
    if found:
        raise InputError(f"{pipeline} names no dataset", diagnostics=found)
    return Place(names["catalog"].lower(), names["dataset"].lower(), pipeline.parent / "migrations")


def _read(path: Path, found: list[Diagnostic]) -> Document | None:
    reading = read_file(path)
    found += reading.diagnostics
    return reading.document


def _step(document: Document, found: list[Diagnostic]) -> tuple[Mapping[str, Any], str] | None:
    """The config of the first step that sets up a dataset, and the folder that its type names."""
    steps = _mapping(document.value).get("steps")
    for each in cast("list[object]", steps) if isinstance(steps, list) else []:
        step = _mapping(each)
        parts = str(step.get("ps_type", "")).split(".")
        if parts[0] == KIND and len(parts) == 3:
            return _mapping(step.get("config")), parts[1]
    found.append(Diagnostic("no step sets up a dataset", document.position(("steps",)), "ps_type: setup.FOLDER.…"))
    return None


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}
