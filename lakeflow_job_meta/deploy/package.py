"""This package as it is here: its files, and what its metadata says, however it was installed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from configparser import ConfigParser
from dataclasses import dataclass, field
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import lakeflow_job_meta
from lakeflow_job_meta.errors import UsageError

NAME = "lakeflow-job-meta"
PACKAGE = "lakeflow_job_meta"
SCRIPTS = "console_scripts"
LICENSE = "LICENSE"
REQUIREMENT = re.compile(r"([\w.-]+)\s*(\[[^\]]*\])?\s*([^;]*?)\s*(?:;\s*(.*))?")


@dataclass(frozen=True, slots=True)
class Package:
    """A package: equal for equal content, whether it was read from a source tree or from an installation.

    `version` is without any local part, `requires` are requirements in one spelling, `files` maps paths to content.
    """

    version: str
    summary: str
    requires_python: str
    requires: tuple[str, ...]
    extras: tuple[str, ...]
    scripts: Mapping[str, str]
    license: bytes = field(repr=False)
    files: Mapping[str, bytes] = field(repr=False)


def this_package() -> Package:
    """This very package.

    Raises:
        UsageError: it is neither a source tree nor installed.
    """
    folder = Path(lakeflow_job_meta.__file__).parent
    return read_package(folder, _setup(folder.parent / "setup.cfg"))


def read_package(folder: Path, setup: ConfigParser | None) -> Package:
    """The package in a folder.

    Args:
        folder: where its code is.
        setup: the `setup.cfg` beside it. In a source tree it wins over what an editable installation once wrote down.

    Raises:
        UsageError: there is no setup.cfg, and it isn't installed.
    """
    files = {f"{PACKAGE}/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in _files(folder)}
    if setup is not None:
        return _from_setup(setup, folder.parent / LICENSE, files)
    try:
        return _from_distribution(distribution(NAME), files)
    except PackageNotFoundError as error:
        raise UsageError(
            f"{NAME} isn't installed here: what it needs can't be told", hint=f"pip install {NAME}"
        ) from error


def requirement(text: str, extra: str = "") -> str:
    """A requirement in the one spelling that is compared.

    >>> requirement("typer >= 0.29, <1"), requirement("pyspark<4.1,>=4.0.5; extra == 'spark'")
    ('typer<1,>=0.29', 'pyspark<4.1,>=4.0.5; extra == "spark"')
    """
    match = REQUIREMENT.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"the requirement '{text}' can't be read")
    versions = _versions(match[3])
    markers = [*([match[4].replace("'", '"')] if match[4] else []), *([f'extra == "{extra}"'] if extra else [])]
    return f"{match[1]}{match[2] or ''}{versions}" + (f"; {' and '.join(markers)}" if markers else "")


def _files(folder: Path) -> Iterator[Path]:
    """The package's files; not what Python, editors and people leave beside them."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        left = path.suffix == ".pyc" or any(part == "__pycache__" or part.startswith(".") for part in parts)
        if path.is_file() and not left and not path.name.endswith("~"):
            yield path


def _setup(path: Path) -> ConfigParser | None:
    setup = ConfigParser(interpolation=None)
    setup.read(path, "utf-8")
    return setup if setup.get("metadata", "name", fallback="") == NAME else None


def _from_setup(setup: ConfigParser, license_file: Path, files: Mapping[str, bytes]) -> Package:
    extras = dict(setup["options.extras_require"])
    requires = [requirement(each) for each in _lines(setup["options"]["install_requires"])]
    requires += [requirement(each, extra) for extra, lines in extras.items() for each in _lines(lines)]
    scripts = (line.split("=", 1) for line in _lines(setup["options.entry_points"][SCRIPTS]))
    return Package(
        version=_public(setup["metadata"]["version"]),
        summary=setup["metadata"]["description"],
        requires_python=_versions(setup["options"]["python_requires"]),
        requires=tuple(sorted(requires)),
        extras=tuple(sorted(extras)),
        scripts={name.strip(): target.strip() for name, target in scripts},
        license=license_file.read_bytes(),
        files=files,
    )


def _from_distribution(found: Distribution, files: Mapping[str, bytes]) -> Package:
    licenses = [each for each in found.files or () if each.name == LICENSE]
    return Package(
        version=_public(found.version),
        summary=str(found.metadata["Summary"]),
        requires_python=_versions(str(found.metadata["Requires-Python"])),
        requires=tuple(sorted(requirement(each) for each in found.requires or ())),
        extras=tuple(sorted(found.metadata.get_all("Provides-Extra") or ())),
        scripts={each.name: each.value for each in found.entry_points if each.group == SCRIPTS},
        license=Path(str(licenses[0].locate())).read_bytes() if licenses else b"",
        files=files,
    )


def _lines(text: str) -> Iterable[str]:
    return (line.strip() for line in text.splitlines() if line.strip())


def _versions(text: str) -> str:
    return ",".join(sorted(each.strip().replace(" ", "") for each in text.split(",")))


def _public(version: str) -> str:
    return version.split("+")[0]
