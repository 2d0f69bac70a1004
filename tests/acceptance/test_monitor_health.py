"""Watching a monitor: /healthz and /metrics as those who ask for them see them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lakeflow_job_meta import MetadataMonitor, UsageError
from lakeflow_job_meta.monitor import health
from tests.acceptance.steps import wait_for
from tests.conftest import TABLE, Project
from tests.local_server import Reply

PREFIX = "lakeflow_job_meta_"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def ask(port: int, path: str, method: str = "GET", host: str = "127.0.0.1") -> Reply:
    connection = HTTPConnection(host, port, timeout=20)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def scrape(port: int) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Samples by name without prefix and labels, read as Prometheus reads them."""
    answer = ask(port, "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        assert family.documentation, family.name
        for sample in family.samples:
            name = sample.name.removeprefix(PREFIX)
            found.setdefault(name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def one(samples: dict[tuple[tuple[str, str], ...], float], **labels: str) -> float:
    return samples[tuple(sorted(labels.items()))]


@contextmanager
def listening(project: Project, folder: Path | None = None, **given: Any) -> Iterator[tuple[int, MetadataMonitor]]:
    """A monitor that runs and listens; the port is answered from its first cycle on."""
    port = free_port()
    monitor = project.monitor(folder, listen=f"127.0.0.1:{port}", **{"check_interval_seconds": 0.1, **given})
    thread = threading.Thread(target=monitor.run_continuous)
    thread.start()
    try:
        wait_for(lambda: answers(port))
        yield port, monitor
    finally:
        monitor.stop()
        thread.join(30)
    assert not answers(port), "the server ends with the monitor"


def answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def cycles(port: int, result: str) -> float:
    return one(scrape(port)["cycles_total"], result=result)


def test_what_is_wrong_with_the_watched_files_is_counted_until_it_is_mended(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "watched"

    def findings() -> tuple[int, float]:
        return ask(port, "/healthz").data["file_findings"], one(scrape(port)["file_findings"])

    with listening(project, folder) as (port, _):
        wait_for(lambda: findings() == (1, 1))  # the folder isn't there
        folder.mkdir()
        (folder / "good.yml").write_text("modules: [{module_name: m, sources: []}]")
        wait_for(lambda: findings() == (0, 0))
        (folder / "bad.yml").write_text("modules: [{module_nam: m}, 7]")
        wait_for(lambda: findings()[1] >= 2)
        assert ask(port, "/healthz").status == 200, "the others are looked after"


def test_metrics_tell_what_was_done(project: Project) -> None:
    project.add("a", "one")
    project.add("a", "two")
    project.sql(f"INSERT INTO {TABLE} VALUES ('a', 'bad', 'delta', 1, '{{}}', '{{}}', '{{...}}', true)")
    with listening(project) as (port, _):
        wait_for(lambda: cycles(port, "unchanged") >= 2)
        found = scrape(port)
        assert one(found["cycles_total"], result="changed") == 1
        assert one(found["cycles_total"], result="failed") == 0
        assert one(found["actions_total"], action="create", result="done") == 2
        alone = {name: next(iter(samples.values())) for name, samples in found.items() if list(samples) == [()]}
        expected = {"modules": 3, "jobs": 2, "failing_modules": 1, "drifted_modules": 0, "standby": 0, "lease_held": 0}
        assert expected.items() <= alone.items()
        assert alone["control_table_version"] == project.versions()[TABLE]
        assert abs(alone["last_success_timestamp_seconds"] - time.time()) < 10
        assert alone["last_cycle_timestamp_seconds"] >= alone["last_success_timestamp_seconds"]
        requests = found["workspace_requests_total"]
        assert one(requests, method="POST", status="2xx") == 2
        assert one(requests, method="GET", status="2xx") >= 1
        durations = found["cycle_duration_seconds_bucket"]
        assert one(durations, le="+Inf") == sum(found["cycles_total"].values())
        assert alone["process_cpu_seconds_total"] > 0
        told = ask(port, "/healthz").data
        assert (told["status"], told["role"], told["failing_modules"]) == ("ok", "working", 1)
        assert told["control_version"] == alone["control_table_version"]


def test_metrics_count_what_fails_and_what_drifted(project: Project) -> None:
    project.add("a")
    project.job_config(max_concurrent_runs=3)
    project.site.fault(method="POST", path=r"/api/2\.2/jobs/create", nth=1, status=400)
    with listening(project, drift_interval_seconds=0.5) as (port, _):
        wait_for(lambda: bool(project.raw_jobs()))
        project.update_job(project.only_job()["job_id"], max_concurrent_runs=9)
        wait_for(lambda: project.only_job()["settings"]["max_concurrent_runs"] == 3)
        actions = scrape(port)["actions_total"]
        assert one(actions, action="create", result="failed") == 1
        assert one(actions, action="create", result="done") == 1
        assert one(scrape(port)["workspace_requests_total"], method="POST", status="4xx") >= 1
        wait_for(lambda: one(scrape(port)["actions_total"], action="update", result="done") == 1)


def test_only_what_is_there_can_be_read_and_nothing_written(project: Project) -> None:
    with listening(project) as (port, _):
        whole, head = ask(port, "/metrics"), ask(port, "/metrics", "HEAD")
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-type"] == whole.headers["content-type"]
        assert ask(port, "/healthz?verbose=1", "HEAD").status == 200
        for path in ("/", "/metrics/", "/healthz/../metrics"):
            assert ask(port, path).status == 404
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            refused = ask(port, "/metrics", method)
            assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")
        assert ask(port, "/metrics", "BREW").status == 501


def test_a_slow_reader_holds_nobody_up(project: Project) -> None:
    with listening(project) as (port, _), socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(b"GET /metr")
        before = cycles(port, "unchanged")
        wait_for(lambda: cycles(port, "unchanged") > before)


def test_failing_looks_make_it_unwell_until_one_succeeds(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "OVERDUE_SECONDS", 0.5)
    project.add("a")
    project.site.fault(method="GET", path=r"/api/2\.2/jobs/list", status=403)
    with listening(project) as (port, _):
        wait_for(lambda: ask(port, "/healthz").status == 503)
        told = ask(port, "/healthz").data
        assert told["status"] == "failing"
        assert "jobs/list" in told["reason"]
        assert ask(port, "/healthz", "HEAD").status == 503
        assert one(scrape(port)["cycles_total"], result="failed") >= 1
        project.site.no_faults()
        wait_for(lambda: ask(port, "/healthz").status == 200)


def test_a_look_that_hangs_is_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "STUCK_SECONDS", 0.5)
    project.add("a")
    project.site.fault(method="GET", path=r"/api/2\.2/jobs/list", nth=1, action="delay", seconds=2)
    with listening(project) as (port, _):
        wait_for(lambda: ask(port, "/healthz").status == 503)
        assert "hangs" in ask(port, "/healthz").data["reason"]
        wait_for(lambda: ask(port, "/healthz").status == 200)


@pytest.mark.parametrize(
    "address", ["0.0.0.0:9108", "192.168.1.7:9108", "[::]:9108", "example.com:9108", ":9108", "9108", "127.0.0.1:99999"]
)
def test_an_address_that_others_can_reach_is_refused_by_name(project: Project, address: str) -> None:
    with pytest.raises(UsageError, match="can't listen on") as refused:
        project.monitor(listen=address)
    assert address in str(refused.value)


def test_the_command_ends_with_2_where_it_may_not_listen(project: Project) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lakeflow_job_meta", "monitor", "-t", TABLE, "--home", str(project.home),
         "--listen", "0.0.0.0:9108", "--max-iterations", "1"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert "0.0.0.0 can be reached from elsewhere" in done.stderr


def test_a_port_in_use_is_told(project: Project) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"can't listen on http://127.0.0.1:{port}: Address already in use"):
            project.monitor(listen=f"127.0.0.1:{port}").run_continuous(1)


def test_it_listens_on_ipv6_too(project: Project) -> None:
    port = free_port()
    monitor = project.monitor(listen=f"[::1]:{port}", check_interval_seconds=0.1)
    thread = threading.Thread(target=monitor.run_continuous)
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    thread.start()
    try:
        wait_for(lambda: monitor.record.health.succeeded is not None)
        assert ask(port, "/healthz", host="::1").status == 200
    finally:
        monitor.stop()
        thread.join(20)


def test_nobody_listens_and_nothing_is_imported_unless_asked_for(project: Project) -> None:
    code = (
        "import sys, threading\n"
        "from lakeflow_job_meta import MetadataMonitor\n"
        f"MetadataMonitor({TABLE!r}, auto_update_jobs=False).run_continuous(1)\n"
        "print('prometheus_client' in sys.modules, [t.name for t in threading.enumerate()])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=project.home.parent
    )
    assert done.stdout == "False ['MainThread']\n"


def test_the_state_of_health_is_json_that_a_person_can_read(project: Project) -> None:
    with listening(project) as (port, _):
        wait_for(lambda: cycles(port, "unchanged") >= 1)
        text = ask(port, "/healthz").body.decode()
        assert text == json.dumps(json.loads(text), indent=2) + "\n"
