"""The command line as a process: what is on stdout, what on stderr, and how it exits."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.acceptance.shell import (
    TABLE,
    Shell,
    add,
    jobs,
    sql,
)


def test_a_new_project_works_at_once(shell: Shell) -> None:
    assert shell("validate", "metadata/modules").stdout == ""
    assert "3 rows added" in shell("load", "metadata/modules").stdout
    assert "+ hello: create" in shell("plan").stdout
    applied = shell("apply", "--yes")
    assert "hello: create done, job " in applied.stdout
    assert "store: embedded" in applied.stderr
    assert "workspace: local" in applied.stderr
    (job,) = shell.json("local", "jobs")
    (row,) = shell.json("status")
    assert (row["job_id"], row["status"], row["to_do"]) == (job["job_id"], "active", None)
    assert "Plan: 1 unchanged." in shell("plan").stdout


def test_how_a_command_is_called_is_told_by_its_own_help(shell: Shell) -> None:
    assert shell("runs", "show", code=2).stderr == "error: Missing argument 'ID'.\n  hint: `ljm runs show --help`\n"
    for group in ((), ("stage",)):
        assert shell(*group, code=2).stderr.startswith(f"Usage: {' '.join(('ljm', *group))} ")


def test_init_overwrites_nothing(shell: Shell) -> None:
    before = (shell.folder / "lakeflow.yml").read_text()
    assert "already" in shell("init", code=2).stderr
    assert (shell.folder / "lakeflow.yml").read_text() == before


def test_detailed_exit_codes_tell_nothing_changes_and_errors(shell: Shell) -> None:
    shell("load", "metadata/modules")
    shell("plan", "--detailed-exitcode", code=2)
    shell("apply", "--yes")
    shell("plan", "--detailed-exitcode", code=0)
    shell("sql", f"UPDATE {TABLE} SET transformation_config = '{{'")
    shell("plan", "--detailed-exitcode", code=1)
    shell("plan", "--detailed-exitcode", "--select", "nothing", code=1)


def test_the_plan_names_each_field_that_changes(shell: Shell) -> None:
    shell("load", "metadata/modules")
    shell("apply", "--yes")
    shell("sql", f"UPDATE {TABLE}_modules SET job_config = replace(job_config, '0 0 6', '0 0 7')")
    expected = '~ schedule.quartz_cron_expression: "0 0 6 * * ?" → "0 0 7 * * ?"'
    assert expected in shell("plan").stdout
    (action,) = shell.json("plan")["actions"]
    assert action["changes"] == [
        {
            "path": "schedule.quartz_cron_expression",
            "old": "0 0 6 * * ?",
            "new": "0 0 7 * * ?",
            "observed": "0 0 6 * * ?",
        }
    ]


def test_apply_asks_and_a_pipe_cannot_answer(shell: Shell) -> None:
    shell("load", "metadata/modules")
    assert "--yes" in shell("apply", code=2).stderr
    assert shell.json("local", "jobs") == []


def test_a_failed_module_exits_with_4_and_names_it(shell: Shell) -> None:
    shell("load", "metadata/modules")
    shell("sql", f"UPDATE {TABLE} SET transformation_config = '{{...}}' WHERE source_id = 'greet'")
    done = shell("apply", "--yes", code=4)
    assert "hello: frozen" in done.stderr
    assert f"{TABLE}/hello/greet/transformation_config at offset 1" in done.stdout


def test_a_plan_with_a_frozen_module_exits_with_4_too_and_shows_the_rest(shell: Shell) -> None:
    add(shell, "bad", "good")
    sql(shell, f"UPDATE {TABLE} SET transformation_config = '{{' WHERE module_name = 'bad'")
    for command in (["plan"], ["plan", "--no-refresh"], ["plan", "--drift-only"], ["plan", "--out", "p.json"]):
        done = shell(*command, code=4)
        assert "1 module can't go on" in done.stderr
        assert "bad: frozen, stays as it is: bad JSON" in done.stderr
        assert "! bad: frozen" in done.stdout
    assert "+ good: create" in shell("plan", code=4).stdout
    planned = shell.json("plan", code=4)
    assert {each["module"]: each["failed"] for each in planned["actions"]} == {"bad": True, "good": False}
    shell("plan", "--select", "good")
    shell("apply", "p.json", code=4)
    assert list(jobs(shell)) == ["good"]


def test_bad_yaml_is_told_whole_and_loads_nothing(shell: Shell) -> None:
    bad = "modules:\n  - module_nam: x\n    sources:\n      - source_id: 5\n"
    (shell.folder / "metadata/modules/bad.yml").write_text(bad)
    done = shell("load", "metadata/modules", code=1)
    assert "metadata/modules/bad.yml:2:5" in done.stderr
    assert "metadata/modules/bad.yml:4:20" in done.stderr
    assert shell.json("sql", f"SELECT count(*) AS n FROM {TABLE}") == [{"n": 0}]
    report = shell.json("load", "metadata/modules", code=1)
    assert len(report["diagnostics"]) >= 2
    shell("validate", "metadata/modules", code=1)


def test_conflicts_exit_with_3(shell: Shell) -> None:
    shell("load", "metadata/modules")
    shell("sql", f"UPDATE {TABLE} SET execution_order = 9 WHERE source_id = 'greet'")
    assert "hello/greet" in shell("load", "metadata/modules", "--on-conflict", "fail", code=3).stderr


def test_sql_from_argument_file_and_standard_input_as_table_json_and_csv(shell: Shell) -> None:
    statement = "SELECT 1 AS n, 'it''s; \"here\"' AS s, CAST(NULL AS STRING) AS nothing"
    (shell.folder / "q.sql").write_text(f"-- a comment\nSELECT 2;\n{statement};\n")
    expected = [{"n": 1, "s": 'it\'s; "here"', "nothing": None}]
    assert shell.json("sql", statement) == expected
    assert shell.json("sql", "--file", "q.sql") == expected
    assert shell("sql", "-o", "csv", stdin=statement).stdout == 'n,s,nothing\n1,"it\'s; ""here""",\n'
    assert "it's" in shell("sql", "-", stdin=statement).stdout
    assert "nope" in shell("sql", "SELECT * FROM main.etl.nope", code=1).stderr
    assert "2 statements ran" in shell("sql", "--file", "q.sql").stderr
    assert "statements ran" not in shell("sql", statement).stderr
    assert "no statement is given" in shell("sql", " ; ", code=2).stderr
    assert "no such option: --outpt=json" in shell("sql", "--", "--outpt=json", code=2).stderr


