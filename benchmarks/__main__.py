"""`python -m benchmarks`: run all cases in order and print what each cost."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases import CASES
from lakeflow_job_meta.workspace.launcher import LocalServer, ensure_local, stop_local


@dataclass(frozen=True)
class Cost:
    """What one process cost; `peak` in MB, times in seconds."""

    wall: float
    cpu: float
    peak: float
    requests: dict[str, int]
    commits: dict[str, int]


def main() -> None:
    """Print the table, and the same as JSON with --json."""
    arguments = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    arguments.add_argument("--modules", type=int, default=1000, help="modules of 3 sources each")
    arguments.add_argument("--json", action="store_true")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        write_modules(home / "modules", given.modules)
        server = ensure_local(home)
        costs: dict[str, Cost] = {}
        if not given.json:
            print(f"{given.modules} modules × 3 tasks, embedded store and workspace")
            print(HEAD)
        try:
            for name in CASES:
                costs[name] = measure(name, home, server)
                if not given.json:
                    print(row_of(name, costs[name]), flush=True)
        finally:
            stop_local(home)
    if given.json:
        print(json.dumps({name: vars(cost) for name, cost in costs.items()}, indent=2))


MODULES_A_FILE = 1000
HEAD = f"{'case':24}{'wall s':>8}{'CPU s':>8}{'MB':>6}{'requests':>10}{'commits':>9}  by call; by table"


def row_of(name: str, cost: Cost) -> str:
    """One line of the table."""
    calls = " ".join(f"{number}×{call}" for call, number in sorted(cost.requests.items()))
    tables = " ".join(f"{number}×{table}" for table, number in cost.commits.items() if number)
    total, commits = sum(cost.requests.values()), sum(cost.commits.values())
    numbers = f"{cost.wall:8.2f}{cost.cpu:8.2f}{cost.peak:6.0f}{total:10}{commits:9}"
    return f"{name:24}{numbers}  {calls or '–'}; {tables or '–'}"


def write_modules(folder: Path, modules: int) -> None:
    """YAML of modules with three tasks in a row (notebook, SQL file, notebook), 1,000 a file."""
    folder.mkdir()
    for first in range(0, modules, MODULES_A_FILE):
        numbers = range(first, min(first + MODULES_A_FILE, modules))
        (folder / f"from_{first}.yml").write_text(modules_yaml(numbers), "utf-8")


def modules_yaml(numbers: range) -> str:
    """One file of modules with these numbers."""
    lines = ['metadata_version: "1.0"', "modules:"]
    for module in numbers:
        lines += [
            f"  - module_name: module_{module}",
            f"    description: Benchmark module {module}",
            "    job_config:",
            "      max_concurrent_runs: 1",
            "      tags: {team: bench, tier: gold}",
            '      schedule: {quartz_cron_expression: "0 0 6 * * ?", timezone_id: UTC}',
            "    sources:",
        ]
        for source in range(3):
            notebook = f"task_type: notebook, notebook_path: /etl/load_{source}, parameters: {{day: today}}"
            file = f"task_type: sql_file, sql_task: {{warehouse_id: w1, sql_file_path: /etl/q{source}.sql}}"
            lines += [
                f"      - source_id: s{module}_{source}",
                "        source_type: delta",
                f"        execution_order: {source + 1}",
                f"        source_config: {{path: /raw/{module}/{source}}}",
                f"        target_config: {{catalog: gold, schema: bench, table: t{module}_{source}}}",
                f"        transformation_config: {{{file if source == 1 else notebook}}}",
            ]
    return "\n".join(lines) + "\n"


def measure(case: str, home: Path, server: LocalServer) -> Cost:
    """Run one case in a new process; the counts are differences before and after."""
    _requests(server, "DELETE")
    before = _commits(home)
    started = time.perf_counter()
    arguments = [sys.executable, "-m", "benchmarks.cases", case, str(home)]
    child = os.posix_spawn(sys.executable, arguments, os.environ)
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - started
    if status != 0:
        raise SystemExit(f"{case} failed")
    commits = {table: number - before.get(table, -1) for table, number in _commits(home).items()}
    peak = usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024 * 1024)
    return Cost(wall, usage.ru_utime + usage.ru_stime, peak, _requests(server, "GET"), commits)


def _commits(home: Path) -> dict[str, int]:
    """The newest version of each table, read off its log."""
    logs = (home / "tables").glob("*/*/*/_delta_log")
    return {log.parent.name: max(int(file.stem) for file in log.glob("*.json") if file.stem.isdigit()) for log in logs}


def _requests(server: LocalServer, method: str) -> dict[str, int]:
    request = urllib.request.Request(  # noqa: S310 - the embedded workspace's own address
        f"{server.url}/local/requests", method=method, headers={"Authorization": f"Bearer {server.token}"}
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        body = answer.read()
    return json.loads(body)["counts"] if method == "GET" else {}


if __name__ == "__main__":
    main()
