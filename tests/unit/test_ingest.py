"""What a modules file may hold, which files a folder stands for, and what is told about all of them at once."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.ingest.find import find_files
from lakeflow_job_meta.ingest.folder import read_declarations
from lakeflow_job_meta.ingest.load import validate
from lakeflow_job_meta.ingest.modules import parse_modules
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.reader.document import read_text

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TABLES = ControlTables.of(TableName.parse("main.etl.control"))
GOOD = """\
modules:
  - module_name: {module}
    sources:
      - source_id: s
        transformation_config: {{task_type: notebook, notebook_path: /n}}
"""


def parsed(text: str) -> tuple[dict[tuple[str, str], dict[str, object]], list[str]]:
    document = read_text(text, "f.yml").document
    assert document is not None
    rows, found = parse_modules(document)
    return {row.key: dict(row.values) for row in rows}, [str(each) for each in found]


def found_in(path: Path) -> list[str]:
    _, found = validate(path, TABLES, now=NOW)
    return [str(each).replace(f"{path}/", "").replace(str(path), path.name) for each in found]


def test_a_file_becomes_rows_with_compact_json_in_the_order_written() -> None:
    rows, found = parsed("""\
metadata_version: "1.0"
modules:
  - module_name: shop
    description: all of it
    job_config: {tags: {team: a}, max_concurrent_runs: 1}
    sources:
      - source_id: orders
        source_type: sql
        execution_order: 2
        source_config: {}
        target_config: '{ "kept": "as written" }'
        transformation_config: {z: yes, a: [1, 2.5, null, true], é: "x"}
        is_active: false
""")
    assert found == []
    assert rows["shop", ""] == {
        "description": "all of it",
        "job_config": '{"tags":{"team":"a"},"max_concurrent_runs":1}',
        "is_active": True,
    }
    assert rows["shop", "orders"] == {
        "source_type": "sql",
        "execution_order": 2,
        "source_config": "{}",
        "target_config": '{ "kept": "as written" }',
        "transformation_config": '{"z":"yes","a":[1,2.5,null,true],"é":"x"}',
        "is_active": False,
    }


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[]", ["f.yml:1:1: error: expected a mapping with the key 'modules', found a list"]),
        ("tables: []", ["f.yml:1:1: error: not a modules file: expected the key 'modules' (a file with 'tables'"]),
        ("module: []", ["f.yml:1:1: error: not a modules file: expected the key 'modules' (did you mean 'modules'?)"]),
        ("modules:", ["f.yml:1:9: error: expected a list of modules, found nothing"]),
        ("modules: []\nmetadata_version: 2", ['f.yml:2:19: error: expected metadata_version "1.0", found a number 2']),
        ("modules: [x]", ["f.yml:1:11: error: expected a module (a mapping with module_name), found text 'x'"]),
        ("modules: [{sources: []}]", ["f.yml:1:11: error: missing key 'module_name'"]),
        ("modules: [{module_name: m}]", ["f.yml:1:11: error: missing key 'sources'"]),
        ("modules: [{module_name: 7, sources: []}]", ["f.yml:1:25: error: expected text for 'module_name', found a"]),
        ("modules: [{module_name: ' ', sources: []}]", ["f.yml:1:25: error: module_name is blank"]),
        (
            "modules: [{module_name: m, job_confg: {}, sources: []}]",
            ["f.yml:1:28: error: unknown key 'job_confg' (did you mean 'job_config'?)"],
        ),
        (
            "modules:\n- module_name: m\n  is_active: yes\n  job_config: [1]\n  sources:\n"
            "  - {source_id: s, execution_order: '1', source_config: 3, source_type: true}\n"
            "  - {source_id: s}\n",
            [
                "f.yml:3:14: error: expected true or false for 'is_active', found text 'yes'",
                "f.yml:4:15: error: expected a mapping for 'job_config', or text that holds JSON, found a list",
                "f.yml:6:37: error: expected a whole number for 'execution_order', found text '1'",
                "f.yml:6:57: error: expected a mapping for 'source_config', or text that holds JSON, found a number 3",
                "f.yml:6:73: error: expected text for 'source_type', found a truth value true",
                "f.yml:7:17: error: source 's' of module 'm' is declared twice (the first is at line 6)",
            ],
        ),
        (
            "modules:\n- {module_name: m, sources: []}\n- {module_name: m, sources: []}",
            ["f.yml:3:17: error: module 'm' is declared twice (the first is at line 2)"],
        ),
        (
            "modules: [{module_name: m, sources: [{source_id: s, execution_order: 3000000000}]}]",
            ["f.yml:1:70: error: expected a number of 32 bits"],
        ),
    ],
)  # fmt: skip
def test_each_fault_of_shape_is_told_with_place_and_expectation(text: str, found: list[str]) -> None:
    told = parsed(text)[1]
    by_line = sorted(told, key=lambda each: [int(part) for part in each.split(":")[1:3]])
    assert len(told) == len(found)
    assert [each[: len(start)] for each, start in zip(by_line, found, strict=True)] == found


def test_a_folder_is_read_below_in_order_without_hidden_files(tmp_path: Path) -> None:
    for name in ("b.yml", "sub/a.yaml", ".hidden.yml", ".git/x.yml", "notes.txt", "sub/.draft.yml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(GOOD.format(module=name.replace("/", "_")))
    read = read_declarations(tmp_path)
    assert [file.relative for file in read.files] == ["b.yml", "sub/a.yaml"]
    assert read.diagnostics == ()


def digest_of(folder: Path) -> str:
    found = find_files(folder)
    assert found is not None
    return found.digest()


def test_the_digest_of_a_folder_changes_with_names_and_contents_only(tmp_path: Path) -> None:
    digests = [digest_of(tmp_path)]
    path = tmp_path / "a.yml"
    path.write_text("a: 1")
    digests.append(digest_of(tmp_path))
    path.write_text("a: 2")
    digests.append(digest_of(tmp_path))
    path.rename(tmp_path / "b.yml")
    digests.append(digest_of(tmp_path))
    assert len(set(digests)) == 4
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "b.yml").touch()
    assert digest_of(tmp_path) == digests[-1]


def test_a_file_whose_name_is_not_utf_8_is_told(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.yml")).write_text("")
    assert "a file name that isn't UTF-8: '\\udcff.yml'" in str(read_declarations(tmp_path).findings[0])


def test_links_out_of_the_folder_are_refused_and_links_within_are_followed_once(tmp_path: Path) -> None:
    (tmp_path / "out.yml").write_text(GOOD.format(module="out"))
    folder = tmp_path / "folder"
    (folder / ".data").mkdir(parents=True)
    (folder / ".data" / "in.yml").write_text(GOOD.format(module="in"))
    (folder / "in.yml").symlink_to(".data/in.yml")
    (folder / "out.yml").symlink_to("../out.yml")
    (folder / "nowhere.yml").symlink_to("missing.yml")
    (folder / "up").symlink_to("..")
    (folder / "self").symlink_to(".")
    read = read_declarations(folder)
    assert [file.relative for file in read.files] == ["in.yml"]
    told = sorted(str(each).removeprefix(f"{folder}/").split(" (")[0] for each in read.findings)
    assert told == [
        "nowhere.yml:1:1: error: a link that leads nowhere",
        "out.yml:1:1: error: a link that leads out of the folder",
        "up:1:1: error: a link that leads out of the folder",
    ]


def test_every_finding_of_every_file_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(GOOD.format(module="one").replace("notebook_path", "notebook_pth"))
    (tmp_path / "b.yml").write_text("modules:\n\t- x")
    (tmp_path / "c.yml").write_text("")
    (tmp_path / "d.yml").write_text(GOOD.format(module="two").replace("source_id", "sourceid"))
    (tmp_path / "e.yml").write_bytes(b"a: \xff")
    told = found_in(tmp_path)
    assert {each.split(":")[0] for each in told} == {"a.yml", "b.yml", "c.yml", "d.yml", "e.yml"}
    assert "a.yml:5:54: error: one/s: unknown key 'notebook_pth' for task_type notebook" in "\n".join(told)
    assert "d.yml:4:9: error: unknown key 'sourceid' (did you mean 'source_id'?)" in told


def test_a_module_in_two_files_is_told_in_both_with_the_other_place(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(GOOD.format(module="m"))
    (tmp_path / "b.yml").write_text(GOOD.format(module="m"))
    told = found_in(tmp_path)
    assert told[0].startswith("a.yml:2:18: error: module 'm' is declared in another file too (also at ")
    assert "b.yml:2:18; a module belongs in one file)" in told[0]
    assert told[3].startswith("b.yml:4:20: error: source 's' of module 'm' is declared in another file too")
    assert len(told) == 4


def test_the_compiler_s_findings_are_told_at_their_place_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("""\
modules:
  - module_name: m
    job_config:
      tags: {a: b}
      timeout_secs: 5
    sources:
      - source_id: s
        transformation_config:
          task_type: sql_query
          depends_on: [nobody]
          sql_task:
            warehouse_id: w
            sql_query: 5
      - source_id: t
        transformation_config: '{"task_type": "sql_query", oops}'
