"""Notebook tasks: cells in processes of their own, on notebooks that the real SDK imported."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.workspace import ImportFormat, Language

from lakeflow_job_meta.local.tasks.inside.notebook_source import parse
from lakeflow_job_meta.local.tasks.order import Ending, TaskResult
from lakeflow_job_meta.store.delta import DeltaStore
from tests.local_server import Site, running_server
from tests.local_tasks import Place, is_alive, put_file, put_notebook, until

EXAMPLES = Path(__file__).parents[2] / "examples" / "notebooks"
TOKENS = (f"token{number}" for number in itertools.count())
SEPARATOR = "\n# COMMAND ----------\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_server(tmp_path_factory.mktemp("home"), "--token-per-workspace") as running:
        yield running


@pytest.fixture
def client(site: Site) -> WorkspaceClient:
    return site.client(next(TOKENS))


class Notebooks:
    """A workspace, and what runs its notebooks."""

    def __init__(self, place: Place, client: WorkspaceClient) -> None:
        self.place = place
        self.client = client

    def put(self, name: str, *cells: str, language: Language = Language.PYTHON) -> str:
        """Import a notebook; its path."""
        path = f"/Shared/etl/{name}"
        separator = SEPARATOR if language is Language.PYTHON else "\n-- COMMAND ----------\n"
        put_notebook(self.client, path, separator.join(cells), language)
        return path

    def run(self, *cells: str, **given: Any) -> TaskResult:
        """Run a notebook of these cells."""
        return self.at(self.put("main", *cells), **given)

    def at(self, path: str, **given: Any) -> TaskResult:
        """Run the notebook that lies there."""
        what = {"notebook_path": path, "base_parameters": given.pop("base", {})}
        result, self.folder = self.place.run("notebook_task", what, **given)
        return result

    def printed(self, *cells: str, **given: Any) -> str:
        """What a notebook of these cells printed, in success."""
        result = self.run(*cells, **given)
        assert result.ending is Ending.SUCCESS, result.output["logs"]
        return result.output["logs"]

    def outputs(self, cell: int) -> list[dict[str, Any]]:
        """A cell's outputs in the executed notebook."""
        return json.loads((self.folder / "notebook.ipynb").read_text())["cells"][cell - 1]["outputs"]


@pytest.fixture
def notebooks(site: Site, client: WorkspaceClient, tmp_path: Path) -> Notebooks:
    return Notebooks(Place(site.home, tmp_path, client.get_workspace_id()), client)


def test_cells_share_names_and_show_their_last_expression(notebooks: Notebooks) -> None:
    assert notebooks.printed("x = 20", "x += 1\nx * 2", "x;", "None") == "42\n"
    assert [output["data"]["text/plain"] for output in notebooks.outputs(2)] == ["42"]
    assert notebooks.outputs(3) == []


def test_the_executed_notebook_is_one_that_jupyter_reads(notebooks: Notebooks) -> None:
    notebooks.run(
        "# MAGIC %md\n# MAGIC # Title", "print('a')\nprint('b')\n1", "# MAGIC %sh\n# MAGIC echo c", "1 / 0", "2"
    )
    executed = json.loads((notebooks.folder / "notebook.ipynb").read_text())
    assert (executed["nbformat"], executed["nbformat_minor"]) == (4, 5)
    markdown, code, shell, failed, unreached = executed["cells"]
    assert (markdown["cell_type"], markdown["source"].strip()) == ("markdown", "# Title")
    assert code["outputs"][0] == {"output_type": "stream", "name": "stdout", "text": "a\nb\n"}
    assert code["outputs"][1]["output_type"] == "execute_result" and code["execution_count"] == 2
    assert shell["source"] == "%sh \necho c" and shell["outputs"][0]["text"] == "c\n"
    assert (failed["outputs"][0]["output_type"], failed["outputs"][0]["ename"]) == ("error", "ZeroDivisionError")
    assert unreached["outputs"] == [] and unreached["execution_count"] is None
    assert len({cell["id"] for cell in executed["cells"]}) == 5


