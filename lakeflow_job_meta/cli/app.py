"""The command `ljm`: which commands there are, and what becomes of errors."""

from __future__ import annotations

import io
import logging
import sys

import typer
import typer.exceptions

from lakeflow_job_meta.cli import (
    adopt,
    apply,
    bootstrap,
    bootstrap_migrations,
    changes,
    contract,
    deploy,
    destroy,
    doctor,
    export,
    forget,
    identity,
    init,
    lease,
    load,
    local,
    log,
    logs,
    migrate,
    monitor,
    pipeline_runs,
    pipelines,
    plan,
    repair,
    runs,
    sql,
    stage,
    status,
    validate,
)
from lakeflow_job_meta.cli import (
    run as run_now,
)
from lakeflow_job_meta.errors import ApplyError, LakeflowJobMetaError

UNEXPECTED = 1
INTERRUPTED = 130

app = typer.Typer(
    name="ljm",
    help="Keep Databricks Lakeflow Jobs equal to the rows of a Delta table.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help", "-h"]},
)
for module in (
    init, validate, load, plan, apply, run_now, logs, repair, status, log, changes, export, monitor, adopt, forget,
    destroy, migrate, doctor, deploy,
):  # fmt: skip
    app.command(module.NAME, help=module.HELP)(module.command)
# A statement may begin with a comment: `-- …` is no option.
app.command(sql.NAME, help=sql.HELP, context_settings={"ignore_unknown_options": True})(sql.command)
bootstrap.app.add_typer(bootstrap_migrations.app, name=bootstrap_migrations.NAME)
for name, text, command in pipeline_runs.COMMANDS:
    pipelines.app.command(name, help=text)(command)
pipelines.app.add_typer(pipeline_runs.app, name=pipeline_runs.NAME)
for name, group in (
    ("bootstrap", bootstrap.app),
    ("runs", runs.app),
    ("lease", lease.app),
    ("identity", identity.app),
    ("pipelines", pipelines.app),
    ("stage", stage.app),
    ("contract", contract.app),
    ("local", local.app),
):
    app.add_typer(group, name=name)


def _tell_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(version("lakeflow-job-meta"))
        raise typer.Exit


@app.callback()
def talk(
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Tell more on stderr."),
    version: bool = typer.Option(False, "--version", is_eager=True, callback=_tell_version, help="Tell the version."),
) -> None:
    """Set up the talk on stderr."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(message)s",
        force=True,
    )
    logging.getLogger("lakeflow_job_meta").setLevel(logging.DEBUG if verbose else logging.INFO)
    for noisy in ("databricks", "httpcore", "httpx", "urllib3", "watchdog"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def main(arguments: list[str] | None = None) -> None:
    """The entry point; exits with the code of what happened."""
    arguments = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Unicode still gets to read the rest
    raise SystemExit(run(arguments))


def run(arguments: list[str]) -> int:
    """Run one command; returns its exit code."""
    try:
        code = app(arguments, prog_name="ljm", standalone_mode=False)
    except LakeflowJobMetaError as error:
        return _failed(error, arguments)
    except typer.exceptions.TyperException as error:
        print(_misuse(error), file=sys.stderr)
        return error.exit_code
    except typer.Abort:
        print("aborted, nothing was done", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        sys.stderr.close()
        return 0
    except Exception as error:  # the edge: what we didn't foresee is told as such, with its trace when asked for
        logging.getLogger(__name__).debug("unexpected", exc_info=True)
        print(f"unexpected error: {type(error).__name__}: {error}\n  hint: `ljm -v …` shows where", file=sys.stderr)
        return UNEXPECTED
    return code if isinstance(code, int) else 0


def _failed(error: LakeflowJobMetaError, arguments: list[str]) -> int:
    from lakeflow_job_meta.cli.render import error_json, error_text, print_json

    if _wants_json(arguments) and not isinstance(error, ApplyError):
        print_json(error_json(error))
    else:  # what failed of an apply is in its outcomes, which are on stdout already
        print(error_text(error), file=sys.stderr)
    return 1 if "--detailed-exitcode" in arguments else error.exit_code


def _misuse(error: typer.exceptions.TyperException) -> str:
    """What is wrong with how a command was called; a command that only names others, without one: its help."""
    text = error.format_message()
    if text.startswith("Usage: "):
        return text
    context = getattr(error, "ctx", None)
    return f"error: {text}\n  hint: `{context.command_path if context else 'ljm'} --help`"


def _wants_json(arguments: list[str]) -> bool:
    pairs = zip(arguments, [*arguments[1:], ""], strict=True)
    return bool({"--output=json", "-ojson", "-o=json"} & set(arguments)) or any(
        one in ("--output", "-o") and two == "json" for one, two in pairs
    )
