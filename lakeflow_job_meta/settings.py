"""All settings of the product in one place: arguments over environment over `lakeflow.yml` over defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

from lakeflow_job_meta.diagnostics import Diagnostic, FileLocation, errors_in, nearest
from lakeflow_job_meta.errors import InputError, UsageError

FILE = "lakeflow.yml"
LOCAL = "local"
EMBEDDED = "embedded"
SPARK = "spark"
WAREHOUSE = "warehouse:"
PRODUCT, ENGINE = "product", "engine"
ENVIRONMENT = {
    "control_table": "LAKEFLOW_CONTROL_TABLE",
    "home": "LAKEFLOW_HOME",
    "store": "LAKEFLOW_STORE",
    "table_defaults": "LAKEFLOW_TABLE_DEFAULTS",
    "warehouse_ca_file": "LAKEFLOW_WAREHOUSE_CA_FILE",
    "workspace": "LAKEFLOW_WORKSPACE",
    "default_warehouse_id": "LAKEFLOW_DEFAULT_WAREHOUSE_ID",
    "cluster_id": "LAKEFLOW_CLUSTER_ID",
    "wheel_path": "LAKEFLOW_WHEEL_PATH",
    "concurrency": "LAKEFLOW_CONCURRENCY",
    "lease_seconds": "LAKEFLOW_LEASE_SECONDS",
    "lock_timeout_seconds": "LAKEFLOW_LOCK_TIMEOUT_SECONDS",
    "list_lag_seconds": "LAKEFLOW_LIST_LAG_SECONDS",
    "files_root": "LAKEFLOW_FILES_ROOT",
    "max_disruptive": "LAKEFLOW_MAX_DISRUPTIVE",
    "max_disruptive_percent": "LAKEFLOW_MAX_DISRUPTIVE_PERCENT",
    "notify_url": "LAKEFLOW_NOTIFY_URL",
    "notify_secret": "LAKEFLOW_NOTIFY_SECRET",
    "pipelines_schema": "LAKEFLOW_PIPELINES_SCHEMA",
    "lake_schema": "LAKEFLOW_LAKE_SCHEMA",
}
RUNTIME = "DATABRICKS_RUNTIME_VERSION"
"""Set inside of Databricks, where the workspace is the one that we run in, and the store its Spark session."""

FOLDERS = ("home", "files_root")
"""Settings that are folders; a relative one in the file is relative to the file."""

SCHEMAS = ("pipelines_schema", "lake_schema")
"""Settings that name a schema of the control table's catalog."""

FROM_FILE: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "pipelines_job": ("JobSettings", ("name", "tasks", "schedule", "trigger", "continuous", "max_concurrent_runs")),
    "pipelines_task": ("Task", ("task_key", "depends_on")),
}
"""Settings that are parts of the Jobs API: of which type, and which of its fields follow from the registry."""

DRIFT_POLICIES = ("enforce", "report", "ignore")

