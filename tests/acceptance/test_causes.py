"""A plan tells which rows caused what: which change of them, in which version, who made it and when."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lakeflow_job_meta import ApplyError, JobOrchestrator
from lakeflow_job_meta.control.causes import FEEDS
from lakeflow_job_meta.model.plan import Action, Cause, Plan
from lakeflow_job_meta.model.plan_text import causes_text, plan_html, plan_text
from lakeflow_job_meta.model.saved_plan import SavedPlan
from lakeflow_job_meta.model.table import Commit, RowChange, TableName, TableSpec
from lakeflow_job_meta.store.delta import DeltaStore
from tests.conftest import TABLE, Project

As = Callable[[str], None]

SCHEDULE = {"quartz_cron_expression": "0 0 6 * * ?", "timezone_id": "UTC"}


@pytest.fixture
def as_user(monkeypatch: pytest.MonkeyPatch) -> As:
    """Go on as somebody else."""
    return lambda name: monkeypatch.setenv("LOGNAME", name)


def apply(project: Project, *modules: str) -> None:
    project.orchestrator.apply(project.orchestrator.plan(modules or None, prune=False))


def only(plan: Plan, module: str = "m") -> Action:
    return next(action for action in plan.actions if action.module == module)


def causes(project: Project, module: str = "m", **given: bool) -> list[tuple[str | None, str, int, str]]:
    """Row, change, version and user of each cause."""
    found = only(project.orchestrator.plan(**given), module).causes
    return [(each.source_id, each.change, each.version, each.user) for each in found]


def version(project: Project, table: str = TABLE) -> int:
    return project.sql(f"DESCRIBE HISTORY {table} LIMIT 1")[0]["version"]


def reorder(project: Project, source: str, order: int) -> int:
    """Change one row; the table's version that did it."""
    project.sql(f"UPDATE {TABLE} SET execution_order = {order} WHERE source_id = '{source}'")
    return version(project)


def point(project: Project, source: str, notebook: str) -> int:
    """Let a task run another notebook; the table's version that did it."""
    config = json.dumps({"task_type": "notebook", "notebook_path": notebook})
    project.sql(f"UPDATE {TABLE} SET transformation_config = '{config}' WHERE source_id = '{source}'")
    return version(project)


# Which rows, and who


def test_an_update_names_the_row_the_version_who_and_when(project: Project, as_user: As) -> None:
    project.add("bronze")
    project.add("silver")
    apply(project)
    before = datetime.now(UTC) - timedelta(seconds=1)
    as_user("alice@example.com")
    changed = point(project, "bronze", "/etl/other")
    as_user("root")
    (cause,) = only(project.orchestrator.plan()).causes
    assert cause == Cause("control", "bronze", "changed", changed, cause.timestamp, "alice@example.com")
    assert cause.timestamp is not None
    assert before <= cause.timestamp <= datetime.now(UTC)


def test_each_row_has_its_own_author_the_newest_first(project: Project, as_user: As) -> None:
    for source in ("a", "b", "c"):
        project.add(source)
    apply(project)
    as_user("alice")
    first = point(project, "a", "/x")
    as_user("bob")
    project.add("d", order=9)
    as_user("carol")
    project.sql(f"DELETE FROM {TABLE} WHERE source_id = 'c'")
    assert causes(project) == [
        ("c", "removed", first + 2, "carol"),
        ("d", "added", first + 1, "bob"),
        ("a", "changed", first, "alice"),
    ]


def test_the_newest_change_of_a_row_counts(project: Project, as_user: As) -> None:
    project.add("a")
    apply(project)
    as_user("alice")
    point(project, "a", "/x")
    as_user("bob")
    newest = point(project, "a", "/y")
    assert causes(project) == [("a", "changed", newest, "bob")]


def test_rows_that_ask_for_the_same_as_before_are_no_causes(project: Project) -> None:
    for source in ("a", "b", "c"):
        project.add(source)
    apply(project)
    project.sql(f"UPDATE {TABLE} SET updated_timestamp = current_timestamp() WHERE source_id = 'b'")
    reorder(project, "c", 2)
    reorder(project, "c", 1)
    changed = point(project, "a", "/x")
    assert causes(project) == [("a", "changed", changed, "root")]


