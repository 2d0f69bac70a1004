"""References to secrets: `env:NAME` and `{{secrets/scope/key}}`. A file holds these only, never a secret itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lakeflow_job_meta.errors import InputError

ENVIRONMENT = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")
SCOPED = re.compile(r"\{\{secrets/([\w.@-]{1,128})/([\w.@-]{1,128})\}\}")

FORMS = "env:NAME, or {{secrets/scope/key}}"


def is_reference(text: str) -> bool:
    """Whether a text names a secret, and holds none.

    >>> is_reference("env:API_TOKEN"), is_reference("{{secrets/jira/token}}"), is_reference("hunter2")
    (True, True, False)
    """
    return bool(ENVIRONMENT.fullmatch(text) or SCOPED.fullmatch(text))


@dataclass(frozen=True, slots=True)
class Secrets:
    """Looks references up.

    Args:
        environment: variables by name.
        scoped: asks the workspace for the value of (scope, key).
    """

    environment: Mapping[str, str]
    scoped: Callable[[str, str], str]

    def value(self, reference: str) -> str:
        """What a reference stands for.

        Raises:
            InputError: it stands for nothing; the message names the reference, never a value.
        """
        if found := ENVIRONMENT.fullmatch(reference):
            value = self.environment.get(found[1], "")
            if not value:
                raise InputError(
                    f"the variable {found[1]} is not set",
                    hint=f"set it, or name a secret of the workspace: {{{{secrets/scope/{found[1].lower()}}}}}",
                )
            return value
        if found := SCOPED.fullmatch(reference):
            return self.scoped(found[1], found[2])
        raise InputError("a secret is written out, where a reference is expected", hint=f"write {FORMS}")

    def plain(self, text: str) -> str:
        """The value of a reference, and any other text as it is."""
        return self.value(text) if is_reference(text) else text
