"""What the rows say at one moment: sources and modules, with the versions that were read."""

from __future__ import annotations

from dataclasses import dataclass

from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.errors import TableNotFound
from lakeflow_job_meta.model.control import Module, Source
from lakeflow_job_meta.model.table import Snapshot, TableName
from lakeflow_job_meta.store.base import Store


@dataclass(frozen=True, slots=True)
class Declared:
    """All rows of the control table and of its modules table, each at the version named."""

    sources: tuple[Source, ...]
    modules: tuple[Module, ...]
    control_id: str
    control_version: int
    modules_id: str = ""
    modules_version: int = -1


def read_declared(store: Store, tables: ControlTables) -> Declared:
    """Read what is declared; a modules table that doesn't exist declares nothing.

    Raises:
        TableNotFound: there is no control table.
    """
    control = store.read(tables.control.name)
    modules = _read_optional(store, tables.modules.name)
    return Declared(
        tuple(Source.from_row(row) for row in control.rows),
        tuple(Module.from_row(row) for row in modules.rows),
        control.table_id,
        control.version,
        modules.table_id,
        modules.version,
    )


def _read_optional(store: Store, table: TableName) -> Snapshot:
    try:
        return store.read(table)
    except TableNotFound:
        return Snapshot("", -1, ())
