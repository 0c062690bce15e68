"""``wardround scan``. Imports are deferred until it runs, so help appears immediately."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wardround_client.commands.format_option import Formats
from wardround_common.shell.command_options import (
    Allow,
    AsJson,
    ConfirmPatients,
    ImageFolder,
    ImageState,
    LabelAttribute,
    Labels,
)


def scan(
    folder: ImageFolder,
    labels: Labels = None,
    label_attribute: LabelAttribute = None,
    classes: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Labels that are allowed; any other is an error.", show_default=False),
    ] = None,
    state: ImageState = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, max=64, metavar="N", help="Number of reading processes; by default up to 4.", show_default=False
        ),
    ] = None,
    allow: Allow = None,
    formats: Formats = None,
    confirm_patients: ConfirmPatients = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the local HTML report here instead of next to the index.", show_default=False
        ),
    ] = None,
    study: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Study of outlines or boxes: shows them over the images, in a page that stays here. "
            "Of variables: says of how many patients each is known. Of images in order: how many have none.",
            show_default=False,
        ),
    ] = None,
    preview: Annotated[
        Path | None,
        typer.Option(
            metavar="STUDY",
            help="Shows what this study makes of some images, step by step, in a page that stays; reads no labels.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the preview here instead of next to the index.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Scan a hospital's image folder: report what is accepted, and what is refused and why."""
    from wardround_client.commands.scan_screen import scan_and_show

    if out is not None and preview is None:
        raise typer.BadParameter("this is where --preview STUDY is written: name the study too", param_hint="'--out'")
    scan_and_show(
        folder,
        labels=labels,
        label_attribute=label_attribute,
        classes=classes,
        state=state,
        workers=workers,
        allow=frozenset(allow or ()),
        confirmed=frozenset(confirm_patients or ()),
        report=report,
        study=study,
        preview=preview,
        out=out,
        as_json=as_json,
    )
