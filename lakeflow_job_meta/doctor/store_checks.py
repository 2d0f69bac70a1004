"""What is looked at in the store: the tables, whether we may write them, and what the state says."""

from __future__ import annotations

import json
import tempfile
import time
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lakeflow_job_meta.control.heartbeat import MONITOR, Heartbeat, Monitors
from lakeflow_job_meta.control.identity import check_identity, check_owner, check_workspace
from lakeflow_job_meta.control.schema_version import MIGRATE, Standing, refuse_others
from lakeflow_job_meta.control.state import JobState
from lakeflow_job_meta.control.tables import KINDS, owner_of
from lakeflow_job_meta.control.tenure import LEASE, Tenure, died_here, workspace_of
from lakeflow_job_meta.diagnostics import counted
from lakeflow_job_meta.doctor.check import Check
from lakeflow_job_meta.doctor.subject import Subject
from lakeflow_job_meta.engine.lease import Lease
from lakeflow_job_meta.errors import LakeflowJobMetaError
from lakeflow_job_meta.model.finding import Finding, failed, not_tried, ok, warning
from lakeflow_job_meta.model.table import Row, TableSpec
from lakeflow_job_meta.settings import WAREHOUSE
from lakeflow_job_meta.store.feed import FEED

NOBODY = "$lakeflow_job_meta_doctor"
"""What no row is called: names that start with $ are reserved."""

FED = ("control", "modules")
"""The tables whose changes are read by the change feed."""

LATE_BEATS = 3

RIGHTS = "docs/unity-catalog.md lists the grants; a folder has to be writable for the user who runs this"


def store(subject: Subject) -> Finding:
    """A statement is answered; a warehouse that stands still is started by it."""
    state = _warehouse_state(subject)
    started = time.monotonic()
    subject.store.sql("SELECT 1 AS one")
    told = f"{subject.store.label} answers in {time.monotonic() - started:.1f} s"
    return ok(told if state in ("", "RUNNING") else f"{told}; it was {state}, and has been started")


def _warehouse_state(subject: Subject) -> str:
    """What the workspace says of its warehouse; empty where the store is none of it, or it doesn't say."""
    if not subject.settings.store.startswith(WAREHOUSE) or not subject.workspace_id:
        return ""
    from lakeflow_job_meta.store.warehouse_address import Address

    address = Address.parse(subject.settings.store)
    if address.host:
        return ""
    answer = subject.probe.send("GET", f"/api/2.0/sql/warehouses/{address.id}")
    return str(answer.body.get("state", "")) if answer.done else ""


def table(subject: Subject) -> Finding:
    """The control table is there, and is read."""
    subject.tables.require(subject.store)
    snapshot = subject.store.read(subject.tables.control.name, columns=["module_name"])
    modules = len({row["module_name"] for row in snapshot.rows})
    rows = counted(len(snapshot.rows), "row")
    return ok(f"{subject.tables.control.name} at version {snapshot.version}: {rows}, {counted(modules, 'module')}")


def schema(subject: Subject) -> Finding:
    """Our tables are of the schema versions that this product writes."""
    specs, infos = subject.tables.by_kind, subject.infos
    standings = [Standing.of(specs[kind], info) for kind, info in infos.items() if info is not None]
    refuse_others(standings)
    if untold := [each for each in standings if each.found is None]:
        return warning("; ".join(map(str, untold)), MIGRATE)
    missing = [str(specs[kind].name) for kind in KINDS if infos[kind] is None]
    told = ", ".join(f"{each.table.name} {each.found}" for each in standings)
    return ok(told + (f"; not there yet: {', '.join(missing)}" if missing else ""))


def identity(subject: Subject) -> Finding:
    """The control table is the original, and belongs to this workspace."""
    check_identity(subject.control)
    owner = owner_of(subject.control)
    if not subject.workspace_id:
        return not_tried(
            f"owner {owner}; whether it belongs to this workspace isn't known", "first 'login' has to work"
        )
    tenure = Tenure(subject.store, subject.tables, subject.workspace_id, subject.settings.lease_seconds)
    where = (subject.store, subject.tables, subject.workspace_id)
    state = JobState(*where, subject.now, lambda: "doctor", "doctor", tenure)
    rows = state.read()
    check_owner(rows.values(), owner, str(subject.control.name))
    if not rows:
        check_workspace(subject.workspace_id, state.workspaces())
    return ok(f"owner {owner}; {counted(len(rows), 'job')} recorded in workspace {subject.workspace_id}")


def feed(subject: Subject) -> Finding:
    """The tables of rows have their change feed, so that a look reads only what changed."""
    infos = [info for kind in FED if (info := subject.infos[kind]) is not None]
    off = [str(info.name) for info in infos if info.properties.get(FEED) != "true"]
    if off:
        return warning(
            f"off for {', '.join(off)}: whatever changes, the whole table is read",
            "; ".join(f"ALTER TABLE {name} SET TBLPROPERTIES ('{FEED}' = 'true')" for name in off),
        )
    return ok(f"on for {', '.join(str(info.name) for info in infos)}")


