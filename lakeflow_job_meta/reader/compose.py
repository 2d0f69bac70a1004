"""Text into a tree of YAML nodes that know their place: the only part that speaks to the YAML library."""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.scanner import Scanner

from lakeflow_job_meta.diagnostics import Diagnostic, FileLocation
from lakeflow_job_meta.reader.limits import MAX_DEPTH

STR, INT, FLOAT, BOOL, NULL, MAP, SEQ, MERGE = (
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq", "merge")
)
_TYPED = re.compile(
    r"(?P<null>~|null|Null|NULL|)|(?P<bool>true|True|TRUE|false|False|FALSE)"
    r"|(?P<int>[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+)"
    r"|(?P<float>[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))"
    r"|(?P<merge><<)"
)
_MAY_BE_TYPED = frozenset("~nNtTfF+-.0123456789<")
_TAG_OF = {"null": NULL, "bool": BOOL, "int": INT, "float": FLOAT, "merge": MERGE}
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_HINTS = (
    ("'\\t' that cannot start any token", "use spaces"),
    ("cannot start any token", "quote text that starts with one of @ ` % , ] }"),
    ("mapping values are not allowed", "quote text that holds ': '"),
    ("could not find expected ':'", "is a ':' or a closing quote missing on the line before?"),
    ("did not find expected key", "check the indentation of this line and the quotes before it"),
    ("block end", "check the indentation of this line"),
    ("did not find expected ',' or", "is a bracket left open?"),
    ("unexpected end of stream", "is a quote left open?"),
    ("undefined alias", "an anchor (&name) must come before its alias (*name), in the same file"),
)


def plain_tag(text: str) -> str:
    """The type that an unquoted word has by the core schema.

    >>> plain_tag("yes") == STR and plain_tag("12") == INT
    True
    """
    if text and text[0] not in _MAY_BE_TYPED:
        return STR
    found = _TYPED.fullmatch(text)
    return _TAG_OF[found.lastgroup] if found and found.lastgroup else STR


class TooDeep(yaml.MarkedYAMLError):
    """Collections are nested deeper than MAX_DEPTH."""


TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
LIBYAML_TOO_DEEP = "exceeded maximum nesting depth"
"""How libyaml says it, whose own limit comes first where nothing but brackets is read ahead."""


class _CoreSchema:
    """What the library's composers ask while they build nodes: the type of a scalar, and one deeper or back."""

    _depth = 0

    def descend_resolver(self, current_node: yaml.Node | None, _index: object) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            mark = current_node.start_mark if current_node is not None else None
            raise TooDeep(problem=TOO_DEEP, problem_mark=mark)

    def ascend_resolver(self) -> None:
        self._depth -= 1

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode:
            return plain_tag(value) if implicit[0] else STR
        return MAP if kind is yaml.MappingNode else SEQ


class PurePythonComposer(Reader, Scanner, Parser, Composer, _CoreSchema):  # pyright: ignore[reportUnsafeMultipleInheritance]
    """Ten times slower; for installations of PyYAML without its C part."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)


def _fastest() -> type[Any]:
    if not yaml.__with_libyaml__:
        return PurePythonComposer
    from yaml._yaml import CParser

    class CComposer(CParser, _CoreSchema):  # pyright: ignore[reportUnsafeMultipleInheritance]
        """PyYAML's composer in C, which keeps marks and asks us for the types."""

    return CComposer


NodeComposer = _fastest()


def compose(text: str, name: str, composer: type[Any] = NodeComposer) -> tuple[yaml.Node | None, list[Diagnostic]]:
    """The only document of a text, and what keeps it from being one."""
    loader: Any = None
    root: yaml.Node | None = None
    try:
        loader = composer(text)
        if not loader.check_node():
            return None, [Diagnostic("the file is empty", FileLocation(name), "remove it, or write what it declares")]
        root = loader.get_node()
        if not loader.check_node():
            return root, []
        where = _at(name, loader.get_node().start_mark)
        return root, [
            Diagnostic("a second document begins here", where, "one document a file: split it, or remove '---'")
        ]
    except ReaderError as problem:
        return None, _unprintable(text, name) or [Diagnostic(problem.reason, FileLocation(name))]
    except yaml.MarkedYAMLError as problem:
        return root, [_syntax(problem, text, name)]
    finally:
        if loader is not None:
            loader.dispose()


def _at(name: str, mark: Any) -> FileLocation:
    return FileLocation(name) if mark is None else FileLocation(name, mark.line + 1, mark.column + 1)


def _unprintable(text: str, name: str) -> list[Diagnostic]:
    found: list[Diagnostic] = []
    for match in _UNPRINTABLE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        column = match.start() - text.rfind("\n", 0, match.start())
        code = ord(match.group())
        what = "a NUL character" if code == 0 else f"a control character U+{code:04X}"
        found.append(Diagnostic(what, FileLocation(name, line, column), "write it as an escape in double quotes"))
    return found


def _syntax(problem: yaml.MarkedYAMLError, text: str, name: str) -> Diagnostic:
    mark = problem.problem_mark or problem.context_mark
    where = _at(name, mark)
    lines = text.splitlines()
    line = lines[where.line - 1] if mark is not None and where.line <= len(lines) else ""
    lead = line[: len(line) - len(line.lstrip())]
    if "\t" in lead:
        column = lead.index("\t") + 1
        return Diagnostic("a tab in the indentation", FileLocation(name, where.line, column), "indent with spaces")
    message = problem.problem or problem.context or "not YAML"
    if isinstance(problem, TooDeep) or LIBYAML_TOO_DEEP in message:
        return Diagnostic(TOO_DEEP, where, "move the inner part into a value of its own")
    hint = next((hint for part, hint in _HINTS if part in message), "")
    if problem.problem and problem.context and problem.context_mark is not None:
        message += f", {problem.context} that began at line {problem.context_mark.line + 1}"
    return Diagnostic(f"not valid YAML: {message}", where, hint)
