"""The source stage: what an API is, written as tables under contract."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import lakeflow_job_meta
from lakeflow_job_meta.control.actor import actor
from lakeflow_job_meta.errors import InputError, LakeflowJobMetaError, StoreError
from lakeflow_job_meta.ingest.volume import place_of_files
from lakeflow_job_meta.model.column import Column
from lakeflow_job_meta.model.masking import without
from lakeflow_job_meta.model.table import Row, TableName
from lakeflow_job_meta.settings import Settings, load_settings
from lakeflow_job_meta.stages import rows
from lakeflow_job_meta.stages.activity import AUTHENTICATE, PREVIEW, VALIDATE, Activity, Step
from lakeflow_job_meta.stages.config.model import Sample, SourceConfig
from lakeflow_job_meta.stages.config.read import problem_of_url, read_source_config
from lakeflow_job_meta.stages.contract.handoff import FAILED, SUCCEEDED
from lakeflow_job_meta.stages.contract.model import Contract
from lakeflow_job_meta.stages.contract.read import read_contract
from lakeflow_job_meta.stages.http.client import ApiClient
from lakeflow_job_meta.stages.http.document import fetch_document
from lakeflow_job_meta.stages.http.failure import ApiError, Forbidden, LoginRefused
from lakeflow_job_meta.stages.http.login import masked_credential
from lakeflow_job_meta.stages.run import StageOptions, StageResult
from lakeflow_job_meta.stages.run_log import SCHEMA_CHANGES, SCHEMAS, RunLog, Sums
from lakeflow_job_meta.stages.samples import SampleRows, sample_rows
from lakeflow_job_meta.stages.shape import changes, merged
from lakeflow_job_meta.stages.tables import ENDPOINTS, POSITION, StageTables, rows_of
from lakeflow_job_meta.stages.telling import tell
from lakeflow_job_meta.stages.validate import Check, Explorer
from lakeflow_job_meta.stages.writer import Writer, given
from lakeflow_job_meta.store.base import TableStore
from lakeflow_job_meta.store.open import open_store
from lakeflow_job_meta.workspace.connect import Workspace, connect
from lakeflow_job_meta.workspace.secrets import secrets_of

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

logger = logging.getLogger(__name__)

MOST_FIELDS = 200
"""Records with more fields are no records but a mapping of something: its keys aren't remembered."""

NO_CONTRACT = "0.0.0"
"""The contract's version where the stage file names no contract."""


class EndpointsFailed(ApiError):
    """Too many endpoints don't answer as they should."""

    kind = "endpoints_failed"


@dataclass(frozen=True, slots=True)
class _Findings:
    """What was learned from the API before anything is written."""

    checks: Mapping[str, Check]
    samples: Mapping[str, SampleRows]
    masked: str


@dataclass(slots=True)
class _Course:
    """One run under way: what it did, whom it asked, what it knows of earlier runs, what it found out."""

    activity: Activity
    client: ApiClient | None = None
    earlier: Sequence[Row] = ()
    changes: list[str] = field(default_factory=list[str])
    discovered: datetime | None = None

    @property
    def secrets(self) -> frozenset[str]:
        """Texts that must not be shown."""
        try:
            return self.client.login.secrets if self.client is not None else frozenset()
        except LakeflowJobMetaError:
            return frozenset()

    @property
    def sums(self) -> Sums:
        client = self.client
        return Sums(client.requests, client.retries, self.discovered) if client is not None else Sums()


