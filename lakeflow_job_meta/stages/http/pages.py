"""Answers that go on: each style of pages is a function from one page to what asks for the next."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

from lakeflow_job_meta.stages.config.model import Pagination
from lakeflow_job_meta.stages.http.answer import Answer, at_path, records_of
from lakeflow_job_meta.stages.http.client import ApiClient
from lakeflow_job_meta.stages.http.failure import EndlessPages

LINK = re.compile(r"<([^<>]*)>([^<]*)")
NEXT = re.compile(r'rel\s*=\s*"?[^";]*\bnext\b', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Request:
    """What asks for a page: a path or a URL, and parameters."""

    url: str
    query: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Page:
    """One page: what asked for it, the whole answer, its records."""

    request: Request
    answer: Answer
    value: Any
    records: list[dict[str, Any]]


Next = Callable[[Page, Pagination], Request | None]
"""What asks for the page after this one; None at the end."""


def first_request(path: str, pages: Pagination) -> Request:
    """What asks for the first page."""
    query: dict[str, Any] = {pages.size_parameter: pages.size} if pages.size_parameter else {}
    if pages.style in ("page", "offset"):
        query[pages.parameter] = pages.first if pages.style == "page" else 0
    return Request(path, query)


async def pages_of(client: ApiClient, path: str, pages: Pagination, records: str, most: int) -> AsyncGenerator[Page]:
    """Read an endpoint page by page, as far as somebody wants to.

    Args:
        client: the API.
        path: the endpoint's path, its parameters filled in.
        pages: how answers go on.
        records: the dotted path of the records in an answer.
        most: so many pages, then it is taken for endless.

    Raises:
        EndlessPages: more pages than that, or a page that asks for one that was read already.
        ApiError: and its other kinds.
    """
    request: Request | None = first_request(path, pages)
    asked: set[str] = set()
    before = b""
    while request is not None:
        mark = repr((request.url, sorted(request.query.items())))
        if mark in asked:
            raise EndlessPages(f"{path}: a page leads back to one that was read already")
        if len(asked) >= most:
            raise EndlessPages(f"{path}: more than {most} pages", hint="limits.pages")
        asked.add(mark)
        answer = await client.get(request.url, request.query)
        if len(asked) > 1 and answer.body == before:
            raise EndlessPages(f"{path}: two pages are the same", hint="does the API know the pagination's parameter?")
        before, value = answer.body, answer.json()
        page = Page(request, answer, value, records_of(value, records))
        yield page
        request = STYLES[pages.style](page, pages)


def _none(page: Page, pages: Pagination) -> Request | None:
    return None


def _link(page: Page, pages: Pagination) -> Request | None:
    """RFC 8288: `Link: <https://…?page=2>; rel="next"`."""
    for target, parameters in LINK.findall(page.answer.headers.get("link", "")):
        if NEXT.search(parameters):
            return Request(urljoin(page.answer.url, target))
    return None


def _cursor(page: Page, pages: Pagination) -> Request | None:
    """A cursor in the answer, sent back as a parameter; some APIs give a whole URL."""
    cursor = at_path(page.value, pages.cursor)
    if cursor in (None, "", False):
        return None
    if isinstance(cursor, str) and cursor.startswith(("https://", "http://")):
        return Request(cursor)
    return Request(page.request.url, {**page.request.query, pages.parameter: cursor})


def _page(page: Page, pages: Pagination) -> Request | None:
    return _counted(page, pages, 1)


def _offset(page: Page, pages: Pagination) -> Request | None:
    return _counted(page, pages, len(page.records))


def _counted(page: Page, pages: Pagination, step: int) -> Request | None:
    """The end is a page with fewer records than were asked for, or with none."""
    if not page.records or (pages.size_parameter and len(page.records) < pages.size):
        return None
    return Request(
        page.request.url, {**page.request.query, pages.parameter: page.request.query[pages.parameter] + step}
    )


STYLES: Mapping[str, Next] = {"none": _none, "link": _link, "cursor": _cursor, "page": _page, "offset": _offset}
