"""One Python cell: its statements, and the value of its last expression."""

from __future__ import annotations

import ast
import inspect
import linecache
import re
from functools import cached_property
from types import CodeType
from typing import Any

from lakeflow_job_meta.errors import InputError

NOTHING = object()
"""A cell without a last expression, or with a semicolon behind it."""
LINE_MAGIC = re.compile(r"^[ \t]*(?P<magic>%%?[A-Za-z]\w*|![\w./~])", re.MULTILINE)
HARMLESS = frozenset(("%matplotlib", "%load_ext", "%autoreload", "%config"))
"""They change how a notebook looks in an editor, not what it does."""


def prepared(text: str, where: str) -> str:
    """The cell without the line magics that do nothing here.

    Raises:
        InputError: one that does something, which Python isn't.

    >>> prepared("%matplotlib inline\\nx = 1", "cell 1")
    'pass\\nx = 1'
    """
    if _is_python(text):
        return text
    lines = text.split("\n")
    for position, line in enumerate(lines):
        if (found := LINE_MAGIC.match(line)) is None:
            continue
        if found["magic"] not in HARMLESS:
            hint = "magic commands stand at the beginning of a cell of their own; known: %sql, %md, %run, %sh, %fs"
            raise InputError(f"{where}: '{line.strip()}' isn't Python", hint=hint)
        lines[position] = re.sub(r"\S.*", "pass", line)
    return "\n".join(lines)


class Python:
    """Runs cells.

    Args:
        namespace: where their names live.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._namespace = namespace

    def run(self, text: str, name: str) -> Any:
        """Run a cell; its last expression's value, or NOTHING.

        Args:
            text: the cell; name: what traces call it.
        """
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        tree = ast.parse(text, name)
        last = tree.body[-1] if tree.body else None
        if not isinstance(last, ast.Expr) or text.rstrip().endswith(";"):
            _ = self._run(_compiled(tree, name, "exec"))
            return NOTHING
        del tree.body[-1]
        _ = self._run(_compiled(tree, name, "exec"))
        return self._run(_compiled(ast.Expression(last.value), name, "eval"))

    def _run(self, code: CodeType) -> Any:
        result = eval(code, self._namespace)  # noqa: S307 (it is the task)
        return self._loop.run_until_complete(result) if code.co_flags & inspect.CO_COROUTINE else result

    @cached_property
    def _loop(self) -> Any:
        """One for all cells: what one of them awaits, another may have begun."""
        import asyncio

        return asyncio.new_event_loop()


def _compiled(tree: ast.Module | ast.Expression, name: str, mode: str) -> CodeType:
    return compile(tree, name, mode, flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


def _is_python(text: str) -> bool:
    try:
        _ = compile(text, "cell", "exec", flags=ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except SyntaxError:
        return False
    return True
