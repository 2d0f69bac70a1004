"""What a team registers, as data: tables to move, sources and destinations, templates of stages. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from lakeflow_job_meta.model.table import Row

FULL, INCREMENTAL = LOAD_TYPES = ("full", "incremental")
DEFAULT_TYPE = "postgres"
DEFAULT_TEMPLATE = "default"


class Direction(StrEnum):
    """One half of a pipeline: from the source into the data lake, or from there to the sink."""

    SOURCE_TO_DL = "source_to_dl"
    DL_TO_SINK = "dl_to_sink"


@dataclass(frozen=True, slots=True)
class Transfer:
    """What a row of pipeline_config says of one direction.

    `schedule` is in minutes, None where nothing starts it by itself. `last_value` is the watermark as the registry
    repeats it; what was committed with the data wins.
    """

    direction: Direction
    schedule: int | None = None
    load_type: str | None = None
    is_active: bool | None = None
    incremental_key: str | None = None
    last_value: datetime | None = None

    @property
    def active(self) -> bool:
        """NULL counts as active, as it does in the control table."""
        return self.is_active is not False

    @classmethod
    def from_row(cls, row: Row, direction: Direction) -> Transfer:
        """The columns of one direction."""

        def column(name: str) -> Any:
            return row.get(f"{direction}_{name}")

        return cls(
            direction,
            column("schedule"),
            column("load_type"),
            column("is_active"),
            column("incremental_key"),
            column("last_incremental_value"),
        )


@dataclass(frozen=True, slots=True)
class RegisteredTable:
    """One row of pipeline_config: a table, and how it moves."""

    source_tablename: str
    sink_tablename: str | None
    source_type: str
    sink_type: str
    source_to_dl: Transfer
    dl_to_sink: Transfer

    def transfer(self, direction: Direction) -> Transfer:
        """What the row says of one direction."""
        return self.source_to_dl if direction is Direction.SOURCE_TO_DL else self.dl_to_sink

    @classmethod
    def from_row(cls, row: Row) -> RegisteredTable:
        """The row as data; a type that isn't said is the document's default."""
        return cls(
            row["source_tablename"],
            row.get("sink_tablename"),
            row.get("source_type") or DEFAULT_TYPE,
            row.get("sink_type") or DEFAULT_TYPE,
            Transfer.from_row(row, Direction.SOURCE_TO_DL),
            Transfer.from_row(row, Direction.DL_TO_SINK),
        )


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of sources_config or destinations_config: a database, and how to reach it.

    `creds` is JSON text in which every secret is a reference; it never holds one.
    """

    id: str
    name: str
    type: str
    creds: str | None = None
    created_at: datetime | None = None

    @classmethod
    def from_row(cls, row: Row, kind: str) -> Endpoint:
        """The row as data; `kind` is `source` or `destination`, the prefix of its columns."""
        name, of_type, creds = (row.get(f"{kind}_{each}") for each in ("name", "type", "creds"))
        return cls(row["id"], name or "", of_type or "", creds, row.get("created_at"))


@dataclass(frozen=True, slots=True)
class StageTemplate:
    """One row of pipeline_stages: a step of all pipelines that use the template `pipeline_name`."""

    id: int | None
    pipeline_name: str
    stage_order: int
    stage_name: str
    stage_type: str
    driver_container: str | None = None

    @classmethod
    def from_row(cls, row: Row) -> StageTemplate:
        """The row as data."""
        return cls(**{name: row.get(name) for name in cls.__dataclass_fields__})  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True, slots=True)
class Registry:
    """All that is registered, at one moment; sources and destinations by name."""

    tables: tuple[RegisteredTable, ...]
    sources: Mapping[str, Endpoint]
    destinations: Mapping[str, Endpoint]
    stages: tuple[StageTemplate, ...]
