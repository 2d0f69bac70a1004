"""`sql()` on each engine: statements as people write them, the guide's INSERT among them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lakeflow_job_meta.errors import SqlError
from lakeflow_job_meta.model.table import Changes, Column, TableSpec
from lakeflow_job_meta.store.base import Store
from tests.parity.engines import Engine

COLUMNS = (
    Column("id", "STRING", "REQUIRED"),
    Column("n", "INT"),
    Column("active", "BOOLEAN", default="true"),
    Column("at", "TIMESTAMP", default="current_timestamp()"),
)

FORMS = {
    "by position": "INSERT INTO {t} VALUES ('{id}', 1)",
    "several rows": "INSERT INTO {t} VALUES ('{id}', abs(-1)), (concat('{id}', ', ('), 1)",
    "by position, one default more": "insert into TABLE {t} values ('{id}', 1, true) -- and a comment",
    "by name": "INSERT INTO {t} (n, id) VALUES (1, '{id}')",
    "with the word": "INSERT INTO {t} VALUES ('{id}', 1, DEFAULT, DEFAULT)",
    "from a query": "INSERT INTO {t} SELECT '{id}', 1",
    "from a named query": "INSERT INTO {t} (id, n) WITH q AS (SELECT 1 AS one) SELECT '{id}', one FROM q",
    "in a MERGE": "MERGE INTO {t} AS t USING (SELECT '{id}' AS id) AS s ON t.id = s.id "
    "WHEN NOT MATCHED THEN INSERT (id, n) VALUES (s.id, 1)",
}


def spec_of(engine: Engine) -> TableSpec:
    return TableSpec(engine.table(), COLUMNS, ("id",))


def rows_of(store: Store, spec: TableSpec) -> dict[str, Any]:
    return {row["id"]: row for row in store.read(spec.name).rows}


def test_every_form_of_insert_fills_the_defaults(engine: Engine) -> None:
    spec, store = spec_of(engine), engine.store
    store.create(spec)
    before = datetime.now(UTC) - timedelta(seconds=1)
    texts = [form.replace("{id}", f"r{number}") for number, form in enumerate(FORMS.values())]
    store.sql("\n;\n".join(texts).replace("{t}", str(spec.name)) + ";")
    rows = rows_of(engine.open(), spec)
    assert set(rows) == {f"r{number}" for number in range(len(FORMS))} | {"r1, ("}
    for row in rows.values():
        assert (row["n"], row["active"]) == (1, True)
        assert before <= row["at"] <= datetime.now(UTC) + timedelta(seconds=1)


@pytest.mark.parametrize("engine", ["spark", "warehouse"], indirect=True)
def test_the_engine_can_fill_them_itself_where_the_settings_say_so(engine: Engine) -> None:
    spec, store = spec_of(engine), engine.open(table_defaults="engine")
    store.create(spec)
    forms = [FORMS[each] for each in ("by position", "by name", "with the word", "in a MERGE")]
    for number, form in enumerate(forms):
        store.sql(form.replace("{t}", str(spec.name)).replace("{id}", f"r{number}"))
    store.transact(spec, lambda snapshot: Changes(({"id": "ours", "n": 1},)))
    rows = rows_of(store, spec)
    assert len(rows) == 5
    assert all(row["active"] and row["at"] is not None for row in rows.values())
    info = store.info(spec.name)
    assert info is not None
    assert [each.default for each in info.columns] == [None, None, "true", "current_timestamp()"]


def test_values_come_as_they_are_and_what_is_wrong_is_told_in_a_line(engine: Engine) -> None:
    spec, store = spec_of(engine), engine.store
    store.create(spec)
    moment = datetime(2024, 10, 27, 0, 30, tzinfo=UTC)
    store.append(spec, [{"id": "a;b", "n": 1, "at": moment}, {"id": "c", "n": None, "at": None}])
    text = f"SELECT id, n, at FROM {spec.name} ORDER BY id"
    assert store.sql(f"{text};") == [{"id": "a;b", "n": 1, "at": moment}, {"id": "c", "n": None, "at": None}]
    assert store.sql(
        f"SELECT id FROM {spec.name} WHERE id = :name AND n = :n", {"name": "a;b", "n": 1, "other": 2}
    ) == [{"id": "a;b"}]
    assert store.sql(f"UPDATE {spec.name} SET n = 5 WHERE id = 'c'; SELECT n FROM {spec.name} WHERE id = 'c'") == [
        {"n": 5}
    ]
    for wrong, says in (
        (f"SELECT nope FROM {spec.name}", "UNRESOLVED_COLUMN"),
        (f"SELECT * FROM {engine.table('nope')}", "TABLE_OR_VIEW_NOT_FOUND"),
        (f"INSERT INTO {spec.name} VALUES ('x')", "INSERT_COLUMN_ARITY_MISMATCH"),
        ("SELEC 1", "SELEC"),
        (f"SELECT 1; SELECT nope FROM {spec.name}", "statement 2, line 1: "),
    ):
        with pytest.raises(SqlError) as caught:
            store.sql(wrong)
        assert says in caught.value.message
        assert "\n" not in caught.value.message
    assert len(rows_of(store, spec)) == 2
