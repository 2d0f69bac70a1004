"""A task's process: its folder, environment and limits, and its end, in which all its children end with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lakeflow_job_meta.local.tasks.executor import end_leftovers
from lakeflow_job_meta.local.tasks.limits import MEBIBYTE, Limits
from lakeflow_job_meta.local.tasks.order import Ending
from tests.local_tasks import Place, is_alive, until

FAMILY = """
import os, subprocess, sys, time
child = "import os,subprocess,time; p=subprocess.Popen(['sleep','600']); print(os.getpid(), p.pid); time.sleep(600)"
{before}
subprocess.Popen([sys.executable, "-c", child]{options})
print(os.getpid(), flush=True)
time.sleep(600)
"""
"""A task with a child and a grandchild; the three print their ids."""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    home = tmp_path / "home"
    home.mkdir()
    return Place(home, tmp_path)


def family(folder: Path) -> list[int]:
    """The ids that FAMILY printed, as soon as all three are there."""
    numbers = (folder / "stdout").read_text().split() if (folder / "stdout").exists() else []
    return [int(each) for each in numbers] if len(numbers) == 3 else []


def test_a_task_runs_in_its_own_folder_and_keeps_what_it_prints(place: Place) -> None:
    what = place.script("import sys, os; print('out', sys.argv[1:]); print('err', file=sys.stderr); open('f', 'w')")
    result, folder = place.run("spark_python_task", {**what, "parameters": ["a", "b c"]})
    assert result.ending is Ending.SUCCESS
    assert (folder / "stdout").read_text() == "out ['a', 'b c']\n" and (folder / "stderr").read_text() == "err\n"
    assert (folder / "work" / "f").exists()
    assert sorted(result.output["logs"].splitlines()) == ["err", "out ['a', 'b c']"]
    assert result.output["logs_truncated"] is False


def test_a_task_sees_none_of_our_secrets(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABRICKS_TOKEN", "LAKEFLOW_HOOK_SECRET", "AWS_SECRET_ACCESS_KEY", "SOMETHING_ELSE"):
        monkeypatch.setenv(name, "hidden")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    result = place.python("import os, json; print(json.dumps(dict(os.environ)))", environment={"MY_OWN": "1"})
    seen = json.loads(result.output["logs"])
    assert "hidden" not in seen.values() and (seen["MY_OWN"], seen["LC_ALL"]) == ("1", "C.UTF-8")
    assert not [name for name in seen if name.startswith(("DATABRICKS", "LAKEFLOW"))]


def test_an_error_is_told_with_the_users_own_lines(place: Place) -> None:
    result = place.python("def f():\n    return 1 / 0\n\nf()\n")
    assert (result.ending, result.error) == (Ending.FAILED, "ZeroDivisionError: division by zero")
    assert "line 4, in <module>" in result.error_trace and "return 1 / 0" in result.error_trace
    assert "lakeflow_job_meta" not in result.error_trace
    assert result.error_trace in result.output["logs"]


def test_a_syntax_error_is_told_with_its_line(place: Place) -> None:
    result = place.python("x = 1\ny = (\n")
    assert result.ending is Ending.FAILED and result.error.startswith("SyntaxError: '(' was never closed")
    assert "line 2" in result.error_trace


@pytest.mark.parametrize(
    ("text", "ending", "says"),
    [
        ("import sys; sys.exit(0)", Ending.SUCCESS, ""),
        ("import sys; sys.exit()", Ending.SUCCESS, ""),
        ("import sys; sys.exit(3)", Ending.FAILED, "exit code 3"),
        ("import sys; sys.exit('no data')", Ending.FAILED, "exit code 1: no data"),
        ("import os; os._exit(7)", Ending.FAILED, "exit code 7"),
        ("import os; os.kill(os.getpid(), 11)", Ending.FAILED, "signal 11 (SIGSEGV)"),
    ],
)
def test_how_a_process_ended_is_told(place: Place, text: str, ending: Ending, says: str) -> None:
    result = place.python(text)
    assert result.ending is ending
    assert says in result.error


def test_a_task_waits_for_its_threads(place: Place) -> None:
    result = place.python(
        "import threading, time\nthreading.Thread(target=lambda: (time.sleep(.3), print('late'))).start()"
    )
    assert (result.ending, result.output["logs"]) == (Ending.SUCCESS, "late\n")


def test_cancel_ends_children_and_grandchildren(place: Place) -> None:
    execution, folder = place.begin(FAMILY.format(before="", options=""))
    members = until(lambda: family(folder))
    assert all(map(is_alive, members))
    execution.cancel()
    result = execution.wait()
    assert (result.ending, result.message) == (Ending.CANCELED, "Run cancelled.")
    assert not any(map(is_alive, members))
    execution.cancel()  # harmless


def test_cancel_ends_what_ignores_the_request_and_what_left_the_group(place: Place) -> None:
    ignoring = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    execution, folder = place.begin(FAMILY.format(before=ignoring, options=", start_new_session=True"))
    members = until(lambda: family(folder))
    started = time.monotonic()
    execution.cancel()
    assert execution.wait().ending is Ending.CANCELED
    assert 0.9 < time.monotonic() - started < 10
    assert not any(map(is_alive, members))


def test_a_cancelled_task_may_clean_up_within_its_grace(place: Place) -> None:
    text = "import signal, sys, time\nsignal.signal(15, lambda *_: sys.exit(print('bye')))\nprint('up')\ntime.sleep(99)"
    patient = Place(place.home, place.folder, limits=Limits(grace_seconds=30))
    execution, folder = patient.begin(text)
    until(lambda: (folder / "stdout").exists() and (folder / "stdout").read_text())
    execution.cancel()
    result = execution.wait()
    assert (result.ending, result.output["logs"]) == (Ending.CANCELED, "up\nbye\n")


def test_a_task_that_takes_too_long_times_out_with_its_children(place: Place) -> None:
    execution, folder = place.begin(FAMILY.format(before="", options=""), timeout_seconds=2)
    members = until(lambda: family(folder))
    result = execution.wait()
    assert result.ending is Ending.TIMEDOUT and "timeout of 2 seconds" in result.message
    assert not any(map(is_alive, members))


def test_what_a_task_leaves_running_ends_with_it(place: Place) -> None:
    text = "import subprocess\nprint(subprocess.Popen(['sleep', '600'], start_new_session=True).pid)"
    result = place.python(text)
    assert result.ending is Ending.SUCCESS and not is_alive(int(result.output["logs"]))


SERVER = """
import sys, time
from pathlib import Path
from tests.local_tasks import Place
folder = Path(sys.argv[1])
execution, task = Place(folder / "home", folder).begin(sys.stdin.read())
print(task, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("options", ["", ", start_new_session=True"])
def test_a_task_ends_when_its_server_is_killed(place: Place, options: str) -> None:
    root = Path(__file__).parents[2]
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(place.folder)], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert server.stdin is not None and server.stdout is not None
    with server.stdin:
        server.stdin.write(FAMILY.format(before="while_busy = 1", options=options))
    folder = Path(server.stdout.readline().strip())
    members = until(lambda: family(folder))
    server.send_signal(signal.SIGKILL)
    server.wait()
    server.stdout.close()
    until(lambda: not is_alive(members[0]))
    if options:
        # What left the group outlives the server; the next one finds it by its mark.
        assert sorted(end_leftovers(place.home)) == sorted(pid for pid in members[1:])
    until(lambda: not any(map(is_alive, members)))