def test_an_error_names_its_cell_and_line(notebooks: Notebooks) -> None:
    result = notebooks.run("def f():\n    raise ValueError('bad day')", "x = 1\nf()", "print('never')")
    assert (result.ending, result.error) == (Ending.FAILED, "ValueError: bad day")
    assert 'File "/Shared/etl/main, cell 2", line 2, in <module>' in result.error_trace
    assert 'File "/Shared/etl/main, cell 1", line 2, in f' in result.error_trace
    assert "raise ValueError('bad day')" in result.error_trace and "lakeflow_job_meta" not in result.error_trace
    assert "never" not in result.output["logs"]


def test_a_cell_may_await(notebooks: Notebooks) -> None:
    cells = ("import asyncio\nlate = asyncio.ensure_future(asyncio.sleep(0, 'later')) if False else None",)
    assert notebooks.printed(*cells, "await asyncio.sleep(0, 'done')") == "'done'\n"


def test_parameters_are_widgets_above_the_jobs_and_above_defaults(notebooks: Notebooks) -> None:
    text = """
    w = dbutils.widgets
    w.text("own", "default"); w.text("job", "default"); w.text("none", "default")
    w.dropdown("pick", "a", ["a", "b"]); w.combobox("any", "z", ["a"]); w.multiselect("many", "a", ["a", "b"])
    print(w.get("own"), w.get("job"), w.get("none"), w.get("undefined"), getArgument("x", "fallback"))
    print(sorted(w.getAll().items()))
    w.remove("pick"); w.removeAll(); print(sorted(w.getAll()))
    """
    printed = notebooks.printed(
        "if True:\n" + text, base={"own": "o", "undefined": "u"}, parameters={"own": "lower", "job": "j"}
    ).splitlines()
    assert printed[0] == "o j default u fallback"
    assert "('many', 'a')" in printed[1] and "('job', 'j')" in printed[1]
    assert printed[2] == "['job', 'own', 'undefined']"


def test_a_widget_that_nobody_gave_is_an_error_with_the_nearest_name(notebooks: Notebooks) -> None:
    result = notebooks.run("dbutils.widgets.get('dya')", base={"day": "1"})
    assert "No input widget named dya is defined" in result.error and "did you mean 'day'?" in result.error
    result = notebooks.run("dbutils.widgets.dropdown('d', 'x', ['a'])")
    assert "the default 'x' isn't one of its choices" in result.error


def test_exit_ends_the_notebook_in_success_with_a_value(notebooks: Notebooks) -> None:
    result = notebooks.run("try:\n    dbutils.notebook.exit({'n': 1})\nexcept Exception:\n    pass", "1 / 0")
    assert result.ending is Ending.SUCCESS
    assert result.output["notebook_output"] == {"result": "{'n': 1}", "truncated": False}
    long = notebooks.run("dbutils.notebook.exit('x' * (5 * 1024 * 1024 + 1))").output["notebook_output"]
    assert (len(long["result"]), long["truncated"]) == (5 * 1024 * 1024, True)
    assert notebooks.run("1").output["notebook_output"] == {}


def test_another_notebook_runs_in_a_process_and_with_widgets_of_its_own(notebooks: Notebooks) -> None:
    notebooks.put(
        "child", "import os\nprint('in child')", "dbutils.notebook.exit(f\"{dbutils.widgets.get('n')} {os.getpid()}\")"
    )
    notebooks.put("quiet", "x = 1")
    notebooks.put("broken", "raise KeyError('inner')")
    printed = notebooks.printed(
        "x = 0\nn, pid = dbutils.notebook.run('./child', 60, {'n': 7}).split()",
        "import os\nprint(n, int(pid) != os.getpid(), x)",
        "print(dbutils.notebook.run('/Shared/etl/quiet', 0))",
        "try:\n    dbutils.notebook.run('broken', 60)\nexcept Exception as e:\n    print('caught', e)",
    )
    assert printed.splitlines()[:3] == ["in child", "7 True 0", "None"]
    assert "caught the notebook broken failed: KeyError: 'inner'" in printed


