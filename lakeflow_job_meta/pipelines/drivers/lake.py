"""Delta tables of the same store: a source or a destination like any other, moved by the store itself."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.model.bulk import ArrowStream, Span, Totals
from lakeflow_job_meta.model.table import TableName, TableSpec
from lakeflow_job_meta.pipelines.drivers.base import Mark, RemoteColumn, RemoteTable
from lakeflow_job_meta.pipelines.registry import Direction
from lakeflow_job_meta.pipelines.stages.stage import Relation, StageContext
from lakeflow_job_meta.store.base import BulkStore, bulk
from lakeflow_job_meta.store.feed import FEED
from lakeflow_job_meta.store.type_text import column_of_text

OPTIONS = {"catalog": "", "schema": "default"}
"""What credentials may say: where tables are that are named without it; the catalog is the data lake's by default."""

NOTES = {
    each: f"lakeflow_sink_{each}" for each in ("lake_table", "incremental_key", "watermark", "lake_version", "run_id")
}
"""What the commit that loads a table says."""


def connect(options: Mapping[str, str], context: StageContext) -> LakeDatabase:
    """Nothing is asked yet."""
    catalog = options["catalog"] or context.lake_table.catalog
    return LakeDatabase(bulk(context.store), catalog, options["schema"], context.direction, context)


@dataclass(frozen=True)
class LakeDatabase:
    """See base.Database."""

    store: BulkStore
    catalog: str
    schema: str
    direction: Direction
    context: StageContext

    def close(self) -> None:
        """Nothing is open."""

    def name(self, relation: Relation) -> TableName:
        """The table's whole name."""
        return TableName.parse(f"{self.catalog}.{relation.schema or self.schema}.{relation.name}")

    def table(self, relation: Relation) -> RemoteTable | None:
        made = self.direction is Direction.DL_TO_SINK
        info = self.store.info(self.name(relation))
        if info is None:
            return RemoteTable(relation, (), made=True) if made else None
        columns = tuple(RemoteColumn(each.name, each.sql_type, each.sql_type) for each in info.columns)
        return RemoteTable(relation, columns, made=made)

    def lacking(self, relation: Relation, direction: Direction) -> Sequence[str]:
        return []

    def reading(self) -> AbstractContextManager[None]:
        return nullcontext()

    def totals(self, table: RemoteTable, key: str | None, span: Span | None = None) -> Totals:
        return self.store.totals(self.name(table.relation), key, span=span) if table.columns else Totals(0)

    @contextmanager
    def stream(
        self, table: RemoteTable, *, span: Span | None = None, ordered_by: str | None = None
    ) -> Generator[ArrowStream, None, None]:
        with self.store.stream(self.name(table.relation), table.names, span=span) as rows:
            yield rows

    def mark(self, relation: Relation) -> Mark | None:
        said = {each: self.store.noted(self.name(relation), name) for each, name in NOTES.items()}
        lake, version, run = said["lake_table"], said["lake_version"], said["run_id"]
        if lake is None or version is None or run is None:
            return None
        return Mark(lake, said["incremental_key"], said["watermark"], int(version), int(run))

    @contextmanager
    def loading(self, table: RemoteTable) -> Generator[LakeLoading, None, None]:
        yield LakeLoading(self, table)


@dataclass
class LakeLoading:
    """See base.Loading: one commit of the table is the transaction."""

    database: LakeDatabase
    table: RemoteTable

    def stage(self, rows: ArrowStream, columns: Sequence[str]) -> None:
        name, context = self.database.name(self.table.relation), self.database.context
        store = self.database.store
        info = store.info(context.lake_table)
        if store.info(name) is None and info is not None:
            store.ensure_schema(name.catalog, name.schema)
            made = tuple(column_of_text(each.name, each.sql_type, each.description) for each in info.columns)
            _ = store.create(TableSpec(name, made, properties={FEED: "false"}))
        said = {
            NOTES["lake_table"]: str(context.lake_table),
            NOTES["lake_version"]: str(info.version if info else 0),
            NOTES["run_id"]: str(context.run_id),
        }
        _ = store.put(name, rows, said)

    def swap(self) -> None:
        """The rows are in their place already."""

    def upsert(self, key: Sequence[str], span: Span | None = None) -> None:
        raise InputError("a Delta table has no primary key by which rows could be updated", hint="load it full")

    def note(self, mark: Mark) -> None:
        """The commit has said it."""