def test_the_settings_row_of_a_module_is_told_apart_from_its_sources(project: Project, as_user: As) -> None:
    project.add("a")
    project.job_config(timeout_seconds=60)
    apply(project)
    as_user("alice")
    project.job_config(timeout_seconds=90)
    (cause,) = only(project.orchestrator.plan()).causes
    assert (cause.table, cause.source_id, cause.change, cause.user) == ("modules", None, "changed", "alice")
    assert cause.version == version(project, f"{TABLE}_modules")


def test_a_settings_row_is_told_too_after_only_some_modules_were_applied(project: Project, as_user: As) -> None:
    project.add("a")
    project.add("b", module="n")
    project.job_config(timeout_seconds=60)
    apply(project)
    project.add("b2", module="n")
    apply(project, "n")  # since then no mark says up to where all was in line
    as_user("alice")
    project.job_config(timeout_seconds=90)
    assert causes(project) == [(None, "changed", version(project, f"{TABLE}_modules"), "alice")]


def test_pause_and_resume_name_who_switched_the_rows(project: Project, as_user: As) -> None:
    project.add("a")
    project.job_config(schedule=SCHEDULE)
    apply(project)
    as_user("alice")
    project.sql(f"UPDATE {TABLE} SET is_active = false")
    assert causes(project) == [("a", "changed", version(project), "alice")]
    apply(project)
    as_user("bob")
    project.sql(f"UPDATE {TABLE} SET is_active = true")
    assert str(only(project.orchestrator.plan()).kind) == "resume"
    assert causes(project) == [("a", "changed", version(project), "bob")]


def test_a_resume_is_told_after_a_pause_of_just_that_module(project: Project, as_user: As) -> None:
    project.add("a")
    project.add("b", module="n")
    project.job_config(schedule=SCHEDULE)
    apply(project)
    project.sql(f"UPDATE {TABLE} SET is_active = false WHERE source_id = 'a'")
    apply(project, "m")
    as_user("bob")
    project.sql(f"UPDATE {TABLE} SET is_active = true WHERE source_id = 'a'")
    assert causes(project) == [("a", "changed", version(project), "bob")]


def test_a_module_switched_off_by_its_settings_row_says_so(project: Project, as_user: As) -> None:
    project.add("a")
    project.job_config(schedule=SCHEDULE)
    apply(project)
    as_user("alice")
    project.sql(f"UPDATE {TABLE}_modules SET is_active = false")
    assert causes(project) == [(None, "changed", version(project, f"{TABLE}_modules"), "alice")]


def test_deleting_an_orphan_names_who_deleted_its_rows(project: Project, as_user: As) -> None:
    project.add("a")
    project.add("b", module="n")
    apply(project)
    as_user("alice")
    project.sql(f"DELETE FROM {TABLE} WHERE module_name = 'm'")
    plan = project.orchestrator.plan(prune=True)
    assert str(only(plan).kind) == "delete"
    assert causes(project, prune=True) == [("a", "removed", version(project), "alice")]
    assert causes(project) == [("a", "removed", version(project), "alice")]


def test_a_rename_names_the_rows_of_the_new_name(project: Project, as_user: As) -> None:
    project.add("a")
    project.job_config()
    apply(project)
    as_user("alice")
    project.sql(f"UPDATE {TABLE} SET module_name = 'new'")
    renamed = json.dumps({"lifecycle": {"moved_from": "m"}})
    project.sql(f"UPDATE {TABLE}_modules SET module_name = 'new', job_config = '{renamed}'")
    action = only(project.orchestrator.plan(), "new")
    assert str(action.kind) == "move"
    assert [(each.table, each.source_id, each.change, each.user) for each in action.causes] == [
        ("control", "a", "added", "alice"),
        ("modules", None, "added", "alice"),
    ]


def test_a_new_module_names_its_rows(project: Project, as_user: As) -> None:
    project.add("a")
    apply(project)
    as_user("alice")
    project.add("b", module="n")
    assert causes(project, "n") == [("b", "added", version(project), "alice")]
    assert causes(project) == []


def test_a_frozen_module_names_the_row_that_holds_it_up(project: Project, as_user: As) -> None:
    project.add("a")
    project.add("b")
    apply(project)
    as_user("alice")
    project.sql(f"UPDATE {TABLE} SET transformation_config = '{{' WHERE source_id = 'b'")
    assert only(project.orchestrator.plan()).failed
    assert causes(project) == [("b", "changed", version(project), "alice")]


