"""The workspace API: folders, files and notebooks. Answers name a path the way the caller wrote it."""

from __future__ import annotations

import base64
import binascii
import sqlite3
from email.parser import BytesParser
from pathlib import PurePosixPath
from typing import Any, NoReturn

from lakeflow_job_meta.local import queries, tree
from lakeflow_job_meta.local.call import Answer, Call, Refusal, Route, invalid, malformed, reply, text_field
from lakeflow_job_meta.local.tree import COLUMNS, FOLDER, MOUNT

LANGUAGES = {".py": "PYTHON", ".sql": "SQL", ".scala": "SCALA", ".r": "R"}
SUFFIXES = {language: suffix for suffix, language in LANGUAGES.items()}
HEADERS = {".py": b"#", ".sql": b"--", ".scala": b"//", ".r": b"#"}
HEADER = b" Databricks notebook source"
JUPYTER = ".ipynb"
IMPORT_FORMATS = ("AUTO", "SOURCE", "RAW", "JUPYTER")
RAW = "application/octet-stream"


def mkdirs(call: Call) -> Answer:
    """Make a folder and those above it."""
    with call.state.transaction():
        tree.make_folders(call, tree.key_of(text_field(call.json(), "path")))
    return reply({})


def import_(call: Call) -> Answer:
    """Write a file or notebook from base64 or a form."""
    body, content = _import_request(call)
    path, kind = text_field(body, "path"), text_field(body, "format", required=False) or "SOURCE"
    if kind not in IMPORT_FORMATS:
        invalid(f"The embedded workspace imports the formats {', '.join(IMPORT_FORMATS)}; got {kind}.")
    language = text_field(body, "language", required=False)
    if kind == "SOURCE" and not language:
        invalid("Missing required field: language (format SOURCE needs it)")
    nodes = {"SOURCE": (path, "NOTEBOOK", language), "JUPYTER": (path, "NOTEBOOK", language or "PYTHON")}
    node = _detected(path, content) if kind == "AUTO" else nodes.get(kind, (path, "FILE", ""))
    _write(call, node, content, overwrite=body.get("overwrite") in (True, "true"), status=400)
    return reply({})


def import_file(call: Call) -> Answer:
    """Write a file from the raw body; without overwrite exactly one of many callers succeeds."""
    path = "/" + call.parts["path"].lstrip("/")
    _write(call, _detected(path, call.body), call.body, overwrite=call.flag("overwrite"), status=409)
    return reply({})


def export(call: Call) -> Answer:
    """Content in base64, or raw with `direct_download`."""
    path = _asked(call)
    node = tree.require(call, path)
    if node["object_type"] == FOLDER:
        invalid(f"The embedded workspace exports files and notebooks, not folders ({path}).")
    if call.flag("direct_download"):
        return Answer(node["content"], content_type=RAW)
    suffix = SUFFIXES.get(node["language"], PurePosixPath(path).suffix).lstrip(".")
    return reply({"content": base64.b64encode(node["content"]).decode(), "file_type": suffix})


def read_file(call: Call) -> Answer:
    """Content, raw."""
    return Answer(tree.require(call, "/" + call.parts["path"].lstrip("/"))["content"], content_type=RAW)


def get_status(call: Call) -> Answer:
    """What lies at a path."""
    path = _asked(call)
    return reply(_shown(tree.require(call, path), path))


def list_(call: Call) -> Answer:
    """What a folder holds, by path."""
    path = _asked(call)
    node = tree.require(call, path)
    if node["object_type"] != FOLDER:
        return reply({"objects": [_shown(node, path)]})
    base = "/" + "/".join(part for part in path.split("/") if part)
    rows = call.state.all(
        f"SELECT {COLUMNS} FROM nodes WHERE workspace = ? AND parent = ? AND path != '/' ORDER BY path",  # noqa: S608
        call.caller.workspace_id,
        node["path"],
    )
    objects = [_shown(row, f"{base.rstrip('/')}/{PurePosixPath(row['path']).name}") for row in rows]
    return reply({"objects": objects} if objects else {})


