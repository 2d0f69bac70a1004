"""A notice as each kind of web hook takes it, and sending it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lakeflow_job_meta.errors import LakeflowJobMetaError
from lakeflow_job_meta.notify.post import Refusal, as_json, post

logger = logging.getLogger(__name__)

SECONDS = 10.0
LONGEST = 1500
"""Characters of an error that are sent; Discord takes 2,000 a message."""

SIGNS = {"success": "✅", "failure": "❌", "recovery": "🔄", "schema_change": "⚠️"}


@dataclass(frozen=True, slots=True)
class Notice:
    """What happened (one of SIGNS), to what, why, and in figures. None of it may be a secret."""

    event: str
    subject: str
    message: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict[str, Any])


def discord(notice: Notice) -> dict[str, Any]:
    """The body that a Discord web hook takes.

    >>> discord(Notice("success", "source stage of testhub", metrics={"tables": 3}))["content"]
    '✅ source stage of testhub: success\\ntables: 3'
    """
    lines = [f"{SIGNS[notice.event]} {notice.subject}: {notice.event}", notice.message[:LONGEST]]
    lines += [f"{name}: {value}" for name, value in notice.metrics.items() if value is not None]
    # Nobody is pinged by what an API wrote into its error.
    return {"content": "\n".join(line for line in lines if line), "allowed_mentions": {"parse": []}}


def generic(notice: Notice) -> dict[str, Any]:
    """The body that any other web hook gets."""
    return {
        "event": notice.event,
        "subject": notice.subject,
        "message": notice.message[:LONGEST],
        "metrics": dict(notice.metrics),
    }


BODIES: Mapping[str, Callable[[Notice], dict[str, Any]]] = {"discord": discord, "webhook": generic}


async def notify(kind: str, url: Callable[[], str], notice: Notice) -> bool:
    """Send a notice; says whether it was taken. Never raises for what a hook does.

    Args:
        kind: discord or webhook.
        url: looks the hook's address up, which is a secret.
        notice: what to tell.
    """
    try:
        refusal = await asyncio.to_thread(post, url(), as_json(BODIES[kind](notice)), {}, SECONDS)
    except LakeflowJobMetaError as error:
        refusal = Refusal(error.message, passing=False)
    if refusal is None:
        return True
    logger.warning("the %s hook: %s; nobody was told", kind, refusal.problem)
    return False
