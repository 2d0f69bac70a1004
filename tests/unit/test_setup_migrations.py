"""Migrations of a dataset: what the files may say, what is refused, and that a table is never left half changed."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta.bootstrap.migrations.entry import State
from lakeflow_job_meta.bootstrap.migrations.migrate import SetupMigrations
from lakeflow_job_meta.bootstrap.migrations.record import Record
from lakeflow_job_meta.diagnostics import Diagnostic
from lakeflow_job_meta.errors import ApplyError, ConflictError, InputError, UsageError
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.store.delta import DeltaStore

TENANTS = "main.tenants.tenants"
ADD_REGION = "ALTER TABLE ${dataset}.tenants ADD COLUMN region STRING;\n"
FILL_REGION = "UPDATE ${dataset}.tenants SET region = 'eu' WHERE region IS NULL;\n"
BREAKS = "INSERT INTO ${dataset}.tenants (id, nothing) VALUES ('x', 1);\n"


class Ground:
    """A dataset with one table of two rows, and a folder of migrations."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.folder = folder / "migrations"
        self.folder.mkdir()
        self.store = DeltaStore(self.home)
        self.store.sql(f"CREATE TABLE {TENANTS} (id STRING NOT NULL, name STRING)")
        self.store.sql(f"INSERT INTO {TENANTS} VALUES ('a', 'Acme'), ('b', 'Bolt')")

    @property
    def migrations(self) -> SetupMigrations:
        """As a new process has it."""
        return SetupMigrations(DeltaStore(self.home), "main", "tenants", self.folder)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, "utf-8")
        return path

    def up(self, **given: Any) -> list[str]:
        migrations = self.migrations
        return [each.action.subject for each in migrations.apply(migrations.plan_up(**given))]

    def down(self, **given: Any) -> list[str]:
        migrations = self.migrations
        return [each.action.subject for each in migrations.apply(migrations.plan_down(**given))]

    def rows(self, table: str = TENANTS) -> list[dict[str, Any]]:
        return self.store.sql(f"SELECT * FROM {table} ORDER BY id")

    def states(self) -> dict[str, str]:
        return {each.name: each.state for each in self.migrations.status()[0]}

    def version(self) -> int:
        info = self.store.info(TableName.parse(TENANTS))
        assert info is not None
        return info.version

    def findings(self, plan: Callable[[], object] | None = None) -> list[str]:
        with pytest.raises(InputError) as refused:
            (plan or self.migrations.plan_up)()
        return [told(each, self.folder) for each in refused.value.diagnostics]


def told(each: Diagnostic, folder: Path) -> str:
    return str(each).replace(f"{folder}/", "")


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


BEFORE = [{"id": "a", "name": "Acme"}, {"id": "b", "name": "Bolt"}]
AFTER = [{**row, "region": "eu"} for row in BEFORE]


def test_each_file_is_applied_once_and_in_order(ground: Ground) -> None:
    ground.write("0002_fill_region.sql", FILL_REGION)
    ground.write("0001_add_region.sql", ADD_REGION)
    assert ground.up() == ["0001_add_region", "0002_fill_region"]
    assert ground.rows() == AFTER
    version = ground.version()
    assert ground.up() == []
    assert ground.version() == version
    ground.write("0003_name.yml", "up: UPDATE ${dataset}.tenants SET name = upper(name)\n")
    assert ground.up() == ["0003_name"]
    assert [row["name"] for row in ground.rows()] == ["ACME", "BOLT"]


def test_planning_changes_nothing_and_shows_each_statement(ground: Ground) -> None:
    ground.write("0001_add_region.sql", ADD_REGION + FILL_REGION)
    plan = ground.migrations.plan_up()
    assert ground.rows() == BEFORE
    assert not (ground.home / "tables/main/tenants/_ljm_migrations").exists()
    assert str(plan).splitlines() == [
        f"migrations of main.tenants in {ground.store.label}, record main.tenants._ljm_migrations not there yet",
        "",
        "  + 0001_add_region: apply (2 statements)",
        '      + up[0]: "ALTER TABLE `main`.`tenants`.tenants ADD COLUMN region STRING"',
        "      + up[1]: \"UPDATE `main`.`tenants`.tenants SET region = 'eu' WHERE region IS NULL\"",
        "",
        "Plan: 1 to apply.",
    ]