def test_a_doubled_row_hides_no_other_cause(project: Project, as_user: As) -> None:
    for module in ("m", "n", "o"):
        project.add("a", module=module)
    apply(project)
    as_user("alice")
    project.add("a", module="n")
    doubled = version(project)
    as_user("bob")
    other = json.dumps({"task_type": "notebook", "notebook_path": "/other"})
    project.sql(f"UPDATE {TABLE} SET transformation_config = '{other}' WHERE module_name = 'm'")
    changed = only(project.orchestrator.plan())
    assert [(each.source_id, each.user) for each in changed.causes] == [("a", "bob")]
    frozen = only(project.orchestrator.plan(), "n")
    assert frozen.failed
    assert [(each.source_id, each.version, each.user) for each in frozen.causes] == [("a", doubled, "alice")]
    assert not only(project.orchestrator.plan(), "o").effective


# Before the first apply


def test_rows_of_one_load_have_its_author(project: Project, as_user: As, tmp_path: Path) -> None:
    file = tmp_path / "m.yml"
    file.write_text(
        'metadata_version: "1.0"\nmodules:\n  - module_name: m\n    job_config: {timeout_seconds: 60}\n    sources:\n'
        "      - {source_id: a, transformation_config: {task_type: notebook, notebook_path: /a}}\n"
        "      - {source_id: b, transformation_config: {task_type: notebook, notebook_path: /b}}\n"
    )
    as_user("loader")
    project.manager.load_yaml(file)
    as_user("root")
    assert causes(project) == [("a", "added", 1, "loader"), ("b", "added", 1, "loader"), (None, "added", 1, "loader")]


def test_rows_written_one_by_one_have_authors_of_their_own(project: Project, as_user: As) -> None:
    as_user("alice")
    project.add("a")
    as_user("bob")
    project.add("b")
    assert causes(project) == [("b", "added", 2, "bob"), ("a", "added", 1, "alice")]


# Since the last apply of that module, not of another


def test_what_was_applied_already_is_no_cause(project: Project) -> None:
    project.add("a")
    apply(project)
    point(project, "a", "/x")
    apply(project)
    project.add("b")
    assert causes(project) == [("b", "added", version(project), "root")]


def test_a_row_changed_back_after_its_own_modules_apply_is_told(project: Project) -> None:
    project.add("a", module="m")
    project.add("b", module="n")
    apply(project)
    point(project, "b", "/x")
    apply(project, "n")
    old = point(project, "a", "/x")
    back = point(project, "b", "/etl/b")
    assert causes(project, "n") == [("b", "changed", back, "root")]
    assert causes(project, "m") == [("a", "changed", old, "root")]


def test_modules_that_were_applied_one_by_one_are_each_told_since_their_own_apply(project: Project) -> None:
    sources = [f"s{number}" for number in range(FEEDS + 2)]
    for source in sources:
        project.add(source, module=f"m_{source}")
    apply(project)
    for source in sources:
        point(project, source, "/x")
        apply(project, f"m_{source}")
    changed = {source: point(project, source, "/y") for source in sources}
    plan = project.orchestrator.plan(refresh=False)
    assert [(each.source_id, each.version) for action in plan.actions for each in action.causes] == [*changed.items()]


def test_an_update_that_failed_keeps_its_causes(project: Project) -> None:
    project.add("a")
    apply(project)
    changed = point(project, "a", "/x")
    project.site.fault(
        method="POST", path="jobs/reset", action="status", status=400, error_code="INVALID", message="no"
    )
    with suppress(ApplyError):
        apply(project)
    project.site.no_faults()
    assert causes(project) == [("a", "changed", changed, "root")]


def test_a_create_that_failed_keeps_its_causes(project: Project) -> None:
    project.add("a")
    project.site.fault(
        method="POST", path="jobs/create", action="status", status=400, error_code="INVALID", message="no"
    )
    with suppress(ApplyError):
        apply(project)
    project.site.no_faults()
    assert causes(project) == [("a", "added", 1, "root")]


# Nothing told where nothing is known


