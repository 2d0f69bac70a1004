"""Tasks of kinds that nothing here can carry out: a failure that says so, or a success that did nothing."""

from __future__ import annotations

from dataclasses import dataclass

from lakeflow_job_meta.local.tasks.order import Ending, Execution, TaskOrder, TaskResult

SKIPPED = "Nothing was run: the embedded workspace can't run a {}, and was started with --stub-unsupported."
REFUSED = "The embedded workspace can't run a {}. Start it with --stub-unsupported to let such tasks pass."


@dataclass(frozen=True, slots=True)
class _Ended:
    result: TaskResult

    def wait(self) -> TaskResult:
        return self.result

    def cancel(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Unsupported:
    """Carries out nothing.

    Args:
        stub: whether that counts as a success.
    """

    stub: bool

    def start(self, order: TaskOrder) -> Execution:
        """Ended at once."""
        message = (SKIPPED if self.stub else REFUSED).format(order.kind)
        if self.stub:
            return _Ended(TaskResult(Ending.SUCCESS, message, {"info": message}))
        return _Ended(TaskResult(Ending.FAILED, message, error=message))
