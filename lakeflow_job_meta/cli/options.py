"""The options that several commands share, and the settings that follow from them."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated, Any

import typer

from lakeflow_job_meta.settings import Settings, load_settings


class Output(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


class Rows(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


ControlTable = Annotated[
    str | None, typer.Option("--control-table", "-t", metavar="CATALOG.SCHEMA.TABLE", help="The control table.")
]
Home = Annotated[
    str | None, typer.Option("--home", metavar="FOLDER", help="Where embedded tables live [default: .lakeflow].")
]
WorkspaceName = Annotated[
    str | None, typer.Option("--workspace", help="local, databricks, a profile, or a host [default: local].")
]
Warehouse = Annotated[
    str | None, typer.Option("--default-warehouse-id", metavar="ID", help="For SQL tasks that name none.")
]
Cluster = Annotated[str | None, typer.Option("--cluster-id", metavar="ID", help="For notebook tasks without compute.")]
OutputFormat = Annotated[Output, typer.Option("--output", "-o", help="How to print the result.")]
RowFormat = Annotated[Rows, typer.Option("--output", "-o", help="How to print the rows.")]
Select = Annotated[
    list[str] | None,
    typer.Option(
        "--select",
        "-s",
        metavar="PATTERN",
        help="Only these modules: a name, a glob, tag:key=value, or source:id; may be repeated.",
    ),
]
Prune = Annotated[bool, typer.Option("--prune", help="Delete the jobs of modules that have no rows left.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
LockTimeout = Annotated[
    float | None,
    typer.Option("--lock-timeout", metavar="SECONDS", help="How long to wait for another run to end [default: 0]."),
]
Refresh = Annotated[
    bool, typer.Option("--refresh/--no-refresh", help="Look at the workspace too, not only at the rows.")
]


def settings_of(**arguments: Any) -> Settings:
    """The settings of a command: its options over environment over lakeflow.yml over defaults."""
    settings = load_settings(arguments, os.environ)
    settings.require_control_table()
    return settings
