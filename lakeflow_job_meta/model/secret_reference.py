"""References to secrets: `env:NAME` and `{{secrets/scope/key}}`. Metadata hold these only, never a secret itself."""

from __future__ import annotations

import re
from dataclasses import dataclass

FORMS = "env:NAME, or {{secrets/scope/key}}"
"""How a reference may be written, for hints."""

NAME = r"[A-Za-z0-9_.@-]{1,128}"
IN_ENVIRONMENT = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")
IN_WORKSPACE = re.compile(rf"\{{\{{\s*secrets/({NAME})/({NAME})\s*\}}\}}")


@dataclass(frozen=True, slots=True)
class SecretReference:
    """Where a secret is: a variable of the environment, or a scope and a key of the workspace."""

    variable: str = ""
    scope: str = ""
    key: str = ""

    @classmethod
    def parse(cls, text: str) -> SecretReference | None:
        """Read a reference; None where the text is none, and perhaps the secret itself: it mustn't be quoted then.

        >>> SecretReference.parse("env:API_TOKEN"), SecretReference.parse("hunter2")
        (SecretReference(variable='API_TOKEN', scope='', key=''), None)
        >>> str(SecretReference.parse("{{ secrets/jira/token }}"))
        '{{secrets/jira/token}}'
        """
        if found := IN_ENVIRONMENT.fullmatch(text):
            return cls(variable=found[1])
        if found := IN_WORKSPACE.fullmatch(text):
            return cls(scope=found[1], key=found[2])
        return None

    def __str__(self) -> str:
        return f"env:{self.variable}" if self.variable else f"{{{{secrets/{self.scope}/{self.key}}}}}"
