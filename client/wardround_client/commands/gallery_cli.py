"""``wardround hospital gallery``. Imports are deferred until it runs, so help appears immediately."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from wardround_client.commands.audit_cli import State
from wardround_common.counting import count
from wardround_common.shell.command_options import AsJson, Device
from wardround_common.shell.commands import say

MEMORY = 4 << 30
"""Bytes that drawing a page may take; an image that needs more is not drawn."""


def gallery(
    model: Annotated[
        Path | None,
        typer.Argument(metavar="MODEL", help="Folder of a released model to ask about the images.", show_default=False),
    ] = None,
    explain: Annotated[
        int, typer.Option(min=0, max=240, metavar="N", help="Number of the worst errors to draw maps of.")
    ] = 12,
    which: Annotated[
        int | None,
        typer.Option(min=1, metavar="NUMBER", help="Print which file an image of the gallery is.", show_default=False),
    ] = None,
    map_of: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="NUMBER",
            help="Draw the map of this image of the gallery, by the model that it was made with; make nothing anew.",
            show_default=False,
        ),
    ] = None,
    device: Device = "auto",
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Make the gallery of this hospital's own images that the service's pages show: it stays at the hospital.

    Labels, outlines and boxes are read as for the studies that were approved. With MODEL, that model is asked about
    each image, and its worst errors are listed first. Run it again when images or labels have changed.
    """
    from wardround_client.gallery.catalogue import entry
    from wardround_client.hospital.hospital_source import hospital_source
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.state_folder import hospital_state
    from wardround_common.errors import DataError, WardroundError

    folder = HospitalFolder(state or hospital_state())
    if which is not None:
        found = entry(hospital_source(folder).state, which)
        if found is None:
            raise DataError(f"the gallery has no image {which:,}", do="Its numbers stand on the hospital's pages.")
        typer.echo(json.dumps({"file": found.file}) if as_json else found.file)
        return
    try:
        if map_of is not None:
            _map(folder.path, model, map_of, device, as_json=as_json)
            return
        _make(folder.path, model, explain, device, as_json=as_json)
    except WardroundError as error:
        if not as_json:
            raise
        typer.echo(json.dumps({"failed": error.what, "do": error.do}, ensure_ascii=False))  # without its place
        raise typer.Exit(error.exit_code) from None


def _make(state: Path, folder: Path | None, explain: int, device: str, *, as_json: bool) -> None:
    from wardround_client.gallery.making import make
    from wardround_client.hospital.hospital_source import hospital_source
    from wardround_client.state.approvals import Approvals
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_common.errors import DataError
    from wardround_common.results.model_folder import read_model_folder

    source = hospital_source(HospitalFolder(state))
    if not source.folder.is_dir():
        raise DataError("the folder of images is not there", where=str(source.folder), do="Is its disk mounted?")
    model = None
    if folder is not None:
        read_model_folder(folder)  # what is wrong with it is said before a network is loaded
        from wardround_client.prediction.model import open_model
        from wardround_client.training.devices import choose

        model = open_model(folder, choose(device))
    approved = [one for one in Approvals(state / "studies").all() if one.decision == "approved"]
    latest = sorted(approved, key=lambda one: one.since, reverse=True)

    def tell(done: int, of: int) -> None:
        if not as_json and (done % 100 == 0 or done == of):
            typer.echo(f"asked about {done:,} of {of:,}", err=True)

    place = "" if folder is None else str(folder.resolve())
    about = make(source, [one.study for one in latest[:3]], model, explain, tell, place)
    if as_json:
        typer.echo(json.dumps(vars(about) | {"folder": ""}, ensure_ascii=False))  # no path is told
        return
    typer.echo(
        f"{count(about.images, 'image')} of {count(about.patients, 'patient')}; "
        f"{about.labelled:,} labelled, {about.outlined:,} with outlines or boxes"
    )
    if about.model:
        typer.echo(f"{about.model} was asked about {about.asked:,}, {about.judged:,} of them judged: {about.measure}")
    for note in about.notes:
        typer.echo(f"  {note}")
    say("Look at it on the pages of 'wardround hospital serve --page', under Gallery.")


def _map(state: Path, folder: Path | None, number: int, device: str, *, as_json: bool) -> None:
    from wardround_client.gallery.catalogue import about
    from wardround_client.hospital.hospital_source import hospital_source
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_common.errors import DataError
    from wardround_common.results.model_folder import read_model_folder

    source = hospital_source(HospitalFolder(state))
    found = about(source.state)
    if found is None or not found.digest:
        raise DataError("no model was asked about these images", do="Run it with the folder of a released model first.")
    place = folder or Path(found.folder)
    read_model_folder(place)
    from wardround_client.gallery.making import explain_image
    from wardround_client.prediction.model import open_model
    from wardround_client.training.devices import choose

    said = explain_image(source, open_model(place, choose(device)), number)
    typer.echo(json.dumps({"map": said}, ensure_ascii=False) if as_json else f"Image {number:,}: {said}")


def gallery_image(
    number: Annotated[int, typer.Argument(metavar="NUMBER", min=1, show_default=False, help="Number of the image.")],
    state: State = None,
) -> None:
    """Print one image of the gallery, drawn large, as JSON: what the service's pages run."""
    from wardround_client.gallery.catalogue import entry
    from wardround_client.gallery.drawing import LARGE, drawn
    from wardround_client.hospital.hospital_source import hospital_source
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.state_folder import hospital_state

    _bound_memory()
    source = hospital_source(HospitalFolder(state or hospital_state()))
    found = entry(source.state, number)
    shown = list(drawn(source.folder, [found], pixels=LARGE)) if found else []
    typer.echo(json.dumps(shown, ensure_ascii=False))


def _bound_memory() -> None:
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY if most < 0 else min(MEMORY, most), most))


def gallery_page(
    order: Annotated[
        Literal["images", "worst", "explained"],
        typer.Argument(metavar="ORDER", show_default=False, help="Order of the images."),
    ],
    page: Annotated[int, typer.Argument(metavar="PAGE", min=1, show_default=False, help="Page of them.")],
    state: State = None,
) -> None:
    """Print the images of one page of the gallery, drawn, as JSON: what the service's pages run."""
    from wardround_client.gallery.catalogue import entries
    from wardround_client.gallery.drawing import drawn
    from wardround_client.hospital.hospital_source import hospital_source
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_client.state.state_folder import hospital_state

    _bound_memory()
    source = hospital_source(HospitalFolder(state or hospital_state()))
    typer.echo(json.dumps(list(drawn(source.folder, entries(source.state, order, page))), ensure_ascii=False))
