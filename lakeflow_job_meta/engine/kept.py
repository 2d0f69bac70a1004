"""Updates that a workspace takes and doesn't keep: told once, never sent again and again. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from lakeflow_job_meta.model.job import RecordedJob, fingerprint
from lakeflow_job_meta.model.plan import FieldChange

NOT_KEPT_HINT = "write it as the workspace holds it, or name it in lifecycle.ignore_drift"
SHOWN = 3


def changes_fingerprint(changes: Sequence[FieldChange]) -> str:
    """Equal for the same fields with the same values before and after."""
    return fingerprint([change.to_dict() for change in changes])


def not_kept(changes: Sequence[FieldChange]) -> str:
    """What is told of them."""
    more = f" and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
    fields = ", ".join(change.path for change in changes[:SHOWN])
    return f"the workspace took the update and didn't keep {fields}{more}"


def tried_in_vain(recorded: RecordedJob, changes: Sequence[FieldChange] | None) -> bool:
    """Whether the last run found that these changes aren't kept; None: the workspace wasn't looked at."""
    mark = recorded.pending.not_kept if recorded.pending else ""
    return mark != "" and (changes is None or changes_fingerprint(changes) == mark)
