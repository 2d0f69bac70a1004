"""Whole tables by Arrow streams mean the same on every store that can move them; a SQL warehouse says that it can't."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from arro3.core import DataType, Field, RecordBatch, RecordBatchReader, Schema

from lakeflow_job_meta.errors import LakeflowJobMetaError, UsageError
from lakeflow_job_meta.model.bulk import Span, Totals
from lakeflow_job_meta.model.table import Column, TableName, TableSpec
from lakeflow_job_meta.store.arrow import to_rows, to_table
from lakeflow_job_meta.store.base import BulkStore, bulk
from tests.parity.engines import Engine

COLUMNS = (
    Column("id", "BIGINT"), Column("made", "TIMESTAMP"), Column("day", "DATE"), Column("plain", "TIMESTAMP_NTZ"),
    Column("amount", "DECIMAL(12,2)"), Column("text", "STRING"), Column("tags", "STRING", "REPEATED"),
)  # fmt: skip


def rows(*numbers: int, text: str = "a") -> Any:
    """Rows as a driver hands them over: what isn't plain is text."""
    schema = Schema([Field(name, kind, nullable=True) for name, kind in _GIVEN.items()])
    given = [
        {
            "id": number, "made": f"2024-05-01 00:{number:02}:00.5+00:00", "day": f"2024-05-{number + 1:02}",
            "plain": f"2024-05-01 00:{number:02}:00", "amount": f"{number}.25", "text": text, "tags": [text, None, ""],
        }
        for number in numbers
    ]  # fmt: skip
    return to_table(given, schema)


_GIVEN = {
    "id": DataType.int64(), "made": DataType.string(), "day": DataType.string(), "plain": DataType.string(),
    "amount": DataType.string(), "text": DataType.string(),
    "tags": DataType.list(Field("x", DataType.string(), nullable=True)),
}  # fmt: skip


@pytest.fixture
def table(engine: Engine) -> TableName:
    engine.store.create(TableSpec(engine.table("moved"), COLUMNS))
    return engine.table("moved")


def held(store: BulkStore, table: TableName, column: str = "id") -> list[Any]:
    with store.stream(table, [column]) as found:
        return sorted(row[column] for row in to_rows(found))


def test_bulk_writes_mean_the_same_everywhere(engine: Engine, table: TableName) -> None:
    if engine.name == "warehouse":
        with pytest.raises(UsageError, match="SQL warehouse takes statements"):
            bulk(engine.store)
        return
    store = bulk(engine.store)
    assert store.noted(table, "mark") is None
    store.put(table, rows(1, 2, 3, 4), {"mark": "4", "other": "x"})
    assert (held(store, table), store.noted(table, "mark")) == ([1, 2, 3, 4], "4")
    store.put(table, rows(3, 5), {"mark": "5"}, span=Span("id", "3"))
    assert held(store, table) == [1, 2, 3, 5]
    store.merge(table, rows(2, 3, text="b"), ["id"], {"mark": "6"})
    assert held(store, table, "text") == ["a", "a", "b", "b"]
    before = store.history(table, 1)[0].version
    store.merge(table, rows(2, 3, text="b"), ["id"], {"mark": "7"})
    store.merge(table, rows(6), ["id"], {}, span=Span("made", "2024-05-01 00:02:00+00:00", "2024-05-01 00:04:00+00:00"))
    assert held(store, table) == [1, 5, 6]
    assert store.history(table, 1)[0].version > before
    assert store.noted(table, "other") == "x"
    with store.stream(table, [each.name for each in COLUMNS], span=Span("id", "5", "6")) as found:
        assert to_rows(found) == [
            {
                "id": 5, "made": datetime(2024, 5, 1, 0, 5, 0, 500000, UTC), "day": date(2024, 5, 6),
                "plain": datetime(2024, 5, 1, 0, 5, tzinfo=UTC), "amount": Decimal("5.25"), "text": "a",
                "tags": ["a", None, ""],
            }
        ]  # fmt: skip
    greatest = {
        "id": "6",
        "made": "2024-05-01 00:06:00.500000+00:00",
        "day": "2024-05-07",
        "plain": "2024-05-01 00:06:00",
    }
    sums = {"id": "12", "amount": "12.75", "day": "59544"}
    for key in ("id", "made", "day", "plain", "amount"):
        total = store.totals(table, key)
        assert (total.rows, total.nulls) == (3, 0)
        assert total.greatest == greatest.get(key, "6.25")
        assert total.total == sums.get(key, total.total)
    assert store.totals(table, "id", span=Span("id", None, "5", closed=True)) == Totals(2, 0, "6", "5")
    assert store.totals(table, None).rows == 3


def test_what_fails_half_way_leaves_the_table_as_it_was(engine: Engine, table: TableName) -> None:
    if engine.name == "warehouse":
        return
    store = bulk(engine.store)
    store.put(table, rows(1, 2), {})
    whole = rows(3, 4)

    def broken() -> Iterator[RecordBatch]:
        yield from whole.to_batches()
        raise ValueError("the other end is gone")

    with pytest.raises(Exception, match="the other end is gone"):
        store.put(table, RecordBatchReader.from_batches(whole.schema, broken()), {})
    bad = rows(5, text="b")
    names = bad.column_names
    wrong = bad.set_column(names.index("amount"), "amount", rows(5, text="x").column("text"))
    with pytest.raises(LakeflowJobMetaError, match=r"'x'|\"x\""):
        store.put(table, wrong, {})
    assert held(store, table) == [1, 2]
    assert store.totals(table, "id").greatest == "2"
