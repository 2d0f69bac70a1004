"""The states that runs pass through, with the codes and the words that the API has for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lakeflow_job_meta.local.runs.dag import Outcome
from lakeflow_job_meta.local.runs.record import LifeCycle, Phase

BLOCKED = Phase(LifeCycle.BLOCKED)
PENDING = Phase(LifeCycle.PENDING)
RUNNING = Phase(LifeCycle.RUNNING)
TERMINATING = Phase(LifeCycle.TERMINATING)
WAITING = Phase(LifeCycle.WAITING_FOR_RETRY)

CODES: Mapping[Outcome, str] = {
    Outcome.SUCCESS: "SUCCESS",
    Outcome.SUCCESS_WITH_FAILURES: "SUCCESS_WITH_FAILURES",
    Outcome.FAILED: "RUN_EXECUTION_ERROR",
    Outcome.TIMEDOUT: "CANCELED",  # "by the Databricks platform; for example, if the maximum run duration was exceeded"
    Outcome.CANCELED: "USER_CANCELED",
    Outcome.EXCLUDED: "SKIPPED",
    Outcome.UPSTREAM_FAILED: "SKIPPED",
    Outcome.UPSTREAM_CANCELED: "SKIPPED",
    Outcome.DISABLED: "DISABLED",
    Outcome.MAXIMUM_CONCURRENT_RUNS_REACHED: "MAX_CONCURRENT_RUNS_EXCEEDED",
}
MESSAGES: Mapping[Outcome, str] = {
    Outcome.FAILED: "Workload failed, see run output for details",
    Outcome.TIMEDOUT: "Run timed out.",
    Outcome.CANCELED: "Run cancelled by user",
    Outcome.EXCLUDED: "The run was skipped because the necessary conditions were not met.",
    Outcome.UPSTREAM_FAILED: "An upstream task failed.",
    Outcome.UPSTREAM_CANCELED: "An upstream task was canceled.",
    Outcome.DISABLED: "The run was skipped because the task, or one that it needs, is disabled.",
}
LOST = "The embedded workspace ended while this run was under way: what became of it is unknown. Repair it to go on."
STATES: Mapping[LifeCycle, str] = {
    LifeCycle.WAITING_FOR_RETRY: "WAITING",
    LifeCycle.SKIPPED: "TERMINATED",
    LifeCycle.INTERNAL_ERROR: "TERMINATED",
}
"""Where `status.state` has another word than `state.life_cycle_state`."""
GOOD_CODES = frozenset({"SUCCESS", "SUCCESS_WITH_FAILURES", "USER_CANCELED", "DISABLED"})
"""The termination codes of type SUCCESS."""


def ended(outcome: Outcome, message: str = "", code: str = "") -> Phase:
    """The phase of what ran and ended so."""
    return Phase(LifeCycle.TERMINATED, outcome, message or MESSAGES.get(outcome, ""), code or CODES[outcome])


def unrun(outcome: Outcome, message: str = "") -> Phase:
    """The phase of what never ran."""
    return replace(ended(outcome, message), life_cycle=LifeCycle.SKIPPED)


def lost(message: str = LOST) -> Phase:
    """The phase of what nobody knows the end of."""
    return Phase(LifeCycle.INTERNAL_ERROR, Outcome.FAILED, message, "INTERNAL_ERROR")


def queued(most: int) -> Phase:
    """The phase of a run that waits for others of its job."""
    message = f"Queued due to reaching maximum concurrent runs of {most}."
    return Phase(LifeCycle.QUEUED, None, message, "MAX_CONCURRENT_RUNS_REACHED")


def too_many(most: int) -> Phase:
    """The phase of a run that found as many others of its job as there may be."""
    return unrun(
        Outcome.MAXIMUM_CONCURRENT_RUNS_REACHED,
        f"Run skipped because the job's maximum of {most} concurrent runs was reached.",
    )


def termination_type(phase: Phase) -> str:
    """Whose doing an end was, as the API tells it."""
    if phase.code == "INTERNAL_ERROR":
        return "INTERNAL_ERROR"
    return "SUCCESS" if phase.code in GOOD_CODES or phase.result is Outcome.EXCLUDED else "CLIENT_ERROR"
