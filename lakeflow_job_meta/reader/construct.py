"""YAML nodes into plain Python values: dict, list, str, int, float, bool, None; aliases share one value."""

from __future__ import annotations

import math
from typing import Any, cast

import yaml

from lakeflow_job_meta.diagnostics import Diagnostic, FileLocation
from lakeflow_job_meta.reader.compose import BOOL, FLOAT, INT, MAP, MERGE, NULL, SEQ, STR
from lakeflow_job_meta.reader.limits import MAX_ALIASES, MAX_DEPTH, MAX_WEIGHT

_ALLOWED: dict[type[yaml.Node], frozenset[str]] = {
    yaml.ScalarNode: frozenset({STR, INT, FLOAT, BOOL, NULL, MERGE}),
    yaml.MappingNode: frozenset({MAP}),
    yaml.SequenceNode: frozenset({SEQ}),
}
_KIND = {INT: "a number", FLOAT: "a number", BOOL: "a truth value", NULL: "nothing", MAP: "a mapping", SEQ: "a list"}

Built = tuple[Any, int, int]
"""A value, its weight with all aliases written out, and how many collections deep it is then."""


class Construction:
    """One tree being turned into values; `findings` grows, and `exploded` says that the value must not be used."""

    def __init__(self, name: str) -> None:
        self.findings: list[Diagnostic] = []
        self.exploded = False
        self._name = name
        self._built: dict[int, Built] = {}
        self._open: set[int] = set()
        self._aliases = self._merged = 0

    def value(self, node: yaml.Node) -> Any:
        """The value of a tree's root; every other call is its own recursion."""
        value, weight, depth = self._build(node)
        if depth > MAX_DEPTH:
            self.exploded = True
            self._find(node, f"nested deeper than {MAX_DEPTH} levels, aliases written out", "nest fewer aliases")
        weight += self._merged
        if weight > MAX_WEIGHT or self._aliases > MAX_ALIASES:
            self.exploded = True
            what, hint = f"{self._aliases} aliases (limit {MAX_ALIASES})", "use fewer aliases"
            if weight > MAX_WEIGHT:
                written_out = ", aliases written out" if self._aliases else ""
                what = f"{weight} values{written_out} (limit {MAX_WEIGHT})"
                hint = "don't nest aliases within aliases" if self._aliases else "split the file"
            self._find(node, what, hint)
        return value

    def _build(self, node: yaml.Node) -> Built:
        known = self._built.get(id(node))
        if known is not None:
            self._aliases += 1
            return known
        if id(node) in self._open:
            self.exploded = True
            self._find(node, "an alias inside of what it stands for", "an anchor can't contain itself")
            return None, 1, 0
        if node.tag not in _ALLOWED[type(node)]:
            self._find(node, f"unknown tag {_short(node.tag)}", "only plain values are read: leave the tag out")
        if isinstance(node, yaml.ScalarNode):
            built = self._scalar(node), 1 + len(node.value) // 100, 0
        else:
            self._open.add(id(node))
            built = self._mapping(node) if isinstance(node, yaml.MappingNode) else self._sequence(node)
            self._open.remove(id(node))
        self._built[id(node)] = built
        return built

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text, tag = node.value, node.tag
        if tag in (STR, MERGE):
            return text
        try:
            if tag == INT:
                return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
            if tag == FLOAT:
                number = (
                    float(text.replace(".inf", "inf").replace(".nan", "nan")) if "n" in text.lower() else float(text)
                )
                if math.isfinite(number):
                    return number
                raise ValueError
        except ValueError:
            shown = text if len(text) < 40 else f"{text[:30]}… ({len(text)} digits)"
            self._find(node, f"{shown} is not a number that JSON can hold", "quote it if text is meant")
            return None
        if tag == BOOL and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if tag == BOOL:
            self._find(node, f"'{text}' is neither true nor false")
        return text if tag not in (NULL, BOOL) else None

    def _sequence(self, node: Any) -> Built:
        weight, depth, values = 1, 0, list[Any]()
        for each in node.value:
            value, more, deep = self._build(each)
            values.append(value)
            weight += more
            depth = max(depth, deep)
        return values, weight, depth + 1

    def _mapping(self, node: yaml.MappingNode) -> Built:
        weight, depth, values = 1, 0, dict[str, Any]()
        merges: list[yaml.Node] = []
        first: dict[str, yaml.Node] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key is None:
                self._build(value_node)
                continue
            if key in first:
                hint = f"the first is at line {first[key].start_mark.line + 1}"
                self._find(key_node, f"duplicate key '{key}'", hint)
            first.setdefault(key, key_node)
            if key_node.tag == MERGE:
                merges.append(value_node)
                continue
            value, more, deep = self._build(value_node)
            weight += more + 1
            if deep > depth:
                depth = deep
            values[key] = value
        for merged in merges:
            more, deep = self._merge(merged, values)
            weight, depth = weight + more, max(depth, deep - 1)
        return values, weight, depth + 1

    def _key(self, node: yaml.Node) -> str | None:
        if isinstance(node, yaml.ScalarNode) and node.tag in (STR, MERGE):
            return node.value
        if node.tag in _KIND:
            shown = f" {node.value}" if isinstance(node, yaml.ScalarNode) and node.value else ""
            hint = f'quote it: "{node.value}"' if shown else "a key must be text"
            self._find(node, f"a key that is {_KIND[node.tag]}{shown}, expected text", hint)
        else:
            self._find(node, f"unknown tag {_short(node.tag)}", "only plain values are read: leave the tag out")
        return None

    def _merge(self, node: yaml.Node, into: dict[str, Any]) -> tuple[int, int]:
        """`<<`: keys of the mapping itself win, then those of mappings named earlier."""
        weight = depth = 0
        for each in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            value, more, deep = self._build(each)
            if not isinstance(each, yaml.MappingNode):
                self._find(each, "'<<' expects a mapping, or a list of mappings", "give it an alias: <<: *name")
                continue
            weight, depth = weight + more, max(depth, deep)
            inherited = cast("dict[str, Any]", value or {})
            self._merged += len(inherited)
            for key in inherited if self._merged <= MAX_WEIGHT else ():
                into.setdefault(key, inherited[key])
        return weight, depth

    def _find(self, node: yaml.Node, message: str, hint: str = "") -> None:
        mark = node.start_mark
        self.findings.append(Diagnostic(message, FileLocation(self._name, mark.line + 1, mark.column + 1), hint))


def _short(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")
