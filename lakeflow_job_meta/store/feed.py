"""What a change feed tells, net by key; and from a table's log, whether it tells the truth.

Pure but for reading the log's own small files. `None` always means: read the table instead.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from lakeflow_job_meta.model.table import RowChange

FEED = "delta.enableChangeDataFeed"
_META = ("_change_type", "_commit_version", "_commit_timestamp")
_BEFORE = ("delete", "update_preimage")


def log_file(folder: Path, version: int) -> Path:
    """The file that makes this version of the table in this folder."""
    return folder / "_delta_log" / f"{version:020}.json"


def is_told(folder: Path, versions: Iterable[int]) -> bool:
    """Does the feed tell each of these versions truly?

    A RESTORE, and an update that changed no value, have no change data, and then read as every row of the rewritten
    files deleted and inserted. The feed may have been off, the log cleaned up, the schema changed in between.
    """
    return all(_told_in(log_file(folder, version)) for version in versions)


def _told_in(path: Path) -> bool:
    try:
        actions = [cast("dict[str, Any]", json.loads(line)) for line in path.read_text("utf-8").splitlines() if line]
    except FileNotFoundError:
        return False
    kinds = {kind for action in actions for kind in action if not _only_rearranges(kind, action[kind])}
    if "metaData" in kinds or any(_operation(action) == "RESTORE" for action in actions):
        return False
    return "cdc" in kinds or not {"add", "remove"} <= kinds


def _only_rearranges(kind: str, body: Mapping[str, Any]) -> bool:
    """OPTIMIZE adds and removes files too, without a change of data."""
    return kind in {"add", "remove"} and body.get("dataChange") is False


def _operation(action: Mapping[str, Any]) -> str:
    return str(action.get("commitInfo", {}).get("operation", ""))


@dataclass(slots=True)
class _Version:
    """What one version did to one key."""

    before: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    after: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    timestamp: Any = None

    def drop_unchanged(self) -> bool:
        """Take out pairs of equal rows (a MERGE may write them); says whether nothing is left."""
        for row in list(self.before):
            if row in self.after:
                self.before.remove(row)
                self.after.remove(row)
        return not (self.before or self.after)

    @property
    def row_before(self) -> dict[str, Any] | None:
        return self.before[0] if self.before else None

    @property
    def row_after(self) -> dict[str, Any] | None:
        return self.after[0] if self.after else None


def net(rows: Sequence[Mapping[str, Any]], key: Sequence[str]) -> list[RowChange] | None:
    """The feed's rows as one change a key; None where they don't follow on each other: a version is missing.

    Of a key that several rows have, before and after are one each of those that went and came.
    """
    by_key: dict[tuple[Any, ...], dict[int, _Version]] = {}
    for row in sorted(rows, key=lambda each: int(each["_commit_version"])):
        values = {name: value for name, value in row.items() if name not in _META}
        version = by_key.setdefault(tuple(values[name] for name in key), {}).setdefault(
            int(row["_commit_version"]), _Version(timestamp=row["_commit_timestamp"])
        )
        (version.before if row["_change_type"] in _BEFORE else version.after).append(values)
    changes = [_net_of_key(each, versions) for each, versions in by_key.items()]
    if any(change is None for change in changes):
        return None
    found = [change for change in changes if change is not None and change.before != change.after]
    return sorted(found, key=lambda change: change.version)


def _net_of_key(key: tuple[Any, ...], versions: Mapping[int, _Version]) -> RowChange | None:
    several = any(len(each.before) > 1 or len(each.after) > 1 for each in versions.values())
    told = [(number, version) for number, version in versions.items() if not version.drop_unchanged()]
    if not told:
        last = max(versions)
        return RowChange(key, None, None, last, versions[last].timestamp)
    first, (last, version) = told[0][1], told[-1]
    if several or _added_again([each for _, each in told]):
        whole = _Version(
            [row for _, each in told for row in each.before], [row for _, each in told for row in each.after]
        )
        whole.drop_unchanged()
        return RowChange(key, whole.row_before, whole.row_after, last, version.timestamp)
    if any(one.row_after != next_one.row_before for (_, one), (_, next_one) in pairwise(told)):
        return None
    return RowChange(key, first.row_before, version.row_after, last, version.timestamp)


def _added_again(versions: Sequence[_Version]) -> bool:
    """Whether a row was added where there was one of its key already."""
    return any(one.row_after is not None and other.row_before is None for one, other in pairwise(versions))
