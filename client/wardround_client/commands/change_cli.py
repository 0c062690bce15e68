"""``wardround change``. Imports are deferred until it runs, so help appears immediately."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wardround_client.commands.format_option import Formats
from wardround_common.shell.command_options import Allow, AsJson, Device, ModelPath


def change(
    model: ModelPath,
    studies: Annotated[
        list[Path],
        typer.Argument(metavar="STUDY...", help="Folders of one patient's examinations.", show_default=False),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Folder for figures, table and picture.", show_default=False),
    ] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Also write a picture, as PNG.")] = False,
    allow: Allow = None,
    formats: Formats = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Follow a patient's lesions over examinations: volumes and diameters, what is new, what has vanished.

    The examinations are outlined by the model, laid on one another, and sorted by date. Nothing leaves this machine.
    """
    from wardround_client.commands.change_screen import change_and_show

    if preview and out is None:
        raise typer.BadParameter("pictures are written into the folder that --out names", param_hint="--preview")
    change_and_show(model, studies, out, preview=preview, allow=frozenset(allow or ()), device=device, as_json=as_json)
