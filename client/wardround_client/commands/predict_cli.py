"""``wardround predict``. Imports are deferred until it runs, so help appears immediately."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from wardround_client.commands.format_option import Formats
from wardround_client.commands.pacs_cli import Pacs
from wardround_common.shell.command_options import Allow, Device, LinesAsJson, ModelPath

NOT_ALL = 4
"""The exit code where some of what was asked about was refused: that of an error in a hospital's data."""
Inputs = Annotated[
    list[Path] | None,
    typer.Argument(metavar="INPUT...", help="Images, series or folders of them.", show_default=False),
]
MoreInputs = Annotated[
    list[Path] | None,
    typer.Option("--input", "-i", metavar="INPUT", help="Same as INPUT; repeatable.", show_default=False),
]


def predict(
    model: ModelPath,
    inputs: Inputs = None,
    more: MoreInputs = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="Folder for lines, table and masks; what another run has finished there is not done again.",
            show_default=False,
        ),
    ] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Also write a picture of each, as PNG.")] = False,
    dicom: Annotated[
        bool,
        typer.Option(
            "--dicom",
            help="Also write DICOM objects for the PACS: segmentations of outlines, reports of numbers, and pictures.",
        ),
    ] = False,
    labelmap: Annotated[
        bool,
        typer.Option("--labelmap", help="With --dicom: write segmentations as label maps, which newer archives read."),
    ] = False,
    captures: Annotated[
        bool,
        typer.Option(
            "--captures/--no-captures",
            help="With --dicom: pictures (Secondary Capture) for viewers that show nothing else, or none.",
        ),
    ] = True,
    store: Annotated[
        bool, typer.Option("--store", help="With --dicom: also store the objects in the hospital's archive.")
    ] = False,
    pacs: Pacs = None,
    batch: Annotated[
        int, typer.Option(min=1, max=4096, metavar="N", help="Number of images to give to the network at a time.")
    ] = 64,
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="This hospital's own calibration of the model, "
            "as 'wardround evaluate MODEL FOLDER --recalibrate FILE' wrote it.",
            show_default=False,
        ),
    ] = None,
    clinical: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Table of what the model is told besides images; by default the clinical.csv in INPUT.",
            show_default=False,
        ),
    ] = None,
    allow: Allow = None,
    formats: Formats = None,
    device: Device = "auto",
    as_json: LinesAsJson = False,
) -> None:
    """Ask a model about new images: what it sees, with probabilities, or outlines with volumes and diameters.

    No labels are needed, and nothing leaves this machine but what --store sends to the archive. A file that cannot be
    used is refused with its reason, and the others go on; the exit code is then 4. Run the same command again after an
    interruption to continue.
    """
    from wardround_client.commands.predict_screen import Wanted, predict_and_show

    asked = [*(inputs or ()), *(more or ())]
    if not asked:
        raise typer.BadParameter("name what the model is asked about", param_hint="INPUT")
    if preview and out is None:
        raise typer.BadParameter("pictures are written into the folder that --out names", param_hint="--preview")
    if (dicom or labelmap) and out is None:
        raise typer.BadParameter("objects are written into the folder that --out names", param_hint="--dicom")
    if store and not (dicom or labelmap):
        raise typer.BadParameter("what is stored is what --dicom writes", param_hint="--store")
    kind: Literal["BINARY", "LABELMAP"] | None = "LABELMAP" if labelmap else "BINARY" if dicom else None
    from wardround_client.pacs.settings import equipment_in, read_pacs
    from wardround_client.prediction.sources import NOT_STATED, Equipment

    settings = read_pacs(pacs) if store else None  # what is wrong with it is said before anything is predicted
    equipment = Equipment(*equipment_in(pacs)) if kind is not None else NOT_STATED
    wanted = Wanted(
        out, preview, kind, captures, equipment, frozenset(allow or ()), batch, device, as_json, calibration, clinical
    )
    everything = predict_and_show(model, asked, wanted)
    if settings is not None and out is not None:
        from wardround_client.commands.pacs_screen import store_predictions

        store_predictions(settings, out)
    if not everything:
        raise typer.Exit(NOT_ALL)
