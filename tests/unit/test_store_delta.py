"""The embedded store: rows, races and changes, on real Delta tables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from deltalake import DeltaTable

import lakeflow_job_meta
from lakeflow_job_meta.errors import ConflictError, InputError, StoreError, TableNotFound
from lakeflow_job_meta.model.table import Changes, Row, Snapshot, TableName, TableSpec
from lakeflow_job_meta.store.delta import DeltaStore

NAME = TableName.parse("main.etl.control")
FIELDS = [
    {"name": "id", "type": "STRING", "mode": "REQUIRED", "description": "who's who"},
    {"name": "n", "type": "INT"},
    {"name": "text", "type": "STRING", "default": "'it''s'"},
    {"name": "active", "type": "BOOLEAN", "default": "true"},
    {"name": "at", "type": "TIMESTAMP", "default": "current_timestamp()"},
]
SPEC = TableSpec.from_json(NAME, {"fields": FIELDS, "key": ["id"], "description": "a table", "schema_version": 3})
FEATURES = ["allowColumnDefaults", "changeDataFeed"]
ODD = ["it's", "a\\b", 'say "x"', "two\nlines", "😀", "; -- no", "", " ", "{...}", "%s :p ?"]


@pytest.fixture
def store(tmp_path: Path) -> DeltaStore:
    made = DeltaStore(tmp_path)
    assert made.create(SPEC)
    return made


def folder(home: Path) -> Path:
    return home / "tables" / "main" / "etl" / "control"


def in_process(script: str, *arguments: str) -> subprocess.Popen[str]:
    root = str(Path(lakeflow_job_meta.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output_of(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out.strip()


def set_n(name: str, n: int) -> Callable[[Snapshot], Changes]:
    return lambda _: Changes(upserts=({"id": name, "n": n},))


def test_a_table_is_made_once_and_says_what_it_is(store: DeltaStore, tmp_path: Path) -> None:
    assert not store.create(SPEC)
    info = store.info(NAME)
    assert info is not None
    assert (info.version, info.columns) == (0, SPEC.columns)
    assert info.properties["lakeflow_job_meta.schema_version"] == "3"
    assert info.properties["delta.enableChangeDataFeed"] == "true"
    assert folder(tmp_path).is_dir()


def test_the_label_names_the_home_from_here(tmp_path: Path) -> None:
    assert DeltaStore(Path(".lakeflow")).label == "embedded (./.lakeflow)"
    assert DeltaStore(tmp_path).label == f"embedded ({tmp_path})"


def test_only_one_of_several_processes_makes_a_table(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom lakeflow_job_meta.store.delta import DeltaStore\n"
        "from lakeflow_job_meta.model.table import TableName, TableSpec\n"
        "spec = TableSpec.from_json(TableName.parse('a.b.c'), [{'name': 'id', 'type': 'STRING'}])\n"
        "print(DeltaStore(Path(sys.argv[1])).create(spec))"
    )
    processes = [in_process(script, str(tmp_path)) for _ in range(4)]
    assert sorted(output_of(each) for each in processes) == ["False", "False", "False", "True"]


def test_a_missing_table_is_none_to_info_and_an_error_to_the_others(tmp_path: Path) -> None:
    store = DeltaStore(tmp_path)
    assert store.info(NAME) is None
    with pytest.raises(TableNotFound, match=r"main\.etl\.control"):
        store.read(NAME)
    with pytest.raises(TableNotFound):
        store.append(SPEC, [{"id": "a"}])


def test_a_table_dropped_and_made_again_elsewhere_is_another_table(store: DeltaStore, tmp_path: Path) -> None:
    store.append(SPEC, [{"id": "a"}])
    before = store.info(NAME)
    other = DeltaStore(tmp_path)
    other.sql(f"DROP TABLE {NAME}")
    assert store.info(NAME) is None
    other.create(SPEC)
    other.append(SPEC, [{"id": "b"}])
    after = store.info(NAME)
    assert before is not None and after is not None
    assert before.table_id != after.table_id
    assert [row["id"] for row in store.read(NAME).rows] == ["b"]


def test_every_type_survives_a_round_trip(tmp_path: Path) -> None:
    types = ("STRING", "INT", "BIGINT", "SMALLINT", "DOUBLE", "FLOAT", "BOOLEAN", "TIMESTAMP", "DATE", "BINARY")
    fields = [{"name": f"c_{each.lower()}", "type": each} for each in types]
    spec = TableSpec.from_json(NAME, [*fields, {"name": "tags", "type": "STRING", "mode": "REPEATED"}])
    store = DeltaStore(tmp_path)
    store.create(spec)
    values = [
        "x",
        -1,
        2**53,
        7,
        0.1,
        0.5,
        False,
        datetime(1969, 12, 31, 23, 59, 59, 999999, UTC),
        date(1, 1, 1),
        b"\x00",
    ]
    full: Row = {**dict(zip(spec.column_names, values, strict=False)), "tags": ["a", "b"]}
    empty: Row = dict.fromkeys(spec.column_names)
    store.append(spec, [full, {**empty, "tags": []}])
    found = store.read(NAME).rows
    assert found[0] == full
    assert found[1] == {**empty, "tags": []}


def test_text_survives_exactly(store: DeltaStore) -> None:
    store.append(SPEC, [{"id": each, "text": each} for each in ODD])
    store.transact(SPEC, lambda seen: Changes(upserts=tuple({**row, "n": 1} for row in seen.rows)))
    assert sorted(row["text"] for row in store.read(NAME).rows) == sorted(ODD)
    for each in ODD:
        assert [row["text"] for row in store.read(NAME, where={"id": [each]}).rows] == [each]


def test_read_filters_projects_and_travels(store: DeltaStore) -> None:
    version = store.append(SPEC, [{"id": f"i{n}", "n": n if n else None} for n in range(500)])
    store.transact(SPEC, set_n("i1", 99))
    assert store.read(NAME, columns=["n"], where={"id": ["i1", "i2"], "n": [99, 5]}).rows == ({"n": 99},)
    assert store.read(NAME, columns=["id"], where={"n": [None]}).rows == ({"id": "i0"},)
    assert len(store.read(NAME, where={"id": [f"i{n}" for n in range(300)]}).rows) == 300
    assert store.read(NAME, where={"id": []}).rows == ()
    old = store.read(NAME, where={"id": ["i1"]}, version=version)
    assert (old.version, old.rows[0]["n"]) == (version, 1)
    with pytest.raises(StoreError, match="no version 99"):
        store.read(NAME, version=99)
    with pytest.raises(StoreError, match=r"(?s)unknown column 'ids'.*'id'"):
        store.read(NAME, where={"ids": ["x"]})


def test_missing_keys_get_the_columns_defaults(store: DeltaStore) -> None:
    store.append(SPEC, [{"id": "a"}, {"id": "b", "text": None}])
    store.transact(SPEC, set_n("c", 1))
    rows = {row["id"]: row for row in store.read(NAME).rows}
    assert (rows["a"]["text"], rows["a"]["active"], rows["b"]["text"], rows["c"]["text"]) == (
        "it's",
        True,
        None,
        "it's",
    )
    assert rows["a"]["at"] == rows["b"]["at"]
    assert abs((datetime.now(UTC) - rows["c"]["at"]).total_seconds()) < 60


def test_bad_rows_are_refused_by_name(store: DeltaStore) -> None:
    with pytest.raises(InputError, match=r"main\.etl\.control/id: error: required"):
        store.append(SPEC, [{"n": 1}])
    with pytest.raises(InputError, match=r"main\.etl\.control/id"):
        store.transact(SPEC, lambda _: Changes(upserts=({"id": None, "n": 1},)))
    with pytest.raises(InputError, match="column n: 'x' is not a value of type Int32"):
        store.append(SPEC, [{"id": "a", "n": "x"}])
    with pytest.raises(InputError, match="column n: True"):
        store.append(SPEC, [{"id": "a", "n": True}])
    with pytest.raises(StoreError, match="did you mean 'active'"):
        store.append(SPEC, [{"id": "a", "activ": True}])
    with pytest.raises(StoreError, match="twice"):
        store.transact(SPEC, lambda _: Changes(upserts=({"id": "a"}, {"id": "a"})))
    assert store.read(NAME).version == 0


def test_transact_writes_only_what_differs(store: DeltaStore) -> None:
    store.append(SPEC, [{"id": "a", "n": 1}, {"id": "b", "n": 2}, {"id": "c", "n": 3}])
    assert store.transact(SPEC, lambda _: Changes()) is None
    assert store.transact(SPEC, set_n("a", 1)) is None
    assert store.transact(SPEC, lambda _: Changes(deletes=({"id": "nobody"},))) is None
    everything = Changes(upserts=({"id": "a", "n": 1}, {"id": "b", "n": 20}, {"id": "d"}), deletes=({"id": "c"},))
    assert store.transact(SPEC, lambda _: everything) == 2
    assert {row["id"]: row["n"] for row in store.read(NAME).rows} == {"a": 1, "b": 20, "d": None}
    changed = store.changes(SPEC, 1)
    assert changed is not None
    assert sorted(each.key[0] for each in changed) == ["b", "c", "d"]


def test_columns_that_somebody_else_added_keep_their_values(store: DeltaStore) -> None:
    store.append(SPEC, [{"id": "a", "n": 1}])
    store.sql(f"ALTER TABLE {NAME} ADD COLUMN theirs STRING; UPDATE {NAME} SET theirs = 'keep'")
    store.transact(SPEC, set_n("a", 2))
    store.append(SPEC, [{"id": "b"}])
    assert {row["id"]: row["theirs"] for row in store.read(NAME).rows} == {"a": "keep", "b": None}


def test_a_write_that_lost_its_race_is_decided_again_on_fresh_rows(store: DeltaStore, tmp_path: Path) -> None:
    store.append(SPEC, [{"id": "a", "n": 1}, {"id": "b", "n": 1}])
    seen: list[int] = []

    def decide(snapshot: Snapshot) -> Changes:
        if not seen:
            # Another row: even what doesn't touch the same rows may have been read.
            DeltaStore(tmp_path).transact(SPEC, set_n("b", 50))
        seen.append(snapshot.version)
        total = sum(row["n"] for row in snapshot.rows)
        return Changes(upserts=({"id": "a", "n": total},))

    store.transact(SPEC, decide)
    assert seen == [1, 2]
    assert {row["id"]: row["n"] for row in store.read(NAME).rows} == {"a": 51, "b": 50}


def test_two_that_insert_the_same_key_make_one_row(store: DeltaStore, tmp_path: Path) -> None:
    calls: list[int] = []

    def decide(snapshot: Snapshot) -> Changes:
        if not calls:
            DeltaStore(tmp_path).transact(SPEC, set_n("a", 1))
        calls.append(1)
        return Changes() if snapshot.rows else Changes(upserts=({"id": "a", "n": 2},))

    assert store.transact(SPEC, decide) is None
    assert [row["n"] for row in store.read(NAME).rows] == [1]


@pytest.mark.slow
def test_a_conflict_that_persists_is_an_error_and_writes_nothing(store: DeltaStore, tmp_path: Path) -> None:
    other = DeltaStore(tmp_path)

    def always_late(_: Snapshot) -> Changes:
        other.append(SPEC, [{"id": "other"}])
        return Changes(upserts=({"id": "mine"},))

    with pytest.raises(ConflictError, match="others kept writing"):
        store.transact(SPEC, always_late)
    assert {row["id"] for row in store.read(NAME).rows} == {"other"}


INCREMENTS = """
import sys
from pathlib import Path
from lakeflow_job_meta.model.table import Changes, TableName, TableSpec
from lakeflow_job_meta.store.delta import DeltaStore
store = DeltaStore(Path(sys.argv[1]))
name = TableName.parse("main.etl.control")
fields = [{"name": "id", "type": "STRING"}, {"name": "n", "type": "INT"}]
spec = TableSpec.from_json(name, {"fields": fields, "key": ["id"]})
def more(seen):
    return Changes(upserts=({"id": "a", "n": {row["id"]: row["n"] for row in seen.rows}["a"] + 1},))
