"""The endpoints of an OpenAPI 3 document, with its local `$ref`s resolved. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from lakeflow_job_meta.diagnostics import Diagnostic, dotted
from lakeflow_job_meta.diagnostics import Path as ValuePath
from lakeflow_job_meta.reader.document import Document
from lakeflow_job_meta.stages.config.model import Endpoint

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
MOST_ENDPOINTS = 5_000
MOST_REFERENCES = 32
"""References that lead to references: deeper is a circle, or nobody can read it."""


@dataclass
class _Reader:
    document: Document
    found: list[Diagnostic] = field(default_factory=list[Diagnostic])
    endpoints: list[Endpoint] = field(default_factory=list[Endpoint])

    def find(self, message: str, path: ValuePath, hint: str = "") -> None:
        self.found.append(Diagnostic(message, self.document.position(path), hint))

    def read(self) -> None:
        whole = self.document.value
        version = cast("dict[str, Any]", whole).get("openapi") if isinstance(whole, dict) else None
        if not isinstance(version, str | float) or not str(version).startswith("3."):
            hint = "only OpenAPI 3 is read; Swagger 2 can be converted"
            self.find(f"expected an OpenAPI 3 document, found openapi: {version!r}", ("openapi",), hint)
            return
        paths = self._mapping(cast("dict[str, Any]", whole).get("paths"), ("paths",))
        open_by_default = not cast("dict[str, Any]", whole).get("security")
        for path, item in paths.items():
            where: ValuePath = ("paths", path)
            if not path.startswith("/"):
                self.find(f"the path '{path}' doesn't begin with /", where)
                continue
            operations = self._mapping(item, where)
            shared = list(self._parameters(operations.get("parameters"), (*where, "parameters")))
            for method in METHODS:
                if method in operations:
                    at = (*where, method)
                    self._operation(path, self._mapping(operations[method], at), at, shared, open_by_default)
        if len(self.endpoints) > MOST_ENDPOINTS:
            self.find(f"{len(self.endpoints)} endpoints, at most {MOST_ENDPOINTS} are read", ("paths",))

    def _operation(
        self, path: str, operation: Mapping[str, Any], at: ValuePath, shared: list[tuple[str, str]], is_open: bool
    ) -> None:
        own = [*shared, *self._parameters(operation.get("parameters"), (*at, "parameters"))]
        query = tuple(dict.fromkeys(name for place, name in own if place == "query"))
        declared = {name for place, name in own if place == "path"}
        tags = operation.get("tags")
        security = operation.get("security")
        tagged = cast("list[object]", tags)[0] if isinstance(tags, list) and tags else path.strip("/").split("/")[0]
        endpoint = Endpoint(
            path,
            str(at[-1]).upper(),
            str(tagged) or "general",
            str(operation.get("summary") or operation.get("description") or "").strip(),
            not is_open if security is None else bool(security),
            query,
        )
        for name in endpoint.path_parameters:
            if name not in declared:
                self.find(f"{endpoint.name}: the parameter '{name}' of its path isn't declared", at)
        self.endpoints.append(endpoint)

    def _parameters(self, listed: Any, at: ValuePath) -> Iterator[tuple[str, str]]:
        """(where it stands, its name) of each parameter."""
        if listed is None:
            return
        if not isinstance(listed, list):
            self.find("parameters: expected a list", at)
            return
        for position, each in enumerate(cast("list[Any]", listed)):
            said = self._mapping(each, (*at, position))
            if said and isinstance(said.get("name"), str) and isinstance(said.get("in"), str):
                yield said["in"], said["name"]
            elif said:
                self.find("a parameter has no name, or doesn't say what it is in", (*at, position))

    def _mapping(self, value: Any, at: ValuePath) -> dict[str, Any]:
        """The mapping here, or the one that a reference leads to; empty, with a finding, where there is none."""
        for _ in range(MOST_REFERENCES):
            if not isinstance(value, dict):
                self.find(f"expected a mapping at {dotted(at)}", at)
                return {}
            said = cast("dict[str, Any]", value)
            reference = said.get("$ref")
            if reference is None:
                return said
            if not isinstance(reference, str) or not reference.startswith("#/"):
                self.find(f"the reference {reference!r} leads out of the document", at, "put both into one document")
                return {}
            value = self._target(reference)
            if value is None:
                self.find(f"the reference '{reference}' leads nowhere", at)
                return {}
        self.find("references go round in a circle", at)
        return {}

    def _target(self, reference: str) -> object:
        value: object = self.document.value
        for part in reference[2:].split("/"):
            part = part.replace("~1", "/").replace("~0", "~")
            if isinstance(value, list) and part.isdecimal():
                listed = dict(enumerate(cast("list[Any]", value)))
                value = listed.get(int(part))
            elif isinstance(value, dict):
                value = cast("dict[str, Any]", value).get(part)
            else:
                return None
        return value


def read_openapi(document: Document) -> tuple[tuple[Endpoint, ...], list[Diagnostic]]:
    """The endpoints of a document in the order of its paths, and all that is wrong with it."""
    reader = _Reader(document)
    reader.read()
    return tuple(reader.endpoints), reader.found