def test_another_notebook_that_takes_too_long_is_ended(notebooks: Notebooks) -> None:
    notebooks.put("slow", "import os, time\nprint(os.getpid())\ntime.sleep(600)")
    result = notebooks.run("dbutils.notebook.run('slow', 3)")
    assert "the notebook slow ran longer than its timeout of 3 seconds" in result.error
    assert not is_alive(int(result.output["logs"].split()[0]))


def test_cancel_ends_a_notebook_and_those_that_it_runs(notebooks: Notebooks) -> None:
    notebooks.put("slow", "import os, time\nprint(os.getpid())\ntime.sleep(600)")
    path = notebooks.put("main", "dbutils.notebook.run('slow', 0)")
    execution, folder = notebooks.place.start("notebook_task", {"notebook_path": path})
    pid = int(until(lambda: (folder / "stdout").exists() and (folder / "stdout").read_text()))
    execution.cancel()
    assert execution.wait().ending is Ending.CANCELED and not is_alive(pid)


def test_task_values_are_told_also_by_a_notebook_that_fails(notebooks: Notebooks) -> None:
    result = notebooks.run("dbutils.jobs.taskValues.set('n', 3)", "dbutils.jobs.taskValues.set('l', [1, 'a'])", "1 / 0")
    assert (result.ending, result.values) == (Ending.FAILED, {"n": 3, "l": [1, "a"]})


def test_task_values_of_others_are_read_with_defaults(notebooks: Notebooks) -> None:
    cell = """
values = dbutils.jobs.taskValues
print(values.get("load", "rows"), values.get(taskKey="load", key="no", default=0, debugValue=9))
print(values.get("nobody", "x", default="d"))
"""
    assert notebooks.printed(cell, values={"load": {"rows": 12}}) == "12 0\nd\n"
    missing = notebooks.run("dbutils.jobs.taskValues.get('laod', 'rows', debugValue=1)", values={"load": {"rows": 12}})
    assert "task 'laod' has set no task values" in missing.error and "did you mean 'load'?" in missing.error
    assert "at most 49152" in notebooks.run("dbutils.jobs.taskValues.set('x', 'y' * 50_000)").error
    assert "can be set" in notebooks.run("dbutils.jobs.taskValues.set('x', object())").error


def test_secrets_are_read_and_never_shown(notebooks: Notebooks) -> None:
    notebooks.client.secrets.create_scope("kv")
    notebooks.client.secrets.put_secret("kv", "password", string_value="hunter2-long")
    result = notebooks.run(
        "p = dbutils.secrets.get('kv', key='password')\nprint(len(p), p, dbutils.secrets.getBytes('kv', 'password'))",
        "import subprocess\nsubprocess.run(['echo', 'by a child', p])", "p",
        "display([{'p': p}])", "import sys\nsys.stderr.write(p)",
        "print([m.key for m in dbutils.secrets.list('kv')], [s.name for s in dbutils.secrets.listScopes()])",
        "raise ValueError(f'wrong: {p}')",
    )  # fmt: skip
    assert "12 [REDACTED] b'[REDACTED]'" in result.output["logs"] and "['password'] ['kv']" in result.output["logs"]
    assert "by a child [REDACTED]" in result.output["logs"]
    assert result.error == "ValueError: wrong: [REDACTED]"
    kept = [path.read_text(errors="replace") for path in notebooks.folder.rglob("*") if path.is_file()]
    assert kept and not any("hunter2" in each for each in [*kept, str(result)])
    assert (
        notebooks.run("dbutils.notebook.exit(dbutils.secrets.get('kv', 'password'))").output["notebook_output"][
            "result"
        ]
        == "[REDACTED]"
    )


def test_a_secret_that_does_not_exist_is_an_error(notebooks: Notebooks) -> None:
    notebooks.client.secrets.create_scope("kv")
    assert "Scope vk does not exist" in notebooks.run("dbutils.secrets.get('vk', 'x')").error
    assert "scope: kv and key: x" in notebooks.run("dbutils.secrets.get('kv', 'x')").error


