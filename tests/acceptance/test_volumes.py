"""The files of a volume, mounted or through the Files API: the same rows, owners and findings, and never fewer files
than there are."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from lakeflow_job_meta import MetadataManager
from lakeflow_job_meta.cli.app import run
from lakeflow_job_meta.errors import Denied, InputError
from lakeflow_job_meta.ingest.report import LoadReport
from lakeflow_job_meta.ingest.volume import place_of_files
from lakeflow_job_meta.monitor.files import WatchedFiles
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.workspace.connect import connect
from tests.conftest import TABLE, Project
from tests.local_server import Site, running_server

GOOD = """
metadata_version: "1.0"
modules:
  - module_name: {module}
    sources:
      - source_id: a
        transformation_config: {{task_type: notebook, notebook_path: {path}}}
"""
EARLIER = time.time() - 3600


@dataclass(frozen=True)
class Volume:
    """A folder of a volume: as the workspace's disk has it, and as it is named."""

    path: str
    disk: Path
    project: Project

    def write(self, relative: str, module: str = "", path: str = "/etl/a", at: float = EARLIER) -> None:
        """Write a file as if some time ago, so that it has settled."""
        file = self.disk / relative
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(GOOD.format(module=module or file.stem, path=path))
        os.utime(file, (at, at))

    @property
    def far(self) -> MetadataManager:
        """A manager that reaches the volume through the Files API."""
        project = self.project
        return MetadataManager(TABLE, project.store, settings=project.settings, workspace_client=project.client)

    @property
    def near(self) -> MetadataManager:
        """A manager that has the volume's files on its own disk."""
        return MetadataManager(TABLE, self.project.store, settings=Settings(TABLE, self.project.site.home))

    def watch(self) -> WatchedFiles:
        """What the monitor loads."""
        project = self.project
        place = place_of_files(self.path, connect(project.settings, project.client))
        specs = (project.manager.tables.control, project.manager.tables.modules)
        return WatchedFiles(
            place, project.store, project.manager.tables, lambda: [project.store.info(spec.name) for spec in specs]
        )

    def calls(self) -> list[str]:
        """Requests for files and folders since the last look, without what all paths begin with."""
        start = "/api/2.0/fs/"
        found = [f"{method} {path}" for method, path in self.project.site.requests() if path.startswith(start)]
        self.project.site.forget_requests()
        return [each.replace(start, "").replace(self.path, "") for each in found]

    def owners(self) -> set[tuple[str, str]]:
        return {(row["root"], row["path"]) for row in self.project.sql(f"SELECT root, path FROM {TABLE}_files")}

    def modules(self) -> list[str]:
        rows = self.project.sql(f"SELECT module_name FROM {TABLE} WHERE is_active ORDER BY module_name")
        return [row["module_name"] for row in rows]


@pytest.fixture
def volume(project: Project) -> Volume:
    name = f"v{uuid4().hex[:12]}"
    made = Volume(f"/Volumes/main/etl/{name}/meta", project.site.home / "volumes/main/etl" / name / "meta", project)
    made.disk.mkdir(parents=True)
    return made


def counts(report: LoadReport) -> tuple[int, int, int]:
    return len(report.added), len(report.changed), report.unchanged


def test_both_ways_lead_to_the_same_rows_and_owners_and_one_follows_the_other(volume: Volume) -> None:
    volume.write("one.yml")
    volume.write("sub/two.yaml")
    assert counts(volume.far.load_yaml(volume.path)) == (2, 0, 0)
    assert volume.owners() == {(volume.path, "one.yml"), (volume.path, "sub/two.yaml")}
    before = volume.project.sql(f"SELECT * FROM {TABLE}_files ORDER BY path")
    assert counts(volume.near.load_yaml(volume.path)) == (0, 0, 2)
    assert counts(volume.far.load_yaml(f"{volume.path}/")) == (0, 0, 2)
    assert volume.project.sql(f"SELECT * FROM {TABLE}_files ORDER BY path") == before
    (volume.disk / "one.yml").unlink()
    report = volume.near.load_yaml(volume.path, deactivate_missing=True)
    assert report.deactivated == (("one", "a"),)


