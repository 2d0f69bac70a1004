"""What holds for every file of metadata/ and examples/ that declares modules."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakeflow_job_meta import MetadataManager
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.store.delta import DeltaStore
from tests.conftest import TABLE, Project

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(
    path
    for folder in ("metadata", "examples")
    for path in (ROOT / folder).rglob("*.y*ml")
    if "\nmodules:" in path.read_text("utf-8")
)


def by_path(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_are_files_to_look_at() -> None:
    assert len(FILES) >= 8


def test_the_folder_of_all_metadata_loads_as_a_whole(project: Project) -> None:
    assert project.manager.load_yaml(ROOT / "metadata").wrote
    assert project.orchestrator.plan().diagnostics == ()


@pytest.mark.parametrize("path", FILES, ids=by_path)
def test_applying_then_planning_finds_nothing(project: Project, path: Path) -> None:
    project.manager.load_yaml(path)
    assert project.orchestrator.plan().diagnostics == ()
    project.orchestrator.run_all_modules()
    assert [str(change) for action in project.orchestrator.plan().effective for change in action.changes] == []
    assert project.orchestrator.plan().empty
    assert project.orchestrator.plan(refresh=False).empty


@pytest.mark.parametrize("path", FILES, ids=by_path)
def test_applying_again_sends_no_write(project: Project, path: Path) -> None:
    project.manager.load_yaml(path)
    project.orchestrator.run_all_modules()
    project.writes()
    before = project.versions()
    project.orchestrator.run_all_modules()
    assert project.writes() == []
    assert project.versions() == before


@pytest.mark.parametrize("path", FILES, ids=by_path)
def test_loading_twice_makes_no_new_version(project: Project, path: Path) -> None:
    project.manager.load_yaml(path)
    before = project.versions()
    assert not project.manager.load_yaml(path).wrote
    assert project.versions() == before


@pytest.mark.parametrize("path", FILES, ids=by_path)
def test_an_export_loads_back_without_any_change(project: Project, path: Path, tmp_path: Path) -> None:
    project.manager.load_yaml(path)
    before = project.versions()
    rows = project.sql(f"SELECT * FROM {TABLE} ORDER BY ALL")
    project.manager.export_yaml(tmp_path / "export.yml")
    assert not project.manager.load_yaml(tmp_path / "export.yml").wrote
    after = project.versions()
    assert (after[TABLE], after[f"{TABLE}_modules"]) == (before[TABLE], before[f"{TABLE}_modules"])
    assert project.sql(f"SELECT * FROM {TABLE} ORDER BY ALL") == rows


@pytest.mark.parametrize("path", FILES, ids=by_path)
def test_an_export_makes_the_same_jobs_in_another_table(project: Project, path: Path, tmp_path: Path) -> None:
    project.manager.load_yaml(path)
    project.manager.export_yaml(tmp_path / "export.yml")
    other = tmp_path / "other"
    copy = MetadataManager(TABLE, DeltaStore(other), settings=Settings(TABLE, other))
    copy.load_yaml(tmp_path / "export.yml")
    columns = "module_name, source_id, source_type, execution_order, is_active, transformation_config"
    query = f"SELECT {columns} FROM {TABLE} ORDER BY ALL"
    assert copy.sql(query) == project.sql(query)
