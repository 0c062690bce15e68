"""A group of commands one of which is meant when none is named."""

from __future__ import annotations

from typing import ClassVar

import click
from typer.core import TyperGroup


class ShowByDefault(TyperGroup):
    """``audit --follow`` is ``audit show --follow``."""

    DEFAULT: ClassVar[str] = "show"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command in that was left out."""
        named = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if named else [self.DEFAULT, *args])