NUMBERS: Mapping[str, tuple[type[int] | type[float], int, int]] = {
    "concurrency": (int, 1, 100),
    "lease_seconds": (float, 1, 3600),
    "lock_timeout_seconds": (float, 0, 86_400),
    "list_lag_seconds": (float, 0, 600),
    "max_disruptive": (int, 0, 1_000_000),
    "max_disruptive_percent": (float, 0, 100),
}
"""Settings that are numbers: their type, the least and the most."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run works on. DATABRICKS_* variables are only credentials: they never choose the workspace.

    `workspace` is `local`, `databricks` (what the SDK finds), a profile's name, or a host (https://…).
    `lease_seconds` is how long a dead holder of the lease keeps others waiting, `lock_timeout_seconds` how long we
    wait for a live one. `list_lag_seconds` is how long the workspace's lists may leave out a job that was just
    made. A plan that takes away more than `max_disruptive` jobs and tasks, or more than `max_disruptive_percent` of
    all jobs, wants a person's word. `drift` maps paths of fields to enforce, report or ignore; `rates` ends of call
    paths (`jobs/create`) to calls a second. `files_root` is the folder that relative paths in the rows start at.
    `store` is `embedded`, `spark`, or `warehouse:` with an id, a path or a whole https address behind it;
    `table_defaults` says who fills the defaults of columns that an INSERT leaves out: `product` or `engine`.
    `notify_url` is a web hook that is told of slow and late runs, `notify_secret` a reference (`env:NAME`,
    `{{secrets/scope/key}}`) to what its messages are signed with.
    `wheel_path` is this product's wheel, for tasks that run its own programs.
    `pipelines_schema` is where the pipeline registry is, `lake_schema` where the tables are that pipelines extract,
    both in the control table's catalog. `pipelines_job` are job settings that all jobs of pipelines have,
    `pipelines_task` fields of a task that all their tasks have, `driver_environments` maps docker images of stages to
    keys of environments that are used in their place.
    """

    control_table: str = ""
    home: Path = Path(".lakeflow")
    files_root: Path = Path()
    store: str = EMBEDDED
    table_defaults: str = PRODUCT
    warehouse_ca_file: str | None = None
    workspace: str = LOCAL
    default_warehouse_id: str | None = None
    cluster_id: str | None = None
    wheel_path: str | None = None
    concurrency: int = 10
    lease_seconds: float = 90.0
    lock_timeout_seconds: float = 0.0
    list_lag_seconds: float = 10.0
    max_disruptive: int = 10
    max_disruptive_percent: float = 50.0
    drift: Mapping[str, str] = field(default_factory=dict[str, str])
    rates: Mapping[str, float] = field(default_factory=dict[str, float])
    notify_url: str | None = None
    notify_secret: str | None = None
    pipelines_schema: str = "pipelines"
    lake_schema: str = "dl"
    pipelines_job: Mapping[str, Any] = field(default_factory=dict[str, Any])
    pipelines_task: Mapping[str, Any] = field(default_factory=dict[str, Any])
    driver_environments: Mapping[str, str] = field(default_factory=dict[str, str])

    def require_control_table(self) -> str:
        """The control table's name.

        Raises:
            UsageError: none is set.
        """
        if not self.control_table:
            raise UsageError(
                "no control table is named",
                hint=f"give --control-table, set {ENVIRONMENT['control_table']}, or write control_table into {FILE}",
            )
        return self.control_table


def load_settings(arguments: Mapping[str, Any], environment: Mapping[str, str], folder: Path = Path()) -> Settings:
    """Put the settings together.

    Args:
        arguments: by setting; None means: not given.
        environment: usually os.environ.
        folder: where `lakeflow.yml` is looked for; relative folders in it are relative to it.

    Raises:
        InputError: the file or a variable has what can't be used; all findings at once.
    """
    defaults = {"workspace": "databricks", "store": SPARK} if environment.get(RUNTIME) else {}
    found: list[Diagnostic] = []
    from_file = _from_file(folder / FILE, found)
    from_environment = {
        name: environment[variable] for name, variable in ENVIRONMENT.items() if environment.get(variable)
    }
    given = {name: value for name, value in arguments.items() if value is not None}
    values: dict[str, Any] = {**defaults, **from_file, **from_environment, **given}
    _check(values, found)
    if errors_in(found):
        raise InputError("the settings can't be used", diagnostics=found)
    folders = {name: Path(values.pop(name)) for name in FOLDERS if name in values}
    return Settings(**folders, **values)


def _from_file(path: Path, found: list[Diagnostic]) -> dict[str, Any]:
    if not path.is_file():
        return {}
    from lakeflow_job_meta.reader.document import read_file

    reading = read_file(path)
    found.extend(reading.diagnostics)
    if reading.document is None:
        return {}
    value: Any = reading.document.value
    if not isinstance(value, dict):
        found.append(Diagnostic("expected settings (key: value)", FileLocation(str(path))))
        return {}
    known = {each.name for each in fields(Settings)}
    values: dict[str, Any] = {}
    for name, each in value.items():  # pyright: ignore[reportUnknownVariableType] - keys are text: the reader checks
        where = reading.document.position((str(name),), key=True)  # pyright: ignore[reportUnknownArgumentType]
        if name not in known:
            found.append(Diagnostic(f"unknown setting '{name}'", where, nearest(str(name), known)))  # pyright: ignore[reportUnknownArgumentType]
        elif each is not None:
            values[name] = path.parent / each if name in FOLDERS and isinstance(each, str) else each
    return values


