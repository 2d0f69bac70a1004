"""`dbutils` as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from lakeflow_job_meta.errors import UsageError
from lakeflow_job_meta.local.tasks.inside.dbutils.fs import Files
from lakeflow_job_meta.local.tasks.inside.dbutils.jobs import Jobs
from lakeflow_job_meta.local.tasks.inside.dbutils.notebook import NotebookUtils
from lakeflow_job_meta.local.tasks.inside.dbutils.secrets import Secrets
from lakeflow_job_meta.local.tasks.inside.dbutils.widgets import Widgets

ELSEWHERE = ("credentials", "data", "library", "preview", "api", "meta")


class NotHere(UsageError, AttributeError):
    """Something that Databricks has and the embedded workspace hasn't."""


@dataclass(frozen=True)
class Utilities:
    """`dbutils`."""

    widgets: Widgets
    notebook: NotebookUtils
    jobs: Jobs
    secrets: Secrets
    fs: Files

    def __getattr__(self, name: str) -> NoReturn:
        known = ", ".join(self.__dataclass_fields__)
        if name in ELSEWHERE:
            raise NotHere(f"dbutils.{name} isn't part of the embedded workspace", hint=f"there are {known}")
        raise NotHere(f"there is no dbutils.{name}", hint=f"there are {known}")
