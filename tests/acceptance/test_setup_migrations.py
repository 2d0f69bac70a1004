"""`ljm bootstrap migrate`: asks first, tells what it did as text and as JSON, and by its exit code."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from lakeflow_job_meta.store.delta import DeltaStore
from tests.acceptance.shell import Shell, in_a_terminal

SETUP = Path(__file__).resolve().parents[2] / "metadata" / "setup"
MIGRATE = ("bootstrap", "migrate")
GOOD = "UPDATE ${dataset}.tenant_profiles SET name = upper(name);\n"
BAD = f"{GOOD}UPDATE ${{dataset}}.tenant_profiles SET nothing = 1;\n"


@pytest.fixture
def site(empty: Shell) -> Shell:
    """A project with one table in the dataset, and one migration that waits."""
    shutil.copytree(SETUP, empty.folder / "metadata" / "setup")
    for path in (empty.folder / "metadata" / "setup" / "migrations").glob("0*"):
        path.unlink()
    rows(empty, "CREATE TABLE main.tenants.tenant_profiles (name STRING)")
    rows(empty, "INSERT INTO main.tenants.tenant_profiles VALUES ('acme')")
    write(empty, "0001_good.sql", GOOD)
    return empty


def rows(shell: Shell, text: str = "SELECT * FROM main.tenants.tenant_profiles") -> list[dict[str, Any]]:
    return DeltaStore(shell.folder / ".lakeflow").sql(text)


def write(shell: Shell, name: str, text: str) -> None:
    (shell.folder / "metadata" / "setup" / "migrations" / name).write_text(text, "utf-8")


def test_nothing_is_done_without_a_yes(site: Shell) -> None:
    refused = site(*MIGRATE, "up", code=2)
    assert "to go on takes a yes (1 migration), and nobody can be asked" in refused.stderr
    assert "+ 0001_good: apply (1 statement)" in refused.stdout
    assert "aborted, nothing was done" in in_a_terminal(site, "n\n", *MIGRATE, "up", code=1)
    assert site(*MIGRATE, "up", "--dry-run").stdout == refused.stdout
    assert rows(site) == [{"name": "acme"}]


def test_a_yes_does_it_and_a_second_time_there_is_nothing_to_do(site: Shell) -> None:
    assert "Do this? [y/N]" in in_a_terminal(site, "y\n", *MIGRATE, "up")
    assert rows(site) == [{"name": "ACME"}]
    assert site(*MIGRATE, "up").stdout.endswith("Plan: 1 unchanged.\n")
    assert site(*MIGRATE, "down", "--yes").stdout.endswith("1 of 1 migration done.\n")
    assert rows(site) == [{"name": "acme"}]


def test_plan_and_outcomes_are_one_json_also_when_a_migration_fails(site: Shell) -> None:
    write(site, "0002_bad.sql", BAD)
    told = site.json(*MIGRATE, "up", "--yes", code=4)
    assert [each["action"] for each in told["plan"]["actions"]] == ["apply", "apply"]
    assert [(each["migration"], each["done"]) for each in told["outcomes"]] == [
        ("0001_good", True),
        ("0002_bad", False),
    ]
    assert told["outcomes"][1]["error"].startswith("metadata/setup/migrations/0002_bad.sql:2:1: [UNRESOLVED_COLUMN]")
    standings = site.json(*MIGRATE, "status")["migrations"]
    assert [(each["version"], each["state"]) for each in standings] == [(1, "applied"), (2, "failed")]
    assert standings[1]["run_id"] == standings[0]["run_id"]


def test_a_version_that_is_named_is_where_it_stops(site: Shell) -> None:
    write(site, "0002_more.sql", GOOD)
    site(*MIGRATE, "up", "--to", "1", "--yes")
    site(*MIGRATE, "baseline", "--yes")
    site(*MIGRATE, "up", "--to", "3", code=2)
    states = [each["state"] for each in site.json(*MIGRATE, "status")["migrations"]]
    assert states == ["applied", "baseline"]


def test_findings_are_told_with_their_places_by_each_command(site: Shell) -> None:
    site(*MIGRATE, "up", "--yes")
    write(site, "0001_good.sql", BAD)
    write(site, "0003_gap.sql", "GRANT x;")
    for command in ("up", "down", "baseline", "status"):
        found = site.json(*MIGRATE, command, code=1)["diagnostics"]
        assert [each["location"] for each in found] == [
            "metadata/setup/migrations/0003_gap.sql:1:1",
            "metadata/setup/migrations/0003_gap.sql:1:1",
            "metadata/setup/migrations/0001_good.sql:1:1",
        ]


def test_what_others_wrote_since_is_lost_only_when_that_is_said(site: Shell) -> None:
    site(*MIGRATE, "up", "--yes")
    rows(site, "INSERT INTO main.tenants.tenant_profiles VALUES ('bolt')")
    assert "--discard-later-writes" in site(*MIGRATE, "down", "--yes", code=1).stderr
    site(*MIGRATE, "down", "--yes", "--discard-later-writes")
    assert rows(site) == [{"name": "acme"}]


def test_a_run_that_is_under_way_elsewhere_is_a_conflict(site: Shell) -> None:
    site(*MIGRATE, "up", "--yes")
    rows(site, "UPDATE main.tenants._ljm_migrations SET status = 'applying', holder = 'elsewhere/1:2:3'")
    assert "0001_good is applying since" in site(*MIGRATE, "up", code=3).stderr
    site(*MIGRATE, "up", "--yes", "--take-over")
    assert rows(site) == [{"name": "ACME"}]


def test_the_examples_of_the_readme_are_applied_to_a_fresh_dataset_and_taken_back(empty: Shell) -> None:
    shutil.copytree(SETUP, empty.folder / "metadata" / "setup")
    empty("bootstrap", "--yes")
    text = (SETUP / "migrations" / "README.md").read_text("utf-8")
    examples = re.findall(r"```(?:sql|yaml)\n(?:--|#) (\S+)\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 2
    for name, content in examples:
        write(empty, name, content)
    key = (
        "INSERT INTO main.tenants.tenant_api_keys (api_key_id, tenant_id, key_name, key_prefix, key_hash, last_used_at)"
    )
    rows(empty, f"{key} VALUES ('k', 't', 'old', 'ab', X'00', TIMESTAMP '2020-01-01 00:00:00')")
    assert empty(*MIGRATE, "up", "--yes").stdout.endswith("2 of 2 migrations done.\n")
    assert rows(empty, "SELECT status FROM main.tenants.tenant_api_keys") == [{"status": "REVOKED"}]
    assert "segment" in [row["col_name"] for row in rows(empty, "DESCRIBE main.tenants.tenant_profiles")]
    empty(*MIGRATE, "down", "--to", "0", "--yes")
    assert rows(empty, "SELECT status FROM main.tenants.tenant_api_keys") == [{"status": "ACTIVE"}]


@pytest.mark.parametrize(
    ("file", "old", "new", "finding"),
    [
        ("bootstrap_system.yml", "setup.initial", "other.initial", "unknown ps_type 'other.initial.onetime_bootstrap'"),
        ("initial/config.yml", "dataset: tenants", "dataset: 1st", "dataset '1st' is not an identifier"),
        ("initial/config.yml", "catalog: main", "catalog: [main]", "catalog is ['main'], expected text"),
    ],
)
def test_a_pipeline_that_names_no_dataset_is_a_finding(
    site: Shell, file: str, old: str, new: str, finding: str
) -> None:
    path = site.folder / "metadata" / "setup" / file
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    assert finding in site(*MIGRATE, "status", code=1).stderr
