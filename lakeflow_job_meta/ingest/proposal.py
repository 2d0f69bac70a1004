"""What a load would write, and everything that is wrong with it: worked out before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from lakeflow_job_meta.control.files import FileRecord, RowKey
from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.diagnostics import Diagnostic, FileLocation, RowLocation, Severity, errors_in
from lakeflow_job_meta.ingest.check import Finding, compile_findings, doubts
from lakeflow_job_meta.ingest.claims import Claims
from lakeflow_job_meta.ingest.declared import DeclaredFile, DeclaredRow
from lakeflow_job_meta.ingest.folder import Declarations
from lakeflow_job_meta.ingest.merge import Merge, Policy, Wanted, fingerprint, key_of, merge
from lakeflow_job_meta.model.table import Row, Snapshot, TableSpec
from lakeflow_job_meta.store.base import Store

NOTHING = Snapshot("", -1, ())
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables that a load looks at, as they are."""

    control: Snapshot = NOTHING
    modules: Snapshot = NOTHING
    files: Snapshot = NOTHING

    @classmethod
    def read(cls, store: Store, tables: ControlTables) -> Tables:
        """One snapshot of each; a table that isn't there yet is empty.

        Raises:
            StoreError: the table of this name is no control table.
        """
        if store.info(tables.control.name) is not None:
            tables.require(store)

        def snapshot(spec: TableSpec) -> Snapshot:
            return store.read(spec.name) if store.info(spec.name) is not None else NOTHING

        return cls(snapshot(tables.control), snapshot(tables.modules), snapshot(tables.files))


@dataclass(frozen=True, slots=True)
class Intent:
    """How a load was asked for."""

    control_table: str
    policy: Policy
    deactivate_missing: bool
    now: datetime


@dataclass(slots=True)
class Proposal:
    """Good files as decisions for both tables; `diagnostics` are all findings, `waiting` the files that have errors."""

    claims: Claims
    files: tuple[DeclaredFile, ...]
    diagnostics: tuple[Diagnostic, ...]
    waiting: frozenset[str]
    sources: Wanted
    modules: Wanted
    source_merge: Merge
    module_merge: Merge


@dataclass(slots=True)
class _Working:
    """Findings as they gather, by file."""

    found: list[Diagnostic] = field(default_factory=list[Diagnostic])
    waiting: set[str] = field(default_factory=set[str])

    def add(self, file: DeclaredFile | None, each: Diagnostic) -> None:
        self.found.append(each)
        if file is not None and each.severity is Severity.ERROR:
            self.waiting.add(file.name)


def propose(declarations: Declarations, tables: Tables, intent: Intent) -> Proposal:
    """Work out what a load of these declarations would write; files with errors are left out of it."""
    claims = Claims.of(declarations, (FileRecord.from_row(row) for row in tables.files.rows))
    working = _Working(list(declarations.findings))
    disputed = claims.disputed()
    for file in declarations.files:
        for each in (*file.findings, *disputed.get(file.name, ())):
            working.add(file, each)
    for file, each in _beyond_shape(claims, working.waiting, tables, intent):
        working.add(file, each)
    while True:
        files = tuple(file for file in declarations.files if file.name not in working.waiting)
        complete = not errors_in(working.found)
        proposal = _decide(claims, files, tables, intent, complete=complete)
        findings = _findings(proposal, tables, intent)
        owners = {row.key[0]: file for file in files for row in file.rows}
        errors = [each for each in findings if each.diagnostic.severity is Severity.ERROR]
        for each in errors:
            working.add(owners.get(each.module), each.diagnostic)
        # Without the bad files the rest may look otherwise: a removed module can't clash with another any more.
        if not errors or (not complete and len(files) + len(working.waiting) == len(declarations.files)):
            if intent.deactivate_missing and complete:
                working.found += _taken_over(proposal, tables)
            found = _in_order([*working.found, *(each.diagnostic for each in findings)])
            return replace(proposal, diagnostics=found, waiting=frozenset(working.waiting))


def _beyond_shape(
    claims: Claims, bad: set[str], tables: Tables, intent: Intent
) -> list[tuple[DeclaredFile, Diagnostic]]:
    """What the compiler says of files whose shape is wrong already, so that all is told at once.

    Left out is what may only follow from the wrong shape: where a value was lost, and what a lost source is needed for.
    """
    files = claims.declarations.files
    if not bad:
        return []
    told = {each.location for file in files for each in file.findings}
    owners = {row.key: (file, row) for file in files for row in file.rows}
    found: list[tuple[DeclaredFile, Diagnostic]] = []
    for each in _findings(_decide(claims, files, tables, intent, complete=False), tables, intent):
        file, row = owners.get((each.module, each.source), (None, None))
        if file is None or row is None or file.name not in bad or each.diagnostic.severity is Severity.WARNING:
            continue
        where = each.diagnostic.location
        if where not in told and where != row.place.at() and each.path[:1] != ("depends_on",):
            found.append((file, each.diagnostic))
    return found


