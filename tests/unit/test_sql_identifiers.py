"""`IDENTIFIER(…)` through the front door: names as values, never as text that is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakeflow_job_meta.errors import SqlError
from lakeflow_job_meta.store.delta import DeltaStore

T = "main.etl.t"


@pytest.fixture
def store(tmp_path: Path) -> DeltaStore:
    made = DeltaStore(tmp_path)
    made.sql(f"CREATE TABLE {T} (id INT, v STRING); INSERT INTO {T} VALUES (1, 'a'), (2, 'b')")
    return made


@pytest.mark.parametrize(
    "text",
    ["IDENTIFIER(:t)", f"IDENTIFIER('{T}')", "identifier(:schema || '.t')", "IDENTIFIER('main.`etl`.' || :name)"],
)
def test_a_table_is_named_by_a_value(store: DeltaStore, text: str) -> None:
    parameters = {"t": T, "schema": "main.etl", "name": "t"}
    assert store.sql(f"SELECT v FROM {text} WHERE id = 2", parameters) == [{"v": "b"}]


def test_every_statement_takes_a_name_as_a_value(store: DeltaStore) -> None:
    names = {"t": T, "new": "main.etl.made"}
    store.sql("INSERT INTO IDENTIFIER(:t) VALUES (3, 'c')", names)
    store.sql("UPDATE IDENTIFIER(:t) SET v = 'z' WHERE IDENTIFIER('id') = 3", names)
    store.sql("DELETE FROM IDENTIFIER(:t) WHERE id = 1", names)
    store.sql("CREATE TABLE IDENTIFIER(:new) AS SELECT * FROM IDENTIFIER(:t)", names)
    merge = "MERGE INTO IDENTIFIER(:new) n USING IDENTIFIER(:t) t ON n.id = t.id WHEN MATCHED THEN UPDATE SET v = 'm'"
    store.sql(merge, names)
    assert store.sql("SELECT id, v FROM IDENTIFIER(:new) ORDER BY id", names) == [
        {"id": 2, "v": "m"}, {"id": 3, "v": "m"},
    ]  # fmt: skip
    assert [row["version"] for row in store.sql("DESCRIBE HISTORY IDENTIFIER(:new) LIMIT 1", names)] == [1]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("main.etl.t; DROP TABLE main.etl.t", "is not a name"),
        ("main.etl.t WHERE id = 1", "is not a name"),
        ("", "is not a name"),
        (7, "expected text, got int"),
    ],
)
def test_a_value_that_is_no_name_is_refused(store: DeltaStore, value: object, says: str) -> None:
    with pytest.raises(SqlError, match=says):
        store.sql("SELECT * FROM IDENTIFIER(:t)", {"t": value})


def test_a_value_that_is_missing_is_named_with_the_nearest_known(store: DeltaStore) -> None:
    with pytest.raises(SqlError, match=r":tabel[\s\S]*did you mean 'table'"):
        store.sql("SELECT * FROM IDENTIFIER(:tabel)", {"table": T})
