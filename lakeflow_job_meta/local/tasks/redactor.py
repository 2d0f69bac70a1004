"""Hides the values of secrets in what is shown."""

from __future__ import annotations

from typing import Any

HIDDEN = "[REDACTED]"


class Redactor:
    """Replaces each value that it was told to hide, as Databricks does.

    >>> redacted = Redactor()
    >>> redacted.hide("hunter2")
    >>> redacted("password: hunter2")
    'password: [REDACTED]'
    """

    def __init__(self) -> None:
        self._values: set[str] = set()

    def hide(self, value: str) -> None:
        """From now on this isn't shown."""
        if value:
            self._values.add(value)

    def __bool__(self) -> bool:
        return bool(self._values)

    def __call__(self, text: str) -> str:
        # The longest first: one secret may be a part of another.
        for value in sorted(self._values, key=len, reverse=True):
            text = text.replace(value, HIDDEN)
        return text

    def bundle(self, data: dict[str, Any]) -> dict[str, Any]:
        """What is shown, in each of its forms."""
        return {kind: self(value) if isinstance(value, str) else value for kind, value in data.items()}
