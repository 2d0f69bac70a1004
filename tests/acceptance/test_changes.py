"""detect_changes: the guide's rules, told by timestamps, helped by the change feed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from lakeflow_job_meta import UsageError
from lakeflow_job_meta.errors import TableNotFound
from tests.conftest import TABLE, Project

OLD = "timestamp'2026-01-01 00:00:00'"
CHECK = datetime(2026, 2, 1, tzinfo=UTC)


def insert(project: Project, source_id: str, module: str = "m", *, created: str = OLD, active: bool = True) -> None:
    project.sql(
        f"INSERT INTO {TABLE} VALUES "
        f"('{source_id}', '{module}', 'x', 1, '{{}}', '{{}}', '{{}}', {active}, {created}, {created})"
    )


def edit(project: Project, assignments: str, where: str) -> None:
    project.sql(f"UPDATE {TABLE} SET {assignments}, updated_timestamp = current_timestamp() WHERE {where}")


def detect(project: Project, check: Any = CHECK) -> dict[str, list[Any]]:
    return project.manager.detect_changes(check)


def actions(found: dict[str, list[Any]]) -> dict[str, str]:
    return {each["source_id"]: each["action"] for each in found["changed_sources"]}


def modules(found: dict[str, list[Any]]) -> tuple[list[str], list[str], list[str]]:
    return found["new_modules"], found["updated_modules"], found["deactivated_modules"]


def test_nothing_changed_after_the_check(project: Project) -> None:
    insert(project, "a")
    assert detect(project) == {
        "new_modules": [], "updated_modules": [], "deactivated_modules": [], "changed_sources": [],
    }  # fmt: skip


def test_new_updated_deactivated_and_reactivated(project: Project) -> None:
    insert(project, "updated")
    insert(project, "off")
    insert(project, "on", active=False)
    insert(project, "last", "gone")
    check = datetime.now(UTC)
    edit(project, "execution_order = 2", "source_id = 'updated'")
    edit(project, "is_active = false", "source_id IN ('off', 'last')")
    edit(project, "is_active = true", "source_id = 'on'")
    project.add("fresh", "brand_new")
    found = detect(project, check)
    assert actions(found) == {
        "updated": "updated", "off": "deactivated", "on": "reactivated", "last": "deactivated", "fresh": "new",
    }  # fmt: skip
    assert modules(found) == (["brand_new"], ["m"], ["gone"])


def test_a_new_source_in_an_old_module_updates_the_module(project: Project) -> None:
    insert(project, "a")
    project.add("b")
    found = detect(project)
    assert actions(found) == {"b": "new"}
    assert modules(found) == ([], ["m"], [])


def test_since_ever_tells_new_from_updated_by_the_two_timestamps(project: Project) -> None:
    insert(project, "a", "never_touched")
    insert(project, "b", "touched")
    edit(project, "execution_order = 2", "source_id = 'b'")
    found = detect(project, None)
    assert actions(found) == {"a": "new", "b": "updated"}
    assert modules(found) == (["never_touched"], ["touched"], [])


def test_a_changed_settings_row_updates_its_module(project: Project) -> None:
    insert(project, "a")
    project.job_config("m", max_concurrent_runs=2)
    assert modules(detect(project)) == ([], ["m"], [])


def test_a_deleted_row_counts_as_deactivated(project: Project) -> None:
    insert(project, "a")
    insert(project, "b", "gone")
    check = datetime.now(UTC)
    project.add("c")
    project.sql(f"DELETE FROM {TABLE} WHERE source_id IN ('a', 'b')")
    found = detect(project, check)
    assert actions(found) == {"a": "deactivated", "b": "deactivated", "c": "new"}
    assert modules(found) == ([], ["m"], ["gone"])


def test_null_timestamps_count_as_the_time_of_the_commit(project: Project) -> None:
    check = datetime.now(UTC) - timedelta(seconds=5)
    project.sql(f"INSERT INTO {TABLE} VALUES ('a', 'm', 'x', 1, '{{}}', '{{}}', '{{}}', true, NULL, NULL)")
    assert actions(detect(project, check)) == {"a": "new"}
    assert actions(detect(project, datetime.now(UTC) + timedelta(seconds=5))) == {}


@pytest.mark.parametrize(
    "check",
    [
        "2026-02-01T00:00:00Z",
        "2026-02-01 00:00:00",
        datetime(2026, 2, 1),
        datetime(2026, 2, 1, 5, tzinfo=timezone(timedelta(hours=5))),
    ],
)
def test_a_check_may_be_text_or_datetime_with_or_without_zone(project: Project, check: Any) -> None:
    insert(project, "before", created="timestamp'2026-01-31 23:59:59'")
    insert(project, "after", created="timestamp'2026-02-01 00:00:01'")
    assert actions(detect(project, check)) == {"after": "new"}


def test_errors_are_not_swallowed(project: Project) -> None:
    with pytest.raises(UsageError, match="yesterday"):
        detect(project, "yesterday")
    project.sql(f"DROP TABLE {TABLE}")
    with pytest.raises(TableNotFound):
        detect(project)


def test_active_modules_and_their_sources_in_order(project: Project) -> None:
    project.add("second", order=2)
    project.add("first")
    project.add("gone")
    project.add("x", "switched_off")
    project.sql(f"UPDATE {TABLE} SET is_active = false WHERE source_id = 'gone'")
    project.sql(f"INSERT INTO {TABLE}_modules (module_name, is_active) VALUES ('switched_off', false)")
    assert project.manager.get_all_modules() == ["m"]
    assert [row["source_id"] for row in project.manager.get_module_sources("m")] == ["first", "second"]
