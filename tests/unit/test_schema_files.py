"""Schema files and config.yml: what each type becomes, and every finding of all files at once, each with its place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta.bootstrap.dataset_file import read_dataset
from lakeflow_job_meta.bootstrap.pipeline_file import read_pipeline
from lakeflow_job_meta.control.tables import KINDS, LEDGER, ControlTables
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.model.schema_file import SchemaReader
from lakeflow_job_meta.model.table import TableName, TableSpec
from tests.setup_folder import SetupFolder

BIGQUERY: Mapping[str, str] = {
    "STRING": "STRING", "BYTES": "BINARY", "INT64": "BIGINT", "INTEGER": "BIGINT", "FLOAT64": "DOUBLE",
    "FLOAT": "DOUBLE", "NUMERIC": "DECIMAL(38,9)", "NUMERIC(10, 2)": "DECIMAL(10,2)",
    "BIGNUMERIC(38, 10)": "DECIMAL(38,10)", "BOOL": "BOOLEAN", "BOOLEAN": "BOOLEAN", "DATE": "DATE",
    "DATETIME": "TIMESTAMP_NTZ", "TIME": "STRING", "TIMESTAMP": "TIMESTAMP", "JSON": "STRING",
    "ARRAY<INT64>": "ARRAY<BIGINT>", "array<numeric(5)>": "ARRAY<DECIMAL(5,0)>",
}  # fmt: skip


def read(*fields: Any) -> tuple[tuple[Any, ...], list[str]]:
    reader = SchemaReader()
    return reader.columns(list(fields)), [str(each) for each in reader.found]


@pytest.mark.parametrize(("written", "delta"), BIGQUERY.items())
def test_every_type_of_bigquery_becomes_one_of_delta(written: str, delta: str) -> None:
    (column,), found = read({"name": "a", "type": written})
    assert (column.sql_type, found) == (delta, [])


def test_a_record_becomes_a_struct_and_a_repeated_one_an_array_of_them() -> None:
    inner = [{"name": "a", "type": "STRING"}, {"name": "n", "type": "NUMERIC", "precision": "5", "scale": "1"}]
    (column,), found = read({"name": "r", "type": "RECORD", "mode": "REPEATED", "fields": inner})
    assert (column.sql_type, found) == ("ARRAY<STRUCT<a: STRING, n: DECIMAL(5,1)>>", [])


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ({"type": "GEOGRAPHY"}, "a: GEOGRAPHY can't be stored (Delta has no such type: keep it as STRING"),
        ({"type": "INTERVAL"}, "a: INTERVAL can't be stored"),
        ({"type": "BIGNUMERIC"}, "a: BIGNUMERIC of 76 digits, a Delta decimal has up to 38"),
        ({"type": "BIGNUMERIC", "precision": 39}, "BIGNUMERIC of 39 digits"),
        ({"type": "NUMERIC", "precision": 5, "scale": 6}, "more digits after the point than in all"),
        ({"type": "NUMERIC", "scale": 6}, "a scale, but without a precision"),
        ({"type": "STRNG"}, "a: unknown type 'STRNG' (did you mean 'STRING'?)"),
        ({"type": "STRING", "mode": "REQIRED"}, "a: unknown mode 'REQIRED' (did you mean 'REQUIRED'?)"),
        ({"type": "STRING", "desciption": "x"}, "unknown key 'desciption' (did you mean 'description'?)"),
        ({}, "a has no type"),
        ({"type": "RECORD"}, "a is a RECORD without fields"),
        ({"type": "STRING", "fields": []}, "a has fields, but is no RECORD"),
        ({"type": "ARRAY"}, "an array is the mode REPEATED"),
        ({"type": "ARRAY<ARRAY<STRING>>"}, "an array can't be the element of an array"),
        ({"type": "STRING", "default": "NEW"}, "the default NEW is no SQL expression"),
        ({"type": "INT64", "precision": 5}, "INT64 has no precision"),
        (
            {"type": "RECORD", "fields": [{"name": "b", "type": "STRING", "mode": "REQUIRED"}]},
            "b is REQUIRED within a record that may be missing",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(field: dict[str, Any], says: str) -> None:
    _, found = read({"name": "a", **field})
    assert len(found) == 1
    assert says in found[0]


def test_our_own_tables_are_made_from_the_same_kind_of_files() -> None:
    tables = ControlTables.of(TableName.parse("main.etl.control"))
    assert set(tables.by_kind) == {*KINDS, *LEDGER}
    with pytest.raises(InputError, match="unknown type 'STRNG'"):
        TableSpec.from_json(TableName.parse("a.b.c"), {"fields": [{"name": "a", "type": "STRNG"}]})


def test_all_findings_of_all_files_come_at_once_each_with_its_place(tmp_path: Path) -> None:
    files = SetupFolder(tmp_path)
    files.tables[0]["cluster_by"] = ["tenant", "address"]
    files.tables[1]["partition_by"] = "att"
    files.tables += ["tenent", "runs", {"name": "other", "partition": "x"}]
    files.field("runs", "state")["type"] = "TEXTT"
    files.schemas["stray"] = []
    files.write()
    schemas = tmp_path / "initial" / "schemas"
    (schemas / "other.json").write_text('[\n  {"name": "a", "type": "STRING",}\n]', "utf-8")
    with pytest.raises(InputError) as caught:
        read_dataset(tmp_path / "initial")
    config = tmp_path / "initial" / "config.yml"
    found = [str(each) for each in caught.value.diagnostics]
    expected = {
        f"{config}:6:5: error: cluster_by: the table has no column 'tenant' (did you mean 'tenant_id'?)",
        f"{config}:7:5: error: cluster_by: 'address' is of type STRUCT<city: STRING, zip: STRING>, which can't be",
        f"{config}:14:3: error: table 'tenent' has no schema file schemas/tenent.json (did you mean 'tenants'?)",
        f"{config}:15:3: error: duplicate table 'runs'",
        f"{config}:17:3: error: unknown key 'partition' (did you mean 'partition_by'?)",
        f"{schemas / 'runs.json'}:15:13: error: state: unknown type 'TEXTT' (did you mean 'TEXT'?)",
        f"{schemas / 'other.json'}:2:34: error: not valid JSON: ",  # what follows is Python's own
        f"{schemas / 'stray.json'}:1:1: error: no table of config.yml has this schema file",
    }
    assert {each for each in expected if not any(line.startswith(each) for line in found)} == set(), found
    assert len(found) == len(expected)


def test_a_column_or_a_table_named_twice_is_found(tmp_path: Path) -> None:
    files = SetupFolder(tmp_path)
    files.schemas["runs"].append({"name": "STATE", "type": "STRING"})
    files.write()
    with pytest.raises(InputError, match=r"runs\.json:23:13: error: duplicate column 'STATE'"):
        read_dataset(tmp_path / "initial")


def test_partitioned_by_a_timestamp_means_by_its_day(tmp_path: Path) -> None:
    files = SetupFolder(tmp_path)
    files.write()
    runs = next(each for each in read_dataset(tmp_path / "initial").tables if each.name.name == "runs")
    assert (runs.partition_by, runs.columns[-1].generated) == (("at_day",), "CAST(at AS DATE)")
    files.schemas["runs"].append({"name": "at_day", "type": "DATE"})
    files.write()
    with pytest.raises(InputError, match="the day of at needs the name at_day, a column's"):
        read_dataset(tmp_path / "initial")


def test_a_pipeline_file_tells_all_that_is_wrong_with_it(tmp_path: Path) -> None:
    path = tmp_path / "p.yml"
    path.write_text(
        "pipeline:\n  name: x\nsteps:\n"
        "  - step_id: a\n    ps_type: setup.onetime_bootstrp\n"
        "  - step_id: a\n    ps_type: known\n    config:\n      force_recreate_tables: 'no'\n      fold: x\n",
        "utf-8",
    )
    with pytest.raises(InputError) as caught:
        read_pipeline(path, {"known": ("force_recreate_tables", "folder"), "setup.onetime_bootstrap": ("folder",)})
    assert [str(each).removeprefix(str(path)) for each in caught.value.diagnostics] == [
        ":2:3: error: the pipeline has no id",
        ":5:14: error: unknown ps_type 'setup.onetime_bootstrp' (did you mean 'setup.onetime_bootstrap'?)",
        ":10:7: error: unknown key 'fold' (did you mean 'folder'?)",
        ":9:30: error: force_recreate_tables is 'no', expected true or false",
        ":6:14: error: duplicate step_id 'a'",
    ]


def test_json_of_another_encoding_or_shape_is_told_with_its_place(tmp_path: Path) -> None:
    files = SetupFolder(tmp_path)
    files.schemas["runs"] = {"fields": [{"name": "a", "type": "STRING"}], "partitions": 1}
    files.tables[1] = "runs"
    files.write()
    with pytest.raises(InputError, match=r"runs.json:8:3: error: unknown key 'partitions'"):
        read_dataset(tmp_path / "initial")
    (tmp_path / "initial" / "schemas" / "runs.json").write_text(json.dumps("x"), "utf-8")
    with pytest.raises(InputError, match=r"runs.json:1:1: error: expected a list of fields"):
        read_dataset(tmp_path / "initial")
