"""Values of a key as text: how watermarks and spans are written down, whatever holds the table. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from lakeflow_job_meta.errors import InputError

EPOCH, MICROSECOND = datetime(1970, 1, 1), timedelta(microseconds=1)

KEY_TYPES = ("SMALLINT", "INT", "BIGINT", "DECIMAL", "DATE", "TIMESTAMP", "TIMESTAMP_NTZ")
"""Types that every database puts into the same order. Text isn't one: each sorts it by rules of its own."""


def is_key_type(kind: str) -> bool:
    """Whether a column of this Delta type can be an incremental key.

    >>> is_key_type("DECIMAL(10,2)"), is_key_type("STRING")
    (True, False)
    """
    return kind.partition("(")[0] in KEY_TYPES


def key_text(value: Any) -> str | None:
    """The value as text.

    >>> key_text(datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)), key_text(7), key_text(None)
    ('2024-05-06 07:08:09+00:00', '7', None)
    """
    if value is None:
        return None
    if isinstance(value, datetime):
        return (value if value.tzinfo is None else value.astimezone(UTC)).isoformat(" ")
    return value.isoformat() if isinstance(value, date) else str(value)


def checked_key(text: str, kind: str, what: str) -> str:
    """The text of a key of this Delta type in the one form that it has.

    Raises:
        InputError: it isn't a value of the type; `what` says whose text it is.

    >>> checked_key("2024-05-06T07:08Z", "TIMESTAMP", "--from"), checked_key("007", "INT", "--from")
    ('2024-05-06 07:08:00+00:00', '7')
    """
    try:
        return _READ[kind.partition("(")[0]](text.strip())
    except (ValueError, InvalidOperation, KeyError) as problem:
        raise InputError(
            f"{what}: '{text}' is not a value of type {kind}", hint=_FORMS.get(kind, "a number")
        ) from problem


def _moment(text: str) -> str:
    found = datetime.fromisoformat(text)
    return str(key_text(found if found.tzinfo else found.replace(tzinfo=UTC)))


def _naive(text: str) -> str:
    found = datetime.fromisoformat(text)
    return str(key_text(found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found))


def _day(text: str) -> str:
    return date.fromisoformat(re.sub(r"[T ]00:00(:00(\.0+)?)?$", "", text)).isoformat()


def _whole(text: str) -> str:
    return str(int(text))


def _number(text: str) -> str:
    return f"{Decimal(text):f}"


_READ = {
    "SMALLINT": _whole, "INT": _whole, "BIGINT": _whole, "DECIMAL": _number, "DATE": _day, "TIMESTAMP": _moment,
    "TIMESTAMP_NTZ": _naive,
}  # fmt: skip
_FORMS = {
    "DATE": "write 2024-05-31",
    "TIMESTAMP": "write 2024-05-31 12:30:00+02:00; without a zone it is UTC",
    "TIMESTAMP_NTZ": "write 2024-05-31 12:30:00",
}


def lies_before(one: str, other: str, kind: str) -> bool:
    """Whether one key comes before another, both of this Delta type.

    >>> lies_before("9", "10", "INT"), lies_before("2024-05-06 07:08:09", "2024-05-06 07:08:09.5", "TIMESTAMP_NTZ")
    (True, True)
    """
    value = _VALUES[kind.partition("(")[0]]
    return value(one) < value(other)


_VALUES: dict[str, Callable[[str], Any]] = {
    "SMALLINT": int, "INT": int, "BIGINT": int, "DECIMAL": Decimal, "DATE": date.fromisoformat,
    "TIMESTAMP": datetime.fromisoformat, "TIMESTAMP_NTZ": datetime.fromisoformat,
}  # fmt: skip


def as_number(text: str, kind: str) -> Decimal | int:
    """What is added up of a key: a number itself, a moment's microseconds and a day's number since 1970.

    >>> as_number("1970-01-02", "DATE"), as_number("1970-01-01 00:00:01", "TIMESTAMP_NTZ")
    (1, 1000000)
    """
    value = _VALUES[kind.partition("(")[0]](text)
    if isinstance(value, datetime):
        naive = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return (naive - EPOCH) // MICROSECOND
    return (value - EPOCH.date()).days if isinstance(value, date) else value


def plain_number(value: Any) -> str | None:
    """A sum as text that is the same for equal numbers.

    >>> plain_number(Decimal("10.50")), plain_number(100)
    ('10.5', '100')
    """
    if value is None:
        return None
    text = f"{Decimal(str(value)):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
