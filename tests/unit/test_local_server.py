"""The embedded workspace as a process: started once, found again, safe, gone when idle; and its faults."""

from __future__ import annotations

import json
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakeflow_job_meta.errors import WorkspaceError
from lakeflow_job_meta.workspace.launcher import ensure_local, find_local, stop_local
from tests.local_server import Site, job, running_server

LIST, CREATE = "/api/2.2/jobs/list", "/api/2.2/jobs/create"
CLIENT = """
import sys, time
from pathlib import Path
from lakeflow_job_meta.workspace.launcher import ensure_local
server = ensure_local(Path(sys.argv[1]), sys.argv[3:])
print(server.url, flush=True)
time.sleep(float(sys.argv[2]))
"""


def client_process(home: Path, seconds: float, *flags: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CLIENT, str(home), str(seconds), *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def until(condition: object, seconds: float = 10) -> bool:
    """Wait until a callable says yes."""
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_server(tmp_path_factory.mktemp("home"), "--faults") as site:
        yield site
        site.no_faults()


def test_state_token_address_and_workspace_survive_a_restart(tmp_path: Path) -> None:
    with running_server(tmp_path) as site:
        job_id = site.call("POST", CREATE, job()).data["job_id"]
        again = site.restart()
        assert again.server == site.server
        assert [each.job_id for each in again.client().jobs.list()] == [job_id]


def test_a_killed_server_is_replaced_and_loses_nothing(tmp_path: Path) -> None:
    with running_server(tmp_path) as site:
        job_id = site.call("POST", CREATE, job()).data["job_id"]
        old = site.pid
        site.kill()
        again = Site(tmp_path, ensure_local(tmp_path))
        assert again.pid != old
        assert again.call("GET", f"/api/2.2/jobs/get?job_id={job_id}").status == 200


def test_clients_that_start_at_once_share_one_server(tmp_path: Path) -> None:
    clients = [client_process(tmp_path, 0) for _ in range(4)]
    try:
        urls = {each.communicate(timeout=30)[0].strip() for each in clients}
        assert urls == {ensure_local(tmp_path).url}
        assert (tmp_path / "local" / "server.log").read_text().count(" serving ") == 1
    finally:
        stop_local(tmp_path)


def test_a_second_server_on_the_same_home_says_where_the_first_runs(site: Site) -> None:
    command = [sys.executable, "-m", "lakeflow_job_meta.local", "--home", str(site.home)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 0 and site.server.url in second.stdout


def test_the_server_ends_when_idle_but_not_while_a_client_lives(tmp_path: Path) -> None:
    client = client_process(tmp_path, 2, "--idle-seconds", "0.5")
    try:
        assert client.stdout is not None and client.stdout.readline().startswith("http://127.0.0.1:")
        time.sleep(1.2)
        assert client.poll() is None and find_local(tmp_path) is not None
        client.wait(timeout=10)
        assert until(lambda: find_local(tmp_path) is None)
        assert until(lambda: not (tmp_path / "local" / "server.json").exists())
        assert "stopping" in (tmp_path / "local" / "server.log").read_text()
    finally:
        client.kill()
        stop_local(tmp_path)


def test_the_server_ends_when_its_home_is_deleted_and_leaves_a_new_one_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running_server(home, "--idle-seconds", "1") as site:
        old = site.pid
        shutil.rmtree(home)
        again = Site(home, ensure_local(home))
        assert again.pid != old
        assert until(lambda: not Path(f"/proc/{old}").exists() or "Z" in Path(f"/proc/{old}/stat").read_text().split())
        assert again.call("GET", LIST).data == {"has_more": False}
        assert (home / "local" / "server.json").exists()


def test_sigterm_ends_it_cleanly(tmp_path: Path) -> None:
    with running_server(tmp_path) as site:
        assert stop_local(tmp_path) is True
        assert not (tmp_path / "local" / "server.json").exists()
        assert (tmp_path / "local" / "server.log").read_text().rstrip().endswith("stopped")
        assert find_local(site.home) is None and stop_local(tmp_path) is False


def test_a_server_that_cannot_start_tells_why(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "workspace.db").write_text("this is no database" * 100)
    with pytest.raises(WorkspaceError, match="not a database"):
        ensure_local(tmp_path)


def test_a_port_that_is_taken_meanwhile_is_replaced_by_another(tmp_path: Path) -> None:
    with running_server(tmp_path) as site:
        port = int(site.server.url.rpartition(":")[2])
        stop_local(tmp_path)
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", port))
            taken.listen()
            assert ensure_local(tmp_path).url != site.server.url


def test_only_the_owner_can_read_the_token(site: Site) -> None:
    local = site.home / "local"
    assert stat.S_IMODE((local / "token").stat().st_mode) == 0o600
    assert stat.S_IMODE((local / "workspace.db").stat().st_mode) == 0o600
    assert stat.S_IMODE(local.stat().st_mode) == 0o700
    assert site.server.token == (local / "token").read_text()
    assert site.server.token not in repr(site.server)
    assert site.server.token not in (local / "server.log").read_text()
    assert site.server.token not in (local / "server.json").read_text()


def test_everything_but_the_configuration_needs_the_token(site: Site) -> None:
    assert site.call("GET", LIST, token="wrong").error == (403, "PERMISSION_DENIED")
    assert site.call("GET", LIST, headers={"Authorization": "Basic abc"}).error == (401, "UNAUTHENTICATED")
    assert site.call("GET", "/local/requests", token="wrong").status == 403
    assert site.call("POST", "/local/faults", [], token="wrong").status == 403
    answer = site.call("GET", "/.well-known/databricks-config", token="wrong")
    assert answer.data["workspace_id"] == str(site.server.workspace_id)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "localhost.evil"])
