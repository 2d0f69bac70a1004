"""A group of commands one of which is meant where none is named: `ljm runs` is `ljm runs list`."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


class ListsByDefault(TyperGroup):
    """A group whose command `list` needn't be named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        first = args[0] if args else ""
        if first not in self.commands and first not in ("--help", "-h"):
            args = ["list", *args]
        return super().parse_args(ctx, args)
