"""The embedded workspace's files: the workspace tree, and volumes on disk."""

from __future__ import annotations

import base64
import io
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import BadRequest, NotFound, ResourceAlreadyExists
from databricks.sdk.service.workspace import ExportFormat, ImportFormat, Language, ObjectType

from tests.local_server import Site, running_server

TOKENS = (f"token{number}" for number in itertools.count())
IMPORT_FILE = "/api/2.0/workspace-files/import-file"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_server(tmp_path_factory.mktemp("home"), "--token-per-workspace") as site:
        yield site


@pytest.fixture
def token() -> str:
    return next(TOKENS)


@pytest.fixture
def client(site: Site, token: str) -> WorkspaceClient:
    return site.client(token)


def test_the_home_folder_is_there_from_the_start(client: WorkspaceClient) -> None:
    path = f"/Users/{client.current_user.me().user_name}"
    assert client.workspace.get_status(path).object_type == ObjectType.DIRECTORY


def test_notebooks_and_files_come_back_as_they_went_in(client: WorkspaceClient) -> None:
    client.workspace.mkdirs("/Shared/a/b")
    client.workspace.upload(
        "/Shared/a/n", io.BytesIO(b"print(1)"), language=Language.PYTHON, format=ImportFormat.SOURCE
    )
    client.workspace.upload("/Shared/a/raw.bin", io.BytesIO(b"\0\xff\n"), format=ImportFormat.RAW)
    status = client.workspace.get_status("/Workspace/Shared/a/n")
    assert (status.object_type, status.language, status.path) == (
        ObjectType.NOTEBOOK, Language.PYTHON, "/Workspace/Shared/a/n"
    )  # fmt: skip
    assert client.workspace.download("/Shared/a/raw.bin").read() == b"\0\xff\n"
    exported = client.workspace.export("/Shared/a/n", format=ExportFormat.SOURCE)
    assert base64.b64decode(str(exported.content)) == b"print(1)"
    assert [(each.path, each.object_type) for each in client.workspace.list("/Shared/a")] == [
        ("/Shared/a/b", ObjectType.DIRECTORY),
        ("/Shared/a/n", ObjectType.NOTEBOOK),
        ("/Shared/a/raw.bin", ObjectType.FILE),
    ]


def test_import_overwrites_only_when_asked(client: WorkspaceClient) -> None:
    content = base64.b64encode(b"SELECT 1").decode()
    client.workspace.import_("/Shared/q", content=content, format=ImportFormat.SOURCE, language=Language.SQL)
    first = client.workspace.get_status("/Shared/q").object_id
    with pytest.raises(ResourceAlreadyExists):
        client.workspace.import_("/Shared/q", content=content, format=ImportFormat.SOURCE, language=Language.SQL)
    changed = base64.b64encode(b"SELECT 2").decode()
    client.workspace.import_(
        "/Shared/q", content=changed, format=ImportFormat.SOURCE, language=Language.SQL, overwrite=True
    )
    assert client.workspace.download("/Shared/q").read() == b"SELECT 2"
    assert client.workspace.get_status("/Shared/q").object_id == first
    with pytest.raises(BadRequest, match="type mismatch"):
        client.workspace.import_("/Shared/q", content=changed, format=ImportFormat.RAW, overwrite=True)


def test_a_file_that_starts_like_a_notebook_is_one(site: Site, token: str, client: WorkspaceClient) -> None:
    body = b"# Databricks notebook source\nprint(1)"
    assert site.call("POST", f"{IMPORT_FILE}/Shared/nb.py?overwrite=false", body, token=token).status == 200
    assert client.workspace.get_status("/Shared/nb").object_type == ObjectType.NOTEBOOK
    assert site.call("POST", f"{IMPORT_FILE}/Shared/r.r", b"# Databricks notebook source\n", token=token).status == 200
    assert client.workspace.get_status("/Shared/r").language == Language.R
    assert site.call("POST", f"{IMPORT_FILE}/Shared/j.ipynb", b"{}", token=token).status == 200
    assert client.workspace.get_status("/Shared/j").object_type == ObjectType.NOTEBOOK
    assert site.call("POST", f"{IMPORT_FILE}/Shared/plain.py", b"print(1)", token=token).status == 200
    assert client.workspace.get_status("/Shared/plain.py").object_type == ObjectType.FILE
    assert site.call("GET", "/api/2.0/workspace-files/Shared/plain.py", token=token).body == b"print(1)"


