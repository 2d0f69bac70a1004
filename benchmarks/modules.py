"""The metadata that is measured: modules with three tasks in a row, alike but for their numbers."""

from __future__ import annotations

from pathlib import Path

TABLE = "bench.etl.control"
MODULES_A_FILE = 1000
TASKS = 3


def write_modules(folder: Path, modules: int) -> None:
    """YAML of modules with three tasks in a row (notebook, SQL file, notebook), 1,000 a file."""
    folder.mkdir(parents=True)
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
        for source in range(TASKS):
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


def change_rows(rows: int) -> str:
    """SQL that changes one row of each of the first modules; each time to another value."""
    ids = ", ".join(f"'s{module}_0'" for module in range(rows))
    return (
        f"UPDATE {TABLE} SET transformation_config = replace(transformation_config, '/load_', '_/load_') "
        f"WHERE source_id IN ({ids})"
    )
