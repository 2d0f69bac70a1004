"""Loading YAML into the tables: all or nothing for people and pipelines, file by file for the folder monitor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lakeflow_job_meta.control.files import FileRecord, place_of
from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.diagnostics import Diagnostic, FileLocation, Severity, counted, errors_in
from lakeflow_job_meta.errors import ConflictError, InputError, UsageError
from lakeflow_job_meta.ingest.find import Found
from lakeflow_job_meta.ingest.folder import Declarations, read_declarations
from lakeflow_job_meta.ingest.merge import Merge, Policy, Wanted, merge
from lakeflow_job_meta.ingest.proposal import Intent, Proposal, Tables, propose
from lakeflow_job_meta.ingest.report import ChangedRow, LoadReport
from lakeflow_job_meta.model.table import Changes, Snapshot, TableSpec
from lakeflow_job_meta.store.base import Store

ON_CONFLICT = ("overwrite", "keep", "fail")


def load(
    store: Store,
    tables: ControlTables,
    path: str | Path | Found,
    *,
    now: datetime,
    on_conflict: str = "overwrite",
    deactivate_missing: bool = False,
) -> LoadReport:
    """Merge a YAML file, or all of a folder, into the control table: everything, or nothing if anything is wrong.

    Only rows that differ are written. A row that was edited in the table since a file last wrote it, or that no file
    ever wrote, is a conflict where it differs from the file.

    Args:
        store: where the tables are; they are made if they don't exist.
        tables: the control table and its siblings.
        path: a file or a folder, or what was found there.
        now: the time that changed rows get, in UTC.
        on_conflict: `overwrite` the edited row and say so, `keep` it, or `fail` without writing anything.
        deactivate_missing: set rows inactive that this file or folder declared before and no longer does.

    Raises:
        InputError: the path is missing or empty, or something is wrong with any file: all findings, nothing written.
        ConflictError: `on_conflict="fail"` and rows were edited; or others kept winning the race for the table.
        UsageError: `on_conflict` is none of the three.
    """
    intent = _intent(tables, on_conflict, deactivate_missing, now)
    declarations = _some(read_declarations(path))
    proposal = propose(declarations, Tables.read(store, tables), intent)
    _refuse(proposal, declarations)
    _refuse_conflicts(proposal.source_merge, proposal.module_merge)
    tables.ensure(store)
    return _write(_Target(store, tables, intent, whole=True), proposal, declarations.shown)


def load_folder(
    store: Store,
    tables: ControlTables,
    path: str | Path | Found,
    *,
    now: datetime,
    on_conflict: str = "overwrite",
    deactivate_missing: bool = False,
) -> tuple[LoadReport, tuple[Diagnostic, ...]]:
    """Load the good files of a folder again, as its monitor does; files with errors wait, their rows stay as they are.

    A row is written only if its declaration changed since it was loaded, so that an edit in the table holds until the
    file says something new. Nothing is deactivated while any file is bad.

    Returns:
        The report, and the findings about what was not loaded.

    Raises:
        InputError: the folder is missing. An empty one is a finding: its first file may be yet to come.
    """
    intent = _intent(tables, on_conflict, deactivate_missing, now, settled=True)
    declarations = read_declarations(path)
    if not declarations.files and not declarations.findings:
        return LoadReport(declarations.shown), (_no_files(declarations, store, tables),)
    proposal = propose(declarations, Tables.read(store, tables), intent)
    tables.ensure(store)
    report = _write(_Target(store, tables, intent, whole=False), proposal, declarations.shown)
    errors = errors_in(proposal.diagnostics)
    refused = [*proposal.source_merge.conflicts, *proposal.module_merge.conflicts]
    return report, (*errors, *(Diagnostic(f"{row}: edited in the table, so not loaded") for row in refused))


def validate(
    path: str | Path | Found, tables: ControlTables, *, now: datetime, store: Store | None = None
) -> tuple[Declarations, tuple[Diagnostic, ...]]:
    """Read and check files as a load would, without writing; against the table's rows if a store is given.

    Raises:
        InputError: the path is missing, or is a folder without any YAML file.
    """
    declarations = _some(read_declarations(path))
    present = Tables.read(store, tables) if store is not None else Tables()
    proposal = propose(declarations, present, _intent(tables, "overwrite", False, now))
    return declarations, proposal.diagnostics


@dataclass(frozen=True, slots=True)
class _Target:
    """Where and how to write; `whole` means: a table is written completely or not at all."""

    store: Store
    tables: ControlTables
    intent: Intent
    whole: bool


def _intent(
    tables: ControlTables, on_conflict: str, deactivate_missing: bool, now: datetime, *, settled: bool = False
) -> Intent:
    if on_conflict not in ON_CONFLICT:
        raise UsageError(f"on_conflict is '{on_conflict}'", hint="use one of " + ", ".join(ON_CONFLICT))
    if now.tzinfo is None:
        raise UsageError("now has no time zone", hint="pass datetime.now(timezone.utc)")
    return Intent(str(tables.control.name), Policy(on_conflict, settled), deactivate_missing, now)


def _some(declarations: Declarations) -> Declarations:
    if declarations.files or declarations.findings:
        return declarations
    raise InputError(
        f"no .yml or .yaml file in {declarations.shown}", hint="is the right folder named, and its volume mounted?"
    )


def _no_files(declarations: Declarations, store: Store, tables: ControlTables) -> Diagnostic:
    """Nothing is deactivated when all files are gone: an unmounted volume looks the same."""
    records = [FileRecord.from_row(row) for row in Tables.read(store, tables).files.rows]
    had = any(record.place.startswith(place_of(declarations.root, "")) for record in records)
    where = FileLocation(declarations.shown)
    if had:
        return Diagnostic(
            "all files that were here are gone", where, "is the volume mounted? the rows stay as they are"
        )
    return Diagnostic("no .yml or .yaml file yet", where, severity=Severity.WARNING)


def _refuse(proposal: Proposal, declarations: Declarations) -> None:
    errors = errors_in(proposal.diagnostics)
    if errors:
        message = f"{declarations.shown}: {counted(len(errors), 'error')}, nothing was loaded"
        raise InputError(message, diagnostics=proposal.diagnostics)


def _refuse_conflicts(*merges: Merge) -> None:
    refused: list[ChangedRow] = [row for each in merges for row in each.conflicts]
    if refused:
        rows = "\n".join(f"  {row}" for row in refused)
        was = "was" if len(refused) == 1 else "were"
        raise ConflictError(
            f"{counted(len(refused), 'row')} {was} edited in the table, nothing was loaded:\n{rows}",
            hint="put the edits into the file, or choose on_conflict (`--on-conflict`): overwrite or keep",
        )


def _write(target: _Target, proposal: Proposal, shown: str) -> LoadReport:
    """Sources, modules, records, in this order: after a crash the records tell less than was written, never more, so
    that the next load finds the rows as it wants them and only completes the records."""
    tables, store = target.tables, target.store
    sources, version = _merge_table(target, tables.control, proposal.sources, proposal.source_merge)
    modules, _ = _merge_table(target, tables.modules, proposal.modules, proposal.module_merge)
    rows = {row.key: (file, row) for file in proposal.files for row in file.rows}
    both = _joined(sources, modules)
    changes = proposal.claims.record_changes(rows, both, proposal.sources.prints, target.intent.now)
    if changes:
        store.transact(tables.files, _always(changes))
    info = store.info(tables.control.name) if version is None else None
    return LoadReport(
        path=shown,
        files=tuple(file.name for file in proposal.files),
        added=tuple(sorted(both.added)),
        changed=_by_key(both.changed),
        unchanged=len(both.unchanged),
        overwritten=_by_key(both.overwritten),
        kept=_by_key(both.kept),
        deactivated=tuple(sorted(both.deactivated)),
        warnings=tuple(each for each in proposal.diagnostics if each.severity is Severity.WARNING),
        control_version=version if info is None else info.version,
    )


def _merge_table(target: _Target, spec: TableSpec, wanted: Wanted, first: Merge) -> tuple[Merge, int | None]:
    """Write what was decided, decided again on the rows that the write itself finds."""
    if not first.changes:
        return first, None
    latest = first

    def decide(snapshot: Snapshot) -> Changes:
        nonlocal latest
        latest = merge(snapshot, wanted, target.intent.policy, target.intent.now)
        refused = target.whole and (latest.conflicts or latest.doubled)
        return Changes() if refused else latest.changes

    version = target.store.transact(spec, decide)
    if target.whole:
        _refuse_conflicts(latest)
        if latest.doubled:
            raise ConflictError(f"{spec.name}: rows were doubled while the load ran", hint="load again")
    return latest, version


def _joined(one: Merge, other: Merge) -> Merge:
    joined = Merge()
    for each in (one, other):
        joined.upserts += each.upserts
        joined.added += each.added
        joined.changed += each.changed
        joined.unchanged += each.unchanged
        joined.overwritten += each.overwritten
        joined.kept += each.kept
        joined.deactivated += each.deactivated
        joined.released += each.released
        joined.after.update(each.after)
    return joined


def _by_key(rows: list[ChangedRow]) -> tuple[ChangedRow, ...]:
    return tuple(sorted(rows, key=lambda row: row.key))


def _always(changes: Changes) -> Callable[[Snapshot], Changes]:
    return lambda _: changes
