"""The cases, each run by `python -m benchmarks.cases CASE HOME` as a whole process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

TABLE = "bench.etl.control"


def load(home: Path) -> None:
    """YAML into an empty table."""
    _manager(home).load_yaml(home / "modules")


def load_again(home: Path) -> None:
    """The same YAML once more."""
    _manager(home).load_yaml(home / "modules")


def first_apply(home: Path) -> None:
    """All jobs made."""
    _apply(home, refresh=True)


def no_op(home: Path) -> None:
    """Nothing changed; the workspace is looked at."""
    _apply(home, refresh=True)


def no_op_no_refresh(home: Path) -> None:
    """Nothing changed; the workspace isn't looked at."""
    _apply(home, refresh=False)


def change_one(home: Path) -> None:
    """One row changed by SQL (not counted as part of the apply)."""
    _manager(home).sql(
        f"UPDATE {TABLE} SET transformation_config = replace(transformation_config, '/etl/', '/etl2/') "
        "WHERE source_id = 's0_0'"
    )


def one_change_no_refresh(home: Path) -> None:
    """That row's module applied."""
    _apply(home, refresh=False)


CASES: dict[str, Callable[[Path], None]] = {
    case.__name__: case
    for case in (load, load_again, first_apply, no_op, no_op_no_refresh, change_one, one_change_no_refresh)
}


def _manager(home: Path):
    from lakeflow_job_meta.metadata_manager import MetadataManager
    from lakeflow_job_meta.settings import Settings

    return MetadataManager(TABLE, settings=Settings(TABLE, home))


def _apply(home: Path, *, refresh: bool) -> None:
    from lakeflow_job_meta.orchestrator import JobOrchestrator
    from lakeflow_job_meta.settings import Settings

    orchestrator = JobOrchestrator(TABLE, settings=Settings(TABLE, home))
    orchestrator.apply(orchestrator.plan(changed_only=not refresh))


if __name__ == "__main__":
    CASES[sys.argv[1]](Path(sys.argv[2]))
