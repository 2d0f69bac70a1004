"""A shop's five tables with generated rows: the same each time, and a second wave of changes as a day would bring."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

OPENED = datetime(2026, 11, 1, 8, tzinfo=UTC)
COUNTRIES = ("DE", "FR", "PL")
STATES = ("paid", "packed", "shipped")


@dataclass(frozen=True)
class Table:
    """A table of the shop: its columns in SQL that SQLite and PostgreSQL both read, and its key."""

    name: str
    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...]

    @property
    def create(self) -> str:
        columns = ", ".join(f"{name} {kind}" for name, kind in self.columns)
        return f"CREATE TABLE {self.name} ({columns}, PRIMARY KEY ({', '.join(self.key)}))"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.columns)


CUSTOMERS = Table(
    "customers",
    (("customer_id", "INTEGER NOT NULL"), ("name", "VARCHAR(80) NOT NULL"), ("country", "CHAR(2)"),
     ("updated_at", "TIMESTAMP NOT NULL")),
    ("customer_id",),
)  # fmt: skip
PRODUCTS = Table(
    "products",
    (("product_id", "INTEGER NOT NULL"), ("name", "VARCHAR(80) NOT NULL"), ("price", "NUMERIC(10, 2) NOT NULL")),
    ("product_id",),
)
ORDERS = Table(
    "orders",
    (("order_id", "BIGINT NOT NULL"), ("customer_id", "INTEGER NOT NULL"), ("status", "VARCHAR(10) NOT NULL"),
     ("updated_at", "TIMESTAMP NOT NULL")),
    ("order_id",),
)  # fmt: skip
ORDER_LINES = Table(
    "order_lines",
    (("order_id", "BIGINT NOT NULL"), ("line_no", "INTEGER NOT NULL"), ("product_id", "INTEGER NOT NULL"),
     ("quantity", "INTEGER NOT NULL"), ("price", "NUMERIC(10, 2) NOT NULL")),
    ("order_id", "line_no"),
)  # fmt: skip
PAYMENTS = Table(
    "payments",
    (("payment_id", "BIGINT NOT NULL"), ("order_id", "BIGINT NOT NULL"), ("amount", "NUMERIC(12, 2) NOT NULL"),
     ("paid_at", "TIMESTAMP NOT NULL")),
    ("payment_id",),
)  # fmt: skip
TABLES = (CUSTOMERS, PRODUCTS, ORDERS, ORDER_LINES, PAYMENTS)

Rows = dict[str, list[tuple[Any, ...]]]


def first_wave(orders: int) -> Rows:
    """The shop as it is on the first day: rows by table, with so many orders."""
    chance = random.Random(7)  # noqa: S311 (no secret)
    customers = [
        (number, f"Customer {number} – Łódź & Søn", COUNTRIES[number % len(COUNTRIES)], OPENED)
        for number in range(1, orders // 4 + 2)
    ]
    products = [(number, f"Product {number}", Decimal(chance.randrange(199, 99_99)) / 100) for number in range(1, 41)]
    rows: Rows = {"customers": customers, "products": products, "orders": [], "order_lines": [], "payments": []}
    _sell(rows, range(1, orders + 1), OPENED, chance)
    return rows


def second_wave(first: Rows, orders: int) -> Rows:
    """What changed by the next day: new orders with their lines and payments, orders that were shipped meanwhile."""
    chance = random.Random(8)  # noqa: S311 (no secret)
    rows: Rows = {"customers": first["customers"], "products": first["products"], "orders": [], "order_lines": [],
                  "payments": []}  # fmt: skip
    day = max(row[-1] for row in first["orders"]) + timedelta(hours=12)
    start = len(first["orders"]) + 1
    _sell(rows, range(start, start + orders), day, chance)
    shipped = [
        (order, customer, "shipped", day + timedelta(seconds=number))
        for number, (order, customer, _, _) in enumerate(first["orders"][: orders // 2])
    ]
    return {name: rows[name] + (shipped if name == "orders" else []) for name in ("orders", "order_lines", "payments")}


def _sell(rows: Rows, numbers: Sequence[int] | range, since: datetime, chance: random.Random) -> None:
    prices = {product: price for product, _, price in rows["products"]}
    for order, moment in zip(numbers, _moments(since), strict=False):
        customer = chance.choice(rows["customers"])[0]
        lines = [
            (order, line, product, chance.randrange(1, 4), prices[product])
            for line, product in enumerate(chance.sample(sorted(prices), chance.randrange(1, 4)), start=1)
        ]
        total = sum((price * quantity for *_, quantity, price in lines), Decimal(0))
        rows["orders"].append((order, customer, STATES[order % 2], moment))
        rows["order_lines"] += lines
        rows["payments"].append((1_000_000_000_000 + order, order, total, moment + timedelta(minutes=2)))


def _moments(since: datetime) -> Iterator[datetime]:
    """One order every 7 minutes and some microseconds, as a clock would write it."""
    number = 0
    while True:
        number += 1
        yield since + timedelta(minutes=7 * number, microseconds=number * 137)
