"""What `ljm pipelines run` and `backfill` are asked for: which table, which halves of it."""

from __future__ import annotations

from typing import Any

import pytest

from lakeflow_job_meta.errors import InputError, UsageError
from lakeflow_job_meta.pipelines.asked import backfilled, halves, table_named
from lakeflow_job_meta.pipelines.registry import Direction, RegisteredTable
from lakeflow_job_meta.pipelines.work import watermark_time

IN, OUT = Direction


def table(name: str = "shop.public.orders", **columns: Any) -> RegisteredTable:
    row = {"source_tablename": name, "sink_tablename": "dwh.public.orders", **columns}
    return RegisteredTable.from_row(row)


def test_a_table_is_found_by_its_name_or_by_an_end_that_only_it_has() -> None:
    tables = [table("shop.public.orders"), table("crm.public.orders"), table("crm.public.customers")]
    assert table_named("crm.public.orders", tables) == tables[1]
    assert table_named("customers", tables) == tables[2]
    with pytest.raises(InputError, match=r"'orders' is ambiguous\n.*crm.public.orders, shop.public.orders"):
        table_named("orders", tables)
    with pytest.raises(InputError, match=r"no table 'shop.public.order' is registered\n.*shop.public.orders"):
        table_named("shop.public.order", tables)


def test_both_halves_run_in_the_order_of_the_data_unless_one_is_named_or_inactive() -> None:
    assert halves(table(), None) == (IN, OUT)
    assert halves(table(), "dl_to_sink") == (OUT,)
    assert halves(table(dl_to_sink_is_active=False), None) == (IN,)
    assert halves(table(sink_tablename=None), None) == (IN,)
    with pytest.raises(UsageError, match=r"unknown direction 'source_to_d'\n.*source_to_dl"):
        halves(table(), "source_to_d")
    with pytest.raises(InputError, match=r"active in no direction\n.*enable shop.public.orders"):
        halves(table(dl_to_sink_is_active=False, source_to_dl_is_active=False), None)


def test_only_a_direction_with_a_key_can_be_backfilled() -> None:
    keyed = {"source_to_dl_load_type": "incremental", "source_to_dl_incremental_key": "id"}
    one = table(**keyed, dl_to_sink_load_type="full")
    assert backfilled(one, (IN, OUT), False) == (IN,)
    with pytest.raises(InputError, match=r"dl_to_sink: its load is full"):
        backfilled(one, (OUT,), True)
    with pytest.raises(InputError, match=r"source_to_dl: it has no incremental key"):
        backfilled(table(source_to_dl_load_type="incremental"), (IN,), True)


def test_the_registry_repeats_a_watermark_only_if_it_is_a_moment() -> None:
    repeated = [watermark_time(text) for text in (None, "17", "2026", "abc", "2026-11-30 12:00:00.5")]
    assert repeated[:4] == [None] * 4
    assert repeated[4] is not None and repeated[4].isoformat() == "2026-11-30T12:00:00.500000+00:00"