def test_the_record_tells_who_applied_what_and_which_versions_it_made(ground: Ground) -> None:
    ground.write("0001_add_region.sql", ADD_REGION + FILL_REGION)
    before = ground.version()
    ground.up()
    (row,) = ground.store.sql("SELECT * FROM main.tenants._ljm_migrations")
    info = ground.store.info(TableName.parse(TENANTS))
    assert info is not None
    assert (row["version"], row["name"], row["status"], row["error"]) == (1, "0001_add_region", "applied", None)
    assert f'"id": "{info.table_id}", "before": {before}, "after": {before + 2}' in row["tables"]
    assert row["begun_at"] <= row["ended_at"] <= datetime.now(UTC)


def test_up_and_down_stop_at_the_version_that_is_named(ground: Ground) -> None:
    for number in (1, 2, 3):
        ground.write(f"{number:04}_c.sql", f"ALTER TABLE ${{dataset}}.tenants ADD COLUMN c{number} INT")
    assert ground.up(to=2) == ["0001_c", "0002_c"]
    assert list(ground.rows()[0]) == ["id", "name", "c1", "c2"]
    assert ground.up() == ["0003_c"]
    assert ground.down() == ["0003_c"]
    assert list(ground.rows()[0]) == ["id", "name", "c1", "c2"]
    assert ground.down(to=0) == ["0002_c", "0001_c"]
    assert ground.rows() == BEFORE
    assert ground.states() == dict.fromkeys(("0001_c", "0002_c", "0003_c"), "reverted")
    assert ground.up() == ["0001_c", "0002_c", "0003_c"]
    with pytest.raises(UsageError, match="there is no migration of version 4"):
        ground.up(to=4)


def test_a_down_section_takes_back_what_it_says_and_keeps_what_was_written_since(ground: Ground) -> None:
    down = "-- migrate:up\n{}-- migrate:down\nUPDATE ${{dataset}}.tenants SET region = NULL\n"
    ground.write("0001_add_region.sql", ADD_REGION)
    ground.write("0002_fill_region.sql", down.format(FILL_REGION))
    ground.up()
    ground.store.sql(f"INSERT INTO {TENANTS} VALUES ('c', 'Cask', 'us')")
    ground.down()
    assert [(row["id"], row["region"]) for row in ground.rows()] == [("a", None), ("b", None), ("c", None)]


def test_yaml_says_up_and_down_as_texts_or_lists(ground: Ground) -> None:
    ground.write(
        "0001_region.yml",
        "description: Where a tenant's data stays\n"
        "up:\n  - ALTER TABLE ${dataset}.tenants ADD COLUMN region STRING\n"
        "  - |\n    UPDATE ${dataset}.tenants\n    SET region = 'eu'\n"
        "down: UPDATE ${dataset}.tenants SET region = 'was eu'\n",
    )
    ground.up()
    assert ground.rows() == AFTER
    ground.down()
    assert {row["region"] for row in ground.rows()} == {"was eu"}


def test_a_restore_that_would_lose_what_others_wrote_is_refused_and_named(ground: Ground) -> None:
    ground.write("0001_add_region.sql", ADD_REGION)
    ground.up()
    ground.store.sql(f"OPTIMIZE {TENANTS}")
    ground.store.sql(f"INSERT INTO {TENANTS} VALUES ('c', 'Cask', 'us')")
    (finding,) = ground.findings(ground.migrations.plan_down)
    assert re.match(rf"{TENANTS}: error: 0001_add_region has no down section, and {TENANTS} was written since", finding)
    assert "(WRITE at " in finding and "OPTIMIZE" not in finding and "--discard-later-writes" in finding
    assert len(ground.rows()) == 3
    ground.down(discard=True)
    assert ground.rows() == BEFORE


def test_what_other_migrations_wrote_and_took_back_is_nobodys_loss(ground: Ground) -> None:
    ground.write("0001_add_region.sql", ADD_REGION)
    ground.write("0002_fill_region.sql", FILL_REGION)
    ground.up()
    ground.down()
    ground.down()
    assert ground.rows() == BEFORE


def test_what_a_failed_migration_wrote_and_its_restore_are_nobodys_loss(ground: Ground) -> None:
    ground.write("0001_add_region.sql", ADD_REGION)
    path = ground.write("0002_bad.sql", FILL_REGION + BREAKS)
    for _ in range(2):
        with pytest.raises(ApplyError):
            ground.up()
    path.unlink()  # given up
    assert ground.up() == []
    ground.down()
    assert ground.rows() == BEFORE


