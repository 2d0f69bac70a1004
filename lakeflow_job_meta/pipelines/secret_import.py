"""Moving secrets that are written out into a secret scope of the workspace; references stand in their place."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from zlib import crc32

from lakeflow_job_meta.diagnostics import Path, dotted
from lakeflow_job_meta.errors import UsageError, WorkspaceError
from lakeflow_job_meta.model.masking import without
from lakeflow_job_meta.model.secret_reference import NAME, SecretReference
from lakeflow_job_meta.model.table import Changes, Row, Snapshot, TableSpec
from lakeflow_job_meta.pipelines.creds import parse_creds, replaced, written_out
from lakeflow_job_meta.pipelines.generated import as_text
from lakeflow_job_meta.pipelines.registry_file import Declared
from lakeflow_job_meta.pipelines.tables import ENDPOINTS, RegistryTables
from lakeflow_job_meta.store.base import Store
from lakeflow_job_meta.workspace.api import Api

SCOPE = "pipelines"
EXISTS = "RESOURCE_ALREADY_EXISTS"
MOST_CHARACTERS = 128
"""Of a secret's key."""


@dataclass(slots=True)
class SecretImport:
    """Finds secrets that are written out, and keeps them in one scope of a workspace, which is made with the first.

    Raises:
        UsageError: the scope's name can't be one.
    """

    api: Api
    scope: str = SCOPE
    found: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    """Secrets by key, to be kept."""

    def __post_init__(self) -> None:
        if not re.fullmatch(NAME, self.scope):
            raise UsageError(f"'{self.scope}' can't be a scope's name", hint="up to 128 letters, digits and _ . @ -")

    def from_declared(self, declared: Declared) -> Declared:
        """Rows that are about to be registered, with references for secrets; nothing is kept yet."""
        rows = [
            replace(each, values=self._of_row(each.values, ENDPOINTS[each.kind])) if each.kind in ENDPOINTS else each
            for each in declared.rows
        ]
        return Declared(rows, declared.templates)

    def from_registry(self, store: Store, tables: RegistryTables) -> list[str]:
        """Move the secrets of all rows, which are written after their secrets are kept; returns the references."""
        writes: list[tuple[TableSpec, Callable[[Snapshot], Changes]]] = []
        for kind, prefix in ENDPOINTS.items():
            spec, column = tables.spec(kind), f"{prefix}_creds"
            before = {row["id"]: row for row in store.read(spec.name).rows}
            after = {key: self._of_row(row, prefix) for key, row in before.items()}
            changed = {key: row[column] for key, row in after.items() if row.get(column) != before[key].get(column)}
            if changed:
                writes.append((spec, _writing(changed, before, column)))
        moved = self.keep()
        for spec, decide in writes:
            store.transact(spec, decide)
        return moved

    def keep(self) -> list[str]:
        """Put what was found into the scope; returns the references to it.

        Raises:
            WorkspaceError: the workspace doesn't take it; the message has no secret in it.
        """
        if self.found:
            self._make_scope()
        for key, value in self.found.items():
            body = {"scope": self.scope, "key": key, "string_value": value}
            try:
                self.api.send("POST", "/api/2.0/secrets/put", body, safe=True)
            except WorkspaceError as error:
                said = without(error.message, [value])
                raise WorkspaceError(f"the secret {self.scope}/{key} can't be kept: {said}", hint=error.hint) from None
        return [str(SecretReference(scope=self.scope, key=key)) for key in self.found]

    def _of_row(self, row: Row, prefix: str) -> dict[str, Any]:
        column = f"{prefix}_creds"
        try:
            creds: Mapping[str, Any] = parse_creds(row.get(column))
        except ValueError:
            return dict(row)  # the check tells
        if not written_out(creds):
            return dict(row)

        def put(path: Path, value: str) -> str:
            key = _key(f"{prefix}.{row.get(f'{prefix}_name')}.{dotted(path)}")
            self.found[key] = value
            return str(SecretReference(scope=self.scope, key=key))

        return {**row, column: as_text(replaced(creds, put))}

    def _make_scope(self) -> None:
        try:
            self.api.send("POST", "/api/2.0/secrets/scopes/create", {"scope": self.scope}, safe=True)
        except WorkspaceError as error:
            if error.error_code != EXISTS:
                raise


def _writing(changed: Mapping[str, str], before: Mapping[str, Row], column: str) -> Callable[[Snapshot], Changes]:
    def decide(snapshot: Snapshot) -> Changes:
        # Who wrote other credentials meanwhile has the last word.
        rows = [row for row in snapshot.rows if row["id"] in changed and row[column] == before[row["id"]][column]]
        return Changes(tuple({**row, column: changed[row["id"]]} for row in rows))

    return decide


def _key(text: str) -> str:
    """The secret's key; texts that would look alike as keys have different ones.

    >>> _key("source.crm.password"), _key("source.crm.options[0]")
    ('source.crm.password', 'source.crm.options_0_-32a5b2ad')
    """
    key = re.sub(r"[^A-Za-z0-9_.@-]", "_", text)
    if key == text and len(key) <= MOST_CHARACTERS:
        return key
    return f"{key[: MOST_CHARACTERS - 9]}-{crc32(text.encode()):08x}"