def test_files_of_volumes_are_listed_written_copied_moved_and_removed(notebooks: Notebooks) -> None:
    cells = """
fs, base = dbutils.fs, f"/Volumes/main/etl/{dbutils.widgets.get('v')}"
fs.mkdirs(base + "/in/deep")
fs.put(base + "/in/a.txt", "hello world")
print(fs.head(base + "/in/a.txt", 5))
print([(f.name, f.size, f.isDir(), f.path) for f in fs.ls("dbfs:" + base + "/in")])
fs.cp(base + "/in/a.txt", base + "/b.txt"); fs.cp(base + "/in", base + "/copy", recurse=True)
fs.mv(base + "/b.txt", base + "/c.txt")
print([f.name for f in fs.ls(base)], fs.rm(base + "/in", recurse=True), fs.rm(base + "/in"))
print([f.name for f in fs.ls(base)], fs.ls(base)[0].modificationTime > 1_600_000_000_000)
"""
    volume = notebooks.place.folder.name.replace("-", "_")
    printed = notebooks.printed(cells, base={"v": volume}).splitlines()
    assert printed[0] == "Wrote 11 bytes." and printed[1] == "hello"
    assert printed[2] == (
        f"[('a.txt', 11, False, 'dbfs:/Volumes/main/etl/{volume}/in/a.txt'), "
        f"('deep/', 0, True, 'dbfs:/Volumes/main/etl/{volume}/in/deep/')]"
    )
    assert printed[3] == "['c.txt', 'copy/', 'in/'] True False" and printed[4] == "['c.txt', 'copy/'] True"
    assert (notebooks.place.home / "volumes" / "main" / "etl" / volume / "copy" / "a.txt").read_text() == "hello world"


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("ls('/Volumes/main/etl/none')", "No such file or directory"),
        ("ls('s3://bucket/x')", "can't be reached here"),
        ("ls('/tmp')", "can't be reached here"),
        ("head('/Volumes/../../etc/passwd')", "leads out of the volumes"),
        ("put('/Volumes/main/etl/v/x', 'a'); dbutils.fs.put('/Volumes/main/etl/v/x', 'b')", "exists already"),
    ],
)
def test_a_path_that_cannot_be_reached_is_an_error(notebooks: Notebooks, call: str, says: str) -> None:
    assert says in notebooks.run(f"dbutils.fs.{call}").error


def test_what_dbutils_has_not_is_named(notebooks: Notebooks) -> None:
    assert (
        "dbutils.library isn't part of the embedded workspace" in notebooks.run("dbutils.library.restartPython()").error
    )
    assert "there is no dbutils.widget" in notebooks.run("dbutils.widget").error


def test_sql_cells_run_on_the_embedded_tables_with_widgets_as_parameters(notebooks: Notebooks) -> None:
    schema = f"main.{notebooks.place.folder.name.replace('-', '_')}"
    result = notebooks.run(
        f"# MAGIC %sql\n# MAGIC CREATE TABLE {schema}.t (id INT, name STRING);\n"
        f"# MAGIC INSERT INTO {schema}.t VALUES (1, 'a'), (2, 'b')",
        f"# MAGIC %sql SELECT name FROM {schema}.t WHERE id = CAST(:id AS INT)",
        "print(_sqldf.collect(), _sqldf.first().name)",
        "# MAGIC %sql\n# MAGIC SELECT * FROM IDENTIFIER(:table) WHERE false",
        "print(_sqldf.columns, _sqldf.count(), _sqldf.isEmpty())",
        base={"id": "2", "table": f"{schema}.t"},
    )
    assert result.ending is Ending.SUCCESS, result.output["logs"]
    assert "[Row(name='b')] b" in result.output["logs"] and "['id', 'name'] 0 True" in result.output["logs"]
    assert result.rows_written == 2
    assert "<td>b</td>" in notebooks.outputs(2)[0]["data"]["text/html"]
    assert DeltaStore(notebooks.place.home).sql(f"SELECT count(*) AS n FROM {schema}.t") == [{"n": 2}]


