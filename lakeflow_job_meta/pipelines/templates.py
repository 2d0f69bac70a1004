"""Which template a table's pipeline follows, and which of its stages each direction has. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lakeflow_job_meta.model.stage_type import runs_in
from lakeflow_job_meta.pipelines.registry import DEFAULT_TEMPLATE, Direction, RegisteredTable, StageTemplate

Templates = Mapping[str, Sequence[StageTemplate]]
"""The stages of each template, in order."""


def template_names(table: RegisteredTable) -> tuple[str, str]:
    """The templates that a table's pipeline may follow: the first that there is."""
    return f"{table.source_type}_to_{table.sink_type}", DEFAULT_TEMPLATE


def template_of(table: RegisteredTable, templates: Templates) -> str:
    """The template that a table's pipeline follows; empty where there is none."""
    return next((name for name in template_names(table) if name in templates), "")


def stages_of(template: Sequence[StageTemplate], direction: Direction) -> tuple[StageTemplate, ...]:
    """The stages of one direction."""
    return tuple(stage for stage in template if runs_in(stage.stage_type, direction))
