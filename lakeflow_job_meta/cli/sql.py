"""`ljm sql`: Databricks SQL on the tables."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.render import print_rows, say
from lakeflow_job_meta.errors import InputError, UsageError

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
    settings = options.settings_of(control_table=control_table, home=home)
    from lakeflow_job_meta.metadata_manager import MetadataManager

    manager = MetadataManager(settings.control_table, settings=settings)
    number = _number_of(statements)
    say(f"store: {manager.store.label}")
    print_rows(manager.sql(statements), output)
    if number > 1:
        say(f"{number} statements ran; the rows are those of the last one")
    return 0


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
