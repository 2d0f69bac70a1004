"""Which warehouse the settings name, and what is wrong with settings that name none. Nothing here needs Spark."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lakeflow_job_meta.errors import UsageError
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.store.open import open_store
from lakeflow_job_meta.store.warehouse import only_reads, warehouse_store
from lakeflow_job_meta.store.warehouse_address import Address

PATH = "/sql/1.0/warehouses/1234abcd"


@pytest.mark.parametrize(
    ("text", "path", "host", "port"),
    [
        ("1234abcd", PATH, "", 443),
        (PATH, PATH, "", 443),
        (PATH[1:], PATH, "", 443),
        (f"{PATH}?o=42", f"{PATH}?o=42", "", 443),
        (f"https://example.com{PATH}", PATH, "example.com", 443),
        (f"https://Example.com:8443{PATH}?o=42", f"{PATH}?o=42", "example.com", 8443),
    ],
)
def test_a_warehouse_is_named_by_its_id_its_path_or_its_whole_address(
    text: str, path: str, host: str, port: int
) -> None:
    address = Address.parse(f"warehouse:{text}")
    assert (address.path, address.host, address.port, address.id) == (path, host, port, "1234abcd")
    assert warehouse_store(Settings(store=f"warehouse:{text}")).label == "warehouse 1234abcd"


@pytest.mark.parametrize(
    "text",
    ["", "two words", "/sql/", "https://example.com", f"http://example.com{PATH}", f"https://example.com:x{PATH}",
     "https://example.com/", "../x"],
)  # fmt: skip
def test_anything_else_is_refused_with_the_forms_that_there_are(text: str) -> None:
    with pytest.raises(UsageError, match="warehouse:<id>"):
        open_store(Settings(store=f"warehouse:{text}"))


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    with pytest.raises(UsageError) as caught:
        Address.parse(f"warehouse:https://me:secret@example.com{PATH}")
    assert "secret" not in str(caught.value)


def test_the_embedded_workspace_has_no_warehouse(tmp_path: Path) -> None:
    store = warehouse_store(Settings(home=tmp_path, store="warehouse:1234abcd"))
    with pytest.raises(UsageError, match="LAKEFLOW_WORKSPACE"):
        store.connection.run("SELECT 1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_file_that_holds_no_certificate_is_told_before_anything_is_sent(
    tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "ca.pem"
    if content:
        file.write_text(content)
    store = warehouse_store(Settings(store=f"warehouse:https://example.com{PATH}", warehouse_ca_file=str(file)))
    with pytest.raises(UsageError, match="warehouse_ca_file"):
        store.connection.run("SELECT 1")


def test_the_driver_is_imported_with_the_first_statement_only() -> None:
    code = (
        "import sys\n"
        "from lakeflow_job_meta.settings import Settings\n"
        "from lakeflow_job_meta.store.open import open_store\n"
        "open_store(Settings(store='warehouse:1234abcd')).label\n"
        "print([name for name in ('databricks.sql', 'databricks.sdk', 'pandas', 'pyarrow') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_a_driver_that_is_not_installed_is_named() -> None:
    code = (
        "import sys\n"
        "sys.modules['databricks.sql'] = None\n"
        "from lakeflow_job_meta.store.warehouse import WarehouseConnection\n"
        "from lakeflow_job_meta.store.warehouse_address import Access, Address\n"
        "address, access = Address.parse('warehouse:1234abcd'), Access('localhost', 1, dict)\n"
        "try:\n"
        "    WarehouseConnection(address, lambda: access).run('SELECT 1')\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("UsageError") and "pip install 'lakeflow-job-meta[warehouse]'" in done.stdout
    assert done.stderr == ""


def test_who_is_not_logged_in_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("DATABRICKS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    store = warehouse_store(Settings(store=f"warehouse:https://127.0.0.1:1{PATH}", home=tmp_path))
    with pytest.raises(UsageError, match="log in with the databricks CLI"):
        store.connection.run("SELECT 1")


@pytest.mark.parametrize(
    ("statement", "reads"),
    [
        ("SELECT 1", True),
        (" -- why\n (select 1)", True),
        ("DESCRIBE HISTORY main.etl.t", True),
        ("SHOW TABLES", True),
        ("WITH s AS (SELECT 1) SELECT * FROM s", True),
        ("WITH s AS (SELECT 1) INSERT INTO t SELECT * FROM s", False),
        ("/* SELECT */ DELETE FROM t", False),
        ("MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE", False),
        ("CREATE TABLE t AS SELECT 1", False),
        ("selection", False),
    ],
)
def test_only_what_surely_reads_may_be_run_twice(statement: str, reads: bool) -> None:
    assert only_reads(statement) is reads
