"""Tables that an earlier version of this product made: what still works, what is refused, and how they are migrated."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta import ConflictError, MetadataManager, StoreError
from lakeflow_job_meta.control.migrations import ADDED, AddColumn, Migrated, Migrating, NoteVersion
from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.control.tenure import Tenure
from lakeflow_job_meta.model.table import Changes, TableInfo, TableName, TableSpec
from lakeflow_job_meta.store.base import SCHEMA_VERSION
from lakeflow_job_meta.store.delta import DeltaStore
from tests.acceptance.steps import apply, ids
from tests.conftest import TABLE, Project

SCHEMA_1 = Path(__file__).resolve().parents[1] / "data" / "schema_1"
JOBS = TableName.parse(f"{TABLE}_jobs")


def old_spec() -> TableSpec:
    """The state table as schema version 1 declared it."""
    return TableSpec.from_json(JOBS, json.loads((SCHEMA_1 / "jobs.json").read_text("utf-8")))


def make_old(project: Project) -> None:
    """Put a state table of schema version 1 in the place of the present one, with the rows that were in it."""
    rows = project.store.read(JOBS).rows
    spec = old_spec()
    project.sql(f"DROP TABLE {JOBS}")
    # `ljm sql` makes missing tables by itself: so the old one is made before anything else asks.
    if project.store.info(JOBS) is not None:
        raise AssertionError("the table was made again")
    assert project.store.create(spec)
    project.store.append(spec, [{name: row[name] for name in spec.column_names} for row in rows])


@pytest.fixture
def old(project: Project) -> Project:
    """A project with one job, whose state table is of schema version 1."""
    project.add("a")
    apply(project)
    make_old(project)
    return project


def info(project: Project) -> TableInfo:
    found = project.store.info(JOBS)
    assert found is not None
    return found


def rows_of(project: Project) -> dict[str, Any]:
    return {row["module_name"]: dict(row) for row in project.store.read(JOBS).rows}


def columns(project: Project) -> list[str]:
    return [column.name for column in info(project).columns]


def version_of(project: Project) -> str:
    return info(project).properties[SCHEMA_VERSION]


def migrating(project: Project, **given: Any) -> Migrating:
    return Migrating(DeltaStore(project.home), project.manager.tables, ttl=60, **given)


def test_what_is_made_now_is_of_the_newest_version_at_once(project: Project) -> None:
    assert version_of(project) == "2"
    assert "modules_version" in columns(project)
    assert project.manager.plan_migration().effective == ()


def test_the_columns_that_a_migration_adds_are_those_that_the_versions_differ_in() -> None:
    tables = ControlTables.of(TableName.parse(TABLE))
    added = [name for (kind, _), names in ADDED.items() if kind == "jobs" for name in names]
    assert [name for name in tables.jobs.column_names if name not in added] == list(old_spec().column_names)
    assert all(version <= tables.by_kind[kind].schema_version for kind, version in ADDED)


def test_the_plan_says_for_each_table_what_was_found_and_what_is_to_be_done(old: Project) -> None:
    plan = old.manager.plan_migration()
    told = {each.table: (each.standing.found, each.standing.wanted) for each in plan.tables}
    assert told == {
        TableName.parse(TABLE): (1, 1),
        TableName.parse(f"{TABLE}_modules"): (1, 1),
        JOBS: (1, 2),
        TableName.parse(f"{TABLE}_files"): (1, 1),
        TableName.parse(f"{TABLE}_log"): (1, 1),
    }
    assert str(plan).splitlines()[2:5] == [
        f"{JOBS}: schema version 1 → 2",
        "  + add the column modules_version BIGINT, NULL in the rows that there are",
        "  + note schema version 2",
    ]


def test_a_migration_keeps_every_row_and_the_jobs_stay_as_they_are(old: Project) -> None:
    before = [dict(row) for row in old.store.read(JOBS).rows if row["module_name"] == "m"]
    job_ids = ids(old)
    (done,) = old.manager.migrate()
    assert version_of(old) == "2"
    after = [dict(row) for row in old.store.read(JOBS).rows if row["module_name"] == "m"]
    assert after == [{**row, "modules_version": None} for row in before]
    assert old.orchestrator.plan().empty
    assert ids(old) == job_ids
    assert done.table == JOBS
    old.add("b")
    assert apply(old) == {"m": "update"}


def test_what_is_applied_after_it_knows_the_version_of_the_modules_table(old: Project) -> None:
    old.manager.migrate()
    old.job_config("m", timeout_seconds=60)
    apply(old)
    (row,) = old.sql(f"SELECT control_version, modules_version FROM {JOBS} WHERE module_name = 'm'")
    versions = old.versions()
    assert row == {"control_version": versions[TABLE], "modules_version": versions[f"{TABLE}_modules"]}


def test_the_statement_that_it_names_takes_it_back_and_it_is_offered_again(old: Project) -> None:
    schema, rows, properties = info(old).columns, rows_of(old), info(old).properties
    (done,) = old.manager.migrate()
    old.sql(done.undo)
    assert (info(old).columns, info(old).properties) == (schema, properties)
    assert rows_of(old) == rows
    assert [each.table for each in old.manager.plan_migration().effective] == [JOBS]
    (again,) = old.manager.migrate()
    assert version_of(old) == "2"
    assert again.before > done.before
    assert old.orchestrator.plan().empty


def test_nothing_is_done_twice(old: Project) -> None:
    old.manager.migrate()
    version = info(old).version
    assert old.manager.migrate() == []
    assert version_of(old) == "2"
    # Nothing but the lease, taken and let go.
    assert info(old).version == version + 2


class Crash(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("after", [AddColumn, NoteVersion])
def test_a_crash_after_any_step_is_mended_by_migrating_again(old: Project, after: type) -> None:
    def crash(table: TableName, step: object) -> None:
        if isinstance(step, after):
            raise Crash

    with pytest.raises(Crash):
        migrating(old, on_step=crash).migrate()
    left = [step for each in old.manager.plan_migration().effective for step in each.steps]
    assert [type(step) for step in left] == ([NoteVersion] if after is AddColumn else [])
    old.manager.migrate()
    assert version_of(old) == "2"
    assert columns(old).count("modules_version") == 1
    assert old.orchestrator.plan().empty


KILLED = """
import os, signal, sys
from pathlib import Path
from lakeflow_job_meta.control.migrations import Migrating
from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.store.delta import DeltaStore

