"""`kill -9` before and after every API call and every table commit of an apply, then a rerun: nothing may tell.

A scenario is data: SQL that changes the rows, and SQL that changes them back, so that one project serves for many kill
points. What a killed and rerun apply leaves is compared with what one leaves that nobody killed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.applier import TABLE, Kill
from tests.chaos.ground import MODULES, OWN_FILE, Ground, module_names, rows_of
from tests.local_server import Site

LAG = 1.5
NO_LAG = (0.0,)
FORTH, BACK = "forth", "back"
ALL = frozenset(module_names(range(MODULES)))
NUMBERS = (0, 1, 4, 7, 8)
FIVE = module_names(NUMBERS)
"""Three of them have a saved query."""
MOVED = tuple(module.replace("m", "n") for module in FIVE)
OTHERS = ALL - set(FIVE)
BEFORE_RESULTS = Kill("commit", 2, "before")
"""All jobs are made, none is in the state: the commit after that of the intents."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is applied when the process is killed.

    Attributes:
        forth: SQL before an apply; empty where the apply is the first one.
        back: SQL before the apply after that; it brings back the rows of before.
        by_hand: modules whose jobs a person deletes before the apply.
        first: where the first apply was killed already, for a scenario that begins with a recovery.
        meanwhile: SQL between the kill and the rerun. The outcome then depends on how far it came, so only what always
            has to hold is checked.
        active: modules that must have a job after `forth`.
        plan: arguments of JobOrchestrator.plan.
        lags: seconds that lists lag behind creates; a scenario is run with each.
    """

    name: str
    forth: tuple[str, ...] = ()
    back: tuple[str, ...] = ()
    by_hand: tuple[str, ...] = ()
    first: Kill | None = None
    meanwhile: tuple[str, ...] = ()
    active: frozenset[str] = ALL
    plan: dict[str, Any] = field(default_factory=dict[str, Any])
    lags: tuple[float, ...] = (0.0, LAG)

    @property
    def is_first(self) -> bool:
        return not self.forth and not self.by_hand

    @property
    def directions(self) -> tuple[str, ...]:
        return (FORTH, BACK) if self.back else (FORTH,)


def _among(modules: Sequence[str]) -> str:
    return "module_name IN (" + ", ".join(f"'{module}'" for module in modules) + ")"


THESE = _among(FIVE)


def _move(modules: Sequence[str], old: str, new: str) -> tuple[str, ...]:
    """Give the modules other names, and say in their settings where they come from."""
    named_on = "substr(job_config, locate('\"name\"', job_config))"
    lifecycle = f"""concat('{{"lifecycle": {{"moved_from": "', module_name, '"}}, ', {named_on})"""
    named = f"module_name = replace(module_name, '{old}', '{new}')"
    return (
        f"UPDATE {TABLE} SET {named} WHERE {_among(modules)}",
        f"UPDATE {TABLE}_modules SET job_config = {lifecycle}, {named} WHERE {_among(modules)}",
    )


def _swap(table: str, column: str, old: str, new: str) -> tuple[str, ...]:
    return (f"UPDATE {table} SET {column} = replace({column}, '{old}', '{new}') WHERE {THESE}",)


CONFIG = "transformation_config"
SCENARIOS = (
    Scenario("first apply"),
    Scenario("first apply, killed twice", first=BEFORE_RESULTS),
    Scenario(
        "update",
        (*_swap(TABLE, CONFIG, "/v1/", "/v2/"), *_swap(TABLE, CONFIG, "SELECT 1", "SELECT 2")),
        (*_swap(TABLE, CONFIG, "/v2/", "/v1/"), *_swap(TABLE, CONFIG, "SELECT 2", "SELECT 1")),
    ),
    Scenario(
        "rename",
        _swap(f"{TABLE}_modules", "job_config", '"Job', '"Renamed'),
        _swap(f"{TABLE}_modules", "job_config", '"Renamed', '"Job'),
    ),
    Scenario(
        "deactivate, activate",
        (f"UPDATE {TABLE}_modules SET is_active = false WHERE {THESE}",),
        (f"UPDATE {TABLE}_modules SET is_active = true WHERE {THESE}",),
        lags=NO_LAG,
    ),
    Scenario(
        "drop saved queries, make them again",
        (f"UPDATE {TABLE} SET is_active = false WHERE {THESE} AND source_id LIKE '%_q'",),
        (f"UPDATE {TABLE} SET is_active = true WHERE {THESE} AND source_id LIKE '%_q'",),
        lags=NO_LAG,
    ),
    Scenario(
        "notebooks of one's own, and back",
        _swap(TABLE, CONFIG, '"/v1/1"', f'"{OWN_FILE}"'),
        _swap(TABLE, CONFIG, f'"{OWN_FILE}"', '"/v1/1"'),
        lags=NO_LAG,
    ),
    Scenario("deleted by hand", by_hand=FIVE),
    Scenario(
        "delete, create again",
        (f"DELETE FROM {TABLE} WHERE {THESE}", f"DELETE FROM {TABLE}_modules WHERE {THESE}"),
        rows_of(NUMBERS),
        active=OTHERS,
        plan={"prune": True},
    ),
    Scenario(
        "move to another module",
        _move(FIVE, "m", "n"),
        _move(MOVED, "n", "m"),
        active=OTHERS | set(MOVED),
        lags=NO_LAG,
    ),
    Scenario(
        "first apply, deactivated before the rerun",
        meanwhile=(f"UPDATE {TABLE}_modules SET is_active = false WHERE {THESE}",),
        active=ALL - set(FIVE),
    ),
    Scenario(
        "first apply, rows deleted before the rerun",
        meanwhile=(f"DELETE FROM {TABLE} WHERE {THESE}", f"DELETE FROM {TABLE}_modules WHERE {THESE}"),
        active=ALL - set(FIVE),
    ),
    Scenario(
        "first apply, saved queries dropped before the rerun",
        meanwhile=(f"UPDATE {TABLE} SET is_active = false WHERE {THESE} AND source_id LIKE '%_q'",),
    ),
    Scenario(
        "first apply, renamed before the rerun",
        meanwhile=_swap(f"{TABLE}_modules", "job_config", '"Job', '"Renamed'),
    ),
)


@dataclass(frozen=True, slots=True)
class Point:
    """One kill of a campaign."""

    scenario: Scenario
    direction: str
    kill: Kill
    lag: float

    def __str__(self) -> str:
        lag = f", lists lag {self.lag} s" if self.lag else ""
        return f"{self.scenario.name} ({self.direction}{lag}), killed {self.kill}"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one kill; not `reached` where the run was over before it came."""

    point: Point
    reached: bool
    problems: tuple[str, ...]
    seconds: float


