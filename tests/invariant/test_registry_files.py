"""What holds for every file of metadata/ and examples/ that registers tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lakeflow_job_meta import PipelineRegistry
from lakeflow_job_meta.pipelines.tables import REGISTERED, TABLES
from lakeflow_job_meta.store.delta import DeltaStore
from tests.acceptance.steps import apply, with_settings
from tests.conftest import TABLE, Project

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(
    path
    for folder in ("metadata", "examples")
    for path in (ROOT / folder).rglob("*.y*ml")
    if "\nregistry_version:" in path.read_text("utf-8")
)


def by_path(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture
def piped(project: Project) -> Project:
    return replace(project, settings=replace(project.settings, wheel_path="/Workspace/wheels/x.whl"))


def registry(project: Project) -> PipelineRegistry:
    store = DeltaStore(project.home)
    return PipelineRegistry(TABLE, store, settings=project.settings, workspace_client=project.client)


def test_there_are_files_to_look_at() -> None:
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=by_path)
def test_what_is_registered_applies_and_then_plans_nothing(piped: Project, path: Path) -> None:
    assert registry(piped).load_yaml(path).wrote
    assert registry(piped).check() == []
    report = registry(piped).sync()
    assert report.findings == ()
    assert set(apply(piped)) == set(report.added)
    plan = with_settings(piped).plan()
    assert (plan.diagnostics, [str(change) for action in plan.effective for change in action.changes]) == ((), [])
    assert plan.empty


@pytest.mark.parametrize("path", FILES, ids=by_path)
def test_a_run_of_a_generated_job_changes_nothing_that_is_generated(piped: Project, path: Path) -> None:
    """A run writes how far it came, and nothing else; the job that it is of stays as it is."""
    registry(piped).load_yaml(path)
    registry(piped).sync()
    apply(piped)
    before = piped.versions()
    piped.sql(
        f"UPDATE {registry(piped).tables.names[TABLES]} SET dl_to_sink_last_loader_run_status = 'failed', "
        "source_to_dl_last_incremental_value = current_timestamp(), "
        "dl_to_sink_last_incremental_value = current_timestamp(), "
        "dl_to_sink_last_loader_run_timestamp = current_timestamp()"
    )
    assert not registry(piped).sync().wrote
    assert with_settings(piped).plan().empty
    assert piped.versions() == before


@pytest.mark.parametrize("path", FILES, ids=by_path)
def test_loading_twice_and_loading_an_export_make_no_new_version(piped: Project, path: Path, tmp_path: Path) -> None:
    one = registry(piped)
    one.load_yaml(path)
    before = {kind: info.version for kind, info in one.tables.infos(one.store, REGISTERED).items() if info}
    assert not one.load_yaml(path).wrote
    assert not one.load_yaml(one.export_yaml(tmp_path / "export.yml")).wrote
    assert {kind: info.version for kind, info in one.tables.infos(one.store, REGISTERED).items() if info} == before