def test_an_unchanged_folder_costs_its_listing_and_a_changed_file_one_download(volume: Volume) -> None:
    for number in range(5):
        volume.write(f"m{number}.yml")
    volume.write("sub/deep.yml")
    volume.calls()
    volume.far.load_yaml(volume.path)
    first = volume.calls()
    assert first[:2] == ["GET directories", "GET directories/sub"]
    assert sorted(first[2:]) == [*(f"GET files/m{number}.yml" for number in range(5)), "GET files/sub/deep.yml"]
    assert counts(volume.far.load_yaml(volume.path)) == (0, 0, 6)
    assert volume.calls() == ["GET directories", "GET directories/sub"]
    volume.write("m3.yml", path="/etl/other", at=EARLIER + 1)
    assert counts(volume.far.load_yaml(volume.path)) == (0, 1, 5)
    assert volume.calls() == ["GET directories", "GET directories/sub", "GET files/m3.yml"]


def test_a_second_change_within_the_same_second_is_not_missed(volume: Volume) -> None:
    now = float(int(time.time()))
    volume.write("m.yml", path="/etl/a", at=now)
    volume.far.load_yaml(volume.path)
    volume.write("m.yml", path="/etl/b", at=now)
    assert counts(volume.far.load_yaml(volume.path)) == (0, 1, 0)


def test_a_long_listing_comes_in_pages(volume: Volume) -> None:
    volume.write("m.yml")
    for number in range(1100):
        (volume.disk / f"{number}.csv").touch()
    volume.calls()
    assert counts(volume.far.load_yaml(volume.path)) == (1, 0, 0)
    assert volume.calls() == ["GET directories", "GET directories", "GET files/m.yml"]


def test_findings_name_the_volume_s_path_whichever_way_it_is_read(volume: Volume) -> None:
    volume.write("sub/good.yml")
    (volume.disk / "bad.yml").write_text("modules: [{module_name: m, sources: [{source_idd: a}]}]")
    for manager in (volume.far, volume.near):
        with pytest.raises(InputError) as refused:
            manager.load_yaml(volume.path)
        places = {str(each.location).split(":")[0] for each in refused.value.diagnostics}
        assert places == {f"{volume.path}/bad.yml"}
        assert "bad.yml:1:38" in str(refused.value)


def test_one_file_of_a_volume_can_be_loaded_but_takes_no_row_that_a_file_beside_it_declares(volume: Volume) -> None:
    volume.write("one.yml")
    volume.write("two.yml")
    volume.far.load_yaml(volume.path)
    volume.write("one.yml", module="two")
    volume.calls()
    for manager in (volume.far, volume.near):
        with pytest.raises(InputError, match=f"belongs to {volume.path}/two.yml, which still declares it"):
            manager.load_yaml(f"{volume.path}/one.yml")
    assert volume.calls() == ["GET files/one.yml", "GET files/two.yml"]
    (volume.disk / "two.yml").unlink()
    assert counts(volume.far.load_yaml(f"{volume.path}/one.yml")) == (0, 0, 1)
    assert (volume.path, "one.yml") in volume.owners()


def test_a_listing_that_fails_half_way_says_nothing_about_any_file(volume: Volume) -> None:
    volume.write("one.yml")
    volume.write("sub/two.yml")
    volume.far.load_yaml(volume.path)
    for number in range(1100):
        (volume.disk / f"{number}.csv").touch()
    volume.project.site.fault(method="GET", path="fs/directories", nth=2, status=403, error_code="PERMISSION_DENIED")
    with pytest.raises(Denied):
        volume.far.load_yaml(volume.path, deactivate_missing=True)
    assert volume.modules() == ["one", "two"]


