"""A volume's path means the mounted one only where volumes are mounted."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakeflow_job_meta.errors import InputError
from lakeflow_job_meta.ingest.volume import volume_folder
from lakeflow_job_meta.settings import RUNTIME

PATH = "/Volumes/main/etl/files/sub"


def test_a_volume_lies_below_the_home_folder_even_where_disks_are_mounted_beside(tmp_path: Path) -> None:
    mounts = tmp_path / "Volumes"
    (mounts / "Macintosh HD").mkdir(parents=True)
    assert volume_folder(PATH, tmp_path / "home", mounts) == tmp_path / "home/volumes/main/etl/files/sub"


def test_a_mounted_volume_is_itself_also_before_its_folder_is_there(tmp_path: Path) -> None:
    (tmp_path / "Volumes/main/etl").mkdir(parents=True)
    assert volume_folder(PATH, tmp_path / "home", tmp_path / "Volumes") == tmp_path / "Volumes/main/etl/files/sub"


def test_inside_of_databricks_a_volume_is_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUNTIME, "16.4")
    assert volume_folder(PATH, tmp_path) == Path(PATH)


def test_any_other_path_is_itself(tmp_path: Path) -> None:
    assert volume_folder("metadata/modules", tmp_path) == Path("metadata/modules")


@pytest.mark.parametrize("path", ["/Volumes/main/etl", "/Volumes/a/b/c/../../d", "/Volumes/a b/c/d"])
def test_what_is_no_volume_s_path_is_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no volume's path"):
        volume_folder(path, tmp_path)
