"""By which columns a table is partitioned and clustered, checked against the columns that it has. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lakeflow_job_meta.diagnostics import nearest
from lakeflow_job_meta.model.column import Column, day_of

MOST_CLUSTERED = 4
"""So many columns a table can be clustered by, in BigQuery as in Delta."""

_NO_PARTITION = ("STRUCT", "BINARY", "FLOAT", "DOUBLE")
_NO_CLUSTER = ("STRUCT", "BINARY", "BOOLEAN")
_MOMENTS = ("TIMESTAMP", "TIMESTAMP_NTZ")

Complain = Callable[[str, int, str, str], None]
"""Told which list it is about, the position in it, what is wrong, and what to do."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A table's columns, with those that only the layout needs, and the names that it is laid out by."""

    columns: tuple[Column, ...]
    partition_by: tuple[str, ...] = ()
    cluster_by: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, columns: Sequence[Column], partition_by: Sequence[str], cluster_by: Sequence[str], complain: Complain
    ) -> Layout:
        """The layout that was asked for. Partitioned by a timestamp means by its day, which is a column of its own.

        >>> at, n = Column("at", "TIMESTAMP"), Column("n", "BIGINT")
        >>> laid = Layout.of([at, n], ["at"], ["n"], print)
        >>> laid.partition_by, [each.name for each in laid.columns]
        (('at_day',), ['at', 'n', 'at_day'])
        """
        partitions = _resolved("partition_by", partition_by, columns, _NO_PARTITION, complain)
        clusters = _resolved("cluster_by", cluster_by, columns, _NO_CLUSTER, complain)
        days = {each.name: day_of(each) for each in partitions if each.type in _MOMENTS}
        for position, each in enumerate(partitions):
            day = days.get(each.name)
            if day is not None and any(day.name.lower() == one.name.lower() for one in columns):
                hint = "rename it, or partition by it"
                complain(
                    "partition_by", position, f"the day of {each.name} needs the name {day.name}, a column's", hint
                )
        if len(clusters) > MOST_CLUSTERED:
            complain("cluster_by", MOST_CLUSTERED, f"{len(clusters)} columns, at most {MOST_CLUSTERED} can be", "")
        if columns and len(partitions) == len(columns):
            complain("partition_by", 0, "every column of the table: none is left to be stored", "")
        names = tuple(days[each.name].name if each.name in days else each.name for each in partitions)
        return cls((*columns, *days.values()), names, tuple(each.name for each in clusters))


def sort_order(partition_by: Sequence[str], cluster_by: Sequence[str]) -> tuple[str, ...]:
    """What the files of a partitioned table are Z-ordered by: within a partition its own columns are all equal."""
    return tuple(name for name in cluster_by if name not in partition_by)


def _resolved(
    what: str, names: Sequence[str], columns: Sequence[Column], unfit: Sequence[str], complain: Complain
) -> list[Column]:
    by_name = {each.name.lower(): each for each in columns}
    found: list[Column] = []
    for position, name in enumerate(names):
        column = by_name.get(name.lower())
        if column is None:
            hint = nearest(name, [each.name for each in columns]) or "a column of its schema file"
            complain(what, position, f"the table has no column '{name}'", hint)
        elif column in found:
            complain(what, position, f"'{name}' is named twice", "")
        elif column.repeated or column.type in unfit:
            complain(what, position, f"'{name}' is of type {column.sql_type}, which can't be", "name another column")
        else:
            found.append(column)
    return found