def test_changes_and_export(shell: Shell) -> None:
    shell("load", "metadata/modules")
    assert shell.json("changes")["new_modules"] == ["hello"]
    assert shell.json("changes", "--since", "2100-01-01")["changed_sources"] == []
    shell("export", "out.yml")
    assert "rows unchanged" in shell("load", "out.yml").stdout


def test_a_monitor_tells_each_cycle_as_json(shell: Shell) -> None:
    done = shell("monitor", "metadata/modules", "--max-iterations", "2", "--interval", "0.2", "--output", "json")
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert [outcome["action"] for outcome in first["outcomes"]] == ["create"]
    assert second["outcomes"] == []


def test_wrong_usage_exits_with_2(empty: Shell) -> None:
    assert "no control table is named" in empty("plan", code=2).stderr
    empty("plan", "--nonsense", code=2)
    empty("nonsense", code=2)


def test_a_missing_table_is_told_with_what_to_do(empty: Shell) -> None:
    assert "ljm init" in empty("plan", "-t", "a.b.c", code=4).stderr
    assert "is not an identifier" in empty("plan", "-t", "a.b/c.d", code=1).stderr


def test_help_is_quick_to_import() -> None:
    heavy = ("deltalake", "duckdb", "sqlglot", "databricks", "pydantic", "starlette", "uvicorn", "yaml", "watchdog")
    code = f"import sys, lakeflow_job_meta.cli.app; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, lakeflow_job_meta; print(sorted(m for m in sys.modules if m.startswith('lakeflow_job_meta')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['lakeflow_job_meta']"


def test_a_statement_may_begin_with_a_comment(shell: Shell) -> None:
    assert shell.json("sql", "-- a comment\nSELECT 1 AS n") == [{"n": 1}]


def test_an_apply_goes_on_though_nobody_reads_its_output(shell: Shell) -> None:
    shell("load", "metadata/modules")
    command = f"{sys.executable} -m lakeflow_job_meta apply --yes | true"
    subprocess.run(["bash", "-c", command], cwd=shell.folder, env=shell.environment, timeout=60, check=True)
    assert len(shell.json("local", "jobs")) == 1
