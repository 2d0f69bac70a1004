"""`ljm init`: a project folder that works at once."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from lakeflow_job_meta.cli import options
from lakeflow_job_meta.cli.render import print_data, print_json
from lakeflow_job_meta.errors import InputError, UsageError

NAME = "init"
HELP = "Make a project folder that works at once."

DEFAULT_TABLE = "main.etl.control"
FILES = {
    "lakeflow.yml": "lakeflow.yml",
    "gitignore": ".gitignore",
    "metadata/modules/hello.yml": "metadata/modules/hello.yml",
    "notebooks/refine.notebook": "notebooks/refine.py",
}


def command(
    folder: Annotated[Path, typer.Argument(help="Where; made if it doesn't exist.")] = Path(),
    control_table: options.ControlTable = None,
    output: options.OutputFormat = options.Output.TEXT,
) -> int:
    from lakeflow_job_meta.metadata_manager import MetadataManager
    from lakeflow_job_meta.model.table import TableName
    from lakeflow_job_meta.settings import load_settings

    table = str(TableName.parse(control_table or DEFAULT_TABLE))
    if there := [target for target in FILES.values() if (folder / target).exists()]:
        raise UsageError(f"{folder} has {', '.join(there)} already", hint="choose another folder; nothing was written")
    for source, target in FILES.items():
        _write(folder / target, _template(source).replace("$CONTROL_TABLE", table))
    settings = load_settings({}, {}, folder)
    made = MetadataManager(table, settings=settings).ensure_exists()
    if output is options.Output.JSON:
        print_json({"folder": str(folder), "files": list(FILES.values()), "tables": made})
        return 0
    print_data(f"Made a project in {folder}:")
    for target in FILES.values():
        print_data(f"  {target}")
    print_data(f"and the control table {table} with its siblings in {settings.home}.")
    print_data("Next:" + ("" if folder == Path() else f"\n  cd {folder}"))
    print_data("  ljm load metadata/modules\n  ljm plan\n  ljm apply\n  ljm run hello")
    return 0


def _template(name: str) -> str:
    return resources.files("lakeflow_job_meta.cli").joinpath("project", name).read_text("utf-8")


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as error:
        raise InputError(f"{path} can't be written: {error.strerror}") from error
