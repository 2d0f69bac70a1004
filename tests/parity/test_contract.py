"""The store's contract: what every engine does alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from lakeflow_job_meta.errors import ConflictError, InputError, StoreError, TableNotFound
from lakeflow_job_meta.model.table import Changes, Column, Row, Snapshot, TableSpec
from lakeflow_job_meta.store import databricks_sql, delta_tables
from lakeflow_job_meta.store.base import Store
from tests.parity.engines import Engine

FIELDS = [
    {"name": "id", "type": "STRING", "mode": "REQUIRED", "description": "who's \\ who"},
    {"name": "n", "type": "INT"},
    {"name": "text", "type": "STRING", "default": "'x'"},
    {"name": "active", "type": "BOOLEAN", "default": "true"},
    {"name": "at", "type": "TIMESTAMP", "default": "current_timestamp()"},
]
ODD = [
    "it's",
    "a\\b",
    'say "x"',
    "two\nlines\ttab",
    "😀 ü",
    "; -- no",
    "",
    " ",
    "${x} {...}",
    ":p ? %s",
    "\\u0041 \\'",
    "`",
]
SOME = pytest.mark.parametrize("engine", ["embedded", "spark"], indirect=True)
"""What no longer depends on how statements travel."""

THEN = datetime(2024, 10, 27, 0, 30, 0, 123456, tzinfo=UTC)


def spec_of(engine: Engine) -> TableSpec:
    return TableSpec.from_json(
        engine.table(), {"fields": FIELDS, "key": ["id"], "description": "it's a table", "schema_version": 3}
    )


@pytest.fixture
def spec(engine: Engine) -> TableSpec:
    made = spec_of(engine)
    assert engine.store.create(made)
    return made


def rows_of(store: Store, spec: TableSpec, *columns: str) -> dict[str, Any]:
    """By id: the one column's value, or the row."""
    rows = store.read(spec.name).rows
    return {row["id"]: row[columns[0]] if columns else row for row in rows}


def upserts(*rows: Row) -> Callable[[Snapshot], Changes]:
    return lambda snapshot: Changes(rows)


def test_a_table_is_made_once_and_says_what_it_is(engine: Engine, spec: TableSpec) -> None:
    assert not engine.store.create(spec)
    assert not engine.open().create(spec)
    info = engine.store.info(spec.name)
    assert info is not None
    assert (info.name, info.version) == (spec.name, 0)
    shown = [(each.name, each.type, each.description, each.default) for each in info.columns]
    assert shown == [(each.name, each.type, each.description, each.default) for each in spec.columns]
    assert info.properties["lakeflow_job_meta.schema_version"] == "3"
    assert info.properties["delta.enableChangeDataFeed"] == "true"


def test_a_missing_table_is_none_to_info_and_an_error_to_the_others(engine: Engine) -> None:
    spec, store = spec_of(engine), engine.store
    assert store.info(spec.name) is None
    for call in (
        lambda: store.read(spec.name),
        lambda: store.read(spec.name, version=0),
        lambda: store.transact(spec, upserts({"id": "a"})),
        lambda: store.append(spec, [{"id": "a"}]),
        lambda: store.changes(spec, 0),
        lambda: store.history(spec.name),
    ):
        with pytest.raises(TableNotFound):
            call()


TYPES = {
    "s": ("STRING", ["", "x", *ODD, None]),
    "i": ("INT", [0, -(2**31), 2**31 - 1, None]),
    "b": ("BIGINT", [-(2**63), 2**63 - 1, None]),
    "sm": ("SMALLINT", [-(2**15), 2**15 - 1, None]),
    "d": ("DOUBLE", [0.1, -1e300, 5e-324, math.inf, None]),
    "f": ("FLOAT", [0.5, -2.25, None]),
    "bo": ("BOOLEAN", [True, False, None]),
    "dt": ("DATE", [date(1, 1, 1), date(1969, 12, 31), date(9999, 12, 31), None]),
    "bi": ("BINARY", [b"", b"\x00\xff'", None]),
    "ts": (
        "TIMESTAMP",
        [
            THEN,
            THEN + timedelta(hours=1),  # the same hour again by a clock in Europe
            datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
            datetime(1600, 1, 1, tzinfo=UTC),
            datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
            None,
        ],
    ),
}


