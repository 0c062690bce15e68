"""``wardround explain``. Imports are deferred until it runs, so help appears immediately."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wardround_client.commands.format_option import Formats
from wardround_client.commands.pacs_cli import Pacs
from wardround_client.commands.predict_cli import NOT_ALL, Inputs, MoreInputs
from wardround_client.maps.known import known_methods
from wardround_common.shell.command_options import Allow, Device, LinesAsJson, ModelPath


def explain(
    model: ModelPath,
    inputs: Inputs = None,
    more: MoreInputs = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="Folder for lines, table, pictures and a page; what another run has finished there is not done again.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Method: {', '.join(known_methods())} (of outlines). Default: integrated-gradients, or views.",
            show_default=False,
        ),
    ] = None,
    of: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS",
            help="Class to explain; by default the finding of two classes, or the one decided for of more.",
            show_default=False,
        ),
    ] = None,
    lesion: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Structure that is a lesion, in the words of the hospital's masks; by default every one; repeatable.",
            show_default=False,
        ),
    ] = None,
    dicom: Annotated[
        bool, typer.Option("--dicom", help="Also write each map as a DICOM picture (Secondary Capture) for the PACS.")
    ] = False,
    pacs: Pacs = None,
    allow: Allow = None,
    formats: Formats = None,
    device: Device = "auto",
    as_json: LinesAsJson = False,
) -> None:
    """Explain a model's answers by maps of what they hang on, each checked against a network with random weights.

    Nothing leaves this machine, and what is written stays at the hospital. A file that cannot be used is refused with
    its reason, and the others go on; the exit code is then 4. Run the same command again after an interruption.
    """
    from wardround_client.commands.explain_screen import Wanted, explain_and_show

    asked = [*(inputs or ()), *(more or ())]
    if not asked:
        raise typer.BadParameter("name what is explained", param_hint="INPUT")
    if dicom and out is None:
        raise typer.BadParameter("objects are written into the folder that --out names", param_hint="--dicom")
    from wardround_client.pacs.settings import equipment_in
    from wardround_client.prediction.sources import NOT_STATED, Equipment

    equipment = Equipment(*equipment_in(pacs)) if dicom else NOT_STATED
    wanted = Wanted(out, method, of, tuple(lesion or ()), dicom, equipment, frozenset(allow or ()), device, as_json)
    if not explain_and_show(model, asked, wanted):
        raise typer.Exit(NOT_ALL)
