"""The table that is loaded: whether the rows of the data lake fit into it."""

from __future__ import annotations

from collections.abc import Sequence

from lakeflow_job_meta.diagnostics import Diagnostic, RowLocation, nearest
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.model.table import Column, TableInfo
from lakeflow_job_meta.pipelines.drivers.base import RemoteTable
from lakeflow_job_meta.pipelines.drivers.endpoint import label
from lakeflow_job_meta.pipelines.registry import INCREMENTAL
from lakeflow_job_meta.pipelines.stages.stage import StageContext
from lakeflow_job_meta.pipelines.types.fit import fits
from lakeflow_job_meta.store.base import Store


def lake_table(context: StageContext, store: Store) -> TableInfo:
    """The table of the data lake that is loaded from.

    Raises:
        InputError: it isn't there yet.
    """
    info = store.info(context.lake_table)
    if info is None:
        raise InputError(
            f"{context.lake_table} isn't in the data lake yet",
            hint=f"run {context.table.source_tablename} from its source first",
        )
    return info


def misfits(context: StageContext, columns: Sequence[Column], sink: RemoteTable) -> list[Diagnostic]:
    """Why these columns of the data lake can't be loaded as they are."""
    if sink.made:
        columns = ()
    found: list[Diagnostic] = []
    for each in columns:
        there = sink.column(each.name)
        if there is None:
            place = RowLocation(str(context.lake_table), column=each.name)
            similar = nearest(each.name, sink.names)
            hint = f"ALTER TABLE {context.relation} ADD COLUMN {each.name} … for {each.sql_type}; or a view as sink"
            found.append(Diagnostic(f"{label(context)} has no column '{each.name}'", place, similar or hint))
        elif not there.computed and not fits(each.sql_type, there.type, there.takes):
            place = RowLocation(label(context), column=each.name)
            what = f"'{each.name}' is {there.native}, which can't hold every {each.sql_type} of {context.lake_table}"
            found.append(Diagnostic(what, place, "give it a type that can"))
    given = {each.name for each in columns}
    for there in () if sink.made else sink.columns:
        if there.name not in given and not there.optional and not there.computed:
            place = RowLocation(label(context), column=there.name)
            what = f"'{there.name}' needs a value, and {context.lake_table} has no such column"
            found.append(Diagnostic(what, place, "give it a default"))
    return found + _without_key(context, given, sink)


def _without_key(context: StageContext, given: set[str], sink: RemoteTable) -> list[Diagnostic]:
    if context.transfer.load_type != INCREMENTAL and context.backfill is None:
        return []
    place = RowLocation(label(context))
    if not sink.key:
        what = "it has no primary key, by which rows that are there already are told from new ones"
        return [Diagnostic(what, place, "give it one, or load it full")]
    missing = [each for each in sink.key if each not in given]
    return [Diagnostic(f"its primary key needs {', '.join(missing)}, which the data lake doesn't have", place)] * bool(
        missing
    )
