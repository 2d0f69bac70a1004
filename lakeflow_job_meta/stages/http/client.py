"""One API's client: each request logged in, paced, limited in time and size, and tried again where that is safe."""

from __future__ import annotations

import asyncio
import email.utils
import random
import time
import urllib.request
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.stages.config.model import Auth, Limits
from lakeflow_job_meta.stages.http.answer import Answer
from lakeflow_job_meta.stages.http.failure import (
    ApiError,
    Elsewhere,
    Forbidden,
    LoginRefused,
    NoAnswer,
    ServerFailed,
    TooLarge,
    TooMany,
    TooSlow,
)
from lakeflow_job_meta.stages.http.login import Login, login_of
from lakeflow_job_meta.stages.http.pace import Pace
from lakeflow_job_meta.workspace.secrets import Secrets

if TYPE_CHECKING:
    import httpx

FIRST_WAIT, LONGEST_WAIT = 0.25, 30.0
MOST_REDIRECTS = 5
PASSING = (500, 502, 503, 504)
"""Statuses that may be gone with the next try; all that we send again is read only, or asks for a token."""

HEADERS = {
    "User-Agent": "lakeflow-job-meta",
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "Connection": "keep-alive",
}


class ApiClient:
    """An API by its base URL. Use it as `async with`.

    Args:
        base_url: the API's address; endpoints' paths are put behind it.
        auth: how to log in.
        secrets: looks references up.
        limits: what a run may ask for.
    """

    def __init__(self, base_url: str, auth: Auth, secrets: Secrets, limits: Limits) -> None:
        self.base_url = base_url
        self.requests = self.retries = 0
        self._limits = limits
        self._pace = Pace(limits.requests_per_second, limits.concurrency)
        seconds = {"connect": limits.connect_seconds, **dict.fromkeys(("read", "write", "pool"), limits.total_seconds)}
        self._patience = {"timeout": seconds}
        self._token_url = urljoin(base_url + "/", auth.token_url.lstrip("/")) if auth.token_url else ""
        self._auth, self._secrets = auth, secrets
        self._login: Login | None = None
        self._all: list[httpx.AsyncHTTPTransport] = []
        self._idle: list[httpx.AsyncHTTPTransport] = []

    async def __aenter__(self) -> ApiClient:
        import httpx

        # A transport for each request that may be under way, each with one connection: httpx looks through all
        # connections of a transport for each request, which with 16 of them costs as much as the request itself. Its
        # client above costs as much again, for cookies, redirects and logins, which aren't wanted here.
        trusted, proxy = httpx.create_ssl_context(), _proxy(self.base_url)
        one = httpx.Limits(max_connections=1, max_keepalive_connections=1)
        self._all = [
            httpx.AsyncHTTPTransport(verify=trusted, limits=one, proxy=proxy) for _ in range(self._limits.concurrency)
        ]
        self._idle = list(self._all)
        return self

    async def __aexit__(self, *raised: object) -> None:
        for each in self._all:
            await each.aclose()

    @property
    def login(self) -> Login:
        """Who we are.

        Raises:
            LoginRefused: a secret that it needs isn't there.
        """
        if self._login is None:
            self._login = login_of(self._auth, self._secrets, self._ask_token)
        return self._login

    async def get(self, path: str, query: Mapping[str, Any] | None = None) -> Answer:
        """Read a path behind the base URL, or a whole URL of the same host.

        Raises:
            ApiError: and its kinds, after all tries.
        """
        url = path if path.startswith(("https://", "http://")) else self.base_url + path
        if _origin(url) != _origin(self.base_url):
            raise Elsewhere(f"the API leads to {_host(url)}, which isn't its own host", hint="nothing was sent there")
        return await self._with_login("GET", url, query or {})

    async def _with_login(self, method: str, url: str, query: Mapping[str, Any]) -> Answer:
        headers = await self.login.headers()
        try:
            return await self._tried(method, url, query=query, headers=headers)
        except LoginRefused:
            if not await self.login.renewed(headers):
                raise
            return await self._tried(method, url, query=query, headers=await self.login.headers())

    async def _ask_token(self, form: Mapping[str, str]) -> Any:
        return (await self._tried("POST", self._token_url, form=form)).json()

    async def _tried(
        self,
        method: str,
        url: str,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send it until an answer counts, or no try is left."""
        began = time.monotonic()
        for attempt in range(self._limits.retries + 1):
            asked = 0.0
            try:
                async with self._pace:
                    answer = await self._followed(method, url, query, headers or {}, form)
                problem, asked = _problem(answer), _retry_after(answer)
                if problem is None:
                    return answer
            except (NoAnswer, TooSlow) as error:
                problem = error
            passing = isinstance(problem, NoAnswer | TooSlow | TooMany) or problem.status in PASSING
            wait = max(asked, random.uniform(0.5, 1) * min(FIRST_WAIT * 2**attempt, LONGEST_WAIT))  # noqa: S311 - jitter
            spent = time.monotonic() - began + wait
            if not passing or attempt == self._limits.retries or spent > self._limits.most_wait_seconds:
                raise problem
            self.retries += 1
            if isinstance(problem, TooMany):
                self._pace.wait_all(wait)
            else:
                await asyncio.sleep(wait)
        raise RuntimeError("the last try returns or raises")

    async def _followed(
        self,
        method: str,
        url: str,
        query: Mapping[str, Any] | None,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None,
    ) -> Answer:
        """One try, redirects followed as long as they stay on this host."""
        for _ in range(MOST_REDIRECTS + 1):
            answer = await self._once(method, url, query, headers, form)
            target = answer.headers.get("location")
            if answer.status not in (301, 302, 303, 307, 308) or not target:
                return answer
            to = urljoin(url, target)
            if _origin(to) != _origin(url) or method != "GET":
                hint = "the login isn't sent to another host; if that one is right, name it as base_url"
                raise Elsewhere(f"redirected from {_host(url)} to {_host(to)}", hint=hint, status=answer.status)
            url, query = to, None
        raise Elsewhere(f"more than {MOST_REDIRECTS} redirects at {_host(url)}")

    async def _once(
        self,
        method: str,
        url: str,
        query: Mapping[str, Any] | None,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None,
    ) -> Answer:
        import httpx

        if not self._idle:
            raise RuntimeError("an ApiClient is used as `async with`")
        self.requests += 1
        transport, began = self._idle.pop(), time.monotonic()
        try:
            request = httpx.Request(
                method, url, params=query or None, headers={**HEADERS, **headers}, data=form, extensions=self._patience
            )
            # Beside httpx's own timeouts, which a server that trickles byte by byte never meets.
            async with asyncio.timeout(self._limits.total_seconds):
                got = await transport.handle_async_request(request)
                try:
                    body = await self._body(got)
                finally:
                    await got.aclose()
            return Answer(str(request.url), got.status_code, _headers(got), body, time.monotonic() - began)
        except (TimeoutError, httpx.TimeoutException):
            raise TooSlow(f"no whole answer in {self._limits.total_seconds:g} s") from None
        except httpx.InvalidURL as error:
            raise InputError(f"the URL can't be used: {error}") from None
        except httpx.HTTPError as error:
            # Its text, not its request: that one holds the login.
            raise NoAnswer(f"{_host(url)} doesn't answer: {type(error).__name__} {error}".rstrip()) from None
        finally:
            self._idle.append(transport)

    async def _body(self, got: httpx.Response) -> bytes:
        most, parts, size = self._limits.response_bytes, list[bytes](), 0
        async for part in got.aiter_bytes():
            size += len(part)
            if size > most:
                raise TooLarge(f"an answer of more than {most} bytes", hint="limits.response_bytes")
            parts.append(part)
        return b"".join(parts)


def _headers(got: httpx.Response) -> dict[str, str]:
    """The headers by lower-case name; one that is there twice is one list."""
    found: dict[str, str] = {}
    for raw, value in got.headers.raw:
        name, text = raw.decode("ascii", "replace").lower(), value.decode("utf-8", "replace")
        found[name] = f"{found[name]}, {text}" if name in found else text
    return found


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for this URL, as for any other program."""
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.netloc):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


def _problem(answer: Answer) -> ApiError | None:
    """What is wrong with an answer by its status."""
    status = answer.status
    if 200 <= status < 300:
        return None
    if status == 401:
        return LoginRefused("401: the login is refused", hint="wrong, expired, or sent in another way", status=status)
    if status == 403:
        return Forbidden("403: the login isn't allowed this", hint="ask for the right", status=status)
    if status == 429:
        return TooMany("429: the API asks to slow down", hint="limits.requests_per_second", status=status)
    if status >= 500:
        return ServerFailed(f"{status}: the API failed", status=status)
    return ApiError(f"{status}: the API refuses the request", status=status)


def _retry_after(answer: Answer) -> float:
    """The seconds that the API asks us to wait: a number, or a date."""
    text = answer.headers.get("retry-after", "")
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(email.utils.parsedate_to_datetime(text).timestamp() - time.time(), 0) if text else 0
    except ValueError:
        return 0


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    usual = 443 if parts.scheme == "https" else 80
    return parts.scheme, parts.hostname or "", parts.port or usual


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
