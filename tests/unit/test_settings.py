"""Settings: arguments over environment over the file over defaults, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta import InputError, UsageError
from lakeflow_job_meta.settings import Settings, load_settings


def load(folder: Path, file: str = "", environment: dict[str, str] | None = None, **arguments: Any) -> Settings:
    if file:
        (folder / "lakeflow.yml").write_text(file)
    return load_settings(arguments, environment or {}, folder)


def test_a_laptop_is_embedded_and_local(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert (settings.store, settings.workspace, settings.home) == ("embedded", "local", Path(".lakeflow"))


def test_arguments_win_over_environment_over_file(tmp_path: Path) -> None:
    file = "control_table: f.f.f\nworkspace: from_file\ncluster_id: c\n"
    environment = {"LAKEFLOW_CONTROL_TABLE": "e.e.e", "LAKEFLOW_WORKSPACE": "from_env"}
    settings = load(tmp_path, file, environment, control_table="a.a.a", workspace=None)
    assert (settings.control_table, settings.workspace, settings.cluster_id) == ("a.a.a", "from_env", "c")


def test_stray_databricks_credentials_choose_nothing(tmp_path: Path) -> None:
    stray = {"DATABRICKS_HOST": "https://prod.example.com", "DATABRICKS_TOKEN": "t"}
    assert load(tmp_path, environment=stray).workspace == "local"


def test_inside_of_databricks_the_workspace_is_that_one(tmp_path: Path) -> None:
    assert load(tmp_path, environment={"DATABRICKS_RUNTIME_VERSION": "16.4"}).workspace == "databricks"


def test_a_home_in_the_file_is_relative_to_the_file(tmp_path: Path) -> None:
    assert load(tmp_path, "home: data/here\n").home == tmp_path / "data" / "here"


def test_all_findings_come_at_once_with_their_places(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        load(tmp_path, "controltable: a.b.c\nconcurrency: many\nstore: sparc\n")
    text = str(raised.value)
    assert "lakeflow.yml:1:1: error: unknown setting 'controltable' (did you mean 'control_table'?)" in text
    assert "concurrency: expected 1 to 100, found 'many'" in text
    assert "store: unknown store 'sparc' (did you mean 'spark'?)" in text


def test_a_missing_control_table_says_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="LAKEFLOW_CONTROL_TABLE"):
        load(tmp_path).require_control_table()


def test_what_follows_from_the_pipeline_registry_can_not_be_set_for_all(tmp_path: Path) -> None:
    given = {"pipelines_job": {"schedule": {}, "queue": {}}, "pipelines_task": [], "lake_schema": "Data Lake"}
    given["driver_environments"] = {"acme/pg:3": 7}
    with pytest.raises(InputError) as caught:
        load_settings(given, {}, tmp_path)
    for expected in (
        "pipelines_job.schedule: follows from the pipeline registry", "pipelines_task: expected fields of the Jobs API",
        "driver_environments.acme/pg:3: expected docker images with the key of an environment each",
        "lake_schema: expected a schema's name in lower case, found 'Data Lake'",
    ):  # fmt: skip
        assert expected in str(caught.value)
    assert "queue" not in str(caught.value)
    settings = load_settings({"pipelines_task": {"max_retries": 1}}, {"LAKEFLOW_PIPELINES_SCHEMA": "moves"}, tmp_path)
    assert (settings.pipelines_schema, settings.lake_schema, settings.pipelines_task) == (
        "moves",
        "dl",
        {"max_retries": 1},
    )
