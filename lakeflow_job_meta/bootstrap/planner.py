"""Declared tables against those that are there: what to do. Reads, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lakeflow_job_meta.bootstrap.dataset_file import RESERVED, Dataset
from lakeflow_job_meta.bootstrap.difference import Difference, differences
from lakeflow_job_meta.bootstrap.evolution import REWRITING, Evolution
from lakeflow_job_meta.bootstrap.kept import is_kept, kept_of, newest_kept, original
from lakeflow_job_meta.bootstrap.table_plan import SchemaChange, TableAction, TablePlan
from lakeflow_job_meta.diagnostics import Diagnostic, RowLocation, Severity, counted
from lakeflow_job_meta.model.layout import sort_order
from lakeflow_job_meta.model.plan import MISSING, ActionKind, FieldChange
from lakeflow_job_meta.model.table import TableInfo, TableName, TableSpec
from lakeflow_job_meta.store import table_statements as sql
from lakeflow_job_meta.store.base import TableStore


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person asks for beyond what is missing.

    `evolve` changes tables that differ where no data is lost, `force_tables` makes all declared tables anew and keeps
    the old ones as copies, `force_dataset` deletes the dataset with all that is in it, and makes it anew.
    """

    evolve: bool = False
    force_tables: bool = False
    force_dataset: bool = False


def plan_dataset(store: TableStore, dataset: Dataset, wishes: Wishes) -> TablePlan:
    """What to do so that the dataset is as declared."""
    listed = store.listed(dataset.catalog, dataset.name)
    there = frozenset(listed or ())
    found: list[Diagnostic] = list(dataset.warnings)
    actions: list[TableAction] = []
    deletes = wishes.force_dataset and listed is not None
    if listed is None:
        actions.append(TableAction(ActionKind.CREATE, dataset.full_name, "there is no such dataset"))
    elif deletes:
        reason = f"asked for: all {counted(len(listed), 'table')} of it are deleted, with their data"
        actions.append(TableAction(ActionKind.RECREATE, dataset.full_name, reason))
    for spec in dataset.tables:
        info = store.info(spec.name) if spec.name in there else None
        # A run that was killed while it made the table anew has left the old one under its other name.
        kept = newest_kept(spec.name, there) if info is None else None
        actions.append(_Table(store, spec, info, wishes, found, kept).action())
    others = sorted(there - {spec.name for spec in dataset.tables})
    if deletes:
        actions += [TableAction(ActionKind.DELETE, str(each), "the dataset is deleted") for each in others]
    else:
        found += _strangers(others)
    return TablePlan(
        tuple(actions),
        dataset.full_name,
        store.label,
        wishes.evolve,
        dataset.name if deletes else "",
        dataset.description,
        tuple(found),
    )


def plan_purge(store: TableStore, dataset: Dataset) -> TablePlan:
    """The copies that making tables anew has left, to be deleted; but for those that are all that is left."""
    listed = store.listed(dataset.catalog, dataset.name) or ()
    missing = {spec.name for spec in dataset.tables} - set(listed)
    alone = [each for each in kept_of(listed) if original(each) in missing]
    actions = tuple(
        TableAction(ActionKind.DELETE, str(each), "a copy that was kept")
        for each in kept_of(listed)
        if each not in alone
    )
    hint = "`ljm bootstrap` makes the table first; or give the copy its name back: ALTER TABLE … RENAME TO …"
    found = [Diagnostic(f"stays: {original(each)} isn't there", RowLocation(str(each)), hint) for each in alone]
    return TablePlan(actions, dataset.full_name, store.label, diagnostics=tuple(found))


def _strangers(others: Iterable[TableName]) -> list[Diagnostic]:
    found: list[Diagnostic] = []
    for each in others:
        if is_kept(each):
            message, hint = "a copy of a table that was made anew", "`ljm bootstrap --purge` deletes it"
        elif each.name.startswith(RESERVED):
            continue
        else:
            message, hint = "no table of config.yml is called so", "declare it, or drop it"
        found.append(Diagnostic(message, RowLocation(str(each)), hint, Severity.WARNING))
    return found


