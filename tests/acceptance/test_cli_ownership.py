"""The command line where it takes jobs over, lets go of them or deletes them, and tells whose they are."""

from __future__ import annotations

import fcntl
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
import time
from datetime import UTC, datetime

import pytest

from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.control.tenure import Tenure
from lakeflow_job_meta.model.table import Changes, TableName
from lakeflow_job_meta.store.delta import DeltaStore
from tests.acceptance.shell import (
    TABLE,
    Shell,
    add,
    client,
    in_a_terminal,
    jobs,
    listed,
    make_job,
    sql,
    touch,
    update_job,
)

pytestmark = pytest.mark.slow


# The lease


def hold(shell: Shell, holder: str = "elsewhere:1:1") -> Tenure:
    """Take the lease as a process of another host does."""
    tables = ControlTables.of(TableName.parse(TABLE))
    workspace = str(client(shell).get_workspace_id())
    tenure = Tenure(DeltaStore(shell.folder / ".lakeflow"), tables, workspace, 60.0, holder)
    tenure.take(lambda snapshot: Changes(), datetime.now(UTC), 0)
    return tenure


def test_who_holds_the_lease_is_told_waited_for_and_can_be_fenced_off(shell: Shell) -> None:
    add(shell, "one")
    assert shell("lease", "show").stdout == "nobody holds the lease\n"
    assert shell.json("lease", "show") is None
    tenure = hold(shell)
    try:
        assert "elsewhere:1:1 holds the lease since 20" in shell("lease", "show").stdout
        shown = shell.json("lease", "show")
        assert (shown["held"], shown["holder"], shown["ttl_seconds"]) == (True, "elsewhere:1:1", 60)
        error = shell("apply", "--yes", code=3).stderr
        assert "elsewhere:1:1 holds the lease since 20" in error
        assert "ljm lease release" in error
        started = time.monotonic()
        shell("apply", "--yes", "--lock-timeout", "2", code=3)
        assert time.monotonic() - started > 2
        assert shell.json("lease", "release")["released"]["holder"] == "elsewhere:1:1"
        assert shell("lease", "release").stdout == "nobody held the lease\n"
        shell("apply", "--yes")
    finally:
        tenure.abandon()
    assert shell("lease", "show").stdout == "nobody holds the lease\n"


