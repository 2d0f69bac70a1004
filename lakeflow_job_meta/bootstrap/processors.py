"""Which processors a step's `ps_type` can name: a table, one entry each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Processor:
    """A kind of step: the module that carries it out, the keys of its config, its folder beside the pipeline file; or,
    where the product brings the dataset itself, the package whose folder it is."""

    module: str
    keys: tuple[str, ...]
    folder: str
    package: str = ""

    def dataset_folder(self, beside: Path, said: str = "") -> Path:
        """Where the dataset's files are.

        Args:
            beside: the folder of the pipeline file.
            said: what the step's config says.
        """
        if self.package and not said:
            # An installed package is a folder of this machine: pip unpacks it.
            return Path(str(resources.files(self.package))) / self.folder
        return beside / (said or self.folder)


FORCE = ("force_recreate_dataset", "force_recreate_tables")
PROCESSOR = "lakeflow_job_meta.bootstrap.onetime_bootstrap_processor"


PROCESSORS: Mapping[str, Processor] = {
    "setup.initial.onetime_bootstrap": Processor(PROCESSOR, (*FORCE, "folder", "catalog", "dataset"), "initial"),
    "setup.pipelines.registry": Processor(
        PROCESSOR, (*FORCE, "catalog", "dataset"), "dataset", "lakeflow_job_meta.pipelines"
    ),
}
