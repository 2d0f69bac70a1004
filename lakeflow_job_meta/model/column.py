"""One column of a table: what a schema file declares, and what a store finds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lakeflow_job_meta.model.table_types import STRUCT

NULLABLE, REQUIRED, REPEATED = MODES = ("NULLABLE", "REQUIRED", "REPEATED")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a declaration.

    `type` is Delta's, that of the elements where the mode is REPEATED; `STRUCT` has `fields`. `default` is a SQL
    expression (`true`, `'x'`, `current_timestamp()`), `generated` the one that the column's value always is.
    """

    name: str
    type: str
    mode: str = NULLABLE
    description: str = ""
    default: str | None = None
    fields: tuple[Column, ...] = ()
    generated: str | None = None

    @property
    def required(self) -> bool:
        return self.mode == REQUIRED

    @property
    def repeated(self) -> bool:
        return self.mode == REPEATED

    @property
    def sql_type(self) -> str:
        """The whole type as SQL writes it, without what only a declaration says.

        >>> Column("r", "STRUCT", "REPEATED", fields=(Column("a", "STRING"),)).sql_type
        'ARRAY<STRUCT<a: STRING>>'
        """
        kind = self.type
        if kind == STRUCT:
            kind = f"STRUCT<{', '.join(f'{each.name}: {each.sql_type}' for each in self.fields)}>"
        return f"ARRAY<{kind}>" if self.repeated else kind

    @property
    def relaxed(self) -> Column:
        """The same column, which may be NULL."""
        return replace(self, mode=NULLABLE) if self.required else self


DAY = "_day"


def day_of(column: Column) -> Column:
    """The column that a table is partitioned by where it is to be partitioned by the day of a timestamp (UTC).

    >>> day_of(Column("at", "TIMESTAMP")).generated
    'CAST(at AS DATE)'
    """
    return Column(
        f"{column.name}{DAY}",
        "DATE",
        description=f"The day of {column.name} (UTC): the table is partitioned by it",
        generated=f"CAST({column.name} AS DATE)",
    )
