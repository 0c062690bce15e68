"""What the shell offers at the tabulator: the names of a coordinator's hospitals and runs."""

from __future__ import annotations

from pathlib import Path

import typer

from wardround_common.shell.offering import offered


def hospitals(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of enrolled hospitals that begin so; none where the folder is no coordinator's."""
    from wardround_common.errors import WardroundError
    from wardround_server.state.coordinator_folder import CoordinatorFolder

    folder = context.params.get("folder")
    try:
        enrolled = CoordinatorFolder(Path(folder)).survey().enrolled if folder else ()
    except (OSError, WardroundError):
        return []
    return offered((one.name for one in enrolled), incomplete)


def runs(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of a coordinator's runs that begin so."""
    folder = context.params.get("folder")
    try:
        found = [path.name for path in (Path(folder) / "runs").iterdir()] if folder else []
    except OSError:
        return []
    return offered(found, incomplete)
