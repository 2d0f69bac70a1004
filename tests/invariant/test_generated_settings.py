"""What holds for any settings that the service accepts: drawn at random, many modules at once, three versions each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import pytest

from lakeflow_job_meta.engine.diff import changes, entry_key
from lakeflow_job_meta.engine.identity import TAG
from lakeflow_job_meta.engine.rules import FieldRule, Shape, load_rules
from lakeflow_job_meta.model.plan import MISSING
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.store.delta import DeltaStore
from tests.conftest import TABLE, Project
from tests.invariant.generated_settings import Declared, history

BATCHES = [range(first, first + 25) for first in range(0, 75, 25)]
STEPS = 3
RULES = load_rules()

batches = pytest.mark.parametrize("seeds", BATCHES, ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}")


def declare(project: Project, modules: Mapping[str, Declared]) -> None:
    """Make the rows say just this."""
    rows = [
        f"('{source}', '{module}', 'd', {order}, '{{}}', '{{}}', {literal({'task': task})}, true)"
        for module, declared in modules.items()
        for source, (order, task) in declared.tasks.items()
    ]
    configs = [f"('{module}', {literal(declared.job_config)})" for module, declared in modules.items()]
    project.sql(
        f"DELETE FROM {TABLE}; DELETE FROM {TABLE}_modules; INSERT INTO {TABLE} VALUES {', '.join(rows)};"
        f"INSERT INTO {TABLE}_modules (module_name, job_config) VALUES {', '.join(configs)}"
    )


def literal(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"


def apply(project: Project) -> None:
    orchestrator = project.orchestrator
    orchestrator.apply(orchestrator.plan(), allow_disruptive=True)


def versions(seeds: range) -> list[dict[str, Declared]]:
    """What the modules of these seeds declare, one after the other."""
    return [
        dict(zip((f"seed {seed}" for seed in seeds), each, strict=True))
        for each in zip(*(history(seed, STEPS) for seed in seeds), strict=True)
    ]


def jobs(project: Project) -> dict[str, Any]:
    """The settings of all jobs by name, without our tag."""
    found = {job["settings"]["name"]: job["settings"] for job in project.raw_jobs()}
    for settings in found.values():
        settings["tags"].pop(TAG)
    return found


def essence(value: Any, shape: Shape = ()) -> Any:
    """Settings without what means nothing: empty values, documented defaults, the order of keyed lists."""
    rule = RULES.at(shape)
    if isinstance(value, dict):
        inner = {name: essence(each, (*shape, name)) for name, each in value.items()}
        kept = {name: each for name, each in inner.items() if each is not MISSING}
        # That a choice is there is what it says.
        return kept if kept or rule.union_choice or not shape else MISSING
    if isinstance(value, list) and value:
        return [essence(each, (*shape, "*")) for each in in_order(value, rule)]
    empty = value == [] or (rule.has_default and value == rule.default)
    return MISSING if empty else value


def in_order(entries: list[Any], rule: FieldRule) -> list[Any]:
    return entries if rule.list_key is None else sorted(entries, key=lambda each: entry_key(each, rule))


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    assert one.keys() == other.keys()
    return [
        f"{name}: {change.path}: {change.old!r} → {change.new!r}"
        for name in one
        for change in changes(essence(one[name]), essence(other[name]), RULES)
    ]


def planned(project: Project, *, refresh: bool = True) -> list[str]:
    return [
        f"{action.module}: {action.reason}: {', '.join(map(str, action.changes))}"
        for action in project.orchestrator.plan(refresh=refresh).effective
    ]


def elsewhere(project: Project, home: Path) -> Project:
    """A second project, which knows nothing of the first."""
    settings = Settings(TABLE, home, list_lag_seconds=0.5)
    made = Project(home, project.site, project.site.client(uuid4().hex), settings, DeltaStore(home))
    made.manager.ensure_exists()
    return made


@batches
def test_applying_then_planning_finds_nothing_and_applying_again_sends_no_write(project: Project, seeds: range) -> None:
    for modules in versions(seeds):
        declare(project, modules)
        apply(project)
        assert planned(project, refresh=True) == []
        assert planned(project, refresh=False) == []
        project.writes()
        apply(project)
        assert project.writes() == []


@batches
def test_a_job_changed_in_place_is_like_one_made_anew(project: Project, tmp_path: Path, seeds: range) -> None:
    for modules in versions(seeds):
        declare(project, modules)
        apply(project)
    anew = elsewhere(project, tmp_path / "anew")
    declare(anew, versions(seeds)[-1])
    apply(anew)
    assert differences(jobs(project), jobs(anew)) == []


@batches
def test_the_order_of_keyed_lists_in_the_rows_means_nothing(project: Project, seeds: range) -> None:
    modules = versions(seeds)[0]
    declare(project, modules)
    apply(project)
    project.writes()
    before = jobs(project)
    rng = Random(seeds[0])
    declare(project, {name: declared.shuffled(rng) for name, declared in modules.items()})
    assert [action.changes for action in project.orchestrator.plan().effective if action.changes] == []
    apply(project)
    assert project.writes() == []
    assert jobs(project) == before
