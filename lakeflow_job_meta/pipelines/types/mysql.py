"""MySQL's and MariaDB's types in the data lake; all that isn't named here is text, as the server writes it."""

from __future__ import annotations

from dataclasses import dataclass

from lakeflow_job_meta.model.table_types import MOST_DIGITS

PLAIN = {
    "tinyint": "SMALLINT", "smallint": "SMALLINT", "mediumint": "INT", "int": "INT", "bigint": "BIGINT",
    "year": "SMALLINT",
    "float": "FLOAT", "double": "DOUBLE", "date": "DATE", "datetime": "TIMESTAMP_NTZ", "timestamp": "TIMESTAMP",
    "binary": "BINARY", "varbinary": "BINARY", "tinyblob": "BINARY", "blob": "BINARY", "mediumblob": "BINARY",
    "longblob": "BINARY", "bit": "DECIMAL(20,0)", "geometry": "BINARY", "point": "BINARY", "polygon": "BINARY",
    "linestring": "BINARY",
}  # fmt: skip

UNSIGNED = {"smallint": "INT", "int": "BIGINT", "bigint": "DECIMAL(20,0)"}
"""Whole numbers that need a wider type where they have no sign."""


@dataclass(frozen=True, slots=True)
class MySqlType:
    """A column's type, as information_schema has it: `name` is DATA_TYPE, `whole` COLUMN_TYPE."""

    name: str
    whole: str
    precision: int = 0
    scale: int = 0

    @property
    def lake(self) -> str:
        """The type in the data lake.

        >>> MySqlType("int", "int(10) unsigned").lake, MySqlType("decimal", "decimal(12,2)", 12, 2).lake
        ('BIGINT', 'DECIMAL(12,2)')
        """
        if self.name == "decimal":
            return f"DECIMAL({self.precision},{self.scale})" if self.precision <= MOST_DIGITS else "STRING"
        if "unsigned" in self.whole and self.name in UNSIGNED:
            return UNSIGNED[self.name]
        return PLAIN.get(self.name, "STRING")

    @property
    def takes(self) -> tuple[str, ...]:
        """MySQL has no booleans: 0 and 1 stand for them."""
        return ("BOOLEAN",) if self.name in ("tinyint", "bit") else ()

    def selected(self, column: str) -> str:
        """The expression that reads a column without losing a digit."""
        if self.name == "float":
            return f"{column} + 0e0"  # as it is, it comes with six digits
        return f"CAST({column} AS UNSIGNED)" if self.name == "bit" else column
