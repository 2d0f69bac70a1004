"""What README and docs say is so: every snippet runs in order as a reader would run it, links lead somewhere, and the
page of commands names each command and option that there is, and no other.

A page runs in a folder of its own. Blocks marked `console` are commands after `$` and what they print, where
a line `...` stands for any lines, and ids, times and the width of tables don't matter; a command without output below
it only has to succeed. Blocks marked `python` run too. Blocks marked `yaml` are modules, or `yaml setup`. `no-run`
after the language means: needs something that a test has not (a real workspace, the databricks CLI, a process that
doesn't end); commands must be known all the same.
"""

from __future__ import annotations

import io
import json
import logging
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import typer

from lakeflow_job_meta.cli.app import app, run
from lakeflow_job_meta.cli.default_group import ListsByDefault
from lakeflow_job_meta.model.table_types import DECIMALS, MOST_DIGITS, REFUSED, TYPES
from lakeflow_job_meta.workspace.launcher import stop_local
from tests.source_api import running

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("**/*.md")])
FENCE = re.compile(r"^( *)```(\w*)([^\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")
NOT_OURS = ("make", "git", "databricks", "export", "kill")
"""First words of commands that are shown but not run here: `make` has tests of its own, others need what isn't here."""

SAME = (
    (re.compile(r"\x1b\[[0-9;]*m"), ""),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?([.,]\d+)?(\+00:00| UTC)?"), "TIME"),
    (re.compile(r" by \S+, TIME"), " by USER, TIME"),
    (re.compile(r"^( TIME +)\S+(?= )", re.MULTILINE), r"\1USER"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"\b\d{12,17}\b"), "ID"),
    (re.compile(r"\b\w+-\d{8}T\d{6}Z-[0-9a-f]{8}\b"), "BATCH"),
    (re.compile(r"\b(\d+ m )?\d+(\.\d)? m?s\b"), "SECONDS"),
    (re.compile(r"─+"), "─"),
    (re.compile(r"[ \t]+"), " "),
)

STORE = "store: "
"""The line about where one is, which a page need not repeat."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; `line` counts from 1."""

    page: Path
    line: int
    language: str
    marks: str
    text: str

    @property
    def runs(self) -> bool:
        return "no-run" not in self.marks

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True)
class Command:
    """What is typed, what it gets on standard input, and the lines that the page shows of its output."""

    text: str
    stdin: str
    output: tuple[str, ...]


def blocks(page: Path, *languages: str) -> list[Block]:
    text = page.read_text("utf-8")
    return [
        Block(page, text.count("\n", 0, match.start()) + 2, match[2], match[3], dedent(match[4]))
        for match in FENCE.finditer(text)
        if match[2] in languages
    ]


def commands(block: Block) -> list[Command]:
    """The commands of a console block; what is typed may go on with `\\` or a here-document."""
    found: list[Command] = []
    lines = block.text.splitlines()
    while lines:
        first = lines.pop(0)
        assert first.startswith("$ "), f"{block.name}: a console block starts with '$ ', found {first!r}"
        text, stdin = first[2:], ""
        while text.endswith("\\"):
            text = text[:-1] + lines.pop(0).strip()
        if heredoc := re.search(r" <<'(\w+)'$", text):
            end = lines.index(heredoc[1])
            stdin = "\n".join(lines[:end]) + "\n"
            text, lines = text[: heredoc.start()], lines[end + 1 :]
        output: list[str] = []
        while lines and not lines[0].startswith("$ "):
            output.append(lines.pop(0))
        found.append(Command(text, stdin, tuple(output)))
    return found


def plain_words(text: str) -> list[str] | None:
    """The words of a command that needs no shell; None if it does."""
    words = list(shlex.shlex(text, posix=True, punctuation_chars=True))
    shellish = any(set(word) <= set("|&;<>()") for word in words) or "$(" in text
    return None if shellish else shlex.split(text)


