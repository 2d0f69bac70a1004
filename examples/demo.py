"""What `make demo` runs: the product's main job, for real, on this machine alone.

YAML goes into a Delta control table, jobs appear in the embedded workspace, SQL edits change them under the same job
ids, jobs run, an API becomes tables, and a watched folder does the same by itself. Each command shown is run as shown;
whatever isn't as it should be ends the demo with an error.
"""

from __future__ import annotations

import json
import os
import queue
import random
import shlex
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from demo_api import run_source_stage
from tour import ROOT, all_jobs, check, fail, heading, ljm, prepare, say, show, sql

HOME = Path(".lakeflow/demo")
INBOX = HOME / "inbox"
TABLE = "main.retail.control"
MONITOR_SECONDS = 30.0
LANDING = HOME / "volumes/landing/shop"
ORDERS = 120
STORES_SENDING = ("store-berlin", "store-lyon", "store-poznan")
COUNTS = """\
SELECT 'bronze orders' AS what, count(*) AS rows FROM bronze.orders.orders
UNION ALL SELECT 'bronze lines', count(*) FROM bronze.orders.order_lines
UNION ALL SELECT 'bronze returns', count(*) FROM bronze.orders.returns
UNION ALL SELECT 'silver orders', count(*) FROM silver.orders.orders
UNION ALL SELECT 'silver lines', count(*) FROM silver.orders.order_lines
UNION ALL SELECT 'gold orders by day', count(*) FROM gold.orders.daily_orders
"""
RESULT = """\
SELECT store_id, sum(orders) AS orders, sum(revenue) AS revenue
FROM gold.orders.daily_orders GROUP BY ALL ORDER BY store_id
"""
ENVIRONMENT = {
    "LAKEFLOW_HOME": str(HOME),
    "LAKEFLOW_CONTROL_TABLE": TABLE,
    "LAKEFLOW_STORE": "embedded",
    "LAKEFLOW_WORKSPACE": "local",
}

EDITS = """\
-- a task changed
UPDATE main.retail.control
SET transformation_config = replace(
      transformation_config, '"max_retries":3', '"max_retries":5'),
    updated_timestamp = current_timestamp()
WHERE module_name = 'finance' AND source_id = 'ledger_entries';

-- a task more
INSERT INTO main.retail.control VALUES (
  'supplier_feed', 'inventory', 'api', 1, '{}', '{}',
  '{"task_type": "notebook", "notebook_path": "/Shared/supplier_feed"}',
  true);

-- a task less; its row stays
UPDATE main.retail.control
SET is_active = false, updated_timestamp = current_timestamp()
WHERE module_name = 'marketing' AND source_id = 'tell_the_team';
"""
EDITED = ("finance", "inventory", "marketing")

STORES = """\
metadata_version: "1.0"
modules:
  - module_name: stores
    job_config:
      schedule:
        quartz_cron_expression: 0 0 6 * * ?
        timezone_id: Europe/Berlin
    sources:
      - source_id: store_list
        execution_order: 1
        transformation_config:
          task_type: notebook
          notebook_path: /Shared/store_list
      - source_id: open_stores
        execution_order: 2
        transformation_config:
          task_type: sql_query
          sql_task:
            warehouse_id: 8f2c41d07b9ae356
            sql_query: SELECT * FROM bronze.stores WHERE closed_on IS NULL
"""
LATER = """\
UPDATE main.retail.control_modules
SET job_config = replace(job_config, '0 0 6', '0 30 6')
WHERE module_name = 'stores';
"""


def main() -> None:
    """Run all steps in order."""
    started = time.monotonic()
    sys.path.insert(0, str(ROOT))
    prepare(HOME, ENVIRONMENT)
    INBOX.mkdir()
    say("One row of a Delta table is one task; the rows of one module are one job.")
    say("Here are the rows of a retail lakehouse, an embedded Delta store, and an")
    say(f"embedded workspace that speaks the Jobs API. All of it lives in {HOME}.")
    load()
    before = first_apply()
    direct_edits()
    same_ids(before)
    run_orders()
    run_source_stage(HOME)
    move_tables()
    with Monitor() as monitor:
        watched_folder(monitor)
        watched_table(monitor)
    export()
    say(f"\nDone in {time.monotonic() - started:.0f} s.")
    try_next()