@dataclass
class Course:
    """One scenario on one server: its reference, its kill points, and the project that serves for many of them."""

    scenario: Scenario
    folder: Path
    site: Site
    lag: float
    pictures: dict[str, Any] = field(default_factory=dict[str, Any])
    points: list[Point] = field(default_factory=list[Point])
    _bare: Ground | None = None
    _ground: Ground | None = None
    _side: str = BACK

    def survey(self) -> None:
        """Run it without a kill: count calls and commits, and keep what it leaves."""
        self._bare = Ground.new(self.folder, self.site, self.lag)
        self._bare.sql(*rows_of(range(MODULES)))
        for direction in self.scenario.directions:
            ground = self._begin(direction)
            self.site.forget_requests()
            report = ground.apply(**self.scenario.plan)
            calls = sum(path.startswith("/api/") for _, path in self.site.requests())
            if report.error:
                raise AssertionError(f"{self.scenario.name} ({direction}) fails without a kill: {report.error}")
            ground.wait_out_lag()
            self.pictures[direction] = ground.picture()
            self._side = direction
            numbers = [("call", nth) for nth in range(1, calls + 1)]
            numbers += [("commit", nth) for nth in range(1, report.commits + 1)]
            self.points += [
                Point(self.scenario, direction, Kill(where, nth, when), self.lag)
                for where, nth in numbers
                for when in ("before", "after")
            ]

    def run(self, point: Point) -> Result:
        """Kill, rerun, look."""
        started = time.monotonic()
        ground = self._begin(point.direction)
        self.site.forget_requests()
        report = ground.apply(point.kill, **self.scenario.plan)
        self.site.no_faults()
        ground.sql(*self.scenario.meanwhile)
        rerun = ground.settle(**self.scenario.plan)
        ground.wait_out_lag()
        problems = [each for each in (report.error, rerun.error) if each]
        problems += [f"left to do: {each}" for each in rerun.left]
        problems += ground.faults(self._active(point.direction))
        if not problems and not self.scenario.meanwhile and ground.picture() != self.pictures[point.direction]:
            problems.append("the workspace isn't what a run leaves that nobody killed")
        self._side = point.direction
        if problems or self.scenario.is_first:
            self._drop()
        return Result(point, report.killed, tuple(problems), time.monotonic() - started)

    def _active(self, direction: str) -> set[str]:
        return set(self.scenario.active if direction == FORTH else ALL)

    def _begin(self, direction: str) -> Ground:
        """The project just before the apply of this direction."""
        if self.scenario.is_first:
            assert self._bare is not None
            self._drop()
            self._ground = ground = self._bare.copy()
            if self.scenario.first is not None:
                ground.apply(self.scenario.first)
            return ground
        ground = self._applied()
        if self._side == direction and self.scenario.back:
            self._move(ground, BACK if direction == FORTH else FORTH)
            ground.apply(**self.scenario.plan)
        self._move(ground, direction)
        return ground

    def _applied(self) -> Ground:
        if self._ground is None:
            assert self._bare is not None
            self._ground = self._bare.copy()
            self._ground.apply(**self.scenario.plan)
            self._side = BACK
            time.sleep(self.lag)
        return self._ground

    def _move(self, ground: Ground, direction: str) -> None:
        ground.sql(*(self.scenario.forth if direction == FORTH else self.scenario.back))
        ground.delete_jobs(self.scenario.by_hand)

    def _drop(self) -> None:
        if self._ground is not None:
            self._ground.remove()
            self._ground = None


def in_pairs(points: Sequence[Point]) -> list[Point]:
    """Forth and back in turns, so that no kill needs a run of its own to get back."""
    return sorted(
        points, key=lambda point: (point.kill.where, point.kill.when, point.kill.nth, point.direction != FORTH)
    )


def flags(lag: float) -> tuple[str, ...]:
    """Of a server that such a campaign needs."""
    return ("--faults", "--token-per-workspace", "--list-lag", str(lag))


POINTS_IN_A_ROW = 6
"""Of one scenario in a slice: to survey a scenario costs as much as four."""


def slice_of(courses: Sequence[Course], seconds: float, seed: int) -> Iterator[Result]:
    """Kills at random, until the time is over."""
    chance, deadline = random.Random(seed), time.monotonic() + seconds
    courses = chance.sample(courses, len(courses))
    while True:
        for course in courses:
            if not course.points:
                course.survey()
            for point in chance.sample(course.points, POINTS_IN_A_ROW):
                if time.monotonic() > deadline:
                    return
                yield course.run(point)