def test_every_value_survives_writing_reading_and_being_searched(engine: Engine) -> None:
    columns = [Column("id", "STRING", "REQUIRED"), *(Column(name, kind) for name, (kind, _) in TYPES.items())]
    columns += [
        Column("si", "STRING", "REPEATED"),
        Column("ni", "INT", "REPEATED"),
        Column("ti", "TIMESTAMP", "REPEATED"),
    ]
    spec = TableSpec(engine.table("types"), tuple(columns), ("id",))
    count = max(len(values) for _, values in TYPES.values())
    rows: list[dict[str, Any]] = [
        {"id": f"r{number}", **{name: values[number % len(values)] for name, (_, values) in TYPES.items()}}
        | {"si": [*ODD[:2], None], "ni": [number], "ti": [THEN]}
        for number in range(count)
    ]
    assert engine.store.create(spec)
    assert engine.store.transact(spec, upserts(*rows[:5])) == 1
    assert engine.store.append(spec, rows[5:]) in (2, None)
    found = rows_of(engine.open(), spec)
    assert [found[row["id"]] for row in rows] == rows
    assert engine.store.transact(spec, lambda snapshot: Changes(snapshot.rows)) is None
    changed = {**rows[1], "ts": THEN.astimezone(timezone(timedelta(hours=9))), "d": None}
    assert engine.store.transact(spec, upserts(changed)) == 3
    assert rows_of(engine.store, spec)["r1"] == {**rows[1], "ts": THEN, "d": None}
    searched = engine.store.read(spec.name, columns=["id"], where={"s": ODD}).rows
    assert {row["id"] for row in searched} == {row["id"] for row in rows if row["s"] in ODD}


def test_read_filters_projects_and_travels(engine: Engine, spec: TableSpec) -> None:
    store = engine.store
    store.append(spec, [{"id": f"r{n}", "n": n if n < 40 else None} for n in range(60)])
    store.transact(spec, upserts({"id": "r0", "n": 100}))

    def ids(**where: Any) -> set[str]:
        return {row["id"] for row in store.read(spec.name, columns=["id"], where=where).rows}

    assert store.read(spec.name, columns=["n", "id"], where={"id": ["r3"]}).rows == ({"n": 3, "id": "r3"},)
    assert ids(n=[1, 2], id=["r2", "r3"]) == {"r2"}
    assert ids(n=[]) == set()
    assert ids(n=list(range(30)), id=[f"r{n}" for n in range(5, 60)]) == {f"r{n}" for n in range(5, 30)}
    assert ids(n=[None, 100], id=["r0", "r59", "r5"]) == {"r0", "r59"}
    then = store.read(spec.name, where={"id": ["r0"]}, version=1)
    assert (then.version, [row["n"] for row in then.rows]) == (1, [0])
    assert then.table_id == store.read(spec.name, where={"id": []}).table_id
    with pytest.raises(StoreError, match="unknown column 'm'"):
        store.read(spec.name, columns=["m"])
    with pytest.raises(StoreError, match="version 9"):
        store.read(spec.name, version=9)


@SOME
def test_missing_keys_get_the_columns_defaults(engine: Engine, spec: TableSpec) -> None:
    before = datetime.now(UTC)
    engine.store.transact(spec, upserts({"id": "a"}, {"id": "b", "text": None, "at": None}))
    engine.store.append(spec, [{"id": "c", "active": False}])
    rows = rows_of(engine.store, spec)
    assert (rows["a"]["text"], rows["a"]["active"], rows["a"]["n"]) == ("x", True, None)
    assert before <= rows["a"]["at"] <= datetime.now(UTC)
    assert (rows["b"]["text"], rows["b"]["at"]) == (None, None)
    assert (rows["c"]["text"], rows["c"]["active"]) == ("x", False)


def test_bad_rows_are_refused_by_name_and_nothing_is_written(engine: Engine, spec: TableSpec) -> None:
    store = engine.store
    for rows, error, says in (
        ([{"id": "a", "m": 1}], StoreError, "has no column 'm'"),
        ([{"id": "a", "n": "1"}], InputError, "column n: '1' is not a value of type"),
        ([{"id": "a", "n": 2**31}], InputError, "column n: 2147483648 is not a value of type"),
        ([{"id": None}], InputError, "a required column has no value"),
    ):
        with pytest.raises(error, match=says):
            store.transact(spec, upserts(*rows))
        with pytest.raises(error, match=says):
            store.append(spec, rows)
    with pytest.raises(StoreError, match="twice"):
        store.transact(spec, upserts({"id": "a"}, {"id": "a"}))
    with pytest.raises(StoreError, match="without its key"):
        store.transact(spec, upserts({"n": 1}))
    assert len(store.history(spec.name)) == 1


