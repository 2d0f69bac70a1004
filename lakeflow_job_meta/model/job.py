"""A job in its three forms: desired (what rows ask for), recorded (what we last applied), observed (what is there)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from lakeflow_job_meta.model.local_file import LocalFile

Settings = Mapping[str, Any]
"""Job settings in the shape of the Jobs API 2.2; raw JSON values only."""

QUERY_REF = "lakeflow_job_meta:query:"
"""Stands for the id of a saved query that may not exist yet; followed by the source_id."""


def mapping(value: object) -> Settings:
    """The value if it is a mapping, otherwise an empty one: absent and null fields read like `{}`."""
    return cast("Settings", value) if isinstance(value, Mapping) else {}


def canonical(value: Any) -> str:
    """One JSON text for equal values, whatever the order of their keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint(value: Any) -> str:
    """SHA-256 (hex) of a JSON-ready value."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class SavedQuery:
    """The SQL text of one source, kept in the workspace as a saved query under a name of its own."""

    source_id: str
    name: str
    text: str
    warehouse_id: str

    @property
    def fingerprint(self) -> str:
        return fingerprint([self.name, self.text, self.warehouse_id])


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """How a module's job is to be treated: `job_config.lifecycle`, which is ours and never sent to the API.

    `ignore_drift` are paths of fields that others may change; `on_deactivate` is pause, delete or keep; `moved_from` is
    the module's name before a rename.
    """

    ignore_drift: tuple[str, ...] = ()
    prevent_delete: bool = False
    on_deactivate: str = "pause"
    moved_from: str = ""


@dataclass(frozen=True, slots=True)
class DesiredJob:
    """What the rows of one module ask for.

    `settings` refers to saved queries as QUERY_REF + source_id. An inactive module has no settings: whatever was
    applied last stays, paused. `files` are what it names by paths that begin with FOLDER: put there before the job is.
    """

    module_name: str
    name: str
    active: bool
    settings: Settings = field(default_factory=dict[str, Any])
    queries: Mapping[str, SavedQuery] = field(default_factory=dict[str, SavedQuery])
    sources: tuple[str, ...] = ()
    lifecycle: Lifecycle = Lifecycle()
    files: tuple[LocalFile, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Equal fingerprints mean: nothing to do but for drift."""
        queries = {source: query.fingerprint for source, query in self.queries.items()}
        return fingerprint([self.name, self.active, self.settings, queries])


@dataclass(frozen=True, slots=True)
class RecordedQuery:
    """A saved query that we made: its id, and the fingerprint of what it holds."""

    query_id: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Pending:
    """An action under way: what it wants, and under which nonce. Left behind by a crash, it tells what to look for.

    `since` is when it was begun (ISO 8601), `moved_from` the module that the job belonged to before a move, `pauses`
    tells that it found the job firing and set out to pause it. `names` are all that the job of an unrecorded create may
    be called; `queries` are saved queries that may have been made without being recorded, name to source_id.
    `not_kept` is the fingerprint of what an update put right in vain: sent again, it would be in vain again.
    """

    kind: str
    settings: Settings
    nonce: str
    since: str = ""
    moved_from: str = ""
    pauses: bool = False
    names: tuple[str, ...] = ()
    queries: Mapping[str, str] = field(default_factory=dict[str, str])
    not_kept: str = ""


@dataclass(frozen=True, slots=True)
class RecordedJob:
    """The state of one module in one workspace: what we last applied.

    `fingerprint` is the desired job's; `status` tells whether it is active, and if not, whether it was us who paused.
    """

    module_name: str
    workspace_id: str
    status: str
    job_id: int | None = None
    job_name: str | None = None
    nonce: str | None = None
    settings: Settings = field(default_factory=dict[str, Any])
    pending: Pending | None = None
    queries: Mapping[str, RecordedQuery] = field(default_factory=dict[str, RecordedQuery])
    fingerprint: str | None = None
    control_version: int | None = None
    modules_version: int | None = None
    applied_at: Any = None
    applied_by: str | None = None
    last_error: str | None = None
    created_timestamp: Any = None

    @property
    def unrecorded_queries(self) -> Mapping[str, str]:
        """Saved queries that an action under way may have made, name to source_id."""
        return self.pending.queries if self.pending is not None else {}


@dataclass(frozen=True, slots=True)
class ObservedJob:
    """A job as the workspace holds it; `complete` is false where a list left parts out that only `get` tells."""

    job_id: int
    settings: Settings
    complete: bool = True
    created_time: int = 0

    @property
    def name(self) -> str:
        return str(self.settings.get("name", ""))

    @property
    def tags(self) -> Mapping[str, str]:
        return mapping(self.settings.get("tags"))