def test_spark_without_spark_runs_sql_and_says_what_it_cannot(notebooks: Notebooks) -> None:
    table = f"main.{notebooks.place.folder.name.replace('-', '_')}.t"
    printed = notebooks.printed(
        f"spark.sql('CREATE TABLE {table} AS SELECT 1 AS id, \"a longer name than twenty\" AS name')",
        f"df = spark.table('{table}')\ndf.show()\ndf.show(1, False)",
        "row = df.head()\nprint(row.id, row['name'][:1], row[0], row.asDict())",
        "print('id' in row, df.take(1) == df.collect())",
        f"print(spark.catalog.tableExists('{table}'), spark.catalog.tableExists('{table}x'), df)",
        "for needs in (lambda: spark.read, lambda: df.groupBy('id'), lambda: spark.createDataFrame([(1,)])):\n"
        "    try: needs()\n    except Exception as e: print(e)",
    )
    assert "|id|                name|\n" in printed and "| 1|a longer name tha...|" in printed
    assert "| 1|a longer name than twenty|" in printed
    assert "1 a 1 {'id': 1, 'name': 'a longer name than twenty'}\nTrue True" in printed
    assert "True False DataFrame[id, name]" in printed
    for what in ("spark.read", "DataFrame.groupBy", "spark.createDataFrame"):
        assert f"{what} needs Spark" in printed
    assert "real Spark runs where it is set up with Delta" in printed


def test_a_notebook_in_sql_runs(notebooks: Notebooks) -> None:
    cells = ("-- MAGIC %md\n-- MAGIC # Report", "SELECT :day AS day, 1 + 1 AS two")
    path = notebooks.put("report", *cells, "-- MAGIC %python\n-- MAGIC print(_sqldf.first())", language=Language.SQL)
    result = notebooks.at(path, parameters={"day": "2026-01-01"})
    assert result.ending is Ending.SUCCESS and "Row(day='2026-01-01', two=2)" in result.output["logs"]


def test_an_error_in_sql_is_the_notebooks_and_names_the_cell(notebooks: Notebooks) -> None:
    result = notebooks.run("1", "# MAGIC %sql SELECT * FROM main.etl.missing")
    assert result.ending is Ending.FAILED and "main.etl.missing" in result.error
    assert result.error_trace.startswith("/Shared/etl/main, cell 2: ")
    result = notebooks.run("1", "x = 1\nspark.table('main.etl.missing')")
    assert result.error.startswith("SqlError: [TABLE_OR_VIEW_NOT_FOUND] table main.etl.missing")
    assert 'File "/Shared/etl/main, cell 2", line 2, in <module>' in result.error_trace
    assert "lakeflow_job_meta" not in result.error_trace


def test_a_notebook_imports_and_reads_the_files_beside_it(notebooks: Notebooks) -> None:
    put_file(notebooks.client, "/Shared/etl/helpers.py", b"WORD = 'found'")
    put_file(notebooks.client, "/Shared/etl/data/a.txt", b"data")
    assert notebooks.printed("import helpers\nprint(helpers.WORD, open('data/a.txt').read())") == "found data\n"


def test_run_shares_names_and_takes_widgets(notebooks: Notebooks) -> None:
    notebooks.put("lib/tools", "factor = int(dbutils.widgets.get('factor'))", "def scaled(n): return n * factor")
    notebooks.put("lib/all", '# MAGIC %run ./tools $factor="3"')
    assert notebooks.printed("# MAGIC %run ./lib/all", "print(scaled(4))") == "12\n"


def test_run_in_a_circle_and_to_nowhere_are_found_before_anything_runs(notebooks: Notebooks) -> None:
    notebooks.put("a", "# MAGIC %run ./b")
    notebooks.put("b", "# MAGIC %run ./a")
    result = notebooks.run("print('ran')", "# MAGIC %run ./a", "# MAGIC %run ./nowhere")
    assert "%run goes in a circle: /Shared/etl/main → /Shared/etl/a → /Shared/etl/b → /Shared/etl/a" in result.error
    assert "Notebook not found: /Shared/etl/./nowhere" in result.error and "cell 3" in result.error
    assert "ran" not in result.output["logs"].split()


