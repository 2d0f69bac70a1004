"""PostgreSQL's types in the data lake. What Delta has no type for is text as PostgreSQL writes it, which it reads back
unchanged: uuid, json, time, interval, enumerations, numeric without a precision, and all types that nobody named here.
"""

from __future__ import annotations

from dataclasses import dataclass

from lakeflow_job_meta.model.table_types import MOST_DIGITS
from lakeflow_job_meta.pipelines.types.fit import NUMBER

PLAIN = {
    "bool": "BOOLEAN", "int2": "SMALLINT", "int4": "INT", "int8": "BIGINT", "float4": "FLOAT", "float8": "DOUBLE",
    "text": "STRING", "varchar": "STRING", "bpchar": "STRING", "bytea": "BINARY", "date": "DATE",
    "timestamp": "TIMESTAMP_NTZ", "timestamptz": "TIMESTAMP",
}  # fmt: skip
"""Types that go over as they are; all others as text."""

MOMENTS = ("date", "timestamp", "timestamptz")
"""Types that know infinity, which the data lake doesn't."""

_HEADER = 4
"""What PostgreSQL adds to a type's modifier."""


@dataclass(frozen=True, slots=True)
class PostgresType:
    """A column's type: `name` is pg_type's, that of the elements of an array; `modifier` is atttypmod; `quoted` is the
    whole name, quoted: so written a type has no length of its own that a cast would cut to."""

    name: str
    modifier: int = -1
    array: bool = False
    quoted: str = ""

    @property
    def digits(self) -> tuple[int, int] | None:
        """Precision and scale of a numeric that Delta can hold.

        >>> PostgresType("numeric", 786438).digits, PostgresType("numeric").digits
        ((12, 2), None)
        """
        if self.name != "numeric" or self.modifier < _HEADER:
            return None
        precision, scale = (self.modifier - _HEADER) >> 16 & 0xFFFF, (self.modifier - _HEADER) & 0x7FF
        # A scale may be negative (11 bits with a sign), or greater than the precision.
        return (precision, scale) if precision <= MOST_DIGITS and scale <= precision else None

    @property
    def lake(self) -> str:
        """The type in the data lake.

        >>> PostgresType("numeric", 786438).lake, PostgresType("uuid", array=True).lake
        ('DECIMAL(12,2)', 'ARRAY<STRING>')
        """
        digits = self.digits
        kind = f"DECIMAL({digits[0]},{digits[1]})" if digits else PLAIN.get(self.name, "STRING")
        return f"ARRAY<{kind}>" if self.array else kind

    @property
    def takes(self) -> tuple[str, ...]:
        """What can be written into a column of this type beyond its own."""
        return (NUMBER,) if self.name == "numeric" and self.modifier < _HEADER else ()

    def selected(self, column: str, called: str) -> str:
        """The expression that reads a column, in one of the forms that Arrow knows.

        What it can't hold makes PostgreSQL itself fail, with the name of the column in what it says: the driver would
        hand over something else in silence.

        Args:
            column: its name, quoted.
            called: its name within a text.
        """
        brackets = "[]" if self.array else ""
        if self.name not in PLAIN:
            kind = "numeric" if self.digits else "text"
            column = f"{column}::{kind}{brackets}"
        wrong: list[str] = []
        if self.array:
            wrong.append(f"array_ndims({column}) > 1")
        if self.name in MOMENTS:
            wrong.append(f"{column}::text LIKE '%infinity%'" if self.array else f"NOT isfinite({column})")
        if not wrong:
            return column
        kind = self.name if self.name in PLAIN else "numeric" if self.digits else "text"
        told = f"'column {called} has the value ' || {column}::text"
        return f"CASE WHEN {' OR '.join(wrong)} THEN ({told})::{kind}{brackets} ELSE {column} END"

    def loaded(self, column: str) -> str:
        """The expression that makes a value of this type of a staged one; an assignment does the rest, and fails where
        digits or letters would be lost."""
        return column if self.name in PLAIN else f"{column}::{self.quoted}{'[]' if self.array else ''}"
