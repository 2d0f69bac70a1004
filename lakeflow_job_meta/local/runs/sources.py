"""What stands behind names in a task: a saved query, a file of the workspace, the job's environment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lakeflow_job_meta.local.call import Refusal, missing
from lakeflow_job_meta.local.state import State
from lakeflow_job_meta.local.tree import key_of


def with_text(state: State, workspace: int, task: dict[str, Any]) -> dict[str, Any]:
    """A SQL task with the text of its query (as `query.query_text`) or of its file (as `file.content`); others as is.

    Raises:
        Refusal: there is no such query or file.
    """
    sql = task.get("sql_task", {})
    if query := sql.get("query"):
        query = {**query, **_query(state, workspace, str(query["query_id"]))}
        return {**task, "sql_task": {**sql, "query": query}}
    if file := sql.get("file"):
        return {**task, "sql_task": {**sql, "file": {**file, "content": _file(state, workspace, file)}}}
    return task


def with_environment(task: dict[str, Any], environments: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The task with what its environment installs among its libraries: wheels by their path, all else by name.

    >>> with_environment({"environment_key": "e"}, [{"environment_key": "e", "spec": {"dependencies": ["rich"]}}])
    {'environment_key': 'e', 'libraries': [{'pypi': {'package': 'rich'}}]}
    """
    named = [each for each in environments if each.get("environment_key") == task.get("environment_key")]
    dependencies: list[str] = [one for each in named for one in each.get("spec", {}).get("dependencies") or ()]
    if not dependencies:
        return task
    added = [{"whl": each} if each.endswith(".whl") else {"pypi": {"package": each}} for each in dependencies]
    return {**task, "libraries": [*task.get("libraries", ()), *added]}


def _query(state: State, workspace: int, query_id: str) -> dict[str, Any]:
    sql = "SELECT body FROM queries WHERE workspace = ? AND id = ? AND NOT trashed"
    row = state.one(sql, workspace, query_id)
    if row is None:
        missing(f"Query {query_id} does not exist.")
    body = json.loads(row["body"])
    defaults = {str(each["name"]): _default(each) for each in body.get("parameters", ())}
    return {"query_text": body.get("query_text", ""), "defaults": defaults}


def _default(parameter: dict[str, Any]) -> str | float:
    """A saved query's own value of a parameter; each kind of value has a field of its own."""
    if (number := parameter.get("numeric_value", {}).get("value")) is not None:
        return int(number) if float(number).is_integer() else float(number)
    if chosen := parameter.get("enum_value", {}).get("values"):
        return str(chosen[0])
    held: dict[str, Any] = parameter.get("text_value") or parameter.get("date_value") or {}
    return str(held.get("value") or held.get("date_value") or "")


def _file(state: State, workspace: int, file: dict[str, Any]) -> str:
    path = str(file["path"])
    if file.get("source") == "GIT":
        raise Refusal(
            400, "FEATURE_DISABLED", f"{path}: files of a Git repository aren't read by the embedded workspace."
        )
    row = state.one("SELECT content FROM nodes WHERE workspace = ? AND path = ?", workspace, key_of(path))
    if row is None:
        missing(f"Path ({path}) doesn't exist.")
    try:
        return bytes(row["content"]).decode()
    except UnicodeDecodeError:
        raise Refusal(400, "INVALID_PARAMETER_VALUE", f"{path} isn't UTF-8 text.") from None
