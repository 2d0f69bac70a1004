"""`python -m benchmarks.peers`: other tools with the same jobs on the same kind of server, beside ours; optional.

A tool is measured only if its programs are on PATH: `databricks`; `terraform` with `terraform-provider-databricks`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES
from benchmarks.goals import CPU, PEAK, REQUESTS
from benchmarks.measure import (
    Cost,
    environment,
    forget_requests,
    ground,
    least,
    measure,
    peak_of,
    requests_of,
    run,
)
from benchmarks.modules import TABLE, TASKS
from benchmarks.report import figure, number, table, times
from lakeflow_job_meta.workspace.launcher import LocalServer, ensure_local, stop_local

FIRST, AGAIN = "all jobs new", "nothing changed"
OURS = {FIRST: "first_apply", AGAIN: "no_op"}
PROVIDER = "terraform-provider-databricks"
MAPS = ("base_parameters", "tags")
"""Objects of a job that are maps in Terraform too; all others are blocks there."""

HEAD = ("jobs", "what", "requests", "CPU s", "MB", "wall s", "requests of ours", "CPU of ours", "MB of ours")


@dataclass(frozen=True, slots=True)
class Tool:
    """Another tool: the programs it needs, how its project is written, the commands that are measured."""

    title: str
    programs: tuple[str, ...]
    write: Callable[[Path, int], None]
    commands: Mapping[str, tuple[str, ...]]


def main() -> None:
    """Print a table of ratios; tools that aren't there are named."""
    parser = argparse.ArgumentParser(prog="benchmarks.peers", description=__doc__)
    parser.add_argument("--modules", type=int, default=100, help="jobs of 3 tasks each")
    parser.add_argument("--repeat", type=int, default=1, help="measure everything so often, and take the least")
    given = parser.parse_args()
    there = [tool for tool in TOOLS if not missing(tool)]
    for tool in TOOLS:
        if absent := missing(tool):
            print(f"skipped {tool.title}: {' and '.join(absent)} not on PATH", file=sys.stderr)
    if not there:
        return
    quiet = [measure_ours(given.modules) for _ in range(given.repeat)]
    ours = {step: least(costs[step] for costs in quiet) for step in OURS}
    rows = [[f"{given.modules:,}", f"{step}: ours", *_figures(ours[step]), "", "", ""] for step in OURS]
    for tool in there:
        costs = [measure_tool(tool, given.modules) for _ in range(given.repeat)]
        for step, command in tool.commands.items():
            cost = least(each[step] for each in costs)
            ratios = [times(figure(cost, name), figure(ours[step], name)) for name in (REQUESTS, CPU, PEAK)]
            rows.append([f"{given.modules:,}", f"{step}: `{' '.join(command)}`", *_figures(cost), *ratios])
    print(table(HEAD, sorted(rows, key=lambda row: list(OURS).index(row[1].partition(":")[0]))))


def missing(tool: Tool) -> list[str]:
    """Those of a tool's programs that aren't on PATH."""
    return [program for program in tool.programs if shutil.which(program) is None]


def measure_ours(modules: int) -> dict[str, Cost]:
    """The same steps of ours."""
    cases = {case.name: case for case in CASES}
    with ground(modules, 0) as place:
        measure(cases["load"], place)
        return {step: measure(cases[name], place) for step, name in OURS.items()}


def measure_tool(tool: Tool, modules: int) -> dict[str, Cost]:
    """Each command of a tool, in this order, in a project of its own on a server of its own."""
    with tempfile.TemporaryDirectory() as folder:
        project, home = Path(folder) / "project", Path(folder) / "home"
        project.mkdir()
        tool.write(project, modules)
        server = ensure_local(home)
        try:
            return {step: _measured(command, server, project) for step, command in tool.commands.items()}
        finally:
            stop_local(home)


def _measured(command: Sequence[str], server: LocalServer, project: Path) -> Cost:
    forget_requests(server)
    wall, usage = run(command, _environment(server, project), project)
    return Cost(wall, usage.ru_utime + usage.ru_stime, peak_of(usage), requests_of(server), {})