def test_names_other_than_loopback_are_refused(site: Site, host: str) -> None:
    assert site.call("GET", "/.well-known/databricks-config", headers={"Host": host}).status == 403


@pytest.mark.parametrize("host", ["localhost", "localhost:1234", "127.0.0.1", "[::1]:80", "LOCALHOST:1"])
def test_loopback_names_are_served(site: Site, host: str) -> None:
    assert site.call("GET", LIST, headers={"Host": host}).status == 200


def test_unknown_paths_and_methods_are_refused_by_name(site: Site) -> None:
    assert site.call("GET", "/api/2.0/nothing").error == (404, "ENDPOINT_NOT_FOUND")
    answer = site.call("DELETE", CREATE)
    assert answer.error == (405, "METHOD_NOT_ALLOWED") and answer.headers["allow"] == "POST"


def test_a_body_over_the_limit_is_refused(site: Site) -> None:
    answer = site.call("POST", CREATE, headers={"Content-Length": str(10**12)})
    assert answer.error == (413, "MAX_REQUEST_SIZE_EXCEEDED")


def test_requests_are_counted(site: Site) -> None:
    site.forget_requests()
    site.call("GET", f"{LIST}?limit=5")
    site.call("POST", CREATE, job())
    assert site.requests() == [("GET", LIST), ("POST", CREATE)]
    assert site.call("GET", "/local/requests").data["counts"] == {f"GET {LIST}": 1, f"POST {CREATE}": 1}


def test_a_fault_before_the_effect_prevents_it_and_the_nth_call_only(site: Site) -> None:
    site.fault(method="POST", path="jobs/create$", nth=2, status=503, error_code="TEMPORARILY_UNAVAILABLE")
    before = len(list(site.client().jobs.list()))
    statuses = [site.call("POST", CREATE, job()).status for _ in range(3)]
    assert statuses == [200, 503, 200] and len(list(site.client().jobs.list())) == before + 2
    [rule] = site.call("GET", "/local/faults").data["rules"]
    assert (rule["seen"], rule["hits"]) == (3, 1)


