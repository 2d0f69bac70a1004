"""What one task may use of the machine."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

MEBIBYTE = 1024 * 1024


def _most_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4


@dataclass(frozen=True, slots=True)
class Limits:
    """What one task may use.

    Args:
        memory_bytes: of data that each of its processes may have, by RLIMIT_DATA (Linux alone enforces it); by default
            three quarters of the machine's, 0 for no limit.
        file_bytes: kept of its standard output, and as much of its standard error.
        logs_bytes: of both together, the last ones, that are told with the result. Databricks tells 5 MB.
        grace_seconds: between the request to end and the order to.

    >>> Limits(memory_bytes=0).grace_seconds
    5.0
    """

    memory_bytes: int = field(default_factory=_most_memory)
    file_bytes: int = 32 * MEBIBYTE
    logs_bytes: int = 5 * MEBIBYTE
    grace_seconds: float = 5.0