def test_a_task_that_never_lets_go_of_the_interpreter_ends_with_its_server(place: Place) -> None:
    # Signals and threads of Python's own would wait for this for ever: the kernel doesn't.
    busy = "print(__import__('os').getpid(), flush=True)\n9 ** 9 ** 9"
    root = Path(__file__).parents[2]
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(place.folder)], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert server.stdin is not None and server.stdout is not None
    with server.stdin:
        server.stdin.write(busy)
    printed = Path(server.stdout.readline().strip()) / "stdout"
    pid = int(until(lambda: printed.exists() and printed.read_text()))
    server.send_signal(signal.SIGKILL)
    server.wait()
    server.stdout.close()
    until(lambda: not is_alive(pid))


def test_memory_is_limited(place: Place) -> None:
    small = Place(place.home, place.folder, limits=Limits(memory_bytes=300 * MEBIBYTE))
    result = small.python("data = bytearray(900 * 1024 * 1024)")
    assert result.ending is Ending.FAILED
    assert result.error == "MemoryError: a task's process may have 300 MiB"
    assert place.python("data = bytearray(400 * 1024 * 1024)").ending is Ending.SUCCESS


def test_a_flood_of_output_is_cut_with_a_note_and_keeps_both_ends(place: Place) -> None:
    small = Place(place.home, place.folder, limits=Limits(file_bytes=10_000, logs_bytes=4_000))
    text = (
        "print('first')\nfor n in range(100_000): print(n)\nprint('last')\nimport sys; print('quiet', file=sys.stderr)"
    )
    result, folder = small.run("spark_python_task", small.script(text))
    kept = (folder / "stdout").read_text()
    assert kept.startswith("first\n0\n1\n") and kept.endswith("99999\nlast\n") and len(kept) < 10_200
    assert "bytes left out: a task's output is kept up to 10000 bytes" in kept
    assert (folder / "stderr").read_text() == "quiet\n"
    assert result.output["logs_truncated"] is True and len(result.output["logs"]) == 4_000
    assert "99999\nlast\n" in result.output["logs"]


def test_output_is_there_while_the_task_runs(place: Place) -> None:
    execution, folder = place.begin("import time\nprint('begun')\ntime.sleep(60)")
    until(lambda: (folder / "stdout").exists() and (folder / "stdout").read_text() == "begun\n")
    execution.cancel()
    assert execution.wait().ending is Ending.CANCELED


def test_what_lies_in_the_tasks_folder_hides_none_of_our_modules(place: Place) -> None:
    what = place.script("print('ran')")
    (place.folder / "json.py").write_text("raise SystemExit('shadowed')")
    assert place.run("spark_python_task", what)[0].ending is Ending.SUCCESS


def test_a_server_keeps_no_descriptor_of_a_task_that_ended(place: Place) -> None:
    place.python("")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (one call, no objects)
    for _ in range(3):
        place.python("")
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ({}, "python_file is empty"),
        ({"python_file": "file:/no/such.py"}, "there is no file"),
        ({"python_file": "s3://bucket/x.py"}, "can't be read here"),
        ({"python_file": "src/x.py", "source": "GIT"}, "source GIT can't be run here"),
        ({"python_file": "/Volumes/a/b/c/../../../../x.py"}, "leads out of the volumes"),
    ],
)
def test_a_file_that_cannot_be_had_is_a_failed_task_that_says_so(place: Place, what: dict[str, str], says: str) -> None:
    result, _ = place.run("spark_python_task", what)
    assert result.ending is Ending.FAILED and says in result.error and result.error_trace == ""


def test_dbt_that_is_not_installed_is_named(place: Place) -> None:
    result, _ = place.run("dbt_task", {"commands": ["dbt build"]})
    assert result.ending is Ending.FAILED and "dbt isn't installed" in result.error and "pip install" in result.error
