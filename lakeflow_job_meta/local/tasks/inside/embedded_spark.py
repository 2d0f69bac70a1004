"""`spark` where there is no Spark: SQL on the embedded tables, and an honest refusal of all the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from lakeflow_job_meta.errors import SqlError, UsageError
from lakeflow_job_meta.local.tasks.inside.dbutils.utilities import NotHere
from lakeflow_job_meta.local.tasks.inside.shown import MOST_ROWS, as_html, as_text
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.store.delta import DeltaStore

HINT = "real Spark runs where it is set up with Delta, see docs/tasks.md: {}"
AFFECTED = "num_affected_rows"


class Row(tuple[Any, ...]):
    """A row as pyspark gives it: by position, by name, as attributes.

    >>> row = Row.of({"id": 1, "name": "a"})
    >>> row.id, row["name"], row[0], row
    (1, 'a', 1, Row(id=1, name='a'))
    """

    __fields__: tuple[str, ...]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Row:
        """The row of a mapping."""
        made = cls(values.values())
        made.__fields__ = tuple(values)
        return made

    def asDict(self, recursive: bool = False) -> dict[str, Any]:
        """The row as a dict."""
        del recursive
        return dict(zip(self.__fields__, self, strict=True))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in self.__fields__:
            raise AttributeError(name)
        return self[self.__fields__.index(name)]

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, str):
            return super().__getitem__(key)
        if key not in self.__fields__:
            raise ValueError(key)
        return super().__getitem__(self.__fields__.index(key))

    def __contains__(self, key: object) -> bool:
        return key in self.__fields__

    def __repr__(self) -> str:
        shown = (f"{name}={value!r}" for name, value in zip(self.__fields__, self, strict=True))
        return f"Row({', '.join(shown)})"


class Frame:
    """The rows of a statement.

    Args:
        rows: as the store gave them; source: by what the columns of no rows are found out.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]], source: EmptySource) -> None:
        self._rows = [Row.of(each) for each in rows]
        self._source = source

    @cached_property
    def columns(self) -> list[str]:
        """The columns' names."""
        return list(self._rows[0].__fields__) if self._rows else self._source.columns()

    def collect(self) -> list[Row]:
        """All rows."""
        return list(self._rows)

    def count(self) -> int:
        """How many rows there are."""
        return len(self._rows)

    def isEmpty(self) -> bool:
        """Whether there is no row."""
        return not self._rows

    def first(self) -> Row | None:
        """The first row, or None."""
        return self._rows[0] if self._rows else None

    def head(self, n: int | None = None) -> Row | list[Row] | None:
        """The first row, or the first ones."""
        return self.first() if n is None else self._rows[:n]

    def take(self, num: int) -> list[Row]:
        """The first rows."""
        return self._rows[:num]

    def limit(self, num: int) -> Frame:
        """The first rows, as a frame."""
        limited = Frame((), self._source)
        limited._rows = self._rows[:num]
        return limited

    def toLocalIterator(self) -> Iterator[Row]:
        """The rows, one by one."""
        return iter(self._rows)

    def show(self, n: int = 20, truncate: bool | int = True, vertical: bool = False) -> None:
        """Print the first rows as a table; long values are cut to 20 characters, or as many as `truncate` says."""
        if vertical:
            raise NotHere("show(vertical=True) needs Spark", hint=HINT.format(self._source.why))
        width = 20 if truncate is True else int(truncate)
        print(as_text(self.columns, self._rows[:n], width))
        if len(self._rows) > n:
            print(f"only showing top {n} rows")

    def toPandas(self) -> Any:
        """The rows as a pandas frame.

        Raises:
            UsageError: pandas isn't installed.
        """
        if find_spec("pandas") is None:
            raise UsageError("toPandas needs pandas, which isn't installed", hint="pip install pandas")
        import pandas

        made: Any = pandas.DataFrame
        return made.from_records([tuple(each) for each in self._rows], columns=self.columns)

    def __repr__(self) -> str:
        return f"DataFrame[{', '.join(self.columns)}]"

    def _repr_html_(self) -> str:
        return as_html(self.columns, self._rows[:MOST_ROWS])

    def __getattr__(self, name: str) -> NoReturn:
        raise _needs_spark(f"DataFrame.{name}", name, self._source.why)


class EmptySource:
    """Where the columns of a result without rows are asked for."""

    def __init__(self, store: DeltaStore, text: str, parameters: Mapping[str, Any], why: str) -> None:
        self._store = store
        self.why = why
        self._text = text.strip().rstrip(";")
        self._parameters = parameters

    def columns(self) -> list[str]:
        """The names; none for a statement that isn't a query."""
        # Joined to one row, a query without rows gives one of NULLs, with all its columns.
        probe = f"SELECT q.* FROM (SELECT 1 AS one) AS o LEFT JOIN (\n{self._text}\n) AS q ON true"  # noqa: S608 (the user's own query)
        try:
            return list(self._store.sql(probe, self._parameters)[0])
        except SqlError:
            return []


class Catalog:
    """`spark.catalog`, as far as it can be told."""

    def __init__(self, store: DeltaStore, why: str) -> None:
        self._store = store
        self._why = why

    def tableExists(self, tableName: str, dbName: str | None = None) -> bool:
        """Whether there is such a table."""
        return self._store.info(TableName.parse(f"{dbName}.{tableName}" if dbName else tableName)) is not None

    def __getattr__(self, name: str) -> NoReturn:
        raise _needs_spark(f"spark.catalog.{name}", name, self._why)


class EmbeddedSpark:
    """`spark.sql` and `spark.table` on the embedded store.

    Args:
        home: the folder that holds the tables; why: there is no Spark, for messages.
    """

    def __init__(self, home: Path, why: str) -> None:
        self._store = DeltaStore(home)
        self._why = why
        self.catalog = Catalog(self._store, why)
        self.rows_written: int | None = None
        """Of all statements together; None where none wrote."""

    def sql(self, sqlQuery: str, args: Mapping[str, Any] | None = None, **kwargs: Any) -> Frame:
        """Run Databricks SQL; `args` are the values of `:name`."""
        if kwargs or (type(args) not in (dict, type(None))):
            raise NotHere("spark.sql takes only args={name: value} here", hint="write :name in the statement")
        rows = self._store.sql(sqlQuery, args)
        if rows and AFFECTED in rows[0]:
            self.rows_written = (self.rows_written or 0) + int(rows[0][AFFECTED] or 0)
        return Frame(rows, EmptySource(self._store, sqlQuery, args or {}, self._why))

    def table(self, tableName: str) -> Frame:
        """A table's rows."""
        name = TableName.parse(tableName)
        return self.sql(f"SELECT * FROM `{name.catalog}`.`{name.schema}`.`{name.name}`")  # noqa: S608 (checked names)

    def stop(self) -> None:
        """Nothing runs that could be stopped."""

    def __getattr__(self, name: str) -> NoReturn:
        raise _needs_spark(f"spark.{name}", name, self._why)


def _needs_spark(what: str, name: str, why: str) -> AttributeError:
    # What Python and Jupyter themselves ask for must stay a plain answer.
    return AttributeError(name) if name.startswith("_") else NotHere(f"{what} needs Spark", hint=HINT.format(why))