def _check(values: dict[str, Any], found: list[Diagnostic]) -> None:
    for name, value in values.items():
        if name in NUMBERS:
            values[name] = _number(name, value, found)
        elif name == "drift":
            _check_drift(value, found)
        elif name == "rates":
            _check_rates(value, found)
        elif name in FROM_FILE:
            _check_fields(name, value, found)
        elif name == "driver_environments":
            _check_environments(value, found)
        elif name in SCHEMAS:
            _check_schema(name, value, found)
        elif not isinstance(value, str | Path) or not str(value).strip():
            found.append(Diagnostic(f"{name}: expected text, found {value!r}"))
    store = str(values.get("store", EMBEDDED))
    if store not in (EMBEDDED, SPARK) and not (store.startswith(WAREHOUSE) and store != WAREHOUSE):
        hint = nearest(store, (EMBEDDED, SPARK)) or f"known: {EMBEDDED}, {SPARK}, {WAREHOUSE}<id>"
        found.append(Diagnostic(f"store: unknown store '{store}'", hint=hint))
    if (url := values.get("notify_url")) and not re.match(r"https?://[^/\s]+", str(url)):
        found.append(Diagnostic(f"notify_url: expected an http or https address, found {url!r}"))
    defaults = values.get("table_defaults", PRODUCT)
    if defaults not in (PRODUCT, ENGINE):
        found.append(Diagnostic(f"table_defaults: expected {PRODUCT} or {ENGINE}, found {defaults!r}"))


def _check_drift(value: object, found: list[Diagnostic]) -> None:
    if not isinstance(value, Mapping):
        found.append(Diagnostic(f"drift: expected paths with a policy each, found {value!r}"))
        return
    for path, policy in cast("Mapping[str, object]", value).items():
        if policy not in DRIFT_POLICIES:
            hint = nearest(str(policy), DRIFT_POLICIES)
            found.append(Diagnostic(f"drift.{path}: expected {', '.join(DRIFT_POLICIES)}, found {policy!r}", hint=hint))


def _check_fields(name: str, value: object, found: list[Diagnostic]) -> None:
    kind, ours = FROM_FILE[name]
    if not isinstance(value, Mapping):
        found.append(Diagnostic(f"{name}: expected fields of the Jobs API's {kind}, found {value!r}"))
        return
    wrong = [key for key in cast("Mapping[str, object]", value) if key in ours or key.endswith("_task")]
    found += [Diagnostic(f"{name}.{key}: follows from the pipeline registry", hint="leave it out") for key in wrong]


def _check_environments(value: object, found: list[Diagnostic]) -> None:
    entries = cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {"": None}
    for image, key in entries.items():
        if not isinstance(key, str) or not key.strip():
            what = f"driver_environments{f'.{image}' if image else ''}"
            found.append(Diagnostic(f"{what}: expected docker images with the key of an environment each"))


def _check_schema(name: str, value: object, found: list[Diagnostic]) -> None:
    if not isinstance(value, str) or not re.fullmatch(r"[a-z_][a-z0-9_]{0,254}", value):
        found.append(Diagnostic(f"{name}: expected a schema's name in lower case, found {value!r}"))


def _check_rates(value: object, found: list[Diagnostic]) -> None:
    if not isinstance(value, Mapping):
        found.append(Diagnostic(f"rates: expected ends of call paths with calls a second each, found {value!r}"))
        return
    for path, rate in cast("Mapping[str, object]", value).items():
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate <= 10_000:
            found.append(Diagnostic(f"rates.{path}: expected calls a second, up to 10000, found {rate!r}"))


def _number(name: str, value: object, found: list[Diagnostic]) -> float | int:
    kind, least, most = NUMBERS[name]
    try:
        number = kind(str(value))
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        found.append(Diagnostic(f"{name}: expected {least} to {most}, found {value!r}"))
    return number
