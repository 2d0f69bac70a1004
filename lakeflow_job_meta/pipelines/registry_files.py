"""The files of a path that declare what is registered, read as one."""

from __future__ import annotations

from typing import Any, cast

from lakeflow_job_meta.diagnostics import Diagnostic, FileLocation
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.ingest.find import Found
from lakeflow_job_meta.ingest.modules import other_kind
from lakeflow_job_meta.pipelines.registry_file import VERSION_KEY, Declared, is_registry, parse_registry
from lakeflow_job_meta.reader.document import Reading, read_file


def read_registry(found: Found) -> tuple[Declared, list[Diagnostic]]:
    """What the files declare together, and all that is wrong with them.

    Beside files of the registry, a folder may hold what something else reads; that is left to it.
    """
    declared, findings = Declared(), list(found.findings)
    read = 0
    for each in found.files:
        name = found.name_of(each)
        try:
            reading = read_file(each.path, name)
        except InputError as problem:
            findings.append(Diagnostic(problem.message, FileLocation(name)))
            continue
        if not found.single and _is_another(reading):
            continue
        read += 1
        findings.extend(reading.diagnostics)
        if reading.document is not None:
            findings.extend(parse_registry(reading.document, declared))
    if not read and not findings:
        hint = f"a file of the registry begins with {VERSION_KEY}"
        findings.append(Diagnostic("no file declares what is registered", FileLocation(found.shown), hint))
    return declared, findings


def _is_another(reading: Reading) -> bool:
    document = reading.document
    if document is None or is_registry(document):
        return False
    content: object = document.value
    return bool(other_kind(document)) or (isinstance(content, dict) and "modules" in cast("dict[str, Any]", content))