class SourceStage:
    """Runs the source stage of one system.

    Args:
        config: the stage file.
        control_table: its catalog holds the tables; the settings' by default.
        options: how the run goes.
        store: where tables live; what the settings say by default.
        workspace_client: for secrets of a workspace's scopes.
        settings: what LAKEFLOW_* and lakeflow.yml say by default.

    Raises:
        InputError: the stage file or the contract can't be used; all findings.

    A run asks first and writes afterwards, so that what fails leaves the tables as they were:

        stage = SourceStage("metadata/stages/testhub.yml", options=StageOptions(bootstrap=True))
        result = asyncio.run(stage.execute())
    """

    def __init__(
        self,
        config: str | Path,
        control_table: str | None = None,
        options: StageOptions | None = None,
        *,
        store: TableStore | None = None,
        workspace_client: WorkspaceClient | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.settings = settings or load_settings({"control_table": control_table}, os.environ)
        self.options = options or StageOptions()
        workspace = connect(self.settings, workspace_client)
        self.config: SourceConfig = read_source_config(on_disk(config, workspace), fetch_document)
        self.contract: Contract | None = read_contract(self.config.contract) if self.config.contract else None
        self._check_schemas()
        table = TableName.parse(control_table or self.settings.require_control_table())
        self.tables = StageTables(table.catalog, self.config.schema, self.config.log_schema)
        self.store = store or open_store(self.settings)
        self._secrets = secrets_of(workspace)
        self.log = RunLog(self.store, self.tables, table, self.config.source_system)

    def _check_schemas(self) -> None:
        """A contract about tables elsewhere would always be kept, or never."""
        promised = {each.name.partition(".")[0] for each in self.contract.tables} if self.contract else set[str]()
        if others := promised - {self.config.schema}:
            raise InputError(
                f"the contract is about {', '.join(sorted(others))}, but the tables are in {self.config.schema}",
                hint="schema: in the stage file, or another contract",
            )

    @property
    def contract_version(self) -> str:
        return str(self.contract.version) if self.contract else NO_CONTRACT

    async def execute(self) -> StageResult:
        """Run the stage once, and log it.

        Returns:
            What was found and written.

        Raises:
            ApiError: the API doesn't do as it should; its kinds say how.
            StoreError: a table can't be written, or is another system's.
            InputError: a secret that isn't there.
        """
        course = _Course(Activity(envelope(self.config.source_system, self.contract_version, self.options)))
        activity = course.activity
        try:
            course.earlier = await asyncio.to_thread(self.log.runs)
            course.client = ApiClient(self._base_url(), self.config.auth, self._secrets, self.config.limits)
            async with course.client:
                found = await self._explore(course.client, course)
            course.discovered = await asyncio.to_thread(self._write, activity, found, course.earlier)
        except BaseException as error:
            if isinstance(error, LakeflowJobMetaError):
                error.message = without(error.message, course.secrets)
            if _refuses_login(error, activity):
                await asyncio.to_thread(self._write_refused, course)
            await self._finish(course, error)
            raise
        whole = await self._finish(course, None)
        ends = {"started_at": whole.started_at, "finished_at": whole.finished_at}
        notes = tuple(note for step in activity.steps for note in step.details.get("notes", ()))
        counts = whole.endpoint_count or 0, whole.endpoint_success_count or 0
        return StageResult(
            {**activity.envelope, **ends}, whole.tables, *counts, whole.seconds, found.checks, notes,
            tuple(course.changes),
        )  # fmt: skip

    async def _finish(self, course: _Course, error: BaseException | None) -> Step:
        """Log the run and tell of it; returns it as a step of its own.

        Raises:
            StoreError: a run without an error can't be logged: without its row nothing is handed over.
        """
        whole = course.activity.whole(error)
        if course.changes:
            whole.details[SCHEMA_CHANGES] = course.changes
        for step in (*course.activity.steps, whole):
            step.error = without(step.error, course.secrets) if step.error else None
        unlogged = await asyncio.to_thread(self.log.write, course.activity, whole, course.sums)
        if unlogged is not None:
            logger.error("the run isn't in the log: %s", unlogged.message)
            whole.status, whole.error = FAILED, whole.error or unlogged.message
        before = str(course.earlier[-1]["status"]) if course.earlier else SUCCEEDED
        await tell(self.config, self._secrets, whole, course.changes, before)
        if unlogged is not None and error is None:
            raise unlogged
        return whole

    async def check_login(self) -> Check:
        """Ask the API only whether it takes our login.

        Raises:
            ApiError: it doesn't.
        """
        async with ApiClient(self._base_url(), self.config.auth, self._secrets, self.config.limits) as client:
            return await Explorer(self.config, client).authenticate()

    def look_up_secrets(self) -> None:
        """Look up every reference to a secret.

        Raises:
            InputError: one leads nowhere.
        """
        for reference in (*self.config.auth.secrets.values(), *(each.url for each in self.config.notify)):
            self._secrets.value(reference)
        self._base_url()

    def _base_url(self) -> str:
        url = self._secrets.plain(self.config.base_url).rstrip("/")
        if problem := problem_of_url(url):
            raise InputError(f"base_url, which is {self.config.base_url}: {problem[0]}", hint=problem[1])
        return url

    async def _explore(self, client: ApiClient, course: _Course) -> _Findings:
        """Ask everything that has to be asked; writes nothing."""
        explorer, activity = Explorer(self.config, client), course.activity
        with activity.step(AUTHENTICATE) as step:
            check = await explorer.authenticate()
            step.details = check.to_dict()
            masked = masked_credential(client.login.credential)
        with activity.step(VALIDATE) as step:
            checks = await explorer.check_all()
            await self._compare(step, checks, course)
            self._note_checks(step, checks)
        samples: dict[str, SampleRows] = {}
        if not self.options.preview:
            activity.skip(PREVIEW)
            return _Findings(checks, samples, masked)
        with activity.step(PREVIEW) as step:
            for sample in self.config.samples:
                samples[sample.table] = await self._sample(explorer, sample)
            left = {table: each.left_out for table, each in samples.items() if each.left_out}
            step.details["notes"] = [f"{table}: left out {', '.join(names)}" for table, names in left.items()]
        return _Findings(checks, samples, masked)

    async def _compare(self, step: Step, checks: Mapping[str, Check], course: _Course) -> None:
        """Note what changed of the endpoints' records since the last run that looked; what it couldn't see this time
        stays known."""
        before = await asyncio.to_thread(self.log.known_shapes)
        now = {name: check.fields for name, check in checks.items() if 0 < len(check.fields) <= MOST_FIELDS}
        course.changes += [without(each, course.secrets) for each in changes(before, now)]
        kept = {name: fields for name, fields in before.items() if name in checks}
        step.details[SCHEMAS] = {**kept, **{name: merged(before.get(name, {}), each) for name, each in now.items()}}
        if course.changes:
            step.details[SCHEMA_CHANGES] = course.changes

    def _note_checks(self, step: Step, checks: Mapping[str, Check]) -> None:
        asked = {name: check for name, check in checks.items() if not check.skipped}
        failed = {name: check for name, check in asked.items() if not check.succeeded}
        step.endpoint_count, step.endpoint_success_count = len(asked), len(asked) - len(failed)
        step.details["endpoints"] = {name: check.to_dict() for name, check in checks.items()}
        rate = step.endpoint_success_count / len(asked) if asked else 1.0
        if rate < self.config.min_success_rate:
            shown = "; ".join(f"{name}: {check.error}" for name, check in list(failed.items())[:3])
            more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
            raise EndpointsFailed(
                f"{len(failed)} of {len(asked)} endpoints failed: {shown}{more}",
                hint=f"mend them, leave them out of the catalogue, or lower min_success_rate ({rate:.2f} now)",
            )

    async def _sample(self, explorer: Explorer, sample: Sample) -> SampleRows:
        endpoint = self.config.endpoint(sample.endpoint)
        records = await explorer.sample(endpoint, self.config.sample_limit) if endpoint else []
        info = await asyncio.to_thread(self.store.info, self.tables.name(sample.table))
        present = tuple(each for each in info.columns if each.name != POSITION) if info else ()
        return sample_rows(sample.table, records, self._declared(sample), present)

    def _declared(self, sample: Sample) -> tuple[Column, ...]:
        if sample.columns or self.contract is None:
            return sample.columns
        promised = self.contract.table(sample.table)
        if promised is None:
            return ()
        return tuple(
            Column(each.name, each.type, "REQUIRED" if each.required else "NULLABLE", each.description)
            for each in promised.columns
            if each.name != POSITION
        )

    def _write(self, activity: Activity, found: _Findings, earlier: Sequence[Row]) -> datetime:
        """Write all tables of this run; what was written is taken back where a later one fails."""
        writer = Writer(self.store, self.tables, activity)
        try:
            return self._write_all(writer, found, earlier)
        except LakeflowJobMetaError:
            writer.take_back()
            raise

    def _write_all(self, writer: Writer, found: _Findings, earlier: Sequence[Row]) -> datetime:
        now, options, config = datetime.now(UTC), self.options, self.config
        self._refuse_others()
        writer.write("config", given([self._config_row(now)]))
        writer.write("credentials", given([rows.credentials_row(config, found.masked, rows.SUCCESS, now)]))
        if options.bootstrap:
            writer.write(ENDPOINTS, given([rows.endpoint_row(each) for each in config.endpoints]))
        else:
            writer.activity.skip(f"write {ENDPOINTS}")
        catalogue = rows.catalogue_of(config, rows_of(self.store, self.tables.name(ENDPOINTS)))
        asked = [check for check in found.checks.values() if not check.skipped]
        below = {each.name for each in config.endpoints if each.hierarchical}
        counts = rows.Found(
            catalogue,
            len(asked),
            sum(check.succeeded for check in asked),
            any(check.succeeded for name, check in found.checks.items() if name in below),
        )
        known = [row["discovery_date"] for row in earlier if row["discovery_date"] is not None]
        remembered, version = min(known, default=None), self.contract_version

        def portfolio(present: Sequence[Row]) -> list[dict[str, Any]]:
            discovered = rows.discovery_date(present, remembered, now)
            return [rows.portfolio_row(config, counts, version, discovered, now)]

        writer.write("portfolio", portfolio)
        for table, sample in found.samples.items():
            writer.write_sample(table, sample)
        writer.note_others([ENDPOINTS, *(each.table for each in config.samples)])
        return min(row["discovery_date"] for row in self.store.read(self.tables.name("portfolio")).rows)

    def _write_refused(self, course: _Course) -> None:
        """Say in source.credentials that the login isn't taken; all else stays as the last good run left it."""
        client, now = course.client, datetime.now(UTC)
        try:
            masked = masked_credential(client.login.credential if client is not None else "")
        except LakeflowJobMetaError:
            masked = masked_credential("")
        try:
            self._refuse_others()
            row = rows.credentials_row(self.config, masked, rows.FAILED, now)
            Writer(self.store, self.tables, course.activity).write("credentials", given([row]))
        except LakeflowJobMetaError as error:
            logger.warning("that the login is refused isn't in source.credentials: %s", error.message)

    def _config_row(self, now: datetime) -> dict[str, Any]:
        options = self.options
        return {
            "execution_mode": options.execution_mode,
            "operation_type": rows.operation_type(options.bootstrap, options.preview),
            "notebook_name": options.notebook_name,
            "stage": "source",
            "sdk_version": lakeflow_job_meta.__version__,
            "bootstrap_enabled": options.bootstrap,
            "preview_enabled": options.preview,
            "last_updated": now,
        }

    def _refuse_others(self) -> None:
        """Two systems in one schema would overwrite each other's tables in turn."""
        name = self.tables.name("portfolio")
        others = {str(row["source_system"]) for row in rows_of(self.store, name, columns=("source_system",)) or ()}
        if others - {self.config.source_system}:
            raise StoreError(
                f"{self.tables.catalog}.{self.tables.schema} holds the tables of {', '.join(sorted(others))}",
                hint="give this system a schema of its own: schema: … in the stage file",
            )


def _refuses_login(error: BaseException, activity: Activity) -> bool:
    """Whether a run ended since the API doesn't take the login: at its beginning, or no longer in the middle. One that
    mayn't read some endpoint is taken all the same."""
    asked_who = len(activity.steps) == 1 and activity.steps[0].name == AUTHENTICATE
    return isinstance(error, LoginRefused) or (isinstance(error, Forbidden) and asked_who)


def envelope(source_system: str, contract_version: str, options: StageOptions) -> dict[str, Any]:
    """What all rows of a run share."""
    now, execution = datetime.now(UTC), str(uuid4())
    return {
        "execution_id": execution,
        "batch_id": options.batch_id or f"{source_system}-{now:%Y%m%dT%H%M%SZ}-{execution[:8]}",
        "correlation_id": options.correlation_id or execution,
        "contract_version": contract_version,
        "sdk_version": lakeflow_job_meta.__version__,
        "source_system": source_system,
        "job_run_id": options.job_run_id or None,
        "actor": actor(),
    }


def on_disk(config: str | Path, workspace: Workspace) -> Path:
    """Where the stage file lies: in a volume it has the same name here and inside of Databricks.

    Raises:
        InputError: in a volume that isn't mounted here.
    """
    folder = place_of_files(config, workspace).folder
    if folder is None:
        hint = "it names other files, so a copy of it alone is of no use: run it as a task, or from a folder"
        raise InputError(f"the volume of {config} isn't mounted here", hint=hint)
    return folder
