"""The source stage: what an API is, written as tables under contract."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import lakeflow_job_meta
from lakeflow_job_meta.control.actor import actor
from lakeflow_job_meta.control.tables import ControlTables
from lakeflow_job_meta.errors import InputError, LakeflowJobMetaError, StoreError
from lakeflow_job_meta.model.column import Column
from lakeflow_job_meta.model.masking import without
from lakeflow_job_meta.model.table import Row, TableName
from lakeflow_job_meta.notify.notice import Notice, notify
from lakeflow_job_meta.settings import Settings, load_settings
from lakeflow_job_meta.stages import rows
from lakeflow_job_meta.stages.activity import Activity, Step
from lakeflow_job_meta.stages.config.model import Sample, SourceConfig
from lakeflow_job_meta.stages.config.read import problem_of_url, read_source_config
from lakeflow_job_meta.stages.contract.handoff import FAILED, RUN, SUCCEEDED
from lakeflow_job_meta.stages.contract.model import Contract
from lakeflow_job_meta.stages.contract.read import read_contract
from lakeflow_job_meta.stages.http.client import ApiClient
from lakeflow_job_meta.stages.http.document import fetch_document
from lakeflow_job_meta.stages.http.failure import ApiError
from lakeflow_job_meta.stages.http.login import masked_credential
from lakeflow_job_meta.stages.run import StageOptions, StageResult
from lakeflow_job_meta.stages.samples import SampleRows, sample_rows
from lakeflow_job_meta.stages.tables import ENDPOINTS, LOG, POSITION, StageTables, make_table, rows_of
from lakeflow_job_meta.stages.validate import Check, Explorer
from lakeflow_job_meta.stages.writer import Writer, given
from lakeflow_job_meta.store.base import Store
from lakeflow_job_meta.store.open import open_store
from lakeflow_job_meta.workspace.connect import connect
from lakeflow_job_meta.workspace.secrets import secrets_of

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

logger = logging.getLogger(__name__)

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


@dataclass(frozen=True, slots=True)
class _Ending:
    """How a run ended."""

    activity: Activity
    client: ApiClient
    earlier: Sequence[Row]
    discovered: datetime | None = None
    error: BaseException | None = None


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
        store: Store | None = None,
        workspace_client: WorkspaceClient | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.settings = settings or load_settings({"control_table": control_table}, os.environ)
        self.options = options or StageOptions()
        self.config: SourceConfig = read_source_config(Path(config), fetch_document)
        self.contract: Contract | None = read_contract(self.config.contract) if self.config.contract else None
        self._check_schemas()
        table = TableName.parse(control_table or self.settings.require_control_table())
        self.tables = StageTables(table.catalog, self.config.schema, self.config.log_schema)
        self.store = store or open_store(self.settings)
        self._secrets = secrets_of(connect(self.settings, workspace_client))
        self._control_log = ControlTables.of(table).log

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
        activity = Activity(self._envelope())
        client = ApiClient(self._base_url(), self.config.auth, self._secrets, self.config.limits)
        earlier: Sequence[Row] = ()
        try:
            earlier = await asyncio.to_thread(self.runs)
            async with client:
                found = await self._explore(client, activity)
            discovered = await asyncio.to_thread(self._write, activity, found, earlier)
        except BaseException as error:
            if isinstance(error, LakeflowJobMetaError):
                error.message = without(error.message, self._secret_texts(client))
            await self._finish(_Ending(activity, client, earlier, error=error))
            raise
        whole = await self._finish(_Ending(activity, client, earlier, discovered))
        envelope = {**activity.envelope, "started_at": whole.started_at, "finished_at": whole.finished_at}
        notes = tuple(note for step in activity.steps for note in step.details.get("notes", ()))
        counts = whole.endpoint_count or 0, whole.endpoint_success_count or 0
        return StageResult(envelope, whole.tables, *counts, whole.seconds, found.checks, notes)

    async def _finish(self, ending: _Ending) -> Step:
        """Log the run and tell of it; returns it as a step of its own.

        Raises:
            StoreError: a run without an error can't be logged: without its row nothing is handed over.
        """
        whole = ending.activity.whole(ending.error)
        for step in (*ending.activity.steps, whole):
            step.error = without(step.error, self._secret_texts(ending.client)) if step.error else None
        unlogged = await asyncio.to_thread(self._log, ending, whole)
        if unlogged is not None:
            logger.error("the run isn't in the log: %s", unlogged.message)
            whole.status, whole.error = FAILED, whole.error or unlogged.message
        await self._tell(whole, ending.earlier)
        if unlogged is not None and ending.error is None:
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

    def runs(self) -> Sequence[Row]:
        """The runs of this system as log.source has them, the newest last."""
        where = {"source_system": [self.config.source_system], "step": [RUN]}
        found = rows_of(self.store, self.tables.name(LOG), where=where) or ()
        return sorted(found, key=lambda row: row["finished_at"])

    def _envelope(self) -> dict[str, Any]:
        now, options = datetime.now(UTC), self.options
        execution = str(uuid4())
        return {
            "execution_id": execution,
            "batch_id": options.batch_id or f"{self.config.source_system}-{now:%Y%m%dT%H%M%SZ}-{execution[:8]}",
            "correlation_id": options.correlation_id or execution,
            "contract_version": self.contract_version,
            "sdk_version": lakeflow_job_meta.__version__,
            "source_system": self.config.source_system,
            "job_run_id": options.job_run_id or None,
            "actor": actor(),
        }

    def _base_url(self) -> str:
        url = self._secrets.plain(self.config.base_url).rstrip("/")
        if problem := problem_of_url(url):
            raise InputError(f"base_url, which is {self.config.base_url}: {problem[0]}", hint=problem[1])
        return url

    async def _explore(self, client: ApiClient, activity: Activity) -> _Findings:
        """Ask everything that has to be asked; writes nothing."""
        explorer = Explorer(self.config, client)
        with activity.step("authenticate") as step:
            check = await explorer.authenticate()
            step.details = check.to_dict()
            masked = masked_credential(client.login.credential)
        with activity.step("validate") as step:
            checks = await explorer.check_all()
            self._note_checks(step, checks)
        samples: dict[str, SampleRows] = {}
        if not self.options.preview:
            activity.skip("preview")
            return _Findings(checks, samples, masked)
        with activity.step("preview") as step:
            for sample in self.config.samples:
                samples[sample.table] = await self._sample(explorer, sample)
            left = {table: each.left_out for table, each in samples.items() if each.left_out}
            step.details["notes"] = [f"{table}: left out {', '.join(names)}" for table, names in left.items()]
        return _Findings(checks, samples, masked)

    def _note_checks(self, step: Step, checks: Mapping[str, Check]) -> None:
        asked = {name: check for name, check in checks.items() if not check.skipped}
        failed = {name: check for name, check in asked.items() if not check.succeeded}
        step.endpoint_count, step.endpoint_success_count = len(asked), len(asked) - len(failed)
        step.details = {"endpoints": {name: check.to_dict() for name, check in checks.items()}}
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
        writer.write("credentials", given([rows.credentials_row(config, found.masked, now)]))
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

    def _log(self, ending: _Ending, whole: Step) -> LakeflowJobMetaError | None:
        """Write the log's rows; returns why it couldn't."""
        spec, client = self.tables.spec(LOG), ending.client
        try:
            make_table(self.store, spec)
            rows_of_log = ending.activity.rows(whole, client.requests, client.retries, ending.discovered)
            self.store.append(spec, rows_of_log)
        except LakeflowJobMetaError as error:
            return error
        try:
            self._log_product(ending.activity, whole)
        except LakeflowJobMetaError as error:
            # The handoff is in log.source already: the product's log is for people only.
            logger.warning("the run isn't in %s: %s", self._control_log.name, error.message)
        return None

    def _log_product(self, activity: Activity, whole: Step) -> None:
        """The run as a row of the product's own log, where there is one, under the same correlation id."""
        spec = self._control_log
        if self.store.info(spec.name) is None:
            return
        message = whole.error or f"{activity.envelope['batch_id']}: {len(whole.tables)} tables"
        row = {
            "correlation_id": activity.envelope["correlation_id"],
            "logged_at": whole.finished_at,
            "actor": activity.envelope["actor"],
            "action": "source_stage",
            "outcome": "failed" if whole.status == FAILED else "done",
            "message": f"{self.config.source_system}: {message}",
            "duration_ms": round(whole.seconds * 1000),
        }
        self.store.append(spec, [row])

    async def _tell(self, whole: Step, earlier: Sequence[Row]) -> None:
        before = earlier[-1]["status"] if earlier else SUCCEEDED
        event = "failure" if whole.status == FAILED else "recovery" if before == FAILED else "success"
        notice = Notice(
            event,
            f"source stage of {self.config.source_system}",
            whole.error or "",
            {
                "duration_seconds": round(whole.seconds, 3),
                "endpoint_count": whole.endpoint_count,
                "endpoint_success_count": whole.endpoint_success_count,
                "table_creation_duration_ms": whole.table_ms,
                "tables": len(whole.tables),
            },
        )
        for target in self.config.notify:
            wanted = event in target.on or (event == "recovery" and "success" in target.on)
            if wanted:
                await notify(target.kind, lambda reference=target.url: self._secrets.value(reference), notice)

    def _secret_texts(self, client: ApiClient) -> frozenset[str]:
        try:
            return client.login.secrets
        except LakeflowJobMetaError:
            return frozenset()
