"""What becomes of jobs beyond create and update: deactivation, deletion, moves, letting go."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from lakeflow_job_meta import ApplyError, InputError, UsageError
from lakeflow_job_meta.model.plan import ActionKind
from tests.acceptance.steps import SCHEDULE, SQL, apply, ids, kinds, make_job, only, with_settings
from tests.conftest import TABLE, Project
from tests.local_server import job


def test_a_module_that_may_not_be_deleted_stays_at_destroy_and_says_so(project: Project) -> None:
    project.add("a", module="kept")
    project.add("a", module="other")
    project.job_config("kept", lifecycle={"prevent_delete": True})
    apply(project)
    plan = project.orchestrator.plan(destroy=True)
    with pytest.raises(ApplyError) as raised:
        project.orchestrator.apply(plan)
    assert "prevent_delete" in raised.value.failures["kept"]
    assert project.only_job()["settings"]["name"].endswith("kept")


def test_a_module_that_may_not_be_deleted_stays_when_its_sources_are_gone(project: Project) -> None:
    project.add("a", module="kept")
    project.add("a", module="other")
    project.job_config("kept", lifecycle={"prevent_delete": True})
    apply(project)
    project.sql(f"DELETE FROM {TABLE} WHERE module_name = 'kept'")
    assert only(project, "kept", prune=True).kind is not ActionKind.DELETE


@pytest.mark.parametrize(("choice", "expected"), [("pause", "pause"), ("delete", "delete"), ("keep", "skip")])
def test_a_deactivated_module_is_paused_deleted_or_kept_as_it_says(
    project: Project, choice: str, expected: str
) -> None:
    project.add("a", config=SQL)
    project.add("a", module="other")
    project.job_config(schedule=SCHEDULE, lifecycle={"on_deactivate": choice})
    apply(project)
    before = ids(project)["m"]
    project.sql(f"UPDATE {TABLE} SET is_active = false WHERE module_name = 'm'")
    assert only(project, "m").kind == expected
    apply(project)
    there = {each["job_id"]: each["settings"] for each in project.raw_jobs()}
    if choice == "delete":
        assert before not in there
        assert list(project.client.queries.list()) == []
    else:
        assert there[before]["schedule"]["pause_status"] == ("PAUSED" if choice == "pause" else "UNPAUSED")
    assert only(project, "m").kind is ActionKind.SKIP
    project.sql(f"UPDATE {TABLE} SET is_active = true WHERE module_name = 'm'")
    apply(project)
    assert len(project.raw_jobs()) == 2
    assert set(kinds(project).values()) == {"skip"}


def test_pruning_deletes_the_job_the_saved_queries_and_the_state_of_an_orphan(project: Project) -> None:
    project.add("a", config=SQL)
    project.add("a", module="other")
    apply(project)
    project.sql(f"DELETE FROM {TABLE} WHERE module_name = 'm'")
    assert kinds(project) == {"m": "pause", "other": "skip"}
    assert kinds(project, prune=True) == {"m": "delete", "other": "skip"}
    assert apply(project, prune=True) == {"m": "delete"}
    assert project.only_job()["settings"]["name"].endswith("other")
    assert list(project.client.queries.list()) == []
    assert project.sql(f"SELECT module_name FROM {TABLE}_jobs WHERE module_name = 'm'") == []
    assert kinds(project, prune=True) == {"other": "skip"}


def test_pruning_an_orphan_that_was_paused_before_deletes_it(project: Project) -> None:
    project.add("a")
    project.add("a", module="other")
    project.job_config(schedule=SCHEDULE)
    apply(project)
    project.sql(f"DELETE FROM {TABLE} WHERE module_name = 'm'; DELETE FROM {TABLE}_modules")
    assert apply(project) == {"m": "pause"}
    assert apply(project, prune=True) == {"m": "delete"}
    assert len(project.raw_jobs()) == 1


def test_pruning_an_orphan_whose_job_was_deleted_by_hand_forgets_it(project: Project) -> None:
    project.add("a")
    project.add("a", module="other")
    apply(project)
    project.client.jobs.delete(ids(project)["m"])
    project.sql(f"DELETE FROM {TABLE} WHERE module_name = 'm'")
    apply(project, prune=True)
    assert project.sql(f"SELECT module_name FROM {TABLE}_jobs WHERE module_name = 'm'") == []


def test_pruning_leaves_deactivated_modules_paused(project: Project) -> None:
    project.add("a")
    project.job_config(schedule=SCHEDULE)
    apply(project)
    project.sql(f"UPDATE {TABLE} SET is_active = false")
    assert kinds(project, prune=True) == {"m": "pause"}


def test_destroying_deletes_all_that_is_ours_and_nothing_else(project: Project) -> None:
    theirs = make_job(project, job(name="theirs"))
    project.add("a", config=SQL)
    project.add("a", module="other")
    apply(project)
    assert apply(project, modules=["other"], destroy=True) == {"other": "delete"}
    assert apply(project, destroy=True) == {"m": "delete"}
    assert project.only_job()["job_id"] == theirs
    assert list(project.client.queries.list()) == []
    assert project.orchestrator.plan(destroy=True).empty
    assert apply(project) == {"m": "create", "other": "create"}


def test_destroying_works_when_the_table_is_empty(project: Project) -> None:
    project.add("a")
    apply(project)
    project.sql(f"DELETE FROM {TABLE}")
    assert apply(project, destroy=True) == {"m": "delete"}
    assert project.raw_jobs() == []


def test_more_disruption_than_the_settings_allow_wants_a_person(project: Project) -> None:
    for number in range(6):
        project.add("a", module=f"m{number}")
        project.job_config(f"m{number}", schedule=SCHEDULE)
    apply(project)
    project.sql(f"UPDATE {TABLE} SET is_active = false WHERE module_name < 'm4'")
    plan = project.orchestrator.plan()
    with pytest.raises(UsageError, match="4 jobs and tasks, 67 % of the modules") as raised:
        project.orchestrator.apply(plan)
    assert "--allow-disruptive" in raised.value.hint
    few = with_settings(project, max_disruptive=2, max_disruptive_percent=100.0)
    with pytest.raises(UsageError, match="max_disruptive = 2"):
        few.apply(plan)
    assert all(each["settings"]["schedule"]["pause_status"] == "UNPAUSED" for each in project.raw_jobs())
    assert len(project.orchestrator.apply(plan, allow_disruptive=True)) == 4


def test_removed_tasks_count_as_disruption(project: Project) -> None:
    for number in range(6):
        project.add(f"s{number}")
    apply(project)
    project.sql(f"UPDATE {TABLE} SET is_active = false WHERE source_id < 's5'")
    with pytest.raises(UsageError, match="5 jobs and tasks"):
        apply(project)


def rename(project: Project, new: str = "n", old: str = "m", **config: Any) -> None:
    project.sql(f"UPDATE {TABLE} SET module_name = '{new}' WHERE module_name = '{old}'")
    project.job_config(new, **config, lifecycle={"moved_from": old})


def test_a_renamed_module_keeps_its_job(project: Project) -> None:
    project.add("a", config=SQL)
    apply(project)
    before = project.only_job()
    rename(project)
    plan = project.orchestrator.plan()
    assert {action.module: str(action.kind) for action in plan.actions} == {"m": "skip", "n": "move"}
    assert "moved from module m" in str(plan)
    assert apply(project) == {"n": "move"}
    after = project.only_job()
    assert after["job_id"] == before["job_id"]
    assert after["settings"]["name"] == "Metadata_Driven_ETL_n"
    assert after["settings"]["tags"]["lakeflow_job_meta"] != before["settings"]["tags"]["lakeflow_job_meta"]
    assert len(list(project.client.queries.list())) == 1
    assert kinds(project) == {"n": "skip"}
    assert kinds(project, refresh=False) == {"n": "skip"}


def test_a_move_is_seen_without_a_look_at_the_workspace_and_when_only_the_new_module_is_selected(
    project: Project,
) -> None:
    project.add("a")
    apply(project)
    before = project.only_job()["job_id"]
    rename(project)
    assert kinds(project, refresh=False) == {"m": "skip", "n": "move"}
    assert apply(project, modules=["n"]) == {"n": "move"}
    assert project.only_job()["job_id"] == before
    assert kinds(project) == {"n": "skip"}


def test_a_move_acts_once(project: Project) -> None:
    project.add("a")
    apply(project)
    rename(project)
    apply(project)
    moved = project.only_job()["job_id"]
    project.add("a", module="m")
    assert apply(project) == {"m": "create"}
    assert ids(project)["n"] == moved
    project.sql(f"DELETE FROM {TABLE} WHERE module_name = 'm'")
    assert kinds(project) == {"m": "pause", "n": "skip"}


def test_nothing_moves_while_the_old_module_is_active(project: Project) -> None:
    project.add("a")
    apply(project)
    project.add("a", module="n")
    project.job_config("n", lifecycle={"moved_from": "m"})
    assert kinds(project) == {"m": "skip", "n": "create"}


@pytest.mark.parametrize("refresh", [True, False])
def test_the_plan_says_why_nothing_moves(project: Project, *, refresh: bool) -> None:
    project.add("a", module="old")
    apply(project)
    project.add("b", module="new")
    project.job_config("new", lifecycle={"moved_from": "old"})
    reason = only(project, "new", refresh=refresh).reason
    assert reason == "new module; moved_from: module old still has active rows, so its job stays there"


def test_nothing_moves_to_a_module_that_has_a_job(project: Project) -> None:
    project.add("a")
    project.add("b", module="n")
    apply(project)
    before = ids(project)
    project.sql(f"DELETE FROM {TABLE} WHERE module_name = 'm'")
    project.job_config("n", lifecycle={"moved_from": "m"})
    assert kinds(project) == {"m": "pause", "n": "skip"}
    apply(project)
    assert ids(project) == before


def test_a_move_resumes_a_job_that_was_paused_with_its_old_module(project: Project) -> None:
    project.add("a")
    project.add("a", module="other")
    project.job_config(schedule=SCHEDULE)
    apply(project)
    before = ids(project)["m"]
    project.sql(f"UPDATE {TABLE} SET is_active = false WHERE module_name = 'm'")
    apply(project)
    project.add("a", module="n")
    project.job_config("n", schedule=SCHEDULE, lifecycle={"moved_from": "m"})
    assert apply(project) == {"n": "move"}
    job = project.raw_job(before)["settings"]
    assert (job["name"], job["schedule"]["pause_status"]) == ("Metadata_Driven_ETL_n", "UNPAUSED")
    assert {kind for module, kind in kinds(project).items() if module != "m"} == {"skip"}


def test_two_modules_that_want_the_same_job_do_not_both_get_it(project: Project) -> None:
    project.add("a")
    apply(project)
    before = project.only_job()["job_id"]
    project.sql(f"DELETE FROM {TABLE}")
    for module in ("n", "o"):
        project.add("a", module=module)
        project.job_config(module, lifecycle={"moved_from": "m"})
    with suppress(ApplyError, InputError):
        apply(project)
    held = [row for row in project.sql(f"SELECT * FROM {TABLE}_jobs") if row["job_id"] == before]
    assert len(held) == 1


def test_a_move_from_a_job_that_was_deleted_by_hand_makes_one(project: Project) -> None:
    project.add("a")
    apply(project)
    project.client.jobs.delete(project.only_job()["job_id"])
    rename(project)
    apply(project)
    assert project.only_job()["settings"]["name"] == "Metadata_Driven_ETL_n"
    assert set(kinds(project).values()) == {"skip"}


def test_forgetting_lets_go_of_a_job_without_touching_it(project: Project) -> None:
    project.add("a")
    project.add("a", module="other")
    project.job_config(schedule=SCHEDULE)
    apply(project)
    before = project.raw_job(ids(project)["m"])
    project.sql(f"DELETE FROM {TABLE} WHERE module_name = 'm'; DELETE FROM {TABLE}_modules")
    project.writes()
    assert project.orchestrator.forget(["m"]) == ["m"]
    assert project.writes() == []
    assert project.raw_job(before["job_id"]) == before
    assert kinds(project, prune=True) == {"other": "skip"}


def test_forgetting_is_refused_while_rows_ask_for_the_job(project: Project) -> None:
    project.add("a")
    apply(project)
    with pytest.raises(InputError, match="still ask for its job"):
        project.orchestrator.forget(["m"])
    with pytest.raises(InputError, match="no module 'x'"):
        project.orchestrator.forget(["x"])
    assert kinds(project) == {"m": "skip"}


def test_a_forgotten_job_is_not_taken_up_again_unless_its_rows_come_back(project: Project) -> None:
    project.add("a")
    project.add("a", module="other")
    apply(project)
    before = ids(project)["m"]
    project.sql(f"UPDATE {TABLE} SET is_active = false WHERE module_name = 'm'")
    project.orchestrator.forget(["m"])
    assert only(project, "m").kind is ActionKind.SKIP
    project.sql(f"UPDATE {TABLE} SET is_active = true")
    apply(project)
    assert ids(project)["m"] == before
    assert len(project.raw_jobs()) == 2


def test_the_log_tells_the_newest_first(project: Project) -> None:
    project.add("a")
    apply(project)
    project.sql(f"UPDATE {TABLE} SET transformation_config = replace(transformation_config, '/etl/', '/new/')")
    apply(project)
    assert [row["action"] for row in project.orchestrator.log()] == ["update", "create"]
    assert [row["action"] for row in project.orchestrator.log(limit=1)] == ["update"]


def test_selecting_by_glob_tag_and_source(project: Project) -> None:
    project.add("a", module="one")
    project.add("b", module="two")
    project.job_config("two", tags={"team": "x"})
    assert kinds(project, modules=["o*"]) == {"one": "create"}
    assert kinds(project, modules=["tag:team=x"]) == {"two": "create"}
    assert kinds(project, modules=["source:b"]) == {"two": "create"}
    for wanted in ("z*", "tag:team=y", "source:z"):
        with pytest.raises(InputError):
            project.orchestrator.plan([wanted])
