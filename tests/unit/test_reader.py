"""YAML is read into plain values that know their place, and everything wrong with a file is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.reader import limits
from lakeflow_job_meta.reader.compose import NodeComposer, PurePythonComposer, compose
from lakeflow_job_meta.reader.document import Document, read_file, read_text


def findings(text: str) -> list[str]:
    return [str(each) for each in read_text(text, "f.yml").diagnostics]


def document(text: str) -> Document:
    reading = read_text(text, "f.yml")
    assert reading.diagnostics == ()
    assert reading.document is not None
    return reading.document


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("NO", "NO"),
        ("on", "on"),
        ("12:30:00", "12:30:00"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        ("00421", "00421"),
        ("=", "="),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-7", -7),
        ("0x1F", 31),
        ("0o17", 15),
        ("1.5e3", 1500.0),
        (".5", 0.5),
        ("'12'", "12"),
        ("!!str 12", "12"),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)
def test_plain_words_have_the_types_of_the_yaml_1_2_core_schema(text: str, value: object) -> None:
    read = document(f"a: {text}").value["a"]
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "f.yml:1:1: error: the file is empty"),
        ("# only a comment\n", "f.yml:1:1: error: the file is empty"),
        ("a:\n\tb: 1", "f.yml:2:1: error: a tab in the indentation (indent with spaces)"),
        ("a: [1, 2", "f.yml:2:1: error: not valid YAML: did not find expected ',' or ']'"),
        ("a: 'x", "f.yml:1:6: error: not valid YAML: found unexpected end of stream"),
        ("a: b: c", "f.yml:1:5: error: not valid YAML: mapping values are not allowed in this context"),
        ("a: *x", "f.yml:1:4: error: not valid YAML: found undefined alias"),
        ("a: 1\n---\nb: 1", "f.yml:3:1: error: a second document begins here"),
        ("a: 1\nb: {c: 1, c: 2}", "f.yml:2:11: error: duplicate key 'c' (the first is at line 2)"),
        ("a: 1\n? [x]\n: 2", "f.yml:2:3: error: a key that is a list, expected text"),
        ("1: a", 'f.yml:1:1: error: a key that is a number 1, expected text (quote it: "1")'),
        ("a: !!python/object:os.system x", "f.yml:1:4: error: unknown tag !!python/object:os.system"),
        ("a: !secret x", "f.yml:1:4: error: unknown tag !secret"),
        ("a: 1e999", "f.yml:1:4: error: 1e999 is not a number that JSON can hold (quote it if text is meant)"),
        ("a: .nan", "f.yml:1:4: error: .nan is not a number that JSON can hold"),
        ("a: " + "9" * 5000, "f.yml:1:4: error: 999999999999999999999999999999… (5000 digits) is not a number"),
        ("a: &a [*a]", "f.yml:1:4: error: an alias inside of what it stands for"),
        ("a: {<<: 3}", "f.yml:1:9: error: '<<' expects a mapping, or a list of mappings"),
    ],
)
def test_each_fault_is_told_with_its_place(text: str, found: str) -> None:
    assert [each[: len(found)] for each in findings(text)] == [found]


def test_all_findings_of_a_file_are_told_at_once() -> None:
    assert [each.split(":")[1] for each in findings("a: 1\na: 2\nb: !x 1\n3: 4\nc: {d: 1, d: 2}")] == [
        "2",
        "3",
        "4",
        "5",
    ]
    assert [each.split(":")[1:3] for each in findings("a: \x00\nbb: \x07")] == [["1", "4"], ["2", "5"]]


@pytest.mark.parametrize("composer", [NodeComposer, PurePythonComposer])
@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 100_000, "{a: " * 100_000])
def test_deep_nesting_is_refused_before_it_can_exhaust_anything(text: str, composer: type) -> None:
    root, found = compose(text, "f.yml", composer)
    assert root is None
    assert [each.message for each in found] == [f"nested deeper than {limits.MAX_DEPTH} levels"]


def test_nesting_up_to_the_limit_is_read() -> None:
    inner = limits.MAX_DEPTH - 1
    assert findings("[" * inner + "1" + "]" * inner) == []


@pytest.mark.parametrize("composer", [NodeComposer, PurePythonComposer])
def test_both_parsers_give_the_same_places(composer: type) -> None:
    root, found = compose("a:\n  - b: ä 🧺\n    c: 1\n", "f.yml", composer)
    assert root is not None and not found
    key, value = root.value[0][1].value[0].value[1]
    assert [(mark.line, mark.column) for mark in (key.start_mark, value.start_mark)] == [(2, 4), (2, 7)]


def test_aliases_that_explode_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    reading = read_text("\n".join(lines), "f.yml")
    assert reading.document is None
    assert "values, aliases written out (limit 1000000)" in str(reading.diagnostics[0])


@pytest.mark.parametrize("uses", ["<<: *a", "<<: [*a, *a, *a]"])
def test_merge_keys_that_explode_are_refused(uses: str) -> None:
    keys = ", ".join(f"k{n}: 1" for n in range(2000))
    text = f"a: &a {{{keys}}}\n" + "".join(f"b{n}: {{{uses}}}\n" for n in range(1000))
    assert "values, aliases written out (limit 1000000)" in findings(text)[0]


def test_aliases_that_nest_too_deep_are_refused() -> None:
    chain = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 5000))]
    reading = read_text("\n".join(chain), "f.yml")
    assert reading.document is None
    assert "nested deeper than 64 levels, aliases written out" in str(reading.diagnostics[0])
    merged = ["a0: &a0 {k: x}", *(f"a{n}: &a{n} {{<<: *a{n - 1}}}" for n in range(1, 100))]
    assert findings("\n".join(merged)) == []


def test_merge_keys_give_way_to_a_mapping_s_own_keys() -> None:
    read = document("x: &x {a: 1, b: 2}\ny: &y {b: 9, c: 3}\nz:\n  b: 5\n  <<: [*x, *y]\n")
    assert read.value["z"] == {"b": 5, "a": 1, "c": 3}
    assert str(read.position(("z", "c"))) == "f.yml:2:17"


def test_positions_name_keys_and_values_and_fall_back_to_what_is_there() -> None:
    read = document("a:\n  - b: 1\n    c: |\n      text\n")
    assert str(read.position(("a", 0, "b"))) == "f.yml:2:8"
    assert str(read.position(("a", 0, "c"), key=True)) == "f.yml:3:5"
    assert str(read.position(("a", 0, "missing"))) == "f.yml:2:5"
    assert str(read.position(("a", 7))) == "f.yml:2:3"


def test_a_byte_order_mark_is_skipped_and_other_encodings_are_named(tmp_path: Path) -> None:
    path = tmp_path / "f.yml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_file(path).document is not None
    path.write_bytes("a: ä".encode("latin-1"))
    assert [str(each) for each in read_file(path, "f.yml").diagnostics] == [
        "f.yml:1:4: error: not UTF-8: found byte 0xE4 (save the file as UTF-8)"
    ]
    path.write_bytes("a: 1".encode("utf-16"))
    assert "found UTF-16" in str(read_file(path).diagnostics[0])


def test_a_file_over_the_size_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.yml"
    path.write_bytes(b"#" * (limits.MAX_BYTES + 1))
    assert "larger than 16 MiB" in str(read_file(path).diagnostics[0])


def test_a_missing_file_and_a_folder_are_errors_that_name_the_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.yml can't be read: No such file"):
        read_file(tmp_path / "no.yml")
    with pytest.raises(InputError, match="can't be read: Is a directory"):
        read_file(tmp_path)
