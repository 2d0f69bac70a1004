"""The parameters of SQL tasks are values, whatever they hold and wherever they stand in the text."""

from __future__ import annotations

import doctest
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakeflow_job_meta.local.tasks import sql_text
from lakeflow_job_meta.local.tasks.sql_text import Unbound, bound
from lakeflow_job_meta.store.delta import DeltaStore

values = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
hostile = st.sampled_from(["'", "''", "\\", "\\'", "x' OR '1'='1", "--", "/*", "{{y}}", ":z", "`", '"', "a\nb", "🙂"])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> DeltaStore:
    return DeltaStore(tmp_path_factory.mktemp("home"))


def answer(store: DeltaStore, text: str, given: dict[str, str], **defaults: Any) -> dict[str, Any]:
    statement = bound(text, given, defaults)
    return store.sql(statement.text, statement.parameters)[0]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(values, hostile))
def test_any_text_comes_through_in_quotes_without_and_as_a_marker(store: DeltaStore, value: str) -> None:
    row = answer(store, "SELECT '<{{x}}>' AS quoted, {{x}} AS bare, :y AS marker", {"x": value, "y": value})
    assert row["quoted"] == f"<{value}>" and row["marker"] == value
    assert str(row["bare"]) == value or float(row["bare"]) == float(value)


@pytest.mark.parametrize(
    ("text", "given", "defaults", "expected"),
    [
        ("SELECT {{n}} + 1 AS v", {"n": "41"}, {}, 42),
        ("SELECT {{ n }} * 2 AS v", {"n": "-1.5"}, {}, -3.0),
        ("SELECT {{n}} || '' AS v", {"n": "7"}, {"n": "text"}, "7"),  # declared as text
        ("SELECT :n + 1 AS v", {"n": "41"}, {"n": 0}, 42),  # declared as a number
        ("SELECT :n AS v", {"n": "41"}, {}, "41"),
        ("SELECT :n AS v", {}, {"n": 3}, 3),
        ("SELECT 'it''s {{a}}' AS v", {"a": "ok"}, {}, "it's ok"),
        ("SELECT 1 AS v -- {{gone}}\n", {}, {}, 1),
        ("SELECT /* {{gone}} */ 1 AS v", {}, {}, 1),
        ("SELECT {{a b}} AS v", {"a b": "it's"}, {}, "it's"),
    ],
)
def test_each_place_of_a_parameter(
    store: DeltaStore, text: str, given: dict[str, str], defaults: dict[str, Any], expected: Any
) -> None:
    assert answer(store, text, given, **defaults)["v"] == expected


def test_all_parameters_without_a_value_are_named() -> None:
    with pytest.raises(Unbound, match=r"\{\{a\}\}, \{\{b\}\}$"):
        bound("SELECT {{a}}, '{{b}}', {{a}}", {"c": "x"}, {})


def test_the_examples_in_the_code_hold() -> None:
    found = doctest.testmod(sql_text)
    assert found.attempted > 0
    assert found.failed == 0
