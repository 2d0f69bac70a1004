"""What a condition task comes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation

AS_TEXT: Mapping[str, Callable[[str, str], bool]] = {
    "EQUAL_TO": lambda left, right: left == right,
    "NOT_EQUAL": lambda left, right: left != right,
}
AS_NUMBERS: Mapping[str, Callable[[Decimal, Decimal], bool]] = {
    "GREATER_THAN": lambda left, right: left > right,
    "GREATER_THAN_OR_EQUAL": lambda left, right: left >= right,
    "LESS_THAN": lambda left, right: left < right,
    "LESS_THAN_OR_EQUAL": lambda left, right: left <= right,
}


class BadCondition(ValueError):
    """An operator that there isn't, or an operand that it can't compare."""


def holds(op: str, left: str, right: str) -> bool:
    """Whether the condition is true. Equality compares texts, order compares numbers, as documented.

    Raises:
        BadCondition: an order is asked of what isn't a number, or the operator is none.

    >>> holds("EQUAL_TO", "12.0", "12"), holds("GREATER_THAN_OR_EQUAL", "12.0", "12")
    (False, True)
    """
    if op in AS_TEXT:
        return AS_TEXT[op](left, right)
    if op not in AS_NUMBERS:
        raise BadCondition(f"op '{op}' is none of {', '.join((*AS_TEXT, *AS_NUMBERS))}")
    return AS_NUMBERS[op](_number(left, op), _number(right, op))


def _number(text: str, op: str) -> Decimal:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        number = Decimal("NaN")
    if number.is_nan():
        raise BadCondition(f"{op} compares numbers; '{text}' is none")
    return number
