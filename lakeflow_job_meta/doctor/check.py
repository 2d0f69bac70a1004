"""What a check is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeflow_job_meta.model.finding import Finding

if TYPE_CHECKING:
    from lakeflow_job_meta.doctor.subject import Subject


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at. It may raise our errors: that is a failure, told with their message and hint.

    `needs` are checks without which this one can't be tried. `slow` says that it may take longer than the others.
    """

    name: str
    run: Callable[[Subject], Finding]
    needs: tuple[str, ...] = ()
    slow: bool = False
