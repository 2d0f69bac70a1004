"""References to secrets: what is one, where it leads, and that a secret itself is never quoted."""

from __future__ import annotations

import base64
import doctest

import pytest

import lakeflow_job_meta.model.secret_reference
from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.model.secret_reference import SecretReference
from lakeflow_job_meta.workspace.secrets import Secrets, secrets_of
from tests.conftest import Project


def secrets(**environment: str) -> Secrets:
    return Secrets(environment, lambda scope, key: f"{key} of {scope}")


def test_its_examples_are_true() -> None:
    assert doctest.testmod(lakeflow_job_meta.model.secret_reference).failed == 0


@pytest.mark.parametrize(
    "text",
    ["hunter2", "env:", "env:1A", "env:A B", "{{secrets/a}}", "{{secrets/a/b/c}}", "{{secrets/a/b}} ", "{secrets/a/b}"],
)
def test_anything_else_is_no_reference(text: str) -> None:
    assert SecretReference.parse(text) is None


def test_a_reference_leads_to_a_variable_or_to_a_scope_of_the_workspace() -> None:
    assert secrets(API_TOKEN="t").value("env:API_TOKEN") == "t"
    assert secrets().value("{{secrets/jira/token}}") == "token of jira"
    assert secrets().value("{{ secrets/jira/token }}") == "token of jira"


def test_any_other_text_is_itself_where_both_may_stand() -> None:
    assert secrets(API="https://a").plain("env:API") == "https://a"
    assert secrets().plain("https://b") == "https://b"


def test_a_variable_that_is_missing_or_empty_is_told_by_name() -> None:
    for each in (secrets(), secrets(API_TOKEN="")):
        with pytest.raises(InputError, match="the variable API_TOKEN is not set"):
            each.value("env:API_TOKEN")


def test_who_has_set_the_variable_is_told_where_it_counts() -> None:
    with pytest.raises(InputError) as raised:
        secrets().value("env:API_TOKEN")
    assert "a task of the embedded workspace sees no variables of yours" in raised.value.hint


def test_a_secret_that_is_written_out_is_refused_without_showing_it() -> None:
    with pytest.raises(InputError) as raised:
        secrets().value("hunter2")
    assert "hunter2" not in str(raised.value)


def test_a_secret_of_the_workspace_is_read_each_time_anew(project: Project) -> None:
    project.client.secrets.create_scope("hub")
    found = secrets_of(project.orchestrator.workspace)
    for value in ("first", "second"):
        project.client.secrets.put_secret("hub", "token", string_value=value)
        assert found.value("{{secrets/hub/token}}") == value


def test_a_secret_that_is_not_there_or_is_no_text_is_told_by_scope_and_key(project: Project) -> None:
    project.client.secrets.create_scope("hub")
    raw = base64.b64encode(b"\xff\xfehunter2").decode()
    project.client.secrets.put_secret("hub", "raw", bytes_value=raw)
    for key, words in (("gone", "does not exist"), ("raw", "it isn't text")):
        with pytest.raises(InputError, match=f"the secret hub/{key} can't be read: .*{words}") as raised:
            secrets_of(project.orchestrator.workspace).value(f"{{{{secrets/hub/{key}}}}}")
        assert "hunter2" not in str(raised.value)
