"""What a service gets and gives: a call with its caller and the site it is for, an answer, a refusal."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

from lakeflow_job_meta.local.state import State

if TYPE_CHECKING:
    from lakeflow_job_meta.local.runs.runner import Runner

JSON = "application/json"


ENGINES = ("embedded", "spark")
"""What can carry out SQL tasks: the store's front door, which is used unless told otherwise, or Spark."""


@dataclass(frozen=True, slots=True)
class Options:
    """How the server was started; see `server.py` for what each means."""

    home: Path
    strict: bool = False
    token_per_workspace: bool = False
    faults: bool = False
    list_lag_seconds: float = 0.0
    stub_unsupported: bool = False
    fire_triggers: bool = False
    sql_engine: str = "embedded"
    max_body_bytes: int = 16 * 1024 * 1024
    max_file_bytes: int = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the workspace that the token opens, and the user in it. Administrators see everything."""

    workspace_id: int
    user: str
    admin: bool = True


class Refusal(Exception):
    """An answer other than success, in the shape that Databricks gives it."""

    def __init__(self, status: int, error_code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error_code = error_code
        self.message = message
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: the body as bytes, ready to send."""

    body: bytes = b"{}"
    status: int = 200
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Call:
    """One request, its body read whole; `parts` holds what the route's placeholders matched."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    parts: Mapping[str, str]
    caller: Caller
    state: State
    options: Options
    now_ms: int
    runner: Runner

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; an empty body counts as an empty object.

        Raises:
            Refusal: 400 MALFORMED_REQUEST.
        """
        if not self.body:
            return {}
        try:
            data: object = json.loads(self.body, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise Refusal(400, "MALFORMED_REQUEST", f"Invalid JSON given in the body of the request: {error}") from None
        if not isinstance(data, dict):
            raise Refusal(400, "MALFORMED_REQUEST", "Invalid JSON given in the body of the request - expected a map")
        return cast("dict[str, Any]", data)

    def flag(self, name: str) -> bool:
        """A query parameter as a yes or no; absent is no."""
        value = self.query.get(name, "false").lower()
        if value not in ("true", "false"):
            invalid(f"{name} must be true or false, got '{self.query[name]}'")
        return value == "true"

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """A query parameter as a whole number within bounds.

        Raises:
            Refusal: 400 INVALID_PARAMETER_VALUE.
        """
        text = self.query.get(name)
        if text is None:
            return default
        try:
            value = int(text)
        except ValueError:
            invalid(f"{name} must be a whole number, got '{text}'")
        if not low <= value <= high:
            invalid(f"{name} must be between {low} and {high} (inclusive), got {value}")
        return value


Handler = Callable[[Call], Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path; `{name}` matches one segment, `{name...}` the rest."""

    method: str
    path: str
    handler: Handler


def reply(data: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer with a JSON body."""
    return Answer(json.dumps(data, separators=(",", ":")).encode(), status, headers=headers or {})


def text_field(body: Mapping[str, Any], name: str, *, required: bool = True) -> str:
    """A string field of a body; empty where it is absent and not required.

    Raises:
        Refusal: 400, if it is missing or not a string.
    """
    value = body.get(name)
    if value is None and not required:
        return ""
    if value is None or value == "":
        invalid(f"Missing required field: {name}")
    if not isinstance(value, str):
        malformed(f"{name}: expected a string")
    return value


def invalid(message: str) -> NoReturn:
    """Refuse with 400 INVALID_PARAMETER_VALUE."""
    raise Refusal(400, "INVALID_PARAMETER_VALUE", message)


def malformed(message: str) -> NoReturn:
    """Refuse with 400 MALFORMED_REQUEST."""
    raise Refusal(400, "MALFORMED_REQUEST", f"Could not parse request object: {message}")


def missing(message: str) -> NoReturn:
    """Refuse with 404 RESOURCE_DOES_NOT_EXIST."""
    raise Refusal(404, "RESOURCE_DOES_NOT_EXIST", message)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