def load() -> None:
    heading("YAML becomes rows of the control table")
    lines = ljm("load", "metadata/modules")
    check("rows added" in lines[1], "the metadata is loaded")
    show([*lines[:4], "  …"])


def first_apply() -> dict[str, int]:
    heading("A plan says what would happen to which job")
    lines = ljm("plan")
    blocks = by_module(lines)
    check(len(blocks) >= 6 and lines[-1].startswith(f"Plan: {len(blocks)} to create"), "every module is planned")
    show([lines[0], "", *blocks["clickstream"], "", f"  … {len(blocks) - 1} more modules", "", lines[-1]])
    heading("Applying makes it true")
    lines = ljm("apply", "--yes")
    check(lines[-1] == f"Applied {len(blocks)} of {len(blocks)} changes.", "every job is made")
    show(lines[-1:])
    jobs = job_ids()
    show(ljm("local", "jobs"))
    nothing_to_do()
    return jobs


def direct_edits() -> None:
    heading("Somebody edits rows in SQL")
    sql(EDITS)
    say("")
    lines = ljm("plan")
    check(tuple(by_module(lines)) == EDITED, "just these three modules are planned")
    show(lines)


def same_ids(before: dict[str, int]) -> None:
    heading("Applied in place: external links, history, permissions stay")
    lines = ljm("apply", "--yes")
    check(lines[-1] == "Applied 3 of 3 changes.", "three jobs are updated")
    show(lines[-1:])
    after = job_ids()
    say("")
    show([f"  {'job':34} {'id before':>18} {'id after':>18}"])
    show([f"  {name:34} {job_id:18} {after.get(name, 0):18}" for name, job_id in before.items()])
    check(after == before, "no job id has changed")
    say(f"\nSame job ids: {len(before)} of {len(before)}.\n")
    nothing_to_do()


def run_orders() -> None:
    heading("A job runs, on this machine: files in, tables out")
    say("Three shops have sent their orders of three days, as files in")
    say(f"{LANDING}.\n")
    deliver()
    sql(Path("examples/sql/orders_tables.sql").read_text("utf-8"), shown="ljm sql < examples/sql/orders_tables.sql")
    lines = ljm("run", "orders", "--watch")
    check(any("gold_daily_orders" in line and "success" in line.lower() for line in lines), "every task succeeds")
    show(lines)
    say("")
    show(sql(COUNTS))
    lines = sql(RESULT)
    check(sum("store-" in line for line in lines) == len(STORES_SENDING), "each shop has its orders")
    show(lines)


def deliver() -> None:
    """Files as shops would send them: orders and their lines as JSON, returns as CSV; the same each time."""
    chance = random.Random(7)  # noqa: S311 (no secret)
    orders: list[dict[str, object]] = []
    positions: list[dict[str, object]] = []
    returns = ["order_id;line_no;reason"]
    for number in range(ORDERS):
        day = datetime.now(UTC).date() - timedelta(days=number % 3)
        moment = f"{day}T{chance.randrange(8, 20):02}:{chance.randrange(60):02}:00Z"
        store = STORES_SENDING[number % len(STORES_SENDING)]
        orders.append({"order_id": number, "store_id": store, "ordered_at": moment, "status": "paid"})
        for line in range(1, chance.randrange(2, 5)):
            price = f"{chance.randrange(199, 9999) / 100:.2f}"
            sku = f"sku-{chance.randrange(40):02}"
            positions.append(
                {
                    "order_id": number,
                    "line_no": line,
                    "sku": sku,
                    "quantity": chance.randrange(1, 4),
                    "unit_price": price,
                }
            )
        if chance.random() < 0.05:
            returns.append(f"{number};1;does not fit")
    for name, lines in (("orders", orders), ("order_lines", positions)):
        write(LANDING / name / "today.json", [json.dumps(each) for each in lines])
    write(LANDING / "returns" / "today.csv", returns)


def write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", "utf-8")


def move_tables() -> None:
    heading("Tables are registered to be moved, and become jobs like all others")
    command = shlex.split("examples/pipelines/shop.py --sqlite --tables orders --stages extract load")
    say(f"$ python {shlex.join(command[:2])} \\\n    {shlex.join(command[2:])}")
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    show([f"  {line}".rstrip() for line in done.stdout.strip().splitlines()])
    check(done.returncode == 0, f"a table moves from one database into another ({done.stderr.strip()})")


