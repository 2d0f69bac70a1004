"""Which processors a step's `ps_type` can name: a table, one entry each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Processor:
    """A kind of step: the module that carries it out, the keys of its config, its folder beside the pipeline file."""

    module: str
    keys: tuple[str, ...]
    folder: str


PROCESSORS: Mapping[str, Processor] = {
    "setup.initial.onetime_bootstrap": Processor(
        "lakeflow_job_meta.bootstrap.onetime_bootstrap_processor",
        ("force_recreate_dataset", "force_recreate_tables", "folder", "catalog", "dataset"),
        "initial",
    ),
}