def test_a_table_that_a_migration_made_goes_when_it_is_taken_back(ground: Ground) -> None:
    ground.write(
        "0001_plans.sql", "CREATE TABLE ${dataset}.plans (id STRING); INSERT INTO ${dataset}.plans VALUES ('x')"
    )
    ground.up()
    plan = ground.migrations.plan_down()
    assert [str(each.path) for each in plan.effective[0].changes] == ["main.tenants.plans"]
    ground.down()
    assert ground.store.info(TableName.parse("main.tenants.plans")) is None


def test_a_migration_that_fails_half_way_leaves_the_tables_as_they_were_and_says_so(ground: Ground) -> None:
    ground.write("0001_ok.sql", "UPDATE ${dataset}.tenants SET name = upper(name)")
    path = ground.write("0002_bad.sql", f"{ADD_REGION}{FILL_REGION}CREATE TABLE ${{dataset}}.new (id INT);\n{BREAKS}")
    ground.write("0003_never.sql", FILL_REGION)
    plan = ground.migrations.plan_up()
    with pytest.raises(ApplyError, match="1 of 3 migrations done, then one failed") as failed:
        ground.migrations.apply(plan)
    error = failed.value.failures["0002_bad"]
    assert error.startswith(f"{path}:4:1: [UNRESOLVED_COLUMN]")
    assert "its tables are as they were before" in error
    assert [(each.action.subject, each.done) for each in failed.value.outcomes] == [
        ("0001_ok", True),
        ("0002_bad", False),
    ]
    assert ground.rows() == [{"id": "a", "name": "ACME"}, {"id": "b", "name": "BOLT"}]
    assert ground.store.info(TableName.parse("main.tenants.new")) is None
    standings, findings = ground.migrations.status()
    assert [each.state for each in standings] == ["applied", "failed", "waits"]
    assert standings[1].entry is not None and "UNRESOLVED_COLUMN" in str(standings[1].entry.error)
    assert findings == []

    path.write_text(ADD_REGION, "utf-8")  # a failed one may be mended
    assert ground.up() == ["0002_bad", "0003_never"]
    assert ground.rows() == [{"id": "a", "name": "ACME", "region": "eu"}, {"id": "b", "name": "BOLT", "region": "eu"}]


def test_a_down_section_that_fails_leaves_the_migration_applied(ground: Ground) -> None:
    ground.write(
        "0001_add_region.sql",
        f"-- migrate:up\n{ADD_REGION}-- migrate:down\nUPDATE ${{dataset}}.tenants SET name = 'gone';\n{BREAKS}",
    )
    ground.up()
    with pytest.raises(ApplyError):
        ground.down()
    assert [row["name"] for row in ground.rows()] == ["Acme", "Bolt"]
    assert ground.states() == {"0001_add_region": "applied"}


