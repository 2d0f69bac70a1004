"""Where references to secrets lead: this process's environment, and the secret scopes of the workspace."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lakeflow_job_meta.errors import InputError, WorkspaceError
from lakeflow_job_meta.model.secret_reference import FORMS, SecretReference
from lakeflow_job_meta.workspace.connect import Workspace


@dataclass(frozen=True, slots=True)
class Secrets:
    """Looks references up, each time anew: a secret that was changed is used at once.

    Args:
        environment: variables by name.
        scoped: asks the workspace for the value of (scope, key).
    """

    environment: Mapping[str, str]
    scoped: Callable[[str, str], str]

    def value(self, text: str) -> str:
        """What a reference stands for.

        Raises:
            InputError: it stands for nothing, or is no reference; the message names where, never a value.
        """
        reference = SecretReference.parse(text)
        if reference is None:
            raise InputError("a secret is written out, where a reference is expected", hint=f"write {FORMS}")
        if reference.scope:
            return self.scoped(reference.scope, reference.key)
        if value := self.environment.get(reference.variable, ""):
            return value
        raise InputError(
            f"the variable {reference.variable} is not set",
            hint="set it where this runs (a task of the embedded workspace sees no variables of yours), or name a "
            f"secret of the workspace: {{{{secrets/scope/{reference.variable.lower()}}}}}",
        )

    def plain(self, text: str) -> str:
        """The value of a reference, and any other text as it is."""
        return text if SecretReference.parse(text) is None else self.value(text)


def secrets_of(workspace: Workspace) -> Secrets:
    """References looked up here, and in this workspace; no request is sent before one is asked for."""

    def scoped(scope: str, key: str) -> str:
        try:
            found = workspace.api.get("/api/2.0/secrets/get", {"scope": scope, "key": key})
            return base64.b64decode(str(found.get("value", "")), validate=True).decode()
        except (WorkspaceError, binascii.Error, UnicodeDecodeError) as error:
            # The workspace says what the scope is called, never the value; a decoder's error quotes bytes of it.
            what = error.message if isinstance(error, WorkspaceError) else "it isn't text"
            raise InputError(f"the secret {scope}/{key} can't be read: {what}") from None

    return Secrets(os.environ, scoped)
