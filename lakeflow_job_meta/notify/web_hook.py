"""Sends messages to one address, each signed, each a few times if need be."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lakeflow_job_meta.errors import LakeflowJobMetaError
from lakeflow_job_meta.model.run import milliseconds
from lakeflow_job_meta.model.table import Row
from lakeflow_job_meta.notify.post import as_json, post
from lakeflow_job_meta.notify.signature import HEADER, sign

logger = logging.getLogger(__name__)

DELIVERY = "X-Lakeflow-Delivery"
"""The same for all tries of one message: a receiver that gets it twice knows it again."""

WAITS = (0.5, 2.0)
"""Seconds before the second and the third try; there is no fourth."""

PATIENCE = 5.0
"""Seconds that a receiver may take to answer."""


@dataclass(frozen=True, slots=True)
class WebHook:
    """A receiver of messages.

    Args:
        url: Where to.
        about: What each message says beside its own: the control table.
        secret: Reads the shared secret; None sends unsigned.
        clock, sleep: Epoch seconds; waits for seconds.
    """

    url: str
    about: Mapping[str, Any]
    secret: Callable[[], str] | None = None
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    def tell(self, rows: Sequence[Row]) -> list[Row]:
        """Tell of these runs, rows of the ledger that have an `sla`; returns those that were taken.

        The first that isn't taken ends it: the others are told the next time.
        """
        told: list[Row] = []
        try:
            secret = self.secret() if self.secret is not None else None
        except LakeflowJobMetaError as error:
            logger.error("the web hook isn't told of %d runs: %s", len(rows), error)
            return told
        for row in rows:
            problem = self._delivered(message(row, self.about), f"{row['run_id']}-{row['sla']}", secret)
            if problem:
                logger.error("the web hook took no message: %s; tried again at the next look", problem)
                break
            told.append(row)
        return told

    def _delivered(self, content: Mapping[str, Any], delivery: str, secret: str | None) -> str:
        """Send it until it is taken; why it wasn't, empty if it was."""
        body = as_json(content)
        for wait in (*WAITS, None):
            headers = {DELIVERY: delivery}
            if secret is not None:
                headers[HEADER] = sign(body, secret, int(self.clock()))
            refusal = post(self.url, body, headers, PATIENCE)
            if refusal is None:
                return ""
            if not refusal.passing or wait is None:
                return refusal.problem
            self.sleep(wait)
        raise RuntimeError("the last try returns")


def message(row: Row, about: Mapping[str, Any]) -> dict[str, Any]:
    """What is told of a run; times are ISO 8601."""
    end = row["end_time"]
    return {
        "event": f"run.{row['sla']}",
        **about,
        "workspace_id": row["workspace_id"],
        "module": row["module_name"],
        "job_id": row["job_id"],
        "run_id": row["run_id"],
        "state": row["state"],
        "result": row["result"],
        "allowed_seconds": row["sla_seconds"],
        "took_seconds": (milliseconds(end) - milliseconds(row["start_time"])) / 1000 if end else None,
        "queue_seconds": row["queue_ms"] / 1000 if row["queue_ms"] is not None else None,
        "start_time": row["start_time"].isoformat(),
        "end_time": end.isoformat() if end else None,
        "page_url": row["page_url"],
    }
