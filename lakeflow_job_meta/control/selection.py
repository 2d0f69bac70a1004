"""Which modules a person means: by name, glob, tag or source. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase

from lakeflow_job_meta.diagnostics import nearest
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.model.control import Source
from lakeflow_job_meta.model.job import DesiredJob, mapping

TAG, SOURCE = "tag:", "source:"


def select_modules(
    wanted: Iterable[str], known: Collection[str], jobs: Mapping[str, DesiredJob], sources: Iterable[Source]
) -> frozenset[str]:
    """The modules that are meant by `name`, `glob*`, `tag:key=value` or `source:id`.

    Raises:
        InputError: one of them means no module.
    """
    by_source: dict[str, set[str]] = {}
    for source in sources:
        by_source.setdefault(source.source_id, set()).add(source.module_name)
    selected: set[str] = set()
    for each in wanted:
        found = _matching(each, known, jobs, by_source)
        if not found:
            raise InputError(f"there is no module '{each}'", hint=nearest(each, known))
        selected |= found
    return frozenset(selected)


def _matching(
    wanted: str, known: Collection[str], jobs: Mapping[str, DesiredJob], by_source: Mapping[str, set[str]]
) -> set[str]:
    if wanted in known:
        return {wanted}
    if wanted.startswith(SOURCE):
        return by_source.get(wanted.removeprefix(SOURCE), set())
    if wanted.startswith(TAG):
        key, _, value = wanted.removeprefix(TAG).partition("=")
        return {module for module, job in jobs.items() if mapping(job.settings.get("tags")).get(key) == value}
    return {module for module in known if fnmatchcase(module, wanted)}
