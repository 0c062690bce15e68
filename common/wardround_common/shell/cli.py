"""The one command, ``wardround``: its sub-commands come from the installed packages by entry points.

A command is absent where its package, or the extra that the package needs, is not installed. Anything else that stops
its import is a bug, and crashes with a traceback rather than looking like a command that does not exist. A package adds
to another's command, such as ``wardround study``, by an entry point in the group ``wardround.commands.study``.

Exit codes: 0 done · 1 a bug, with a traceback · 2 the command line is wrong · 3 to 8 see ``errors`` · 9 a question was
answered no · 130 stopped with Ctrl-C · 141 nobody reads the output any more.
"""

from __future__ import annotations

import importlib.util
import inspect
import io
import os
import re
import sys
from functools import cache
from importlib.metadata import (
    EntryPoint,
    PackageNotFoundError,
    distribution,
    entry_points,
    requires,
    version,
)
from typing import NoReturn

import click
import typer

from wardround_common.errors import WardroundError
from wardround_common.shell.commands import Commands, summary
from wardround_common.shell.imports import Process

NAME = "wardround"
GROUP = "wardround.commands"
EXTRAS = {"wardround_client": "client", "wardround_server": "server", "wardround_simulation": "simulation"}
"""The extra that each package's commands need; other packages, such as somebody's own, need none of ours."""

NO_TELEMETRY = {
    "DO_NOT_TRACK": "1",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_TELEMETRY_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""What libraries read before they report their use, or look for updates."""
NO_FORKS = ("GRPC_ENABLE_FORK_SUPPORT", "false")
"""gRPC would stop its threads at each fork, and complain where it cannot; a process that serves forks none."""

STOPPED = 130
PIPE_CLOSED = 141


def main() -> NoReturn:
    """Run the command line; one of our errors becomes a message and its exit code, a bug stays a traceback."""
    quieten()
    Process.ours = True
    os.environ.setdefault(*NO_FORKS)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without the sign × shows a question mark, not a traceback
    sys.exit(_run())


def quieten() -> None:
    """Turn off what dependencies tell their makers, before one of them is imported; what a person set stays."""
    for name, value in NO_TELEMETRY.items():
        os.environ.setdefault(name, value)


def _run() -> int:
    if "_WARDROUND_COMPLETE" in os.environ:  # the shell asks for completions
        wardround.main(prog_name=NAME)
    try:
        with wardround.make_context(NAME, sys.argv[1:]) as context:
            wardround.invoke(context)
        sys.stdout.flush()  # a closed pipe shows here and not while Python shuts down
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except WardroundError as error:
        from rich.console import Console
        from rich.text import Text

        text = Text("Error: ", style="bold red").append(Text(_printable(str(error)), style="default"))
        Console(stderr=True).print(text, soft_wrap=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, EOFError, KeyboardInterrupt) as stop:
        click.echo(_printable(" ".join(["Stopped.", *getattr(stop, "__notes__", ())])), err=True)
        return STOPPED
    except BrokenPipeError:
        return _pipe_closed()
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # how rich leaves a closed pipe
            return _pipe_closed()
        raise
    return 0


def _pipe_closed() -> int:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
    return PIPE_CLOSED


def _printable(text: str) -> str:
    """Keep a file's name, or whatever else an error quotes, from steering the terminal."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)


class InstalledCommands(click.Group):
    """Sub-commands found among the installed packages; one is imported only when it is called or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the sub-commands that work on this machine."""
        return sorted({point.name for point in _points(GROUP) if lacking(point) is None})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one sub-command, or return nothing when this machine has not what it needs."""
        for point in _points(GROUP, cmd_name):
            if lacking(point) is None:
                return _with_additions(_sub_command(point.load(), cmd_name))
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the sub-command; for one that is not there, say what it needs or which name is nearest."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            name = args[0]
            if name.startswith("-"):
                raise
            for point in _points(GROUP, name):
                ctx.fail(f"The command '{name}' is not installed here: {lacking(point)}.")
            raise click.exceptions.NoSuchCommand(name, possibilities=self.list_commands(ctx), ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the sub-commands; one that cannot be imported says so, and calling it shows the traceback."""
        rows = []
        for name in self.list_commands(ctx):
            (point, *_) = (each for each in _points(GROUP, name) if lacking(each) is None)
            try:
                rows.append((name, _summary(point.load())))
            except ImportError as error:
                rows.append((name, f"BROKEN, cannot be imported: {error}"))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _with_additions(command: click.Command) -> click.Command:
    """Add what other packages bring to a group of commands; one that is not installed here says what it needs."""
    if isinstance(command, click.Group):
        there = set(command.commands)
        for point in _points(f"{GROUP}.{command.name}"):
            if point.name in there:
                continue
            there.add(point.name)
            missing = lacking(point)
            command.add_command(
                _sub_command(point.load(), point.name) if missing is None else _absent(point.name, missing)
            )
    return command


def _absent(name: str, missing: str) -> click.Command:
    """Stand in for a command that is not installed here: not listed, and it says why."""

    def fail() -> NoReturn:
        raise click.UsageError(f"The command '{name}' is not installed here: {missing}.")

    anything = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
    return click.Command(name, callback=fail, hidden=True, context_settings=anything)


@cache
def _points(group: str, name: str | None = None) -> tuple[EntryPoint, ...]:
    """Return what packages declare, what is ours first: no other package stands in the place of a command of ours."""
    if name is None:
        found = entry_points(group=group)  # it reads a file of each installed distribution
        return tuple(sorted(found, key=lambda point: point.dist is None or point.dist.name != NAME))
    return tuple(point for point in _points(group) if point.name == name)


def lacking(point: EntryPoint) -> str | None:
    """Say what keeps a command from this machine, or None when nothing does. Imports nothing."""
    package = point.module.partition(".")[0]
    if importlib.util.find_spec(package) is None:
        return f"it needs the package {package}"
    extra = EXTRAS.get(package)
    if extra is not None and (missing := sorted(_missing(extra))):
        return f"it needs wardround[{extra}], and {', '.join(missing)} cannot be found"
    return None


@cache
def _missing(extra: str) -> frozenset[str]:
    """Name the distributions of an extra of ours that are not installed, through the extras that it names."""
    missing: set[str] = set()
    for requirement in requires("wardround") or ():
        name, _, marker = requirement.partition(";")
        if not re.search(rf"extra\s*==\s*['\"]{extra}['\"]", marker):
            continue
        found = re.match(r"\s*([A-Za-z0-9._-]+)\s*(?:\[([^\]]*)\])?", name)
        if found is None:
            continue
        if found[1] == "wardround":
            missing |= {each for inner in (found[2] or "").split(",") if inner for each in _missing(inner.strip())}
        elif not _installed(found[1]):
            missing.add(found[1])
    return frozenset(missing)


def _installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _sub_command(target: object, name: str) -> click.Command:
    if isinstance(target, typer.Typer):
        command = typer.main.get_command(target)
        command.name = name
        return command
    single = Commands(help="")
    single.command(name)(target)  # type: ignore[type-var]  # an entry point names a plain function
    return typer.main.get_command(single)


def _summary(target: object) -> str:
    """Return the first sentence of a sub-command's help without building its options, which takes a while."""
    text = target.info.help if isinstance(target, typer.Typer) else inspect.getdoc(target)
    return summary(click.Command(None, help=text or ""))


@click.command(
    cls=InstalledCommands,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train one medical-image model across hospitals; no image leaves its hospital.",
)
@click.version_option(version("wardround"), prog_name=NAME)
def wardround() -> None:
    """Train one medical-image model across hospitals; no image leaves its hospital."""
