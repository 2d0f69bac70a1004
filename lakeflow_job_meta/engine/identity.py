"""Whose a job is: one tag that holds the owner, the module, and a nonce that is new with each create. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lakeflow_job_meta.model.job import mapping

TAG = "lakeflow_job_meta"


@dataclass(frozen=True, slots=True)
class Identity:
    """What our tag says: owner UUID, hash of the module's name, nonce of the create."""

    owner: str
    module_hash: str
    nonce: str

    @classmethod
    def of(cls, owner: str, module: str, nonce: str) -> Identity:
        return cls(owner, module_hash(module), nonce)

    @classmethod
    def read(cls, tags: Mapping[str, Any]) -> Identity | None:
        """What the tags say; None where our tag is missing or isn't of our making.

        >>> Identity.read({"lakeflow_job_meta": "o.m.n"})
        Identity(owner='o', module_hash='m', nonce='n')
        """
        parts = str(tags.get(TAG, "")).split(".")
        return cls(*parts) if len(parts) == 3 else None

    @property
    def tag(self) -> str:
        return f"{self.owner}.{self.module_hash}.{self.nonce}"


def module_hash(module: str) -> str:
    """16 hex digits that stand for a module's name, which may hold what a tag may not."""
    return hashlib.sha256(module.encode()).hexdigest()[:16]


def tagged(settings: Mapping[str, Any], identity: Identity) -> dict[str, Any]:
    """The settings with our tag."""
    return {**settings, "tags": {**mapping(settings.get("tags")), TAG: identity.tag}}
