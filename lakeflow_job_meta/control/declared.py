"""What the rows say at one moment: sources and modules, with the versions that were read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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


def read_declared(store: Store, tables: ControlTables, only: Collection[str] | None = None) -> Declared:
    """Read what is declared, or what these modules declare; a modules table that doesn't exist declares nothing.

    Raises:
        TableNotFound: there is no control table.
    """
    where = None if only is None else {"module_name": list(only)}
    control = store.read(tables.control.name, where=where)
    modules = _read_optional(store, tables.modules.name, where)
    return Declared(
        tuple(Source.from_row(row) for row in control.rows),
        tuple(Module.from_row(row) for row in modules.rows),
        control.table_id,
        control.version,
        modules.table_id,
        modules.version,
    )


def _read_optional(store: Store, table: TableName, where: Mapping[str, Sequence[str]] | None) -> Snapshot:
    try:
        return store.read(table, where=where)
    except TableNotFound:
        return Snapshot("", -1, ())
