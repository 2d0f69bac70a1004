"""The monitor's own rows: one source, one module, and so one job like any other. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from lakeflow_job_meta.control.deployed import WHEEL_PARAMETER
from lakeflow_job_meta.deploy.package import PACKAGE
from lakeflow_job_meta.errors import InputError, UsageError
from lakeflow_job_meta.model.control import MONITOR_MODULE
from lakeflow_job_meta.model.table import Row
from lakeflow_job_meta.settings import EMBEDDED, LOCAL, SPARK, Settings

SOURCE_ID = "monitor"
ENTRY_POINT = "lakeflow-monitor"
ENVIRONMENT_KEY = "monitor"

ENVIRONMENT_VERSION = "4"
"""Serverless environment with Python 3.12, supported until August 2028."""

MANAGED = (
    "name", "continuous", "schedule", "trigger", "max_concurrent_runs", "parameters", "environments", "run_as",
    "email_notifications", "webhook_notifications",
)  # fmt: skip
"""What a deployment says of the job, all of it each time; other keys in its job_config are people's and stay."""

PASSED = (
    "table_defaults", "default_warehouse_id", "cluster_id", "concurrency", "lease_seconds", "lock_timeout_seconds",
    "list_lag_seconds", "max_disruptive", "max_disruptive_percent", "drift", "rates", "pipelines_schema", "lake_schema",
    "pipelines_job", "pipelines_task", "driver_environments",
)  # fmt: skip
"""Settings that the job gets where they aren't the default, so that it plans as people do beside it."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Deployment:
    """How the monitor is to run.

    `volume` is the folder that it loads, `run_as` a user's name or a service principal's application id, `notify` mail
    addresses and ids of notification destinations, `interval` seconds between two looks. `cluster_id` is the cluster
    that it runs on; empty means serverless compute.
    """

    volume: str = ""
    run_as: str = ""
    notify: tuple[str, ...] = ()
    interval: float = 60
    cluster_id: str = ""


def principal(run_as: str) -> dict[str, str]:
    """Who is meant, as the API names people and service principals.

    >>> principal("ana@example.com"), principal("6f1c0d5e-0000-4000-8000-7d2b8a90c3ff")
    ({'user_name': 'ana@example.com'}, {'service_principal_name': '6f1c0d5e-0000-4000-8000-7d2b8a90c3ff'})
    """
    return {"user_name" if "@" in run_as else "service_principal_name": run_as}


def source_row(deployment: Deployment, settings: Settings, wheel_path: str, present: Row | None) -> dict[str, Any]:
    """The row of the control table, without its timestamps.

    Raises:
        InputError: a module of this name is there already, and isn't ours.
    """
    if present is not None and not _is_ours(present):
        raise InputError(
            f"module {MONITOR_MODULE} has a source '{SOURCE_ID}' that `ljm deploy` didn't write",
            hint=f"rename it: '{MONITOR_MODULE}' is the monitor's own module",
        )
    names = parameters(deployment, settings, wheel_path)
    wheel_task = {
        "package_name": PACKAGE,
        "entry_point": ENTRY_POINT,
        "named_parameters": {name: f"{{{{job.parameters.{name}}}}}" for name in names},
    }
    if deployment.cluster_id:
        where = {"existing_cluster_id": deployment.cluster_id, "libraries": [{"whl": wheel_path}]}
    else:
        where = {"environment_key": ENVIRONMENT_KEY}
    config = {"task_type": "task", "task": {"python_wheel_task": wheel_task, **where}}
    return {
        "source_id": SOURCE_ID,
        "module_name": MONITOR_MODULE,
        "source_type": "monitor",
        "execution_order": 1,
        "source_config": None,
        "target_config": None,
        "transformation_config": json.dumps(config),
        "is_active": True,
    }


def module_row(deployment: Deployment, settings: Settings, wheel_path: str, present: Row | None) -> dict[str, Any]:
    """The row of the modules table, without its timestamps."""
    kept = {key: value for key, value in _config(present).items() if key not in MANAGED}
    job_config: dict[str, Any] = {
        "name": f"Lakeflow monitor of {settings.control_table}",
        # What fails is started again by the service, later each time; without end.
        "continuous": {"task_retry_mode": "ON_FAILURE"},
        "max_concurrent_runs": 1,
        "parameters": [
            {"name": name, "default": value} for name, value in parameters(deployment, settings, wheel_path).items()
        ],
    }
    if not deployment.cluster_id:
        spec = {"environment_version": ENVIRONMENT_VERSION, "dependencies": [wheel_path]}
        job_config["environments"] = [{"environment_key": ENVIRONMENT_KEY, "spec": spec}]
    if deployment.run_as:
        job_config["run_as"] = principal(deployment.run_as)
    mails = [each for each in deployment.notify if "@" in each]
    if mails:
        job_config["email_notifications"] = {"on_failure": mails}
    if hooks := [{"id": each} for each in deployment.notify if "@" not in each]:
        job_config["webhook_notifications"] = {"on_failure": hooks}
    description = f"Keeps the jobs of {settings.control_table} equal to its rows. Made by `ljm deploy`."
    return {
        "module_name": MONITOR_MODULE,
        "description": description,
        "job_config": json.dumps({**job_config, **kept}),
        "is_active": True,
    }


def parameters(deployment: Deployment, settings: Settings, wheel_path: str) -> dict[str, str]:
    """The settings as parameters of the job; all text, and none of them a secret.

    Raises:
        UsageError: the job couldn't reach the control table.
    """
    here = runs_here(settings)
    if settings.store == EMBEDDED and not here:
        raise UsageError(
            f"{settings.control_table} lies on this machine, where a job of the workspace can't read it",
            hint="name a warehouse: LAKEFLOW_STORE=warehouse:<id>",
        )
    found = {
        "control_table": settings.control_table,
        "interval": f"{deployment.interval:g}",
        "store": settings.store if here else SPARK,
        "workspace": settings.workspace if here else "databricks",
        WHEEL_PARAMETER: wheel_path,
    }
    if deployment.volume:
        found["volume"] = deployment.volume
    if here:
        found["home"] = str(settings.home.resolve())
    given, usual = asdict(settings), asdict(Settings())
    for name in PASSED:
        if given[name] != usual[name]:
            found[name] = json.dumps(given[name]) if isinstance(given[name], dict) else str(given[name])
    return found


def runs_here(settings: Settings) -> bool:
    """Whether the workspace is one of this machine, whose jobs can read this machine's files."""
    return settings.workspace == LOCAL or urlsplit(settings.workspace).hostname in LOOPBACK


def _is_ours(row: Row) -> bool:
    try:
        task = json.loads(row["transformation_config"] or "")["task"]["python_wheel_task"]
    except (ValueError, KeyError, TypeError):
        return False
    return task.get("entry_point") == ENTRY_POINT


def _config(row: Row | None) -> dict[str, Any]:
    try:
        config: Any = json.loads(row["job_config"] or "{}") if row is not None else {}
    except ValueError:
        return {}
    return cast("dict[str, Any]", config) if isinstance(config, dict) else {}
