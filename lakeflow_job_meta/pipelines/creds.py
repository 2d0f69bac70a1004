"""Connection details: JSON in which every secret is a reference. One written out is found, and never quoted. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from lakeflow_job_meta.diagnostics import Path
from lakeflow_job_meta.model.masking import is_secret
from lakeflow_job_meta.model.secret_reference import SecretReference

SHORT_NAMES = ("pass", "pw", "pat")
"""Names of secrets that are too short to be looked for within other names."""

WHERE_NOT_WHAT = ("_url", "_uri", "_file", "_path", "_name", "_type", "_id", "_scope")
"""Names that end so tell where a secret is, or what kind it is."""

LOGIN_IN_URL = re.compile(r"://[^/?#\s:@]*:[^/?#\s@]+@")
WITHIN_TEXT = re.compile(r"(?:passw(?:or)?d|pwd|accountkey|sharedaccess\w*|secret|token)\s*=\s*[^\s;&]+", re.IGNORECASE)
KEY_MATERIAL = "PRIVATE KEY-----"
SHOWN_CHARACTERS = 3


def parse_creds(text: str | None) -> Mapping[str, Any]:
    """The connection details of a row.

    Raises:
        ValueError: it isn't a JSON object; the message quotes nothing of it.
    """
    if text is None or not text.strip():
        return {}
    try:
        value: Any = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"bad JSON at offset {error.pos}: {error.msg}") from None
    except RecursionError:
        raise ValueError("bad JSON: nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError("expected a JSON object")
    return cast("dict[str, Any]", value)


def written_out(creds: Mapping[str, Any]) -> list[Path]:
    """Where secrets stand that aren't references.

    >>> written_out({"user": "bo", "password": "x", "token": "env:T", "options": {"url": "postgres://bo:x@h/d"}})
    [('password',), ('options', 'url')]
    """
    return list(_written_out(creds, (), secret=False))


def replaced(creds: Mapping[str, Any], put: Callable[[Path, str], str]) -> dict[str, Any]:
    """The same connection details, where `put` says for each secret that is written out what stands there instead."""
    places = set(written_out(creds))

    def walk(value: Any, path: Path) -> Any:
        if path in places:
            return put(path, str(value))
        if isinstance(value, dict):
            return {key: walk(each, (*path, key)) for key, each in cast("dict[str, Any]", value).items()}
        if isinstance(value, list):
            return [walk(each, (*path, position)) for position, each in enumerate(cast("list[Any]", value))]
        return value

    return walk(dict(creds), ())


def masked_creds(text: str | None) -> Any:
    """Connection details as they may be shown: of what is written out, no more than its end (`***abc`)."""
    try:
        return replaced(parse_creds(text), lambda path, value: masked_end(value))
    except ValueError:
        return "***"


def masked_end(value: str) -> str:
    """A secret as it may be shown.

    >>> masked_end("hunter2-and-more-abc"), masked_end("short")
    ('***abc', '***')
    """
    return f"***{value[-SHOWN_CHARACTERS:]}" if len(value) >= 4 * SHOWN_CHARACTERS else "***"


def _written_out(value: Any, path: Path, *, secret: bool) -> Iterator[Path]:
    if isinstance(value, dict):
        for key, each in cast("dict[str, Any]", value).items():
            yield from _written_out(each, (*path, key), secret=(secret or _names_secret(key)))
    elif isinstance(value, list):
        for position, each in enumerate(cast("list[Any]", value)):
            yield from _written_out(each, (*path, position), secret=secret)
    elif isinstance(value, str):
        if value.strip() and SecretReference.parse(value) is None and (secret or _holds_secret(value)):
            yield path
    elif secret and value is not None and not isinstance(value, bool):
        yield path


def _names_secret(key: str) -> bool:
    name = key.lower()
    return name in SHORT_NAMES or (is_secret(name) and not name.endswith(WHERE_NOT_WHAT))


def _holds_secret(text: str) -> bool:
    return bool(LOGIN_IN_URL.search(text) or WITHIN_TEXT.search(text) or KEY_MATERIAL in text)
