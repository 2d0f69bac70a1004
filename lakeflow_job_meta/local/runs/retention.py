"""How long runs are kept: as long as Databricks keeps them, then they and what their tasks left are taken away."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from pathlib import Path

from lakeflow_job_meta.local.runs.rows import Rows

LOG = logging.getLogger("lakeflow_job_meta.local")
KEPT_DAYS = 60
DAY_MS = 24 * 3_600_000
PAUSE_SECONDS = 3_600.0
AT_ONCE = 100
"""So many runs are taken away between two requests."""


class Retention:
    """Takes away runs that started long ago and have ended.

    Args:
        rows: where runs are kept.
        folder: where each run's tasks have left their files.
    """

    def __init__(self, rows: Rows, folder: Path) -> None:
        self._rows = rows
        self._folder = folder

    async def go_on(self, pause_seconds: float = PAUSE_SECONDS) -> None:
        """Look now, and again after each pause, until cancelled."""
        while True:
            try:
                if gone := await self.look(time.time_ns() // 1_000_000):
                    LOG.info("took away %d runs of more than %d days ago", gone, KEPT_DAYS)
            except Exception:
                # The edge of the clock: one look that goes wrong must not end all that follow.
                LOG.exception("looking for old runs failed")
            await asyncio.sleep(pause_seconds)

    async def look(self, now_ms: int) -> int:
        """Take away what is too old at this moment (ms since the epoch); says how many runs that were."""
        gone = 0
        while taken := self._rows.purge(now_ms - KEPT_DAYS * DAY_MS, AT_ONCE):
            gone += taken
            await asyncio.sleep(0)  # requests come in between
        for folder in self._of_no_run():
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        return gone

    def _of_no_run(self) -> list[Path]:
        """The folders of runs that are away, also of those whose server was killed before it took their files."""
        folders = [each for each in self._folder.iterdir() if each.name.isdecimal()] if self._folder.is_dir() else []
        known = self._rows.ids() if folders else set[int]()  # asked for last: a run has its row before its folder
        return [each for each in folders if int(each.name) not in known]
