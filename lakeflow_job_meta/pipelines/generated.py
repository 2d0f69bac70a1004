"""What marks a control row as generated, and tells whether somebody edited it since. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from lakeflow_job_meta.model.control import GENERATED_BY, SOURCE_CONFIGS, generated_by, tagged_by
from lakeflow_job_meta.model.table import Row

PIPELINES = "pipelines"
"""What `generated_by` says of rows of the registry."""

FINGERPRINT = "fingerprint"

SOURCE_COLUMNS = ("source_type", "execution_order", *SOURCE_CONFIGS, "is_active")
MODULE_COLUMNS = ("description", "job_config", "is_active")


@dataclass(frozen=True, slots=True)
class ModuleRows:
    """The rows of one module: its sources, and its own (None where it has none)."""

    sources: tuple[Row, ...]
    module: Row | None = None

    @property
    def generated(self) -> tuple[Row, ...]:
        """The sources that the registry made."""
        return tuple(row for row in self.sources if is_generated(row))

    @property
    def is_ours(self) -> bool:
        """Whether the registry made this module: its sources tell, and where it has none, its own row's tags."""
        if self.sources:
            return bool(self.generated)
        return self.module is not None and tagged_by(self.module.get("job_config")) == PIPELINES

    @property
    def edited(self) -> bool:
        """Whether somebody changed rows that the registry made, or took some away."""
        said = {source_config(row).get(FINGERPRINT) for row in self.generated}
        return said != {fingerprint(self)}


def is_generated(row: Row) -> bool:
    """Whether the registry made this row of the control table."""
    return generated_by(row.get("source_config")) == PIPELINES


def source_config(row: Row) -> Mapping[str, Any]:
    """The source_config of a row; empty where it isn't JSON."""
    try:
        value: Any = json.loads(row.get("source_config") or "{}")
    except (ValueError, RecursionError):
        return {}
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def marked(rows: ModuleRows, source_tablename: str, direction: str) -> ModuleRows:
    """The rows with the marks of where they come from."""
    print_ = fingerprint(rows)
    config = {
        GENERATED_BY: PIPELINES, "source_tablename": source_tablename, "direction": direction, FINGERPRINT: print_,
    }  # fmt: skip
    return ModuleRows(tuple({**row, "source_config": as_text(config)} for row in rows.sources), rows.module)


def fingerprint(rows: ModuleRows) -> str:
    """The same for the same content, whatever marks and timestamps the rows have."""
    columns = tuple(name for name in SOURCE_COLUMNS if name != "source_config")
    sources = sorted(
        [[row.get("source_id"), *(_plain(row, name) for name in columns)] for row in rows.generated or rows.sources],
        key=str,
    )
    module = [_plain(rows.module, name) for name in MODULE_COLUMNS] if rows.module is not None else None
    return hashlib.sha256(as_text([sources, module]).encode()).hexdigest()[:16]


def as_text(value: Any) -> str:
    """JSON in one spelling."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def differing(row: Row, wanted: Row, columns: Sequence[str]) -> tuple[str, ...]:
    """The columns in which a row isn't as it should be."""
    return tuple(name for name in columns if _plain(row, name) != _plain(wanted, name))


def _plain(row: Row, name: str) -> Any:
    value = row.get(name)
    return value is not False if name == "is_active" else value