def test_drift_has_no_causes(project: Project) -> None:
    project.add("a")
    project.job_config(timeout_seconds=60)
    apply(project)
    project.update_job(project.only_job()["job_id"], timeout_seconds=99)
    action = only(project.orchestrator.plan())
    assert (str(action.kind), action.causes) == ("update", ())
    project.client.api_client.do("POST", "/api/2.2/jobs/delete", body={"job_id": action.job_id})
    action = only(project.orchestrator.plan())
    assert (str(action.kind), action.causes) == ("recreate", ())


def test_a_restore_tells_no_rows_and_the_reason_stays(project: Project) -> None:
    project.add("a")
    apply(project)
    point(project, "a", "/x")
    apply(project)
    project.sql(f"RESTORE TABLE {TABLE} TO VERSION AS OF 1")
    action = only(project.orchestrator.plan())
    assert (str(action.kind), action.reason, action.causes) == ("update", "rows changed", ())


def test_a_person_who_destroys_needs_no_rows(project: Project) -> None:
    project.add("a")
    apply(project)
    assert causes(project, destroy=True) == []


# What it costs


class CountingStore(DeltaStore):
    """The real store; it notes which table's feed and history were asked for."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.asked: list[tuple[str, str]] = []

    def changes(self, spec: TableSpec, since: int) -> list[RowChange] | None:
        self.asked.append(("feed", spec.name.name))
        return super().changes(spec, since)

    def history(self, table: TableName, limit: int = 100) -> list[Commit]:
        self.asked.append(("history", table.name))
        return super().history(table, limit)


@contextmanager
def counting(project: Project) -> Iterator[tuple[JobOrchestrator, list[tuple[str, str]]]]:
    store = CountingStore(project.home)
    yield JobOrchestrator(TABLE, project.client, store=store, settings=project.settings), store.asked


def test_a_plan_without_changes_asks_for_nothing(project: Project) -> None:
    project.add("a")
    project.job_config(timeout_seconds=60)
    apply(project)
    project.update_job(project.only_job()["job_id"], timeout_seconds=99)
    with counting(project) as (orchestrator, asked):
        assert not orchestrator.plan().empty
        assert orchestrator.plan(changed_only=True).empty
        assert asked == []


def test_the_feed_is_read_once_a_table(project: Project) -> None:
    for number in range(5):
        project.add(f"s{number}", module=f"m{number}")
        project.job_config(f"m{number}", timeout_seconds=60)
    apply(project)
    for number in range(5):
        point(project, f"s{number}", "/x")
        project.job_config(f"m{number}", timeout_seconds=99)
    feeds = [("feed", "control"), ("feed", "control_modules")]
    for given in ({}, {"refresh": False}, {"changed_only": True}):
        with counting(project) as (orchestrator, asked):
            assert all(len(action.causes) == 2 for action in orchestrator.plan(**given).actions)
            assert sorted(each for each in asked if each[0] == "feed") == feeds
            assert len(asked) <= 4


def test_a_first_load_is_told_without_the_feed(project: Project) -> None:
    config = json.dumps({"task_type": "notebook", "notebook_path": "/n"})
    rows = ", ".join(f"('s{n}', 'm{n}', 'x', 1, '{{}}', '{{}}', '{config}', true)" for n in range(3))
    project.sql(f"INSERT INTO {TABLE} VALUES {rows}")
    with counting(project) as (orchestrator, asked):
        assert all(len(action.causes) == 1 for action in orchestrator.plan().actions)
        assert asked == [("history", "control")]


# As people and programs read it


AT = datetime(2026, 11, 21, 10, 3, 59, tzinfo=UTC)


def test_the_text_has_a_line_below_the_reason(project: Project, as_user: As) -> None:
    project.add("bronze")
    apply(project)
    as_user("alice@example.com")
    point(project, "bronze", "/x")
    plan = project.orchestrator.plan()
    (cause,) = only(plan).causes
    line = f"      because bronze changed in version 2 by alice@example.com, {cause.timestamp:%Y-%m-%d %H:%M}"
    lines = str(plan).splitlines()
    assert lines[lines.index(line) - 1].endswith("(rows changed)")
    assert f"<{line}>" in plan_text(plan, dim=lambda text: f"<{text}>").splitlines()


def test_at_most_five_rows_are_named() -> None:
    rows = [Cause("control", f"s{number}", "changed", 42, AT, "alice") for number in range(42)]
    assert causes_text(rows) == (
        "because s0, s1, s2, s3, s4 changed in version 42 by alice, 2026-11-21 10:03, and 37 more"
    )
    assert causes_text(rows[:2]) == "because s0, s1 changed in version 42 by alice, 2026-11-21 10:03"
    assert causes_text([]) == ""


def test_names_from_outside_do_no_harm(project: Project) -> None:
    project.add("a")
    plan = project.orchestrator.plan()
    evil = replace(only(plan), causes=(Cause("control", "<b>\x1b[31m", "changed", 1, AT, "<script>"),))
    shown = replace(plan, actions=(evil,))
    assert "\x1b" not in str(shown)
    assert "because &lt;b&gt;\\x1b[31m changed in version 1 by &lt;script&gt;, 2026-11-21 10:03" in plan_html(shown)
    assert "<script>" not in plan_html(shown)


def test_the_json_has_all_causes(project: Project, as_user: As) -> None:
    project.add("a")
    apply(project)
    as_user("alice")
    project.add("b")
    plan = project.orchestrator.plan()
    (action,) = json.loads(plan.to_json())["actions"]
    (cause,) = only(plan).causes
    assert cause.timestamp is not None
    assert action["causes"] == [
        {
            "table": "control",
            "source_id": "b",
            "change": "added",
            "version": 2,
            "timestamp": cause.timestamp.isoformat(),
            "user": "alice",
        }
    ]


def test_a_saved_plan_keeps_the_causes_and_one_without_them_still_holds(project: Project) -> None:
    project.add("a")
    plan = project.orchestrator.plan()
    text = SavedPlan.of(plan, asdict(project.settings)).to_json(plan)
    assert json.loads(text)["plan"]["actions"][0]["causes"][0]["source_id"] == "a"
    old = json.loads(text)
    for action in old["plan"]["actions"]:
        del action["causes"]
    SavedPlan.from_json(json.dumps(old), "p.json").check(project.orchestrator.plan())
    untold = replace(plan, actions=tuple(replace(action, causes=()) for action in plan.actions))
    assert SavedPlan.of(untold, asdict(project.settings)).modules == old["modules"]


# Who: in the history of every table


def test_every_write_says_who_made_it(project: Project, as_user: As) -> None:
    as_user("alice@example.com")
    project.add("a")
    project.job_config(timeout_seconds=60)
    other = "main.etl.copy"
    for text in (
        f"UPDATE {TABLE} SET execution_order = 2",
        f"DELETE FROM {TABLE} WHERE source_id = 'none'",
        f"RESTORE TABLE {TABLE} TO VERSION AS OF 1",
        f"INSERT INTO {TABLE} (source_id, module_name) VALUES ('b', 'n')",
        f"OPTIMIZE {TABLE}",
        f"INSERT INTO {TABLE} (source_id, module_name) VALUES ('c', 'n')",
        f"OPTIMIZE {TABLE} ZORDER BY (source_id)",
        f"ALTER TABLE {TABLE} SET TBLPROPERTIES ('x' = 'y')",
        f"ALTER TABLE {TABLE} ADD COLUMN note STRING",
        f"CREATE TABLE {other} AS SELECT * FROM {TABLE}",
        f"TRUNCATE TABLE {other}",
        f"ALTER TABLE {other} SET TBLPROPERTIES ('delta.deletedFileRetentionDuration' = 'interval 0 hours')",
        f"VACUUM {other} RETAIN 0 HOURS",
    ):
        project.sql(text)
    with suppress(ApplyError):
        apply(project)
    seen: set[str] = set()
    for table in (TABLE, f"{TABLE}_modules", f"{TABLE}_jobs", f"{TABLE}_log", other):
        for row in project.sql(f"DESCRIBE HISTORY {table}"):
            seen.add(row["operation"])
            # The fixture made the tables as somebody else.
            assert row["operation"] == "CREATE TABLE" or row["userName"] == "alice@example.com", row
    assert {"WRITE", "UPDATE", "RESTORE", "OPTIMIZE", "SET TBLPROPERTIES", "ADD COLUMNS", "TRUNCATE"} <= seen
    assert {"MERGE", "VACUUM START", "VACUUM END"} <= seen
