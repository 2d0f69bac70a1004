"""`ljm contract …`: what a stage promises to the next one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.render import print_data, print_json, say

FAILED = 1
USUAL = Path("metadata/contracts/source.contract.yaml")

app = typer.Typer(help="What a stage promises to the next one.", no_args_is_help=True, rich_markup_mode=None)


@app.command("check", help="Check tables against a contract; tells every finding.")
def check(
    contract: Annotated[Path, typer.Argument(help="The contract.")] = USUAL,
    control_table: options.ControlTable = None,
    home: options.Home = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    settings = options.settings_of(control_table=control_table, home=home)
    from datetime import UTC, datetime

    from lakeflow_job_meta.diagnostics import counted, errors_in
    from lakeflow_job_meta.model.table import TableName
    from lakeflow_job_meta.stages.contract.check import check_contract
    from lakeflow_job_meta.stages.contract.read import read_contract
    from lakeflow_job_meta.store.open import open_store

    promised = read_contract(contract)
    catalog = TableName.parse(settings.control_table).catalog
    found = check_contract(promised, open_store(settings), catalog, datetime.now(UTC))
    errors = errors_in(found)
    if output is options.Output.JSON:
        print_json({"kept": not errors, "version": str(promised.version), "diagnostics": [e.to_dict() for e in found]})
    else:
        for each in found:
            print_data(str(each))
        errors_told, warnings = counted(len(errors), "error"), counted(len(found) - len(errors), "warning")
        say(f"{promised.name} {promised.version} in {catalog}: {errors_told}, {warnings}")
    return FAILED if errors else 0


@app.command("compare", help="Tell what changed between two versions of a contract, and which version that asks for.")
def compare(
    old: Annotated[Path, typer.Argument(help="The contract as it was.")],
    new: Annotated[Path, typer.Argument(help="The contract as it is to be.")],
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    from lakeflow_job_meta.stages.contract.read import read_contract
    from lakeflow_job_meta.stages.contract.versions import differences, least_version

    before, after = read_contract(old), read_contract(new)
    found, least = differences(before, after), least_version(before, after)
    enough = after.version >= least
    if output is options.Output.JSON:
        print_json({"differences": list(map(str, found)), "version": str(after.version), "least_version": str(least)})
    else:
        for each in found:
            print_data(str(each))
        verdict = "which is enough" if enough else f"and must be {least} or more"
        print_data(f"{before.version} → {after.version}, {verdict}")
    return 0 if enough else FAILED
