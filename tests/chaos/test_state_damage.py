"""State and rows that were damaged by hand: recovered by tags, or refused with a reason; never a second job."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta import ApplyError, ConflictError, InputError
from lakeflow_job_meta.engine.identity import TAG
from lakeflow_job_meta.errors import LakeflowJobMetaError, StoreError
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.store.delta import DeltaStore
from tests.conftest import TABLE, Project
from tests.local_server import Site, running_server

MODULES = ("a", "b", "c")
JOBS = f"{TABLE}_jobs"
SQL = {"task_type": "sql_query", "sql_task": {"warehouse_id": "w1", "sql_query": "SELECT 1"}}


def apply(project: Project, **plan: Any) -> list[str]:
    """What it did, by module."""
    orchestrator = project.orchestrator
    return [str(each.action.kind) for each in orchestrator.apply(orchestrator.plan(**plan))]


def filled(project: Project) -> dict[str, int]:
    """Three modules, applied; ids of their jobs."""
    for module in MODULES:
        project.add(f"{module}1", module)
    project.add("a2", "a", config=SQL)
    apply(project)
    return ids(project)


def ids(project: Project) -> dict[str, int]:
    """Job ids by module, as the workspace tells; fails where two jobs have one name."""
    jobs = project.raw_jobs()
    found = {job["settings"]["name"].rpartition("_")[2]: job["job_id"] for job in jobs}
    assert len(found) == len(jobs), "a job was made twice"
    return found


def bump(project: Project, version: int) -> None:
    project.sql(
        f"UPDATE {TABLE} SET transformation_config = "
        f"regexp_replace(transformation_config, '/etl[0-9]*/', '/etl{version}/')"
    )


def settled(project: Project) -> bool:
    return project.orchestrator.plan().empty and not project.orchestrator.plan().failed


@pytest.mark.parametrize(
    "damage",
    [
        f"DELETE FROM {JOBS}",
        f"DELETE FROM {JOBS} WHERE module_name <> '$lease'",
        f"DROP TABLE {JOBS}",
        f"RESTORE TABLE {JOBS} TO VERSION AS OF 0",
        f"DELETE FROM {JOBS} WHERE module_name = 'b'",
        f"UPDATE {JOBS} SET nonce = NULL, fingerprint = NULL",
    ],
)
@pytest.mark.parametrize("edited", [False, True])
@pytest.mark.parametrize("refresh", [True, False])
def test_a_state_that_was_lost_is_found_again_by_tags(
    project: Project, damage: str, *, edited: bool, refresh: bool
) -> None:
    before = filled(project)
    project.sql(damage)
    project.orchestrator.ensure_setup()
    if edited:
        bump(project, 2)
    apply(project, refresh=refresh)
    assert ids(project) == before
    assert settled(project)
    assert len(list(project.client.queries.list())) == 1


@pytest.mark.parametrize("refresh", [True, False])
def test_a_lost_row_of_a_job_that_is_renamed_too_leads_to_no_second_job(project: Project, *, refresh: bool) -> None:
    before = filled(project)
    project.sql(f"DELETE FROM {JOBS} WHERE module_name = 'b'")
    project.job_config("b", name="another_name_b")
    apply(project, refresh=refresh)
    assert ids(project) == before
    assert settled(project)


def test_a_new_module_costs_no_sweep_while_the_state_is_as_it_was_left(project: Project) -> None:
    filled(project)
    project.add("d1", "d")
    project.site.forget_requests()
    apply(project, refresh=False)
    listed = [path for method, path in project.site.requests() if path.endswith("/jobs/list")]
    assert len(listed) == 1, "by its name, just before it is made"


def test_a_state_from_the_middle_of_an_apply_waits_for_its_lease_and_goes_on(project: Project) -> None:
    before = filled(project)
    project.sql(f"RESTORE TABLE {JOBS} TO VERSION AS OF 1")
    with pytest.raises(ConflictError, match="holds the lease"):
        apply(project)
    project.orchestrator.release_lease()
    apply(project)
    assert ids(project) == before
    assert settled(project)


def test_a_state_from_before_an_update_is_caught_up_with(project: Project) -> None:
    before = filled(project)
    version = project.versions()[JOBS]
    bump(project, 2)
    apply(project)
    project.sql(f"RESTORE TABLE {JOBS} TO VERSION AS OF {version}")
    apply(project)
    assert ids(project) == before
    assert settled(project)


def test_a_state_from_before_a_job_was_made_again_leads_to_no_third_one(project: Project) -> None:
    before = filled(project)
    version = project.versions()[JOBS]
    project.client.jobs.delete(before["a"])
    apply(project)
    again = ids(project)
    project.sql(f"RESTORE TABLE {JOBS} TO VERSION AS OF {version}")
    try:
        apply(project)
        assert settled(project)
    except ApplyError as error:
        assert str(again["a"]) in error.failures["a"]
    assert ids(project) == again


def test_another_modules_job_id_in_the_state_is_refused(project: Project) -> None:
    before = filled(project)
    project.sql(f"UPDATE {JOBS} SET job_id = {before['b']} WHERE module_name = 'a'")
    bump(project, 2)
    with pytest.raises(ApplyError) as raised:
        apply(project)
    assert list(raised.value.failures) == ["a"]
    assert ids(project) == before
    paths = {job["settings"]["tasks"][0]["notebook_task"]["notebook_path"] for job in project.raw_jobs()}
    assert {"/etl/a1", "/etl2/b1", "/etl2/c1"} <= paths


def test_somebody_elses_job_id_in_the_state_is_refused(project: Project) -> None:
    filled(project)
    theirs = {"name": "theirs", "tasks": project.raw_jobs()[0]["settings"]["tasks"]}
    job_id = project.client.api_client.do("POST", "/api/2.2/jobs/create", body=theirs)["job_id"]
    before, number = project.raw_job(job_id), len(project.raw_jobs())
    project.sql(f"UPDATE {JOBS} SET job_id = {job_id} WHERE module_name = 'a'")
    bump(project, 2)
    with pytest.raises(ApplyError) as raised:
        apply(project)
    assert str(job_id) in raised.value.failures["a"]
    assert project.raw_job(job_id) == before
    assert len(project.raw_jobs()) == number


@pytest.mark.parametrize("also_modules", [False, True])
@pytest.mark.parametrize("prune", [False, True])
def test_a_control_table_that_was_emptied_stops_the_run(project: Project, *, also_modules: bool, prune: bool) -> None:
    before = filled(project)
    project.job_config("a", timeout_seconds=60)
    apply(project)
    project.sql(f"DELETE FROM {TABLE}")
    if also_modules:
        project.sql(f"DELETE FROM {TABLE}_modules")
    with pytest.raises(InputError, match="no rows"):
        apply(project, prune=prune)
    assert ids(project) == before


def test_a_control_table_that_was_dropped_and_made_again_does_not_touch_the_old_ones_jobs(project: Project) -> None:
    before = filled(project)
    project.sql(f"DROP TABLE {TABLE}")
    with pytest.raises(LakeflowJobMetaError):
        apply(project)
    project.manager.ensure_exists()
    for module in MODULES:
        project.add(f"{module}1", module)
    with pytest.raises(LakeflowJobMetaError):
        apply(project)
    assert ids(project) == before


def test_a_clone_made_in_the_ui_is_left_alone_when_its_original_is_deleted(project: Project) -> None:
    before = filled(project)
    settings = project.raw_job(before["a"])["settings"]
    clone = {**settings, "name": "Copy of a_clone", "tags": settings["tags"]}
    made = project.client.api_client.do("POST", "/api/2.2/jobs/create", body=clone)["job_id"]
    assert settled(project)
    project.client.jobs.delete(before["a"])
    bump(project, 2)
    apply(project)
    assert project.raw_job(made)["settings"]["tasks"] == settings["tasks"]
    assert project.raw_job(made)["settings"]["tags"] == settings["tags"]
    after = ids(project)
    assert after["a"] not in (before["a"], made)
    assert settled(project)


def test_a_clone_of_the_same_name_is_left_alone_too(project: Project) -> None:
    before = filled(project)
    settings = project.raw_job(before["a"])["settings"]
    made = project.client.api_client.do("POST", "/api/2.2/jobs/create", body=settings)["job_id"]
    project.client.jobs.delete(before["a"])
    apply(project)
    assert project.raw_job(made)["settings"] == settings
    assert settled(project)


@pytest.fixture
def neighbour(project: Project, tmp_path: Path, site: Site) -> Project:
    """Another home with a control table of the same name, in the same workspace."""
    home = tmp_path / "neighbour"
    made = Project(home, site, project.client, replace(project.settings, home=home), DeltaStore(home))
    made.manager.ensure_exists()
    return made


def owners(project: Project) -> dict[int, str]:
    return {job["job_id"]: job["settings"]["tags"][TAG].split(".")[0] for job in project.raw_jobs()}


def test_two_owners_with_equal_modules_never_touch_each_others_jobs(project: Project, neighbour: Project) -> None:
    for each in (project, neighbour):
        each.add("a1", "a")
        each.add("a2", "a", config=SQL)
        apply(each)
    first = owners(project)
    assert len(first) == len(set(first.values())) == 2
    bump(project, 2)
    apply(project)
    project.sql(f"DELETE FROM {JOBS}")
    apply(project)
    neighbour.sql(f"DELETE FROM {JOBS}")
    apply(neighbour)
    assert owners(project) == first
    paths = sorted(job["settings"]["tasks"][0]["notebook_task"]["notebook_path"] for job in project.raw_jobs())
    assert paths == ["/etl/a1", "/etl2/a1"]
    assert len(list(project.client.queries.list())) == 2
    assert settled(project)
    assert settled(neighbour)


def test_pruning_one_owners_module_leaves_the_other_owners_job(project: Project, neighbour: Project) -> None:
    for each in (project, neighbour):
        each.add("a1", "a")
        each.add("b1", "b")
        apply(each)
    project.sql(f"DELETE FROM {TABLE} WHERE module_name = 'a'")
    apply(project, prune=True)
    assert len(project.raw_jobs()) == 3
    assert settled(neighbour)


def test_one_owner_switched_between_two_workspaces_and_back_makes_no_second_job(
    project: Project, tmp_path: Path
) -> None:
    before = filled(project)
    with running_server(tmp_path / "elsewhere") as other:
        elsewhere = replace(project, client=other.client())
        with pytest.raises(ConflictError, match="recorded in workspace"):
            apply(elsewhere)
        assert elsewhere.raw_jobs() == []
        elsewhere.orchestrator.keep_identity()
        apply(elsewhere)
        there = ids(elsewhere)
        bump(project, 2)
        apply(project)
        apply(elsewhere)
        assert (ids(project), ids(elsewhere)) == (before, there)
        assert settled(elsewhere)
    assert settled(project)


def test_a_copied_home_with_an_identity_of_its_own_has_jobs_of_its_own(
    project: Project, tmp_path: Path, site: Site
) -> None:
    filled(project)
    first = owners(project)
    home = tmp_path / "copy"
    shutil.copytree(project.home, home)
    copy = Project(home, site, project.client, Settings(TABLE, home), DeltaStore(home))
    copy.orchestrator.new_identity()
    bump(copy, 2)
    apply(copy)
    both = owners(project)
    assert {job_id: both[job_id] for job_id in first} == first
    assert len(both) == 2 * len(first)
    assert settled(project)
    assert settled(copy)


@pytest.mark.parametrize("table", [TABLE, f"{TABLE}_modules", JOBS])
@pytest.mark.parametrize("damage", ["rows", "log"])
def test_a_table_that_cannot_be_read_stops_the_run_and_touches_no_job(
    project: Project, table: str, damage: str
) -> None:
    filled(project)
    project.job_config("a", timeout_seconds=60)
    apply(project)
    folder = project.home.joinpath("tables", *table.split("."))
    for file in folder.rglob("*.parquet") if damage == "rows" else folder.joinpath("_delta_log").glob("*.json"):
        file.write_bytes(b"")
    project.writes()
    for plan in ({"refresh": True}, {"refresh": False}, {"refresh": True, "prune": True}):
        with pytest.raises(StoreError):
            apply(project, **plan)
    assert project.writes() == []
    assert len(ids(project)) == len(MODULES)
