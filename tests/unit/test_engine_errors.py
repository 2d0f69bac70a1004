"""What engines say when a statement fails, as our errors."""

from __future__ import annotations

import pytest

from lakeflow_job_meta.errors import LakeflowJobMetaError, SqlError, StoreError, TableNotFound
from lakeflow_job_meta.store.connection import LostRace
from lakeflow_job_meta.store.engine_errors import MOVED, error_of

NOT_FOUND = """\
[TABLE_OR_VIEW_NOT_FOUND] The table or view `main`.`etl`.`t` cannot be found. Verify the spelling.
To tolerate the error on drop use DROP VIEW IF EXISTS. SQLSTATE: 42P01; line 1 pos 14;
'Project [*]
+- 'UnresolvedRelation [main, etl, t], [], false
"""

RACES = (
    "[DELTA_CONCURRENT_APPEND] ConcurrentAppendException: Files were added by a concurrent update.",
    "[DELTA_CONCURRENT_APPEND.WITH_PARTITION_HINT] Transaction conflict detected.",
    "[DELTA_CONCURRENT_DELETE_READ] This transaction attempted to read files that were deleted.",
    "[DELTA_CONCURRENT_DELETE_DELETE] This transaction attempted to delete files that were deleted.",
    "[CONCURRENT_TRANSACTION] …",
    "[DELTA_METADATA_CHANGED] MetadataChangedException: The metadata of the table has been changed.",
    "[DELTA_PROTOCOL_CHANGED] …",
    "The answer\ncom.databricks.sql.transaction.tahoe.ConcurrentDeleteReadException",
    "io.delta.exceptions.ProtocolChangedException: …",
    f"Job aborted due to stage failure: [USER_RAISED_EXCEPTION] {MOVED} SQLSTATE: P0001",
    "[WHATEVER] … SQLSTATE: 2D521",
)


@pytest.mark.parametrize("said", RACES)
def test_a_commit_that_lost_its_race_is_told_by_class_condition_or_state(said: str) -> None:
    assert isinstance(error_of(said), LostRace)


def test_a_missing_table_is_told_in_one_line_with_its_state() -> None:
    found = error_of(NOT_FOUND)
    assert isinstance(found, TableNotFound)
    assert found.message.startswith("[TABLE_OR_VIEW_NOT_FOUND] The table or view `main`.`etl`.`t` cannot be found.")
    assert found.message.endswith("SQLSTATE: 42P01")
    assert "\n" not in found.message


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (error_of("[PARSE_SYNTAX_ERROR] near 'SELEC'. SQLSTATE: 42601\n== SQL ==\nSELEC 1"), SqlError),
        (error_of("[INSUFFICIENT_PERMISSIONS] User lacks MODIFY. SQLSTATE: 42501"), SqlError),
        (error_of("[DIVIDE_BY_ZERO] Division by zero.", sqlstate="22012"), SqlError),
        (error_of("Cannot time travel to version 7.", wrong=True), SqlError),
        (error_of("[INTERNAL_ERROR] Oh. SQLSTATE: XX000"), StoreError),
        (error_of("Connection refused"), StoreError),
        (error_of(""), StoreError),
    ],
)
def test_wrong_statements_are_told_from_engines_that_failed(error: Exception, kind: type[Exception]) -> None:
    assert type(error) is kind


def test_hints_say_what_to_do() -> None:
    found = error_of("[INSUFFICIENT_PERMISSIONS] User lacks MODIFY. SQLSTATE: 42501")
    assert isinstance(found, LakeflowJobMetaError)
    assert "grants" in found.hint