def test_what_others_write_while_a_migration_fails_is_named_before_it_is_taken_back(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.write("0001_bad.sql", FILL_REGION.replace("region", "name") + BREAKS)
    migrations = ground.migrations
    sql = migrations.store.sql

    def others_write_too(text: str, parameters: Any = None) -> list[dict[str, Any]]:
        if text.startswith("INSERT"):
            ground.store.sql(f"INSERT INTO {TENANTS} VALUES ('c', 'Cask')")
        return sql(text, parameters)

    monkeypatch.setattr(migrations.store, "sql", others_write_too)
    with pytest.raises(ApplyError) as failed:
        migrations.apply(migrations.plan_up())
    (named,) = re.findall(r"others wrote meanwhile.*VERSION AS OF (\d+)\)", failed.value.failures["0001_bad"])
    assert ground.rows() == BEFORE
    assert len(ground.store.sql(f"SELECT * FROM {TENANTS} VERSION AS OF {named}")) == 3


def meanwhile(store: DeltaStore, verb: str, act: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Do something just before each statement that begins so."""
    sql = store.sql

    def run(text: str, parameters: Any = None) -> list[dict[str, Any]]:
        if text.startswith(verb):
            act()
        return sql(text, parameters)

    monkeypatch.setattr(store, "sql", run)


def test_what_others_write_between_the_statements_of_a_migration_counts_as_theirs(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.write("0001_two.sql", ADD_REGION + "SELECT 1;\n" + FILL_REGION)
    migrations = ground.migrations
    meanwhile(
        migrations.store,  # type: ignore[arg-type]
        "SELECT",
        lambda: ground.store.sql(f"INSERT INTO {TENANTS} VALUES ('c', 'Cask', 'us')"),
        monkeypatch,
    )
    migrations.apply(migrations.plan_up())
    (finding,) = ground.findings(ground.migrations.plan_down)
    assert "was written since: version 3 (WRITE at" in finding


def test_a_table_that_somebody_else_makes_meanwhile_is_not_dropped(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.write("0001_new.sql", "CREATE TABLE ${dataset}.new (id INT)")
    migrations = ground.migrations
    meanwhile(
        migrations.store,  # type: ignore[arg-type]
        "CREATE TABLE `main`.`tenants`.new",
        lambda: ground.store.sql("CREATE TABLE main.tenants.new (theirs INT)"),
        monkeypatch,
    )
    with pytest.raises(ApplyError, match="already exists"):
        migrations.apply(migrations.plan_up())
    assert [column["col_name"] for column in ground.store.sql("DESCRIBE main.tenants.new")] == ["theirs"]


def test_ctrl_c_restores_the_tables_first(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    ground.write("0001_two.sql", ADD_REGION + FILL_REGION)
    migrations = ground.migrations

    def interrupt() -> None:
        raise KeyboardInterrupt

    meanwhile(migrations.store, "UPDATE", interrupt, monkeypatch)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        migrations.apply(migrations.plan_up())
    assert ground.rows() == BEFORE
    assert ground.states() == {"0001_two": "failed"}


DYING = """
import os, signal, sys
from pathlib import Path
from lakeflow_job_meta.bootstrap.migrations.migrate import SetupMigrations
from lakeflow_job_meta.store.delta import DeltaStore

home, folder, verb, statement = sys.argv[1:]
store = DeltaStore(Path(home))
sql = store.sql

def then_die(text, parameters=None):
    rows = sql(text, parameters)
    if text.startswith(statement):
        os.kill(os.getpid(), signal.SIGKILL)
    return rows

store.sql = then_die
migrations = SetupMigrations(store, "main", "tenants", Path(folder))
migrations.apply(migrations.plan_up() if verb == "up" else migrations.plan_down())
"""


def dying(ground: Ground, verb: str, statement: str) -> None:
    """Run `verb` in a process that is killed just after it ran a statement that begins so."""
    given = [str(ground.home), str(ground.folder), verb, statement]
    done = subprocess.run([sys.executable, "-c", DYING, *given], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_a_run_killed_half_way_is_found_restored_and_done_again(ground: Ground) -> None:
    ground.write("0001_region.sql", ADD_REGION + FILL_REGION)
    dying(ground, "up", "ALTER")
    assert list(ground.rows()[0]) == ["id", "name", "region"]
    assert ground.states() == {"0001_region": "interrupted"}
    (action,) = ground.migrations.plan_up().effective
    assert re.match(r"interrupted while being applied since .*: its tables are restored first; 2", action.reason)
    assert ground.up() == ["0001_region"]
    assert ground.rows() == AFTER
    assert ground.states() == {"0001_region": "applied"}


def test_a_run_killed_while_it_restores_what_another_left_is_no_worse(ground: Ground) -> None:
    ground.write("0001_region.sql", ADD_REGION + FILL_REGION)
    dying(ground, "up", "UPDATE")
    dying(ground, "up", "RESTORE")
    assert ground.states() == {"0001_region": "interrupted"}
    dying(ground, "down", "RESTORE")
    dying(ground, "up", "ALTER")
    assert ground.up() == ["0001_region"]
    assert ground.rows() == AFTER
    ground.down()
    assert ground.rows() == BEFORE


def test_a_run_killed_half_way_can_be_taken_back_instead(ground: Ground) -> None:
    ground.write("0001_region.sql", ADD_REGION + FILL_REGION)
    dying(ground, "up", "UPDATE")
    ground.down()
    assert ground.rows() == BEFORE
    assert ground.states() == {"0001_region": "failed"}


def test_a_down_section_killed_half_way_is_restored_and_done_again(ground: Ground) -> None:
    down = "UPDATE ${dataset}.tenants SET name = name || '!';\nDELETE FROM ${dataset}.tenants WHERE id = 'b';\n"
    ground.write("0001_region.sql", f"{ADD_REGION}-- migrate:down\n{down}")
    ground.up()
    dying(ground, "down", "UPDATE")
    assert ground.states() == {"0001_region": "interrupted"}
    ground.down()
    assert [row["name"] for row in ground.rows()] == ["Acme!"]
    assert ground.states() == {"0001_region": "reverted"}


def test_a_plan_shows_the_versions_of_a_table_whatever_it_is_called(ground: Ground) -> None:
    ground.write(
        "0001_keys.sql", "CREATE TABLE ${dataset}.api_keys (id INT);\nINSERT INTO ${dataset}.tenants (id) VALUES ('x')"
    )
    ground.up()
    shown = str(ground.migrations.plan_down())
    assert '- main.tenants.api_keys: "version 0"' in shown
    assert '~ main.tenants.tenants: "version 2" → "version 1"' in shown


def test_a_restore_killed_half_way_is_finished(ground: Ground) -> None:
    ground.write("0001_two.sql", ADD_REGION + "CREATE TABLE ${dataset}.new (id INT)")
    ground.up()
    dying(ground, "down", "RESTORE")
    assert ground.store.info(TableName.parse("main.tenants.new")) is not None
    ground.down()
    assert ground.rows() == BEFORE
    assert ground.store.info(TableName.parse("main.tenants.new")) is None
    assert ground.states() == {"0001_two": "reverted"}


def test_a_run_killed_just_after_its_final_drop_is_done(ground: Ground) -> None:
    again = "CREATE TABLE ${dataset}.tenants (id STRING NOT NULL, name STRING)"
    ground.write(
        "0001_drop.sql",
        f"UPDATE ${{dataset}}.tenants SET name = ''; DROP TABLE ${{dataset}}.tenants;\n-- migrate:down\n{again}",
    )
    dying(ground, "up", "DROP")
    assert ground.up() == ["0001_drop"]
    assert ground.states() == {"0001_drop": "applied"}
    ground.down()
    assert ground.rows() == []


def test_a_run_that_may_still_live_is_left_alone_unless_it_is_said_to_be_dead(ground: Ground) -> None:
    ground.write("0001_region.sql", ADD_REGION)
    dying(ground, "up", "ALTER")
    ground.store.sql("UPDATE main.tenants._ljm_migrations SET holder = 'elsewhere/1:7:8'")
    with pytest.raises(ConflictError, match=r"0001_region is applying since .* \(elsewhere/1:7:8\)"):
        ground.up()
    assert ground.up(take_over=True) == ["0001_region"]


def test_who_was_taken_over_stops_and_touches_nothing(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    ground.write("0001_region.sql", ADD_REGION + FILL_REGION)
    slow = ground.migrations
    plan = slow.plan_up()
    sql = slow.store.sql

    def meanwhile(text: str, parameters: Any = None) -> list[dict[str, Any]]:
        rows = sql(text, parameters)
        if text.startswith("ALTER"):
            ground.up(take_over=True)
        return rows

    monkeypatch.setattr(slow.store, "sql", meanwhile)
    with pytest.raises(ConflictError, match="taken over"):
        slow.apply(plan)
    assert ground.rows() == AFTER
    assert ground.states() == {"0001_region": "applied"}


def test_of_two_plans_made_at_once_one_is_carried_out(ground: Ground) -> None:
    ground.write("0001_region.sql", ADD_REGION)
    one, other = ground.migrations, ground.migrations
    plans = one.plan_up(), other.plan_up()
    one.apply(plans[0])
    with pytest.raises(ConflictError, match="0001_region is applied by"):
        other.apply(plans[1])
    plans = one.plan_down(), other.plan_down()
    one.apply(plans[0])
    with pytest.raises(ConflictError, match="0001_region is reverted by"):
        other.apply(plans[1])
    assert ground.rows() == BEFORE


def test_a_table_made_anew_since_is_not_restored_to_anothers_version(ground: Ground) -> None:
    ground.write("0001_region.sql", ADD_REGION)
    ground.up()
    ground.store.sql(f"DROP TABLE {TENANTS}; CREATE TABLE {TENANTS} (id STRING)")
    with pytest.raises(ApplyError, match="is another table now"):
        ground.down()
    assert ground.rows() == []


def test_a_baseline_records_without_running(ground: Ground) -> None:
    ground.write("0001_region.sql", ADD_REGION)
    ground.write("0002_fill.sql", FILL_REGION)
    migrations = ground.migrations
    migrations.apply(migrations.plan_baseline(1))
    assert ground.rows() == BEFORE
    assert ground.states() == {"0001_region": "baseline", "0002_fill": "waits"}
    (finding,) = ground.findings(ground.migrations.plan_down)
    assert finding.startswith("0001_region.sql:1:1: error: was only recorded as applied, and has no down section")


def test_what_is_wrong_with_files_and_record_is_told_all_at_once(ground: Ground) -> None:
    ground.write("0001_a.sql", FILL_REGION.replace("region", "name"))
    ground.write("0002_b.sql", ADD_REGION)
    ground.up()
    ground.write("0001_a.sql", FILL_REGION.replace("region", "name") + "-- changed\n")
    (ground.folder / "0002_b.sql").unlink()
    ground.write("0003_c.sql", ADD_REGION)
    ground.write("0003_d.yml", "up: SELECT 1")
    ground.write("0004_e.sql", "-- migrate:up\nSELECT 1;\n-- migrate:donw\nGRANT SELECT ON TABLE x TO y")
    ground.write("0005_f.sql", "SELECT 1;\n  DELETE FROM ${dataste}.tenants;\nDELETE FROM ${dataset}.x; DROP SCHEMA x")
    ground.write("0006_g.yml", "up:\n  - SELECT 1\n  - 7\nupp: []\ndown:\n")
    ground.write("7-bad.sql", "SELECT 1")
    ground.write("0008_h.sql", "DROP TABLE ${dataset}.tenants;\nSELECT 1")
    ground.write("0009_i.sql", "-- migrate:up\nSELECT 'open\n")
    ground.write("0010_j.sql", "SELECT 1;\n-- migrate:down\n")
    ground.write("0011_k.sql", "DELETE FROM tenants;\nDELETE FROM ${dataset}._ljm_migrations")
    ground.write("README.md", "for people")
    assert [re.sub(r" at \d{4}-.* by \S+(,|:)", r"\1", line.split(" (")[0]) for line in ground.findings()] == [
        "0004_e.sql:3:12: error: unknown section 'donw'",
        "0005_f.sql:2:15: error: unknown name '${dataste}'",
        "0005_f.sql:3:27: error: what 'DROP SCHEMA' changes can't be told",
        "0006_g.yml:4:1: error: unknown key 'upp'",
        "0006_g.yml:3:5: error: expected a statement, found 7",
        "0006_g.yml:5:6: error: down: expected statements, found nothing",
        "0008_h.sql:1:1: error: DROP TABLE main.tenants.tenants isn't the last statement",
        "0008_h.sql:1:1: error: DROP TABLE main.tenants.tenants without a down section",
        "0009_i.sql:2:1: error: a string, a quoted name or a comment doesn't end",
        "0010_j.sql:2:12: error: the section 'down' has no statement",
        "0011_k.sql:1:13: error: 'tenants' is not a table name",
        "0011_k.sql:2:1: error: main.tenants._ljm_migrations is the product's own",
        "7-bad.sql:1:1: error: '7-bad.sql' is no migration's name",
        "0003_c.sql:1:1: error: version 3 follows 1: 2 is missing",
        "0003_d.yml:1:1: error: version 3 is the one of 0003_c.sql too",
        "0008_h.sql:1:1: error: version 8 follows 6: 7 is missing",
        "0001_a.sql:1:1: error: changed since it was applied: its checksum was 60ba5b5d2e98, and is 9e1d4c1c7c90",
        "main.tenants._ljm_migrations/2: error: 0002_b is recorded as applied, but there is no such file",
    ]
    assert ground.states()["0002_b"] == "applied"  # the status shows all the same


def test_a_version_left_out_below_an_applied_one_is_a_finding(ground: Ground) -> None:
    ground.write("0001_a.sql", ADD_REGION)
    ground.write("0002_b.sql", FILL_REGION)
    ground.up()
    ground.store.sql("DELETE FROM main.tenants._ljm_migrations WHERE version = 1")
    assert ground.findings()[0].startswith("0001_a.sql:1:1: error: isn't applied, but version 2 is")


def test_line_ends_and_a_byte_order_mark_are_no_change(ground: Ground) -> None:
    path = ground.write("0001_a.sql", ADD_REGION + FILL_REGION)
    ground.up()
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert ground.up() == []


def test_the_states_in_the_schema_file_are_those_that_there_are(ground: Ground) -> None:
    columns = {column.name: column for column in Record.of(ground.store, "main", "tenants").spec.columns}
    described = columns["status"].description
    assert set(re.findall(r"[a-z]+(?=[,( ]|$)", re.sub(r"\(.*?\)", "", described))) == {str(state) for state in State}
