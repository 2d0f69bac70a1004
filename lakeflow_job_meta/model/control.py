"""What people declare: sources (one row, one task) and modules (one job), as the control tables hold them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from lakeflow_job_meta.model.table import Row

MONITOR_MODULE = "lakeflow_monitor"
"""The module whose job runs the monitor itself; `ljm deploy` writes its rows. No plan takes its job away, whatever its
rows say: who would put it right again?"""

SOURCE_CONFIGS = ("source_config", "target_config", "transformation_config")
"""The source columns that hold JSON."""

GENERATED_BY = "generated_by"
"""The key of source_config by which a row tells what wrote it, other than people and their files."""


def generated_by(source_config: str | None) -> str:
    """What wrote a row; empty where people or their files did.

    >>> generated_by('{"generated_by": "pipelines"}'), generated_by('{"table": "a"}')
    ('pipelines', '')
    """
    return str(_parsed(source_config).get(GENERATED_BY) or "")


def tagged_by(job_config: str | None) -> str:
    """What wrote a module's own row: a tag of its job tells; empty where people or their files did.

    >>> tagged_by('{"tags": {"generated_by": "pipelines"}}')
    'pipelines'
    """
    tags = _parsed(job_config).get("tags")
    return str(cast("Mapping[str, Any]", tags).get(GENERATED_BY) or "") if isinstance(tags, dict) else ""


def _parsed(text: str | None) -> Mapping[str, Any]:
    if not text or GENERATED_BY not in text:
        return {}
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class Source:
    """One row of the control table; the three configs are JSON text exactly as stored."""

    source_id: str
    module_name: str
    source_type: str | None = None
    execution_order: int | None = None
    source_config: str | None = None
    target_config: str | None = None
    transformation_config: str | None = None
    is_active: bool | None = True
    created_timestamp: datetime | None = None
    updated_timestamp: datetime | None = None

    @property
    def key(self) -> tuple[str, str]:
        """(module_name, source_id): unique in the control table."""
        return (self.module_name, self.source_id)

    @property
    def active(self) -> bool:
        """NULL counts as active: a row inserted without the column asks for a task."""
        return self.is_active is not False

    @classmethod
    def from_row(cls, row: Row) -> Source:
        """The row as a Source; columns that we don't know are somebody else's and stay out."""
        return cls(**_known(cls, row))


@dataclass(frozen=True, slots=True)
class Module:
    """One row of `{control_table}_modules`; `job_config` is JSON text of Jobs API job settings."""

    module_name: str
    description: str | None = None
    job_config: str | None = None
    is_active: bool | None = True
    created_timestamp: datetime | None = None
    updated_timestamp: datetime | None = None

    @property
    def active(self) -> bool:
        return self.is_active is not False

    @classmethod
    def from_row(cls, row: Row) -> Module:
        """The row as a Module."""
        return cls(**_known(cls, row))


def _known(cls: type[Source] | type[Module], row: Row) -> Mapping[str, Any]:
    fields = cls.__dataclass_fields__
    return {name: value for name, value in row.items() if name in fields}