def test_everything_that_cannot_be_run_is_named_at_once_before_anything_runs(notebooks: Notebooks) -> None:
    notebooks.put("lib", "# MAGIC %conda install x")
    result = notebooks.run(
        "print('started')", "# MAGIC %pip install x", "# MAGIC %scala\n# MAGIC val x = 1", "# MAGIC %run ./lib",
        "x = 1\n!ls /", "# MAGIC %sqll SELECT 1", "%matplotlib inline\nx % 2",
    )  # fmt: skip
    assert result.ending is Ending.FAILED and "started" not in result.output["logs"]
    for found in (
        "main, cell 2: %pip can't be run here", "main, cell 3: %scala can't be run here",
        "lib, cell 1: %conda can't be run here", "main, cell 5: '!ls /' isn't Python",
        "main, cell 6: %sqll isn't known",
    ):  # fmt: skip
        assert found in result.error
    assert "cell 7" not in result.error


def test_magics_that_change_nothing_are_passed_over(notebooks: Notebooks) -> None:
    assert (
        notebooks.printed("%load_ext autoreload\nx = (7\n  % 4)\nprint(x)", "if True:\n    %autoreload 2\nprint(x)")
        == "3\n3\n"
    )


def test_shell_and_file_cells_run(notebooks: Notebooks) -> None:
    printed = notebooks.printed(
        "# MAGIC %sh\n# MAGIC echo one\n# MAGIC exit 3", "# MAGIC %fs mkdirs /Volumes/main/etl/shell"
    )
    assert printed.startswith("one\n")
    failed = notebooks.run("# MAGIC %sh -e\n# MAGIC echo one\n# MAGIC false\n# MAGIC echo two")
    assert "exit code 1" in failed.error and "two" not in failed.output["logs"]
    assert "known: ls" in notebooks.run("# MAGIC %fs lss /").error


def test_a_jupyter_notebook_runs(notebooks: Notebooks) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "text"], "metadata": {}},
        {"cell_type": "code", "source": ["x = 1\n", "x + 1"], "metadata": {}, "outputs": [], "execution_count": None},
        {"cell_type": "code", "source": "%sql\nSELECT 5 AS five", "metadata": {}, "outputs": [], "execution_count": 1},
    ]
    content = json.dumps({"cells": cells, "metadata": {"language_info": {"name": "python"}}, "nbformat": 4}).encode()
    notebooks.client.workspace.mkdirs("/Shared/etl")
    notebooks.client.workspace.upload("/Shared/etl/jupyter.ipynb", content, format=ImportFormat.AUTO, overwrite=True)
    result = notebooks.at("/Shared/etl/jupyter")
    assert result.ending is Ending.SUCCESS and result.output["logs"].startswith("2\n")
    assert "|   5|" in result.output["logs"]


@pytest.mark.parametrize(
    ("path", "text", "says"),
    [
        ("/x.scala", "// Databricks notebook source\nval x = 1", "a notebook in scala, which can't be run here"),
        ("/x.r", "# Databricks notebook source\nx <- 1", "a notebook in r, which can't be run here"),
        ("/x.ipynb", '{"cells": 1}', "isn't a notebook"),
    ],
)
def test_a_notebook_in_another_language_is_refused_by_name(
    notebooks: Notebooks, path: str, text: str, says: str
) -> None:
    (notebooks.place.folder / path[1:]).write_text(text)
    assert says in notebooks.at(f"file:{notebooks.place.folder}{path}").error


def test_a_notebook_that_is_not_there_is_a_failure_with_the_nearest_name(notebooks: Notebooks) -> None:
    notebooks.put("ingest", "1")
    result = notebooks.at("/Workspace/Shared/etl/ingset")
    assert result.ending is Ending.FAILED and "did you mean '/Shared/etl/ingest'?" in result.error


