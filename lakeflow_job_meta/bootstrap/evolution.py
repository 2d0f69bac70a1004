"""What may be changed of a table without losing data, as statements; and what is refused, with what is at stake."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lakeflow_job_meta.bootstrap.difference import Difference, Kind
from lakeflow_job_meta.diagnostics import counted
from lakeflow_job_meta.model.column import REQUIRED, Column, day_of
from lakeflow_job_meta.model.layout import sort_order
from lakeflow_job_meta.model.table import TableInfo, TableSpec
from lakeflow_job_meta.model.table_types import STRUCT
from lakeflow_job_meta.store import table_statements as sql
from lakeflow_job_meta.store.base import TableStore
from lakeflow_job_meta.store.clustering import CLUSTER_PROPERTY, clustering
from lakeflow_job_meta.store.defaults import DEFAULTS_PROPERTY, ENGINE_DEFAULTS, defaults_of
from lakeflow_job_meta.store.generated import GENERATED_PROPERTY

REWRITING = "lakeflow_job_meta.rewriting"
"""The table property that tells, while a table is being written anew, the version that has its rows."""

RECREATE = "or make the table anew (--force-tables): its data is kept as a copy until --purge"


@dataclass(frozen=True, slots=True)
class Evolution:
    """One table on its way from what was found to what is declared.

    Args:
        store: asked for counts of rows, and what its engine can do.
        spec: as declared.
        info: as found.
    """

    store: TableStore
    spec: TableSpec
    info: TableInfo

    def refusal(self, difference: Difference) -> str:
        """Why this can't be changed without losing data, and what to do; empty where it can."""
        kind, name = difference.kind, ".".join(sql.quoted(each) for each in difference.path)
        if kind is Kind.PARTITION:
            return f"{self._rows()} would have to be written anew elsewhere: {RECREATE[3:]}"
        nested = len(difference.path) > 1
        if kind is Kind.DROP:
            held = self._rows() if nested else counted(self._count(f"{name} IS NOT NULL"), "value")
            return f"{held} would be lost: declare it, or drop it yourself, {RECREATE}"
        if kind is Kind.CHANGE_TYPE:
            held = self._rows() if nested else counted(self._count(f"{name} IS NOT NULL"), "value")
            return f"{held} may not fit: add a new column, {RECREATE}"
        if kind is Kind.REQUIRE:
            if nested:
                return f"{self._rows()} would have to be looked at: keep it NULLABLE, {RECREATE}"
            missing = self._count(f"{name} IS NULL")
            return f"{counted(missing, 'row')} would break it: give them a value first, {RECREATE}" if missing else ""
        column = difference.column
        if kind is Kind.ADD and column is not None and column.required:
            if self._count("true"):
                return f"{self._rows()} have no value for it: declare it NULLABLE, fill it, then make it REQUIRED"
            if not self.store.abilities.changes_types:
                return "this engine adds no REQUIRED columns: make the table, which is empty, anew (--force-tables)"
        if kind is Kind.WIDEN and self._lays_out(difference):
            return f"the table is partitioned by it, {self._rows()} lie in its partitions: {RECREATE[3:]}"
        if kind is Kind.ADD and column is not None and column.generated is not None:
            return "it comes with the partitioning"
        return ""

    def _lays_out(self, difference: Difference) -> bool:
        """Whether a partition is this column, or follows from it."""
        sources = {day_of(each).name: each.name for each in self.info.columns}
        names = {*self.info.partition_by, *(sources.get(name, name) for name in self.info.partition_by)}
        return difference.path in {(name,) for name in names}

    def statements(self, safe: Sequence[Difference]) -> tuple[str, ...]:
        """What makes these changes, none of which is refused."""
        if not safe:
            return ()
        rewritten = self._rewritten(safe)
        found: list[str] = []
        if rewritten is not None:
            found += self._replace(rewritten)
        found += self._whole_columns(safe)
        for each in safe:
            found += self._one(each, rewritten is not None)
        if any(each.kind is Kind.DEFAULT or (each.kind is Kind.ADD and _default(each)) for each in safe):
            found += self._defaults(safe)
        return tuple(found)

    def _one(self, each: Difference, is_rewritten: bool) -> list[str]:
        table, column = self.info.name, each.column
        if each.kind is Kind.DESCRIBE:
            return [sql.comment_table(table, each.new or "")]
        if each.kind is Kind.CLUSTER:
            return self._cluster()
        if column is None or (len(each.path) > 1 and self.store.abilities.changes_types):
            return []
        if each.kind is Kind.ADD:
            added = sql.add_column(table, replace(column, default=None).relaxed, each.steps[:-1])
            return [added, sql.require_column(table, each.steps)] if column.required else [added]
        if each.kind is Kind.COMMENT:
            return [sql.comment_column(table, each.steps, column.description)]
        if each.kind is Kind.RELAX:
            return [sql.relax_column(table, each.steps)]
        if self.store.abilities.changes_types and not is_rewritten:
            if each.kind is Kind.WIDEN:
                found = next(one for one in self.info.columns if (one.name,) == each.path)
                return [sql.change_type(table, replace(found, type=column.type))]
            if each.kind is Kind.REQUIRE:
                return [sql.require_column(table, each.steps)]
        return []

    def _whole_columns(self, safe: Sequence[Difference]) -> list[str]:
        """Records that are given their whole type at once, where an engine can't change what is within one."""
        if not self.store.abilities.changes_types:
            return []
        names = dict.fromkeys(each.path[0] for each in safe if len(each.path) > 1)
        return [
            sql.change_type(self.info.name, _evolved(column, [each for each in safe if each.path[:1] == (name,)]))
            for name in names
            for column in self.info.columns
            if column.name == name
        ]

    def _rewritten(self, safe: Sequence[Difference]) -> tuple[Column, ...] | None:
        """The columns with types and modes that only a table written anew can have; None where none need it."""
        kinds = (Kind.WIDEN, Kind.REQUIRE)
        needed = [each for each in safe if each.kind in kinds]
        if not needed or self.store.abilities.changes_types:
            return None
        return tuple(
            _evolved(column, [each for each in needed if each.path[:1] == (column.name,)])
            for column in self.info.columns
        )

    def _replace(self, columns: tuple[Column, ...]) -> list[str]:
        """The table replaced by itself with other columns, its rows copied from the version before."""
        info = self.info
        spec = replace(
            self.spec,
            columns=columns,
            partition_by=info.partition_by,
            cluster_by=info.cluster_by,
            description=info.description,
        )
        ours = GENERATED_PROPERTY in info.properties
        copied = [each for each in columns if each.generated is None or ours]
        values = ", ".join(f"CAST({sql.quoted(each.name)} AS {each.sql_type})" for each in copied)
        name = sql.full_name(info.name)
        fills = self.store.abilities.fills_defaults
        kept = {key: value for key, value in info.properties.items() if not key.startswith("delta.feature.")}
        kept |= {**(ENGINE_DEFAULTS if fills else {}), REWRITING: str(info.version)}
        return [
            sql.create(spec, kept, with_defaults=fills, generated=not ours, replace=True),
            f"INSERT INTO {name} ({sql.listed(each.name for each in copied)})"  # noqa: S608 (quoted names)
            f" SELECT {values} FROM {name} VERSION AS OF {info.version:d}",
            sql.set_properties(info.name, {REWRITING: ""}),
        ]

    def _cluster(self) -> list[str]:
        table, columns = self.info.name, self.spec.cluster_by
        if self.store.abilities.clusters and not self.info.partition_by:
            return [sql.cluster(table, columns)]
        order = sort_order(self.info.partition_by, columns)
        noted = sql.set_properties(table, clustering(columns) or {CLUSTER_PROPERTY: ""})
        return [noted, sql.sort_files(table, order)] if order and self._count("true") else [noted]

    def _defaults(self, safe: Sequence[Difference]) -> list[str]:
        changed = {"".join(each.path[:1]) for each in safe if each.kind in (Kind.DEFAULT, Kind.ADD)}
        if self.store.abilities.fills_defaults:
            table = self.info.name
            return [sql.default_column(table, each) for each in self.spec.columns if each.name in changed]
        kept = {name: text for name, text in defaults_of(self.info.properties).items() if name not in changed}
        now = {each.name: each.default for each in self.spec.columns if each.name in changed}
        whole = {**kept, **{name: text if text is not None else "NULL" for name, text in now.items()}}
        return [sql.set_properties(self.info.name, {DEFAULTS_PROPERTY: json.dumps(whole)})]

    def _rows(self) -> str:
        return counted(self._count("true"), "row")

    def _count(self, condition: str) -> int:
        text = f"SELECT count(*) AS n FROM {sql.full_name(self.info.name)} WHERE {condition}"  # noqa: S608 (quoted names)
        return int(self.store.sql(text)[0]["n"])


def _default(each: Difference) -> bool:
    return each.column is not None and each.column.default is not None


def _evolved(column: Column, changes: Sequence[Difference], level: int = 0) -> Column:
    """The found column with these changes of it, and of what is within it; `level` is how deep it lies itself."""
    for each in changes:
        if len(each.path) == level + 1:
            column = _with(column, each)
    if column.type != STRUCT:
        return column
    deeper = [each for each in changes if len(each.path) > level + 1]
    fields = [
        _evolved(inner, [each for each in deeper if each.path[level + 1] == inner.name], level + 1)
        for inner in column.fields
    ]
    added = [
        each.column
        for each in deeper
        if each.kind is Kind.ADD and len(each.path) == level + 2 and each.column is not None
    ]
    return replace(column, fields=(*fields, *added))


def _with(column: Column, change: Difference) -> Column:
    wanted = change.column
    if wanted is None:
        return column
    if change.kind is Kind.WIDEN:
        return replace(column, type=wanted.type)
    if change.kind is Kind.REQUIRE:
        return replace(column, mode=REQUIRED)
    if change.kind is Kind.RELAX:
        return column.relaxed
    return replace(column, description=wanted.description) if change.kind is Kind.COMMENT else column
