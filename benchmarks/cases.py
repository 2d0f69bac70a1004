"""What is measured: commands as a user types them, in this order, on one home folder."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.modules import TABLE


@dataclass(frozen=True, slots=True)
class Case:
    """One command of `ljm`. Before it `changed` rows, of as many modules, are changed by SQL; that isn't counted."""

    name: str
    title: str
    arguments: tuple[str, ...]
    changed: int = 0


APPLY = ("apply", "--yes")
WITHOUT_LOOK = (*APPLY, "--no-refresh")

CASES = (
    Case("load", "`ljm load`, all rows new", ("load", "{modules}")),
    Case("load_again", "`ljm load`, no row new", ("load", "{modules}")),
    Case("first_apply", "first apply", APPLY),
    Case("no_op", "nothing changed, `ljm apply`", APPLY),
    Case("no_op_no_refresh", "nothing changed, `ljm apply --no-refresh`", WITHOUT_LOOK),
    Case("change_1", "one row changed, `ljm apply --no-refresh`", WITHOUT_LOOK, 1),
    Case("change_10", "10 rows changed, `ljm apply --no-refresh`", WITHOUT_LOOK, 10),
    Case("change_100", "100 rows changed, `ljm apply --no-refresh`", WITHOUT_LOOK, 100),
    Case("change_1000", "1,000 rows changed, `ljm apply --no-refresh`", WITHOUT_LOOK, 1000),
)

TICK, CHANGE_TICK = "tick", "change_tick"
TICKS = {TICK: "nothing changed, a running monitor's tick", CHANGE_TICK: "one row changed, a running monitor's tick"}
"""Measured by `benchmarks.ticks` in a monitor's own process: time of one tick, but the peak of the whole process."""

TITLES = {case.name: case.title for case in CASES} | TICKS


def command(arguments: tuple[str, ...], home: str, modules: str) -> tuple[str, ...]:
    """The arguments of `python` that run a command on a home folder."""
    given = tuple(each.format(modules=modules) for each in arguments)
    return "-m", "lakeflow_job_meta", *given, "--home", home, "--control-table", TABLE
