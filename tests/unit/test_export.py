"""The table written as YAML reads back as the same table."""

from __future__ import annotations

import json
import string
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.ingest import json_text
from lakeflow_job_meta.ingest.export import export_yaml
from lakeflow_job_meta.ingest.load import load
from lakeflow_job_meta.ingest.merge import columns_of, differing
from lakeflow_job_meta.ingest.modules import parse_modules
from lakeflow_job_meta.ingest.yaml_text import mapping_lines
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.reader.document import read_text
from lakeflow_job_meta.store.delta import DeltaStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TABLES = ControlTables.of(TableName.parse("main.etl.control"))
TASK = '{"task_type": "notebook", "notebook_path": "/n"}'


@pytest.fixture
def store(tmp_path: Path) -> DeltaStore:
    made = DeltaStore(tmp_path / "home")
    TABLES.ensure(made)
    return made


def insert(store: DeltaStore, *rows: dict[str, Any]) -> None:
    store.append(TABLES.control, [{"created_timestamp": NOW, "updated_timestamp": NOW, **row} for row in rows])


def source(source_id: str, **columns: Any) -> dict[str, Any]:
    return {"source_id": source_id, "module_name": "shop", "transformation_config": TASK, "is_active": True, **columns}


def versions(store: DeltaStore) -> list[int]:
    return [store.info(spec.name).version for spec in (TABLES.control, TABLES.modules)]


ODD = [
    {"source_config": None, "target_config": "{}"},
    {"source_type": "yes", "source_config": '{"a": "yes", "b": "1.0", "c": "null", "d": "~", "e": "012", "f": ""}'},
    {"source_config": '{"n": 1e3, "big": 123456789012345678901234567890, "m": -0.0, "f": 0.1, "t": true, "z": null}'},
    {"source_config": '{"sql": "select 1  \\n  from t\\t\\n\\n", "lead": "  a\\nb"}'},
    {"source_config": '{"gap": "\\n\\nx\\n   \\ny", "s": "\\n"}'},
    {"source_config": '{"z": 1, "a": {"y": [[1, [2]], {}, [], {"k": ["v\\nw"]}], "<<": 1, "on": 2, "1": 3, "": 4}}'},
    {"source_type": "  padded  ", "source_config": '{"emoji": "🧺 a\\nb 🧺", "crlf": "a\\r\\nb", "nul": "\\u0000"}'},
    {"source_config": '{"x": "a\\u2028b\\n\\u0085c", "bom": "\\ufeff"}'},
    {"source_config": '{"q": "it\'s \\"q\\" \\\\ #x: y", "dash": "- a"}'},
    {"source_config": '{"half a character": "\\ud83d", "\\ude00": 1}'},
    {"source_config": '{ "spaced" :  1 }', "execution_order": None, "is_active": None},
    {"is_active": False, "execution_order": -1, "source_type": "it's: {a}, [b] # c"},
    {"source_config": '{"' + "k" * 2000 + '": 1}', "target_config": '{"a":' * 60 + "1" + "}" * 60},
]  # fmt: skip


def test_loading_an_export_changes_nothing_whatever_the_rows_hold(store: DeltaStore, tmp_path: Path) -> None:
    insert(store, *(source(f"s{index}", **columns) for index, columns in enumerate(ODD)))
    before = versions(store)
    report = export_yaml(store, TABLES, tmp_path / "x.yml")
    assert (report.modules, report.sources, report.warnings) == (1, len(ODD), ())
    loaded = load(store, TABLES, tmp_path / "x.yml", now=NOW)
    assert not loaded.wrote
    assert loaded.unchanged == len(ODD)
    assert versions(store) == before


def test_bad_json_is_exported_as_the_very_text_and_loads_again(store: DeltaStore, tmp_path: Path) -> None:
    insert(
        store,
        source("bad", transformation_config='{"sql_task": {...}}'),
        source("list", source_config="[1]"),
        source("twice", source_config='{"a":1,"a":2}'),
    )
    report = export_yaml(store, TABLES, tmp_path / "x.yml")
    assert [str(each.location) for each in report.warnings] == [
        "main.etl.control/shop/bad/transformation_config",
        "main.etl.control/shop/list/source_config",
        "main.etl.control/shop/twice/source_config",
    ]
    loaded = load(store, TABLES, tmp_path / "x.yml", now=NOW)
    assert not loaded.wrote
    assert len(loaded.warnings) == 3


def test_bad_json_that_the_table_does_not_hold_yet_is_an_error(store: DeltaStore, tmp_path: Path) -> None:
    insert(store, source("bad", transformation_config='{"sql_task": {...}}'))
    export_yaml(store, TABLES, tmp_path / "x.yml")
    other = DeltaStore(tmp_path / "other")
    with pytest.raises(InputError, match="bad JSON in 'transformation_config' at offset 14"):
        load(other, TABLES, tmp_path / "x.yml", now=NOW)


