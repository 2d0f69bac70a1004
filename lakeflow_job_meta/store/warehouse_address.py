"""Where a SQL warehouse is, and who we are there."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from lakeflow_job_meta.errors import UsageError
from lakeflow_job_meta.settings import LOCAL, WAREHOUSE, Settings
from lakeflow_job_meta.workspace.connect import login

PATH = "/sql/1.0/warehouses/"
FORMS = f"{WAREHOUSE}<id>, {WAREHOUSE}{PATH}<id> or {WAREHOUSE}https://<host>{PATH}<id>"
HTTPS_PORT = 443


@dataclass(frozen=True, slots=True)
class Address:
    """A warehouse's HTTP path, and its host where the setting names one: without, it is the workspace's."""

    path: str
    host: str = ""
    port: int = HTTPS_PORT

    @property
    def id(self) -> str:
        return urlsplit(self.path).path.rpartition("/")[2]

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read the setting `store`.

        Raises:
            UsageError: it has none of the three forms.

        >>> Address.parse("warehouse:1234abcd")
        Address(path='/sql/1.0/warehouses/1234abcd', host='', port=443)
        >>> Address.parse("warehouse:https://example.com:8443/sql/1.0/warehouses/1234abcd").port
        8443
        """
        given = text.removeprefix(WAREHOUSE)
        if re.fullmatch(r"[A-Za-z0-9_-]+", given):
            return cls(PATH + given)
        if re.fullmatch(r"/?sql/[^\s?#]*[^\s?#/](\?\S*)?", given):
            return cls("/" + given.lstrip("/"))
        if given.lower().startswith("https://"):
            host, port = _host_and_port(given, text)
            parts = urlsplit(given)
            found = cls.parse(WAREHOUSE + parts.path + (f"?{parts.query}" if parts.query else ""))
            return cls(found.path, host, port)
        raise UsageError(f"store: '{text}' names no warehouse", hint=f"write it as {FORMS}")


@dataclass(frozen=True, slots=True)
class Access:
    """A host, and the headers that show it who we are: asked for anew with each request, so that they never expire."""

    host: str
    port: int
    headers: Callable[[], Mapping[str, str]] = field(repr=False)
    ca_file: str | None = None


def access_of(settings: Settings, address: Address) -> Access:
    """Where this warehouse is reached, with the credentials of the workspace that the settings name.

    Raises:
        UsageError: no host or no warehouse's host is named; no credentials are found; the CA file can't be read.
    """
    _check_ca_file(settings.warehouse_ca_file)
    if not address.host and settings.workspace == LOCAL:
        raise UsageError(
            f"store: {settings.store} belongs to a workspace, and the embedded one has no warehouse",
            hint=f"set LAKEFLOW_WORKSPACE, or name the host: {FORMS}",
        )
    whole = f"https://{address.host}" + (f":{address.port}" if address.port != HTTPS_PORT else "")
    config = login(settings, whole if address.host else "")
    host, port = (address.host, address.port) if address.host else _host_and_port(str(config.host), str(config.host))
    return Access(host, port, config.authenticate, settings.warehouse_ca_file)


def _host_and_port(url: str, shown: str) -> tuple[str, int]:
    parts = urlsplit(url)
    try:
        port = parts.port or HTTPS_PORT
    except ValueError:
        port = 0
    if "@" in parts.netloc:
        raise UsageError("store: an address can't hold a user or a password", hint="log in as for the workspace")
    if parts.scheme.lower() != "https" or not parts.hostname or not port:
        raise UsageError(f"'{shown}' isn't the address of a warehouse", hint=f"it has to be https; write it as {FORMS}")
    return parts.hostname, port


def _check_ca_file(path: str | None) -> None:
    if path is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(Path(path))
    except OSError as error:
        raise UsageError(
            f"warehouse_ca_file: {path} can't be read as certificates: {error.strerror or error}",
            hint="it has to be a PEM file with the certificate of the authority that signed the warehouse's",
        ) from error
