"""Commands and their help: one style, with every argument explained and no summary cut short."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import click
import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup
from typer.models import CommandFunctionType
from typer.utils import get_params_from_function

from wardround_common.errors import WardroundError

_NAMED = re.compile(r"\bwardround((?: [a-z][a-z-]*)+)")  # a command in a sentence, and perhaps its next words


class Command(TyperCommand):
    """One command. Its help is click's plain text, the same with and without a terminal."""

    def __init__(self, name: str | None, **settings: Any) -> None:
        super().__init__(name, **settings)
        _restore_help(self)

    def format_arguments(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what each argument is."""
        given = [each for each in self.get_params(ctx) if isinstance(each, click.Argument)]
        _write("Arguments", formatter, (click.Argument.get_help_record(each, ctx) for each in given))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what each option is."""
        _write_options(self, ctx, formatter)

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; what there is to do about an error is to be done in the folder in which it worked."""
        try:
            return super().invoke(ctx)
        except WardroundError as error:
            error.do = in_its_folder(error.do, ctx)
            raise


class Group(TyperGroup):
    """Commands below one name."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what each option is, and what the commands are."""
        _write_options(self, ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, each with the whole first sentence of its help."""
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [(name, summary(command)) for name, command in found if command and not command.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class ShowByDefault(Group):
    """``audit --follow`` is ``audit show --follow``."""

    DEFAULT: ClassVar[str] = "show"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command in that was left out; nothing at all asks for help, in a group that shows it then."""
        named = args[0] in self.commands or args[0] in ctx.help_option_names if args else self.no_args_is_help
        return super().parse_args(ctx, args if named else [self.DEFAULT, *args])


class Commands(typer.Typer):
    """A group to which functions are added as commands of this style."""

    def __init__(self, help: str, cls: type[TyperGroup] = Group, *, no_args_is_help: bool = True) -> None:
        super().__init__(
            cls=cls,
            help=help,
            no_args_is_help=no_args_is_help,
            add_completion=False,
            suggest_commands=False,  # click says it already
            rich_markup_mode=None,
        )

    def command(
        self, name: str | None = None, *, cls: type[TyperCommand] | None = None, **settings: Any
    ) -> Callable[[CommandFunctionType], CommandFunctionType]:
        """Add a function as a command."""
        return super().command(name, cls=cls or Command, **settings)


DECLINED = 9
"""The exit code of a command that asked and was answered no."""


def confirm(question: str, otherwise: str, *, err: bool = False) -> None:
    """Ask a person; the answer no ends the command, which says what follows from it.

    ``err``: ask on standard error, where standard output is for a program.
    """
    try:
        agreed = click.confirm(question, err=err)
    except click.Abort as stop:  # Ctrl-C, or nobody there to answer
        stop.add_note(otherwise)
        raise
    if not agreed:
        click.echo(otherwise, err=True)
        raise typer.Exit(DECLINED)


def say(text: str, *, err: bool = False) -> None:
    """Print what names next commands: each finds the folder in which this one works."""
    typer.echo(in_its_folder(text), err=err)


def in_its_folder(text: str, ctx: click.Context | None = None) -> str:
    """Repeat a ``--state`` that was given in every command that a text names and that takes the same folder.

    Without it they would look in the usual folder of this user, where another hospital may be, or none.
    """
    ctx = ctx or click.get_current_context()
    given, own, root = ctx.params.get("state"), _folder(ctx.command), ctx.find_root().command
    if given is None or own is None:
        return text

    def repeated(named: re.Match[str]) -> str:
        command, path, words = root, "wardround", named[1].split()
        while isinstance(command, click.Group):
            inner = command.get_command(ctx, words[0]) if words else None
            if inner is None:
                if not isinstance(command, ShowByDefault):
                    break
                command = command.commands[command.DEFAULT]
            else:
                command, path = inner, f"{path} {words.pop(0)}"
        if _folder(command) != own:
            return named[0]
        return f"{path} --state {shlex.quote(str(given))}{named[0].removeprefix(path)}"

    return _NAMED.sub(repeated, text)


def _folder(command: click.Command) -> str | None:
    """Return what a command says of the folder that its ``--state`` names; None without such an option."""
    return next((one.help for one in command.params if isinstance(one, click.Option) and one.name == "state"), None)


def summary(command: click.Command) -> str:
    """Return the first sentence of a command's help."""
    return command.get_short_help_str(limit=10_000)


def _write_options(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    # As click says it: typer's own record escapes its brackets for rich, which plain text shows as "\[required]".
    options = [each for each in command.get_params(ctx) if isinstance(each, click.Option)]
    _write("Options", formatter, (click.Option.get_help_record(each, ctx) for each in options))


def _write(heading: str, formatter: click.HelpFormatter, records: Iterable[tuple[str, str] | None]) -> None:
    if rows := [record for record in records if record]:
        with formatter.section(heading):
            formatter.write_dl(rows)


def _restore_help(command: click.Command) -> None:
    """Restore the arguments' help: typer 0.20 sets it, then click's constructor, which has one since 8.5, clears it."""
    if command.callback is None:
        return
    stated = get_params_from_function(command.callback)
    for parameter in command.params:
        if isinstance(parameter, TyperArgument) and parameter.name in stated:
            parameter.help = stated[parameter.name].default.help
