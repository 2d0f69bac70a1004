"""The product on each engine: the same metadata, the same calls, the same jobs."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lakeflow_job_meta import ConflictError, InputError
from lakeflow_job_meta.model.plan import ActionKind
from tests.local_server import job, notebook_task
from tests.parity.engines import Engine
from tests.parity.ground import Ground, at_most

YAML = """\
metadata_version: "1.0"
modules:
  - module_name: orders
    description: it's about "orders"
    job_config: {tags: {team: data}}
    sources:
      - source_id: raw
        execution_order: 1
        transformation_config: {task_type: notebook, notebook_path: /etl/raw}
      - source_id: clean
        execution_order: 2
        transformation_config: {task_type: notebook, notebook_path: /etl/clean}
"""

SOME = pytest.mark.parametrize("engine", ["embedded", "spark"], indirect=True)
"""What no longer depends on how statements travel."""


def kinds(actions: object) -> list[tuple[str, str]]:
    return [(action.module, str(action.kind)) for action in actions]  # type: ignore[attr-defined]


def test_the_whole_way_from_yaml_to_jobs_and_on(ground: Ground, tmp_path: Path) -> None:
    store, orchestrator = ground.engine.store, ground.orchestrator
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "orders.yml").write_text(YAML, "utf-8")

    ground.manager.load_yaml(folder)
    assert kinds(orchestrator.plan().effective) == [("orders", "create")]
    orchestrator.apply(orchestrator.plan())
    assert ground.tasks() == {"orders": ["clean", "raw"]}
    assert not ground.manager.load_yaml(folder).wrote

    # Nothing changed: nothing to do, and little to ask.
    before = ground.versions()
    with at_most(store, 11):
        plan = orchestrator.plan()
        assert (plan.empty, orchestrator.apply(plan)) == (True, ())
    assert ground.versions() == before

    # The guide's INSERT, by position; a new module, and one row more of the first.
    ground.insert("other")
    ground.insert("more", module="orders")
    ids = {name: found["job_id"] for name, found in ground.jobs().items()}
    assert kinds(orchestrator.plan().effective) == [("m", "create"), ("orders", "update")]
    orchestrator.apply(orchestrator.plan())
    assert ground.tasks() == {"m": ["other"], "orders": ["clean", "more", "raw"]}
    assert ground.jobs()["orders"]["job_id"] == ids["orders"]

    # One row changed, by somebody else, who doesn't touch the timestamp.
    ground.engine.open().sql(f"UPDATE {ground.table} SET execution_order = 3 WHERE source_id = 'more'")
    with at_most(store, 19):
        outcomes = orchestrator.apply(orchestrator.plan())
    assert [(outcome.action.module, str(outcome.action.kind)) for outcome in outcomes] == [("orders", "update")]
    assert orchestrator.plan().empty

    # Undone by time travel.
    ground.sql("RESTORE TABLE {t} TO VERSION AS OF 1")
    plan = orchestrator.plan()
    assert kinds(plan.effective) == [("m", "pause"), ("orders", "update")]
    orchestrator.apply(plan)
    assert ground.tasks()["orders"] == ["clean", "raw"]
    assert [row["module"] for row in orchestrator.status() if row["job_id"]] == ["m", "orders"]
    told = [(row["module_name"], row["action"]) for row in orchestrator.log(2)]
    assert sorted(told) == [("m", "pause"), ("orders", "update")]


def test_a_monitor_sees_what_changed_and_asks_little_where_nothing_did(ground: Ground) -> None:
    ground.insert("a", "b")
    monitor = ground.monitor(drift_interval_seconds=3600)
    assert monitor.check_and_update().changed
    monitor.check_and_update()
    with at_most(ground.engine.store, 8):
        assert not monitor.check_and_update().looked
    ground.sql("DELETE FROM {t} WHERE source_id = 'b'")
    assert monitor.check_and_update().changed
    assert ground.tasks() == {"m": ["a"]}
    assert not monitor.check_and_update().changed


@SOME
def test_changes_are_told_by_timestamps_also_where_there_are_none(ground: Ground) -> None:
    ground.insert("a", "b")
    ground.sql(
        "INSERT INTO {t} VALUES ('c', 'n', 'x', 1, NULL, NULL, NULL, NULL, NULL, NULL),"
        " ('d', 'n', 'x', 1, NULL, NULL, NULL, DEFAULT, DEFAULT, DEFAULT)"
    )
    all_changes = ground.manager.detect_changes()
    assert all_changes["new_modules"] == ["m", "n"]
    check = datetime.now(UTC)
    ground.sql(
        "UPDATE {t} SET is_active = false, updated_timestamp = current_timestamp() + INTERVAL 1 SECOND"
        " WHERE source_id = 'a'; DELETE FROM {t} WHERE source_id = 'd'"
    )
    assert ground.manager.detect_changes(check)["changed_sources"] == [
        {"source_id": "a", "module_name": "m", "action": "deactivated"},
        {"source_id": "d", "module_name": "n", "action": "deactivated"},
    ]
    (row,) = ground.sql(
        "SELECT is_active, created_timestamp = updated_timestamp AS same FROM {t} WHERE source_id = 'b'"
    )
    assert row == {"is_active": True, "same": True}


@SOME
def test_only_one_applies_at_a_time_and_who_was_fenced_off_writes_nothing(ground: Ground) -> None:
    ground.insert("a")
    first, second = ground.orchestrator, ground.on(ground.engine.open())
    plans = first.plan(), second.plan()
    refused: list[ConflictError] = []

    def meanwhile(outcome: object) -> None:
        with pytest.raises(ConflictError, match="holds the lease") as caught:
            second.apply(plans[1])
        refused.append(caught.value)
        assert second.release_lease() is not None

    with pytest.raises(ConflictError, match="taken over"):
        first.apply(plans[0], on_outcome=meanwhile)
    assert len(refused) == 1
    lease = second.lease()
    assert lease is not None
    assert not lease.held
    # Who comes next finishes the work; there is still but one job.
    second.apply(second.plan())
    assert second.plan().empty
    assert ground.tasks() == {"m": ["a"]}


@SOME
def test_jobs_are_taken_over_let_go_and_destroyed(ground: Ground) -> None:
    made = ground.client.api_client.do("POST", "/api/2.2/jobs/create", body=job(notebook_task("x"), name="by hand"))
    orchestrator = ground.orchestrator
    orchestrator.adopt(["by hand"])
    assert orchestrator.plan().empty
    assert ground.jobs()["by hand"]["job_id"] == made["job_id"]
    ground.insert("a")
    orchestrator.apply(orchestrator.plan())
    ground.sql("DELETE FROM {t} WHERE module_name = 'by hand'; DELETE FROM {t}_modules WHERE module_name = 'by hand'")
    assert orchestrator.forget(["by hand"]) == ["by hand"]
    plan = orchestrator.plan(destroy=True)
    assert kinds(plan.effective) == [("m", str(ActionKind.DELETE))]
    orchestrator.apply(plan)
    assert list(ground.jobs()) == ["by hand"]


@SOME
def test_a_table_that_was_emptied_copied_or_made_again_is_not_taken_for_the_old_one(ground: Ground) -> None:
    ground.insert("a")
    orchestrator = ground.orchestrator
    orchestrator.apply(orchestrator.plan())
    ground.sql("DELETE FROM {t}")
    with pytest.raises(InputError, match="has no rows, but the state has 1 job"):
        orchestrator.plan()
    ground.sql("ALTER TABLE {t} SET TBLPROPERTIES ('lakeflow_job_meta.control_table' = 'main.prod.control')")
    with pytest.raises(ConflictError, match=r"is a copy of main\.prod\.control"):
        orchestrator.plan()
    orchestrator.keep_identity()
    owner = orchestrator.identity()["owner"]
    ground.sql("DROP TABLE {t}")
    ground.manager.ensure_exists()
    ground.insert("a")
    with pytest.raises(ConflictError, match=f"under the owner {owner}"):
        orchestrator.plan()
    orchestrator.new_identity()
    assert kinds(orchestrator.plan().effective) == [("m", "create")]


@SOME
def test_two_edit_while_jobs_are_brought_up_to_date_and_nothing_is_lost(ground: Ground, engine: Engine) -> None:
    rounds = 2
    ground.insert(*(f"s{number}" for number in range(4)))
    stores = [engine.open() for _ in range(2)]
    done = threading.Event()

    def edit(number: int) -> None:
        for step in range(rounds):
            stores[number].sql(
                f"UPDATE {ground.table} SET execution_order = execution_order + 1 WHERE source_id = 's{number}'"
            )
            stores[number].sql(
                f"INSERT INTO {ground.table} (source_id, module_name, transformation_config) SELECT "
                f"'n{number}{step}', 'm', transformation_config FROM {ground.table} WHERE source_id = 's3'"
            )

    def reconcile() -> None:
        while not done.is_set():
            orchestrator = ground.on(ground.engine.store)
            try:
                orchestrator.apply(orchestrator.plan())
            except ConflictError:
                continue  # a plan whose rows moved meanwhile is refused

    with ThreadPoolExecutor(3) as pool:
        reconciling = pool.submit(reconcile)
        for editing in [pool.submit(edit, number) for number in range(2)]:
            editing.result()
        done.set()
        reconciling.result()
    orchestrator = ground.orchestrator
    orchestrator.apply(orchestrator.plan())
    assert orchestrator.plan().empty
    orders = {row["source_id"]: row["execution_order"] for row in ground.manager.get_module_sources("m")}
    assert (orders["s0"], orders["s1"]) == (1 + rounds, 1 + rounds)
    added = {f"n{number}{step}" for number in range(2) for step in range(rounds)}
    assert orders.keys() == {"s0", "s1", "s2", "s3"} | added
    assert ground.tasks() == {"m": sorted(orders)}