for each in range(20):
    if sys.argv[2] == "sql":
        store.sql(f"UPDATE {name} SET n = n + 1 WHERE id = 'a'")
    else:
        store.transact(spec, more)
"""


@pytest.mark.parametrize("how", ["transact", "sql"])
def test_three_processes_that_count_lose_nothing(store: DeltaStore, tmp_path: Path, how: str) -> None:
    store.append(SPEC, [{"id": "a", "n": 0}, {"id": "b", "n": 0}])
    for each in [in_process(INCREMENTS, str(tmp_path), how) for _ in range(3)]:
        output_of(each)
    assert {row["id"]: row["n"] for row in store.read(NAME).rows} == {"a": 60, "b": 0}


def test_threads_that_share_a_store_lose_nothing(store: DeltaStore) -> None:
    store.append(SPEC, [{"id": "a", "n": 0}])

    def count() -> None:
        for _ in range(5):
            store.transact(SPEC, lambda seen: Changes(upserts=({"id": "a", "n": seen.rows[0]["n"] + 1},)))

    with ThreadPoolExecutor(3) as pool:
        for each in [pool.submit(count) for _ in range(3)]:
            each.result()
    assert [row["n"] for row in store.read(NAME).rows] == [15]


def test_changes_are_net_by_key(store: DeltaStore) -> None:
    store.append(SPEC, [{"id": "a", "n": 1}, {"id": "gone", "n": 1}, {"id": "back", "n": 1}])
    since = store.read(NAME).version
    assert store.changes(SPEC, since) == []
    store.transact(
        SPEC, lambda _: Changes(upserts=({"id": "new", "n": 1}, {"id": "a", "n": 2}, {"id": "back", "n": 7}))
    )
    store.transact(
        SPEC, lambda _: Changes(upserts=({"id": "a", "n": 3}, {"id": "back", "n": 1}), deletes=({"id": "gone"},))
    )
    store.append(SPEC, [{"id": "brief"}])
    store.transact(SPEC, lambda _: Changes(deletes=({"id": "brief"},)))
    found = store.changes(SPEC, since)
    assert found is not None
    told = {
        each.key[0]: (each.before and each.before["n"], each.after and each.after["n"], each.version) for each in found
    }
    assert told == {"new": (None, 1, 2), "a": (1, 3, 3), "gone": (1, None, 3)}
    assert all(abs((datetime.now(UTC) - each.timestamp).total_seconds()) < 60 for each in found)


def test_changes_by_sql_are_told_too(store: DeltaStore) -> None:
    store.append(SPEC, [{"id": "a", "n": 1}, {"id": "b", "n": 2}])
    store.sql(f"UPDATE {NAME} SET n = 5 WHERE id = 'a'; DELETE FROM {NAME} WHERE id = 'b'; OPTIMIZE {NAME}")
    found = store.changes(SPEC, 1)
    assert found is not None
    assert {each.key[0]: each.after and each.after["n"] for each in found} == {"a": 5, "b": None}


def restored(store: DeltaStore) -> None:
    store.sql(f"RESTORE TABLE {NAME} TO VERSION AS OF 1")


def updated_without_a_change(store: DeltaStore) -> None:
    DeltaTable(str(folder(store.home))).update(updates={"n": "n"})


def cleaned(store: DeltaStore) -> None:
    table = DeltaTable(str(folder(store.home)))
    table.create_checkpoint()
    (folder(store.home) / "_delta_log" / "00000000000000000002.json").unlink()


def with_the_feed_off_for_a_while(store: DeltaStore) -> None:
    for value in ("false", "true"):
        store.sql(f"ALTER TABLE {NAME} SET TBLPROPERTIES ('delta.enableChangeDataFeed' = '{value}')")


def vacuumed(store: DeltaStore) -> None:
    store.sql(f"UPDATE {NAME} SET n = 7 WHERE id = 'b'")
    for file in folder(store.home).glob("_change_data/*.parquet"):
        file.unlink()


@pytest.mark.parametrize(
    "happening", [restored, updated_without_a_change, cleaned, with_the_feed_off_for_a_while, vacuumed]
)
def test_what_the_feed_cannot_tell_is_none(store: DeltaStore, happening: Callable[[DeltaStore], None]) -> None:
    store.append(SPEC, [{"id": "a", "n": 1}, {"id": "b", "n": 2}])
    store.transact(SPEC, set_n("a", 2))
    happening(store)
    assert store.changes(SPEC, 1) is None


def test_changes_since_a_version_that_is_not_there_are_none(store: DeltaStore) -> None:
    assert store.changes(SPEC, 7) is None


def test_history_tells_who_did_what(store: DeltaStore) -> None:
    store.append(SPEC, [{"id": "a"}])
    store.sql(f"UPDATE {NAME} SET n = 1")
    commits = store.history(NAME, limit=2)
    assert [(each.version, each.operation) for each in commits] == [(2, "UPDATE"), (1, "WRITE")]
    assert commits[0].user
    assert abs((datetime.now(UTC) - commits[0].timestamp).total_seconds()) < 60


def test_a_table_with_a_feature_that_delta_rs_lacks_is_refused_with_the_features_name(store: DeltaStore) -> None:
    log = folder(store.home) / "_delta_log" / "00000000000000000000.json"
    protocol = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": [], "writerFeatures": FEATURES}
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    actions = [{"protocol": protocol} if "protocol" in each else each for each in actions]
    log.write_text("\n".join(json.dumps(each) for each in actions))
    with pytest.raises(StoreError, match=r"(?i)allowColumnDefaults"):
        DeltaStore(store.home).append(SPEC, [{"id": "a"}])


def test_a_table_of_many_versions_opens_quickly(store: DeltaStore) -> None:
    for n in range(250):
        store.append(SPEC, [{"id": f"i{n}"}])
    assert list((folder(store.home) / "_delta_log").glob("*.checkpoint*.parquet"))
    start = time.perf_counter()
    assert len(DeltaStore(store.home).read(NAME).rows) == 250
    assert time.perf_counter() - start < 2


def test_reading_and_writing_import_neither_duckdb_nor_sqlglot_nor_pyarrow(tmp_path: Path) -> None:
    script = INCREMENTS.replace("range(20)", "range(1)") + (
        "\nassert store.info(name) and store.changes(spec, 0) is not None and store.history(name)"
        "\nprint([each for each in ('duckdb', 'sqlglot', 'pyarrow', 'numpy') if each in sys.modules])"
    )
    store = DeltaStore(tmp_path)
    store.create(SPEC)
    store.append(SPEC, [{"id": "a", "n": 0}])
    assert output_of(in_process(script, str(tmp_path), "transact")) == "[]"
