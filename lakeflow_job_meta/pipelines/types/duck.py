"""DuckDB's types in the data lake; all that isn't named here is text, as DuckDB writes and reads it."""

from __future__ import annotations

import re

PLAIN = {
    "BOOLEAN": "BOOLEAN", "TINYINT": "SMALLINT", "SMALLINT": "SMALLINT", "INTEGER": "INT", "BIGINT": "BIGINT",
    "UTINYINT": "SMALLINT", "USMALLINT": "INT", "UINTEGER": "BIGINT", "UBIGINT": "DECIMAL(20,0)", "FLOAT": "FLOAT",
    "DOUBLE": "DOUBLE", "VARCHAR": "STRING", "BLOB": "BINARY", "DATE": "DATE", "TIMESTAMP": "TIMESTAMP_NTZ",
    "TIMESTAMP_S": "TIMESTAMP_NTZ", "TIMESTAMP_MS": "TIMESTAMP_NTZ", "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
}  # fmt: skip

CAST = {
    "SMALLINT": "SMALLINT", "INT": "INTEGER", "BIGINT": "BIGINT", "FLOAT": "FLOAT", "DOUBLE": "DOUBLE",
    "STRING": "VARCHAR", "BINARY": "BLOB", "DATE": "DATE", "TIMESTAMP_NTZ": "TIMESTAMP", "TIMESTAMP": "TIMESTAMPTZ",
    "BOOLEAN": "BOOLEAN",
}  # fmt: skip
"""The data lake's types as DuckDB writes them."""

_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")


def lake_type(native: str) -> str:
    """The type in the data lake.

    >>> lake_type("DECIMAL(12,2)"), lake_type("UUID[]"), lake_type("HUGEINT")
    ('DECIMAL(12,2)', 'ARRAY<STRING>', 'STRING')
    """
    if native.endswith("[]") and not native.endswith("[][]"):
        return f"ARRAY<{lake_type(native.removesuffix('[]'))}>"
    return native if _DECIMAL.fullmatch(native) else PLAIN.get(native, "STRING")


def duck_type(lake: str) -> str:
    """A type of the data lake as DuckDB writes it.

    >>> duck_type("ARRAY<INT>"), duck_type("DECIMAL(12,2)")
    ('INTEGER[]', 'DECIMAL(12,2)')
    """
    if lake.startswith("ARRAY<"):
        return f"{duck_type(lake[6:-1])}[]"
    return CAST.get(lake, lake)
