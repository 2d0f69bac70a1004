"""An answer's JSON, and where in it the records are. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from lakeflow_job_meta.stages.http.failure import NotJson

USUAL = ("items", "data", "results", "records", "values", "value", "content")
"""Where APIs put their records, if the stage file doesn't say."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `seconds` is what the last try took, `url` what was asked; `headers` have lower-case names."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    seconds: float

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            NotJson: it is something else. The body isn't quoted: it may hold anything.
        """
        kind = self.headers.get("content-type", "").split(";")[0].strip().lower()
        start = self.body[:200].lstrip().lower()
        if "html" in kind or start.startswith((b"<!doctype", b"<html")):
            hint = "a login page or a proxy answers instead: look at base_url"
            raise NotJson(f"HTML instead of JSON (status {self.status})", hint=hint, status=self.status)
        try:
            return json.loads(self.body, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            where = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
            what = f"{len(self.body)} bytes of {kind or 'no content type'}"
            raise NotJson(f"no valid JSON{where} ({what})", status=self.status) from None


def records_of(value: Any, path: str) -> list[dict[str, Any]]:
    """The records of an answer.

    Args:
        value: the answer's JSON.
        path: the dotted path of the list; empty means: the answer itself, or the usual names of such a list.

    Raises:
        NotJson: there is no list of objects there.

    >>> records_of({"items": [{"id": 1}]}, ""), records_of({"page": {"of": [{"id": 2}]}}, "page.of")
    ([{'id': 1}], [{'id': 2}])
    """
    found = at_path(value, path) if path else value
    if not path and isinstance(found, dict):
        said = cast("dict[str, Any]", found)
        found = next((said[name] for name in USUAL if isinstance(said.get(name), list)), [said])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in cast("list[Any]", found)):
        where = f"at '{path}'" if path else "in the answer"
        raise NotJson(f"no list of records {where}", hint="records: the dotted path of the list")
    return cast("list[dict[str, Any]]", found)


def at_path(value: Any, path: str) -> Any:
    """What stands at a dotted path; None where nothing does."""
    for part in path.split("."):
        value = cast("dict[str, Any]", value).get(part) if isinstance(value, dict) else None
    return value


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
