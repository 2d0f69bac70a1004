"""The demo's step about an API: the source stage as a module, against the example's own server."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tour import check, fail, heading, ljm, say, show, sql

SERVER = Path("examples/source_stage/testhub_server.py")
OPENAPI = Path("examples/source_stage/testhub.openapi.yaml")
VOLUME = "/Volumes/main/retail/metadata"
SECONDS = 30.0
TOKEN = "testhub-example-token"  # noqa: S105 - of an example that holds no data

MODULE = f"""\
metadata_version: "1.0"
modules:
  - module_name: testhub
    sources:
      - source_id: source
        execution_order: 1
        transformation_config:
          task_type: source_stage
          config_path: {VOLUME}/stages/testhub.yml
          bootstrap: true
          preview: true
"""
PORTFOLIO = """\
SELECT source_system, auth_method, total_endpoints AS endpoints,
  hierarchical_endpoints AS below, endpoint_success_rate AS success
FROM main.source.portfolio
"""
ENDPOINTS = """\
SELECT http_method, endpoint_path, category FROM main.source.endpoints
ORDER BY endpoint_path, http_method
"""
SAMPLE = """\
SELECT id, key, name, active FROM main.source.sampleprojects
WHERE _position < 3 ORDER BY _position
"""
LOG = """\
SELECT step, status, endpoint_count AS endpoints, request_count AS requests
FROM main.log.source ORDER BY finished_at, started_at DESC
"""
TABLES = ("config", "credentials", "endpoints", "portfolio", "sampleprojects", "samplereleases")


def run_source_stage(home: Path) -> None:
    """Declare the stage as a module, run its job, show its tables.

    Args:
        home: the embedded store and workspace.
    """
    heading("An API becomes tables under contract, before anybody extracts from it")
    with server() as url:
        describe(home, url)
        os.environ["LAKEFLOW_WHEEL_PATH"] = build_wheel(home)
        declared = home / "testhub_module.yml"
        declared.write_text(MODULE, "utf-8")
        say(f"\n$ cat > {declared}")
        show(MODULE.splitlines())
        say("")
        show(ljm("load", str(declared))[1:])
        check(ljm("apply", "--yes")[-1] == "Applied 1 of 1 changes.", "the stage's job is made")
        lines = ljm("run", "testhub", "--watch")
        check(any("source" in line and "SUCCESS" in line for line in lines), "the stage succeeds")
        show(lines[: lines.index("source:")])
    look()


def describe(home: Path, url: str) -> None:
    """Put the stage's files into a volume, and its token into a secret scope."""
    from lakeflow_job_meta.settings import load_settings
    from lakeflow_job_meta.workspace.connect import connect

    folder = home / VOLUME.removeprefix("/").replace("Volumes", "volumes")
    shutil.copytree("metadata/contracts", folder / "contracts")
    (folder / "stages").mkdir()
    shutil.copy(OPENAPI, folder / "stages")
    text = Path("metadata/stages/testhub.yml").read_text("utf-8")
    text = text.replace("env:TESTHUB_URL", url).replace("env:TESTHUB_TOKEN", '"{{secrets/testhub/token}}"')
    text = re.sub(r"^openapi: .*$", f"openapi: {OPENAPI.name}", text, flags=re.MULTILINE)
    (folder / "stages" / "testhub.yml").write_text(text, "utf-8")
    client = connect(load_settings({}, os.environ)).client
    client.secrets.create_scope("testhub")
    client.secrets.put_secret("testhub", "token", string_value=TOKEN)
    say("\nIts stage file and its OpenAPI document lie in a volume, its token in a")
    say(f"secret scope. {VOLUME}/stages/testhub.yml:")
    show(["  …", *(f"  {line}" for line in text.splitlines()[1:12]), "  …"])


def build_wheel(home: Path) -> str:
    """This product's wheel, as `ljm deploy` would upload it; returns its path."""
    from lakeflow_job_meta.deploy.package import this_package
    from lakeflow_job_meta.deploy.wheel import Wheel

    wheel = Wheel(this_package())
    path = home / wheel.name
    path.write_bytes(wheel.data)
    say("\nThe stage is a program of this product's wheel. `ljm deploy` uploads one;")
    say("here a setting names it:")
    say(f"\n$ export LAKEFLOW_WHEEL_PATH=$(ls $PWD/{home}/*.whl)")
    return str(path.resolve())


def look() -> None:
    say("")
    tables = "\n".join(ljm("sql", "SHOW TABLES IN main.source"))
    check(all(table in tables for table in TABLES), "all six tables are there")
    for text in (PORTFOLIO, ENDPOINTS, SAMPLE, LOG):
        show(sql(text))
    lines = ljm("contract", "check", "metadata/contracts/source.contract.yaml")
    check("0 errors" in lines[-1], "the tables keep the contract")
    show(lines)


@contextmanager
def server() -> Iterator[str]:
    """The example API, in a process of its own; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    say("A small test management API, as many are:\n")
    say(f"$ python {SERVER} --port {port} &")
    process = subprocess.Popen([sys.executable, str(SERVER), "--port", str(port)])
    try:
        wait_for(process, port)
        yield f"http://127.0.0.1:{port}/api"
    finally:
        process.terminate()
        process.wait(SECONDS)


def wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    fail(f"{SERVER} serves within {SECONDS:.0f} s")
