"""What can go wrong with an API, by what a person would do about it."""

from __future__ import annotations

from typing import ClassVar

from lakeflow_job_meta.errors import LakeflowJobMetaError


class ApiError(LakeflowJobMetaError):
    """The source system's API didn't answer as it should; `kind` is one word for the log."""

    exit_code = 4
    kind: ClassVar[str] = "failed"

    def __init__(self, message: str, *, hint: str = "", status: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class LoginRefused(ApiError):
    """The API doesn't take our login (401), or takes it no longer."""

    kind = "unauthorized"


class Forbidden(ApiError):
    """The login is good, but isn't allowed this (403)."""

    kind = "forbidden"


class TooMany(ApiError):
    """The API kept asking us to slow down (429)."""

    kind = "throttled"


class ServerFailed(ApiError):
    """The API failed by itself (5xx), each time that we tried."""

    kind = "server_error"


class TooSlow(ApiError):
    """No whole answer came in time."""

    kind = "timeout"


class NoAnswer(ApiError):
    """There was no connection, or it broke."""

    kind = "unreachable"


class NotJson(ApiError):
    """The answer isn't the JSON that it should be."""

    kind = "bad_answer"


class TooLarge(ApiError):
    """An answer is larger than the stage file allows."""

    kind = "too_large"


class EndlessPages(ApiError):
    """Pages go on and on, or round in a circle."""

    kind = "endless_pages"


class Elsewhere(ApiError):
    """The API leads to another host, which must not get our login."""

    kind = "redirected"


class SchemaChanged(ApiError):
    """Records don't look as they did, or as the contract says."""

    kind = "schema_changed"