def _decide(
    claims: Claims, files: tuple[DeclaredFile, ...], tables: Tables, intent: Intent, *, complete: bool
) -> Proposal:
    declared = {row.key: row for file in files for row in file.rows}
    owned = {row.key: claims.own(row.key, file) for file in files for row in file.rows}
    prints: dict[RowKey, str] = {}

    def print_of(key: RowKey) -> str:
        if key not in prints:
            prints[key] = fingerprint(key, declared[key].values)
        return prints[key]

    records = {**claims.newest, **{key: own for key, own in owned.items() if own is not None}}
    gone = claims.gone(declared) if intent.deactivate_missing and complete else []
    sources = Wanted(
        {key: row for key, row in declared.items() if key[1]},
        [key for key in gone if key[1]],
        records,
        print_of,
    )
    source_merge = merge(tables.control, sources, intent.policy, intent.now)
    busy = _modules_with_tasks(tables.control, source_merge)
    modules = Wanted(
        {key: row for key, row in declared.items() if not key[1] and (row.explicit or owned[key] is not None)},
        [key for key in gone if not key[1] and key[0] not in busy],
        records,
        print_of,
    )
    module_merge = merge(tables.modules, modules, intent.policy, intent.now)
    return Proposal(claims, files, (), frozenset(), sources, modules, source_merge, module_merge)


def _modules_with_tasks(control: Snapshot, merged: Merge) -> set[str]:
    """Modules that keep an active source: somebody else's, so their settings stay."""
    written = {key_of(row): row for row in merged.upserts}
    rows = [row for row in control.rows if key_of(row) not in written]
    return {str(row["module_name"]) for row in (*rows, *merged.upserts) if row.get("is_active") is not False}


def _findings(proposal: Proposal, tables: Tables, intent: Intent) -> list[Finding]:
    """What is wrong with the rows as they would be; only modules that change are compiled."""
    changing = {key_of(row)[0] for row in (*proposal.source_merge.upserts, *proposal.module_merge.upserts)}
    left = {row.key for row in (*proposal.source_merge.kept, *proposal.module_merge.kept)}
    declared = {row.key: row for file in proposal.files for row in file.rows if row.key not in left}
    found = _doubled(proposal, tables, intent)
    found += doubts(declared, changing)
    if not changing:
        return found
    doubtful = {(*key, column) for key, row in declared.items() for column, _ in row.doubts}
    compiled = compile_findings(
        _after(tables.control, proposal.source_merge, changing),
        _after(tables.modules, proposal.module_merge, changing),
        declared,
        intent.control_table,
    )
    return found + [each for each in compiled if not _told(each, declared, doubtful)]


def _told(finding: Finding, declared: Mapping[RowKey, DeclaredRow], doubtful: set[tuple[str, str, str]]) -> bool:
    """Whether the file's own check has told the same already, at the same place."""
    where = finding.diagnostic.location
    return any(where == declared[key[:2]].place.at(key[2]) for key in doubtful if key[0] == finding.module)


def _after(snapshot: Snapshot, merged: Merge, modules: set[str]) -> Sequence[Row]:
    """The rows of some modules as they would be after the merge."""
    written = {key_of(row): row for row in merged.upserts}
    rows = {index: row for index, row in enumerate(snapshot.rows) if key_of(row) not in written}
    return [row for row in (*rows.values(), *merged.upserts) if row["module_name"] in modules]


def _taken_over(proposal: Proposal, tables: Tables) -> list[Diagnostic]:
    """Rows that stay active though this folder dropped them: a file elsewhere wrote them since."""
    rows = (*tables.control.rows, *tables.modules.rows)
    active = {key_of(row) for row in rows if row.get("is_active") is not False}
    declared = {row.key: row for file in proposal.files for row in file.rows}
    found: list[Diagnostic] = []
    for place, keys in proposal.claims.taken_over(declared).items():
        if names := ["/".join(filter(None, key)) for key in keys if key in active]:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            shown = ", ".join(names[:SHOWN]) + more
            message = f"nothing here declares {shown} any more, but this file wrote it last: left active"
            hint = "if it should go: load that file without it and with --deactivate-missing, or deactivate it in SQL"
            found.append(Diagnostic(message, FileLocation(place), hint, Severity.WARNING))
    return found


def _doubled(proposal: Proposal, tables: Tables, intent: Intent) -> list[Finding]:
    found: list[Finding] = []
    for merged in (proposal.source_merge, proposal.module_merge):
        for key in merged.doubled:
            table = intent.control_table + ("" if key[1] else "_modules")
            message = "the table holds this row twice, so that it can't be told which one to change"
            where = RowLocation(table, *key)
            found.append(Finding(key[0], Diagnostic(message, where, "delete one of the two")))
    return found


def _in_order(found: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Each finding once, as one reads the files; those about rows of the table come last."""
    return tuple(sorted(dict.fromkeys(found), key=_place))


def _place(each: Diagnostic) -> tuple[bool, str, int, int]:
    where = each.location
    if isinstance(where, FileLocation):
        return (False, where.path, where.line, where.column)
    return (True, str(where or ""), 0, 0)
