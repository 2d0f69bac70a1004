"""The log of what was done, and that no secret gets into it, into a plan, or into what is said about a failure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta import ApplyError
from lakeflow_job_meta.model.plan import ActionKind
from lakeflow_job_meta.model.saved_plan import SavedPlan
from lakeflow_job_meta.store.delta import DeltaStore
from lakeflow_job_meta.workspace.launcher import ensure_local, stop_local
from tests.acceptance.shell import Shell
from tests.conftest import TABLE, Project
from tests.local_server import Site

SCHEDULE = {"quartz_cron_expression": "0 0 6 * * ?", "timezone_id": "UTC"}

REFERENCE = "{{secrets/scope/key}}"
KEY, PASSWORD, TOKEN, ENVIRONMENT, PARAMETER, ARGUMENT = SECRETS = (
    "aZ09+/accountkeyaZ09+/accountkey==", 'pass"wörd\\1', "dapi-0123456789", "en-vironment 9", "para-meter-7",
    "arg-u-8",
)  # fmt: skip
SPARK = {
    "spark.hadoop.fs.azure.account.key.acct.dfs.core.windows.net": KEY,
    "spark.db.password": PASSWORD,
    "spark.api.token": TOKEN,
    "spark.other.secret": REFERENCE,
    "spark.sql.shuffle.partitions": "8",
}


def cluster(**spark: str) -> dict[str, Any]:
    new = {"spark_version": "15.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 1}
    new |= {"spark_conf": {**SPARK, **spark}, "spark_env_vars": {"DB_SECRET": ENVIRONMENT, "HOME_DIR": "/x"}}
    return {"job_cluster_key": "main", "new_cluster": new}


def declare(store: DeltaStore, *, cluster: dict[str, Any], parameter: str = PARAMETER) -> None:
    """One module with secrets wherever a job has room for them."""
    config = {"task_type": "notebook", "notebook_path": "/n", "parameters": {"password": parameter, "day": "1"}}
    arguments = {"parameters": ["--token", ARGUMENT, "--day=1"], "python_file": "/p.py"}
    task = {"task_type": "task", "task": {"spark_python_task": arguments, "job_cluster_key": "main"}}
    job = {"job_clusters": [cluster], "parameters": [{"name": "api_key", "default": parameter}], "schedule": SCHEDULE}
    store.sql(f"DELETE FROM {TABLE}")
    store.sql(f"DELETE FROM {TABLE}_modules")
    for source, transformation in (("a", {**config, "job_cluster_key": "main"}), ("b", task)):
        store.sql(
            f"INSERT INTO {TABLE} VALUES (:source, 'm', 'x', 1, '{{}}', '{{}}', :config, true)",
            {"source": source, "config": json.dumps(transformation)},
        )
    store.sql(
        f"INSERT INTO {TABLE}_modules (module_name, job_config) VALUES ('m', :config)", {"config": json.dumps(job)}
    )


def spellings(secret: str) -> set[str]:
    """A secret as it may stand in a text: as it is, or quoted."""
    return {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}


def leaks(text: str, *more: str) -> list[str]:
    return [secret for secret in (*SECRETS, *more) if any(each in text for each in spellings(secret))]


def apply(project: Project) -> ApplyError | None:
    try:
        project.orchestrator.apply(project.orchestrator.plan())
    except ApplyError as error:
        return error
    return None


def log(project: Project) -> list[dict[str, Any]]:
    return project.orchestrator.log()


# What the log holds


def test_each_action_has_every_column(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "alice@example.com")
    project.add("a")
    project.add("b", module="n")
    project.job_config(schedule=SCHEDULE)
    apply(project)
    project.sql(f"UPDATE {TABLE} SET is_active = false WHERE source_id = 'a'")
    apply(project)
    rows = log(project)
    assert [(row["module_name"], row["action"], row["outcome"]) for row in rows] in (
        [("m", "pause", "done"), ("m", "create", "done"), ("n", "create", "done")],
        [("m", "pause", "done"), ("n", "create", "done"), ("m", "create", "done")],
    )
    pause, *creates = rows
    ids = {row["correlation_id"] for row in creates}
    assert len(ids) == 1
    assert re.fullmatch("[0-9a-f]{32}", ids.pop())
    assert pause["correlation_id"] != creates[0]["correlation_id"]
    for row in rows:
        empty = {name for name, value in row.items() if value is None}
        assert empty == ({"before_fingerprint"} if row["action"] == "create" else set())
        assert row["actor"] == "alice@example.com"
        assert row["workspace_id"] == project.orchestrator.workspace.id
        assert row["duration_ms"] >= 0
    assert [row["control_version"] for row in rows] == [3, 2, 2]


def test_the_fingerprints_are_those_of_what_was_recorded_before_and_after(project: Project) -> None:
    project.add("a")
    project.job_config(schedule=SCHEDULE)
    apply(project)
    project.add("b")
    apply(project)
    project.sql(f"UPDATE {TABLE} SET is_active = false")
    apply(project)
    project.sql(f"UPDATE {TABLE} SET is_active = true")
    apply(project)
    project.add("c")
    project.site.fault(
        method="POST", path="jobs/reset", action="status", status=400, error_code="INVALID", message="no"
    )
    apply(project)
    project.site.no_faults()
    apply(project)
    project.sql(f"DELETE FROM {TABLE}")
    project.sql(f"DELETE FROM {TABLE}_modules")
    project.add("other", module="n")
    project.orchestrator.apply(project.orchestrator.plan(prune=True), allow_disruptive=True)
    rows = [row for row in reversed(log(project)) if row["module_name"] == "m"]
    assert [(row["action"], row["outcome"]) for row in rows] == [
        ("create", "done"), ("update", "done"), ("pause", "done"), ("resume", "done"), ("update", "failed"),
        ("update", "done"), ("delete", "done"),
    ]  # fmt: skip
    after = [row["after_fingerprint"] for row in rows]
    assert [row["before_fingerprint"] for row in rows] == [None, *after[:-1]]
    assert (len(after[0]), after[-1]) == (64, None)
    assert after[1] == after[2] == after[3] == after[4]  # neither a pause nor a failure changes what is recorded
    assert len(set(after)) == 4


def test_letting_go_of_a_job_is_an_action_too(project: Project) -> None:
    project.add("a")
    apply(project)
    job_id = project.only_job()["job_id"]
    project.sql(f"UPDATE {TABLE} SET is_active = false")
    project.orchestrator.forget(["m"])
    row, create = log(project)
    assert (row["action"], row["outcome"], row["job_id"]) == ("forget", "done", job_id)
    assert (row["before_fingerprint"], row["after_fingerprint"]) == (create["after_fingerprint"], None)
    assert (row["control_version"], len(row["correlation_id"])) == (2, 32)


# Secrets: plans


def test_a_plan_masks_secrets_and_shows_references(project: Project) -> None:
    declare(project.store, cluster=cluster())
    plan = project.orchestrator.plan()
    for text in (str(plan), plan.to_json(), plan._repr_html_(), repr(plan)):
        assert leaks(text) == []
        assert "(masked)" in text
    assert REFERENCE in plan.to_json()
    (action,) = json.loads(plan.to_json())["actions"]
    created = {change["path"]: change["new"] for change in action["changes"]}
    spark = created["job_clusters[main]"]["new_cluster"]["spark_conf"]
    assert spark == {
        **dict.fromkeys(SPARK, "(masked)"),
        "spark.other.secret": REFERENCE,
        "spark.sql.shuffle.partitions": "8",
    }
    assert created["parameters[api_key]"] == {"name": "api_key", "default": "(masked)"}
    assert created["tasks[a]"]["notebook_task"]["base_parameters"]["password"] == "(masked)"
    assert created["tasks[a]"]["notebook_task"]["base_parameters"]["day"] == "1"
    assert created["tasks[b]"]["spark_python_task"]["parameters"] == ["--token", "(masked)", "--day=1"]


def test_a_secret_that_changes_is_still_a_change(project: Project) -> None:
    declare(project.store, cluster=cluster())
    apply(project)
    declare(project.store, cluster=cluster(**{"spark.db.password": "an-other-1"}), parameter="an-other-2")
    plan = project.orchestrator.plan()
    for text in (str(plan), plan.to_json(), plan._repr_html_(), repr(plan)):
        assert leaks(text, "an-other-1", "an-other-2") == []
    assert '~ job_clusters[main].new_cluster.spark_conf.spark.db.password: "(masked)" → "(masked)"' in str(plan)
    assert '~ parameters[api_key].default: "(masked)" → "(masked)"' in str(plan)
    assert apply(project) is None
    settings = project.only_job()["settings"]
    assert settings["job_clusters"][0]["new_cluster"]["spark_conf"]["spark.db.password"] == "an-other-1"
    assert project.orchestrator.plan().empty


def test_two_secrets_are_two_saved_plans_and_neither_is_in_the_file(project: Project) -> None:
    declare(project.store, cluster=cluster())
    apply(project)
    job_id = project.only_job()["job_id"]
    project.update_job(job_id, parameters=[{"name": "api_key", "default": "drifted-1"}])
    plan = project.orchestrator.plan()
    saved = SavedPlan.of(plan, asdict(project.settings))
    assert leaks(saved.to_json(plan), "drifted-1") == []
    project.update_job(job_id, parameters=[{"name": "api_key", "default": "drifted-2"}])
    assert saved.modules != SavedPlan.of(project.orchestrator.plan(), asdict(project.settings)).modules


# Secrets: failures


@pytest.mark.parametrize("quoted", [False, True])
def test_a_message_that_quotes_secrets_gets_nowhere(project: Project, quoted: bool) -> None:
    declare(project.store, cluster=cluster())
    said = ", ".join(json.dumps(secret) if quoted else secret for secret in SECRETS)
    message = f"spark_conf or so is bad: {said}"
    project.site.fault(
        method="POST", path="jobs/create", action="status", status=400, error_code="INVALID", message=message
    )
    error = apply(project)
    assert error is not None
    assert "(masked)" in str(error)
    (row,) = project.sql(f"SELECT * FROM {TABLE}_log WHERE module_name IS NOT NULL")
    (state,) = project.sql(f"SELECT last_error FROM {TABLE}_jobs WHERE module_name = 'm'")
    status = project.orchestrator.status()
    told = (str(error), repr(error.outcomes), row["message"], state["last_error"], repr(status), repr(log(project)))
    assert [leaks(text) for text in told] == [[]] * len(told)
    assert "is bad" in row["message"]
    assert "is bad" in state["last_error"]


def test_a_message_that_is_cut_has_no_half_secret_at_its_end(project: Project) -> None:
    declare(project.store, cluster=cluster())
    project.site.fault(
        method="POST", path="jobs/create", action="status", status=400, error_code="INVALID",
        message="x" * (300 - len("POST /api/2.2/jobs/create: ") - 10) + KEY,
    )  # fmt: skip
    error = apply(project)
    assert error is not None
    assert KEY[:6] not in str(error)


def test_a_message_that_quotes_what_was_there_before_is_masked_too(project: Project) -> None:
    declare(project.store, cluster=cluster())
    apply(project)
    declare(project.store, cluster=cluster(**{"spark.db.password": "an-other-1"}))
    project.site.fault(
        method="POST", path="jobs/reset", action="status", status=400, error_code="INVALID",
        message=f"{PASSWORD} can't become an-other-1",
    )  # fmt: skip
    error = apply(project)
    assert error is not None
    assert "(masked) can't become (masked)" in str(error)
    assert leaks(json.dumps([row["message"] for row in log(project)]), "an-other-1") == []


@pytest.mark.parametrize(
    "config",
    [
        '{"job_clusters": [{"new_cluster": {"spark_conf": {"x.password": 424242}}}]}',
        '{"tags": {"my_password": 424242}}',
        '{"x_password": "424242}',
        '{"x_password": 424242 424242}',
        '{"x_password": 424242, "x_password": 424242}',
        '{"x_password": "424242"}',
    ],
)
def test_findings_about_bad_settings_quote_no_secret(project: Project, config: str) -> None:
    project.add("a")
    project.store.sql(f"INSERT INTO {TABLE}_modules (module_name, job_config) VALUES ('m', :c)", {"c": config})
    plan = project.orchestrator.plan()
    assert [action.kind for action in plan.actions if action.failed] == [ActionKind.SKIP]
    for text in (str(plan), plan.to_json(), plan._repr_html_(), repr(project.orchestrator.status())):
        assert "424242" not in text, text


# Secrets: the command line


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[tuple[Shell, Site]]:
    made = Shell(tmp_path)
    try:
        site = Site(tmp_path / ".lakeflow", ensure_local(tmp_path / ".lakeflow", ("--faults",)))
        made("init")
        yield made, site
    finally:
        stop_local(tmp_path / ".lakeflow")


@pytest.mark.slow
def test_no_command_tells_a_secret(shell: tuple[Shell, Site]) -> None:
    ljm, site = shell
    declare(DeltaStore(ljm.folder / ".lakeflow"), cluster=cluster())
    site.fault(
        method="POST", path="jobs/create", action="status", status=400, error_code="INVALID",
        message=f"bad value {PASSWORD}, {KEY}, {TOKEN}",
    )  # fmt: skip
    told = [
        ljm("plan", "--out", "p.json"),
        ljm("plan", "-o", "json"),
        ljm("-v", "apply", "--yes", code=4),
        ljm("apply", "p.json", code=3),
        ljm("apply", "--yes", "-o", "json", code=4),
        ljm("status"),
    ]
    for done in told:
        assert leaks(done.stdout) == leaks(done.stderr) == [], done.args
    assert "bad value (masked), (masked), (masked)" in told[2].stderr
    assert leaks((ljm.folder / "p.json").read_text()) == []
    rows = ljm.json("log")
    assert [row["outcome"] for row in rows] == ["failed", "failed"]
    long = ljm("log", "--long", "-n", "1").stdout
    assert leaks(repr(rows)) == leaks(long) == []
    for name, value in rows[0].items():
        shown = str(value)[:19].replace("T", " ") if name == "logged_at" else str(value or "")
        assert name in long
        assert shown in long