@pytest.mark.parametrize(
    ("endpoint", "status", "told"),
    [
        (r"fs/files/.*/two\.yml", 403, "two.yml:1:1: error: may not be read"),
        (r"fs/files/.*/two\.yml", 404, "two.yml:1:1: error: is gone since it was listed"),
        ("fs/directories/.*/sub", 403, "sub:1:1: error: may not be read"),
        ("fs/directories/.*/sub", 404, "sub:1:1: error: is gone since it was listed"),
    ],
)
def test_what_is_listed_but_cannot_be_read_stops_a_load_and_only_waits_in_the_monitor(
    volume: Volume, endpoint: str, status: int, told: str
) -> None:
    volume.write("one.yml")
    volume.write("sub/two.yml")
    volume.far.load_yaml(volume.path)
    volume.write("one.yml", path="/etl/b", at=EARLIER + 1)
    volume.write("sub/two.yml", path="/etl/b", at=EARLIER + 1)
    volume.project.site.fault(method="GET", path=endpoint, status=status, error_code="NO")
    with pytest.raises(InputError) as refused:
        volume.far.load_yaml(volume.path, deactivate_missing=True)
    assert told in str(refused.value)
    watched = volume.watch()
    loaded = watched.load()
    assert loaded is not None and counts(loaded) == (0, 1, 0)
    assert told in str(watched.findings[0])
    assert volume.modules() == ["one", "two"]
    volume.project.site.no_faults()
    loaded = watched.load()
    assert loaded is not None and (counts(loaded), watched.findings) == ((0, 1, 1), ())


def test_a_volume_that_is_missing_is_an_error_for_a_load_and_is_told_once_by_the_monitor(
    volume: Volume, caplog: pytest.LogCaptureFixture
) -> None:
    volume.write("one.yml")
    watched = volume.watch()
    assert watched.load() is not None
    away = volume.disk.rename(volume.disk.with_name("away"))
    for manager in (volume.far, volume.near):
        with pytest.raises(InputError, match=f"{volume.path} doesn't exist"):
            manager.load_yaml(volume.path, deactivate_missing=True)
    for _ in range(2):
        loaded = watched.load()
        assert loaded is None
        assert f"{volume.path} isn't there" in str(watched.findings[0])
    assert caplog.text.count("isn't there") == 1
    assert volume.modules() == ["one"]
    away.rename(volume.disk)
    volume.calls()
    assert (watched.load(), watched.findings) == (None, ())
    assert volume.calls() == ["GET directories"]


def test_a_volume_that_is_empty_all_at_once_changes_nothing(volume: Volume) -> None:
    volume.write("one.yml")
    watched = volume.watch()
    watched.load()
    (volume.disk / "one.yml").unlink()
    watched.load()
    assert "all files that were here are gone" in str(watched.findings[0])
    with pytest.raises(InputError, match=r"no \.yml or \.yaml file"):
        volume.far.load_yaml(volume.path, deactivate_missing=True)
    assert volume.modules() == ["one"]


def test_the_monitor_follows_a_volume_by_its_listing_and_keeps_jobs_though_it_cannot_be_reached(
    volume: Volume,
) -> None:
    project = volume.project
    volume.write("one.yml")
    monitor = project.monitor(volume.path)
    assert [str(each.action.kind) for each in monitor.check_and_update().outcomes] == ["create"]
    volume.calls()
    assert not monitor.check_and_update().looked
    assert volume.calls() == ["GET directories"]
    project.site.fault(method="GET", path="fs/", status=403, error_code="PERMISSION_DENIED")
    project.add("b", "other")
    cycle = monitor.check_and_update()
    assert [each.action.module for each in cycle.outcomes] == ["other"]
    assert "directories" in str(cycle.findings[0])
    project.site.no_faults()
    assert monitor.check_and_update().findings == ()


@pytest.fixture(scope="module")
def own_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server with one workspace only, as `ljm local serve` is."""
    with running_server(tmp_path_factory.mktemp("own")) as running:
        yield running


def test_the_command_line_reaches_the_volume_of_the_workspace_that_it_is_told(
    own_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = own_site.home / "volumes/main/etl/files"
    disk.mkdir(parents=True)
    (disk / "one.yml").write_text(GOOD.format(module="one", path="/etl/a"))
    monkeypatch.setenv("DATABRICKS_TOKEN", own_site.server.token)
    where = ["-t", TABLE, "--home", str(tmp_path / "home"), "--workspace", own_site.server.url]
    assert run(["load", "/Volumes/main/etl/files", *where, "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == ["/Volumes/main/etl/files/one.yml"]
    assert run(["monitor", "/Volumes/main/etl/files", *where, "--max-iterations", "1"]) == 0
    assert "one: create done" in capsys.readouterr().out
    assert run(["load", "/Volumes/main/etl/none", *where]) == 1
    assert "/Volumes/main/etl/none doesn't exist" in capsys.readouterr().err
