"""Which values are kept from people, told by their names, and how they are taken out of texts."""

from __future__ import annotations

import doctest
import json
from typing import Any

import pytest

from lakeflow_job_meta.model import masking, plan_text
from lakeflow_job_meta.model.masking import is_secret, masked, masked_at, secrets_in, without


@pytest.mark.parametrize(
    "name",
    [
        "password", "db.passwd", "PGPASSWORD", "DB_PWD", "passphrase", "api_token", "accessToken", "client-secret",
        "spark.hadoop.fs.azure.account.key.x.dfs.core.windows.net", "fs.s3a.access.key", "fs.s3a.secret.key",
        "storage_account_key", "apiKey", "private_key", "fs.azure.sas.container.x", "google.credentials",
        "log_analytics_primary_key", "connectionString",
    ],
)  # fmt: skip
def test_names_of_secrets_are_known(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "task_key", "job_cluster_key", "environment_key", "notebook_path", "spark.databricks.passthrough.enabled",
        "kms_key", "ssh_public_keys", "key", "base_parameters", "author", "sasquatch", "compass",
    ],
)  # fmt: skip
def test_other_names_are_no_secrets(name: str) -> None:
    assert not is_secret(name)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"a": {"token": ["x", {"y": 1}]}}, {"a": {"token": ["(masked)", {"y": "(masked)"}]}}),
        ({"password": "{{secrets/a/b}}"}, {"password": "{{secrets/a/b}}"}),
        ({"password": "{{secrets/a/b}}x"}, {"password": "(masked)"}),
        ({"token_refresh": True, "other_token": None, "t_token": ""}, None),
        ({"token.enabled": "true"}, None),
        ([{"name": "db_password", "default": "x"}], [{"name": "db_password", "default": "(masked)"}]),
        ([{"key": "DB_SECRET", "value": "x"}], [{"key": "DB_SECRET", "value": "(masked)"}]),
        ([{"name": "token job", "task": "x"}], None),
        (["--db-password", "x", "-v", "y"], ["--db-password", "(masked)", "-v", "y"]),
        (["--password=x", "token=y", "--day=1"], ["--password=(masked)", "token=(masked)", "--day=1"]),
        (["--token", "--verbose", "y"], None),
        ("x", None),
        (7, None),
    ],
)
def test_values_under_such_names_are_masked_and_all_else_is_as_it_was(value: Any, shown: Any) -> None:
    assert masked(value) == (value if shown is None else shown)


@pytest.mark.parametrize(
    ("path", "hidden"),
    [
        ("job_clusters[main].new_cluster.spark_conf.spark.db.password", True),
        ("tasks[a].notebook_task.base_parameters.api_token", True),
        ("parameters[api_token].default", True),
        ("tasks[token].timeout_seconds", False),
        ("tasks[password].depends_on[secret].outcome", False),
        ("queries[token].query_text", False),
    ],
)
def test_a_fields_path_tells_whether_its_value_is_a_secret(path: str, hidden: bool) -> None:
    assert masked_at("x", path) == ("(masked)" if hidden else "x")


def test_a_text_loses_its_secrets_however_they_are_quoted() -> None:
    secret = 'p"ä\\ss\nwörd'
    for text in (secret, json.dumps(secret), json.dumps(secret, ensure_ascii=False)):
        assert without(f"found {text}.", {secret}) == f"found {text.replace(text.strip(chr(34)), '(masked)')}."


def test_a_secret_within_another_leaves_nothing_of_it() -> None:
    assert without("a hunter2hunter2 b", {"hunter2", "hunter2hunter2"}) == "a (masked) b"


def test_a_short_secret_is_taken_out_only_where_it_stands_alone() -> None:
    assert without("POST: expected 'x', x=1, max", {"x"}) == "POST: expected '(masked)', (masked)=1, max"


def test_what_is_masked_is_what_counts_as_a_secret() -> None:
    settings = {
        "token": "one",
        "parameters": ["--password", "two", "--key=3"],
        "retry_token": 4,
        "x": "{{secrets/a/b}}",
    }
    assert secrets_in(settings, None, {"secret": {"y": "five"}}) == {"one", "two", "4", "five"}


def test_the_examples_in_the_code_hold() -> None:
    for module in (masking, plan_text):
        found = doctest.testmod(module)
        assert found.attempted > 0
        assert found.failed == 0