def test_a_wait_that_is_long_enough_ends_with_the_work(shell: Shell) -> None:
    add(shell, "one")
    tenure = hold(shell)
    waiting = subprocess.Popen(
        [sys.executable, "-m", "lakeflow_job_meta", "apply", "--yes", "--lock-timeout", "50"],
        cwd=shell.folder, env=shell.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    time.sleep(2)
    assert waiting.poll() is None
    tenure.within(lambda snapshot: Changes(), datetime.now(UTC), release=True)
    out, _ = waiting.communicate(timeout=30)
    assert waiting.returncode == 0
    assert "one: create done" in out


def test_a_lock_timeout_that_is_no_time_is_refused(shell: Shell) -> None:
    assert "lock_timeout_seconds: expected 0 to 86400" in shell("apply", "--lock-timeout", "-1", code=1).stderr


# Adopting and forgetting


def test_jobs_are_adopted_shown_and_exported(shell: Shell) -> None:
    made = make_job(shell, name="nightly load", tags={"team": "x"}, timeout_seconds=60)
    bundled = make_job(shell, name="bundled", deployment={"kind": "BUNDLE", "metadata_file_path": "/m.json"})
    refused = shell("adopt", "--all", code=2)
    assert f"= nightly load: job {made}, 1 task\n" in refused.stdout
    assert f"bundled (job {bundled}): skipped, is kept by" in refused.stdout
    assert "bundle deployment (/m.json)" in refused.stdout
    assert sql(shell, f"SELECT count(*) AS n FROM {TABLE}") == [{"n": 0}]
    in_a_terminal(shell, "n\n", "adopt", "--all", code=1)
    report = shell.json("adopt", "--all", "--yes", "--yaml", "adopted.yml")
    assert [(each["module"], each["job_id"], each["done"]) for each in report["adopted"]] == [
        ("nightly load", made, True)
    ]
    assert "bundle" in report["skipped"][f"bundled (job {bundled})"]
    assert report["exported"]["modules"] == 1
    assert "Plan: 1 unchanged." in shell("plan").stdout
    assert "rows unchanged" in shell("load", "adopted.yml").stdout
    assert "Plan: 1 unchanged." in shell("plan").stdout
    assert sorted(jobs(shell)) == ["bundled", "nightly load"]


def test_jobs_are_adopted_by_id_name_glob_and_tag(shell: Shell) -> None:
    by_id = make_job(shell, name="by id")
    for name in ("by name", "glob 1", "glob 2"):
        make_job(shell, name=name)
    make_job(shell, name="by tag", tags={"team": "x"})
    done = shell("adopt", str(by_id), "by name", "glob*", "tag:team=x", "--yes")
    assert "Adopted 5 jobs." in done.stdout
    assert "workspace: local" in done.stderr
    assert "Plan: 5 unchanged." in shell("plan").stdout
    again = shell("adopt", "--all", "--yes").stdout
    assert "declared already" in again
    assert "Adopted 0 jobs." in again


def test_adopting_wants_to_know_what(shell: Shell) -> None:
    shell("adopt", code=2)
    shell("adopt", "x", "--all", code=2)
    assert "no job matches nope" in shell("adopt", "nope", "--yes", code=1).stderr


def test_a_module_is_forgotten_and_its_job_stays(shell: Shell) -> None:
    add(shell, "one", "two")
    shell("apply", "--yes")
    assert "still ask for its job" in shell("forget", "one", code=1).stderr
    assert "did you mean 'two'?" in shell("forget", "twoo", code=1).stderr
    sql(shell, f"DELETE FROM {TABLE} WHERE module_name = 'one'")
    done = shell("forget", "one")
    assert done.stdout == "one: forgotten, its job stays as it is\n"
    assert "workspace: local" in done.stderr
    assert sorted(jobs(shell)) == ["one", "two"]
    assert "Plan: 1 unchanged." in shell("plan", "--prune").stdout
    sql(shell, f"UPDATE {TABLE} SET is_active = false")
    assert shell.json("forget", "*") == {"forgotten": ["two"]}


# Destroying


def test_destroying_wants_the_tables_name_and_deletes_only_what_is_ours(shell: Shell) -> None:
    make_job(shell, name="theirs")
    add(shell, "one", "two")
    shell("apply", "--yes")
    refused = shell("destroy", code=2)
    assert "- one: delete job" in refused.stdout
    assert "add --yes" in refused.stderr
    assert "nothing was done" in in_a_terminal(shell, "yes\n", "destroy", code=1)
    assert len(jobs(shell)) == 3
    in_a_terminal(shell, f"{TABLE}\n", "destroy", "--select", "one")
    assert sorted(jobs(shell)) == ["theirs", "two"]
    report = shell.json("destroy", "--yes")
    assert [(each["module"], each["action"], each["done"]) for each in report["outcomes"]] == [("two", "delete", True)]
    assert list(jobs(shell)) == ["theirs"]
    assert "Applied 0 of 0 changes." in shell("destroy").stdout
    assert sql(shell, f"SELECT count(*) AS n FROM {TABLE}") == [{"n": 2}]


def test_destroying_many_needs_no_further_leave_but_prevent_delete_holds(shell: Shell) -> None:
    add(shell, *(f"m{number}" for number in range(6)))
    config = '{"lifecycle": {"prevent_delete": true}}'
    sql(shell, f"INSERT INTO {TABLE}_modules (module_name, job_config) VALUES ('m0', '{config}')")
    shell("apply", "--yes")
    assert "m0: destroy; lifecycle.prevent_delete" in shell("destroy", "--yes", code=4).stderr
    assert list(jobs(shell)) == ["m0"]


# Whose the jobs are


def copy_tables(shell: Shell) -> str:
    folder = shell.folder / ".lakeflow" / "tables" / "main" / "etl"
    for table in [*folder.iterdir()]:
        shutil.copytree(table, folder / table.name.replace("control", "copied"))
    return "main.etl.copied"


def test_a_copied_table_is_refused_until_it_gets_an_identity_of_its_own(shell: Shell) -> None:
    add(shell, "one")
    shell("apply", "--yes")
    before = shell.json("identity", "show")
    assert (before["control_table"], before["made_as"], before["workspaces"]) == (TABLE, TABLE, [before["workspace"]])
    copy = copy_tables(shell)
    for command in (["plan"], ["apply", "--yes"], ["status"], ["destroy", "--yes"]):
        error = shell(*command, "-t", copy, code=3).stderr
        assert f"{copy} is a copy of {TABLE}" in error
        assert "ljm identity new" in error
    after = shell.json("identity", "new", "-t", copy)
    assert (after["control_table"], after["made_as"]) == (copy, copy)
    assert after["owner"] != before["owner"]
    shell("apply", "--yes", "-t", copy)
    assert len(listed(shell)) == 2
    assert "Plan: 1 unchanged." in shell("plan").stdout
    assert shell.json("identity", "show") == before


def test_a_renamed_table_is_kept(shell: Shell) -> None:
    add(shell, "one")
    shell("apply", "--yes")
    copy = copy_tables(shell)
    done = shell("identity", "keep", "-t", copy)
    assert f"made_as: {copy}\n" in done.stdout
    assert "workspace: local" in done.stderr
    shell("apply", "--yes", "-t", copy)
    assert len(listed(shell)) == 1


def test_an_original_does_not_lose_its_jobs_by_mistake(shell: Shell) -> None:
    add(shell, "one")
    shell("apply", "--yes")
    before = shell.json("identity", "show")
    assert "is no copy" in shell("identity", "new", code=2).stderr
    assert "is no copy" in in_a_terminal(shell, "n\n", "identity", "new", code=1)
    assert shell.json("identity", "show") == before
    assert "Plan: 1 unchanged." in shell("plan").stdout
    shell("identity", "new", "--yes")
    assert shell.json("identity", "show")["owner"] != before["owner"]


# What was done, and how things are


def in_80_columns(shell: Shell, *arguments: str) -> str:
    """What a command shows in a terminal of that width."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "lakeflow_job_meta", *arguments], stdin=slave, stdout=slave, cwd=shell.folder,
        stderr=subprocess.DEVNULL, env={**shell.environment, "NO_COLOR": "1", "TERM": "dumb"},
    )  # fmt: skip
    assert process.wait(60) == 0
    os.close(slave)
    shown = os.read(master, 65_536).decode()
    os.close(master)
    return shown


def test_the_log_is_shown_limited_and_by_module(shell: Shell) -> None:
    add(shell, "one", "two")
    shell("apply", "--yes", "-s", "one")
    shell("apply", "--yes")
    touch(shell, "one")
    shell("apply", "--yes")
    rows = shell.json("log")
    assert [(row["module_name"], row["action"], row["outcome"]) for row in rows] == [
        ("one", "update", "done"),
        ("two", "create", "done"),
        ("one", "create", "done"),
    ]
    assert {"actor", "correlation_id", "control_version", "duration_ms", "job_id"} <= rows[0].keys()
    assert [row["action"] for row in shell.json("log", "--limit", "1")] == ["update"]
    assert [row["action"] for row in shell.json("log", "--module", "one", "--limit", "5")] == ["update", "create"]
    assert shell.json("log", "--module", "nope") == []
    assert "rows changed" in shell("log").stdout


def test_a_log_without_entries_says_so_and_names_the_nearest_module(shell: Shell) -> None:
    add(shell, "returns")
    assert shell("log").stderr == "nothing was done so far\n"
    shell("apply", "--yes")
    done = shell("log", "--module", "retunrs")
    assert done.stdout == ""
    assert done.stderr == "nothing was done so far to a module retunrs\n  hint: did you mean 'returns'?\n"


def test_the_log_fits_into_80_columns_in_a_terminal_and_where_a_pipe_is_told_so(shell: Shell) -> None:
    add(shell, "a_module_with_a_rather_long_name", "two")
    shell("apply", "--yes")
    shown = in_80_columns(shell, "log")
    assert max(len(line) for line in shown.splitlines()) <= 80, shown
    assert len(shown.splitlines()) <= 4
    assert f"two: create done, job {jobs(shell)['two']}, by" in shown
    shell.environment["COLUMNS"] = "80"
    assert shell("log").stdout.splitlines() == shown.splitlines()
    del shell.environment["COLUMNS"]
    assert " logged_at " in shell("log").stdout, "a pipe has room for the table"


@pytest.mark.parametrize("command", [["log"], ["lease", "show"], ["identity", "show"], ["status"], ["forget", "x"]])
def test_looking_at_a_table_that_does_not_exist_makes_none(shell: Shell, command: list[str]) -> None:
    shell(*command, "-t", "main.etl.nope", code=4)
    assert not list((shell.folder / ".lakeflow" / "tables" / "main" / "etl").glob("nope*"))


def test_the_status_tells_drift_when_it_looks_and_the_last_error(shell: Shell) -> None:
    add(shell, "good", "other", "waits")
    shell("apply", "--yes")
    touch(shell, "waits")
    config = '{"schedule": {"quartz_cron_expression": "nonsense", "timezone_id": "UTC"}}'
    sql(shell, f"INSERT INTO {TABLE}_modules (module_name, job_config) VALUES ('other', '{config}')")
    shell("apply", "--yes", "--select", "other", code=4)
    update_job(shell, jobs(shell)["good"], name="renamed")
    rows = {row["module"]: row for row in shell.json("status")}
    assert {row["drift"] for row in rows.values()} == {None}
    assert rows["waits"]["to_do"] == "update"
    assert "quartz" in rows["other"]["last_error"].lower()
    rows = {row["module"]: row for row in shell.json("status", "--refresh")}
    assert rows["good"]["drift"] == ["name"]
    text = shell("status").stdout
    assert "drift" not in text
    assert "last_error" in text
    assert "drift" in shell("status", "--refresh").stdout


def test_the_status_fits_into_a_terminal_of_80_columns(shell: Shell) -> None:
    add(shell, "a_module_with_a_rather_long_name", "two")
    shell("apply", "--yes")
    touch(shell, "two")
    sql(shell, f"UPDATE {TABLE}_jobs SET last_error = 'the workspace said that this and that is not so'")
    update_job(shell, jobs(shell)["two"], name="renamed")
    shown = in_80_columns(shell, "status", "--refresh")
    assert max(len(line) for line in shown.splitlines()) <= 80, shown
    for job_id in jobs(shell).values():
        assert str(job_id) in shown
