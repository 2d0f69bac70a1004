"""Python wheel tasks: a wheel out of a volume or the workspace, and its entry point."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta.local.tasks.order import Ending, TaskResult
from tests.local_server import Site, running_server
from tests.local_tasks import Place, put_file, wheel

TOKENS = (f"token{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_server(tmp_path_factory.mktemp("home"), "--token-per-workspace") as running:
        yield running


@pytest.fixture
def place(site: Site, tmp_path: Path) -> Place:
    client = site.client(next(TOKENS))
    put_file(client, "/Shared/dist/retail_etl-1.0-py3-none-any.whl", wheel())
    client.files.upload("/Volumes/main/etl/dist/retail_etl-1.0-py3-none-any.whl", io.BytesIO(wheel()), overwrite=True)
    return Place(site.home, tmp_path, client.get_workspace_id())


def run(place: Place, entry: str, *libraries: dict[str, Any], **more: Any) -> TaskResult:
    what = {"package_name": "retail-etl", "entry_point": entry, **more}
    given = list(libraries) or [{"whl": "/Volumes/main/etl/dist/retail_etl-1.0-py3-none-any.whl"}]
    return place.run("python_wheel_task", what, task={"libraries": given})[0]


def test_an_entry_point_of_any_group_is_called_with_parameters(place: Place) -> None:
    result = run(place, "load", parameters=["--day", "1"])
    assert result.ending is Ending.SUCCESS, result.output["logs"]
    assert result.output["logs"] == "main ['retail-etl', '--day', '1'] packaged\n"


def test_without_such_an_entry_point_the_packages_own_function_is_called(place: Place) -> None:
    result = run(place, "direct", named_parameters={"day": "1", "full": "true"})
    assert result.output["logs"] == "direct ['--day=1', '--full=true']\n"


def test_a_wheel_lies_in_the_workspace_too(place: Place) -> None:
    result = run(place, "load", {"whl": "/Workspace/Shared/dist/retail_etl-1.0-py3-none-any.whl"})
    assert result.ending is Ending.SUCCESS, result.output["logs"]


def test_a_notebook_and_a_python_file_use_wheels_too(place: Place) -> None:
    library = {"whl": "/Volumes/main/etl/dist/retail_etl-1.0-py3-none-any.whl"}
    what = place.script("import retail_etl.jobs, retail_etl_extra; print(retail_etl_extra.EXTRA)")
    result, _ = place.run("spark_python_task", what, task={"libraries": [library, {"pypi": {"package": "pytest>=8"}}]})
    assert result.output["logs"] == "1\n"


def test_an_error_within_the_wheel_is_told_with_its_lines(place: Place) -> None:
    result = run(place, "fail")
    assert (result.ending, result.error) == (Ending.FAILED, "ValueError: in the wheel")
    assert "retail_etl/jobs.py" in result.error_trace and "in broken" in result.error_trace
    assert "exit code 4" in run(place, "leave").error


def test_an_entry_point_that_is_not_there_is_named_with_the_nearest(place: Place) -> None:
    result = run(place, "laod")
    assert "package 'retail-etl' has no entry point 'laod'" in result.error and "did you mean 'load'?" in result.error


def test_a_package_that_is_not_there_is_named(place: Place) -> None:
    result = place.run("python_wheel_task", {"package_name": "nowhere", "entry_point": "x"})[0]
    assert "there is no package 'nowhere'" in result.error and "libraries" in result.error


def test_what_a_wheel_needs_and_is_not_installed_is_named(place: Place) -> None:
    path = "/Volumes/main/etl/dist/needy-1.0-py3-none-any.whl"
    target = place.home / path.lstrip("/").replace("Volumes", "volumes")
    target.write_bytes(wheel("needy", "import not_installed_anywhere\ndef direct(): pass\n"))
    what = {"package_name": "needy", "entry_point": "direct"}
    result = place.run("python_wheel_task", what, task={"libraries": [{"whl": path}]})[0]
    assert "package 'needy' needs not_installed_anywhere, which isn't installed" in result.error


def test_a_package_that_cannot_be_imported_fails_with_its_own_error(place: Place) -> None:
    path = "/Volumes/main/etl/dist/raising-1.0-py3-none-any.whl"
    target = place.home / path.lstrip("/").replace("Volumes", "volumes")
    target.write_bytes(wheel("raising", "raise ValueError('at import')\n"))
    what = {"package_name": "raising", "entry_point": "direct"}
    result = place.run("python_wheel_task", what, task={"libraries": [{"whl": path}]})[0]
    assert result.error == "ValueError: at import" and "raising/__init__.py" in result.error_trace


def test_all_libraries_that_cannot_be_had_are_named_at_once(place: Place) -> None:
    result = run(
        place, "load", {"whl": "/Volumes/main/etl/dist/none-1.0-py3-none-any.whl"}, {"jar": "/Volumes/x.jar"},
        {"whl": "/Volumes/main/etl/dist/old-1.0-cp27-cp27m-any.whl"}, {"pypi": {"package": "no-such-thing==1"}},
        {"whl": "/Shared/dist/retail_etl-1.0-py3-none-any.wlh"},
    )  # fmt: skip
    for found in (
        "libraries[0]: there is no file", "libraries[1]: a library of the kind 'jar'", "libraries[2]: old-1.0",
        "libraries[3]: no-such-thing==1 isn't installed", "libraries[4]",
    ):  # fmt: skip
        assert found in result.error


def test_a_file_that_is_no_wheel_is_named(place: Place) -> None:
    path = "/Volumes/main/etl/dist/bad-1.0-py3-none-any.whl"
    (place.home / "volumes" / "main" / "etl" / "dist" / "bad-1.0-py3-none-any.whl").write_bytes(b"no zip")
    assert "isn't a wheel" in run(place, "load", {"whl": path}).error
