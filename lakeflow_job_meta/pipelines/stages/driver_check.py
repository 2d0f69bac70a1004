"""driver_check: whether a table can be moved at all, with everything that is in the way; nothing is moved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from lakeflow_job_meta.diagnostics import Diagnostic, RowLocation
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.model.table import TableInfo
from lakeflow_job_meta.pipelines.drivers.base import RemoteTable
from lakeflow_job_meta.pipelines.drivers.endpoint import label, opened
from lakeflow_job_meta.pipelines.registry import Direction
from lakeflow_job_meta.pipelines.stages.lake import check_names, differences, existing, key_of
from lakeflow_job_meta.pipelines.stages.sink import misfits
from lakeflow_job_meta.pipelines.stages.stage import StageContext, StageOutcome
from lakeflow_job_meta.store.base import bulk


def driver_check(context: StageContext) -> StageOutcome:
    """Look at both ends; see StageFunction.

    Raises:
        InputError: all that is in the way, each with its place.
    """
    info = bulk(context.store).info(context.lake_table)
    with opened(context) as database:
        table = existing(context, database)
        missing = database.lacking(context.relation, context.direction)
    found = [_privilege(context, each) for each in missing]
    found += list(_CHECKS[context.direction](context, table, info))
    if found:
        raise InputError(f"{label(context)} can't be moved", diagnostics=found)
    notes = () if info else (f"{context.lake_table} isn't there yet: the first extract makes it",)
    return StageOutcome(notes=notes)


def _privilege(context: StageContext, what: str) -> Diagnostic:
    return Diagnostic(f"the privilege is missing: {what}", RowLocation(label(context)), "ask its owner to grant it")


def _source(context: StageContext, table: RemoteTable, info: TableInfo | None) -> Iterator[Diagnostic]:
    yield from check_names(context, table)
    yield from differences(context, table, info.columns if info else ())
    yield from _key(context, table.types)


def _sink(context: StageContext, table: RemoteTable, info: TableInfo | None) -> Iterator[Diagnostic]:
    # Before the first extract there is nothing yet that could fit or not.
    yield from misfits(context, info.columns, table) if info else ()
    yield from _key(context, {each.name: each.sql_type for each in info.columns} if info else table.types)


def _key(context: StageContext, types: dict[str, str]) -> Sequence[Diagnostic]:
    try:
        _ = key_of(context, types)
    except InputError as problem:
        return [Diagnostic(problem.message, RowLocation(label(context)), problem.hint)]
    return []


_CHECKS: dict[Direction, Callable[[StageContext, RemoteTable, TableInfo | None], Iterator[Diagnostic]]] = {
    Direction.SOURCE_TO_DL: _source,
    Direction.DL_TO_SINK: _sink,
}
