"""A secret by reference: `env:NAME`, or `{{secrets/scope/key}}` of the workspace. It is never written down itself."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeflow_job_meta.errors import UsageError

if TYPE_CHECKING:
    from lakeflow_job_meta.workspace.api import Api

IN_ENVIRONMENT = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")
IN_WORKSPACE = re.compile(r"\{\{\s*secrets/([^/{}\s]+)/([^/{}\s]+)\s*\}\}")
FORMS = "env:NAME, or {{secrets/scope/key}}"


@dataclass(frozen=True, slots=True)
class SecretReference:
    """Where a secret is. `read` looks it up each time: one that was changed is used at once."""

    text: str

    @classmethod
    def parse(cls, text: str) -> SecretReference:
        """Read a reference.

        Raises:
            UsageError: it is none; the text isn't quoted, as it may be the secret itself.
        """
        if not (IN_ENVIRONMENT.fullmatch(text) or IN_WORKSPACE.fullmatch(text)):
            raise UsageError(
                "notify_secret isn't a reference to a secret", hint=f"write {FORMS}, not the secret itself"
            )
        return cls(text)

    def read(self, environment: Mapping[str, str], api: Api) -> str:
        """The secret.

        Raises:
            UsageError: the variable isn't set, or the workspace's secret isn't text.
            WorkspaceError: the workspace doesn't tell.
        """
        if named := IN_ENVIRONMENT.fullmatch(self.text):
            if not (value := environment.get(named[1], "")):
                raise UsageError(f"notify_secret: the variable {named[1]} isn't set")
            return value
        scope, key = IN_WORKSPACE.fullmatch(self.text).groups()  # pyright: ignore[reportOptionalMemberAccess] - parsed
        found = api.get("/api/2.0/secrets/get", {"scope": scope, "key": key})
        try:
            return base64.b64decode(str(found.get("value", "")), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise UsageError(f"notify_secret: the secret {scope}/{key} isn't text") from error
