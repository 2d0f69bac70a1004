"""`job_config.lifecycle`: how a module's job is to be treated."""

from __future__ import annotations

from typing import Any, cast

from lakeflow_job_meta.compile.findings import Report, type_name
from lakeflow_job_meta.diagnostics import nearest
from lakeflow_job_meta.model.job import Lifecycle

KEY = "lifecycle"
ON_DEACTIVATE = ("pause", "delete", "keep")
KNOWN = ("ignore_drift", "prevent_delete", "on_deactivate", "moved_from")


def take_lifecycle(config: dict[str, Any], report: Report) -> Lifecycle:
    """The lifecycle of a job_config, which loses that key: the rest is for the Jobs API."""
    value = config.pop(KEY, None)
    if value is None:
        return Lifecycle()
    if not isinstance(value, dict):
        report(f"expected a mapping, found {type_name(value)}", path=(KEY,))
        return Lifecycle()
    fields = cast("dict[str, object]", value)
    for name in fields:
        if name not in KNOWN:
            report(f"unknown key '{name}'", path=(KEY, name), hint=nearest(name, KNOWN))
    ignored = fields.get("ignore_drift", [])
    if not isinstance(ignored, list) or not all(isinstance(each, str) for each in cast("list[object]", ignored)):
        report("expected a list of paths such as tasks.*.max_retries", path=(KEY, "ignore_drift"))
        ignored = []
    prevent = fields.get("prevent_delete", False)
    if not isinstance(prevent, bool):
        report(f"expected true or false, found {type_name(prevent)}", path=(KEY, "prevent_delete"))
    on_deactivate = fields.get("on_deactivate", ON_DEACTIVATE[0])
    if on_deactivate not in ON_DEACTIVATE:
        found = f"found {on_deactivate!r}"
        hint = nearest(str(on_deactivate), ON_DEACTIVATE)
        report(f"expected one of {', '.join(ON_DEACTIVATE)}, {found}", path=(KEY, "on_deactivate"), hint=hint)
    moved_from = fields.get("moved_from", "")
    if not isinstance(moved_from, str):
        report(f"expected a module's name, found {type_name(moved_from)}", path=(KEY, "moved_from"))
    return Lifecycle(tuple(cast("list[str]", ignored)), prevent is True, str(on_deactivate), str(moved_from))
