"""Where the wheel lies that the monitor was deployed with: told by the monitor's own rows."""

from __future__ import annotations

import json
from typing import Any, cast

from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.errors import TableNotFound
from lakeflow_job_meta.model.control import MONITOR_MODULE
from lakeflow_job_meta.model.job import Settings, mapping
from lakeflow_job_meta.store.base import Store

WHEEL_PARAMETER = "wheel_path"
"""The parameter of the monitor's job that names its wheel."""


def deployed_wheel(store: Store, tables: ControlTables) -> str:
    """The wheel's path in the workspace; empty where no monitor is deployed."""
    try:
        found = store.read(tables.modules.name, where={"module_name": [MONITOR_MODULE]})
    except TableNotFound:
        return ""
    for row in found.rows:
        try:
            settings: Any = json.loads(row["job_config"] or "{}")
        except ValueError:
            return ""
        return wheel_of(mapping(settings))
    return ""


def wheel_of(settings: Settings) -> str:
    """The wheel's path as the settings of the monitor's job tell it; empty where they don't."""
    listed = settings.get("parameters")
    for each in cast("list[object]", listed) if isinstance(listed, list) else ():
        if mapping(each).get("name") == WHEEL_PARAMETER:
            return str(mapping(each).get("default") or "")
    return ""
