"""By what a table is to be clustered, where its engine can't keep that itself: a property of the table.

An engine that clusters a table by itself (liquid clustering) is told once. For all others, and for tables that are
partitioned, OPTIMIZE … ZORDER BY does it, and has to be told each time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

CLUSTER_PROPERTY = "lakeflow_job_meta.cluster_by"
"""The table property that names the columns, with commas between: names are identifiers."""


def clustering(columns: Sequence[str]) -> dict[str, str]:
    """The property that keeps these columns; none where there are none.

    >>> clustering(["tenant_id", "state"])
    {'lakeflow_job_meta.cluster_by': 'tenant_id,state'}
    """
    return {CLUSTER_PROPERTY: ",".join(columns)} if columns else {}


def clustering_of(properties: Mapping[str, str]) -> tuple[str, ...]:
    """The columns that a table's properties keep."""
    return tuple(each for each in properties.get(CLUSTER_PROPERTY, "").split(",") if each)
