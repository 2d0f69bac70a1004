"""One of several monitors works, the others stand by. No matter of safety, which is the lease's."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from lakeflow_job_meta.control.heartbeat import Heartbeat
from lakeflow_job_meta.errors import ConflictError, LakeflowJobMetaError
from lakeflow_job_meta.monitor.health import Health

logger = logging.getLogger("lakeflow_job_meta.monitor")


@dataclass(slots=True)
class Turns:
    """A monitor among others; `standby` is who works instead of it."""

    heart: Heartbeat
    standby: str = ""

    def whose(self, state_version: int, health: Health) -> str:
        """Who works instead of this monitor; empty where it is its turn. Gives a sign of life when one is due."""
        heart = self.heart
        heart.settled(state_version)  # what the others wrote meanwhile
        why = heart.free()
        if why or heart.due:
            last = health.last_cycle_at
            try:
                heart.beat(
                    datetime.now(UTC),
                    last.isoformat(timespec="seconds") if last else None,
                    health.failing,
                    health.failed_looks,
                )
            except ConflictError as error:
                logger.warning("no sign of life was given: %s", error)
        if not heart.mine:
            return heart.known.turn
        if why and self.standby:
            logger.info("taking over: %s", why)
            self.standby = ""
        return ""

    def tell(self, standby: str) -> None:
        """Log one line when standing by begins or another works, and one when it ends."""
        if standby and standby != self.standby:
            logger.info("standing by: %s works", standby)
        elif self.standby and not standby:
            logger.info("taking over: %s let go of the lease", self.standby)
        self.standby = standby

    def leave(self) -> None:
        """Leave the turn to others at once, instead of when they notice."""
        try:
            self.heart.leave(datetime.now(UTC))
        except LakeflowJobMetaError as error:
            logger.warning("the last sign of life was not given: %s", error)
