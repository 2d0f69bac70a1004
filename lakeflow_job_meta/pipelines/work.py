"""What a stage works on, put together from the registry's rows as they are when it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

from lakeflow_job_meta.diagnostics import nearest
from lakeflow_job_meta.errors import InputError, TableNotFound
from lakeflow_job_meta.model.table import Row, TableName
from lakeflow_job_meta.pipelines.naming import DESTINATION, SOURCE, Resolved, Unresolved, lake_table, resolve
from lakeflow_job_meta.pipelines.registry import Direction, Endpoint, RegisteredTable
from lakeflow_job_meta.pipelines.rows import endpoints_of
from lakeflow_job_meta.pipelines.runs.rows import StageRun
from lakeflow_job_meta.pipelines.stages.stage import Backfill, StageContext
from lakeflow_job_meta.pipelines.systems import KNOWN
from lakeflow_job_meta.pipelines.tables import DESTINATIONS, SOURCES, TABLES, RegistryTables
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.store.base import Store, TableStore
from lakeflow_job_meta.workspace.connect import connect
from lakeflow_job_meta.workspace.secrets import secrets_of


@dataclass(frozen=True, slots=True)
class Work:
    """One stage of one run, and where its rows are.

    Args:
        settings: where the lake and the workspace are; store: opened by them; tables: the registry's; run: which stage.
    """

    settings: Settings
    store: Store
    tables: RegistryTables
    run: StageRun
    _secrets: set[str] = field(default_factory=set[str], repr=False)

    @property
    def read_secrets(self) -> frozenset[str]:
        """What was looked up so far: no text that leaves the stage may quote it."""
        return frozenset(self._secrets)

    def context(self, backfill: Backfill | None, now: datetime) -> StageContext:
        """What the stage is given.

        Raises:
            InputError: the table is no longer registered, or its database isn't.
        """
        table = self._table()
        source = _found(table.source_tablename, table.source_type, self._endpoints(SOURCES), SOURCE)
        place = source
        if self.run.stage.direction is Direction.DL_TO_SINK:
            destinations = self._endpoints(DESTINATIONS)
            place = _found(table.sink_tablename or "", table.sink_type, destinations, DESTINATION)
        catalog = TableName.parse(self.settings.require_control_table()).catalog
        secrets = secrets_of(connect(self.settings))

        def secret(reference: str) -> str:
            value = secrets.value(reference)
            self._secrets.add(value)
            return value

        return StageContext(
            cast("TableStore", self.store),
            lake_table(catalog, self.settings.lake_schema, source),
            table,
            self.run.stage.direction,
            place.endpoint,
            place.relation,
            secret,
            self.run.run_id,
            now,
            backfill,
        )

    def _table(self) -> RegisteredTable:
        name = self.run.stage.source_tablename
        rows = self._rows(TABLES, {"source_tablename": [name]})
        if not rows:
            raise InputError(f"{name} isn't registered any more", hint="`ljm pipelines list` shows what is")
        return RegisteredTable.from_row(rows[0])

    def _endpoints(self, kind: str) -> Mapping[str, Endpoint]:
        return endpoints_of({kind: self._rows(kind)}, kind)

    def _rows(self, kind: str, where: dict[str, list[str]] | None = None) -> tuple[Row, ...]:
        name = self.tables.spec(kind).name
        try:
            return self.store.read(name, where=where).rows
        except TableNotFound as error:
            raise InputError(f"there is no pipeline registry: {name} doesn't exist in {self.store.label}") from error


def watermark_time(text: str | None) -> datetime | None:
    """A committed watermark as the registry repeats it: only moments, as its column holds nothing else.

    >>> watermark_time("2026-11-30T12:00:00+01:00").isoformat(), watermark_time("4711")
    ('2026-11-30T11:00:00+00:00', None)
    """
    if text is None or text.isdecimal():
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _found(name: str, system: str, endpoints: Mapping[str, Endpoint], kind: str) -> Resolved:
    if system not in KNOWN:
        hint = nearest(system, KNOWN) or "known: " + ", ".join(KNOWN)
        raise InputError(f"{'sink' if kind == DESTINATION else kind}_type: unknown type '{system}'", hint=hint)
    place = resolve(name, system, endpoints, kind)
    if isinstance(place, Unresolved):
        raise InputError(place.message, hint=place.hint)
    return place
