"""From a row with connection details to an open connection. Secrets are resolved here, and stay out of every error."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from lakeflow_job_meta.diagnostics import Diagnostic, RowLocation, nearest
from lakeflow_job_meta.errors import DatabaseError, InputError, LakeflowJobMetaError
from lakeflow_job_meta.model.masking import without
from lakeflow_job_meta.model.secret_reference import IN_WORKSPACE, SecretReference
from lakeflow_job_meta.pipelines.creds import parse_creds, written_out
from lakeflow_job_meta.pipelines.drivers import lake, mysql, postgres, sqlite
from lakeflow_job_meta.pipelines.drivers.base import Database
from lakeflow_job_meta.pipelines.stages.stage import StageContext
from lakeflow_job_meta.pipelines.systems import KNOWN, UNDRIVEN

Options = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Driver:
    """How databases of one type are reached: what their credentials may say, with what holds where they don't, and the
    function that connects."""

    options: Options
    connect: Callable[[Options, StageContext], Database]


def _server(connect: Callable[[Options], Database]) -> Callable[[Options, StageContext], Database]:
    return lambda options, context: connect(options)


def _duckdb(options: Options, context: StageContext) -> Database:
    from lakeflow_job_meta.pipelines.drivers import duck

    return duck.connect(options, context.direction)


def _parquet(options: Options, context: StageContext) -> Database:
    from lakeflow_job_meta.pipelines.drivers import files

    return files.connect(options, files.PARQUET, context.direction)


def _csv(options: Options, context: StageContext) -> Database:
    from lakeflow_job_meta.pipelines.drivers import files

    return files.connect(options, files.CSV, context.direction)


DRIVERS: Mapping[str, Driver] = {
    "postgres": Driver(postgres.OPTIONS, _server(postgres.connect)),
    "mysql": Driver(mysql.OPTIONS, _server(mysql.connect)),
    "mariadb": Driver(mysql.OPTIONS, _server(mysql.connect)),
    "sqlite": Driver(sqlite.OPTIONS, _server(sqlite.connect)),
    "duckdb": Driver({"path": "", "schema": "main"}, _duckdb),
    "delta": Driver(lake.OPTIONS, lake.connect),
    "parquet": Driver({"path": ""}, _parquet),
    "csv": Driver({"path": ""}, _csv),
}
"""The driver of each type of database."""

SPELLINGS = {
    "hostname": "host", "server": "host", "username": "user", "pass": "password", "pwd": "password", "db": "database",
    "dbname": "database", "file": "path", "folder": "path",
}  # fmt: skip
"""Other names that people give the same detail."""


def driver_of(system: str) -> Driver:
    """The driver of a type of database.

    Raises:
        InputError: there is none.
    """
    if system in DRIVERS:
        return DRIVERS[system]
    if system in UNDRIVEN:
        raise InputError(
            f"no driver is installed for {system}", hint="drivers are there for: " + ", ".join(sorted(DRIVERS))
        )
    raise InputError(f"unknown type '{system}'", hint=nearest(system, KNOWN) or "known: " + ", ".join(KNOWN))


@contextmanager
def opened(context: StageContext) -> Generator[Database, None, None]:
    """The database at a stage's other end.

    Raises:
        InputError: connection details that can't be used; all findings.
        DatabaseError: it can't be reached; and what the body raises, always without the secrets.
    """
    driver = driver_of(context.endpoint.type)
    options, secrets = _resolved(context, driver)
    try:
        database = driver.connect(options, context)
        try:
            yield database
        finally:
            with suppress(DatabaseError):  # what went wrong before says more
                database.close()
    except LakeflowJobMetaError as problem:
        problem.message, problem.hint = without(problem.message, secrets), without(problem.hint, secrets)
        # What the driver said is in the message, masked; as a cause it would be shown as it was.
        raise problem from None


def _resolved(context: StageContext, driver: Driver) -> tuple[dict[str, str], frozenset[str]]:
    """The options with all references resolved, and the texts that mustn't be shown."""
    endpoint = context.endpoint
    found: list[Diagnostic] = []

    def find(message: str, hint: str = "", key: str = "") -> None:
        place = RowLocation(f"{endpoint.type} {endpoint.name}", column="creds", path=(key,) if key else ())
        found.append(Diagnostic(message, place, hint))

    try:
        creds = parse_creds(endpoint.creds)
    except ValueError as problem:
        raise InputError(f"the credentials of {endpoint.name} can't be read: {problem}") from None
    plain = {path[0] for path in written_out(creds)}
    options, secrets = dict(driver.options), set[str]()
    for name, value in creds.items():
        known = SPELLINGS.get(name, name)
        if name in plain:
            find(f"'{name}' holds a secret itself", "write a reference: env:NAME or {{secrets/scope/key}}", name)
        elif known not in driver.options:
            find(f"unknown detail '{name}'", nearest(name, (*driver.options, *SPELLINGS)), name)
        elif not isinstance(value, str | int):
            find(f"'{name}' is no text or number", key=name)
        else:
            options[known] = _value(str(value), context.secret, secrets)
    for name, value in options.items():
        if name in ("path", "user") and not value:
            find(f"'{name}' is missing", "known: " + ", ".join(driver.options), name)
    if found:
        raise InputError(f"the credentials of {endpoint.name} can't be used", diagnostics=found)
    return options, frozenset(secrets)


def _value(text: str, look_up: Callable[[str], str], secrets: set[str]) -> str:
    """The text with the references in it resolved; what they stand for is added to the secrets."""

    def resolved(reference: str) -> str:
        value = look_up(reference)
        if value:
            secrets.add(value)
        return value

    if SecretReference.parse(text) is not None:
        return resolved(text)
    return IN_WORKSPACE.sub(lambda found: resolved(found[0]), text)


def label(context: StageContext) -> str:
    """What people are told the table is: `public.orders of crm`."""
    return f"{context.relation} of {context.endpoint.name}"
