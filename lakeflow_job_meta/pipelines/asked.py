"""What a pipeline is asked to do by hand: which table, which halves of it, which span again. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from lakeflow_job_meta.diagnostics import nearest
from lakeflow_job_meta.errors import InputError, UsageError
from lakeflow_job_meta.pipelines.registry import INCREMENTAL, Direction, RegisteredTable


def table_named(name: str, tables: Sequence[RegisteredTable]) -> RegisteredTable:
    """The registered table of this name; the end of a name is enough where it is one table's only.

    Raises:
        InputError: there is none, or there are several.
    """
    names = [table.source_tablename for table in tables]
    found = [table for table in tables if table.source_tablename == name] or [
        table for table in tables if table.source_tablename.endswith(f".{name}")
    ]
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(sorted(table.source_tablename for table in found))
        raise InputError(f"'{name}' is ambiguous", hint=f"write one of {several}")
    raise InputError(f"no table '{name}' is registered", hint=nearest(name, names) or "`ljm pipelines list` shows all")


def halves(table: RegisteredTable, direction: str | None) -> tuple[Direction, ...]:
    """The directions to run: the one that is named, else all that are active, in the order of the data.

    Raises:
        UsageError: no such direction; InputError: none is active.
    """
    if direction is not None:
        if direction not in tuple(Direction):
            hint = nearest(direction, tuple(Direction)) or f"known: {', '.join(Direction)}"
            raise UsageError(f"--direction: unknown direction '{direction}'", hint=hint)
        return (Direction(direction),)
    wanted = [each for each in Direction if table.transfer(each).active]
    found = tuple(each for each in wanted if each is Direction.SOURCE_TO_DL or table.sink_tablename)
    if not found:
        raise InputError(
            f"{table.source_tablename} is active in no direction",
            hint=f"`ljm pipelines enable {table.source_tablename}`, or name one: --direction",
        )
    return found


def backfilled(table: RegisteredTable, wanted: Sequence[Direction], named: bool) -> tuple[Direction, ...]:
    """The directions that can move a span of their key again.

    Args:
        table: as it is registered.
        wanted: the directions to choose from.
        named: somebody asked for just these: one that can't is an error then, not left out.

    Raises:
        InputError: none can; it names what each lacks.
    """
    lacking = {
        each: "it has no incremental key" if table.transfer(each).load_type == INCREMENTAL else "its load is full"
        for each in wanted
        if table.transfer(each).load_type != INCREMENTAL or not table.transfer(each).incremental_key
    }
    found = tuple(each for each in wanted if each not in lacking)
    if (named and lacking) or not found:
        told = "; ".join(f"{each}: {why}" for each, why in lacking.items())
        raise InputError(
            f"{table.source_tablename} can't be backfilled ({told})",
            hint="a backfill moves a span of the incremental key again; a full load moves all rows each time",
        )
    return found
