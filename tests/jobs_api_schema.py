"""Writes model/jobs_api.json from the databricks-sdk's dataclasses: `python -m tests.jobs_api_schema`.

The SDK's classes are generated from the service's own description of the API, so their field names and types are the
best public statement of it. The product must not import the SDK to check a row, hence the file.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import typing
from pathlib import Path

from databricks.sdk.service import compute, jobs

ROOTS = (jobs.JobSettings, jobs.JobAccessControlRequest)
TARGET = Path(__file__).parent.parent / "lakeflow_job_meta" / "model" / "jobs_api.json"
SCALARS = {str: "str", int: "int", float: "float", bool: "bool", typing.Any: "any", object: "any", dict: "any"}
# Sent by clients and accepted by the service, but not among the SDK's fields.
EXTRA = {"TriggerSettings": {"table": "TableUpdateTriggerConfiguration"}}


def schema() -> dict[str, dict[str, typing.Any]]:
    """All types reachable from the roots, and the known values of enumerated fields as `Type.field`."""
    types: dict[str, dict[str, str]] = {}
    enums: dict[str, list[str]] = {}

    def spell(kind: typing.Any, owner: str) -> str:
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin is typing.Union:
            return spell(next(each for each in arguments if each is not type(None)), owner)
        if origin is list:
            return f"list[{spell(arguments[0], owner)}]"
        if origin is dict:
            return f"map[{spell(arguments[1], owner)}]"
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            enums[owner] = [each.value for each in kind]
            return "str"
        if dataclasses.is_dataclass(kind):
            visit(typing.cast(type, kind))
            return typing.cast(type, kind).__name__
        return SCALARS[kind]

    def visit(cls: type) -> None:
        if cls.__name__ in types:
            return
        known = types[cls.__name__] = {}
        names = {**vars(jobs), **vars(compute), "jobs": jobs, "compute": compute}
        for field, kind in typing.get_type_hints(cls, localns=names).items():
            known[field] = spell(kind, f"{cls.__name__}.{field}")
        known.update(EXTRA.get(cls.__name__, {}))

    for root in ROOTS:
        visit(root)
    return {"types": types, "enums": enums}


def main() -> None:
    TARGET.write_text(rendered())


def rendered() -> str:
    """The file's text: one type a line, so that a newer SDK shows as a readable difference."""
    found = schema()
    parts: list[str] = []
    for section, entries in found.items():
        lines = ",\n".join(
            f"  {json.dumps(key)}: {json.dumps(entries[key], sort_keys=True)}" for key in sorted(entries)
        )
        parts.append(f" {json.dumps(section)}: {{\n{lines}\n }}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    main()