def watched_folder(monitor: Monitor) -> None:
    say(f"\n$ cat > {INBOX}/stores.yml")
    show(STORES.splitlines())
    (INBOX / "stores.yml").write_text(STORES, "utf-8")
    monitor.wait_for("stores: create done")
    check(stores_job()["schedule"]["quartz_cron_expression"] == "0 0 6 * * ?", "the monitor made the job")


def watched_table(monitor: Monitor) -> None:
    heading("It watches the table too: an edit in SQL is all that it takes")
    before = job_ids()
    sql(LATER)
    monitor.wait_for("stores: update done")
    check(stores_job()["schedule"]["quartz_cron_expression"] == "0 30 6 * * ?", "the monitor updated the job")
    check(job_ids() == before, "no job id has changed")


def export() -> None:
    heading("The table as YAML, for Git; loading it back changes nothing")
    target = HOME / "backup.yml"
    show(ljm("export", str(target)))
    text = target.read_text("utf-8")
    check("supplier_feed" in text and "open_stores" in text, "the export holds what SQL and the monitor wrote")
    say(f"\n$ head -n 12 {target}")
    show(text.splitlines()[:12])


def try_next() -> None:
    heading("Try next")
    script = Path(sys.executable).with_name("ljm")
    if script.exists():
        folder = script.parent
        inside = folder.is_relative_to(ROOT)
        say(f'  export PATH="{"$PWD/" if inside else ""}{folder.relative_to(ROOT) if inside else folder}:$PATH"')
    say(f"  export LAKEFLOW_HOME={HOME} LAKEFLOW_WORKSPACE=local")
    say(f"  export LAKEFLOW_CONTROL_TABLE={TABLE}")
    say(f"  export LAKEFLOW_WHEEL_PATH=$(ls $PWD/{HOME}/*.whl)")
    say("  ljm status                # each module's job")
    say("  ljm changes               # what changed in the table")
    say(f'  ljm sql "SELECT module_name, count(*) FROM {TABLE} GROUP BY 1"')
    say(f"  ljm monitor {INBOX} --interval 1   # and edit stores.yml there")
    say("\nA project of your own, in a new shell: ljm init my_project")
    say("README.md and docs/guide.md tell the rest.")


class Monitor:
    """`ljm monitor` as a process of its own, its lines shown as they come."""

    def __enter__(self) -> Monitor:
        heading("A monitor watches a folder: dropping a file is all that it takes")
        arguments = ["monitor", str(INBOX), "--interval", "1"]
        say(f"$ ljm {shlex.join(arguments)} &")
        self._lines: queue.Queue[str] = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lakeflow_job_meta", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))},
        )
        threading.Thread(target=self._read, daemon=True).start()
        self.wait_for("watching")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._process.terminate()
        code = self._process.wait(MONITOR_SECONDS)
        if kind is None:
            check(code == 0, "the monitor ends cleanly")

    def wait_for(self, text: str) -> None:
        """Show its lines until one has this text."""
        deadline = time.monotonic() + MONITOR_SECONDS
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                fail(f"the monitor says '{text}' within {MONITOR_SECONDS:.0f} s")
            show([f"monitor | {line}"])
            if text in line:
                return

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._lines.put(line.rstrip())


def nothing_to_do() -> None:
    lines = ljm("plan")
    check(lines[-1].startswith("Plan: ") and "unchanged" in lines[-1].split()[2], "nothing is left to do")
    show(lines[-1:])


def by_module(lines: list[str]) -> dict[str, list[str]]:
    """The lines of a plan about each module."""
    blocks: dict[str, list[str]] = {}
    module = ""
    for line in lines:
        if line.startswith("  ") and line[2:4] in ("+ ", "~ "):
            module = line[4:].split(":")[0]
        if line.startswith("  "):
            blocks.setdefault(module, []).append(line)
    return blocks


def job_ids() -> dict[str, int]:
    """Ids of all jobs of the workspace, by name, as the workspace itself says."""
    return {job["settings"]["name"]: job["job_id"] for job in all_jobs()}


def stores_job() -> dict[str, dict[str, str]]:
    (found,) = [job["settings"] for job in all_jobs() if job["settings"]["name"].endswith("stores")]
    return found


if __name__ == "__main__":
    main()
