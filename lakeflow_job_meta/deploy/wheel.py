"""The wheel of a package, put together from its files: no network, no build backend, the same bytes each time."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from lakeflow_job_meta.deploy.package import LICENSE, NAME, PACKAGE, SCRIPTS, Package

TAG = "py3-none-any"
DIGEST_LENGTH = 12


@dataclass(frozen=True)
class Wheel:
    """A wheel. Its version has a hash of its content as local part, so that each content is a version of its own: pip
    and clusters take another file of the same version for installed already."""

    package: Package

    @cached_property
    def version(self) -> str:
        """`0.1.0+w3f2a…`."""
        whole = hashlib.sha256()
        for name, data in sorted({**self.package.files, **self._information(self.package.version)}.items()):
            whole.update(f"{name}\n{hashlib.sha256(data).hexdigest()}\n".encode())
        # With a letter in front: of a local part of digits only, pip would drop the zeros in front.
        return f"{self.package.version}+w{whole.hexdigest()[:DIGEST_LENGTH]}"

    @property
    def name(self) -> str:
        """The file's name."""
        return f"{PACKAGE}-{self.version}-{TAG}.whl"

    @cached_property
    def data(self) -> bytes:
        """The file."""
        files = {**self.package.files, **self._information(self.version)}
        record = f"{self._folder(self.version)}/RECORD"
        lines = [f"{name},sha256={_hash(data)},{len(data)}" for name, data in sorted(files.items())]
        whole = io.BytesIO()
        # Not compressed: what zlib makes of the same bytes differs from machine to machine.
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as archive:
            for name, data in [*sorted(files.items()), (record, "\n".join([*lines, f"{record},,", ""]).encode())]:
                entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
                entry.create_system, entry.external_attr = 3, 0o100644 << 16
                archive.writestr(entry, data)
        return whole.getvalue()

    @property
    def sha256(self) -> str:
        """The hash of the file."""
        return hashlib.sha256(self.data).hexdigest()

    def _information(self, version: str) -> Mapping[str, bytes]:
        folder = self._folder(version)
        scripts = [f"{name} = {target}" for name, target in sorted(self.package.scripts.items())]
        return {
            f"{folder}/METADATA": self._metadata(version).encode(),
            f"{folder}/WHEEL": f"Wheel-Version: 1.0\nGenerator: {NAME}\nRoot-Is-Purelib: true\nTag: {TAG}\n".encode(),
            f"{folder}/entry_points.txt": "\n".join([f"[{SCRIPTS}]", *scripts, ""]).encode(),
            f"{folder}/licenses/{LICENSE}": self.package.license,
        }

    def _metadata(self, version: str) -> str:
        package = self.package
        lines = [
            "Metadata-Version: 2.4",
            f"Name: {NAME}",
            f"Version: {version}",
            f"Summary: {package.summary}",
            f"License-File: {LICENSE}",
            f"Requires-Python: {package.requires_python}",
            *(f"Provides-Extra: {each}" for each in package.extras),
            *(f"Requires-Dist: {each}" for each in package.requires),
        ]
        return "\n".join([*lines, ""])

    @staticmethod
    def _folder(version: str) -> str:
        return f"{PACKAGE}-{version}.dist-info"


def _hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
