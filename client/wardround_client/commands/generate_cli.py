"""``wardround generate``. Imports are deferred until it runs, so help appears immediately."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wardround_common.shell.command_options import AsJson, Device, ModelPath

MOST = 100_000


def generate(
    model: ModelPath,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=MOST, metavar="N", help="Number of images.")] = 64,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="New folder for the images.", show_default=False),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, metavar="N", help="Seed; the same seed draws the same images.")
    ] = 0,
    of: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS",
            help="Draw images of this class, repeatable; by default of all classes in turn.",
            show_default=False,
        ),
    ] = None,
    dicom: Annotated[
        bool,
        typer.Option(
            "--dicom",
            help="Write DICOM (Secondary Capture, marked as synthetic) instead of PNG; "
            "a scan takes them only with --allow synthetic.",
        ),
    ] = False,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Draw synthetic images from a model that hospitals trained to make them.

    DIR gets a folder 'synthetic' that reads as a hospital's, an overview to look at, and a statement of what the images
    cost the patients whom the model was trained on.
    """
    import json

    from rich.console import Console

    from wardround_client.generation.writing import WORDS, Wanted, sentences, write
    from wardround_client.prediction.model import open_model
    from wardround_client.training.devices import choose

    if out is None:
        raise typer.BadParameter("name the folder that the images are written into", param_hint="--out")
    opened = open_model(model, choose(device))
    said = write(opened, Wanted(count, seed, tuple(of or ()), dicom), out)
    if as_json:
        typer.echo(json.dumps(said, indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False, markup=False)
    for sentence in sentences(said):
        console.print(sentence, soft_wrap=True)
    console.print(f"Written to {out}; this text is in {WORDS}.", soft_wrap=True)
