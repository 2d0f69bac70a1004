"""How far a contract's version must rise for what changed in it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lakeflow_job_meta.stages.contract.model import Contract, ContractColumn, ContractTable, Version

PATCH, MINOR, MAJOR = 0, 1, 2
NAMES = ("patch", "minor", "major")


@dataclass(frozen=True, slots=True)
class Difference:
    """One change: how much it asks of a consumer, and what it is."""

    weight: int
    what: str

    def __str__(self) -> str:
        return f"{NAMES[self.weight]}: {self.what}"


def differences(old: Contract, new: Contract) -> list[Difference]:
    """What changed for a consumer; the heaviest first.

    A consumer must change where it gets less than before: a table or column gone, another type, NULLs where there were
    none, values outside of the old range, rows that are older. More than before is a minor change.
    """
    found: list[Difference] = []
    before, after = {each.name: each for each in old.tables}, {each.name: each for each in new.tables}
    found += [Difference(MAJOR, f"{name} is gone") for name in before.keys() - after.keys()]
    found += [Difference(MINOR, f"{name} is new") for name in after.keys() - before.keys()]
    for name in before.keys() & after.keys():
        found += _of_table(before[name], after[name])
    if old.complete != new.complete:
        lost = set(old.complete.items()) - set(new.complete.items())
        found.append(Difference(MAJOR if lost else MINOR, "completeness is promised otherwise"))
    if old.handoff_table != new.handoff_table or set(old.envelope) - set(new.envelope):
        found.append(Difference(MAJOR, "the handoff is another one"))
    if old.handoff_hours < new.handoff_hours:
        found.append(Difference(MAJOR, "a batch may be older"))
    return sorted(found, key=lambda each: (-each.weight, each.what))


def least_version(old: Contract, new: Contract) -> Version:
    """The least version that the new contract may have.

    Returns:
        The old one's where nothing changed for a consumer.
    """
    found, version = differences(old, new), old.version
    if not found:
        return version
    if found[0].weight == MAJOR:
        return Version(version.major + 1, 0, 0)
    return Version(version.major, version.minor + 1, 0) if found[0].weight == MINOR else _raised(version)


def _raised(version: Version) -> Version:
    return replace(version, patch=version.patch + 1)


def _of_table(old: ContractTable, new: ContractTable) -> list[Difference]:
    found: list[Difference] = []
    before, after = {each.name: each for each in old.columns}, {each.name: each for each in new.columns}
    found += [Difference(MAJOR, f"{old.name}.{name} is gone") for name in before.keys() - after.keys()]
    found += [Difference(MINOR, f"{old.name}.{name} is new") for name in after.keys() - before.keys()]
    for name in before.keys() & after.keys():
        found += _of_column(f"{old.name}.{name}", before[name], after[name])
    if old.when != new.when:
        found.append(Difference(MAJOR, f"{old.name} is written {new.when}, no longer {old.when}"))
    for each in set(old.unique) - set(new.unique):
        found.append(Difference(MAJOR, f"{old.name}: {', '.join(each)} is no longer unique"))
    for each in set(new.unique) - set(old.unique):
        found.append(Difference(MINOR, f"{old.name}: {', '.join(each)} is unique"))
    found += _bound(f"{old.name}: the least number of rows", old.least_rows, new.least_rows, 1)
    found += _bound(f"{old.name}: the most rows", old.most_rows, new.most_rows, -1)
    found += _bound(f"{old.name}: the age", old.freshness_hours, new.freshness_hours, -1)
    return found


def _of_column(name: str, old: ContractColumn, new: ContractColumn) -> list[Difference]:
    found: list[Difference] = []
    if old.type != new.type:
        found.append(Difference(MAJOR, f"{name} is {new.type}, was {old.type}"))
    if old.required != new.required:
        found.append(
            Difference(MAJOR, f"{name} may be NULL") if old.required else Difference(MINOR, f"{name} is there")
        )
    found += _bound(f"{name}: the least value", old.least, new.least, 1)
    found += _bound(f"{name}: the most", old.most, new.most, -1)
    if old.allowed != new.allowed:
        wider = bool(old.allowed) and (not new.allowed or bool(set(new.allowed) - set(old.allowed)))
        found.append(Difference(MAJOR if wider else MINOR, f"{name} has other allowed values"))
    if (old.pattern, old.json) != (new.pattern, new.json):
        found.append(Difference(MAJOR, f"{name} is written otherwise"))
    if old.description != new.description:
        found.append(Difference(PATCH, f"{name} is described otherwise"))
    return found


def _bound(what: str, old: float | None, new: float | None, tightens: int) -> list[Difference]:
    """A bound that moved; `tightens` is 1 where a greater one promises more, -1 where a smaller one does."""
    if old == new:
        return []
    looser = old is not None and (new is None or (new - old) * tightens < 0)
    return [Difference(MAJOR if looser else MINOR, f"{what} is {new}, was {old}")]