def test_one_write_adds_changes_and_removes_as_one_version(engine: Engine, spec: TableSpec) -> None:
    store = engine.store
    store.append(spec, [{"id": "a", "n": 1, "text": "kept"}, {"id": "b", "n": 2}, {"id": "c", "n": 3}])
    wanted = Changes(({"id": "a", "n": 10}, {"id": "b", "n": 2}, {"id": "d", "n": 4}), ({"id": "c"}, {"id": "nobody"}))
    assert store.transact(spec, lambda snapshot: wanted) == 2
    assert rows_of(store, spec, "n") == {"a": 10, "b": 2, "d": 4}
    assert rows_of(store, spec, "text")["a"] == "kept"
    assert store.transact(spec, lambda snapshot: wanted) is None
    assert store.transact(spec, lambda snapshot: Changes()) is None
    assert store.transact(spec, lambda snapshot: Changes((), ({"id": "d"},))) == 3
    changes = store.changes(spec, 1)
    assert changes is not None
    assert sorted(change.key[0] for change in changes) == ["a", "c"]


@SOME
def test_rows_with_equal_keys_become_equal_and_go_together(engine: Engine, spec: TableSpec) -> None:
    store = engine.store
    store.append(spec, [{"id": "a", "n": 1}, {"id": "a", "n": 2}, {"id": "b", "n": 3}, {"id": "b", "n": 3}])
    assert store.transact(spec, upserts({"id": "a", "n": 7}, {"id": "b", "n": 3})) == 2
    assert sorted((row["id"], row["n"]) for row in store.read(spec.name).rows) == [
        ("a", 7),
        ("a", 7),
        ("b", 3),
        ("b", 3),
    ]
    assert store.transact(spec, lambda snapshot: Changes((), ({"id": "a"},))) == 3
    assert [row["id"] for row in store.read(spec.name).rows] == ["b", "b"]


@SOME
def test_a_key_may_be_null_in_part(engine: Engine) -> None:
    spec = TableSpec(engine.table("parts"), (Column("a", "STRING"), Column("b", "INT"), Column("n", "INT")), ("a", "b"))
    store = engine.store
    store.create(spec)
    store.transact(spec, upserts({"a": None, "b": 1, "n": 1}, {"a": "x", "b": None, "n": 2}))
    store.transact(spec, lambda snapshot: Changes(({"a": None, "b": 1, "n": 5},), ({"a": "x", "b": None},)))
    assert store.read(spec.name).rows == ({"a": None, "b": 1, "n": 5},)


def test_reserved_and_odd_names_are_only_names(engine: Engine) -> None:
    columns = (Column("order", "STRING", "REQUIRED"), Column("a-b/ü", "STRING"), Column("select", "INT", default="1"))
    spec = TableSpec(engine.table("table"), columns, ("order",))
    store = engine.store
    assert store.create(spec)
    store.transact(spec, upserts({"order": "x", "a-b/ü": "1"}))
    store.append(spec, [{"order": "y", "a-b/ü": "2", "select": 2}])
    store.transact(spec, lambda snapshot: Changes(({"order": "x", "a-b/ü": "3"},), ({"order": "y"},)))
    found = store.read(spec.name, columns=["select", "a-b/ü"], where={"a-b/ü": ["3"]})
    assert found.rows == ({"select": 1, "a-b/ü": "3"},)


@SOME
def test_columns_that_somebody_else_added_keep_their_values(engine: Engine, spec: TableSpec) -> None:
    store = engine.store
    store.append(spec, [{"id": "a", "n": 1}])
    store.sql(f"ALTER TABLE {spec.name} ADD COLUMN theirs STRING")
    store.sql(f"UPDATE {spec.name} SET theirs = 'kept'")
    store.transact(spec, upserts({"id": "a", "n": 2}, {"id": "b", "n": 3}))
    assert rows_of(store, spec, "theirs") == {"a": "kept", "b": None}
    store.transact(spec, upserts({"id": "b", "theirs": "ours"}))
    assert rows_of(store, spec, "theirs") == {"a": "kept", "b": "ours"}