class Reader:
    """A reader's terminal, and the Python prompt beside it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._names: dict[str, Any] = {"__name__": "__main__"}

    def type(self, command: Command, where: str) -> None:
        words = plain_words(command.text)
        first = command.text.split()[0]
        if first in NOT_OURS:
            return
        if first == "cd" and words:
            self._monkeypatch.chdir(words[1])
            return
        code, printed = self._ljm(words[1:], command.stdin) if first == "ljm" and words else self._shell(command)
        fails = any(re.match(r"error: |.*: error: |unexpected", line) for line in command.output)
        assert fails or code in (0, 2 if "--detailed-exitcode" in command.text else 0), f"{where}: {printed}"
        if command.output:
            assert re.fullmatch(pattern(command.output), same(printed)), f"{where}: {command.text}\n{printed}"

    def python(self, block: Block) -> None:
        with redirect_stdout(io.StringIO()):
            exec(compile(block.text, block.name, "exec"), self._names)  # noqa: S102 - our own pages

    def _ljm(self, arguments: list[str], stdin: str) -> tuple[int, str]:
        printed = io.StringIO()
        self._monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with redirect_stdout(printed), redirect_stderr(printed):
            return run(arguments), printed.getvalue()

    def _shell(self, command: Command) -> tuple[int, str]:
        done = subprocess.run(
            ["bash", "-c", command.text], input=command.stdin, text=True, timeout=60, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return done.returncode, done.stdout


def same(text: str) -> str:
    """Output without what differs from run to run."""
    for what, instead in SAME:
        text = what.sub(instead, text)
    return "\n".join(line.strip() for line in text.splitlines() if line.strip() and not line.startswith(STORE))


def pattern(lines: tuple[str, ...]) -> re.Pattern[str]:
    parts = [r"(?:.*\n)*" if line == "..." else re.escape(line) + "\n" for line in same("\n".join(lines)).splitlines()]
    return re.compile("".join(parts).removesuffix("\n") if lines[-1] != "..." else "".join(parts) + ".*")


@pytest.fixture
def source_systems(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The servers that pages about stages ask the reader to start."""
    from testhub_server import TOKEN, create_app

    with running(create_app()) as api:
        monkeypatch.setenv("TESTHUB_URL", f"{api.url}/api")
        monkeypatch.setenv("TESTHUB_TOKEN", TOKEN)
        yield


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """A folder that holds what a checkout does beside the code."""
    for name in list(os.environ):
        if name.startswith(("LAKEFLOW_", "DATABRICKS_")):
            monkeypatch.delenv(name)
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("examples", "metadata"):
        (folder / name).symlink_to(ROOT / name)
    shims = tmp_path / "bin"
    shims.mkdir()
    for name, what in (("ljm", "-m lakeflow_job_meta"), ("python", "")):
        shim = shims / name
        shim.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" {what} "$@"\n')
        shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(shims), prepend=os.pathsep)
    monkeypatch.chdir(folder)
    with kept_logging():
        yield Reader(monkeypatch)
    for known in tmp_path.rglob("local/server.json"):
        stop_local(known.parents[1])