def killed(table, step):
    os.kill(os.getpid(), signal.SIGKILL)

tables = ControlTables.of(TableName.parse("main.etl.control"))
Migrating(DeltaStore(Path(sys.argv[1])), tables, ttl=60, on_step=killed).migrate()
"""


def test_who_was_killed_between_two_steps_holds_nobody_up(old: Project) -> None:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", KILLED, str(old.home)], check=False, cwd=root, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert (version_of(old), columns(old).count("modules_version")) == ("1", 1)
    lease = old.orchestrator.lease()
    assert lease is not None
    assert lease.held
    (migrated,) = old.manager.migrate()
    assert version_of(old) == "2"
    assert old.orchestrator.plan().empty
    old.sql(migrated.undo)
    assert [each.table for each in old.manager.plan_migration().effective] == [JOBS]


def test_a_run_under_way_is_not_disturbed(old: Project) -> None:
    workspace = old.orchestrator.workspace.id
    tables = old.manager.tables.as_found(old.store)
    other = Tenure(DeltaStore(old.home), tables, workspace, 60, "elsewhere:1:1")
    other.take(lambda snapshot: Changes(), datetime.now(UTC), 0)
    try:
        with pytest.raises(ConflictError, match="elsewhere:1:1 holds the lease"):
            old.manager.migrate()
        assert version_of(old) == "1"
    finally:
        other.within(lambda snapshot: Changes(), datetime.now(UTC), release=True)
    old.manager.migrate()
    assert version_of(old) == "2"


def test_runs_of_other_workspaces_wait_too(old: Project) -> None:
    tables = old.manager.tables.as_found(old.store)
    other = Tenure(DeltaStore(old.home), tables, "another", 60, "elsewhere:1:1")
    other.take(lambda snapshot: Changes(), datetime.now(UTC), 0)
    try:
        with pytest.raises(ConflictError, match="elsewhere:1:1 holds the lease"):
            old.manager.migrate()
    finally:
        other.within(lambda snapshot: Changes(), datetime.now(UTC), release=True)
    # What was taken before the one that was held has been let go.
    lease = old.orchestrator.lease()
    assert lease is not None
    assert not lease.held


def test_nobody_gets_the_lease_while_steps_are_done(old: Project) -> None:
    seen: list[bool] = []

    def look(table: TableName, step: object) -> None:
        lease = old.orchestrator.lease()
        seen.append(lease is not None and lease.held)

    migrating(old, on_step=look).migrate()
    assert seen == [True, True]
    lease = old.orchestrator.lease()
    assert lease is not None
    assert not lease.held


WRITES: dict[str, Callable[[Project], object]] = {
    "apply": apply,
    "load": lambda project: project.manager.load_yaml(project.home.parent / "metadata"),
    "adopt": lambda project: project.orchestrator.adopt(["*"]),
    "run_all_modules": lambda project: project.orchestrator.run_all_modules(),
    "forget": lambda project: project.orchestrator.forget(["m"]),
    "identity new": lambda project: project.orchestrator.new_identity(),
    "identity keep": lambda project: project.orchestrator.keep_identity(),
    "ensure": lambda project: project.manager.ensure_exists(),
}


@pytest.mark.parametrize("write", WRITES)
def test_with_an_older_table_what_would_write_is_refused(old: Project, write: str) -> None:
    old.add("b")
    if write == "forget":
        old.sql(f"UPDATE {TABLE} SET is_active = false")
    before = old.versions()
    with pytest.raises(StoreError, match=r"control_jobs has schema version 1, this product writes 2") as refused:
        WRITES[write](old)
    assert "ljm migrate" in refused.value.hint
    assert old.versions() == before


READS: dict[str, Callable[[Project], object]] = {
    "plan": lambda project: project.orchestrator.plan(),
    "status": lambda project: project.orchestrator.status(),
    "log": lambda project: project.orchestrator.log(),
    "export": lambda project: project.manager.export_yaml(project.home.parent / "out.yml"),
    "changes": lambda project: project.manager.detect_changes(),
    "modules": lambda project: project.manager.get_all_modules(),
    "lease": lambda project: project.orchestrator.lease(),
    "identity": lambda project: project.orchestrator.identity(),
    "sql": lambda project: project.sql(f"SELECT * FROM {JOBS}"),
}


@pytest.mark.parametrize("read", READS)
def test_with_an_older_table_what_only_reads_works(old: Project, read: str) -> None:
    before = old.versions()
    READS[read](old)
    assert old.versions() == before


def test_a_plan_of_an_older_table_says_that_it_has_to_be_migrated_first(old: Project) -> None:
    (finding,) = old.orchestrator.plan().diagnostics
    assert "control_jobs has schema version 1, this product writes 2" in finding.message
    assert "ljm migrate" in finding.hint


def test_the_rows_of_an_older_table_can_still_be_edited_in_sql(old: Project) -> None:
    old.add("b")
    assert old.manager.get_module_sources("m")[1]["source_id"] == "b"


def test_a_lease_that_is_in_the_way_can_be_released_before_the_migration(old: Project) -> None:
    tables = old.manager.tables.as_found(old.store)
    other = Tenure(DeltaStore(old.home), tables, old.orchestrator.workspace.id, 60, "elsewhere:1:1")
    other.take(lambda snapshot: Changes(), datetime.now(UTC), 0)
    other.abandon()
    assert old.orchestrator.release_lease() is not None
    assert [each.table for each in old.manager.migrate()] == [JOBS]


def newer(project: Project) -> None:
    project.sql(f"ALTER TABLE {JOBS} SET TBLPROPERTIES ('{SCHEMA_VERSION}' = '3')")


NEWER = {
    **WRITES,
    "plan": READS["plan"],
    "status": READS["status"],
    "migrate": lambda project: project.manager.migrate(),
}


@pytest.mark.parametrize("command", NEWER)
def test_a_table_of_a_newer_product_is_refused_for_reading_and_writing(project: Project, command: str) -> None:
    project.add("a")
    newer(project)
    before = project.versions()
    with pytest.raises(StoreError, match="control_jobs has schema version 3, this product writes 2") as refused:
        NEWER[command](project)
    assert "upgrade lakeflow-job-meta" in refused.value.hint
    assert project.versions() == before


@pytest.mark.parametrize("kind", ["control", "modules"])
def test_newer_rows_are_refused_by_what_reads_only_rows(project: Project, kind: str) -> None:
    name = project.manager.tables.by_kind[kind].name
    project.sql(f"ALTER TABLE {name} SET TBLPROPERTIES ('{SCHEMA_VERSION}' = '9')")
    for read in ("export", "changes", "modules", "plan"):
        with pytest.raises(StoreError, match="has schema version 9, this product writes 1"):
            READS[read](project)


def by_hand(project: Project, spec: TableSpec) -> None:
    """Make the state table as a person would: the columns, and no property of ours."""
    project.store.sql(f"DROP TABLE {JOBS}")
    listed = ", ".join(f"{column.name} {column.type}" for column in spec.columns)
    project.store.sql(f"CREATE TABLE {JOBS} ({listed}) PARTITIONED BY (workspace_id)")


def test_a_complete_table_without_the_property_works_and_the_migration_notes_it(project: Project) -> None:
    by_hand(project, project.manager.tables.jobs)
    project.add("a")
    assert apply(project) == {"m": "create"}
    (plan,) = project.manager.plan_migration().effective
    assert str(plan.standing) == f"{JOBS} doesn't tell its schema version (the property {SCHEMA_VERSION})"
    assert [step.words for step in plan.steps] == ["note schema version 2"]
    project.manager.migrate()
    assert version_of(project) == "2"


def test_a_table_without_the_property_that_lacks_columns_is_refused_until_it_is_migrated(project: Project) -> None:
    by_hand(project, old_spec())
    project.add("a")
    with pytest.raises(StoreError, match=r"doesn't tell its schema version .* and lacks modules_version"):
        apply(project)
    project.manager.migrate()
    assert apply(project) == {"m": "create"}


def test_a_table_that_lacks_what_no_migration_adds_is_refused(project: Project) -> None:
    spec = old_spec()
    by_hand(project, replace(spec, columns=tuple(each for each in spec.columns if each.name != "nonce")))
    with pytest.raises(StoreError, match="control_jobs lacks nonce, which no migration adds"):
        project.manager.plan_migration()


def test_a_column_of_that_name_and_another_type_is_not_taken_for_ours(old: Project) -> None:
    old.sql(f"ALTER TABLE {JOBS} ADD COLUMN modules_version STRING")
    with pytest.raises(StoreError, match="has a column modules_version already, of type STRING, not BIGINT"):
        old.manager.plan_migration()


def test_several_who_migrate_at_once_do_it_once(project: Project) -> None:
    """Without a row in the state there is no lease yet that would keep them apart."""
    make_old(project)
    tables = project.manager.tables
    barrier = threading.Barrier(4)

    def migrate() -> list[Migrated]:
        one = Migrating(DeltaStore(project.home), tables, ttl=60)
        barrier.wait()
        return one.migrate()

    with ThreadPoolExecutor(4) as pool:
        results = [future.result() for future in [pool.submit(migrate) for _ in range(4)]]
    assert any(results)
    assert version_of(project) == "2"
    assert columns(project).count("modules_version") == 1


def test_a_monitor_waits_for_the_migration_and_then_goes_on(old: Project, caplog: pytest.LogCaptureFixture) -> None:
    old.add("b")
    monitor = old.monitor(check_interval_seconds=0.01)
    with caplog.at_level(logging.ERROR, "lakeflow_job_meta"):
        monitor.run_continuous(max_iterations=2)
    assert "control_jobs has schema version 1, this product writes 2" in caplog.text
    old.manager.migrate()
    monitor.run_continuous(max_iterations=2)
    assert len(old.only_job()["settings"]["tasks"]) == 2


def test_without_a_control_table_nothing_is_made(tmp_path: Path) -> None:
    store = DeltaStore(tmp_path / "home")
    with pytest.raises(StoreError, match="there is no control table"):
        MetadataManager(TABLE, store).plan_migration()
    assert store.info(TableName.parse(TABLE)) is None
