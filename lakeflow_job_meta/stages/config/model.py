"""A source system as declared: where its API is, how to log in, what endpoints it has. Frozen data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lakeflow_job_meta.model.column import Column

PARAMETER = re.compile(r"\{(\w+)\}")
"""A parameter in an endpoint's path."""


@dataclass(frozen=True, slots=True)
class Auth:
    """How to log in; `secrets` holds references (`env:NAME`, `{{secrets/scope/key}}`) by role, never a value.

    `method` is api_token, bearer, basic or oauth. `check` is the endpoint that is asked first whether the login works.
    """

    method: str
    secrets: Mapping[str, str]
    header: str = "Authorization"
    prefix: str = ""
    token_url: str = ""
    scope: str = ""
    username: str = ""
    check: str = ""


@dataclass(frozen=True, slots=True)
class Pagination:
    """How an endpoint's answers go on: none, link, cursor, page or offset.

    `parameter` is what the next page is asked by, `cursor` the dotted path of it in an answer, `size` the records a
    page, asked for by `size_parameter`.
    """

    style: str = "none"
    parameter: str = ""
    cursor: str = ""
    size_parameter: str = ""
    size: int = 50
    first: int = 1


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of the catalogue. `fields` are those that the documentation promises of a record, if it does."""

    path: str
    method: str = "GET"
    category: str = "general"
    description: str = ""
    requires_auth: bool = True
    query_parameters: tuple[str, ...] = ()
    records: str = ""
    pagination: Pagination | None = None

    @property
    def path_parameters(self) -> tuple[str, ...]:
        """The parameters in its path.

        >>> Endpoint("/projects/{project_id}/releases").path_parameters
        ('project_id',)
        """
        return tuple(PARAMETER.findall(self.path))

    @property
    def hierarchical(self) -> bool:
        return bool(self.path_parameters)

    @property
    def full_path(self) -> str:
        """The path with its query parameters, as RFC 6570 writes them.

        >>> Endpoint("/project", query_parameters=("key", "page")).full_path
        '/project{?key,page}'
        """
        return self.path + (f"{{?{','.join(self.query_parameters)}}}" if self.query_parameters else "")

    @property
    def name(self) -> str:
        """How people call it: `GET /project`."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Parent:
    """What feeds a path parameter: a field of the records of another endpoint."""

    endpoint: str
    field: str


@dataclass(frozen=True, slots=True)
class Sample:
    """An endpoint whose first records become a table; `columns` fix its types, else the records tell them."""

    table: str
    endpoint: str
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may ask of the API, and what it takes from it. Times are in seconds."""

    requests_per_second: float = 10.0
    concurrency: int = 8
    connect_seconds: float = 5.0
    total_seconds: float = 30.0
    retries: int = 4
    most_wait_seconds: float = 60.0
    response_bytes: int = 10 * 2**20
    pages: int = 100


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to tell; `url` is a reference to a secret, `on` are success, failure, recovery, schema_change."""

    kind: str
    url: str
    on: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """A whole stage file. `schema` is where its tables are, beside `log` in the control table's catalog."""

    source_system: str
    base_url: str
    auth: Auth
    endpoints: tuple[Endpoint, ...]
    hierarchy: Mapping[str, Parent] = field(default_factory=dict[str, Parent])
    samples: tuple[Sample, ...] = ()
    sample_limit: int = 10
    pagination: Pagination = field(default_factory=Pagination)
    records: str = ""
    incremental: bool = False
    min_success_rate: float = 1.0
    limits: Limits = field(default_factory=Limits)
    contract: Path | None = None
    notify: tuple[Target, ...] = ()
    schema: str = "source"
    log_schema: str = "log"
    is_enabled: bool = True
    openapi: str = ""

    def endpoint(self, path: str) -> Endpoint | None:
        """The GET endpoint of this path."""
        return next((each for each in self.endpoints if each.path == path and each.method == "GET"), None)
