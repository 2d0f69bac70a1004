"""`dbutils.widgets`: the notebook's parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lakeflow_job_meta.diagnostics import nearest
from lakeflow_job_meta.errors import InputError


class Widgets:
    """Values that the task gives, and the defaults of the others.

    Args:
        given: the values, by name.

    >>> widgets = Widgets({"day": "2026-01-01"})
    >>> widgets.text("day", "today"), widgets.get("day")
    (None, '2026-01-01')
    """

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = dict(given)
        self._defaults: dict[str, str] = {}

    def text(self, name: str, defaultValue: str, label: str | None = None) -> None:
        """A text field."""
        del label
        self._defaults[name] = str(defaultValue)

    def dropdown(self, name: str, defaultValue: str, choices: Sequence[str], label: str | None = None) -> None:
        """A choice."""
        self._chosen("dropdown", name, defaultValue, choices)
        self.text(name, defaultValue, label)

    def combobox(self, name: str, defaultValue: str, choices: Sequence[str], label: str | None = None) -> None:
        """A choice, or anything else."""
        del choices
        self.text(name, defaultValue, label)

    def multiselect(self, name: str, defaultValue: str, choices: Sequence[str], label: str | None = None) -> None:
        """Several choices, with commas between them."""
        self._chosen("multiselect", name, defaultValue, choices)
        self.text(name, defaultValue, label)

    def get(self, name: str) -> str:
        """A value.

        Raises:
            InputError: neither given nor defined.
        """
        known = self.getAll()
        if name not in known:
            raise InputError(
                f"InputWidgetNotDefined: No input widget named {name} is defined",
                hint=nearest(name, known) or f"give the task the parameter {name}, or define the widget",
            )
        return known[name]

    def getArgument(self, name: str, defaultValue: str | None = None) -> str:
        """A value, or the default."""
        known = self.getAll()
        return defaultValue if defaultValue is not None and name not in known else self.get(name)

    def getAll(self) -> dict[str, str]:
        """All values by name."""
        return {**self._defaults, **self._given}

    def remove(self, name: str) -> None:
        """Take a widget away; what the task gave stays."""
        _ = self._defaults.pop(name, None)

    def removeAll(self) -> None:
        """Take all widgets away."""
        self._defaults.clear()

    def give(self, values: Mapping[str, str]) -> None:
        """What `%run ./other $name="value"` says."""
        self._given |= values

    def _chosen(self, kind: str, name: str, default: str, choices: Sequence[str]) -> None:
        if default not in choices:
            raise InputError(f"{kind} '{name}': the default '{default}' isn't one of its choices {list(choices)}")
