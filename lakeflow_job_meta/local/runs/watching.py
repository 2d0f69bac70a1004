"""What triggers watch: the files of a volume's folder, the versions of tables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lakeflow_job_meta.errors import LakeflowJobMetaError
from lakeflow_job_meta.local.runs.triggers import FILES, TABLES, Trigger
from lakeflow_job_meta.model.table import TableName

VOLUMES = "/Volumes/"


def seen_now(trigger: Trigger, home: Path) -> Mapping[str, object]:
    """What a trigger's files or tables are now: paths, or versions by name; empty for what can't be watched here."""
    if trigger.kind in FILES:
        return _files(str(trigger.settings["url"]), home)
    if trigger.kind in TABLES:
        return _versions([str(each) for each in trigger.settings.get("table_names", ())], home)
    return {}


def obstacle(settings: Mapping[str, Any]) -> str:
    """Why the trigger of a job can't fire on this machine; empty if it can."""
    trigger: Mapping[str, Any] = settings.get("trigger") or {}
    for kind in ("model", "sql_condition", "job_completion"):
        if kind in trigger or kind in (settings.get("schedule") or {}):
            return f"the embedded workspace knows no {kind}"
    url = str(trigger.get("file_arrival", {}).get("url", VOLUMES))
    return "" if url.startswith(VOLUMES) else f"{url} isn't a volume of this machine"


def _files(url: str, home: Path) -> Mapping[str, object]:
    parts = [part for part in url.removeprefix(VOLUMES).split("/") if part]
    if not url.startswith(VOLUMES) or ".." in parts:
        return {}
    root = home.joinpath("volumes", *parts)
    # All alike: a file that is written over is no news, as documented; only a new name is.
    return {
        os.path.relpath(os.path.join(folder, name), root): 1  # noqa: PTH118 (a Path a file costs more than the walk)
        for folder, _, names in os.walk(root)
        for name in names
        if not name.startswith(".")
    }


def _versions(names: list[str], home: Path) -> Mapping[str, object]:
    # Imported when the first such job is there: most servers never open a table.
    from lakeflow_job_meta.store.delta import DeltaStore

    store = DeltaStore(home)
    found: dict[str, object] = {}
    for name in names:
        try:
            info = store.info(TableName.parse(name))
        except LakeflowJobMetaError:
            continue  # it is being written, or isn't a table's name; the next look may know better
        found[name] = None if info is None else [info.table_id, info.version]
    return found