def delete(call: Call) -> Answer:
    """Delete a file, or a folder with all in it."""
    body = call.json()
    path, recursive = text_field(body, "path"), body.get("recursive") is True
    key, workspace = tree.key_of(path), call.caller.workspace_id
    if key == "/":
        invalid("The root folder can't be deleted.")
    if tree.find(call, key) is None and recursive:
        # Clients clear a folder this way before they first fill it and take its absence for success.
        return reply({})
    tree.require(call, path)
    with call.state.transaction():
        below = "workspace = ? AND (path = ? OR substr(path, 1, ?) = ?)"
        count = call.state.run(f"DELETE FROM nodes WHERE {below}", workspace, key, len(key) + 1, f"{key}/")  # noqa: S608
        if count > 1 and not recursive:
            raise Refusal(400, "DIRECTORY_NOT_EMPTY", f"Folder ({path}) is not empty")
        queries.trash_below(call, key)
    return reply({})


def _import_request(call: Call) -> tuple[dict[str, Any], bytes]:
    """The fields and the content of an import, from JSON or from a form (the SDK's `upload` sends one)."""
    content_type = call.headers.get("content-type", "")
    if content_type.startswith("multipart/form-data"):
        message = BytesParser().parsebytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + call.body)
        fields: dict[str, Any] = {}
        for part in message.walk():
            name = part.get_param("name", header="content-disposition")
            if isinstance(name, str):
                fields[name] = part.get_payload(decode=True)
        content = fields.pop("content", b"")
        return {name: value.decode() for name, value in fields.items()}, content
    body = call.json()
    try:
        return body, base64.b64decode(text_field(body, "content", required=False), validate=True)
    except (binascii.Error, ValueError):
        malformed("content: expected base64 text")


def _detected(path: str, content: bytes) -> tuple[str, str, str]:
    """What a file is: by its first line or extension a notebook, which loses the extension, as in the real service."""
    suffix = PurePosixPath(path).suffix
    if suffix.lower() == JUPYTER:
        return path.removesuffix(suffix), "NOTEBOOK", "PYTHON"
    comment = HEADERS.get(suffix.lower())
    if comment is not None and content.partition(b"\n")[0].rstrip() == comment + HEADER:
        return path.removesuffix(suffix), "NOTEBOOK", LANGUAGES[suffix.lower()]
    return path, "FILE", ""


def _write(call: Call, node: tuple[str, str, str], content: bytes, *, overwrite: bool, status: int) -> None:
    path, object_type, language = node
    key = tree.key_of(path)
    tree.require_folder(call, f"{MOUNT}{PurePosixPath(key).parent}")
    old = tree.find(call, key)
    if old is not None and overwrite and old["object_type"] == object_type:
        call.state.run(
            "UPDATE nodes SET content = ?, language = ?, modified_at = ? WHERE workspace = ? AND path = ?",
            content, language, call.now_ms, call.caller.workspace_id, key,
        )  # fmt: skip
        return
    if old is not None and overwrite:
        found = old["object_type"]
        invalid(f"Cannot overwrite the asset at {path} due to type mismatch (asked: {object_type}, actual: {found})")
    if old is not None:
        _exists(path, status)
    try:
        tree.insert(call, key, object_type, language=language, content=content)
    except sqlite3.IntegrityError:
        _exists(path, status)


def _exists(path: str, status: int) -> NoReturn:
    raise Refusal(status, "RESOURCE_ALREADY_EXISTS", f"Path ({path}) already exists.")


def _asked(call: Call) -> str:
    if not call.query.get("path"):
        invalid("Missing required field: path")
    return call.query["path"]


def _shown(node: dict[str, Any], path: str) -> dict[str, Any]:
    shown = {
        "object_type": node["object_type"], "path": path.rstrip("/") or "/", "object_id": node["object_id"],
        "resource_id": str(node["object_id"]),
    }  # fmt: skip
    if node["object_type"] != FOLDER:
        shown |= {"created_at": node["created_at"], "modified_at": node["modified_at"]}
    if node["object_type"] == "FILE":
        shown["size"] = node["size"]
    if node["language"]:
        shown["language"] = node["language"]
    return shown


ROUTES = (
    Route("POST", "/api/2.0/workspace/mkdirs", mkdirs),
    Route("POST", "/api/2.0/workspace/import", import_),
    Route("GET", "/api/2.0/workspace/export", export),
    Route("GET", "/api/2.0/workspace/get-status", get_status),
    Route("GET", "/api/2.0/workspace/list", list_),
    Route("POST", "/api/2.0/workspace/delete", delete),
    Route("POST", "/api/2.0/workspace-files/import-file/{path...}", import_file),
    Route("GET", "/api/2.0/workspace-files/{path...}", read_file),
)