def test_a_fault_after_the_effect_hides_it(site: Site) -> None:
    site.fault(method="POST", path="jobs/create$", when="after", every=1)
    before = len(list(site.client().jobs.list()))
    assert site.call("POST", CREATE, job()).error == (500, "INTERNAL_ERROR")
    assert len(list(site.client().jobs.list())) == before + 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_dropped_connection_gives_no_answer(site: Site, when: str) -> None:
    site.fault(path="jobs/create$", action="drop", when=when, nth=1)
    before = len(list(site.client().jobs.list()))
    with pytest.raises(OSError):
        site.call("POST", CREATE, job())
    assert len(list(site.client().jobs.list())) == before + (when == "after")


def test_a_throttle_says_when_to_come_back_and_the_sdk_obeys(site: Site) -> None:
    site.fault(
        path="jobs/list", nth=1, status=429, error_code="REQUEST_LIMIT_EXCEEDED", headers={"Retry-After": "1"}
    )  # fmt: skip
    start = time.monotonic()
    list(site.client().jobs.list())
    assert time.monotonic() - start > 0.9
    site.fault(path="jobs/list", status=429, error_code="REQUEST_LIMIT_EXCEEDED", headers={"Retry-After": "9"})
    answer = site.call("GET", LIST)
    assert answer.status == 429 and answer.headers["retry-after"] == "9"


def test_a_delay_holds_up_only_its_own_call(site: Site) -> None:
    site.fault(path="jobs/get", action="delay", seconds=0.4)
    start = time.monotonic()
    site.call("GET", LIST)
    assert time.monotonic() - start < 0.3
    site.call("GET", "/api/2.2/jobs/get?job_id=1")
    assert time.monotonic() - start > 0.4


def test_garbage_is_no_json(site: Site) -> None:
    site.fault(path="jobs/list", action="garbage")
    answer = site.call("GET", LIST)
    assert answer.status == 200
    with pytest.raises(json.JSONDecodeError):
        _ = answer.data


def test_a_kill_ends_the_named_process_after_the_effect(site: Site) -> None:
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    site.fault(path="jobs/create$", action="kill", pid=victim.pid, when="after")
    before = len(list(site.client().jobs.list()))
    with pytest.raises(OSError):
        site.call("POST", CREATE, job())
    assert victim.wait(timeout=10) == -9
    assert len(list(site.client().jobs.list())) == before + 1


@pytest.mark.parametrize(
    "rule", [{"path": "("}, {"action": "explode"}, {"wehn": "after"}, {"when": "never"}, {"nth": "1"}, 5]
)
def test_a_wrong_fault_rule_is_refused(site: Site, rule: object) -> None:
    assert site.call("POST", "/local/faults", [rule]).error == (400, "INVALID_PARAMETER_VALUE")


def test_faults_need_a_flag(tmp_path: Path) -> None:
    with running_server(tmp_path) as site:
        assert site.call("POST", "/local/faults", []).status == 404


def test_new_jobs_are_listed_late_if_wished(tmp_path: Path) -> None:
    with running_server(tmp_path, "--list-lag", "0.5") as site:
        job_id = site.call("POST", CREATE, job()).data["job_id"]
        assert site.call("GET", LIST).data == {"has_more": False}
        assert site.call("GET", f"/api/2.2/jobs/get?job_id={job_id}").status == 200
        assert until(lambda: "jobs" in site.call("GET", LIST).data)


def test_a_server_starts_in_no_time_and_answers_a_create_cheaply(tmp_path: Path) -> None:
    start = time.monotonic()
    with running_server(tmp_path) as site:
        assert time.monotonic() - start < 3  # 0.25 s on a machine that has nothing else to do
        before = cpu_seconds(site.pid)
        for number in range(200):
            site.call("POST", CREATE, job(name=f"n{number}"))
        assert (cpu_seconds(site.pid) - before) / 200 < 0.004


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
