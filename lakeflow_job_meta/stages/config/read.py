"""A stage file into a SourceConfig, with every finding at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lakeflow_job_meta.diagnostics import Diagnostic, errors_in, nearest
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.ingest.fields import Fields, Findings
from lakeflow_job_meta.model.schema_file import IDENTIFIER, SchemaReader
from lakeflow_job_meta.model.secret_reference import FORMS, SecretReference
from lakeflow_job_meta.reader.document import Document, Reading, read_file
from lakeflow_job_meta.stages.config import model
from lakeflow_job_meta.stages.config.openapi import read_openapi

FILE_KEYS = (
    "source_system", "base_url", "auth", "endpoints", "openapi", "hierarchy", "samples", "sample_limit", "pagination",
    "records", "incremental", "min_success_rate", "limits", "contract", "notify", "schema", "log_schema", "is_enabled",
)  # fmt: skip
ENDPOINT_KEYS = (
    "path", "method", "category", "description", "requires_auth", "query_parameters", "records", "pagination",
)  # fmt: skip
PAGINATION_KEYS = ("style", "parameter", "cursor", "size_parameter", "size", "first")
LIMIT_KEYS = (
    "requests_per_second", "concurrency", "connect_seconds", "total_seconds", "retries", "most_wait_seconds",
    "response_bytes", "pages",
)  # fmt: skip
AUTH_KEYS = (
    "method", "token", "username", "password", "client_id", "client_secret", "token_url", "scope", "header", "prefix",
    "check",
)  # fmt: skip
ROLES: Mapping[str, tuple[str, ...]] = {
    "api_token": ("token",),
    "bearer": ("token",),
    "basic": ("password",),
    "oauth": ("client_id", "client_secret"),
}
"""The secrets that each way to log in needs."""

STYLES = ("none", "link", "cursor", "page", "offset")
EVENTS = ("success", "failure", "recovery")
KINDS = ("discord", "webhook")
HTTP_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
LOOPBACK = ("127.0.0.1", "localhost", "::1")

Fetch = Callable[[str], Reading]
"""Reads an OpenAPI document from a URL."""


def read_source_config(path: Path, fetch: Fetch) -> model.SourceConfig:
    """Read a stage file.

    Args:
        path: the file; contract and OpenAPI document are looked for relative to it.
        fetch: reads an OpenAPI document that is given as a URL.

    Raises:
        InputError: with all that is wrong with it.
    """
    reading = read_file(path)
    found = list(reading.diagnostics)
    config = None
    if reading.document is not None:
        reader = _ConfigReader(reading.document, path.parent, fetch)
        config = reader.read()
        found += reader.findings.found + reader.elsewhere
    if config is None or errors_in(found):
        raise InputError(f"the stage file {path} can't be used", diagnostics=found)
    return config


class _ConfigReader:
    def __init__(self, document: Document, folder: Path, fetch: Fetch) -> None:
        self.findings = Findings(document)
        self.elsewhere: list[Diagnostic] = []
        self._folder = folder
        self._fetch = fetch

    def read(self) -> model.SourceConfig:
        top = Fields.of(self.findings.document.value, (), FILE_KEYS, self.findings)
        base_url = self._url(top, "base_url")
        system = top.text("source_system", None)
        if system and not IDENTIFIER.fullmatch(system):
            top.find(f"source_system '{system}' is not an identifier", "source_system", "letters, digits, underscores")
        endpoints = self._catalogue(top)
        auth = self._auth(top)
        config = model.SourceConfig(
            source_system=system,
            base_url=base_url.rstrip("/"),
            auth=auth,
            endpoints=endpoints,
            hierarchy=self._hierarchy(top, endpoints),
            samples=self._samples(top, endpoints),
            sample_limit=top.whole("sample_limit", 10, 1, 1000),
            pagination=self._pagination(top) or model.Pagination(),
            records=top.text("records"),
            incremental=top.flag("incremental", False),
            min_success_rate=top.number("min_success_rate", 1.0, 0, 1),
            limits=self._limits(top),
            contract=self._contract(top),
            notify=self._targets(top),
            schema=self._schema(top, "schema", "source"),
            log_schema=self._schema(top, "log_schema", "log"),
            is_enabled=top.flag("is_enabled", True),
            openapi=top.text("openapi"),
        )
        self._check_auth_endpoint(top, config)
        self._check_feeds(top, config)
        return config

    def _url(self, at: Fields, name: str, *, required: bool = True) -> str:
        text = at.text(name, None if required else "")
        if not text or text.startswith("env:"):
            if text and SecretReference.parse(text) is None:
                at.find(f"{name}: '{text}' names no variable", name, "env:NAME")
            return text
        if problem := problem_of_url(text):
            at.find(f"{name}: {problem[0]}", name, problem[1])
        return text

    def _auth(self, top: Fields) -> model.Auth:
        if "auth" not in top.values:
            top.find("missing key 'auth'", hint="method: " + ", ".join(ROLES))
        at = top.inner("auth", AUTH_KEYS)
        method = at.text("method", None if "auth" in top.values else "bearer", choices=tuple(ROLES))
        roles = ROLES.get(method, ())
        secrets: dict[str, str] = {}
        for role in ("token", "password", "client_id", "client_secret"):
            text = at.text(role, None if role in roles else "")
            if text and SecretReference.parse(text) is None:
                # The text itself is never quoted: it may be the secret.
                at.find(f"{role}: expected a reference to a secret, found the text itself", role, FORMS)
            if text and role not in roles and method:
                at.find(f"{role} doesn't go with {method}", role, "needed: " + ", ".join(roles))
            if text:
                secrets[role] = text
        username = at.text("username", None if method == "basic" else "")
        token_url = self._token_url(at, required=method == "oauth")
        header = at.text("header", "X-Api-Token" if method == "api_token" else "Authorization")
        return model.Auth(
            method,
            secrets,
            header,
            at.text("prefix", "" if method == "api_token" else "Bearer"),
            token_url,
            at.text("scope"),
            username,
            at.text("check"),
        )

    def _token_url(self, at: Fields, *, required: bool) -> str:
        text = at.text("token_url", None if required else "")
        return text if text.startswith("/") else self._url(at, "token_url", required=False)

    def _catalogue(self, top: Fields) -> tuple[model.Endpoint, ...]:
        if ("endpoints" in top.values) == ("openapi" in top.values):
            found = "both" if "endpoints" in top.values else "neither"
            top.find(f"expected one of endpoints and openapi, found {found}")
        endpoints = [self._endpoint(each, position, top) for position, each in enumerate(top.items("endpoints"))]
        if where := top.text("openapi"):
            endpoints += self._from_openapi(where, top)
        if not endpoints and not self.findings.found and not self.elsewhere:
            top.find("there is no endpoint", "endpoints")
        seen: set[str] = set()
        for position, each in enumerate(endpoints):
            if each.name in seen:
                self.findings.add(f"{each.name} is there twice", ("endpoints", position))
            seen.add(each.name)
        return tuple(endpoints)

    def _from_openapi(self, where: str, top: Fields) -> tuple[model.Endpoint, ...]:
        try:
            remote = where.startswith(("https://", "http://"))
            reading = self._fetch(where) if remote else read_file(self._folder / where)
        except InputError as error:
            top.find(f"openapi: {error.message}", "openapi")
            return ()
        self.elsewhere += reading.diagnostics
        if reading.document is None:
            return ()
        endpoints, found = read_openapi(reading.document)
        self.elsewhere += found
        return endpoints

    def _endpoint(self, value: Any, position: int, top: Fields) -> model.Endpoint:
        at = Fields.of(value, ("endpoints", position), ENDPOINT_KEYS, self.findings)
        path = at.text("path", None)
        if path and not path.startswith("/"):
            at.find(f"path: expected one that begins with /, found '{path}'", "path", "it is relative to base_url")
        return model.Endpoint(
            path,
            at.text("method", "GET", choices=HTTP_METHODS),
            at.text("category", path.strip("/").split("/")[0] or "general"),
            at.text("description"),
            at.flag("requires_auth", True),
            at.texts("query_parameters"),
            at.text("records"),
            self._pagination(at),
        )

    def _pagination(self, at: Fields) -> model.Pagination | None:
        if "pagination" not in at.values:
            return None
        pages = at.inner("pagination", PAGINATION_KEYS)
        style = pages.text("style", None, choices=STYLES)
        needed = {"cursor": ("parameter", "cursor"), "page": ("parameter",), "offset": ("parameter", "size_parameter")}
        for name in needed.get(style, ()):
            pages.text(name, None)
        return model.Pagination(
            style or "none",
            pages.text("parameter"),
            pages.text("cursor"),
            pages.text("size_parameter"),
            pages.whole("size", 50, 1, 10_000),
            pages.whole("first", 1 if style == "page" else 0, 0, 1),
        )

    def _hierarchy(self, top: Fields, endpoints: tuple[model.Endpoint, ...]) -> dict[str, model.Parent]:
        parameters = {name for each in endpoints for name in each.path_parameters}
        at = top.inner("hierarchy", _keys(top, "hierarchy"))
        parents: dict[str, model.Parent] = {}
        for name in at.values:
            if name not in parameters:
                hint = nearest(name, parameters) or "known: " + ", ".join(sorted(parameters))
                self.findings.add(f"no path has the parameter '{name}'", ("hierarchy", name), hint, key=True)
            inner = at.inner(name, ("endpoint", "field"))
            parent = model.Parent(inner.text("endpoint", None), inner.text("field", "id"))
            self._known_endpoint(inner, "endpoint", parent.endpoint, endpoints)
            parents[name] = parent
        return parents

    def _samples(self, top: Fields, endpoints: tuple[model.Endpoint, ...]) -> tuple[model.Sample, ...]:
        samples: list[model.Sample] = []
        for position, each in enumerate(top.items("samples")):
            at = Fields.of(each, ("samples", position), ("table", "endpoint", "columns"), self.findings)
            table, endpoint = at.text("table", None), at.text("endpoint", None)
            if table and (not IDENTIFIER.fullmatch(table) or table.lower() in model_tables()):
                at.find(f"table: '{table}' can't be a sample's name", "table", "an identifier that no other table has")
            if table.lower() in {sample.table.lower() for sample in samples}:
                at.find(f"table: '{table}' is there twice", "table")
            self._known_endpoint(at, "endpoint", endpoint, endpoints)
            samples.append(model.Sample(table, endpoint, self._columns(at)))
        return tuple(samples)

    def _columns(self, at: Fields) -> tuple[Any, ...]:
        if "columns" not in at.values:
            return ()
        reader = SchemaReader(self.findings.document.position, self.findings.found)
        return reader.columns(at.values["columns"], (*at.path, "columns"))

    def _known_endpoint(self, at: Fields, key: str, path: str, endpoints: tuple[model.Endpoint, ...]) -> None:
        known = [each.path for each in endpoints if each.method == "GET"]
        if path and path not in known and endpoints:
            at.find(f"{key}: no GET endpoint '{path}'", key, nearest(path, known))

    def _limits(self, top: Fields) -> model.Limits:
        at, usual = top.inner("limits", LIMIT_KEYS), model.Limits()
        return model.Limits(
            at.number("requests_per_second", usual.requests_per_second, 0.01, 10_000),
            at.whole("concurrency", usual.concurrency, 1, 256),
            at.number("connect_seconds", usual.connect_seconds, 0.01, 300),
            at.number("total_seconds", usual.total_seconds, 0.01, 3600),
            at.whole("retries", usual.retries, 0, 20),
            at.number("most_wait_seconds", usual.most_wait_seconds, 0, 3600),
            at.whole("response_bytes", usual.response_bytes, 1, 2**30),
            at.whole("pages", usual.pages, 1, 100_000),
        )

    def _contract(self, top: Fields) -> Path | None:
        text = top.text("contract")
        if text and not (self._folder / text).is_file():
            top.find(f"contract: there is no file {self._folder / text}", "contract", "relative to the stage file")
        return self._folder / text if text else None

    def _targets(self, top: Fields) -> tuple[model.Target, ...]:
        targets: list[model.Target] = []
        for position, each in enumerate(top.items("notify")):
            at = Fields.of(each, ("notify", position), ("type", "url", "on"), self.findings)
            url = at.text("url", None)
            if url and SecretReference.parse(url) is None:
                at.find("url: expected a reference to a secret, found the text itself", "url", FORMS)
            on = at.texts("on", choices=EVENTS) or ("failure", "recovery")
            targets.append(model.Target(at.text("type", None, choices=KINDS), url, on))
        return tuple(targets)

    def _schema(self, top: Fields, key: str, default: str) -> str:
        name = top.text(key, default)
        if not IDENTIFIER.fullmatch(name):
            top.find(f"{key}: '{name}' is not an identifier", key)
        return name.lower()

    def _check_auth_endpoint(self, top: Fields, config: model.SourceConfig) -> None:
        check = config.auth.check
        if check and not check.startswith("/"):
            self.findings.add(f"check: expected a path that begins with /, found '{check}'", ("auth", "check"))
        plain = any(not each.hierarchical and each.method == "GET" for each in config.endpoints)
        if not check and config.endpoints and not plain:
            top.find("no endpoint can be asked whether the login works", "auth", "name one: auth.check")

    def _check_feeds(self, top: Fields, config: model.SourceConfig) -> None:
        """Each parent's own parameters must be fed too, and not by itself."""
        for name in config.hierarchy:
            seen, ask = {name}, [name]
            while ask:
                parent = config.endpoint(config.hierarchy[ask.pop()].endpoint)
                for each in parent.path_parameters if parent else ():
                    if each == name:
                        self.findings.add(f"'{name}' is fed by itself", ("hierarchy", name))
                    elif each not in config.hierarchy:
                        hint = f"add '{each}' to hierarchy"
                        self.findings.add(f"nothing feeds '{each}', which '{name}' needs", ("hierarchy", name), hint)
                    elif each not in seen:
                        seen.add(each)
                        ask.append(each)
        for position, sample in enumerate(config.samples):
            endpoint = config.endpoint(sample.endpoint)
            for each in endpoint.path_parameters if endpoint else ():
                if each not in config.hierarchy:
                    self.findings.add(
                        f"nothing feeds '{each}' of {sample.endpoint}", ("samples", position, "endpoint"),
                        f"add '{each}' to hierarchy",
                    )  # fmt: skip


def problem_of_url(text: str) -> tuple[str, str] | None:
    """Why an API must not be called at this URL, and what to do; None where it may.

    >>> problem_of_url("http://api.example.com")
    ('http would send the login in the clear', 'https://…; http only on this machine')
    """
    parts = urlsplit(text)
    if parts.username or parts.password:
        return "a URL must not hold a login", "put it under auth, as references"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return f"expected a URL, found '{text}'", "https://…, or env:NAME"
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        return "http would send the login in the clear", "https://…; http only on this machine"
    return None


def model_tables() -> tuple[str, ...]:
    """The names that samples can't have."""
    return ("config", "credentials", "portfolio", "endpoints")


def _keys(top: Fields, name: str) -> tuple[str, ...]:
    value = top.values.get(name)
    return tuple(value) if isinstance(value, dict) else ()  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - keys are text: the reader checks
