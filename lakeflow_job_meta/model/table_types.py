"""The types that a schema file may name, and the Delta type that each becomes. docs/bootstrap.md shows this table.

A file's type is BigQuery's, or one of Delta's own names, which our own schema files use.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

MOST_DIGITS = 38
STRUCT = "STRUCT"

TYPES = {
    "STRING": "STRING", "TEXT": "STRING", "JSON": "STRING", "TIME": "STRING",
    "BYTES": "BINARY", "BINARY": "BINARY",
    "INT64": "BIGINT", "BIGINT": "BIGINT", "LONG": "BIGINT",
    "INT": "INT", "INTEGER": "BIGINT", "SMALLINT": "SMALLINT",
    "FLOAT64": "DOUBLE", "FLOAT": "DOUBLE", "DOUBLE": "DOUBLE", "REAL": "FLOAT",
    "BOOL": "BOOLEAN", "BOOLEAN": "BOOLEAN",
    "DATE": "DATE", "DATETIME": "TIMESTAMP_NTZ", "TIMESTAMP": "TIMESTAMP",
    "RECORD": STRUCT, "STRUCT": STRUCT,
}  # fmt: skip
"""Types without digits. TIME and JSON are text in Delta: `HH:MM:SS[.ffffff]`, and JSON as it was written."""

DECIMALS = {"NUMERIC": (38, 9), "DECIMAL": (38, 9), "BIGNUMERIC": (76, 38), "BIGDECIMAL": (76, 38)}
"""Decimal types, with the precision and scale that they have where the file gives none."""

REFUSED = {
    "GEOGRAPHY": "Delta has no such type: keep it as STRING (WKT or GeoJSON) or BYTES (WKB)",
    "INTERVAL": "Delta can't store it: keep it as INT64 in a unit that the name tells",
    "RANGE": "Delta has no such type: declare its start and its end as two columns",
}
"""BigQuery types that Delta has nothing for, and what to do instead."""

KNOWN = (*TYPES, *DECIMALS, *REFUSED, "ARRAY")

_WRITTEN = re.compile(r"\s*(\w+)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)|<\s*(.*\S)\s*>)?\s*")


@dataclass(frozen=True, slots=True)
class Written:
    """A type as a file writes it: `NUMERIC(10, 2)`, `STRING(20)`, `ARRAY<INT64>`."""

    name: str
    numbers: tuple[int, ...] = ()
    inner: str = ""

    @classmethod
    def parse(cls, text: str) -> Written | None:
        """The parts of a type's text; None where it is none.

        >>> Written.parse("numeric(10, 2)"), Written.parse("ARRAY<STRING>")
        (Written(name='NUMERIC', numbers=(10, 2), inner=''), Written(name='ARRAY', numbers=(), inner='STRING'))
        """
        found = _WRITTEN.fullmatch(text)
        if found is None:
            return None
        numbers = tuple(int(each) for each in found.group(2, 3) if each is not None)
        return cls(found[1].upper(), numbers, found[4] or "")


def decimal(name: str, precision: int | None, scale: int | None, complain: Callable[[str, str], None]) -> str:
    """The Delta type of a decimal.

    Args:
        name: a key of DECIMALS.
        precision: how many digits there are in all; the type's own where None.
        scale: how many of them come after the point; 0 where only the precision is given.
        complain: told what can't be, and what to do.

    >>> decimal("NUMERIC", None, None, print), decimal("BIGNUMERIC", 30, 10, print)
    ('DECIMAL(38,9)', 'DECIMAL(30,10)')
    """
    most, usual = DECIMALS[name]
    digits = most if precision is None else precision
    after = usual if precision is None and scale is None else scale or 0
    if precision is None and scale is not None:
        complain(f"{name} with a scale, but without a precision", "give both: precision, scale")
    elif digits > MOST_DIGITS:
        complain(
            f"{name} of {digits} digits, a Delta decimal has up to {MOST_DIGITS}",
            f"give it a precision up to {MOST_DIGITS} and a scale, or keep it as STRING",
        )
    elif digits < 1 or after > digits:
        complain(f"{name}({digits},{after}) has more digits after the point than in all", "scale ≤ precision")
    else:
        return f"DECIMAL({digits},{after})"
    return "DECIMAL(38,9)"
