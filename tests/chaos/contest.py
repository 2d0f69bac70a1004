"""Several appliers at once, rows that change under them, and `kill -9` at any moment; then peace, and a look."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tests.chaos.applier import TABLE, Errand, run, started
from tests.chaos.ground import MODULES, Ground, module_names, rows_of
from tests.local_server import Site

EDIT_SECONDS = (0.05, 0.4)
KILL_SECONDS = (0.3, 1.5)
SETTINGS = {"lease_seconds": 5.0, "lock_timeout_seconds": 0.0}
EXPECTED = ("ConflictError", "LeaseLost", "ApplyError")
"""What an applier may end with while others are at it."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What happened in a contest, and what was wrong in the end."""

    appliers: int
    seconds: float
    edits: int
    kills: int
    applies: int
    problems: tuple[str, ...]


def _apply_for_ever(pipe: Connection, errand: Errand) -> None:
    while True:
        pipe.send(run(errand).error)


@dataclass
class Team:
    """The appliers that live now; one that was killed is replaced."""

    errand: Errand
    size: int
    members: list[tuple[BaseProcess, Connection]] = field(default_factory=list[tuple[BaseProcess, Connection]])
    applies: int = 0
    kills: int = 0
    odd: set[str] = field(default_factory=set[str])

    def fill(self) -> None:
        while len(self.members) < self.size:
            self.members.append(started(_apply_for_ever, self.errand))

    def listen(self) -> None:
        """Take the reports of applies that came to an end."""
        for _, pipe in self.members:
            while pipe.poll():
                try:
                    error: str = pipe.recv()
                except EOFError:
                    break
                self.applies += 1
                if error and not error.startswith(EXPECTED):
                    self.odd.add(error)

    def kill(self, chance: random.Random) -> None:
        """End one of them as `kill -9` does."""
        self.listen()
        process, pipe = self.members.pop(chance.randrange(len(self.members)))
        if process.exitcode is not None:
            self.odd.add(f"an applier ended by itself with {process.exitcode}")
        process.kill()
        process.join()
        if process.exitcode == -signal.SIGKILL:
            self.kills += 1
        pipe.close()


def _edits(chance: random.Random) -> str:
    """One random statement on the rows."""
    module = chance.choice(module_names(range(MODULES)))
    number = chance.randrange(1000)
    where = f"WHERE module_name = '{module}'"
    choices: Sequence[Callable[[], str]] = (
        lambda: (
            f"UPDATE {TABLE} SET transformation_config = "
            f"regexp_replace(transformation_config, '/v[0-9]+/', '/v{number}/') {where}"
        ),
        lambda: (
            f"UPDATE {TABLE} SET transformation_config = "
            f"regexp_replace(transformation_config, 'SELECT [0-9]+', 'SELECT {number}') {where}"
        ),
        lambda: (
            f"UPDATE {TABLE}_modules SET job_config = "
            f'regexp_replace(job_config, \'"name": "[^"]*"\', \'"name": "Job {module} {number}"\') {where}'
        ),
        lambda: f"UPDATE {TABLE} SET is_active = NOT is_active {where} AND source_id LIKE '%_q'",
        lambda: f"UPDATE {TABLE}_modules SET is_active = NOT is_active {where}",
    )
    return chance.choice(choices)()


def contest(folder: Path, site: Site, appliers: int, seconds: float, seed: int) -> Tally:
    """Let so many appliers compete for so long; then apply once more in peace, and look."""
    chance, started_at = random.Random(seed), time.monotonic()
    ground = Ground.new(folder, site)
    ground.sql(*rows_of(range(MODULES)))
    team = Team(ground.errand(settings=SETTINGS), appliers)
    edits = 0
    next_edit = next_kill = deadline = started_at
    deadline += seconds
    while (now := time.monotonic()) < deadline:
        team.fill()
        team.listen()
        if now >= next_edit:
            ground.sql(_edits(chance))
            edits += 1
            next_edit = now + chance.uniform(*EDIT_SECONDS)
        if now >= next_kill:
            team.kill(chance)
            next_kill = now + chance.uniform(*KILL_SECONDS)
        time.sleep(0.01)
    while team.members:
        team.kill(chance)
    problems = (*sorted(team.odd), *_in_peace(ground))
    return Tally(appliers, time.monotonic() - started_at, edits, team.kills, team.applies, problems)


def _in_peace(ground: Ground) -> list[str]:
    """What is wrong after one last apply: it has to leave what the rows say, and nothing else."""
    last = ground.settle()
    problems = [last.error] if last.error else []
    problems += [f"left to do: {each}" for each in last.left]
    rows = ground.manager.sql(f"SELECT module_name, is_active FROM {TABLE}_modules")
    active = {row["module_name"] for row in rows if row["is_active"]}
    problems += ground.faults(active)
    twin = ground.copy()
    twin.forget_state()
    fresh = twin.apply()
    if fresh.error:
        return [*problems, f"the twin fails: {fresh.error}"]
    wanted, found = _by_name(twin), _by_name(ground)
    problems += [f"{name} isn't as its rows say" for name in wanted if wanted[name] != found.get(name)]
    firing = [name for name, job in found.items() if name not in wanted and job["schedule"]["pause_status"] != "PAUSED"]
    return problems + [f"{name} is inactive but fires" for name in firing]


def _by_name(ground: Ground) -> dict[str, dict[str, Any]]:
    return {job["name"]: job for job in ground.picture()["jobs"]}
