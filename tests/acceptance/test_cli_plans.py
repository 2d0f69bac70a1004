"""The command line where it keeps a plan for later, or plans a part."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.acceptance.shell import (
    TABLE,
    Shell,
    add,
    client,
    in_a_terminal,
    jobs,
    listed,
    sql,
    touch,
    update_job,
)

pytestmark = pytest.mark.slow


def test_a_saved_plan_is_applied_as_it_is_and_only_once(shell: Shell) -> None:
    add(shell, "one", "two")
    assert "`ljm apply p.json` applies just that" in shell("plan", "--out", "p.json").stderr
    assert (shell.folder / "p.json").stat().st_mode & 0o777 == 0o600
    assert client(shell).config.token not in (shell.folder / "p.json").read_text()
    assert "Applied 2 of 2 changes." in shell("apply", "p.json").stdout
    assert "stale" in shell("apply", "p.json", code=3).stderr
    assert sorted(jobs(shell)) == ["one", "two"]


def test_a_saved_plan_is_refused_when_rows_moved_and_names_the_module(shell: Shell) -> None:
    add(shell, "one", "two")
    shell("plan", "--out", "p.json")
    touch(shell, "two")
    error = shell("apply", "p.json", code=3).stderr
    assert "of module two\n" in error
    assert jobs(shell) == {}
    add(shell, "three")
    assert "of module three, two\n" in shell("apply", "p.json", code=3).stderr


def test_a_saved_plan_of_some_modules_is_not_held_up_by_others(shell: Shell) -> None:
    add(shell, "one", "two")
    shell("plan", "--select", "o*", "--out", "p.json")
    touch(shell, "two")
    assert "one: create done" in shell("apply", "p.json").stdout
    assert list(jobs(shell)) == ["one"]


def test_a_saved_plan_is_refused_when_jobs_or_the_recorded_state_moved(shell: Shell) -> None:
    add(shell, "one")
    shell("apply", "--yes")
    touch(shell, "one")
    shell("plan", "--out", "p.json")
    update_job(shell, jobs(shell)["one"], name="renamed")
    assert "of module one\n" in shell("apply", "p.json", code=3).stderr
    shell("plan", "--out", "p.json")
    sql(shell, f"UPDATE {TABLE}_jobs SET last_error = 'x' WHERE module_name = 'one'")
    assert "of module one\n" in shell("apply", "p.json", code=3).stderr
    shell("plan", "--out", "p.json")
    shell("apply", "p.json")


def test_a_saved_plan_remembers_what_was_asked_for(shell: Shell) -> None:
    add(shell, "one", "two")
    shell("apply", "--yes")
    sql(shell, f"DELETE FROM {TABLE} WHERE module_name = 'one'")
    shell("plan", "--prune", "--no-refresh", "--cluster-id", "c-1", "--out", "p.json")
    saved = json.loads((shell.folder / "p.json").read_text())
    assert (saved["prune"], saved["refresh"], saved["arguments"]["cluster_id"]) == (True, False, "c-1")
    assert [each["action"] for each in saved["plan"]["actions"]] == ["delete", "update"]
    report = shell.json("apply", "p.json")
    assert {each["module"]: each["action"] for each in report["outcomes"]} == {"one": "delete", "two": "update"}
    (left,) = listed(shell)
    assert left["settings"]["tasks"][0]["existing_cluster_id"] == "c-1"


def test_a_saved_plan_of_another_table_is_refused(shell: Shell) -> None:
    add(shell, "one")
    shell("plan", "--out", "p.json")
    shutil.rmtree(shell.folder / ".lakeflow" / "tables")
    sql(shell, "SELECT 1")
    add(shell, "one")
    assert "another table" in shell("apply", "p.json", code=3).stderr


def test_a_file_that_is_no_plan_is_told(shell: Shell) -> None:
    path = shell.folder / "p.json"
    for text in ("", "[]", '{"format": "x"}', "[" * 100_000):
        path.write_text(text)
        assert "p.json isn't a saved plan" in shell("apply", "p.json", code=1).stderr
    path.write_bytes(b"\xff\xfe")
    assert "isn't a saved plan" in shell("apply", "p.json", code=1).stderr
    assert "No such file" in shell("apply", "nothing.json", code=1).stderr
    shell("plan", "--out", "p.json")
    good = json.loads(path.read_text())
    path.write_text(json.dumps({**good, "version": 99}))
    assert "version 99 of the format, this program reads 1" in shell("apply", "p.json", code=1).stderr
    path.write_text(json.dumps({**good, "select": "x", "modules": None}))
    assert "damaged plan: modules, select" in shell("apply", "p.json", code=1).stderr
    assert "can't be written" in shell("plan", "--out", "no/where.json", code=1).stderr


def test_a_saved_plan_says_by_itself_what_to_do(shell: Shell) -> None:
    shell("plan", "--out", "p.json")
    for given in (["--select", "x"], ["--prune"], ["--no-refresh"], ["--cluster-id", "c"], ["-t", TABLE]):
        assert "says by itself" in shell("apply", "p.json", *given, code=2).stderr


# What is planned


def test_modules_are_selected_by_name_glob_tag_and_source(shell: Shell) -> None:
    shell("load", "metadata/modules")
    add(shell, "one", "two")

    def selected(*patterns: str) -> list[str]:
        given = [each for pattern in patterns for each in ("--select", pattern)]
        return [action["module"] for action in shell.json("plan", *given)["actions"]]

    assert selected("one") == ["one"]
    assert selected("o*", "tw?") == ["one", "two"]
    assert selected("tag:team=data") == ["hello"]
    assert selected("source:greet") == ["hello"]
    assert "did you mean 'two'?" in shell("plan", "-s", "twoo", code=1).stderr


def test_only_drift_is_shown_when_asked_for(shell: Shell) -> None:
    shell("load", "metadata/modules")
    add(shell, "one", "two", "three")
    shell("apply", "--yes")
    touch(shell, "two")
    found = jobs(shell)
    update_job(shell, found["one"], name="renamed")
    client(shell).jobs.delete(found["three"])
    assert [each["module"] for each in shell.json("plan")["actions"] if each["action"] != "skip"] == [
        "one", "three", "two",
    ]  # fmt: skip
    drifted = shell.json("plan", "--drift-only", "--detailed-exitcode", code=2)
    assert [(each["module"], each["action"]) for each in drifted["actions"]] == [
        ("one", "update"),
        ("three", "recreate"),
    ]
    shell("apply", "--yes")
    shell("plan", "--drift-only", "--detailed-exitcode", code=0)
    shell("plan", "--drift-only", "--no-refresh", code=2)
    shell("plan", "--drift-only", "--out", "p.json", code=2)


def test_drift_is_told_apart_from_what_the_rows_ask_for_of_the_same_job(shell: Shell) -> None:
    add(shell, "one")
    config = {"timeout_seconds": 600, "max_concurrent_runs": 2}
    sql(shell, f"INSERT INTO {TABLE}_modules (module_name, job_config) VALUES ('one', '{json.dumps(config)}')")
    shell("apply", "--yes")
    update_job(shell, jobs(shell)["one"], timeout_seconds=5)
    changed = {"timeout_seconds": 700, "max_concurrent_runs": 4}
    sql(shell, f"UPDATE {TABLE}_modules SET job_config = '{json.dumps(changed)}'")
    (action,) = shell.json("plan")["actions"]
    drifted = {"path": "timeout_seconds", "old": 600, "new": 700, "observed": 5}
    assert action["changes"] == [drifted, {"path": "max_concurrent_runs", "old": 2, "new": 4, "observed": 2}]
    assert "~ timeout_seconds: 5 → 700 (600 was applied)" in shell("plan").stdout
    (action,) = shell.json("plan", "--drift-only", "--detailed-exitcode", code=2)["actions"]
    assert (action["changes"], action["reason"], action["causes"]) == (
        [drifted],
        "drift: changed in the workspace",
        [],
    )
    assert [row["drift"] for row in shell.json("status", "--refresh")] == [["timeout_seconds"]]
    assert "observed" not in shell("plan", "--no-refresh", "-o", "json").stdout
    touch(shell, "one")
    update_job(shell, jobs(shell)["one"], timeout_seconds=600)
    assert shell.json("plan", "--drift-only")["actions"] == []
    assert [row["drift"] for row in shell.json("status", "--refresh")] == [[]]
    sql(shell, f"UPDATE {TABLE} SET transformation_config = '{{'")
    assert [row["drift"] for row in shell.json("status", "--refresh")] == [None], "nobody knows"


def test_our_own_pause_is_no_drift_and_taking_it_back_is(shell: Shell) -> None:
    add(shell, "one")
    schedule = {"quartz_cron_expression": "0 0 6 * * ?", "timezone_id": "UTC", "pause_status": "UNPAUSED"}
    config = json.dumps({"schedule": schedule})
    sql(shell, f"INSERT INTO {TABLE}_modules (module_name, job_config) VALUES ('one', '{config}')")
    shell("apply", "--yes")
    sql(shell, f"UPDATE {TABLE} SET is_active = false")
    assert shell.json("plan", "--drift-only")["actions"] == []
    shell("apply", "--yes")
    sql(shell, f"UPDATE {TABLE} SET is_active = true")
    assert [row["to_do"] for row in shell.json("status", "--refresh")] == ["resume"]
    assert shell.json("plan", "--drift-only")["actions"] == []
    sql(shell, f"UPDATE {TABLE} SET is_active = false")
    update_job(shell, jobs(shell)["one"], schedule=schedule)
    assert [row["drift"] for row in shell.json("status", "--refresh")] == [["schedule.pause_status"]]


def test_reported_drift_is_drift(shell: Shell) -> None:
    (shell.folder / "lakeflow.yml").write_text(f"control_table: {TABLE}\ndrift:\n  timeout_seconds: report\n")
    add(shell, "one")
    config = '{"timeout_seconds": 60}'
    sql(shell, f"INSERT INTO {TABLE}_modules (module_name, job_config) VALUES ('one', '{config}')")
    shell("apply", "--yes")
    update_job(shell, jobs(shell)["one"], timeout_seconds=99)
    done = shell("plan", "--drift-only", "--detailed-exitcode", code=2)
    assert "? timeout_seconds: 99 → 60 (drift, only reported)" in done.stdout
    assert "Applied 0 of 0" in shell("apply").stdout


def test_pruning_deletes_the_jobs_of_modules_without_rows(shell: Shell) -> None:
    add(shell, "one", "two")
    shell("apply", "--yes")
    sql(shell, f"DELETE FROM {TABLE} WHERE module_name = 'one'")
    assert "~ one: pause" in shell("plan").stdout
    assert "- one: delete" in shell("plan", "--prune").stdout
    shell("apply", "--prune", "--yes")
    assert list(jobs(shell)) == ["two"]


def test_what_takes_much_away_wants_a_person(shell: Shell) -> None:
    modules = [f"m{number}" for number in range(5)]
    add(shell, *modules)
    shell("apply", "--yes")
    sql(shell, f"DELETE FROM {TABLE} WHERE module_name <> 'm0'")
    done = shell("apply", "--prune", "--yes", code=2)
    assert "4 jobs and tasks, 80 % of the modules" in done.stderr
    assert "--allow-disruptive" in done.stderr
    assert "- m1: delete" in done.stdout
    said = in_a_terminal(shell, "n\n", "apply", "--prune", "--yes", code=1)
    assert "4 jobs and tasks" in said
    assert "nothing was done" in said
    assert len(jobs(shell)) == 5
    in_a_terminal(shell, "y\nn\n", "apply", "--prune", code=1)
    assert len(jobs(shell)) == 5
    in_a_terminal(shell, "y\ny\n", "apply", "--prune")
    assert list(jobs(shell)) == ["m0"]
    add(shell, *modules[1:])
    shell("apply", "--yes")
    sql(shell, f"DELETE FROM {TABLE} WHERE module_name <> 'm0'")
    shell("apply", "--prune", "--yes", "--allow-disruptive")
    assert list(jobs(shell)) == ["m0"]
