"""Every error class of the package, with its exit code and its hint.

An error says what happened and what to do. Secrets and bodies of requests never go into a message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from lakeflow_job_meta.diagnostics import Diagnostic


class LakeflowJobMetaError(Exception):
    """The base of all: a message for people, a hint on how to mend it, an exit code for scripts."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class InputError(LakeflowJobMetaError):
    """What the user declared can't be used; `diagnostics` holds every finding, not just the first."""

    exit_code = 1

    def __init__(self, message: str, *, diagnostics: Sequence[Diagnostic] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.diagnostics = tuple(diagnostics)

    def __str__(self) -> str:
        return "\n".join([self.message, *(f"  {each}" for each in self.diagnostics)]) + (
            f"\n  hint: {self.hint}" if self.hint else ""
        )


class SqlError(InputError):
    """A SQL statement that can't be run as written; nothing of that statement was applied."""


class UsageError(LakeflowJobMetaError):
    """The call itself is wrong: arguments that don't go together, a missing setting."""

    exit_code = 2


class ConflictError(LakeflowJobMetaError):
    """Somebody else was faster: a stale plan, a lease held by another, a write that kept losing its race.

    `holder` says who, where it is the lease.
    """

    exit_code = 3
    holder: str = ""


class LeaseLost(ConflictError):
    """Somebody else took over while we worked: what we had not recorded yet is theirs to finish."""


class StoreError(LakeflowJobMetaError):
    """The store can't be read or written."""

    exit_code = 4


class TableNotFound(StoreError):
    """The table doesn't exist in this store."""


class DatabaseError(LakeflowJobMetaError):
    """A source or a destination of a pipeline can't be reached, read or written."""

    exit_code = 4


class WorkspaceError(LakeflowJobMetaError):
    """The workspace refused or could not be reached."""

    exit_code = 4

    def __init__(self, message: str, *, hint: str = "", status: int = 0, error_code: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.error_code = error_code


class NotFound(WorkspaceError):
    """The workspace says that the thing does not exist."""


class Denied(WorkspaceError):
    """The workspace says that we may not; says nothing about whether the thing exists."""


class Throttled(WorkspaceError):
    """The workspace kept asking us to slow down; `retry_after` is what it asked for, in seconds."""

    retry_after: float | None = None


class Unreachable(WorkspaceError):
    """No answer: whether the call had its effect is unknown."""


class NotKept(WorkspaceError):
    """The workspace took an update and changed it back by itself."""


class ApplyError(LakeflowJobMetaError):
    """Some modules failed; all the others are done.

    `failures` maps module to what went wrong; `outcomes` are those (model.plan.Outcome) of all actions that were tried.
    `runs` are the ids of the runs that auto_run started all the same, by module.
    """

    exit_code = 4

    def __init__(
        self,
        message: str,
        *,
        failures: dict[str, str] | None = None,
        outcomes: Sequence[Any] = (),
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.failures = dict(failures or {})
        self.outcomes = tuple(outcomes)
        self.runs: dict[str, int] = {}

    def __str__(self) -> str:
        lines = [self.message, *(f"  {module}: {reason}" for module, reason in sorted(self.failures.items()))]
        return "\n".join(lines) + (f"\n  hint: {self.hint}" if self.hint else "")


class RunFailed(LakeflowJobMetaError):
    """A run that was waited for ended without success."""

    exit_code = 4
