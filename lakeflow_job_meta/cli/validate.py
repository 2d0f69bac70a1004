"""`ljm validate`: every finding of YAML files, without a table or a workspace."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.render import print_data, print_json, say
from lakeflow_job_meta.diagnostics import counted, errors_in

NAME = "validate"
HELP = "Check YAML files as a load would; needs no table and changes nothing."


def command(
    path: Annotated[str, typer.Argument(help="A file or a folder.")],
    default_warehouse_id: options.Warehouse = None,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    from lakeflow_job_meta.control.tables import ControlTables
    from lakeflow_job_meta.ingest.load import validate
    from lakeflow_job_meta.model.table import TableName

    tables = ControlTables.of(TableName.parse(control_table or "main.default.control"))
    declarations, found = validate(Path(path), tables, now=datetime.now(UTC))
    errors = errors_in(found)
    if output is options.Output.JSON:
        print_json({"valid": not errors, "diagnostics": [each.to_dict() for each in found]})
    else:
        for each in found:
            print_data(str(each))
        say(f"{declarations.shown}: {counted(len(errors), 'error')}, {counted(len(found) - len(errors), 'warning')}")
    return 1 if errors else 0
