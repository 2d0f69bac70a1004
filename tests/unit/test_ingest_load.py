"""Loading touches only rows that differ, tells whose edits it overwrote, and never deletes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.errors import ConflictError, InputError, StoreError, UsageError
from lakeflow_job_meta.ingest.export import export_yaml
from lakeflow_job_meta.ingest.load import load, load_folder
from lakeflow_job_meta.ingest.report import ChangedRow, LoadReport
from lakeflow_job_meta.model.table import Changes, Snapshot, TableName, TableSpec
from lakeflow_job_meta.store.delta import DeltaStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
TABLES = ControlTables.of(TableName.parse("main.etl.control"))
SPECS = (TABLES.control, TABLES.modules, TABLES.files)


class Racing(DeltaStore):
    """A real store in which somebody else writes just before our first write."""

    def __init__(self, home: Path, other: Callable[[], None]) -> None:
        super().__init__(home)
        self._other: Callable[[], None] | None = other

    def transact(self, spec: TableSpec, decide: Callable[[Snapshot], Changes]) -> int | None:
        if self._other is not None:
            self._other()
            self._other = None
        return super().transact(spec, decide)


@pytest.fixture
def store(tmp_path: Path) -> DeltaStore:
    return DeltaStore(tmp_path / "home")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "metadata"
    made.mkdir()
    return made


def module(name: str, *sources: str, settings: str = "", path: str = "/n") -> str:
    lines = [f"- module_name: {name}", *([f"  job_config: {settings}"] if settings else []), "  sources:"]
    for each in sources:
        lines.append(f"  - source_id: {each}")
        lines.append(f"    transformation_config: {{task_type: notebook, notebook_path: {path}}}")
    return "\n".join(lines if sources else [*lines[:-1], "  sources: []"]) + "\n"


def write(path: Path, *modules: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("modules:\n" + "".join(modules))
    return path


def rows(store: DeltaStore) -> dict[str, Mapping[str, Any]]:
    return {row["source_id"]: row for row in store.read(TABLES.control.name).rows}


def versions(store: DeltaStore) -> list[int]:
    return [store.info(spec.name).version for spec in SPECS]


def edit(store: DeltaStore, source_id: str, **columns: Any) -> None:
    row = {**rows(store)[source_id], "updated_timestamp": NOW + timedelta(minutes=5), **columns}
    store.transact(TABLES.control, lambda _: Changes((row,)))


def delete(store: DeltaStore, source_id: str) -> None:
    row = rows(store)[source_id]
    store.transact(TABLES.control, lambda _: Changes(deletes=(row,)))


def test_a_file_loaded_twice_writes_nothing_the_second_time(store: DeltaStore, folder: Path) -> None:
    write(folder / "a.yml", module("m", "s", "t", settings="{timeout_seconds: 5}"))
    first = load(store, TABLES, folder, now=NOW)
    assert set(first.added) == {("m", ""), ("m", "s"), ("m", "t")}
    before = versions(store)
    second = load(store, TABLES, folder, now=LATER)
    assert (second.wrote, second.unchanged, versions(store)) == (False, 3, before)
    assert load(store, TABLES, folder / "a.yml", now=LATER).unchanged == 3
    assert versions(store) == before


def test_only_rows_that_differ_are_touched(store: DeltaStore, folder: Path) -> None:
    path = write(folder / "a.yml", module("m", "s"), module("n", "t"))
    load(store, TABLES, path, now=NOW)
    write(path, module("m", "s"), module("n", "t", path="/other"))
    report = load(store, TABLES, path, now=LATER)
    assert report.changed == (ChangedRow(("n", "t"), ("transformation_config",)),)
    after = rows(store)
    assert after["s"]["updated_timestamp"] == NOW
    assert (after["t"]["created_timestamp"], after["t"]["updated_timestamp"]) == (NOW, LATER)
    assert report.control_version == store.info(TABLES.control.name).version


def test_json_written_otherwise_and_null_for_active_are_no_difference(store: DeltaStore, folder: Path) -> None:
    path = write(folder / "a.yml", module("m", "s"))
    load(store, TABLES, path, now=NOW)
    edit(store, "s", transformation_config='{ "notebook_path": "/n",\n "task_type": "notebook" }', is_active=None)
    before = versions(store)
    assert not load(store, TABLES, path, now=LATER).wrote
    assert versions(store) == before


def test_a_direct_edit_is_overwritten_and_named_with_columns_and_time(store: DeltaStore, folder: Path) -> None:
    path = write(folder / "a.yml", module("m", "s"))
    load(store, TABLES, path, now=NOW)
    edit(store, "s", execution_order=7, source_type="x")
    report = load(store, TABLES, path, now=LATER)
    assert report.overwritten == (
        ChangedRow(("m", "s"), ("source_type", "execution_order"), NOW + timedelta(minutes=5)),
    )
    assert report.changed == ()
    assert rows(store)["s"]["execution_order"] is None
    assert "! m/s: source_type, execution_order (edited 2026-03-01 12:05:00 UTC) – overwritten" in str(report)


def test_keep_leaves_edited_rows_and_writes_the_others(store: DeltaStore, folder: Path) -> None:
    path = write(folder / "a.yml", module("m", "s", "t"))
    load(store, TABLES, path, now=NOW)
    edit(store, "s", execution_order=7)
    write(path, module("m", "s", "t", path="/new"))
    report = load(store, TABLES, path, now=LATER, on_conflict="keep")
    assert [row.key for row in report.kept] == [("m", "s")]
    assert [row.key for row in report.changed] == [("m", "t")]
    assert rows(store)["s"]["execution_order"] == 7
    again = load(store, TABLES, path, now=LATER, on_conflict="keep")
    assert [row.key for row in again.kept] == [("m", "s")]


def test_fail_names_every_edited_row_and_writes_nothing(store: DeltaStore, folder: Path) -> None:
    path = write(folder / "a.yml", module("m", "s", "t", "u"))
    load(store, TABLES, path, now=NOW)
    edit(store, "s", execution_order=7)
    delete(store, "t")
    write(path, module("m", "s", "t", "u", path="/new"))
    before = versions(store)
    with pytest.raises(ConflictError) as raised:
        load(store, TABLES, path, now=LATER, on_conflict="fail")
    assert "m/s: execution_order" in str(raised.value)
    assert "m/t: deleted in the table" in str(raised.value)
    assert versions(store) == before


def test_a_row_that_no_file_ever_wrote_is_a_conflict_where_it_differs(store: DeltaStore, folder: Path) -> None:
    TABLES.ensure(store)
    store.append(TABLES.control, [{"module_name": "m", "source_id": "s", "execution_order": 3}])
    path = write(folder / "a.yml", module("m", "s"))
    with pytest.raises(ConflictError):
        load(store, TABLES, path, now=NOW, on_conflict="fail")
    assert [row.key for row in load(store, TABLES, path, now=NOW).overwritten] == [("m", "s")]


def test_columns_that_somebody_added_to_the_table_survive(store: DeltaStore, folder: Path) -> None:
    path = write(folder / "a.yml", module("m", "s"))
    load(store, TABLES, path, now=NOW)
    store.sql(f"ALTER TABLE {TABLES.control.name} ADD COLUMN owner STRING")
    store.sql(f"UPDATE {TABLES.control.name} SET owner = 'ann'")
    write(path, module("m", "s", path="/new"))
    load(store, TABLES, path, now=LATER)
    assert rows(store)["s"]["owner"] == "ann"


def test_nothing_is_written_if_any_file_has_an_error(store: DeltaStore, folder: Path) -> None:
    write(folder / "a.yml", module("m", "s"))
    (folder / "b.yml").write_text("modules: [")
    with pytest.raises(InputError, match=r"1 error, nothing was loaded"):
        load(store, TABLES, folder, now=NOW)
    assert store.info(TABLES.control.name) is None


def test_files_that_something_else_reads_are_left_to_it_unless_they_are_all_there_is(
    store: DeltaStore, folder: Path
) -> None:
    for name, text in {"config.yml": "dataset: d\ntables: [t]\n", "0001_a.yml": "up: SELECT 1\n"}.items():
        (folder / name).write_text(text, "utf-8")
    with pytest.raises(InputError, match=r"0001_a.yml:1:1: error: not a modules file.*'up' belongs in another folder"):
        load(store, TABLES, folder, now=NOW)
    (folder / "m.yml").write_text("modules:\n" + module("m", "a"), "utf-8")
    assert load(store, TABLES, folder, now=NOW).wrote
    (folder / "typo.yml").write_text("module:\n" + module("n", "a") + "tables: []\n", "utf-8")
    with pytest.raises(InputError, match=r"typo.yml:1:1: error: not a modules file"):
        load(store, TABLES, folder, now=NOW)


def test_findings_about_rows_that_the_file_does_not_declare_do_not_block(store: DeltaStore, folder: Path) -> None:
    TABLES.ensure(store)
    store.append(TABLES.control, [{"module_name": "m", "source_id": "broken", "transformation_config": "{..."}])
    report = load(store, TABLES, write(folder / "a.yml", module("m", "s")), now=NOW)
    assert report.added == (("m", "s"),)
    assert [str(each.location) for each in report.warnings] == [
        "main.etl.control/m/broken/transformation_config at offset 1"
    ]


def test_the_rows_of_the_table_count_when_the_file_is_checked(store: DeltaStore, folder: Path) -> None:
    load(store, TABLES, write(folder / "a.yml", module("m", "s", "t")), now=NOW)
    depends = module("m", "u").replace("{task_type", "{depends_on: [t], task_type")
    assert load(store, TABLES, write(folder / "a.yml", depends), now=LATER).added == (("m", "u"),)


def test_missing_sources_are_deactivated_only_when_asked_and_never_deleted(store: DeltaStore, folder: Path) -> None:
    path = write(folder / "a.yml", module("m", "s", "t"))
    load(store, TABLES, folder, now=NOW)
    write(path, module("m", "s"))
    assert not load(store, TABLES, folder, now=LATER).wrote
    report = load(store, TABLES, folder, now=LATER, deactivate_missing=True)
    assert report.deactivated == (("m", "t"),)
    assert (rows(store)["t"]["is_active"], rows(store)["t"]["updated_timestamp"]) == (False, LATER)
    before = versions(store)
    assert not load(store, TABLES, folder, now=LATER, deactivate_missing=True).wrote
    assert versions(store) == before


def test_what_was_deactivated_comes_back_with_its_declaration(store: DeltaStore, folder: Path) -> None:
    path = write(folder / "a.yml", module("m", "s", settings="{timeout_seconds: 5}"), module("n", "t"))
    load(store, TABLES, folder, now=NOW)
    write(path, module("n", "t"))
    gone = load(store, TABLES, folder, now=LATER, deactivate_missing=True)
    assert set(gone.deactivated) == {("m", ""), ("m", "s")}
    write(path, module("m", "s", settings="{timeout_seconds: 5}"), module("n", "t"))
    back = load(store, TABLES, folder, now=LATER, on_conflict="fail")
    assert {row.key: row.columns for row in back.changed} == {("m", ""): ("is_active",), ("m", "s"): ("is_active",)}


def test_sources_that_no_file_declared_are_never_deactivated(store: DeltaStore, folder: Path) -> None:
    path = write(folder / "a.yml", module("m", "s", settings="{timeout_seconds: 5}"), module("n", "t"))
    load(store, TABLES, folder, now=NOW)
    store.append(TABLES.control, [{"module_name": "m", "source_id": "by_sql", "is_active": True}])
    write(path, module("n", "t"))
    report = load(store, TABLES, folder, now=LATER, deactivate_missing=True)
    assert report.deactivated == (("m", "s"),)
    assert rows(store)["by_sql"]["is_active"] is True
    assert store.read(TABLES.modules.name).rows[0]["is_active"] is True


@pytest.mark.parametrize("what", ["bad file", "no file", "no folder"])
def test_nothing_is_deactivated_when_the_folder_cannot_be_trusted(store: DeltaStore, folder: Path, what: str) -> None:
    write(folder / "a.yml", module("m", "s"))
    write(folder / "b.yml", module("n", "t"))
    load(store, TABLES, folder, now=NOW)
    (folder / "a.yml").unlink()
    if what == "bad file":
        (folder / "b.yml").write_text("modules: [")
    else:
        (folder / "b.yml").unlink()
    if what == "no folder":
        folder.rmdir()
    before = versions(store)
    with pytest.raises(InputError):
        load(store, TABLES, folder, now=LATER, deactivate_missing=True)
    assert versions(store) == before


def test_a_file_loaded_by_itself_deactivates_only_what_it_declared(store: DeltaStore, folder: Path) -> None:
    write(folder / "a.yml", module("m", "s", "t"))
    write(folder / "sub/b.yml", module("n", "u"))
    load(store, TABLES, folder, now=NOW)
    write(folder / "a.yml", module("m", "s"))
    report = load(store, TABLES, folder / "a.yml", now=LATER, deactivate_missing=True)
    assert report.deactivated == (("m", "t"),)
    write(folder / "sub/b.yml", module("o", "v"))
    report = load(store, TABLES, folder / "sub", now=LATER, deactivate_missing=True)
    assert (report.added, report.deactivated) == ((("o", "v"),), (("n", "u"),))


def test_a_moved_file_keeps_its_rows(store: DeltaStore, folder: Path) -> None:
    path = write(folder / "a.yml", module("m", "s"))
    load(store, TABLES, folder, now=NOW)
    (folder / "new").mkdir()
    path.rename(folder / "new" / "b.yml")
    report = load(store, TABLES, folder, now=LATER, deactivate_missing=True, on_conflict="fail")
    assert (report.wrote, report.unchanged) == (False, 1)
    assert [row["path"] for row in store.read(TABLES.files.name).rows] == ["new/b.yml"]


def test_a_source_that_another_file_still_declares_is_an_error(store: DeltaStore, folder: Path) -> None:
    first = write(folder / "a.yml", module("m", "s"))
    second = write(folder / "b.yml", module("m", "s", path="/other"))
    load(store, TABLES, first, now=NOW)
    with pytest.raises(InputError, match=r"m/s belongs to .*a\.yml, which still declares it"):
        load(store, TABLES, second, now=LATER)
    write(first, module("n", "t"))
    assert [row.key for row in load(store, TABLES, second, now=LATER).changed] == [("m", "s")]


def test_an_export_elsewhere_takes_rows_over_and_the_folder_takes_them_back(store: DeltaStore, folder: Path) -> None:
    write(folder / "a.yml", module("m", "s"), module("n", "t"))
    load(store, TABLES, folder, now=NOW)
    backup = write(folder.parent / "backup.yml", module("m", "s"), module("n", "t"))
    assert not load(store, TABLES, backup, now=LATER, on_conflict="fail").wrote
    write(folder / "a.yml", module("m", "s"))
    report = load(store, TABLES, folder, now=LATER, on_conflict="fail", deactivate_missing=True)
    assert not report.wrote
    (stays,) = report.warnings
    assert str(stays).startswith(f"{backup}:1:1: warning: nothing here declares n/t any more, but this file wrote")
    assert not load(store, TABLES, folder, now=LATER, on_conflict="fail").warnings, "nobody asked what is missing"
    write(folder / "a.yml", module("m", "s"), module("n", "t"))
    evening = LATER + timedelta(hours=6)
    assert not load(store, TABLES, folder, now=evening, on_conflict="fail").wrote
    write(folder / "a.yml", module("m", "s"))
    report = load(store, TABLES, folder, now=evening + timedelta(hours=1), deactivate_missing=True)
    assert report.deactivated == (("n", "t"),)


def test_an_edit_survives_an_export_that_is_loaded_until_the_file_itself_changes(
    store: DeltaStore, folder: Path
) -> None:
    path = write(folder / "a.yml", module("m", "s"))
    load_folder(store, TABLES, folder, now=NOW)
    edit(store, "s", execution_order=9)
    backup = folder.parent / "backup.yml"
    export_yaml(store, TABLES, backup)
    assert not load(store, TABLES, backup, now=LATER).wrote
    for hour in (2, 3):
        report, found = load_folder(store, TABLES, folder, now=NOW + timedelta(hours=hour))
        assert ([row.key for row in report.kept], report.wrote, found) == ([("m", "s")], False, ())
    assert rows(store)["s"]["execution_order"] == 9
    write(path, module("m", "s", path="/new"))
    report, _ = load_folder(store, TABLES, folder, now=NOW + timedelta(hours=4))
    assert [row.key for row in report.overwritten] == [("m", "s")]


def test_any_of_several_backups_can_be_loaded(store: DeltaStore, folder: Path) -> None:
    backups = [write(folder.parent / "backup" / f"{day}.yml", module("m", "s", path=f"/{day}")) for day in ("mo", "tu")]
    write(folder / "a.yml", module("m", "s"))
    for hour, path in enumerate((folder, backups[0], folder, backups[1], folder, backups[0])):
        load(store, TABLES, path, now=NOW + timedelta(hours=hour))
    assert '"/mo"' in rows(store)["s"]["transformation_config"]


def test_a_load_after_an_export_was_loaded_still_says_whose_edit_it_overwrites(store: DeltaStore, folder: Path) -> None:
    write(folder / "a.yml", module("m", "s"))
    load(store, TABLES, folder, now=NOW)
    edit(store, "s", execution_order=9)
    backup = folder.parent / "backup.yml"
    export_yaml(store, TABLES, backup)
    load(store, TABLES, backup, now=LATER)
    with pytest.raises(ConflictError, match="1 row was edited in the table"):
        load(store, TABLES, folder, now=LATER, on_conflict="fail")
    report = load(store, TABLES, folder, now=LATER)
    assert (report.changed, [row.key for row in report.overwritten]) == ((), [("m", "s")])


def test_settings_of_a_module_that_only_an_export_declares_are_left_alone(store: DeltaStore, folder: Path) -> None:
    write(folder / "a.yml", module("m", "s"))
    load(store, TABLES, folder, now=NOW)
    store.append(TABLES.modules, [{"module_name": "m", "job_config": '{"timeout_seconds": 5}', "is_active": True}])
    backup = folder.parent / "backup.yml"
    export_yaml(store, TABLES, backup)
    load(store, TABLES, backup, now=LATER)
    assert not load(store, TABLES, folder, now=LATER).wrote
    assert store.read(TABLES.modules.name).rows[0]["job_config"] == '{"timeout_seconds": 5}'


def test_a_checkout_in_a_new_folder_each_time_leaves_few_records(store: DeltaStore, folder: Path) -> None:
    for number in range(8):
        checkout = write(folder.parent / f"build{number}" / "a.yml", module("m", "s")).parent
        load(store, TABLES, checkout, now=NOW + timedelta(hours=number), on_conflict="fail")
    assert len(store.read(TABLES.files.name).rows) == 4


def test_loading_two_copies_in_turn_writes_only_who_was_last(store: DeltaStore, folder: Path) -> None:
    copies = [write(folder / name / "a.yml", module("m", "s")) for name in ("one", "two")]
    for hour, copy in enumerate((*copies, *copies)):
        load(store, TABLES, copy, now=NOW + timedelta(hours=hour))
    before = versions(store)
    load(store, TABLES, copies[1], now=NOW + timedelta(hours=9))
    assert versions(store) == before


def test_module_settings_that_a_file_drops_fall_back_to_none(store: DeltaStore, folder: Path) -> None:
    path = write(folder / "a.yml", module("m", "s", settings="{timeout_seconds: 5}"))
    load(store, TABLES, path, now=NOW)
    write(path, module("m", "s"))
    assert load(store, TABLES, path, now=LATER).changed == (ChangedRow(("m", ""), ("job_config",)),)
    before = versions(store)
    assert not load(store, TABLES, path, now=LATER).wrote
    assert versions(store) == before


def test_module_settings_that_no_file_declares_are_left_alone(store: DeltaStore, folder: Path) -> None:
    TABLES.ensure(store)
    store.append(TABLES.modules, [{"module_name": "m", "job_config": "{}", "is_active": True}])
    load(store, TABLES, write(folder / "a.yml", module("m", "s")), now=NOW)
    assert store.read(TABLES.modules.name).rows[0]["job_config"] == "{}"


def test_a_doubled_row_is_named_and_stops_the_load(store: DeltaStore, folder: Path) -> None:
    path = write(folder / "a.yml", module("m", "s", "t"))
    load(store, TABLES, path, now=NOW)
    store.append(TABLES.control, [rows(store)["s"]])
    write(path, module("m", "s", "t", path="/new"))
    with pytest.raises(InputError, match=r"main\.etl\.control/m/s: error: the table holds this row twice"):
        load(store, TABLES, path, now=LATER)
    assert rows(store)["t"]["updated_timestamp"] == NOW


def test_two_loads_at_once_lose_nothing(store: DeltaStore, folder: Path) -> None:
    TABLES.ensure(store)
    paths = [write(folder / f"{n}.yml", module(f"m{n}", "s", settings="{timeout_seconds: 5}")) for n in range(4)]
    with ThreadPoolExecutor(4) as pool:
        loads = [pool.submit(load, DeltaStore(store.home), TABLES, path, now=NOW) for path in paths]
        assert [len(each.result().added) for each in loads] == [2, 2, 2, 2]
    assert [len(store.read(spec.name).rows) for spec in SPECS] == [4, 4, 8]
    assert not load(store, TABLES, folder, now=LATER, on_conflict="fail").wrote


def test_an_edit_that_comes_between_reading_and_writing_is_seen(store: DeltaStore, folder: Path) -> None:
    path = write(folder / "a.yml", module("m", "s"))
    load(store, TABLES, path, now=NOW)
    write(path, module("m", "s", path="/new"))
    racing = Racing(store.home, lambda: edit(store, "s", execution_order=7))
    with pytest.raises(ConflictError, match="m/s: execution_order, transformation_config"):
        load(racing, TABLES, path, now=LATER, on_conflict="fail")
    assert rows(store)["s"]["execution_order"] == 7


def test_a_crash_before_the_records_is_healed_by_loading_again(store: DeltaStore, folder: Path) -> None:
    path = write(folder / "a.yml", module("m", "s"))
    load(store, TABLES, path, now=NOW)
    write(path, module("m", "s", path="/new"))
    old = store.read(TABLES.files.name).rows
    load(store, TABLES, path, now=LATER)
    store.transact(TABLES.files, lambda _: Changes(old))  # as if the load had died after its first write
    healed = load(store, TABLES, path, now=LATER, on_conflict="fail")
    assert not healed.wrote
    edit(store, "s", execution_order=1)
    assert [row.key for row in load(store, TABLES, path, now=LATER).overwritten] == [("m", "s")]


def test_a_table_that_is_no_control_table_is_refused(store: DeltaStore, folder: Path) -> None:
    store.sql("CREATE TABLE main.etl.control (id INT)")
    with pytest.raises(StoreError, match="is no control table: it lacks source_id"):
        load(store, TABLES, write(folder / "a.yml", module("m", "s")), now=NOW)


def test_rows_without_names_are_nobody_s(store: DeltaStore, folder: Path) -> None:
    path = write(folder / "a.yml", module("None", "s", settings="{timeout_seconds: 5}"))
    load(store, TABLES, path, now=NOW)
    store.append(TABLES.modules, [{"module_name": "", "job_config": "{}"}])
    assert not load(store, TABLES, path, now=LATER).wrote


def test_an_unknown_on_conflict_and_a_naive_time_are_usage_errors(store: DeltaStore, folder: Path) -> None:
    with pytest.raises(UsageError, match="on_conflict is 'skip'"):
        load(store, TABLES, folder, now=NOW, on_conflict="skip")
    with pytest.raises(UsageError, match="no time zone"):
        load(store, TABLES, folder, now=datetime(2026, 1, 1))


def test_the_monitor_loads_good_files_while_a_bad_one_waits(store: DeltaStore, folder: Path) -> None:
    write(folder / "a.yml", module("m", "s"))
    bad = write(folder / "b.yml", module("n", "t"))
    load_folder(store, TABLES, folder, now=NOW)
    write(folder / "a.yml", module("m", "s", path="/new"))
    write(bad, module("n", "t", path="/new").replace("notebook,", "notebok,"))
    write(folder / "c.yml", module("o", "u"))
    (folder / "d.yml").write_text("modules:\n\t")
    report, found = load_folder(store, TABLES, folder, now=LATER, deactivate_missing=True)
    assert ([row.key for row in report.changed], report.added) == ([("m", "s")], (("o", "u"),))
    assert [str(each.location).removeprefix(f"{folder}/").split(":")[0] for each in found] == ["b.yml", "d.yml"]
    assert rows(store)["t"]["updated_timestamp"] == NOW
    write(bad, module("n", "t", path="/new"))
    (folder / "d.yml").unlink()
    report, found = load_folder(store, TABLES, folder, now=LATER)
    assert ([row.key for row in report.changed], found) == ([("n", "t")], ())


def test_the_monitor_does_not_undo_an_edit_until_the_declaration_changes(store: DeltaStore, folder: Path) -> None:
    path = write(folder / "a.yml", module("m", "s", "t"))
    load_folder(store, TABLES, folder, now=NOW)
    edit(store, "s", execution_order=7)
    delete(store, "t")
    before = versions(store)
    for _ in range(2):
        report, found = load_folder(store, TABLES, folder, now=LATER)
        assert (report.wrote, [row.key for row in report.kept], found) == (False, [("m", "s"), ("m", "t")], ())
    assert versions(store) == before
    path.rename(folder / "moved.yml")
    assert not load_folder(store, TABLES, folder, now=LATER)[0].wrote
    write(folder / "moved.yml", module("m", "s", "t", path="/new"))
    report, _ = load_folder(store, TABLES, folder, now=LATER)
    assert [row.key for row in report.overwritten] == [("m", "s"), ("m", "t")]


def test_the_monitor_lets_no_file_take_rows_of_one_that_cannot_be_read(store: DeltaStore, folder: Path) -> None:
    write(folder / "a.yml", module("m", "s"))
    load_folder(store, TABLES, folder, now=NOW)
    (folder / "a.yml").write_text("modules: [")
    write(folder / "b.yml", module("m", "s", path="/new"))
    report, found = load_folder(store, TABLES, folder, now=LATER)
    assert not report.wrote
    assert "m/s belongs to" in "\n".join(str(each) for each in found)


def test_the_monitor_reports_an_empty_folder_and_keeps_the_rows(store: DeltaStore, folder: Path) -> None:
    report, found = load_folder(store, TABLES, folder, now=NOW)
    assert (report.wrote, [each.severity for each in found]) == (False, ["warning"])
    path = write(folder / "a.yml", module("m", "s"))
    load_folder(store, TABLES, folder, now=NOW)
    path.unlink()
    report, found = load_folder(store, TABLES, folder, now=LATER, deactivate_missing=True)
    assert (report.wrote, [each.message for each in found]) == (False, ["all files that were here are gone"])
    assert rows(store)["s"]["is_active"] is True


def test_a_report_of_many_rows_prints_briefly_and_tells_all_as_data() -> None:
    report = LoadReport("m", files=("a.yml",), added=tuple(("m", f"s{n}") for n in range(30)))
    assert str(report).splitlines()[-1] == "  + … and 10 more"
    assert len(report.to_dict()["added"]) == 30
