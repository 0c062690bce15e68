"""The one command, ``wardround``: its sub-commands come from the installed packages by entry points."""

from __future__ import annotations

import os
import sys
from importlib.metadata import entry_points, version

import click
import typer
from rich.console import Console
from rich.text import Text

from wardround_common.errors import WardroundError

GROUP = "wardround.commands"


def _sub_command(target: object, name: str) -> click.Command:
    if isinstance(target, typer.Typer):
        return typer.main.get_command(target)
    single = typer.Typer(add_completion=False)
    single.command(name=name)(target)  # type: ignore[type-var]  # an entry point names a plain function
    return typer.main.get_command(single)


class InstalledCommands(click.Group):
    """Sub-commands found among the installed packages; one is imported only when it is called or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the sub-commands of the packages installed here."""
        return sorted(point.name for point in entry_points(group=GROUP))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one sub-command, or nothing when no installed package has it."""
        for point in entry_points(group=GROUP, name=cmd_name):
            try:
                target = point.load()
            except ModuleNotFoundError:
                return None  # its package or extra is not installed on this machine
            return _sub_command(target, cmd_name)
        return None


@click.command(
    cls=InstalledCommands,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Hospitals train one medical-image model together; no image leaves.",
)
@click.version_option(version("wardround"), prog_name="wardround")
def wardround() -> None:
    """Hospitals train one medical-image model together; no image leaves."""


def main() -> None:
    """Run the command line; one of our errors becomes a message and its exit code, a bug stays a traceback."""
    # Flower reports its use and looks for updates unless told otherwise before it is imported.
    os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
    os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    console = Console(stderr=True)
    try:
        wardround()
    except WardroundError as error:
        console.print(Text("Error: ", style="bold red").append(Text(str(error), style="default")), soft_wrap=True)
        sys.exit(error.exit_code)
