"""The engine's Queries port over the SQL Queries API: saved queries in one folder of our own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from lakeflow_job_meta.errors import NotFound, WorkspaceError
from lakeflow_job_meta.model.job import SavedQuery
from lakeflow_job_meta.workspace.api import Api

ROOT = "/Workspace/Shared/lakeflow_job_meta"
PATH = "/api/2.0/sql/queries"
TRASHED = "TRASHED"
EXISTS = ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS", "RESOURCE_CONFLICT")


class ApiQueries:
    """Saved queries below `/Workspace/Shared/lakeflow_job_meta/{folder}`; the folder is made before the first one."""

    def __init__(self, api: Api, folder: str) -> None:
        self._api = api
        self._folder = f"{ROOT}/{folder}"

    def existing(self) -> dict[str, tuple[str, str]]:
        """All saved queries that aren't in the trash: id to text and warehouse id."""
        return {
            str(query["id"]): (str(query.get("query_text", "")), str(query.get("warehouse_id", "")))
            for query in self._list()
        }

    def find(self, queries: Mapping[str, str]) -> dict[str, str]:
        """Those of these queries (name to source_id) that are in our folder: name to id."""
        if not queries:
            return {}
        names = {display_name(name, source): name for name, source in queries.items()}
        own = (query for query in self._own() if query["display_name"] in names)
        return {names[query["display_name"]]: str(query["id"]) for query in own}

    def create(self, query: SavedQuery) -> str:
        """Make it, or take over the one at its path: a crash may have come between making and recording it."""
        body = {"query": {**_body(query), "parent_path": self._folder}, "auto_resolve_display_name": False}
        try:
            return self._create(body)
        except WorkspaceError as error:
            if error.error_code not in EXISTS:
                raise
        if query_id := self.find({query.name: query.source_id}).get(query.name):
            self.update(query_id, query)
            return query_id
        name = display_name(query.name, query.source_id)
        raise WorkspaceError(
            f"something that is no saved query stands at {self._folder}/{name}", hint="move it away, then apply again"
        )

    def _create(self, body: dict[str, Any]) -> str:
        try:
            return str(self._api.send("POST", PATH, body, safe=False)["id"])
        except NotFound:
            # The folder is made only when it is missed: that spares a request for every run after the first.
            self._api.send("POST", "/api/2.0/workspace/mkdirs", {"path": self._folder}, safe=True)
            return str(self._api.send("POST", PATH, body, safe=False)["id"])

    def update(self, query_id: str, query: SavedQuery) -> None:
        """Write text, name and warehouse anew.

        Raises:
            NotFound: it is gone or in the trash.
        """
        body = {"query": _body(query), "update_mask": "display_name,query_text,warehouse_id,description"}
        try:
            answer = self._api.send("PATCH", f"{PATH}/{query_id}", body, safe=True)
        except WorkspaceError as error:
            if error.status != 400:
                raise
            # A trashed query refuses to be updated; whether that is the reason, only the query itself tells.
            answer = self._api.get(f"{PATH}/{query_id}")
            if answer.get("lifecycle_state") != TRASHED:
                raise
        if answer.get("lifecycle_state") == TRASHED:
            raise NotFound(f"saved query {query_id} is in the trash", status=404)

    def delete(self, query_id: str) -> None:
        """Put it into the trash; one that is gone already is no error."""
        try:
            self._api.send("DELETE", f"{PATH}/{query_id}", {}, safe=True)
        except NotFound:
            return

    def _own(self) -> Iterator[dict[str, Any]]:
        return (found for found in self._list() if _same_path(str(found.get("parent_path", "")), self._folder))

    def _list(self) -> Iterator[dict[str, Any]]:
        query: dict[str, Any] = {"page_size": 100}
        while True:
            page = self._api.get(PATH, query)
            yield from (found for found in page.get("results", ()) if found.get("lifecycle_state") != TRASHED)
            if not page.get("next_page_token"):
                return
            query = {**query, "page_token": page["next_page_token"]}


def display_name(query: str, source_id: str) -> str:
    """The query's name as a file of the workspace: no slashes; where one was replaced, a hash keeps names apart.

    >>> display_name("sales.totals", "totals")
    'sales.totals'
    """
    name = re.sub(r"[/\\\\:]", "_", query)
    ambiguous = name != query or query.count(".") > 1
    digest = hashlib.sha256(f"{query}/{source_id}".encode()).hexdigest()[:8]
    return f"{name}~{digest}" if ambiguous else name


def _body(query: SavedQuery) -> dict[str, Any]:
    return {
        "display_name": display_name(query.name, query.source_id),
        "query_text": query.text,
        "warehouse_id": query.warehouse_id,
        "description": f"Kept by lakeflow_job_meta for source {query.source_id}; edits here are overwritten.",
    }


def _same_path(found: str, wanted: str) -> bool:
    return found.removeprefix("/Workspace") == wanted.removeprefix("/Workspace")
