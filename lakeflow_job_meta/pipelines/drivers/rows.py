"""Rows of drivers that don't speak Arrow: batches of it out of tuples, and tuples out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from arro3.core import Array, DataType, Field, RecordBatch, RecordBatchReader, Schema

from lakeflow_job_meta.errors import DatabaseError, InputError
from lakeflow_job_meta.model.bulk import ArrowStream
from lakeflow_job_meta.store.arrow import to_rows

Rows = Sequence[Sequence[Any]]

FETCHED = 20_000
"""So many rows are asked for at once."""

TEXT = DataType.string()
NATIVE: Mapping[str, DataType] = {"BINARY": DataType.binary()}
"""Types that go over as they are; all others as text, which the store casts."""


def streamed(
    kinds: Mapping[str, str], batches: Iterable[Rows], native: Mapping[str, DataType] = NATIVE
) -> RecordBatchReader:
    """Batches of tuples as a stream of Arrow.

    Args:
        kinds: each column's type in the data lake.
        batches: the rows, in the columns' order.
        native: as what a type goes over, where it isn't text.
    """
    fields = [Field(name, native.get(kind, TEXT), nullable=True) for name, kind in kinds.items()]
    schema = Schema(fields)

    def made() -> Iterator[RecordBatch]:
        for rows in batches:
            columns = zip(*rows, strict=True)
            arrays = [_array(field, values) for field, values in zip(fields, columns, strict=True)]
            yield RecordBatch.from_arrays(arrays, schema=schema)  # pyright: ignore[reportUnknownMemberType] (partly untyped)

    return RecordBatchReader.from_batches(schema, made())


def _array(field: Field, values: Sequence[Any]) -> Array:
    try:
        return Array(list(values), field.type)
    except (TypeError, ValueError, OverflowError) as problem:
        raise DatabaseError(f"column {field.name} has a value that isn't of its type: {problem}") from problem


def fetched(fetch: Callable[[int], Rows]) -> Iterator[Rows]:
    """What a cursor gives, part by part."""
    while rows := fetch(FETCHED):
        yield rows


def tuples(rows: ArrowStream, columns: Sequence[str], convert: Callable[[Any], Any]) -> Iterator[list[tuple[Any, ...]]]:
    """A stream's batches as tuples, each value as a driver takes it.

    Raises:
        InputError: a value that isn't one of Python's: years beyond 9999.
    """
    for batch in RecordBatchReader.from_stream(rows):
        try:
            found = to_rows(batch)
        except (ValueError, OverflowError) as problem:
            raise InputError(f"a value can't be loaded: {problem}") from problem
        yield [tuple(convert(row[name]) for name in columns) for row in found]