def writable(subject: Subject) -> Finding:
    """We may write each table: an UPDATE that concerns no row, which makes no version, and a file where the tables lie
    in folders of this machine. With `write` the state gets a sign of life, which is taken back."""
    there = [kind for kind, info in subject.infos.items() if info is not None]
    refused = {kind: why for kind in there if (why := _refusal(subject, subject.tables.by_kind[kind]))}
    told = "; ".join(f"{subject.tables.by_kind[kind].name}: {why}" for kind, why in refused.items())
    if refused.keys() - set(FED):
        return failed(told, RIGHTS)
    if refused:
        return warning(f"{told}. Jobs can be kept up to date, files can't be loaded", RIGHTS)
    told = f"an UPDATE without effect on {counted(len(there), 'table')} was allowed"
    if not subject.write:
        return ok(f"{told}; no version was written (--write does)")
    if "jobs" not in there or not subject.workspace_id:
        return not_tried(
            f"{told}; no version was written", "first 'login' has to work, and the table of state be there"
        )
    tables = subject.tables.as_found(subject.store)
    sign = Heartbeat(subject.store, tables, subject.workspace_id, interval=1, every=1)
    sign.beat(subject.now())
    sign.leave(subject.now())
    return ok(f"{told}; a sign of life was written into {tables.jobs.name}, and taken back")


def _refusal(subject: Subject, spec: TableSpec) -> str:
    """Why we may not write this table; empty where we may."""
    column = next(each.name for each in spec.columns if each.type == "STRING")
    try:
        # Rights are looked at whatever the rows are; where no row is concerned Delta writes no version.
        subject.store.sql(f"UPDATE {spec.name} SET {column} = {column} WHERE {column} = '{NOBODY}'")  # noqa: S608
    except LakeflowJobMetaError as error:
        return error.message
    return _not_writable(_folder(subject, spec))


def _folder(subject: Subject, spec: TableSpec) -> Path | None:
    """Where the table lies, if that is on this machine."""
    place = str(subject.store.sql(f"DESCRIBE DETAIL {spec.name}")[0]["location"])
    folder = Path(unquote(urlsplit(place).path) if place.startswith("file:") else place)
    return folder if folder.is_dir() else None


def _not_writable(folder: Path | None) -> str:
    """Why no file can be made there; empty where it can, or where there is no folder."""
    for each in (folder, folder / "_delta_log") if folder is not None else ():
        try:
            with tempfile.TemporaryFile(dir=each, prefix=".doctor"):
                pass
        except OSError as error:
            return f"no file can be made in {each}: {error.strerror}"
    return ""


def _reserved(subject: Subject, module: str) -> list[tuple[str, Row]]:
    """The reserved rows of that name, each with its workspace."""
    rows = subject.store.read(subject.tables.jobs.name, where={"module_name": [module]}).rows
    return [(workspace_of(str(row["workspace_id"])), row) for row in rows]


def lease(subject: Subject) -> Finding:
    """Nobody holds others up."""
    if subject.infos["jobs"] is None:
        return ok("nobody holds it")
    leases = [(where, Lease.read(json.loads(row["settings"]))) for where, row in _reserved(subject, LEASE)]
    held = [(where, each) for where, each in leases if each.held]
    if not held:
        return ok("nobody holds it")
    told = "; ".join(f"{each.holder} since {each.since} (workspace {where})" for where, each in held)
    if all(died_here(each.holder) for _, each in held):
        return ok(f"held by a process that died here, the next run takes over at once: {told}")
    return warning(
        f"held by {told}",
        "a run is under way, then nothing is wrong; one that hangs is taken over after"
        f" {max(each.ttl for _, each in held):g} s without a sign of life, or: `ljm lease release`",
    )


def monitors(subject: Subject) -> Finding:
    """The monitors that were seen give signs of life."""
    if subject.infos["jobs"] is None:
        return ok("none was ever seen")
    rows = subject.store.read(subject.tables.jobs.name, where={"module_name": [MONITOR]})
    seen = [sign for where, _ in _reserved(subject, MONITOR) for sign in Monitors.read(rows, where).signs.items()]
    if not seen:
        return ok("none was seen, or all that were have left")
    late, told = False, list[str]()
    for holder, sign in seen:
        age = (subject.now() - datetime.fromisoformat(sign.beat_at)).total_seconds()
        late = late or died_here(holder) or age > LATE_BEATS * sign.period
        told.append(f"{holder} gave its last sign of life {max(age, 0):.0f} s ago, of one every {sign.period:g} s")
    text = "; ".join(told)
    return warning(text, "is it still running? one that left for good is forgotten by the others") if late else ok(text)


CHECKS = (
    Check("store", store, ("settings",), slow=True),
    Check("table", table, ("store",)),
    Check("schema", schema, ("table",)),
    Check("identity", identity, ("table",)),
    Check("change feed", feed, ("table",)),
    Check("write", writable, ("table",), slow=True),
    Check("lease", lease, ("table",)),
    Check("monitors", monitors, ("table",)),
)