@dataclass(frozen=True, slots=True)
class _Table:
    """One declared table, and what was found of it; `kept` is the newest copy of one that isn't there."""

    store: TableStore
    spec: TableSpec
    info: TableInfo | None
    wishes: Wishes
    found: list[Diagnostic]
    kept: TableName | None

    def action(self) -> TableAction:
        name, spec, info = str(self.spec.name), self.spec, self.info
        if info is None:
            reason = f"there is no such table{f'; the old one is kept as {self.kept}' if self.kept else ''}"
            return TableAction(ActionKind.CREATE, name, reason, self._created(), spec=spec)
        if info.properties.get(REWRITING):
            before = int(info.properties[REWRITING])
            reason = f"a change of it was interrupted: it is taken back to version {before}; bootstrap again then"
            back = (sql.restore(info.name, before),)
            return TableAction(ActionKind.UPDATE, name, reason, statements=back, spec=spec, info=info)
        if self.wishes.force_dataset or self.wishes.force_tables:
            fate = "deleted with the dataset" if self.wishes.force_dataset else "kept as a copy"
            reason = f"asked for: the old table ({self._rows(info)}) is {fate}"
            return TableAction(ActionKind.RECREATE, name, reason, self._changed(info), spec=spec, info=info)
        differs = differences(spec, info)
        if not differs:
            return TableAction(ActionKind.SKIP, name, "as declared", spec=spec, info=info)
        if not self.wishes.evolve:
            reason = f"differs in {counted(len(differs), 'place')}"
            return TableAction(ActionKind.SKIP, name, reason, reported=_changes(differs), spec=spec, info=info)
        return self._evolved(info, differs)

    def _evolved(self, info: TableInfo, differs: Sequence[Difference]) -> TableAction:
        evolution = Evolution(self.store, self.spec, info)
        why = {each: evolution.refusal(each) for each in differs}
        refused = [each for each in differs if why[each]]
        safe = [each for each in differs if not why[each]]
        for each in refused:
            where = RowLocation(str(info.name), column=each.shown)
            self.found.append(Diagnostic(f"{_told(each)}: {why[each]}", where))
        statements = evolution.statements(safe)
        return TableAction(
            ActionKind.UPDATE if statements else ActionKind.SKIP,
            str(info.name),
            f"differs from its declaration, {self._rows(info)}" if statements else "what differs would lose data",
            _changes(safe),
            _changes(refused),
            not statements,
            statements,
            self.spec,
            info,
        )

    def _rows(self, info: TableInfo) -> str:
        text = f"SELECT count(*) AS n FROM {sql.full_name(info.name)}"  # noqa: S608 (quoted names)
        return counted(int(self.store.sql(text)[0]["n"]), "row")

    def _created(self) -> tuple[FieldChange, ...]:
        columns = [
            SchemaChange(each.name, new=f"{each.sql_type}{' NOT NULL' if each.required else ''}")
            for each in self.spec.columns
        ]
        return (*columns, *self._layout())

    def _layout(self) -> list[FieldChange]:
        spec, layout = self.spec, list[FieldChange]()
        if spec.partition_by:
            layout.append(SchemaChange("partition_by", new=", ".join(spec.partition_by)))
        if spec.cluster_by:
            if self.store.abilities.clusters and not spec.partition_by:
                said = f"{', '.join(spec.cluster_by)} (liquid clustering)"
            else:
                why = "the table is partitioned" if spec.partition_by else "this engine has no liquid clustering"
                order = ", ".join(sort_order(spec.partition_by, spec.cluster_by)) or "nothing but its partitions"
                said = f"{order} (Z-order, by OPTIMIZE: {why})"
            layout.append(SchemaChange("cluster_by", new=said))
        return layout

    def _changed(self, info: TableInfo) -> tuple[FieldChange, ...]:
        return _changes(differences(self.spec, info))


def _changes(differs: Sequence[Difference]) -> tuple[FieldChange, ...]:
    return tuple(
        SchemaChange(each.shown, MISSING if each.old is None else each.old, MISSING if each.new is None else each.new)
        for each in differs
    )


def _told(each: Difference) -> str:
    return f"{each.kind}, {each.old or 'nothing'} → {each.new or 'nothing'}"