def test_a_write_whose_rows_moved_is_decided_again_on_fresh_rows(engine: Engine, spec: TableSpec) -> None:
    store, other = engine.store, engine.open()
    store.append(spec, [{"id": "a", "n": 1}, {"id": "b", "n": 2}])
    for meanwhile in (
        lambda: other.transact(spec, upserts({"id": "a", "n": 100})),  # what is written
        lambda: other.transact(spec, upserts({"id": "b", "n": 100})),  # what was only read
        lambda: other.append(spec, [{"id": "c", "n": 100}]),
        lambda: other.transact(spec, lambda snapshot: Changes((), ({"id": "a"},))),
    ):
        seen: list[dict[str, int]] = []

        def decide(
            snapshot: Snapshot, meanwhile: Callable[[], object] = meanwhile, seen: list[dict[str, int]] = seen
        ) -> Changes:
            seen.append({row["id"]: row["n"] for row in snapshot.rows})
            if len(seen) == 1:
                meanwhile()
            return Changes(({"id": "a", "n": sum(seen[-1].values())},))

        assert store.transact(spec, decide) == store.history(spec.name, 1)[0].version
        assert len(seen) == 2
        assert rows_of(store, spec, "n") == {**seen[-1], "a": sum(seen[-1].values())}
    assert store.history(spec.name, 1)[0].version == 9


@SOME
def test_two_that_add_the_same_key_make_one_row(engine: Engine, spec: TableSpec) -> None:
    store, other = engine.store, engine.open()
    seen: list[int] = []

    def decide(snapshot: Snapshot) -> Changes:
        seen.append(len(snapshot.rows))
        if len(seen) == 1:
            other.transact(spec, upserts({"id": "a", "n": 1}))
        return Changes(({"id": "a", "n": 2, "text": "mine"},))

    store.transact(spec, decide)
    assert seen == [0, 1]
    assert [(row["n"], row["text"]) for row in store.read(spec.name).rows] == [(2, "mine")]


@SOME
def test_a_conflict_that_persists_is_an_error_and_writes_nothing(
    engine: Engine, spec: TableSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databricks_sql, "ATTEMPTS", 2)
    monkeypatch.setattr(delta_tables, "ATTEMPTS", 2)
    store, other = engine.store, engine.open()

    def decide(snapshot: Snapshot) -> Changes:
        other.append(spec, [{"id": f"o{len(snapshot.rows)}"}])
        return Changes(({"id": "mine"},))

    with pytest.raises(ConflictError, match="2 tries were lost"):
        store.transact(spec, decide)
    assert set(rows_of(store, spec)) == {"o0", "o1"}


@SOME
def test_where_bounds_what_is_read_and_what_conflicts(engine: Engine) -> None:
    columns = (Column("w", "STRING", "REQUIRED"), Column("m", "STRING", "REQUIRED"), Column("n", "INT"))
    spec = TableSpec(engine.table("parted"), columns, ("w", "m"), partition_by=("w",))
    store, other = engine.store, engine.open()
    store.create(spec)
    store.append(spec, [{"w": w, "m": m, "n": 0} for w in ("1", "2") for m in ("a", "b")])
    seen: list[list[tuple[str, str]]] = []

    def decide(snapshot: Snapshot) -> Changes:
        seen.append(sorted((row["w"], row["m"]) for row in snapshot.rows))
        if len(seen) == 1:
            other.transact(spec, upserts({"w": "1", "m": "a", "n": 9}), where={"m": ["a"]})
        return Changes(({"w": "1", "m": "b", "n": 1}, {"w": "3", "m": "b", "n": 3}))

    store.transact(spec, decide, where={"m": ["b"]})
    assert seen[0] == [("1", "b"), ("2", "b")]
    found = {(row["w"], row["m"]): row["n"] for row in store.read(spec.name).rows}
    assert found == {("1", "a"): 9, ("1", "b"): 1, ("2", "a"): 0, ("2", "b"): 0, ("3", "b"): 3}


def test_changes_are_net_by_key_whoever_made_them(engine: Engine, spec: TableSpec) -> None:
    store = engine.store
    store.append(spec, [{"id": each, "n": 1, "at": THEN} for each in "abcd"])
    store.sql(f"UPDATE {spec.name} SET n = 2 WHERE id = 'a'")
    store.transact(spec, lambda snapshot: Changes(({"id": "e", "n": 1},), ({"id": "b"}, {"id": "d"})))
    store.sql(f"INSERT INTO {spec.name} (id, n, text, active, at) SELECT 'd', 1, 'x', true, max(at) FROM {spec.name}")
    store.sql(f"UPDATE {spec.name} SET n = 3 WHERE id = 'a'")
    changes = store.changes(spec, 1)
    assert changes is not None
    found = {
        change.key: ((change.before or {}).get("n"), (change.after or {}).get("n"), change.version)
        for change in changes
    }
    assert found.pop(("d",))[:2] == (1, 1)  # gone and back, with another time
    assert found == {("a",): (1, 3, 5), ("b",): (1, None, 3), ("e",): (None, 1, 3)}
    assert all(change.timestamp.tzinfo is not None for change in changes)
    assert store.changes(spec, 5) == []
    assert store.changes(spec, 6) is None
    assert store.changes(spec, -1) is None


