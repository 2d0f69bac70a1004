"""SQLite's declared types in the data lake. SQLite itself holds columns to little: a value that isn't of its column's
type is an error when it is read."""

from __future__ import annotations

import re

NAMED = {
    "BOOLEAN": "BOOLEAN", "BOOL": "BOOLEAN", "DATE": "DATE", "DATETIME": "TIMESTAMP_NTZ", "TIMESTAMP": "TIMESTAMP_NTZ",
    "NUMERIC": "STRING", "DECIMAL": "STRING",
}  # fmt: skip
"""Types by their whole name; moments are texts in SQLite, in ISO's order."""

CONTAINED = (
    ("INT", "BIGINT"), ("CHAR", "STRING"), ("CLOB", "STRING"), ("TEXT", "STRING"), ("BLOB", "BINARY"),
    ("REAL", "DOUBLE"),
    ("FLOA", "DOUBLE"), ("DOUB", "DOUBLE"),
)  # fmt: skip
"""What a name contains, in the order of SQLite's own rules."""

EXACT_DIGITS = 15
"""So many digits of a decimal survive SQLite, which keeps it as a float."""

_DECIMAL = re.compile(r"(?:DECIMAL|NUMERIC)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")


def lake_type(declared: str) -> str:
    """The type in the data lake.

    >>> lake_type("varchar(20)"), lake_type("DECIMAL(12,2)"), lake_type("DECIMAL(30,2)")
    ('STRING', 'DECIMAL(12,2)', 'STRING')
    """
    name = declared.upper().strip()
    if found := _DECIMAL.fullmatch(name):
        precision, scale = int(found[1]), int(found[2] or 0)
        return f"DECIMAL({precision},{scale})" if scale <= precision <= EXACT_DIGITS else "STRING"
    if name in NAMED:
        return NAMED[name]
    return next((kind for part, kind in CONTAINED if part in name), "STRING")