@contextmanager
def kept_logging() -> Iterator[None]:
    """The command line sets up logging for its process, which is ours here."""
    root, ours = logging.getLogger(), logging.getLogger("lakeflow_job_meta")
    before = (root.handlers[:], root.level, ours.level)
    try:
        yield
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        ours.setLevel(before[2])


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.usefixtures("source_systems")
def test_every_snippet_of_a_page_runs_and_prints_what_the_page_shows(page: Path, reader: Reader) -> None:
    for block in blocks(page, "console", "python"):
        if not block.runs:
            continue
        if block.language == "python":
            reader.python(block)
        else:
            for command in commands(block):
                reader.type(command, block.name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_that_is_not_run_compiles_and_commands_that_are_not_run_are_known(page: Path) -> None:
    for block in blocks(page, "python"):
        compile(block.text, block.name, "exec")
    for block in blocks(page, "console"):
        for command in commands(block):
            words = plain_words(command.text) or []
            if words[:1] == ["ljm"] and words[-1] != "--help":
                known, rest = find_command(words[1:])
                with known.make_context(known.name, rest, resilient_parsing=False):
                    pass


def test_every_yaml_and_json_example_is_valid_metadata(tmp_path: Path) -> None:
    notebook = {"task_type": "notebook", "notebook_path": "/x"}
    environments = [{"environment_key": "default", "spec": {"environment_version": "3"}}]
    examples = {
        block.name: block.text for page in PAGES for block in blocks(page, "yaml") if "setup" not in block.marks
    }
    for block in blocks(ROOT / "docs" / "control-table.md", "json"):
        configs = {"orders": notebook, "example": json.loads(block.text)}
        sources = [{"source_id": name, "transformation_config": config} for name, config in configs.items()]
        module = {"module_name": "m", "job_config": {"environments": environments}, "sources": sources}
        examples[block.name] = json.dumps({"modules": [module]})
    assert len(examples) > 5
    for name, text in examples.items():
        file = tmp_path / "example.yml"
        file.write_text(text, "utf-8")
        with redirect_stdout(io.StringIO()) as printed, redirect_stderr(io.StringIO()), kept_logging():
            code = run(["validate", str(file)])
        assert code == 0, f"{name}: {printed.getvalue()}"


def test_the_table_of_types_names_each_type_and_what_becomes_of_it() -> None:
    text = (ROOT / "docs" / "bootstrap.md").read_text("utf-8")
    rows = re.findall(r"^\| (`[A-Z][^|]*) \| ([^|]*) \|", text, re.MULTILINE)
    told = {name: becomes.split("`")[1] for names, becomes in rows for name in re.findall(r"`(\w+)`", names)}
    decimals = {name: f"DECIMAL({most},{scale})" for name, (most, scale) in DECIMALS.items() if most <= MOST_DIGITS}
    big = dict.fromkeys(DECIMALS.keys() - decimals.keys(), "DECIMAL(p,s)")
    assert told == {**TYPES, **decimals, **big, **dict.fromkeys(REFUSED, "refused")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text("utf-8"))
    targets = [match[1] or match[2] for match in LINK.finditer(text)]
    for target in targets:
        if target.startswith(("https://", "http://")):
            continue
        file, _, anchor = target.partition("#")
        found = (page.parent / file).resolve() if file else page
        assert found.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(found), f"{page.name} links to {target}"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def all_commands() -> dict[str, Any]:
    """Every command by its full name, groups included."""
    found: dict[str, Any] = {}

    def walk(command: Any, name: str) -> None:
        found[name] = command
        for inner, each in getattr(command, "commands", {}).items():
            walk(each, f"{name} {inner}")

    walk(typer.main.get_command(app), "ljm")
    return found


def find_command(words: list[str]) -> tuple[Any, list[str]]:
    command: Any = typer.main.get_command(app)
    words = [word for word in words if word not in ("-v", "--verbose")]
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    if isinstance(command, ListsByDefault):
        return command.commands["list"], words
    alone = not getattr(command, "commands", {}) or command.invoke_without_command
    assert alone, f"unknown command: {words}"
    return command, words


def options_of(command: Any) -> set[str]:
    return {
        name
        for each in command.params
        if each.param_type_name == "option" and each.name != "help"
        for name in (*each.opts, *each.secondary_opts)
    }


def documented() -> dict[str, str]:
    """The section of each command on the page of commands."""
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    parts = re.split(r"^#+ `(ljm[^`]*)`\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_page_of_commands_has_a_section_for_each_command_and_no_other() -> None:
    assert documented().keys() == all_commands().keys()


@pytest.mark.parametrize("name", all_commands())
def test_the_section_of_a_command_names_each_of_its_options_and_no_other(name: str) -> None:
    section, options = documented()[name], options_of(all_commands()[name])
    rows = re.findall(r"^\| `(-[^|]*) \|", section, re.MULTILINE)
    told = {option for row in rows for option in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", row)}
    assert told == options
    mentioned = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", section))
    assert mentioned <= options | {"--help"}
