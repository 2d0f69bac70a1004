"""Which columns the values of an INSERT fill; the same for every store."""

from __future__ import annotations

from collections.abc import Sequence

from lakeflow_job_meta.model.table import Column


def filled_by(given: int, columns: Sequence[Column]) -> Sequence[Column] | None:
    """The columns that so many values fill by position, or None where they are too many or too few.

    Databricks wants a value for each column; here those at the end that have a default may be left out.
    """
    if given > len(columns) or any(column.default is None for column in columns[given:]):
        return None
    return columns[:given]
