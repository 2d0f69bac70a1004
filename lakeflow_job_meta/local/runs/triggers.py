"""Whether a job's trigger fires: pure decisions over what was known of it, what is seen now, and the time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from lakeflow_job_meta.local.runs.fire_times import next_fire

LATE_MS = 60_000
"""A fire that came due while nobody served is made up for so long, and once; an older one is left out."""
UNITS_MS = {"HOURS": 3_600_000, "DAYS": 86_400_000, "WEEKS": 604_800_000}
FIRST_BACK_OFF_MS, LONGEST_BACK_OFF_MS = 1_000, 300_000
FILES, TABLES = ("file_arrival",), ("table_update", "table")


@dataclass(frozen=True, slots=True)
class Trigger:
    """What starts a job: its kind, its settings, and what the API calls the runs that it starts."""

    kind: str
    settings: Mapping[str, Any]
    word: str

    @property
    def key(self) -> str:
        """Tells whether it is still the same trigger."""
        return json.dumps([self.kind, self.settings], sort_keys=True)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a trigger; kept, so that a restart neither forgets nor doubles a fire.

    `since_ms` is when it was first seen so, `last_ms` when it last fired or was looked past; `seen` what a watched
    thing was when it last fired (files by path, tables by version), `latest` what it was at the last look, and
    `changed_ms` when that last changed. `failures` counts a continuous job's failed runs in a row.
    """

    key: str
    since_ms: int
    last_ms: int = 0
    seen: Mapping[str, Any] = field(default_factory=dict[str, Any])
    latest: Mapping[str, Any] = field(default_factory=dict[str, Any])
    changed_ms: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Fire:
    """A run that is to start; `due_ms` names it, so that it starts once."""

    due_ms: int
    info: Mapping[str, Any] = field(default_factory=dict[str, Any])


Decision = tuple[Known, Fire | None]


def trigger_of(settings: Mapping[str, Any]) -> Trigger | None:
    """The trigger of a job that isn't paused, if it has one."""
    for name, word in (("schedule", "PERIODIC"), ("continuous", "CONTINUOUS")):
        if (found := settings.get(name)) is not None:
            return None if found.get("pause_status") == "PAUSED" else Trigger(name, found, word)
    trigger: Mapping[str, Any] = settings.get("trigger") or {}
    if trigger.get("pause_status") == "PAUSED":
        return None
    for kinds, word in ((("periodic",), "PERIODIC"), (FILES, "FILE_ARRIVAL"), (TABLES, "TABLE")):
        for kind in kinds:
            if kind in trigger:
                return Trigger(kind, trigger[kind], word)
    return None


def first_known(trigger: Trigger, seen: Mapping[str, Any], now_ms: int) -> Known:
    """A trigger seen for the first time, or changed, or resumed: what was before doesn't count."""
    return Known(trigger.key, now_ms, seen=seen, latest=seen)


def decide(trigger: Trigger, known: Known, seen: Mapping[str, Any], now_ms: int) -> Decision:
    """What is known of a trigger now, and the run that it starts, if it fires.

    Args:
        trigger: as it is in the job's settings.
        known: from the last look.
        seen: what it watches: files by path, tables by version; `active` for a continuous job that has a run under way.
        now_ms: the time.
    """
    if trigger.kind == "schedule":
        return _scheduled(trigger, known, now_ms)
    if trigger.kind == "periodic":
        return _periodic(trigger, known, now_ms)
    if trigger.kind == "continuous":
        return _continuous(known, seen, now_ms)
    return _watched(trigger, known, seen, now_ms)


def _scheduled(trigger: Trigger, known: Known, now_ms: int) -> Decision:
    # Of several that came due since, the last one fires, and it alone.
    after = max(known.since_ms, known.last_ms, now_ms - LATE_MS)
    due = 0
    while (found := _next(trigger, due or after)) is not None and found <= now_ms:
        due = found
    return (replace(known, last_ms=due), Fire(due, {"time_ms": due})) if due else (known, None)


def _next(trigger: Trigger, after_ms: int) -> int | None:
    moment = datetime.fromtimestamp(after_ms / 1000, UTC)
    found = next_fire(trigger.settings["quartz_cron_expression"], trigger.settings["timezone_id"], moment)
    return None if found is None else int(found.timestamp() * 1000)


def _periodic(trigger: Trigger, known: Known, now_ms: int) -> Decision:
    step = int(trigger.settings.get("interval", 1)) * UNITS_MS[trigger.settings.get("unit", "HOURS")]
    due = known.since_ms + (now_ms - known.since_ms) // step * step
    if due <= max(known.since_ms, known.last_ms):
        return known, None
    known = replace(known, last_ms=due)
    return (known, Fire(due, {"time_ms": due})) if now_ms - due <= LATE_MS else (known, None)


def _continuous(known: Known, seen: Mapping[str, Any], now_ms: int) -> Decision:
    if seen.get("active"):
        return known, None
    wait = min(FIRST_BACK_OFF_MS * 2**known.failures, LONGEST_BACK_OFF_MS) if known.failures else 0
    if now_ms < known.last_ms + wait:
        return known, None
    return replace(known, last_ms=now_ms), Fire(now_ms)


def _watched(trigger: Trigger, known: Known, seen: Mapping[str, Any], now_ms: int) -> Decision:
    if seen != known.latest:
        known = replace(known, latest=dict(seen), changed_ms=now_ms)
    news = [name for name, value in seen.items() if name not in known.seen or known.seen[name] != value]
    if not news or (trigger.settings.get("condition") == "ALL_UPDATED" and len(news) < len(seen)):
        return known, None
    quiet = int(trigger.settings.get("wait_after_last_change_seconds", 0)) * 1000
    pause = int(trigger.settings.get("min_time_between_triggers_seconds", 0)) * 1000
    if now_ms < known.changed_ms + quiet or (known.last_ms and now_ms < known.last_ms + pause):
        return known, None
    info = {"file_arrival": {"location": trigger.settings["url"]}} if trigger.kind in FILES else {}
    return replace(known, seen=dict(seen), last_ms=now_ms), Fire(now_ms, info)
