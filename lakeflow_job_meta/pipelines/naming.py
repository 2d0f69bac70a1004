"""What a table's name in the registry means: which database, which table there, which table of the lake. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lakeflow_job_meta.diagnostics import nearest
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.pipelines.registry import Direction, Endpoint
from lakeflow_job_meta.pipelines.stages.stage import Relation
from lakeflow_job_meta.pipelines.systems import WITH_DEFAULT_SCHEMA, WITHOUT_SCHEMAS

SOURCE, DESTINATION = "source", "destination"


@dataclass(frozen=True, slots=True)
class Resolved:
    """A name that means one table of one database."""

    endpoint: Endpoint
    relation: Relation


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A name that means none, or several; and what to do."""

    message: str
    hint: str = ""


def resolve(name: str, system: str, endpoints: Mapping[str, Endpoint], kind: str = SOURCE) -> Resolved | Unresolved:
    """What a `source_tablename` or `sink_tablename` means.

    Args:
        name: `endpoint.schema.table`; `endpoint.table` where the type has no schemas; without the endpoint where only
            one is of that type.
        system: the type that the row names.
        endpoints: all sources, or all destinations, by name.
        kind: `source` or `destination`, for the message.

    >>> crm = Endpoint("1", "crm", "postgres")
    >>> resolve("crm.public.orders", "postgres", {"crm": crm}) == resolve("public.orders", "postgres", {"crm": crm})
    True
    """
    parts = name.split(".")
    if not all(part.strip() for part in parts):
        return Unresolved(f"'{name}' has an empty part", _form(system, kind))
    named = endpoints.get(parts[0])
    rest = parts[1:]
    if named is not None and named.type != system and len(rest) in _lengths(named.type):
        return _checked(named, rest, system, kind)
    if named is not None and len(parts) > 1 and len(rest) in _lengths(system):
        return _checked(named, rest, system, kind)
    if named is not None and len(parts) == 2:
        return Unresolved(f"'{name}' names the {kind} {named.name} and no schema", _form(system, kind, named.name))
    if len(parts) > max(_lengths(system)):
        if len(parts) - 1 in _lengths(system):
            hint = nearest(parts[0], endpoints) or _known(endpoints)
            return Unresolved(f"there is no {kind} '{parts[0]}'", hint)
        return Unresolved(f"'{name}' has {len(parts)} parts", _form(system, kind))
    return _bare(parts, system, endpoints, kind)


def lake_table(catalog: str, schema: str, place: Resolved) -> TableName:
    """The Delta table between source and sink.

    >>> str(lake_table("main", "dl", Resolved(Endpoint("1", "CRM", "postgres"), Relation("public", "order items"))))
    'main.dl.crm_public_order_items'
    """
    parts = (place.endpoint.name, place.relation.schema, place.relation.name)
    name = "_".join(re.sub(r"[^a-z0-9_]", "_", part.lower()) for part in parts if part)
    return TableName(catalog, schema, f"_{name}" if name[0].isdigit() else name)


def module_name(source_tablename: str, direction: Direction) -> str:
    """The module of one direction of a row.

    >>> module_name("crm.public.order items", Direction.SOURCE_TO_DL)
    'crm.public.order_items.source_to_dl'
    """
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '_', source_tablename)}.{direction}"


def _lengths(system: str) -> Sequence[int]:
    """How many parts a table's name within its database may have."""
    if system in WITHOUT_SCHEMAS:
        return (1,)
    return (1, 2) if system in WITH_DEFAULT_SCHEMA else (2,)


def _checked(named: Endpoint, rest: Sequence[str], system: str, kind: str) -> Resolved | Unresolved:
    if named.type != system:
        column = "source_type" if kind == SOURCE else "sink_type"
        return Unresolved(
            f"the {kind} {named.name} is of type {named.type}, the row says {system}",
            f"write {column}: {named.type} in the row; what isn't said there is postgres",
        )
    return Resolved(named, Relation(rest[0] if len(rest) > 1 else "", rest[-1]))


def _bare(parts: Sequence[str], system: str, endpoints: Mapping[str, Endpoint], kind: str) -> Resolved | Unresolved:
    name = ".".join(parts)
    of_type = [each for each in endpoints.values() if each.type == system]
    if len(of_type) == 1:
        return _checked(of_type[0], parts, system, kind)
    if not of_type:
        hint = nearest(parts[0], endpoints) or _known(endpoints)
        return Unresolved(f"'{name}' names no {kind}, and there is none of type {system}", hint)
    several = " or ".join(sorted(f"{each.name}.{name}" for each in of_type))
    return Unresolved(f"'{name}' is ambiguous: {len(of_type)} {kind}s are of type {system}", f"write {several}")


def _form(system: str, kind: str, name: str = "") -> str:
    table = "table" if system in WITHOUT_SCHEMAS else "schema.table"
    return f"write {name or f'{kind}_name'}.{table}"


def _known(endpoints: Mapping[str, Endpoint]) -> str:
    return "known: " + ", ".join(sorted(endpoints)) if endpoints else "none is registered"