def _environment(server: LocalServer, project: Path) -> dict[str, str]:
    """Only this server, no profile or setting of the user, and nothing that asks other hosts."""
    return {
        **environment(),
        "HOME": str(project),
        "DATABRICKS_HOST": server.url,
        "DATABRICKS_TOKEN": server.token,
        "DATABRICKS_CLI_DISABLE_TELEMETRY": "1",
        "DATABRICKS_CLI_DISABLE_UPDATE_CHECK": "1",
        "CHECKPOINT_DISABLE": "1",
        "TF_CLI_CONFIG_FILE": str(project / "terraform.rc"),
    }


def job(module: int) -> dict[str, Any]:
    """The job that a module of `benchmarks.modules` becomes, but for our tag."""
    return {
        "name": f"module_{module}",
        "description": f"Benchmark module {module}",
        "max_concurrent_runs": 1,
        "tags": {"team": "bench", "tier": "gold"},
        "schedule": {"quartz_cron_expression": "0 0 6 * * ?", "timezone_id": "UTC"},
        "tasks": list(_tasks(module)),
    }


def _tasks(module: int) -> Iterator[dict[str, Any]]:
    for source in range(TASKS):
        after = {"depends_on": [{"task_key": f"s{module}_{source - 1}"}]} if source else {}
        key = f"s{module}_{source}"
        if source == 1:
            file = {"path": f"/etl/q{source}.sql", "source": "WORKSPACE"}
            work: dict[str, Any] = {"sql_task": {"warehouse_id": "w1", "file": file}}
        else:
            ours = {"source_id": key, "module_name": f"module_{module}", "control_table": TABLE}
            path = f"/etl/load_{source}"
            notebook = {"notebook_path": path, "source": "WORKSPACE", "base_parameters": {"day": "today", **ours}}
            work = {"notebook_task": notebook}
        yield {"task_key": key, **after, **work}


def write_bundle(project: Path, modules: int) -> None:
    """A bundle for the direct engine; JSON is YAML too."""
    jobs = {f"module_{module}": job(module) for module in range(modules)}
    bundle = {"bundle": {"name": "bench", "engine": "direct"}, "resources": {"jobs": jobs}}
    (project / "databricks.yml").write_text(json.dumps(bundle), "utf-8")


def write_terraform(project: Path, modules: int) -> None:
    """A Terraform configuration, and settings that take the provider from PATH instead of a registry."""
    resources: dict[str, Any] = {}
    for module in range(modules):
        settings = job(module)
        settings["task"] = settings.pop("tasks")
        resources[f"module_{module}"] = _blocks(settings)
    provider = {"required_providers": {"databricks": {"source": "databricks/databricks"}}}
    configuration = {"terraform": provider, "resource": {"databricks_job": resources}}
    (project / "main.tf.json").write_text(json.dumps(configuration), "utf-8")
    folder = Path(shutil.which(PROVIDER) or PROVIDER).resolve().parent
    overrides = f'dev_overrides {{ "databricks/databricks" = "{folder}" }}'
    (project / "terraform.rc").write_text(f"provider_installation {{\n  {overrides}\n  direct {{}}\n}}\n", "utf-8")


def _blocks(value: Any) -> Any:
    if isinstance(value, list):
        return [_blocks(each) for each in value]
    if not isinstance(value, dict):
        return value
    single = {name: _blocks(each) for name, each in value.items() if name not in MAPS}
    blocks = {name: [each] if isinstance(each, dict) else each for name, each in single.items()}
    return {**blocks, **{name: value[name] for name in MAPS if name in value}}


def _figures(cost: Cost) -> list[str]:
    return [*(number(figure(cost, name), name) for name in (REQUESTS, CPU, PEAK)), f"{cost.wall:.2f}"]


BUNDLE = ("databricks", "bundle", "deploy")
APPLY = ("terraform", "apply", "-auto-approve", "-no-color")
PLAN = ("terraform", "plan", "-no-color")
TOOLS = (
    Tool("databricks bundle", ("databricks",), write_bundle, {FIRST: BUNDLE, AGAIN: BUNDLE}),
    Tool("terraform", ("terraform", PROVIDER), write_terraform, {FIRST: APPLY, AGAIN: PLAN}),
)


if __name__ == "__main__":
    main()
