"""The process that carries out SQL tasks, one after the other: `python -m lakeflow_job_meta.local.tasks.sql_worker`.

A line of JSON on standard input asks, a line on standard output answers. When its input ends, its server is gone, and
it ends at once, in the middle of a statement too.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from lakeflow_job_meta.errors import LakeflowJobMetaError, SqlError
from lakeflow_job_meta.store.base import Store
from lakeflow_job_meta.store.delta import DeltaStore
from lakeflow_job_meta.store.sql.dialect import Statement, statements

MOST_ROWS, MOST_BYTES = 1000, 256 * 1024


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not look like an answer
    asked: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(asked,), daemon=True).start()
    home, engine = Path(sys.argv[1]), sys.argv[2]
    ready = STORES[engine](home)
    _ = ready().sql("SELECT 1")  # imports what the first task would wait for
    while True:
        request = json.loads(asked.get())
        print(json.dumps(answer(ready(), request["text"], request["parameters"])), file=answers, flush=True)


def _embedded(home: Path) -> Callable[[], Store]:
    store = DeltaStore(home)
    return lambda: store


def _spark(home: Path) -> Callable[[], Store]:
    # Imported here: pyspark is an extra, and costs half a second.
    from lakeflow_job_meta.store.spark import SparkStore
    from lakeflow_job_meta.store.spark_embedded import embedded_session, name_catalogs

    session = embedded_session(home, home / "local" / "spark")
    store = SparkStore(session)

    def ready() -> Store:
        name_catalogs(session, home)  # another process may have made one since
        return store

    return ready


STORES: Mapping[str, Callable[[Path], Callable[[], Store]]] = {"embedded": _embedded, "spark": _spark}
"""What makes the store of each engine, and then gives it for each request."""


def answer(store: Store, text: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Run all statements of a text; says the last one's rows, and how many were written and returned by all."""
    told: dict[str, Any] = {"statements": 0, "rows_read": None, "rows_written": None}
    rows: Sequence[Mapping[str, Any]] = []
    try:
        parts = statements(text)
        if not parts:
            raise SqlError("the text holds no statement")
        for part in parts:
            rows = _run(store, part, parameters, alone=len(parts) == 1)
            told["statements"] += 1
            counted = "rows_written" if _is_count(rows) else "rows_read"
            number = int(rows[0]["num_affected_rows"]) if _is_count(rows) else len(rows)
            if number or counted == "rows_written" or part.words[0] in ("SELECT", "WITH", "VALUES"):
                told[counted] = (told[counted] or 0) + number
    except LakeflowJobMetaError as problem:
        return {**told, "error": str(problem)}
    return {**told, **_shown(rows)}


def _run(store: Store, part: Statement, parameters: Mapping[str, Any], *, alone: bool) -> Sequence[Mapping[str, Any]]:
    text = part.text[part.tokens[0].start : part.tokens[-1].end + 1]
    try:
        return store.sql(text, parameters)
    except SqlError as problem:
        if alone:
            raise
        raise SqlError(f"{part.where()}: {problem.message}", hint=problem.hint) from problem


def _is_count(rows: Sequence[Mapping[str, Any]]) -> bool:
    return len(rows) == 1 and "num_affected_rows" in rows[0]


def _shown(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The first rows, as far as they aren't too long, and how many there are."""
    kept: list[dict[str, Any]] = []
    size = 0
    for row in rows[:MOST_ROWS]:
        plain = {name: _plain(value) for name, value in row.items()}
        size += len(json.dumps(plain))
        if size > MOST_BYTES:
            break
        kept.append(plain)
    return {"columns": list(rows[0]) if rows else [], "rows": kept, "row_count": len(rows)}


def _plain(value: Any) -> Any:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def _read(asked: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        asked.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
