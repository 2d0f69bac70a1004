"""A dataset's folder, config.yml and schemas/*.json, as declarations of tables; every finding of all files at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from lakeflow_job_meta.bootstrap.keys import Keys
from lakeflow_job_meta.diagnostics import Diagnostic, FileLocation, errors_in, nearest
from lakeflow_job_meta.diagnostics import Path as ValuePath
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.model.layout import Layout
from lakeflow_job_meta.model.schema_file import IDENTIFIER, SchemaReader, TableFile
from lakeflow_job_meta.model.table import TableName, TableSpec
from lakeflow_job_meta.reader.document import Document, read_file

CONFIG = "config.yml"
SCHEMAS = "schemas"
CATALOG = "main"
RESERVED = "_ljm_"
"""Tables of a dataset whose names start so are the product's own."""

_KEYS = ("dataset", "catalog", "description", "tables")
_TABLE_KEYS = ("name", "partition_by", "cluster_by", "description")


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset as declared: a schema of a catalog, and the tables that are to be in it."""

    catalog: str
    name: str
    description: str
    tables: tuple[TableSpec, ...]
    warnings: tuple[Diagnostic, ...] = ()

    @property
    def full_name(self) -> str:
        return f"{self.catalog}.{self.name}"


@dataclass(frozen=True, slots=True)
class _Entry:
    """One table of config.yml, and where it stands there."""

    name: str
    position: int
    said: dict[str, Any]


def read_dataset(folder: Path, *, catalog: str = "", dataset: str = "") -> Dataset:
    """Read a dataset's folder.

    Args:
        folder: holds config.yml and schemas/.
        catalog: instead of what config.yml says.
        dataset: the same for the dataset's name.

    Raises:
        InputError: with every finding of every file.
    """
    reading = read_file(folder / CONFIG)
    found = list(reading.diagnostics)
    if reading.document is None:
        raise InputError(f"{folder / CONFIG} can't be used", diagnostics=found)
    keys = Keys(reading.document, found)
    whole = keys.mapping(reading.document.value, (), _KEYS)
    catalog = catalog or keys.name(whole, (), "catalog", CATALOG)
    name = dataset or keys.name(whole, (), "dataset")
    entries = _entries(keys, whole)
    specs = [_table(keys, each, folder, TableName(catalog, name, each.name)) for each in entries]
    _strays(found, folder, [each.name for each in entries])
    if errors_in(found):
        raise InputError(f"the tables of {folder} can't be used", diagnostics=found)
    description = keys.value(whole, (), "description", str, "")
    return Dataset(catalog, name, description, tuple(each for each in specs if each), tuple(found))


def _entries(keys: Keys, whole: dict[str, Any]) -> list[_Entry]:
    listed = keys.value(whole, (), "tables", list, [])
    if whole and not listed:
        keys.find("no tables are listed", ("tables",), "a list of names, or of {name, partition_by, cluster_by}")
    entries: list[_Entry] = []
    for position, each in enumerate(cast("list[Any]", listed)):
        path = ("tables", position)
        said = {"name": each} if isinstance(each, str) else keys.mapping(each, path, _TABLE_KEYS)
        name = str(said.get("name") or "").lower()
        if not IDENTIFIER.fullmatch(name):
            keys.find(f"'{name}' is not a table's name" if name else "a table without a name", path)
        elif name.startswith(RESERVED):
            keys.find(f"'{name}': names that start with {RESERVED} are the product's own", path)
        elif name in [one.name for one in entries]:
            keys.find(f"duplicate table '{name}'", path)
        else:
            entries.append(_Entry(name, position, said))
    return entries


def _table(keys: Keys, entry: _Entry, folder: Path, name: TableName) -> TableSpec | None:
    path = folder / SCHEMAS / f"{entry.name}.json"
    where = ("tables", entry.position)
    if not path.is_file():
        stems = [each.stem for each in (folder / SCHEMAS).glob("*.json")]
        keys.find(f"table '{entry.name}' has no schema file {SCHEMAS}/{path.name}", where, nearest(entry.name, stems))
        return None
    reading = read_file(path)
    wrong = _not_json(path)
    if wrong or reading.document is None or errors_in(reading.diagnostics):
        keys.found.extend([wrong] if wrong else reading.diagnostics)
        return None
    keys.found.extend(reading.diagnostics)
    schema = SchemaReader(reading.document.position, keys.found)
    before = len(errors_in(keys.found))
    file = schema.table(reading.document.value)
    here = SchemaReader(partial(_within, keys.document, where), keys.found)
    said = TableFile(
        (),
        here.text(entry.said, "description"),
        partition_by=here.names(entry.said, "partition_by"),
        cluster_by=here.names(entry.said, "cluster_by"),
    )
    both = (
        ("partition_by", said.partition_by, file.partition_by),
        ("cluster_by", said.cluster_by, file.cluster_by),
        ("description", said.description, file.description),
    )
    for key, one, other in both:
        if one and other:
            here.find(f"{key} is said here and in {SCHEMAS}/{path.name}", (key,), "say it in one place", key=True)
    if len(errors_in(keys.found)) > before:
        return None
    layout = Layout.of(
        file.columns,
        said.partition_by or file.partition_by,
        said.cluster_by or file.cluster_by,
        partial(_complain, {key: here if one else schema for key, one, _ in both}),
    )
    return TableSpec.of(name, replace(file, description=said.description or file.description), layout)


def _within(document: Document, start: ValuePath, path: ValuePath, *, key: bool = False) -> FileLocation:
    return document.position((*start, *path), key=key)


def _complain(readers: Mapping[str, SchemaReader], what: str, position: int, message: str, hint: str) -> None:
    readers[what].find(f"{what}: {message}", (what, position), hint)


def _not_json(path: Path) -> Diagnostic | None:
    """Why the file isn't JSON, which the reader wouldn't tell: all JSON is YAML, but not the other way round."""
    try:
        _ = json.loads(path.read_text("utf-8-sig"))
    except json.JSONDecodeError as problem:
        return Diagnostic(f"not valid JSON: {problem.msg}", FileLocation(str(path), problem.lineno, problem.colno))
    except (OSError, UnicodeDecodeError):
        return None  # the reader tells
    return None


def _strays(found: list[Diagnostic], folder: Path, names: list[str]) -> None:
    for path in sorted((folder / SCHEMAS).glob("*")):
        if path.suffix != ".json":
            if not path.name.startswith("."):
                found.append(Diagnostic("not a schema file", FileLocation(str(path)), "schemas end in .json"))
        elif path.stem.lower() not in names:
            hint = nearest(path.stem, names) or f"add '{path.stem}' to the tables of {CONFIG}, or remove the file"
            found.append(Diagnostic(f"no table of {CONFIG} has this schema file", FileLocation(str(path)), hint))
