"""What a sync writes: generated rows against those that are there. Pure, so that it can be decided again on fresh rows.

Rows that people made are never touched: a module is the registry's as a whole, or not at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from lakeflow_job_meta.diagnostics import Diagnostic, RowLocation
from lakeflow_job_meta.model.table import Changes, Row
from lakeflow_job_meta.pipelines.generate import Generated
from lakeflow_job_meta.pipelines.generated import (
    MODULE_COLUMNS,
    SOURCE_COLUMNS,
    ModuleRows,
    differing,
    is_generated,
    marked,
    source_config,
)


@dataclass(frozen=True, slots=True, order=True)
class OverwrittenEdit:
    """A generated row that somebody had edited, and that is as generated again; `source_id` is empty for a module's own
    row, `columns` are empty where the row had been deleted."""

    module_name: str
    source_id: str
    columns: tuple[str, ...] = ()

    def __str__(self) -> str:
        name = "/".join(part for part in (self.module_name, self.source_id) if part)
        return f"{name}: {', '.join(self.columns) or 'the row was gone'}"


@dataclass(slots=True)
class SyncChanges:
    """What is to be written into the control table and its modules table, and why; modules by name."""

    upserts: list[Row] = field(default_factory=list[Row])
    deletes: list[Row] = field(default_factory=list[Row])
    module_upserts: list[Row] = field(default_factory=list[Row])
    module_deletes: list[Row] = field(default_factory=list[Row])
    added: list[str] = field(default_factory=list[str])
    changed: list[str] = field(default_factory=list[str])
    paused: list[str] = field(default_factory=list[str])
    deleted: list[str] = field(default_factory=list[str])
    unchanged: list[str] = field(default_factory=list[str])
    overwritten: list[OverwrittenEdit] = field(default_factory=list[OverwrittenEdit])
    findings: list[Diagnostic] = field(default_factory=list[Diagnostic])

    @property
    def sources(self) -> Changes:
        """For the control table."""
        return Changes(tuple(self.upserts), tuple(self.deletes))

    @property
    def modules(self) -> Changes:
        """For the modules table."""
        return Changes(tuple(self.module_upserts), tuple(self.module_deletes))

    @property
    def touched(self) -> frozenset[str]:
        """The modules of which a row is written."""
        return frozenset((*self.added, *self.changed, *self.paused, *self.deleted))


def by_module(sources: Iterable[Row], modules: Iterable[Row]) -> dict[str, ModuleRows]:
    """Rows of both tables by their module."""
    rows: dict[str, list[Row]] = {}
    for row in sources:
        rows.setdefault(str(row.get("module_name") or ""), []).append(row)
    own = {str(row.get("module_name") or ""): row for row in modules}
    return {name: ModuleRows(tuple(rows.get(name, ())), own.get(name)) for name in rows.keys() | own.keys()}


def sync_changes(
    generated: Generated,
    present: Mapping[str, ModuleRows],
    control_table: str,
    now: datetime,
    only: Collection[str] | None = None,
) -> SyncChanges:
    """Decide what to write.

    Args:
        generated: what should be there.
        present: what is there.
        control_table: its name, for findings.
        now: when rows are made and changed.
        only: look at these modules alone; at all by default.
    """
    result = SyncChanges()
    ours = {name for name, rows in present.items() if rows.is_ours}
    names = generated.modules.keys() | (generated.paused & present.keys()) | ours
    for name in sorted(names if only is None else names & set(only)):
        there = present.get(name, ModuleRows(()))
        wanted = generated.modules.get(name)
        if name in generated.frozen:
            result.unchanged.append(name)
        elif wanted is not None:
            if clash := _clash(name, there, control_table):
                result.findings.append(clash)
            else:
                _put(name, wanted, there, now, result)
        elif name not in ours:
            continue
        elif name in generated.paused:
            _pause(name, there, now, result)
        else:
            _delete(name, there, result)
    return result


def _clash(name: str, there: ModuleRows, control_table: str) -> Diagnostic | None:
    """Why a module can't be generated where somebody's rows are."""
    others = [str(row.get("source_id")) for row in there.sources if not is_generated(row)]
    if others and not there.generated:
        message, hint = "people made a module of this name", "rename it, or the table in the registry"
        return Diagnostic(message, RowLocation(control_table, name), hint)
    if others:
        message = "a source that people made stands in a generated module, which stays as it is"
        return Diagnostic(message, RowLocation(control_table, name, others[0]), "give it a module of its own")
    if not there.sources and there.module is not None and not there.is_ours:
        message, hint = "people made a row for a module of this name", "delete it, or rename the table in the registry"
        return Diagnostic(message, RowLocation(f"{control_table}_modules", name), hint)
    counts = Counter(str(row.get("source_id")) for row in there.sources)
    for source, number in counts.items():
        if number > 1:
            return Diagnostic("this row is there twice", RowLocation(control_table, name, source), "delete one of them")
    return None


def _put(name: str, wanted: ModuleRows, there: ModuleRows, now: datetime, result: SyncChanges) -> None:
    before = {row["source_id"]: row for row in there.generated}
    edited = bool(before) and there.edited
    edits: list[OverwrittenEdit] = []
    wrote = False
    for row in wanted.sources:
        present = before.pop(row["source_id"], None)
        columns = differing(present, row, SOURCE_COLUMNS) if present is not None else ()
        if present is None or columns:
            result.upserts.append(_stamped(row, present, now))
            wrote = True
            edits.append(OverwrittenEdit(name, row["source_id"], _seen(columns)))
    for source in before:
        result.deletes.append({"module_name": name, "source_id": source})
        wrote = True
    module = wanted.module or {}
    columns = differing(there.module, module, MODULE_COLUMNS) if there.module is not None else ()
    if there.module is None or columns:
        result.module_upserts.append(_stamped(module, there.module, now))
        wrote = True
        edits.append(OverwrittenEdit(name, "", columns))
    if edited and wrote:
        result.overwritten += [each for each in edits if each.columns or each.source_id not in _ids(there)]
    kind = result.changed if there.generated else result.added
    (kind if wrote else result.unchanged).append(name)


def _pause(name: str, there: ModuleRows, now: datetime, result: SyncChanges) -> None:
    rows = [row for row in there.generated if row.get("is_active") is not False]
    module = there.module if there.module is not None and there.module.get("is_active") is not False else None
    if not rows and module is None:
        result.unchanged.append(name)
        return
    after = ModuleRows(
        tuple({**row, "is_active": False} for row in there.generated),
        {**there.module, "is_active": False} if there.module is not None else None,
    )
    if not there.edited and after.sources:
        # Edits stay to be seen, until the row is active again.
        said = source_config(after.sources[0])
        after = marked(after, str(said.get("source_tablename")), str(said.get("direction")))
    result.upserts += [{**row, "updated_timestamp": now} for row in after.sources]
    if module is not None and after.module is not None:
        result.module_upserts.append({**after.module, "updated_timestamp": now})
    result.paused.append(name)


def _delete(name: str, there: ModuleRows, result: SyncChanges) -> None:
    result.deletes += [{"module_name": name, "source_id": row["source_id"]} for row in there.generated]
    if there.module is not None and len(there.generated) == len(there.sources):
        result.module_deletes.append({"module_name": name})
    result.deleted.append(name)


def _stamped(row: Row, before: Row | None, now: datetime) -> Row:
    # Columns that others added to the table keep what they hold.
    created = before.get("created_timestamp") if before is not None else now
    return {**(before or {}), **row, "created_timestamp": created or now, "updated_timestamp": now}


def _seen(columns: Sequence[str]) -> tuple[str, ...]:
    """Without the column of the marks, which change with all else."""
    return tuple(name for name in columns if name != "source_config")


def _ids(there: ModuleRows) -> set[str]:
    return {str(row["source_id"]) for row in there.sources} | ({""} if there.module is not None else set())
