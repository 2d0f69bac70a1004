"""How a request shows who we are: a header that never changes, or a token that is fetched and fetched anew."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.stages.config.model import Auth
from lakeflow_job_meta.stages.http.failure import LoginRefused, NotJson
from lakeflow_job_meta.workspace.secrets import Secrets

EARLY_SECONDS = 30.0
"""So long before its end a token is fetched anew."""

SHORT = 8
"""Credentials of fewer characters are masked whole."""

AskToken = Callable[[Mapping[str, str]], Awaitable[Any]]
"""Posts a form to the token endpoint; its JSON answer."""


class Login(Protocol):
    """Who we are."""

    @property
    def secrets(self) -> frozenset[str]:
        """Texts that must never be shown."""
        ...

    @property
    def credential(self) -> str:
        """The credential that is shown masked."""
        ...

    async def headers(self) -> Mapping[str, str]:
        """What each request carries."""
        ...

    async def renewed(self, refused: Mapping[str, str]) -> bool:
        """Make headers anew after these were refused; False where there is nothing newer to try."""
        ...


class FixedLogin:
    """A header that stays as it is: api_token, bearer, basic."""

    def __init__(self, credential: str, name: str, value: str) -> None:
        self.credential = credential
        self._headers = {name: value}
        self.secrets = frozenset({credential, value, value.rpartition(" ")[2]})

    async def headers(self) -> Mapping[str, str]:
        return self._headers

    async def renewed(self, refused: Mapping[str, str]) -> bool:
        return False


class OAuthLogin:
    """OAuth 2 client credentials: the token is fetched once for all requests, and anew shortly before it ends."""

    def __init__(self, auth: Auth, client_id: str, client_secret: str, ask: AskToken) -> None:
        self.credential = client_secret
        self._form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
        if auth.scope:
            self._form["scope"] = auth.scope
        self._prefix, self._header, self._ask = auth.prefix, auth.header, ask
        self._token, self._ends, self._old = "", 0.0, set[str]()
        self._one = asyncio.Lock()

    @property
    def secrets(self) -> frozenset[str]:
        return frozenset({self.credential, *self._old} - {""})

    async def headers(self) -> Mapping[str, str]:
        async with self._one:
            if time.monotonic() > self._ends:
                await self._fetch()
        return self._as_headers()

    async def renewed(self, refused: Mapping[str, str]) -> bool:
        async with self._one:
            # Another request may have fetched a new one while this one waited.
            if dict(refused) == self._as_headers():
                await self._fetch()
        return True

    def _as_headers(self) -> dict[str, str]:
        return {self._header: f"{self._prefix} {self._token}".strip()}

    async def _fetch(self) -> None:
        answer = await self._ask(self._form)
        token = answer.get("access_token") if isinstance(answer, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        if not isinstance(token, str) or not token:
            raise NotJson("the token endpoint's answer has no access_token")
        lasts: Any = answer.get("expires_in", 3600)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        seconds = float(lasts) if isinstance(lasts, int | float | str) and str(lasts).isdigit() else 3600.0
        self._token = token
        self._old.add(token)
        self._ends = time.monotonic() + max(seconds - min(EARLY_SECONDS, seconds / 10), 0)


def login_of(auth: Auth, secrets: Secrets, ask: AskToken) -> Login:
    """The login that a stage file asks for.

    Raises:
        InputError: secrets that aren't there, or can't be sent; all of them.
    """
    values: dict[str, str] = {}
    missing: list[str] = []
    for role, reference in auth.secrets.items():
        try:
            value = secrets.value(reference)
            if not value.isascii() or not value.isprintable():
                raise InputError(f"the value of {reference} has characters that a header can't hold")
            values[role] = value
        except InputError as error:
            missing.append(f"{role}: {error.message}")
    if missing:
        raise LoginRefused("; ".join(missing), hint="the stage file names them under auth")
    if auth.method == "oauth":
        return OAuthLogin(auth, values["client_id"], values["client_secret"], ask)
    if auth.method == "basic":
        pair = base64.b64encode(f"{auth.username}:{values['password']}".encode()).decode()
        return FixedLogin(values["password"], auth.header, f"Basic {pair}")
    return FixedLogin(values["token"], auth.header, f"{auth.prefix} {values['token']}".strip())


def masked_credential(value: str) -> str:
    """A credential as a table may hold it: its last three characters, and none of a short one.

    >>> masked_credential("a-long-token-abc"), masked_credential("short")
    ('***abc', '***')
    """
    return f"***{value[-3:]}" if len(value) >= SHORT else "***"
