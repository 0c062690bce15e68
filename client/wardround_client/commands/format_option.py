"""The option by which commands read files of a plug-in's format, for as long as they run."""

from __future__ import annotations

from typing import Annotated

import typer


def _let_in(context: typer.Context, given: list[str] | None) -> list[str]:
    """Let in the formats that were given; the digest of one that was given without is printed."""
    if not given or context.resilient_parsing:
        return []
    from wardround_client.images.plugin_formats import let_in, pin

    pinned = []
    for name in given:
        pinned.append(name if "@" in name else pin(name))
        let_in(pinned[-1:])
        if "@" not in name:
            typer.echo(f'As installed here; in hospital.toml: formats = ["{pinned[-1]}"]', err=True)
    return pinned


Formats = Annotated[
    list[str] | None,
    typer.Option(
        "--format",
        metavar="PACKAGE:PART",
        help="Read files of this plug-in's format too (docs/plugins.md), with @SHA256 only if that is installed; "
        "repeatable.",
        show_default=False,
        callback=_let_in,
    ),
]