""")
    told = [each.split(" (")[0] for each in found_in(tmp_path)]
    assert told == [
        "a.yml:5:7: error: m: unknown field 'timeout_secs' in JobSettings",
        "a.yml:10:24: error: m/s: depends on 'nobody', which isn't in this module",
        "a.yml:13:24: error: m/s: expected text for 'sql_query', found an integer",
        "a.yml:15:32: error: bad JSON in 'transformation_config' at offset 27: "
        "Expecting property name enclosed in double quotes",
    ]


def test_what_the_compiler_finds_is_told_together_with_what_is_wrong_in_shape(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("""\
modules:
  - module_name: m
    job_config: {shedule: {}}
    sources:
      - source_id: s
        execution_ordr: 1
        transformation_config: {task_type: notebook, notebook_path: /n, depends_on: [t]}
      - sourceid: t
        transformation_config: {task_type: notebook, notebook_path: /n}
      - source_id: u
        transformation_confg: {task_type: notebook}
""")
    assert [each.split(" (")[0] for each in found_in(tmp_path)] == [
        "a.yml:3:18: error: m: unknown field 'shedule' in JobSettings",
        "a.yml:6:9: error: unknown key 'execution_ordr'",
        "a.yml:8:9: error: unknown key 'sourceid'",
        "a.yml:8:9: error: missing key 'source_id'",
        "a.yml:11:9: error: unknown key 'transformation_confg'",
    ]


def test_a_missing_path_and_a_folder_without_yaml_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere doesn't exist"):
        validate(tmp_path / "nowhere", TABLES, now=NOW)
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(InputError, match=r"no \.yml or \.yaml file in "):
        validate(tmp_path, TABLES, now=NOW)


@pytest.mark.parametrize("path", ["metadata/modules", "examples/metadata_examples.yaml"])
def test_the_project_s_own_metadata_is_free_of_findings(path: str) -> None:
    root = Path(__file__).parents[2]
    declared, found = validate(root / path, TABLES, now=NOW)
    assert found == ()
    assert declared.rows