def test_a_key_that_several_rows_have_is_told_as_changed_and_hides_no_other(engine: Engine, spec: TableSpec) -> None:
    store = engine.store
    store.append(spec, [{"id": each, "n": 1} for each in "abcd"])  # 1
    store.append(spec, [{"id": "a", "n": 2}])  # 2: there is one already
    store.append(spec, [{"id": "e", "n": 1}, {"id": "e", "n": 2}])  # 3
    store.sql(f"UPDATE {spec.name} SET n = 5 WHERE id = 'b'")  # 4
    store.sql(f"UPDATE {spec.name} SET n = n + 1 WHERE id = 'a'")  # 5: both
    store.sql(f"DELETE FROM {spec.name} WHERE id = 'e' AND n = 2")  # 6
    found = {change.key[0]: change for change in store.changes(spec, 1) or ()}
    assert {key: change.version for key, change in found.items()} == {"a": 5, "b": 4, "e": 6}
    assert all(change.before != change.after for change in found.values())
    store.append(spec, [{"id": "c", "n": 1}])  # 7: the same again
    store.sql(f"DELETE FROM {spec.name} WHERE id = 'c'")  # 8: both
    (gone,) = (change for change in store.changes(spec, 6) or ())
    assert (gone.key, gone.version, (gone.before or {})["n"], gone.after) == (("c",), 8, 1, None)


@SOME
def test_what_the_feed_cannot_tell_is_none(engine: Engine, spec: TableSpec) -> None:
    store = engine.store
    store.append(spec, [{"id": "a", "n": 1}])  # 1
    store.sql(f"UPDATE {spec.name} SET n = 2")  # 2
    store.sql(f"RESTORE TABLE {spec.name} TO VERSION AS OF 1")  # 3
    assert store.changes(spec, 2) is None
    store.sql(f"UPDATE {spec.name} SET n = 4")  # 4
    assert [change.key for change in store.changes(spec, 3) or ()] == [("a",)]
    store.sql(f"ALTER TABLE {spec.name} SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'false')")  # 5
    store.sql(f"UPDATE {spec.name} SET n = 6")  # 6
    assert store.changes(spec, 5) is None
    # A write is looked up without the feed too.
    assert store.transact(spec, upserts({"id": "a", "n": 7}, {"id": "b"})) == 7
    store.sql(f"ALTER TABLE {spec.name} SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')")  # 8
    store.sql(f"UPDATE {spec.name} SET n = 9")  # 9
    assert store.changes(spec, 6) is None
    assert len(store.changes(spec, 8) or ()) == 2


def test_history_tells_the_newest_first(engine: Engine, spec: TableSpec) -> None:
    store = engine.store
    store.append(spec, [{"id": "a"}])
    store.transact(spec, upserts({"id": "a", "n": 1}))
    commits = store.history(spec.name)
    assert [(each.version, each.operation) for each in commits] == [(2, "MERGE"), (1, "WRITE"), (0, "CREATE TABLE")]
    assert [each.version for each in store.history(spec.name, 2)] == [2, 1]
    assert commits[0].timestamp >= commits[1].timestamp >= datetime.now(UTC) - timedelta(minutes=10)


@SOME
def test_a_table_made_again_is_another_table(engine: Engine, spec: TableSpec) -> None:
    store, other = engine.store, engine.open()
    store.append(spec, [{"id": "a"}])
    first = store.info(spec.name)
    assert first is not None
    other.sql(f"DROP TABLE {spec.name}")
    assert store.info(spec.name) is None
    other.create(replace(spec, properties={"mine": "yes"}))
    other.append(spec, [{"id": "b"}])
    again = store.info(spec.name)
    assert again is not None
    assert again.version == first.version
    assert again.table_id != first.table_id
    assert again.properties["mine"] == "yes"
    assert store.read(spec.name).table_id == again.table_id
    assert set(rows_of(store, spec)) == {"b"}


@SOME
def test_properties_that_somebody_set_are_seen(engine: Engine, spec: TableSpec) -> None:
    store, other = engine.store, engine.open()
    assert store.info(spec.name) is not None
    other.sql(f"ALTER TABLE {spec.name} SET TBLPROPERTIES ('mine' = 'it is')")
    found = store.info(spec.name)
    assert found is not None
    assert (found.version, found.properties["mine"]) == (1, "it is")
