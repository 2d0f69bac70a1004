"""Parts of the source stage by themselves: examples in docstrings, the pace of requests, records as rows."""

from __future__ import annotations

import asyncio
import doctest
import importlib
import pkgutil
import time
from typing import Any

import pytest

import lakeflow_job_meta.notify
import lakeflow_job_meta.stages
from lakeflow_job_meta.model.column import Column
from lakeflow_job_meta.stages.http.failure import SchemaChanged
from lakeflow_job_meta.stages.http.pace import Pace
from lakeflow_job_meta.stages.samples import inferred, sample_rows

MODULES = [
    found.name
    for package in (lakeflow_job_meta.stages, lakeflow_job_meta.notify)
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_true(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_one_that_is_told_to_wait_makes_all_wait() -> None:
    async def both() -> float:
        pace = Pace(1000, 4)
        pace.wait_all(0.3)
        began = time.monotonic()
        async with pace:
            return time.monotonic() - began

    assert asyncio.run(both()) >= 0.3


def test_requests_beyond_the_first_burst_are_spaced_evenly() -> None:
    async def forty() -> float:
        pace, began = Pace(20, 40), time.monotonic()

        async def one() -> None:
            async with pace:
                pass

        await asyncio.gather(*(one() for _ in range(40)))
        return time.monotonic() - began

    assert 0.9 <= asyncio.run(forty()) < 3


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "BIGINT"), ([1, 0.5], "DOUBLE"), ([1, "x"], "STRING"), ([True], "BOOLEAN"), ([True, 1], "STRING"),
        ([None], "STRING"), ([{"a": 1}], "STRING"), ([2**70], "STRING"),
    ],
)  # fmt: skip
def test_a_column_takes_the_type_of_all_its_values(values: list[Any], kind: str) -> None:
    (column,) = inferred([{"a": value} for value in values])
    assert column == Column("a", kind)


def test_names_of_fields_become_names_of_columns() -> None:
    columns = inferred([{"due date": 1, "1st": 2, "größe": 3, "_position": 4}])
    assert [each.name for each in columns] == ["due_date", "_1st", "gr__e", "__position"]


def test_every_field_that_does_not_fit_is_told_at_once() -> None:
    declared = (Column("id", "BIGINT", "REQUIRED"), Column("at", "TIMESTAMP"), Column("gone", "STRING"))
    with pytest.raises(SchemaChanged) as raised:
        sample_rows("s", [{"id": "x", "at": "soon"}, {"at": None}], declared, ())
    assert raised.value.message == (
        "s: 'id' is required, and missing in 1 record; 'id' was BIGINT, and is STRING now; "
        "'at' was TIMESTAMP, and is STRING now"
    )
    with pytest.raises(SchemaChanged, match="the field 'gone' is gone"):
        sample_rows("s", [{"id": 1}], (), declared)


def test_no_records_keep_the_table_and_its_columns() -> None:
    found = (Column("id", "BIGINT"),)
    assert sample_rows("s", [], (), found).columns == found
