"""Looking for what was just made: a workspace's lists may leave it out for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

Found = TypeVar("Found")

LONGEST_PAUSE = 0.5


def look_until_settled(
    look: Callable[[], Found],
    enough: Callable[[Found], bool],
    sent: datetime,
    now: Callable[[], datetime],
    lag: float,
) -> Found:
    """Look again and again until what is found is enough, or lists tell all that was made at `sent`.

    Args:
        look: one look.
        enough: whether to stop at what it found.
        sent: when the last of what is looked for may have been made.
        now: the time.
        lag: seconds that lists may lag behind.
    """
    while True:
        listed_at = now()
        found = look()
        if enough(found) or (listed_at - sent).total_seconds() >= lag:
            return found
        time.sleep(min(LONGEST_PAUSE, lag / 5))
