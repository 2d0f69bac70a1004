"""What Spark, Delta and Databricks say when a statement fails, as our errors."""

from __future__ import annotations

import re

from lakeflow_job_meta.errors import LakeflowJobMetaError, SqlError, StoreError, TableNotFound
from lakeflow_job_meta.store.connection import LostRace

MOVED = "lakeflow_job_meta: the rows are not as they were read"
"""What our own statements raise where a row isn't any more what was decided on."""

_RACE = re.compile(
    # Delta's class names, of old and of new releases, and its error conditions with and without prefix.
    r"(?:Concurrent(?:Append|DeleteRead|DeleteDelete|Transaction|Write)|MetadataChanged|ProtocolChanged)Exception"
    r"|\b(?:DELTA_)?(?:CONCURRENT_(?:APPEND|DELETE_READ|DELETE_DELETE|TRANSACTION|WRITE)|METADATA_CHANGED"
    r"|PROTOCOL_CHANGED|SCHEMA_CHANGE_SINCE_ANALYSIS)\b"
    rf"|{re.escape(MOVED)}"
)
_RACE_STATE = "2D521"
_CONDITION = re.compile(r"\[([A-Z][A-Z0-9_]*(?:\.[A-Z0-9_]+)*)\]")
_STATE = re.compile(r"SQLSTATE:?\s*([0-9A-Z]{5})\b", re.IGNORECASE)

_NO_TABLE = frozenset(
    (
        "TABLE_OR_VIEW_NOT_FOUND",
        "DELTA_TABLE_NOT_FOUND",
        "DELTA_MISSING_DELTA_TABLE",
        "SCHEMA_NOT_FOUND",
        "CATALOG_NOT_FOUND",
        "NO_SUCH_CATALOG_EXCEPTION",
    )
)
_WRONG_STATES = frozenset(("0A", "21", "22", "23", "25", "28", "2B", "42", "54", "55", "56", "KD", "P0"))
"""Classes of SQLSTATE that mean: not so, or not by you. All others may have left something behind."""

_HINTS = {
    "SCHEMA_NOT_FOUND": "make it: CREATE SCHEMA <catalog>.<schema>",
    "CATALOG_NOT_FOUND": "the catalog has to be there already: docs/stores.md",
    "NO_SUCH_CATALOG_EXCEPTION": "the catalog has to be there already: docs/stores.md",
    "REQUIRES_SINGLE_PART_NAMESPACE": "this Spark has no such catalog: docs/stores.md",
    "INSUFFICIENT_PERMISSIONS": "ask the owner for the grants that docs/unity-catalog.md lists",
    "PERMISSION_DENIED": "ask the owner for the grants that docs/unity-catalog.md lists",
}
_LONGEST = 1000


def error_of(text: str, *, condition: str = "", sqlstate: str = "", wrong: bool = False) -> Exception:
    """The engine's error as LostRace, TableNotFound, SqlError or StoreError.

    Args:
        text: All that the engine said; only its first line is told on, never a stack trace.
        condition: The error condition (`TABLE_OR_VIEW_NOT_FOUND`), where the engine tells it apart from the text.
        sqlstate: The same for the SQLSTATE.
        wrong: The engine refused the statement before it ran: nothing can have been written.
    """
    found = _CONDITION.search(text)
    condition = condition or (found[1] if found else "")
    state = _STATE.search(text)
    sqlstate = sqlstate or (state[1].upper() if state else "")
    message = _first_line(text, condition, sqlstate)
    if sqlstate == _RACE_STATE or _RACE.search(text) or _RACE.search(condition):
        return LostRace(message)
    hint = _HINTS.get(condition.partition(".")[0], "")
    if condition in _NO_TABLE:
        return TableNotFound(message, hint=hint)
    kind: type[LakeflowJobMetaError] = SqlError if wrong or sqlstate[:2] in _WRONG_STATES else StoreError
    return kind(message, hint=hint)


def _first_line(text: str, condition: str, sqlstate: str) -> str:
    """`[CONDITION] what is wrong … SQLSTATE: 42P01`."""
    lines = [line.strip() for line in text.splitlines()]
    said = next((line for line in lines if line.startswith("[")), next((line for line in lines if line), ""))
    said = said[:_LONGEST].rstrip(";")
    if condition and f"[{condition}]" not in said:
        said = f"[{condition}] {said}"
    return f"{said} SQLSTATE: {sqlstate}" if sqlstate and sqlstate not in said else said
