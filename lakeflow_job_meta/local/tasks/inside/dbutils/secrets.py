"""`dbutils.secrets`: the workspace's secrets; whoever reads one has it, but no output shows it."""

from __future__ import annotations

from dataclasses import dataclass

from lakeflow_job_meta.local.tasks.inside.report import Report
from lakeflow_job_meta.local.tasks.inside.workspace import Workspace
from lakeflow_job_meta.local.tasks.redactor import Redactor

List = list  # `list` is one of its methods


@dataclass(frozen=True, slots=True)
class SecretMetadata:
    """A secret's name."""

    key: str


@dataclass(frozen=True, slots=True)
class SecretScope:
    """A scope's name."""

    name: str


class Secrets:
    """Secrets.

    Args:
        workspace: whose; redactor: what hides them in outputs; report: where is told which were read.
    """

    def __init__(self, workspace: Workspace, redactor: Redactor, report: Report) -> None:
        self._report = report
        self._workspace = workspace
        self._redactor = redactor

    def get(self, scope: str, key: str) -> str:
        """A secret as text."""
        return self.getBytes(scope, key).decode()

    def getBytes(self, scope: str, key: str) -> bytes:
        """A secret as bytes."""
        value = self._workspace.secret(scope, key)
        self._redactor.hide(value.decode(errors="replace"))
        self._report.secret(scope, key)
        return value

    def list(self, scope: str) -> List[SecretMetadata]:
        """The names of a scope's secrets."""
        return [SecretMetadata(key) for key in self._workspace.secret_keys(scope)]

    def listScopes(self) -> List[SecretScope]:
        """The names of all scopes."""
        return [SecretScope(name) for name in self._workspace.scopes()]