def test_an_export_fills_an_empty_table_with_the_same_rows(store: DeltaStore, tmp_path: Path) -> None:
    insert(store, source("b", execution_order=2), source("a", execution_order=1, source_config='{"x": [1, "1"]}'))
    store.append(TABLES.modules, [{"module_name": "shop", "job_config": '{"timeout_seconds": 5}', "is_active": True}])
    export_yaml(store, TABLES, tmp_path / "x.yml")
    other = DeltaStore(tmp_path / "other")
    load(other, TABLES, tmp_path / "x.yml", now=NOW)
    for spec in (TABLES.control, TABLES.modules):
        old = {(row["module_name"], row.get("source_id", "")): row for row in store.read(spec.name).rows}
        for row in other.read(spec.name).rows:
            key = (row["module_name"], row.get("source_id", ""))
            assert not differing(old.pop(key), {column: row[column] for column in columns_of(key)})
        assert not old


def test_sql_is_block_text_in_a_stable_order_below_the_table_version(store: DeltaStore, tmp_path: Path) -> None:
    sql = json.dumps({"task_type": "sql_query", "sql_task": {"warehouse_id": "w", "sql_query": "SELECT 1\nFROM t\n"}})
    insert(store, source("z", execution_order=1), source("a", execution_order=2, transformation_config=sql))
    report = export_yaml(store, TABLES, tmp_path)
    assert report.path == str(tmp_path / "control.yml")
    text = (tmp_path / "control.yml").read_text()
    assert text.startswith("# Exported from main.etl.control, version 1\n")
    assert "          sql_query: |\n" in text.replace("            sql_query", "          sql_query")
    assert "SELECT 1\n" in text
    assert text.index("source_id: z") < text.index("source_id: a")
    assert export_yaml(store, TABLES, tmp_path / "again.yml")
    assert (tmp_path / "again.yml").read_text() == text
    assert sorted(each.name for each in tmp_path.iterdir()) == ["again.yml", "control.yml", "home"]


def test_a_folder_that_is_named_like_a_file_is_not_overwritten(store: DeltaStore, tmp_path: Path) -> None:
    (tmp_path / "x.yml").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        export_yaml(store, TABLES, tmp_path / "x.yml")


def test_a_table_that_holds_a_row_twice_is_not_exported(store: DeltaStore, tmp_path: Path) -> None:
    insert(store, source("a"), source("a"))
    with pytest.raises(InputError, match=r"main\.etl\.control/shop/a: error: this row is there twice"):
        export_yaml(store, TABLES, tmp_path / "x.yml")


def test_an_empty_table_is_exported_as_a_file_that_loads(store: DeltaStore, tmp_path: Path) -> None:
    export_yaml(store, TABLES, tmp_path / "x.yml")
    assert load(store, TABLES, tmp_path / "x.yml", now=NOW).unchanged == 0


TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=30),
    st.text(st.sampled_from(" \n\t'\"\\#:-{}[]|>&*!%@`ab1\r\u2028\x85🧺"), max_size=30),
    st.sampled_from(["yes", "no", "~", "null", "1.0", "1e3", "0x1f", "<<", "=", "---", "...", ".inf", "2024-01-01"]),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def test_the_name_says_whether_it_is_a_file_or_a_folder(store: DeltaStore, tmp_path: Path) -> None:
    insert(store, source("a"))
    for name, target in (
        ("x/y.yml", "x/y.yml"),
        ("backup", "backup/control.yml"),
        ("back.up/", "back.up/control.yml"),
    ):
        assert export_yaml(store, TABLES, f"{tmp_path}/{name}").path == f"{tmp_path}/{target}"
        assert (tmp_path / target).read_text().startswith("# Exported from main.etl.control")
    for name in ("x.json", "new.yml/"):
        with pytest.raises(InputError):
            export_yaml(store, TABLES, f"{tmp_path}/{name}")
        assert not (tmp_path / name).exists()


@settings(
    max_examples=300, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_every_json_value_reads_back_from_yaml(value: dict[str, Any]) -> None:
    text = "\n".join(mapping_lines({"v": value})) + "\n"
    reading = read_text(text, "x.yml")
    assert reading.diagnostics == ()
    assert reading.document is not None
    assert json_text.compact(reading.document.value) == json_text.compact({"v": value})


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.dictionaries(st.text(string.ascii_letters, min_size=1, max_size=5), VALUES, max_size=4), TEXTS)
def test_every_row_reads_back_as_declared(config: dict[str, Any], label: str) -> None:
    stored = json.dumps(config)
    source = {"source_id": "s", "source_type": label, "source_config": json_text.parse(stored)}
    lines = mapping_lines({"modules": [{"module_name": "m", "sources": [source]}]})
    document = read_text("\n".join(lines) + "\n", "x.yml").document
    assert document is not None
    rows, findings = parse_modules(document)
    assert findings == []
    assert not differing({"source_type": label, "source_config": stored, "is_active": None}, rows[1].values)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(TEXTS)
def test_other_yaml_readers_see_the_same_text(text: str) -> None:
    assert yaml.safe_load("\n".join(mapping_lines({"v": text})) + "\n") == {"v": text}
