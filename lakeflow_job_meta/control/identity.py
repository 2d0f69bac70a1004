"""Whether the control table is the one it was: a copy, or another workspace, is never taken for the original."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from uuid import uuid4

from lakeflow_job_meta.control.tables import NAME_PROPERTY, OWNER_PROPERTY
from lakeflow_job_meta.engine.identity import Identity
from lakeflow_job_meta.errors import ConflictError
from lakeflow_job_meta.model.job import RecordedJob, mapping
from lakeflow_job_meta.model.table import TableInfo
from lakeflow_job_meta.store import table_statements
from lakeflow_job_meta.store.base import Store

HINT = "`ljm identity new` makes it a control table of its own, `ljm identity keep` says that it is the original"


def check_identity(info: TableInfo) -> None:
    """Refuse a table that carries another table's name.

    Raises:
        ConflictError: it was copied or renamed.
    """
    original = info.properties.get(NAME_PROPERTY, str(info.name))
    if original != str(info.name):
        raise ConflictError(f"{info.name} is a copy of {original}, or was renamed: whose jobs are meant?", hint=HINT)


def check_owner(recorded: Iterable[RecordedJob], owner: str, table: str) -> None:
    """Refuse a state that another owner wrote.

    Raises:
        ConflictError: the control table was dropped and made again, and its siblings stayed.
    """
    for row in recorded:
        identity = Identity.read(mapping(row.settings.get("tags")))
        if identity is not None and identity.owner != owner:
            raise ConflictError(
                f"{table} was made again: its jobs were made under the owner {identity.owner}, now it is {owner}",
                hint=f"take them back: ALTER TABLE {table} SET TBLPROPERTIES ('{OWNER_PROPERTY}' = '{identity.owner}');"
                " or let go of them: `ljm identity new`",
            )


def check_workspace(workspace_id: str, recorded: Collection[str]) -> None:
    """Refuse a workspace that this state knows nothing of, while it has jobs in another.

    Raises:
        ConflictError: jobs are recorded, but all of them in other workspaces.
    """
    if recorded and workspace_id not in recorded:
        raise ConflictError(
            f"jobs are recorded in workspace {', '.join(sorted(recorded))}, but this is workspace {workspace_id}",
            hint="`ljm identity keep` makes the jobs here too; or name the right workspace",
        )


def mint_owner(store: Store, info: TableInfo) -> str:
    """Give the table an owner UUID of its own; returns it."""
    owner = str(uuid4())
    _set(store, info, {OWNER_PROPERTY: owner, NAME_PROPERTY: str(info.name)})
    return owner


def keep_owner(store: Store, info: TableInfo) -> None:
    """Say that this table is the original, under its present name."""
    _set(store, info, {NAME_PROPERTY: str(info.name)})


def _set(store: Store, info: TableInfo, properties: dict[str, str]) -> None:
    store.sql(table_statements.set_properties(info.name, properties))
