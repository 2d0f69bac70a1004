"""Which place a volume's path means, and that no listing, however strange, leads out of it or runs for ever."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.config import Config

from lakeflow_job_meta.errors import InputError, WorkspaceError
from lakeflow_job_meta.ingest.find import Found
from lakeflow_job_meta.ingest.volume import FolderPlace, Place, VolumePlace, find_at, place_of_files
from lakeflow_job_meta.settings import RUNTIME, Settings
from lakeflow_job_meta.workspace.connect import connect

PATH = "/Volumes/main/etl/files/sub"
Page = dict[str, Any]


def place(path: str, home: Path, workspace: str = "local", mounts: Path = Path("/Volumes")) -> Place:
    return place_of_files(path, connect(Settings("main.etl.control", home, workspace=workspace)), mounts)


def test_a_volume_of_the_embedded_workspace_lies_below_the_home_folder_even_where_disks_are_mounted_beside(
    tmp_path: Path,
) -> None:
    mounts = tmp_path / "Volumes"
    (mounts / "Macintosh HD").mkdir(parents=True)
    assert place(PATH, tmp_path, mounts=mounts) == FolderPlace(tmp_path / "volumes/main/etl/files/sub", PATH)


@pytest.mark.parametrize("workspace", ["local", "https://example.com"])
def test_a_mounted_volume_is_itself_also_before_its_folder_is_there(tmp_path: Path, workspace: str) -> None:
    (tmp_path / "Volumes/main/etl").mkdir(parents=True)
    found = place(PATH, tmp_path / "home", workspace, tmp_path / "Volumes")
    assert found == FolderPlace(tmp_path / "Volumes/main/etl/files/sub", PATH)


def test_inside_of_databricks_a_volume_is_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUNTIME, "16.4")
    assert place(PATH, tmp_path, "databricks") == FolderPlace(Path(PATH), PATH)


def test_a_volume_of_another_workspace_is_reached_through_its_api(tmp_path: Path) -> None:
    found = place(f"{PATH}//deep/", tmp_path, "https://example.com")
    assert isinstance(found, VolumePlace)
    assert (found.path, found.polled, found.folder) == (f"{PATH}/deep", True, None)


def test_any_other_path_is_itself_and_only_volumes_are_polled(tmp_path: Path) -> None:
    found = place("metadata/modules", tmp_path)
    assert found == FolderPlace(Path("metadata/modules"))
    assert (found.polled, place(PATH, tmp_path).polled) == (False, True)


@pytest.mark.parametrize("path", ["/Volumes/main/etl", "/Volumes/a/b/c/../../d", "/Volumes/a b/c/d"])
def test_what_is_no_volume_s_path_is_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no volume's path"):
        place(path, tmp_path)


class Service(ThreadingHTTPServer):
    """A workspace that answers listings as it pleases, and every file with the same content."""

    listing: Callable[[str, str], Page]
    asked: list[str]


class Handler(BaseHTTPRequestHandler):
    server: Service
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if address.path.startswith("/api/"):
            self.server.asked.append(address.path)
        token = parse_qs(address.query).get("page_token", [""])[0]
        files = address.path.startswith("/api/2.0/fs/files")
        body = b"modules: []" if files else json.dumps(self.server.listing(address.path, token)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the base class gives it
        pass


@contextmanager
def serving(listing: Callable[[str, str], Page]) -> Iterator[Service]:
    with Service(("127.0.0.1", 0), Handler) as service:
        service.listing, service.asked = listing, []
        thread = threading.Thread(target=service.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield service
        finally:
            service.shutdown()
            thread.join()


def look(service: Service, home: Path) -> Found:
    host = f"http://127.0.0.1:{service.server_port}"
    client = WorkspaceClient(config=Config(host=host, token="t", auth_type="pat", config_file=os.devnull))
    return find_at(PATH, connect(Settings("main.etl.control", home), client))


def file(name: str, path: str = "", size: int = 11, *, folder: bool = False) -> Page:
    where = path or f"{PATH}/{name}"
    return {"name": name, "path": where, "is_directory": folder, "file_size": size, "last_modified": 1_700_000_000_000}


@pytest.mark.parametrize(
    "entry",
    [
        file("../x.yml"), file(".."), file("..", folder=True), file("sub/x.yml"), file("", PATH),
        file("x.yml", "/Volumes/main/etl/other/x.yml"), file("x.yml", "../x.yml"), file("/etc/x.yml", "/etc/x.yml"),
        file("x\0.yml"), file("\udcff.yml"), {"name": "x.yml"},
    ],
)  # fmt: skip
def test_an_entry_that_does_not_lie_in_the_folder_is_refused_and_the_others_are_read(
    entry: Page, tmp_path: Path
) -> None:
    with serving(lambda path, token: {"contents": [entry, file("good.yml")]}) as service:
        found = look(service, tmp_path / "home")
    assert [each.relative for each in found.files] == ["good.yml"]
    assert len(found.findings) == 1
    assert [each for each in service.asked if "/fs/files/" in each] == [f"/api/2.0/fs/files{PATH}/good.yml"]
    assert {each.parent for each in tmp_path.rglob("*.yml")} == {found.files[0].path.parent}


def test_only_yaml_that_is_not_hidden_is_downloaded_and_nothing_too_large(tmp_path: Path) -> None:
    entries = [file(".hidden.yml"), file("data.csv"), file(".git", folder=True), file("huge.yml", size=2**40)]
    with serving(lambda path, token: {"contents": entries}) as service:
        found = look(service, tmp_path)
    assert service.asked == [f"/api/2.0/fs/directories{PATH}"]
    assert [str(each) for each in found.findings] == [
        f"{PATH}/huge.yml:1:1: error: larger than 16 MiB (split the file)"
    ]


def test_a_folder_that_holds_more_than_metadata_would_is_refused(tmp_path: Path) -> None:
    page = {"contents": [file(f"{number}.csv") for number in range(1000)], "next_page_token": "more"}
    with serving(lambda path, token: page) as service, pytest.raises(InputError, match="more than 20000 files"):
        look(service, tmp_path)
    large = {"contents": [file(f"{number}.yml", size=2**24) for number in range(17)]}
    with serving(lambda path, token: large) as service, pytest.raises(InputError, match="more than 256 MiB"):
        look(service, tmp_path)


def test_folders_in_folders_without_end_are_refused(tmp_path: Path) -> None:
    def deeper(path: str, token: str) -> Page:
        return {"contents": [file("d", f"{path.removeprefix('/api/2.0/fs/directories')}/d", folder=True)]}

    with serving(deeper) as service, pytest.raises(InputError, match="32 folders deep"):
        look(service, tmp_path)


def test_a_listing_of_empty_pages_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakeflow_job_meta.workspace.files.MAX_PAGES", 5)
    with serving(lambda path, token: {"next_page_token": f"{token}x"}) as service:
        with pytest.raises(WorkspaceError, match="doesn't end"):
            look(service, tmp_path)
        assert len(service.asked) == 5


def test_a_changed_name_of_the_volume_in_another_case_is_the_same(tmp_path: Path) -> None:
    with serving(lambda path, token: {"contents": [file("a.yml", f"{PATH.lower()}/a.yml")]}) as service:
        assert [each.relative for each in look(service, tmp_path).files] == ["a.yml"]


def test_a_damaged_index_costs_a_download_and_nothing_else(tmp_path: Path) -> None:
    with serving(lambda path, token: {"contents": [file("a.yml")]}) as service:
        before = look(service, tmp_path)
        for index in tmp_path.rglob("index.json"):
            index.write_text("[")
        assert look(service, tmp_path).digest() == before.digest()