def test_import_file_without_parent_is_404_and_twice_is_409(site: Site, token: str) -> None:
    path = f"{IMPORT_FILE}/Workspace/Shared/x/lock"
    assert site.call("POST", f"{path}?overwrite=false", b"1", token=token).status == 404
    site.call("POST", "/api/2.0/workspace/mkdirs", {"path": "/Shared/x"}, token=token)
    assert site.call("POST", f"{path}?overwrite=false", b"1", token=token).status == 200
    assert site.call("POST", f"{path}?overwrite=false", b"2", token=token).status == 409
    assert site.call("POST", f"{path}?overwrite=true", b"3", token=token).status == 200
    export = "/api/2.0/workspace/export?path=/Workspace/Shared/x/lock&direct_download=true"
    assert site.call("GET", export, token=token).body == b"3"


def test_of_many_who_take_a_lock_file_at_once_exactly_one_gets_it(site: Site, token: str) -> None:
    def take(number: int) -> int:
        return site.call("POST", f"{IMPORT_FILE}/Shared/lock?overwrite=false", b"%d" % number, token=token).status

    with ThreadPoolExecutor(16) as pool:
        statuses = sorted(pool.map(take, range(48)))
    assert statuses == [200] + [409] * 47


def test_deleting_a_folder_needs_recursive_and_takes_only_what_is_in_it(client: WorkspaceClient) -> None:
    client.workspace.mkdirs("/Shared/a/b")
    client.workspace.mkdirs("/Shared/ab")
    with pytest.raises(BadRequest, match="not empty"):
        client.workspace.delete("/Shared/a")
    client.workspace.delete("/Shared/a", recursive=True)
    assert [each.path for each in client.workspace.list("/Shared")] == ["/Shared/ab"]
    with pytest.raises(NotFound):
        client.workspace.get_status("/Shared/a/b")
    with pytest.raises(NotFound):
        client.workspace.delete("/Shared/a")


@pytest.mark.parametrize("path", ["relative", "/Shared/../etc", "/Shared/./x", ""])
def test_strange_workspace_paths_are_refused(site: Site, token: str, path: str) -> None:
    assert site.call("POST", "/api/2.0/workspace/mkdirs", {"path": path}, token=token).status == 400


def test_volumes_are_folders_on_disk(site: Site, client: WorkspaceClient) -> None:
    root = "/Volumes/main/etl/landing"
    client.files.create_directory(f"{root}/in")
    client.files.upload(f"{root}/in/a.yml", io.BytesIO(b"a: 1"), overwrite=False)
    disk = site.home / "volumes" / "main" / "etl" / "landing" / "in"
    assert (disk / "a.yml").read_bytes() == b"a: 1"
    (disk / "b.yml").write_bytes(b"from disk")
    content = client.files.download(f"{root}/in/b.yml").contents
    assert content is not None and content.read() == b"from disk"
    listed = [(each.path, each.file_size) for each in client.files.list_directory_contents(f"{root}/in")]
    assert listed == [(f"{root}/in/a.yml", 4), (f"{root}/in/b.yml", 9)]
    assert client.files.get_metadata(f"{root}/in/a.yml").content_length == 4
    client.files.get_directory_metadata(f"{root}/in")
    client.files.delete(f"{root}/in/a.yml")
    with pytest.raises(NotFound):
        client.files.get_metadata(f"{root}/in/a.yml")
    with pytest.raises(BadRequest, match="not empty"):
        client.files.delete_directory(f"{root}/in")


