"""Prepare, the stage that comes next, as a stub: it takes over a batch of the source stage through the contract.

    python examples/source_stage/prepare.py --config metadata/stages/testhub.yml --control-table main.etl.control

It waits for the completion row in log.source, refuses a batch that is stale, incomplete or breaks the contract, and
reads each table at the version that the batch handed over. What a real Prepare would do with the rows is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from lakeflow_job_meta import LakeflowJobMetaError
from lakeflow_job_meta.model.table import TableName
from lakeflow_job_meta.settings import load_settings
from lakeflow_job_meta.stages.config.read import read_source_config
from lakeflow_job_meta.stages.contract.handoff import Handoff
from lakeflow_job_meta.stages.contract.read import read_contract
from lakeflow_job_meta.stages.http.document import fetch_document
from lakeflow_job_meta.store.base import Store
from lakeflow_job_meta.store.open import open_store


def prepare(
    store: Store, config: Path, catalog: str, wait_seconds: float = 0, after: datetime | None = None
) -> dict[str, Any]:
    """Take over the newest batch.

    Args:
        store: where the source stage's tables are.
        config: the system's stage file, which names the contract.
        catalog: the tables' catalog.
        wait_seconds: how long to wait for a batch.
        after: batches that ended earlier don't count.

    Returns:
        The batch's envelope, and how many rows each table of the contract has.

    Raises:
        ConflictError: there is no batch in time, or only a stale one.
        InputError: the batch is incomplete, or breaks the contract.
    """
    source = read_source_config(config, fetch_document)
    if source.contract is None:
        raise SystemExit(f"{config} names no contract: there is nothing to rely on")
    contract = read_contract(source.contract)
    batch = Handoff(store, catalog, contract, source.source_system).wait(wait_seconds, after, poll_seconds=1)
    rows: dict[str, int] = {}
    for table in contract.tables:
        name = TableName.parse(f"{catalog}.{table.name}")
        if str(name) in batch.versions:
            rows[table.name] = len(batch.read(store, name))
    return {**batch.envelope, "rows": rows}


def main() -> int:
    """Take over one batch, and print what it is."""
    parser = argparse.ArgumentParser(description="Take over a batch of the source stage.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--control-table")
    parser.add_argument("--wait", type=float, default=0, help="seconds")
    given = parser.parse_args()
    settings = load_settings({"control_table": given.control_table}, os.environ)
    catalog = TableName.parse(settings.require_control_table()).catalog
    try:
        taken = prepare(open_store(settings), given.config, catalog, given.wait)
    except LakeflowJobMetaError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(taken, indent=2, default=str))
    return 0


if __name__ == "__main__":
    sys.exit(main())
