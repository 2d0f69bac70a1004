"""`ljm sql`: Databricks SQL on the tables."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.render import print_rows, say
from lakeflow_job_meta.errors import InputError, UsageError
from lakeflow_job_meta.settings import load_settings

if TYPE_CHECKING:
    from lakeflow_job_meta.settings import Settings
    from lakeflow_job_meta.store.base import Store

NAME = "sql"
HELP = "Run Databricks SQL on the tables; prints the rows of the last statement."


def command(
    text: Annotated[str | None, typer.Argument(help="Statements with ; between, or - for standard input.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Read the statements from this file.")] = None,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    output: options.RowFormat = options.Rows.TABLE,
) -> int:
    statements = _statements(text, file)
    settings = load_settings({"control_table": control_table, "home": home}, os.environ)
    number = _number_of(statements)
    from lakeflow_job_meta.store.open import open_store

    store = open_store(settings)
    say(f"store: {store.label}")
    print_rows(_rows(settings, store, statements), output)
    if number > 1:
        say(f"{number} statements ran; the rows are those of the last one")
    return 0


def _rows(settings: Settings, store: Store, statements: str) -> list[dict[str, Any]]:
    """What the last statement gives. A dataset that was only bootstrapped has no control table, and needs none."""
    if not settings.control_table:
        return store.sql(statements)
    from lakeflow_job_meta.metadata_manager import MetadataManager

    return MetadataManager(settings.control_table, store, settings=settings).sql(statements)


def _number_of(text: str) -> int:
    from lakeflow_job_meta.store.sql.dialect import statements

    number = len(statements(text))
    if not number and text.startswith("--") and "\n" not in text.strip():
        raise UsageError(f"no such option: {text.strip()}", hint="`ljm sql --help`")
    if not number:
        raise UsageError("no statement is given", hint='ljm sql "SELECT …", or --file, or standard input')
    return number


def _statements(text: str | None, file: Path | None) -> str:
    if text is not None and file is not None:
        raise UsageError("both a statement and a file are given", hint="give one of them")
    try:
        if file is not None:
            return file.read_text("utf-8")
        if text is None and sys.stdin.isatty():
            raise UsageError("no statement is given", hint='ljm sql "SELECT …", or --file, or standard input')
        return sys.stdin.read() if text in (None, "-") else text
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file or 'standard input'} can't be read: {error}") from error
