"""The table that tells which migrations were applied: one row for each version ever begun."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from lakeflow_job_meta.bootstrap.migrations.entry import Entry
from lakeflow_job_meta.errors import ConflictError, TableNotFound
from lakeflow_job_meta.model.table import Changes, Snapshot, TableName, TableSpec
from lakeflow_job_meta.store.base import Store

TABLE = "_ljm_migrations"


class TakenOver(ConflictError):
    """Another run goes on with a migration that this one began: what is left to do is its own."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The whole record at one moment; version −1 where there is no table yet."""

    table: TableName
    table_id: str
    table_version: int
    entries: Mapping[int, Entry]


@dataclass(frozen=True, slots=True)
class Record:
    """The record in a store, beside the tables that it tells about."""

    store: Store
    spec: TableSpec

    @classmethod
    def of(cls, store: Store, catalog: str, schema: str) -> Record:
        """The record of one schema."""
        return cls(store, TableSpec.from_json(TableName(catalog, schema, TABLE), _schema()))

    def read(self) -> Recorded:
        """All rows; none where the table isn't there yet."""
        try:
            snapshot = self.store.read(self.spec.name)
        except TableNotFound:
            return Recorded(self.spec.name, "", -1, {})
        entries = [Entry.from_row(row) for row in snapshot.rows]
        return Recorded(self.spec.name, snapshot.table_id, snapshot.version, {each.version: each for each in entries})

    def write(self, before: Entry | None, after: Entry) -> Entry:
        """Write one row, if it still is what it was; makes the table with the first one.

        Raises:
            ConflictError: somebody else wrote the row since; nothing was written.
        """
        if before is None:
            _ = self.store.create(self.spec)
        others: list[Entry] = []

        def decide(snapshot: Snapshot) -> Changes:
            found = next((Entry.from_row(row) for row in snapshot.rows), None)
            others[:] = [] if _same(found, before) else [found or after]
            return Changes() if others else Changes(upserts=(after.to_row(),))

        _ = self.store.transact(self.spec, decide, where={"version": [after.version]})
        if others:
            raise ConflictError(
                f"{others[0].name} is {others[0].state} by {others[0].actor} ({others[0].holder}) meanwhile",
                hint="let the other run end, then look at `ljm bootstrap migrate status`",
            )
        return after

    def check(self, mine: Entry) -> None:
        """Refuse to go on where another run took over.

        Raises:
            TakenOver: it did.
        """
        rows = self.store.read(self.spec.name, where={"version": [mine.version]}).rows
        if not rows or rows[0]["run_id"] != mine.run_id:
            raise TakenOver(f"{mine.name} was taken over by another run", hint="it goes on with the work")


def _same(one: Entry | None, other: Entry | None) -> bool:
    if one is None or other is None:
        return one is other
    return (one.run_id, one.state) == (other.run_id, other.state)


@cache
def _schema() -> dict[str, Any]:
    folder = resources.files("lakeflow_job_meta.bootstrap.migrations") / "schemas"
    return json.loads((folder / "migrations.json").read_text("utf-8"))
