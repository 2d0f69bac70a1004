"""Who we are at a warehouse: every kind of login that the SDK knows, by the settings alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lakeflow_job_meta.errors import StoreError
from lakeflow_job_meta.settings import Settings
from lakeflow_job_meta.store.warehouse import warehouse_store
from lakeflow_job_meta.workspace.connect import connect
from tests.local_server import Site

if TYPE_CHECKING:
    from tests.parity.warehouse_server import WarehouseServer


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No login of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith(("DATABRICKS_", "LAKEFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "databrickscfg"))


def one(settings: Settings) -> list[dict[str, int]]:
    return warehouse_store(settings).connection.run("SELECT 1 AS one")


def test_a_token_of_the_environment_opens_the_workspace_and_the_warehouse(
    warehouse: WarehouseServer, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", warehouse.logins.token)
    settings = Settings(
        home=tmp_path,
        store=f"warehouse:{warehouse.url}",
        workspace=site.server.url,
        warehouse_ca_file=str(warehouse.ca_file),
    )
    assert one(settings) == [{"one": 1}]


def test_a_profile_names_the_host_of_the_warehouse_too(
    warehouse: WarehouseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "databrickscfg").write_text(f"[prod]\nhost = {warehouse.host}\ntoken = {warehouse.logins.token}\n")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(warehouse.ca_file))
    settings = Settings(
        home=tmp_path,
        store=f"warehouse:{warehouse.address.id}",
        workspace="prod",
        warehouse_ca_file=str(warehouse.ca_file),
    )
    assert one(settings) == [{"one": 1}]


def test_a_service_principal_gets_a_new_token_whenever_the_old_one_ends(
    warehouse: WarehouseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", warehouse.logins.client_id)
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", warehouse.logins.client_secret)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(warehouse.ca_file))
    settings = Settings(
        home=tmp_path,
        store=f"warehouse:{warehouse.address.path}",
        workspace=warehouse.host,
        warehouse_ca_file=str(warehouse.ca_file),
    )
    connection = warehouse_store(settings).connection
    for _ in range(2):
        assert connection.run("SELECT 1 AS one") == [{"one": 1}]
    assert len(warehouse.logins.minted) > 2
    assert warehouse.count("OpenSession") == 1
    assert connect(settings).principal == warehouse.logins.client_id


def test_a_service_principal_logs_in_anew_on_another_host_than_the_workspace(
    warehouse: WarehouseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.parity.warehouse_server import running_warehouse

    monkeypatch.setenv("DATABRICKS_CLIENT_ID", warehouse.logins.client_id)
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", warehouse.logins.client_secret)
    with running_warehouse("http://127.0.0.1:1/", tmp_path) as workspace:
        workspace.logins.client_secret = warehouse.logins.client_secret
        both = tmp_path / "both.pem"
        both.write_text(warehouse.ca_file.read_text() + workspace.ca_file.read_text())
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(both))
        settings = Settings(
            home=tmp_path,
            store=f"warehouse:{warehouse.url}",
            workspace=workspace.host,
            warehouse_ca_file=str(warehouse.ca_file),
        )
        assert one(settings) == [{"one": 1}]
        assert set(warehouse.logins.minted).isdisjoint(workspace.logins.minted)
        assert warehouse.logins.minted


def test_a_service_principal_that_is_thrown_out_is_told_so_and_its_secret_is_not(
    warehouse: WarehouseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = warehouse.logins.client_secret
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", warehouse.logins.client_id)
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", secret)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(warehouse.ca_file))
    settings = Settings(
        home=tmp_path,
        store=f"warehouse:{warehouse.address.id}",
        workspace=warehouse.host,
        warehouse_ca_file=str(warehouse.ca_file),
    )
    connection = warehouse_store(settings).connection
    connection.run("SELECT 1")
    monkeypatch.setattr(warehouse.logins, "client_secret", "another")
    with pytest.raises(StoreError, match="no login to localhost") as caught:
        connection.run("SELECT 1")
    assert secret not in str(caught.value)


def test_nobody_but_the_named_hosts_is_called_and_nothing_is_said(
    warehouse: WarehouseServer, site: Site, tmp_path: Path
) -> None:
    code = (
        "import logging, sys\n"
        "logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)\n"
        "logging.getLogger('urllib3').setLevel(logging.WARNING)\n"
        "called = set()\n"
        "def hear(event, arguments):\n"
        "    if event == 'socket.connect' and isinstance(arguments[1], tuple):\n"
        "        called.add(arguments[1][1])\n"
        "sys.addaudithook(hear)\n"
        "import os\n"
        "from lakeflow_job_meta.settings import load_settings\n"
        "from lakeflow_job_meta.store.open import open_store\n"
        "store = open_store(load_settings({}, os.environ))\n"
        "print(store.sql('SELECT 1 AS one'))\n"
        "print(sorted(called))\n"
    )
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "LAKEFLOW_STORE": f"warehouse:{warehouse.url}",
        "LAKEFLOW_WORKSPACE": site.server.url,
        "LAKEFLOW_WAREHOUSE_CA_FILE": str(warehouse.ca_file),
        "DATABRICKS_TOKEN": warehouse.logins.token,
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    ports = sorted([warehouse.port, int(site.server.url.rpartition(":")[2])])
    assert done.stdout.splitlines() == ["[{'one': 1}]", str(ports)], done.stderr
    assert [line for line in done.stderr.splitlines() if "databricks.sql" in line] == []
    assert warehouse.logins.token not in done.stderr
    assert warehouse.count("OpenSession") == warehouse.count("CloseSession") == 1
