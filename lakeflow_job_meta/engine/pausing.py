"""The pause of a job, which belongs to the job and not to what fires it. Pure."""

from __future__ import annotations

from typing import Any

from lakeflow_job_meta.model.job import Settings, mapping

FIRES = ("schedule", "trigger", "continuous")
PAUSED, UNPAUSED = "PAUSED", "UNPAUSED"


def fired_by(settings: Settings) -> str | None:
    """What fires the job by itself: schedule, trigger, continuous, or None."""
    return next((kind for kind in FIRES if settings.get(kind) is not None), None)


def is_paused(settings: Settings) -> bool:
    """Whether something would fire the job if it weren't paused."""
    kind = fired_by(settings)
    return kind is not None and settings[kind].get("pause_status") == PAUSED


def with_pause(settings: Settings, status: str) -> dict[str, Any]:
    """The settings with this pause status; unchanged where nothing fires the job."""
    kind = fired_by(settings)
    return dict(settings) if kind is None else {**settings, kind: {**settings[kind], "pause_status": status}}


def carry_pause(merged: Settings, observed: Settings, desired: Settings, owned: Settings) -> dict[str, Any]:
    """An operator's pause survives a change of what fires the job, unless the metadata says otherwise, or had paused
    the job itself."""
    kind, before = fired_by(merged), fired_by(observed)
    if "pause_status" in mapping(owned.get(before or "")):
        return dict(merged)
    says = mapping(desired.get(kind or ""))
    if kind is None or kind == before or "pause_status" in says or not is_paused(observed):
        return dict(merged)
    return with_pause(merged, PAUSED)
