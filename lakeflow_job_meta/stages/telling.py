"""Whom a run of the stage tells of what: success, failure, recovery, and an API whose records look otherwise."""

from __future__ import annotations

from collections.abc import Sequence

from lakeflow_job_meta.notify.notice import Notice, notify
from lakeflow_job_meta.stages.activity import Step
from lakeflow_job_meta.stages.config.model import SourceConfig
from lakeflow_job_meta.stages.contract.handoff import FAILED
from lakeflow_job_meta.workspace.secrets import Secrets

SUCCESS, FAILURE, RECOVERY, SCHEMA_CHANGE = "success", "failure", "recovery", "schema_change"


def events_of(status: str, before: str, changed: bool) -> tuple[str, ...]:
    """What happened, first what the notice is called by; who waits for any of these is told.

    >>> events_of("succeeded", "failed", True), events_of("failed", "failed", False)
    (('recovery', 'success', 'schema_change'), ('failure',))
    """
    if status == FAILED:
        return (FAILURE, SCHEMA_CHANGE) if changed else (FAILURE,)
    if before == FAILED:
        return (RECOVERY, SUCCESS, SCHEMA_CHANGE) if changed else (RECOVERY, SUCCESS)
    return (SCHEMA_CHANGE, SUCCESS) if changed else (SUCCESS,)


async def tell(config: SourceConfig, secrets: Secrets, whole: Step, changes: Sequence[str], before: str) -> None:
    """Tell those whom the stage file names. A hook that fails is in the log, and stops nothing.

    Args:
        config: whom to tell.
        secrets: where the hooks' addresses are.
        whole: the run, ended.
        changes: what changed of the records of endpoints.
        before: the status of the run before.
    """
    events = events_of(whole.status, before, bool(changes))
    notice = Notice(
        events[0],
        f"source stage of {config.source_system}",
        "\n".join([*([whole.error] if whole.error else []), *changes]),
        {
            "duration_seconds": round(whole.seconds, 3),
            "endpoint_count": whole.endpoint_count,
            "endpoint_success_count": whole.endpoint_success_count,
            "table_creation_duration_ms": whole.table_ms,
            "tables": len(whole.tables),
        },
    )
    for target in config.notify:
        if set(events) & set(target.on):
            await notify(target.kind, lambda reference=target.url: secrets.value(reference), notice)
