"""``wardround scan``, as a person types it. What it needs is imported when it runs, so that help comes at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def scan(
    folder: Annotated[Path, typer.Argument(help="The hospital's folder of images; nothing is written there.")],
    labels: Annotated[
        Path | None, typer.Option(help="A CSV with the column label and one of file, uid, patient.", metavar="CSV")
    ] = None,
    label_attribute: Annotated[
        str | None, typer.Option(help="The keyword of the DICOM attribute that holds the label.", metavar="KEYWORD")
    ] = None,
    classes: Annotated[str | None, typer.Option(help="The label words, with commas: another word is an error.")] = None,
    state: Annotated[
        Path | None, typer.Option(help="Where the index is kept. Default: this user's cache.", metavar="DIR")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that read. Default: up to 4.", min=1, max=64)] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="Accept a finding of the de-identification check: identity, private-tags or burnt-in."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Where the local HTML report goes. Default: beside the index.", metavar="FILE")
    ] = None,
) -> None:
    """Index a hospital's folder of images: what is accepted, what is refused and why."""
    from wardround_client.scan_screen import scan_and_show

    scan_and_show(
        folder,
        labels=labels,
        label_attribute=label_attribute,
        classes=classes,
        state=state,
        workers=workers,
        allow=frozenset(allow or ()),
        report=report,
    )
