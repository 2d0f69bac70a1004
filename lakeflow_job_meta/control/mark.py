"""What was reconciled completely, and what changed since: so that a look at an unchanged table costs three versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lakeflow_job_meta.control.declared import Declared
from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.control.tenure import Tenure
from lakeflow_job_meta.model.table import TableName, TableSpec
from lakeflow_job_meta.store.base import Store

AT_MOST = 100
"""Changed modules that are read one by one; more are cheaper to read with all the others."""


def mark_of(declared: Declared, arguments: str) -> dict[str, Any]:
    """What a complete reconcile of these rows with these arguments will have done."""
    return {
        "control": [declared.control_id, declared.control_version],
        "modules": [declared.modules_id, declared.modules_version],
        "arguments": arguments,
    }


@dataclass(frozen=True, slots=True)
class Changed:
    """The modules whose rows changed since the last complete reconcile, up to these versions at least."""

    modules: frozenset[str]
    control_version: int
    modules_version: int


def changed_since_mark(store: Store, tables: ControlTables, tenure: Tenure, arguments: str) -> Changed | None:
    """The modules whose rows changed since the last complete reconcile, none if nothing did.

    Returns:
        None where that can't be told: there was none, somebody else wrote the state, the arguments are others, a table
        was replaced, or the change feed has a gap. Then everything has to be looked at.
    """
    state = store.info(tables.jobs.name)
    lease = tenure.current() if state is not None else None
    if state is None or lease is None or not lease.mark:
        return None
    mark = lease.mark
    if mark["state_version"] != state.version or mark["arguments"] != arguments or lease.held:
        return None
    # The versions first: the feed then tells at least all that led to them.
    now = versions(store, tables.control.name, tables.modules.name)
    changed: set[str] = set()
    for spec, (table_id, version), before in zip(
        (tables.control, tables.modules), now, (mark["control"], mark["modules"]), strict=True
    ):
        found = _changed(store, spec, before[1], version) if [table_id] == before[:1] else None
        if found is None:
            return None
        changed |= found
    (_, control_version), (_, modules_version) = now
    return Changed(frozenset(changed), control_version, modules_version) if len(changed) <= AT_MOST else None


def _changed(store: Store, spec: TableSpec, since: int, version: int) -> set[str] | None:
    if version <= since:
        return set() if version == since else None
    changes = store.changes(spec, since)
    position = spec.key.index("module_name")
    return None if changes is None else {str(change.key[position]) for change in changes}


def versions(store: Store, *tables: TableName) -> list[tuple[str, int]]:
    """The ids and versions of tables as they are now; an absent one as ("", -1)."""
    found = [store.info(table) for table in tables]
    return [(info.table_id, info.version) if info else ("", -1) for info in found]


def same_rows(store: Store, tables: ControlTables, basis: Mapping[str, Any]) -> bool:
    """Whether control and modules table are at the versions of a mark."""
    now = versions(store, tables.control.name, tables.modules.name)
    return now == [tuple(basis["control"]), tuple(basis["modules"])]
