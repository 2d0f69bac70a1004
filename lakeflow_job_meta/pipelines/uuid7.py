"""UUIDs of version 7 (RFC 9562), which sort by the time they were made at. Pure: time and chance are passed in."""

from __future__ import annotations

from uuid import UUID

RANDOM_BITS = 74
"""So many bits of a UUID are left to chance."""


def uuid7(milliseconds: int, random_bits: int) -> UUID:
    """The UUID of a moment.

    Args:
        milliseconds: since 1970 (UTC).
        random_bits: a number of RANDOM_BITS bits.

    >>> str(uuid7(0x017F22E279B0, (0xCC3 << 62) | 0x18C4DC0C0C07398F))
    '017f22e2-79b0-7cc3-98c4-dc0c0c07398f'
    """
    if not 0 <= milliseconds < 1 << 48 or not 0 <= random_bits < 1 << RANDOM_BITS:
        raise ValueError("expected 48 bits of milliseconds and 74 random ones")
    high, low = random_bits >> 62, random_bits & ((1 << 62) - 1)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)


def is_uuid7(text: str) -> bool:
    """Whether a text is a UUID of version 7, as it is usually written.

    >>> is_uuid7("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"), is_uuid7("919108f7-52d1-4320-9bac-f847db4148a8")
    (True, False)
    """
    try:
        value = UUID(text)
    except ValueError:
        return False
    return value.version == 7 and str(value) == text.lower()
