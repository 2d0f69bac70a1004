"""What a stage is given and what it returns. Data only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.pipelines.registry import Direction, Endpoint, RegisteredTable, Transfer

if TYPE_CHECKING:
    from lakeflow_job_meta.store.base import TableStore


@dataclass(frozen=True, slots=True)
class Backfill:
    """A span of the incremental key that is moved again: `start` included, `end` not; text as the column prints."""

    start: str
    end: str


@dataclass(frozen=True, slots=True)
class Relation:
    """A table in a database: `schema` may be empty where a database has none (SQLite, files)."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


@dataclass(frozen=True, slots=True)
class StageContext:
    """One stage of one run.

    Args:
        store: where the data lake's tables are.
        lake_table: the Delta table that stands between source and sink.
        table: the registered row.
        direction: which half of it.
        endpoint: the database at the other end: the source, or the destination.
        relation: the table in that database.
        secret: what a reference (`env:NAME`, `{{secrets/scope/key}}`) stands for; raises InputError.
        run_id: the workspace's run id.
        now: when the stage began.
        backfill: the span to be moved, instead of what lies above the watermark.
    """

    store: TableStore
    lake_table: TableName
    table: RegisteredTable
    direction: Direction
    endpoint: Endpoint
    relation: Relation
    secret: Callable[[str], str]
    run_id: int
    now: datetime
    backfill: Backfill | None = None

    @property
    def transfer(self) -> Transfer:
        """What the row says of this direction."""
        return self.table.transfer(self.direction)


@dataclass(frozen=True, slots=True)
class StageOutcome:
    """What a stage did. `watermark` is the committed one after it, as text; None where the load is full or nothing was
    ever moved. `notes` are for people: schema drift, a clock that went backwards."""

    rows_processed: int | None = None
    file_paths: tuple[str, ...] = ()
    watermark: str | None = None
    notes: tuple[str, ...] = field(default_factory=tuple)


StageFunction = Callable[[StageContext], StageOutcome]
"""A stage. It raises LakeflowJobMetaError for what a person can mend."""
