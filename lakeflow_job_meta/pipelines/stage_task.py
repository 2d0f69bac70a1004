"""What the task of a stage is told, and what a job's settings tell of its stages. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from lakeflow_job_meta.diagnostics import nearest
from lakeflow_job_meta.errors import UsageError
from lakeflow_job_meta.model.job import Settings, mapping
from lakeflow_job_meta.pipelines.registry import Direction
from lakeflow_job_meta.pipelines.runs.words import triggered_by

TEXTS = ("source_tablename", "pipeline_name", "stage_type")
NUMBERS = ("stage_order", "stage_position", "stage_count")
REQUIRED = (*TEXTS, "direction", *NUMBERS)


@dataclass(frozen=True, slots=True)
class StageTask:
    """One stage of one pipeline, as its task is told.

    `stage_order` is the template's, `position` counts from 1 among the `count` stages of this direction.
    `triggered_by` is manual, schedule or api; empty where only the run itself tells.
    """

    source_tablename: str
    pipeline_name: str
    direction: Direction
    stage_type: str
    stage_name: str
    stage_order: int
    position: int
    count: int
    triggered_by: str = ""

    @property
    def is_last(self) -> bool:
        """Whether no stage of the run comes after it."""
        return self.position >= self.count

    @classmethod
    def of(cls, given: Mapping[str, str]) -> StageTask:
        """The stage that these parameters name.

        Raises:
            UsageError: with all that is missing or can't be used.
        """
        found = [f"{name} is missing" for name in REQUIRED if not given.get(name)]
        found += [
            f"{name}: expected a number, found '{given[name]}'"
            for name in NUMBERS
            if given.get(name) and not given[name].isdecimal()
        ]
        direction = given.get("direction", "")
        if direction and direction not in tuple(Direction):
            hint = nearest(direction, tuple(Direction))
            found.append(f"direction: expected {' or '.join(Direction)}, found '{direction}'{hint and f' ({hint})'}")
        if found:
            raise UsageError("this isn't a stage of a pipeline: " + "; ".join(found))
        return cls(
            given["source_tablename"],
            given["pipeline_name"],
            Direction(direction),
            given["stage_type"],
            given.get("stage_name") or given["stage_type"],
            int(given["stage_order"]),
            int(given["stage_position"]),
            int(given["stage_count"]),
            given.get("triggered_by") or triggered_by(given.get("trigger_type", "")),
        )


def stages_of(settings: Settings) -> dict[str, StageTask]:
    """The stages of a job by task_key; empty where the job is no pipeline's."""
    tasks = cast("Sequence[Any]", settings.get("tasks") or ())
    found: dict[str, StageTask] = {}
    for task in map(mapping, tasks):
        given = {name: str(value) for name, value in _parameters(task).items()}
        if all(given.get(name) for name in REQUIRED):
            # What only the run itself can say is still a reference here.
            found[str(task.get("task_key"))] = StageTask.of({**given, "trigger_type": "", "triggered_by": ""})
    return found


def _parameters(task: Settings) -> Settings:
    """The parameters of a program or a notebook."""
    return mapping(mapping(task.get("python_wheel_task")).get("named_parameters")) or mapping(
        mapping(task.get("notebook_task")).get("base_parameters")
    )
