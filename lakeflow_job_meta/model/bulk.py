"""Many rows at once, as data: a span of a key, what is counted of a table, Arrow's stream. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class ArrowStream(Protocol):
    """Whatever hands over rows by Arrow's C stream, batch by batch; it can be read once."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
        """The stream's capsule."""
        ...


@dataclass(frozen=True, slots=True)
class Span:
    """Rows whose key lies from `start` to `end`: text as `key_text` writes it, None where there is no such bound.

    `start` is part of it; `end` is only where `closed`.
    """

    key: str
    start: str | None = None
    end: str | None = None
    closed: bool = False

    def __bool__(self) -> bool:
        return self.start is not None or self.end is not None

    @property
    def bounds(self) -> tuple[tuple[str, str], ...]:
        """Comparisons that hold for its rows, each an operator and a text.

        >>> Span("id", "3", "9").bounds
        (('>=', '3'), ('<', '9'))
        """
        given = ((">=", self.start), ("<=" if self.closed else "<", self.end))
        return tuple((operator, text) for operator, text in given if text is not None)


@dataclass(frozen=True, slots=True)
class Totals:
    """What is counted of a table's rows: how many, how many without a key, the keys' sum and the greatest one.

    `total` is the sum of whole or decimal numbers, of moments as microseconds and of days since 1970; None where there
    is no key, or no row. `greatest` is text as `key_text` writes it.
    """

    rows: int
    nulls: int = 0
    total: str | None = None
    greatest: str | None = None
