"""A Python program within this process: as `__main__`, as if the interpreter had been started on it."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from lakeflow_job_meta.local.tasks.inside.assignment import Assignment
from lakeflow_job_meta.local.tasks.inside.report import Report, told_error


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: its text and name, `sys.argv`, and the file that `__file__` names, if it is one's."""

    text: str | bytes
    name: str
    arguments: list[str]
    file: Path | None = None


def run_program(program: Program, assignment: Assignment, report: Report) -> int:
    """Run it, tell what became of it; returns the exit code."""
    main = ModuleType("__main__")
    if program.file is not None:
        main.__file__ = str(program.file)
        sys.path.insert(0, str(program.file.parent))
    sys.modules["__main__"] = main
    sys.argv = program.arguments
    try:
        code = compile(program.text, program.name, "exec", dont_inherit=True)
        exec(code, main.__dict__)  # noqa: S102 (it is the task)
        _wait_for_threads()
    except SystemExit as problem:
        return _exit(problem, report)
    except BaseException as problem:  # noqa: BLE001 (whatever the task raised is its result)
        return failed(problem, assignment, report)
    report.end()
    return 0


def failed(problem: BaseException, assignment: Assignment, report: Report) -> int:
    """Tell that the program failed by this error; returns the exit code."""
    error = told_error(problem, assignment.memory_bytes)
    print(error[1], end="", file=sys.stderr)
    report.end(error=error)
    return 1


def _exit(problem: SystemExit, report: Report) -> int:
    code = problem.code
    if code is None or code == 0:
        report.end()
        return 0
    if isinstance(code, int):
        report.end(error=(f"The process ended with exit code {code}.", ""))
        return code & 0xFF or 1
    print(code, file=sys.stderr)
    report.end(error=(f"The process ended with exit code 1: {code}", ""))
    return 1


def _wait_for_threads() -> None:
    """The program has ended when its threads have; those that are daemons end with it."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
