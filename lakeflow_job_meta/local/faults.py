"""Faults on demand, for tests: fail, drop, delay or kill the Nth call to an endpoint, before or after its effect."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from lakeflow_job_meta.local.call import Answer, Refusal, invalid

ACTIONS = ("status", "drop", "delay", "garbage", "kill", "strip")
WHEN = ("before", "after")
TEXT, NUMBER, ANY_NUMBER = (str,), (int,), (int, float)
KEYS: Mapping[str, tuple[type, ...]] = {
    "method": TEXT, "path": TEXT, "nth": NUMBER, "every": NUMBER, "when": TEXT, "action": TEXT, "status": NUMBER,
    "error_code": TEXT, "message": TEXT, "headers": (dict,), "seconds": ANY_NUMBER, "pid": NUMBER, "field": TEXT,
}  # fmt: skip


@dataclass(slots=True)
class Rule:
    """One fault. It hits the `nth` matching call counted from when the rule was set, or each `every`-th; both 0: all.

    `when` is before or after the call's effect. `action`: `status` answers with status, error_code, message and
    headers; `drop` cuts the connection; `delay` waits `seconds`; `garbage` answers 200 with a body that isn't JSON;
    `kill` sends SIGKILL to `pid` and then cuts the connection; `strip` takes `field` out of a job's settings before the
    call has its effect.
    """

    method: str = ""
    path: str = ""
    nth: int = 0
    every: int = 0
    when: str = "before"
    action: str = "status"
    status: int = 500
    error_code: str = "INTERNAL_ERROR"
    message: str = "An injected fault."
    headers: dict[str, str] = field(default_factory=dict[str, str])
    seconds: float = 0.0
    pid: int = 0
    field: str = ""
    seen: int = 0
    hits: int = 0

    def hit(self, method: str, path: str) -> bool:
        """Count a call; says whether this one is to suffer."""
        if self.method not in ("", method) or not re.search(self.path, path):
            return False
        self.seen += 1
        struck = self.seen == self.nth if self.nth else self.every == 0 or self.seen % self.every == 0
        self.hits += struck
        return struck

    def answer(self) -> Answer:
        """The answer of a `garbage` rule, or the refusal of a `status` rule.

        Raises:
            Refusal: for `status`.
        """
        if self.action == "garbage":
            return Answer(b"<html>injected garbage", content_type="text/html")
        raise Refusal(self.status, self.error_code, self.message, self.headers)

    def stripped(self, body: bytes) -> bytes:
        """The body of a call that makes or changes a job, without the field."""
        whole = json.loads(body)
        whole.pop(self.field, None)
        whole.get("new_settings", {}).pop(self.field, None)
        return json.dumps(whole).encode()

    def shown(self) -> dict[str, Any]:
        """The rule and its counts as JSON-ready data."""
        return asdict(self)


def parse_rules(body: object) -> list[Rule]:
    """Rules from a request: a list, or an object with `rules`.

    Raises:
        Refusal: 400, for an unknown key or action, a bad regular expression, a wrong shape.
    """
    if isinstance(body, dict):
        body = cast("dict[str, object]", body).get("rules", [])
    if not isinstance(body, list):
        invalid("Expected a list of rules.")
    return [_parse_rule(each) for each in cast("list[object]", body)]


def _parse_rule(data: object) -> Rule:
    if not isinstance(data, dict):
        invalid("Expected an object for each rule.")
    given = cast("dict[str, Any]", data)
    for key, value in given.items():
        if key not in KEYS:
            invalid(f"Unknown key '{key}' in a fault rule; known: {', '.join(KEYS)}.")
        if not isinstance(value, KEYS[key]):
            invalid(f"{key} of a fault rule: {value!r} is of the wrong type.")
    rule = Rule(**given)
    if rule.action not in ACTIONS or rule.when not in WHEN:
        invalid(f"A fault's action is one of {', '.join(ACTIONS)}, its when one of {', '.join(WHEN)}.")
    try:
        re.compile(rule.path)
    except re.error as error:
        invalid(f"path '{rule.path}' is not a regular expression: {error}")
    return rule
