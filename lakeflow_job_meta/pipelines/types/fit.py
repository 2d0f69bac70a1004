"""Whether values of one type of the data lake can go into a column of another without a digit lost. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection

NUMBER = "NUMBER"
"""What a column takes that holds any number, of whatever digits."""

_WHOLE = {"SMALLINT": 5, "INT": 10, "BIGINT": 19}
"""Whole numbers, with the digits that they may have."""

_DECIMAL = re.compile(r"DECIMAL\((\d+), ?(\d+)\)")
_ARRAY = re.compile(r"ARRAY<(.+)>")


def fits(lake: str, column: str, takes: Collection[str] = ()) -> bool:
    """Whether every value of the lake's type is one of the column's.

    Args:
        lake: the type in the data lake.
        column: the type that the destination's column would have there.
        takes: further types that the column takes, as its driver knows.

    >>> fits("INT", "BIGINT"), fits("DECIMAL(12,4)", "DECIMAL(12,2)"), fits("DECIMAL(12,2)", "STRING", [NUMBER])
    (True, False, True)
    """
    one, other = _ARRAY.fullmatch(lake), _ARRAY.fullmatch(column)
    if one and other:
        return fits(one[1], other[1], takes)
    if lake.replace(" ", "") == column.replace(" ", "") or lake in takes:
        return True
    digits, room = _digits(lake), _digits(column)
    if NUMBER in takes and (digits or lake in ("FLOAT", "DOUBLE")):
        return True
    if digits and room:
        whole = column in _WHOLE
        return digits[0] <= room[0] and digits[1] <= room[1] and (not whole or lake in _WHOLE)
    return (lake, column) == ("FLOAT", "DOUBLE")


def _digits(kind: str) -> tuple[int, int] | None:
    """How many digits there may be before the point, and after it."""
    if kind in _WHOLE:
        return _WHOLE[kind], 0
    found = _DECIMAL.fullmatch(kind)
    return (int(found[1]) - int(found[2]), int(found[2])) if found else None
