"""The Files API: `/Volumes/catalog/schema/volume/…` are folders and files under `<home>/volumes`."""

from __future__ import annotations

import contextlib
import os
import tempfile
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from typing import Any

from lakeflow_job_meta.local.call import Answer, Call, Refusal, Route, invalid, reply
from lakeflow_job_meta.local.paging import decode_token, encode_token

BINARY = "application/octet-stream"
DEPTH = 3  # catalog, schema, volume


def put_file(call: Call) -> Answer:
    """Write a file, whole or not at all."""
    target = _target(call)
    relative = target.relative_to(call.options.home / "volumes")
    if len(relative.parts) == DEPTH + 1:
        # A volume isn't created by this API; the embedded one is there as soon as somebody uses it.
        target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        raise Refusal(409, "ALREADY_EXISTS", "The target path is a directory.")
    if not target.parent.is_dir():
        raise Refusal(404, "NOT_FOUND", "The parent directory of the target path does not exist.")
    _write(call, target, overwrite=call.query.get("overwrite", "true") == "true")
    return Answer(b"", 204)


def get_file(call: Call) -> Answer:
    """A file's bytes; 304 if the caller has them already, 412 if it wants only what hasn't changed since."""
    target = _existing_file(call)
    headers = _file_headers(target)
    if _changed_since(call, headers):
        raise Refusal(412, "PRECONDITION_FAILED", "The file has been modified since the given time.")
    if _unchanged(call, headers):
        return Answer(b"", 304, headers=headers)
    return Answer(target.read_bytes(), content_type=BINARY, headers=headers)


def head_file(call: Call) -> Answer:
    """A file's size, date and tag."""
    target = _existing_file(call)
    size = {"Content-Length": str(target.stat().st_size)}
    return Answer(b"", content_type=BINARY, headers=_file_headers(target) | size)


def delete_file(call: Call) -> Answer:
    """Delete a file."""
    _existing_file(call).unlink()
    return Answer(b"", 204)


def put_directory(call: Call) -> Answer:
    """Make a folder and those above it."""
    target = _target(call, inside=0)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise Refusal(409, "ALREADY_EXISTS", "A file of that name exists already.") from None
    return Answer(b"", 204)


def head_directory(call: Call) -> Answer:
    """Whether a folder exists."""
    _existing_directory(call)
    return Answer(b"")


def list_directory(call: Call) -> Answer:
    """A page of what a folder holds, by name."""
    target, size = _existing_directory(call), call.number("page_size", 1000, 1, 1000)
    start = int(decode_token(call.query["page_token"])) if call.query.get("page_token") else 0
    entries = sorted(target.iterdir())
    base = "/" + call.parts["path"].strip("/")
    contents: list[dict[str, Any]] = []
    for entry in entries[start : start + size]:
        with contextlib.suppress(FileNotFoundError):
            contents.append(_entry(entry, base))
    result: dict[str, Any] = {"contents": contents} if contents else {}
    if len(entries) > start + size:
        result["next_page_token"] = encode_token(str(start + size))
    return reply(result)


def delete_directory(call: Call) -> Answer:
    """Delete an empty folder."""
    target = _existing_directory(call)
    try:
        target.rmdir()
    except OSError:
        raise Refusal(400, "DIRECTORY_NOT_EMPTY", "The directory is not empty.") from None
    return Answer(b"", 204)


def _write(call: Call, target: Path, *, overwrite: bool) -> None:
    """Whole or not at all: readers and watchers never see half a file."""
    # The temporary file lies outside the volume, where nobody lists or watches it.
    folder = call.options.home / "local" / "uploads"
    folder.mkdir(exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(call.body)
        Path(name).chmod(0o644)
        if overwrite:
            Path(name).replace(target)
        else:
            os.link(name, target)
    except FileExistsError:
        raise Refusal(409, "ALREADY_EXISTS", "The file being created already exists.") from None
    finally:
        Path(name).unlink(missing_ok=True)


def _entry(path: Path, base: str) -> dict[str, Any]:
    status, directory = path.stat(), path.is_dir()
    shown: dict[str, Any] = {
        "path": f"{base}/{path.name}{'/' if directory else ''}", "name": path.name, "is_directory": directory,
        "last_modified": int(status.st_mtime * 1000),
    }  # fmt: skip
    return shown if directory else shown | {"file_size": status.st_size}


def _file_headers(path: Path) -> dict[str, str]:
    status = path.stat()
    tag = f'"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"'
    return {"ETag": tag, "Last-Modified": formatdate(status.st_mtime, usegmt=True)}


def _unchanged(call: Call, headers: dict[str, str]) -> bool:
    if (tags := call.headers.get("if-none-match")) is not None:
        return headers["ETag"] in (tag.strip() for tag in tags.split(","))
    if (since := call.headers.get("if-modified-since")) is not None:
        with contextlib.suppress(ValueError):
            return _seconds(headers["Last-Modified"]) <= _seconds(since)
    return False


def _changed_since(call: Call, headers: dict[str, str]) -> bool:
    with contextlib.suppress(KeyError, ValueError):
        return _seconds(headers["Last-Modified"]) > _seconds(call.headers["if-unmodified-since"])
    return False


def _seconds(date: str) -> float:
    # Of two ways to write the same zone, one gives a naive date: only as seconds can they be compared.
    return parsedate_to_datetime(date).timestamp()


def _existing_file(call: Call) -> Path:
    target = _target(call)
    if not target.is_file():
        raise Refusal(404, "NOT_FOUND", "The file being accessed is not found.")
    return target


def _existing_directory(call: Call) -> Path:
    target = _target(call, inside=0)
    if not target.is_dir():
        raise Refusal(404, "NOT_FOUND", "The directory being accessed is not found.")
    return target


def _target(call: Call, *, inside: int = 1) -> Path:
    """Where on disk a path of the API lies; `inside` is how many names below the volume it must have.

    Raises:
        Refusal: 400, for a path outside /Volumes or one that leaves it, by `..` or by a link.
    """
    parts = [part for part in call.parts["path"].split("/") if part]
    if parts[:1] != ["Volumes"] or len(parts) < 1 + DEPTH + inside:
        invalid("Invalid path: expected /Volumes/catalog/schema/volume/…")
    if any(part in (".", "..") or "\0" in part or len(part.encode()) > 255 for part in parts):
        invalid("Invalid path: '.', '..' and names over 255 bytes are not allowed.")
    root = call.options.home / "volumes"
    target = root.joinpath(*parts[1:])
    if not target.resolve().is_relative_to(root.resolve()):
        invalid("Invalid path: it leads out of the volume.")
    return target


FILES, DIRECTORIES = "/api/2.0/fs/files/{path...}", "/api/2.0/fs/directories/{path...}"
ROUTES = (
    Route("PUT", FILES, put_file),
    Route("GET", FILES, get_file),
    Route("HEAD", FILES, head_file),
    Route("DELETE", FILES, delete_file),
    Route("PUT", DIRECTORIES, put_directory),
    Route("GET", DIRECTORIES, list_directory),
    Route("HEAD", DIRECTORIES, head_directory),
    Route("DELETE", DIRECTORIES, delete_directory),
)