def test_display_shows_tables_pictures_and_html(notebooks: Notebooks) -> None:
    class_text = (
        "class Plot:\n    def savefig(self, file, format): file.write(b'PNG')\n    def __repr__(self): return 'plot'"
    )
    notebooks.printed(class_text, "display(Plot())", "displayHTML('<b>bold</b>')", "display([{'a': 1}, {'b': None}])")
    assert notebooks.outputs(2)[0]["data"] == {"text/plain": "plot", "image/png": "UE5H"}
    assert notebooks.outputs(3)[0]["data"]["text/html"] == "<b>bold</b>"
    assert "<th>a</th><th>b</th>" in notebooks.outputs(4)[0]["data"]["text/html"]


def test_what_a_cell_prints_without_end_is_cut_in_the_executed_notebook(notebooks: Notebooks) -> None:
    notebooks.printed("for n in range(300_000): print('line', n)")
    (output,) = notebooks.outputs(1)
    assert len(output["text"]) < 1_100_000 and "the rest isn't kept with the notebook" in output["text"]


def test_a_python_file_of_the_workspace_runs_among_its_neighbours(notebooks: Notebooks) -> None:
    put_file(
        notebooks.client, "/Shared/src/main.py", b"import lib.words\nprint(lib.words.WORD, open('data.txt').read())"
    )
    put_file(notebooks.client, "/Shared/src/lib/words.py", b"WORD = 'found'")
    put_file(notebooks.client, "/Shared/src/data.txt", b"data")
    result, _ = notebooks.place.run("spark_python_task", {"python_file": "/Workspace/Shared/src/main.py"})
    assert (result.ending, result.output["logs"]) == (Ending.SUCCESS, "found data\n")
    near, _ = notebooks.place.run("spark_python_task", {"python_file": "/Shared/src/mian.py"})
    assert "did you mean '/Shared/src/main.py'?" in near.error


def test_a_workspace_sees_nothing_of_another(notebooks: Notebooks, site: Site) -> None:
    path = notebooks.put("mine", "1")
    other = Notebooks(
        replace(notebooks.place, workspace_id=site.client(next(TOKENS)).get_workspace_id()), notebooks.client
    )
    assert "Notebook not found" in other.at(path).error


def test_the_closing_report_of_the_examples_runs(notebooks: Notebooks) -> None:
    text = (EXAMPLES / "closing_report.py").read_text()
    put_notebook(notebooks.client, "/Shared/etl/closing_report", text)
    control = f"main.{notebooks.place.folder.name.replace('-', '_')}.control"
    DeltaStore(notebooks.place.home).sql(f"""
        CREATE TABLE {control} (source_id STRING, module_name STRING, source_config STRING, target_config STRING);
        INSERT INTO {control} VALUES ('report', 'finance', '{{}}', '{{}}');
        CREATE TABLE gold.finance.daily_revenue (revenue_date DATE, store_id INT, revenue DOUBLE);
        INSERT INTO gold.finance.daily_revenue VALUES ('2026-01-02', 1, 12.5);
        CREATE TABLE silver.finance.reconciliation (line INT, agrees BOOLEAN);
        INSERT INTO silver.finance.reconciliation VALUES (1, true), (2, false)
    """)
    base = {"source_id": "report", "module_name": "finance", "control_table": control}
    result = notebooks.at("/Shared/etl/closing_report", base=base)
    assert result.ending is Ending.SUCCESS, result.output["logs"]
    assert "1 lines differ from the ledger" in result.output["logs"] and "2026-01-02" in result.output["logs"]
    missing = notebooks.at("/Shared/etl/closing_report", base={**base, "source_id": "other"})
    assert missing.error == f"ValueError: {control} has no source other in module finance"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_every_example_is_read_into_cells_of_known_kinds(path: Path) -> None:
    notebook = parse(path.name, "", path.read_bytes())
    assert len(notebook.cells) > 2 and {cell.kind for cell in notebook.cells} <= {"python", "md"}
