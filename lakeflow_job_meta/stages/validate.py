"""Whether each endpoint answers as it should: status, latency, records, and what they look like."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote

from lakeflow_job_meta.stages.config.model import PARAMETER, Endpoint, SourceConfig
from lakeflow_job_meta.stages.http.answer import at_path
from lakeflow_job_meta.stages.http.client import ApiClient
from lakeflow_job_meta.stages.http.failure import ApiError, LoginRefused, NotJson, TooMany
from lakeflow_job_meta.stages.http.pages import Page, pages_of
from lakeflow_job_meta.stages.shape import Shape, shape

TOLD = ("status", "latency_ms", "records", "schema", "error_kind", "error", "skipped")

ENDS_THE_RUN = (LoginRefused, TooMany)
"""What one endpoint meets, all the others would meet too."""


@dataclass(frozen=True, slots=True)
class Check:
    """What one endpoint answered. `schema` changes with the fields of its records, or their types."""

    status: int = 0
    latency_ms: int = 0
    records: int = 0
    schema: str = ""
    error_kind: str = ""
    error: str = ""
    skipped: str = ""
    fields: Shape = field(default_factory=dict[str, str], repr=False)

    @property
    def succeeded(self) -> bool:
        return not self.error and not self.skipped

    def to_dict(self) -> dict[str, Any]:
        """The check without what it doesn't have, and without the fields."""
        found = {name: getattr(self, name) for name in TOLD}
        return {name: value for name, value in found.items() if value != "" and value is not None}


class NoParent(Exception):
    """There is no record that could feed a path parameter."""


@dataclass
class Explorer:
    """Reads endpoints of one API, and feeds path parameters from records of their parents, each read once."""

    config: SourceConfig
    client: ApiClient
    _first: dict[str, asyncio.Task[Page]] = field(default_factory=dict[str, "asyncio.Task[Page]"])

    @cached_property
    def _parents(self) -> frozenset[str]:
        return frozenset(parent.endpoint for parent in self.config.hierarchy.values())

    async def authenticate(self) -> Check:
        """Ask the endpoint that tells whether the login works.

        Raises:
            ApiError: it doesn't.
        """
        config = self.config
        plain = (each.path for each in config.endpoints if each.method == "GET" and not each.hierarchical)
        path = config.auth.check or next(plain)
        if config.endpoint(path) is None:
            answer = await self.client.get(path)
            return Check(answer.status, round(answer.seconds * 1000))
        page = await self._first_page(path)
        return Check(page.answer.status, round(page.answer.seconds * 1000), len(page.records))

    async def check_all(self) -> dict[str, Check]:
        """Check every GET endpoint, many at a time; by the endpoint's name.

        Raises:
            LoginRefused, TooMany: what ends the whole run.
        """
        wanted = [each for each in self.config.endpoints if each.method == "GET"]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {each.name: group.create_task(self.check(each)) for each in wanted}
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        return {name: task.result() for name, task in tasks.items()}

    async def check(self, endpoint: Endpoint) -> Check:
        """Ask one endpoint for its first page."""
        try:
            path = await self.filled(endpoint)
            page = await self._first_page(path, endpoint)
        except ENDS_THE_RUN:
            raise
        except NoParent as missing:
            return Check(skipped=str(missing))
        except ApiError as error:
            return Check(status=error.status, error_kind=error.kind, error=error.message)
        fields = shape(page.records)
        mark = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:12] if fields else ""
        return Check(page.answer.status, round(page.answer.seconds * 1000), len(page.records), mark, fields=fields)

    async def sample(self, endpoint: Endpoint, limit: int) -> list[dict[str, Any]]:
        """An endpoint's first records, page by page until there are enough."""
        config, records = self.config, list[dict[str, Any]]()
        try:
            path = await self.filled(endpoint)
        except NoParent:
            return []
        pages = endpoint.pagination or config.pagination
        read = pages_of(self.client, path, pages, endpoint.records or config.records, config.limits.pages)
        async with aclosing(read):
            async for page in read:
                records += page.records
                if len(records) >= limit:
                    break
        return records[:limit]

    async def filled(self, endpoint: Endpoint, known: Mapping[str, str] | None = None) -> str:
        """The endpoint's path with its parameters taken from the first records of their parents.

        Raises:
            NoParent: a parameter that nothing feeds, or whose parent has no record.
        """
        values = dict(known or {})
        for name in endpoint.path_parameters:
            if name not in values:
                values[name] = await self._value(name, values)
        return PARAMETER.sub(lambda match: quote(values[match[1]], safe=""), endpoint.path)

    async def _value(self, name: str, values: Mapping[str, str]) -> str:
        parent = self.config.hierarchy.get(name)
        endpoint = self.config.endpoint(parent.endpoint) if parent else None
        if parent is None or endpoint is None:
            raise NoParent(f"nothing feeds the parameter '{name}'")
        page = await self._first_page(await self.filled(endpoint, values), endpoint)
        if not page.records:
            raise NoParent(f"{endpoint.name} has no record to feed '{name}'")
        value = at_path(page.records[0], parent.field)
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise NotJson(f"records of {endpoint.name} have no '{parent.field}' to feed '{name}'")
        return str(value)

    async def _first_page(self, path: str, endpoint: Endpoint | None = None) -> Page:
        """Pages of parents are kept, since several endpoints want them; others are forgotten at once."""
        endpoint = endpoint or self.config.endpoint(path)
        if endpoint is None or endpoint.path not in self._parents:
            return await self._read_first(path, endpoint)
        if path not in self._first:
            self._first[path] = asyncio.create_task(self._read_first(path, endpoint))
        return await self._first[path]

    async def _read_first(self, path: str, endpoint: Endpoint | None) -> Page:
        config = self.config
        pages = (endpoint.pagination if endpoint else None) or config.pagination
        records = (endpoint.records if endpoint else "") or config.records
        read = pages_of(self.client, path, pages, records, config.limits.pages)
        async with aclosing(read):
            async for page in read:
                return page
        raise RuntimeError("there is a first page, or an error")