def test_a_volume_is_there_as_soon_as_it_is_written_to_but_folders_in_it_are_not(site: Site, token: str) -> None:
    files = "/api/2.0/fs/files/Volumes/main/etl/new"
    assert site.call("PUT", f"{files}/deep/a", b"1", token=token).status == 404
    assert site.call("PUT", f"{files}/a", b"1", token=token).status == 204
    assert site.call("PUT", f"{files}/a?overwrite=false", b"2", token=token).status == 409
    assert site.call("GET", f"{files}/a", token=token).body == b"1"


def test_of_many_who_upload_without_overwriting_exactly_one_succeeds(site: Site, token: str) -> None:
    def put(number: int) -> int:
        path = "/api/2.0/fs/files/Volumes/main/etl/race/a?overwrite=false"
        return site.call("PUT", path, b"%d" % number, token=token).status

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(put, range(24))) == [204] + [409] * 23


def test_an_unchanged_file_is_not_sent_again(site: Site, token: str) -> None:
    path = "/api/2.0/fs/files/Volumes/main/etl/cached/a"
    site.call("PUT", path, b"1", token=token)
    first = site.call("GET", path, token=token)
    again = site.call("GET", path, token=token, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    since = {"If-Modified-Since": first.headers["last-modified"]}
    assert site.call("GET", path, token=token, headers=since).status == 304
    assert site.call("GET", path, token=token, headers={"If-Modified-Since": formatdate(0)}).status == 200
    unless_since = {"If-Unmodified-Since": first.headers["last-modified"]}
    assert site.call("GET", path, token=token, headers=unless_since).status == 200
    assert site.call("GET", path, token=token, headers={"If-Unmodified-Since": formatdate(0)}).status == 412
    site.call("PUT", path, b"22", token=token)
    assert site.call("GET", path, token=token, headers={"If-None-Match": first.headers["etag"]}).body == b"22"


@pytest.mark.parametrize(
    "path",
    [
        "Volumes/a/b/c/../../../../token", "Volumes/../local/token", "Volumes/a/b/c/%2e%2e/x", "Volumes/a/b",
        "Volumes/a/b/c", "etc/passwd", "Volumes/a/b/c/%00", "Volumes/a/b/c/" + "x" * 300,
        "Volumes/a/b/c/..%2f..%2f..%2f..%2flocal%2ftoken",
    ],
)  # fmt: skip
def test_no_path_leaves_the_volumes(site: Site, token: str, path: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        assert site.call(method, f"/api/2.0/fs/files/{path}", b"x", token=token).status == 400


def test_no_link_leaves_the_volumes(site: Site, token: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    volume = site.home / "volumes" / "main" / "etl" / "linked"
    volume.mkdir(parents=True, exist_ok=True)
    (volume / "out").symlink_to(tmp_path)
    (volume / "file").symlink_to(tmp_path / "secret")
    for name in ("out/secret", "file"):
        path = f"/api/2.0/fs/files/Volumes/main/etl/linked/{name}"
        assert site.call("GET", path, token=token).status == 400
        assert site.call("PUT", path, b"x", token=token).status == 400
    assert (tmp_path / "secret").read_text() == "secret"


def test_a_long_directory_comes_in_pages(site: Site, token: str) -> None:
    folder = site.home / "volumes" / "main" / "etl" / "many"
    folder.mkdir(parents=True)
    for number in range(5):
        (folder / f"{number}.txt").touch()
    names, next_page = [], ""
    while not names or next_page:
        path = f"/api/2.0/fs/directories/Volumes/main/etl/many?page_size=2&page_token={next_page}"
        page = site.call("GET", path, token=token).data
        names += [each["name"] for each in page["contents"]]
        next_page = page.get("next_page_token", "")
    assert names == [f"{number}.txt" for number in range(5)]
