"""What was reconciled completely, and what changed since: so that a look at an unchanged table costs three versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lakeflow_job_meta.control.declared import Declared
from lakeflow_job_meta.control.heartbeat import Monitors
from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.control.tenure import Tenure
from lakeflow_job_meta.engine.lease import Lease
from lakeflow_job_meta.errors import TableNotFound
from lakeflow_job_meta.model.table import RowChange, TableName, TableSpec
from lakeflow_job_meta.store.base import Store

AT_MOST = 100
"""Changed modules that are read one by one; more are cheaper to read with all the others."""


def mark_of(declared: Declared, arguments: str, files: Mapping[str, str]) -> dict[str, Any]:
    """What a complete reconcile of these rows with these arguments and files (path to hash) will have done."""
    return {
        **({"files": dict(files)} if files else {}),
        "control": [declared.control_id, declared.control_version],
        "modules": [declared.modules_id, declared.modules_version],
        "arguments": arguments,
    }


@dataclass(frozen=True, slots=True)
class Changed:
    """The modules whose rows changed since the last complete reconcile, up to these versions at least; `rows` are the
    changes, of the control table and of the modules table. `files` are those that jobs named then, by hash."""

    modules: frozenset[str]
    control_version: int
    modules_version: int
    rows: tuple[Sequence[RowChange], Sequence[RowChange]]
    files: Mapping[str, str]


def changed_since_mark(store: Store, tables: ControlTables, tenure: Tenure, arguments: str) -> Changed | None:
    """The modules whose rows changed since the last complete reconcile, none if nothing did.

    Returns:
        None where that can't be told: there was none, somebody else wrote the state, the arguments are others, a table
        was replaced, or the change feed has a gap. Then everything has to be looked at.
    """
    lease = _lease_as_left(store, tables, tenure)
    if lease is None or not lease.mark or lease.mark["arguments"] != arguments:
        return None
    mark = lease.mark
    # The versions first: the feed then tells at least all that led to them.
    now = versions(store, tables.control.name, tables.modules.name)
    changed: set[str] = set()
    rows: list[Sequence[RowChange]] = []
    for spec, (table_id, version), before in zip(
        (tables.control, tables.modules), now, (mark["control"], mark["modules"]), strict=True
    ):
        found = _changed(store, spec, before[1], version) if [table_id] == before[:1] else None
        if found is None:
            return None
        changed |= {module_of(spec, change) for change in found}
        rows.append(found)
    (_, control_version), (_, modules_version) = now
    if len(changed) > AT_MOST:
        return None
    files: Mapping[str, str] = mark.get("files", {})
    return Changed(frozenset(changed), control_version, modules_version, (rows[0], rows[1]), files)


def state_as_left(store: Store, tables: ControlTables, tenure: Tenure) -> bool:
    """Whether the state is what the last run left: it may be relied on to name all jobs that there are."""
    return _lease_as_left(store, tables, tenure) is not None


def _lease_as_left(store: Store, tables: ControlTables, tenure: Tenure) -> Lease | None:
    """The lease, where nobody holds it and nobody has written the state since it was let go."""
    try:
        state = store.read(tables.jobs.name, where={"workspace_id": [tenure.key]})
    except TableNotFound:
        return None
    lease = tenure.read(state)
    # Signs of life of monitors are versions too, but change nothing.
    version = Monitors.read(state, tenure.workspace_id).settled(state.version)
    return lease if lease is not None and lease.as_left(version) else None


def module_of(spec: TableSpec, change: RowChange) -> str:
    """The module that a changed row is of."""
    return str(change.key[spec.key.index("module_name")])


def _changed(store: Store, spec: TableSpec, since: int, version: int) -> Sequence[RowChange] | None:
    if version <= since:
        return () if version == since else None
    return store.changes(spec, since)


def versions(store: Store, *tables: TableName) -> list[tuple[str, int]]:
    """The ids and versions of tables as they are now; an absent one as ("", -1)."""
    found = [store.info(table) for table in tables]
    return [(info.table_id, info.version) if info else ("", -1) for info in found]


def same_rows(store: Store, tables: ControlTables, basis: Mapping[str, Any]) -> bool:
    """Whether control and modules table are at the versions of a mark."""
    now = versions(store, tables.control.name, tables.modules.name)
    return now == [tuple(basis["control"]), tuple(basis["modules"])]
