"""``wardround generate``. Imports are deferred until it runs, so help appears immediately."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wardround_client.commands.format_option import Formats
from wardround_common.shell.command_options import (
    Allow,
    AsJson,
    ConfirmPatients,
    Device,
    ImageState,
    LabelAttribute,
    Labels,
    ModelPath,
)

if TYPE_CHECKING:
    from wardround_client.generation.checking import Checks
    from wardround_common.metrics.shapes import Estimate

MOST = 100_000
DRAWN, COMPARED = 64, 500
"""Images that are drawn, and that are compared with patients', where --count says nothing."""


def generate(
    model: ModelPath,
    count: Annotated[
        int | None,
        typer.Option(
            "--count",
            "-n",
            min=1,
            max=MOST,
            metavar="N",
            help=f"Number of images; by default {DRAWN}, with --check {COMPARED}.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="New folder for the images; with --check for the figures and a picture of the closest pairs.",
            show_default=False,
        ),
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
    check: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write no images, but compare them with this hospital's own, which the model was trained on.",
            show_default=False,
        ),
    ] = None,
    labels: Labels = None,
    label_attribute: LabelAttribute = None,
    allow: Allow = None,
    formats: Formats = None,
    confirm_patients: ConfirmPatients = None,
    state: ImageState = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Draw synthetic images from a model that hospitals trained to make them.

    DIR gets a folder 'synthetic' that reads as a hospital's, an overview to look at, and a statement of what the images
    cost the patients whom the model was trained on.

    --check FOLDER is for a hospital of the training: whether made images look like its patients', cover them, and
    whether the model or an image tells who was trained on. Patients are split as in the run. Nothing leaves this
    machine. Options on labels and patients are for --check alone.
    """
    if check is None:
        for name, given in (
            ("--labels", labels),
            ("--label-attribute", label_attribute),
            ("--allow", allow),
            ("--confirm-patients", confirm_patients),
            ("--state", state),
        ):
            if given:
                raise typer.BadParameter("this is an option of --check FOLDER", param_hint=name)
        if out is None:
            raise typer.BadParameter("name the folder that the images are written into", param_hint="--out")
        _draw(model, count or DRAWN, out, seed, tuple(of or ()), dicom=dicom, device=device, as_json=as_json)
        return
    for name, drawn in (("--of", bool(of)), ("--dicom", dicom)):
        if drawn:
            raise typer.BadParameter("this is no option of --check FOLDER, which draws of all classes", param_hint=name)

    from wardround_client.generation.checking import check as compare
    from wardround_client.generation.pairs import write_pairs
    from wardround_client.generation.writing import new_folder
    from wardround_client.intake.patients import check_confirmed
    from wardround_client.prediction.model import open_model
    from wardround_client.preparation.source import Source
    from wardround_client.state.state_folder import default_state
    from wardround_client.training.devices import choose

    confirmed = frozenset(confirm_patients or ())
    check_confirmed(confirmed)
    if out is not None:
        with new_folder(out, private=True):  # what is wrong with it is said before anything is computed
            pass
        out.rmdir()
    opened = open_model(model, choose(device))
    source = Source(
        check, state or default_state(check), labels, label_attribute, frozenset(allow or ()), confirmed=confirmed
    )
    checked = compare(opened, source, count or COMPARED, seed)
    if out is not None:
        write_pairs(checked, out)
    _show(checked.checks, as_json=as_json)
    if out is not None and not as_json:
        typer.echo(f"Written to {out}. It shows patients' images: it stays at the hospital.")


def _draw(
    model: Path, count: int, out: Path, seed: int, of: tuple[str, ...], *, dicom: bool, device: str, as_json: bool
) -> None:
    import json

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from wardround_client.generation.writing import WORDS, Wanted, sentences, write
    from wardround_client.prediction.model import open_model
    from wardround_client.training.devices import choose
    from wardround_common.shell.stopping import stopped_with

    opened = open_model(model, choose(device))
    bars = (TextColumn("Drawing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*bars, console=Console(stderr=True), transient=True)
    bar = progress.add_task("", total=count)
    again = "Nothing was written. Run the same command again: it draws the same images."
    with stopped_with(lambda: again), progress:
        said = write(opened, Wanted(count, seed, of, dicom), out, lambda done: progress.update(bar, completed=done))
    if as_json:
        typer.echo(json.dumps(said, indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False, markup=False)
    for sentence in sentences(said):
        console.print(sentence, soft_wrap=True)
    console.print(f"Written to {out}; this text is in {WORDS}.", soft_wrap=True)


def _show(checks: Checks, *, as_json: bool) -> None:
    import json
    from dataclasses import asdict

    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    if as_json:
        typer.echo(json.dumps(asdict(checks), indent=2))
        return
    console = Console(highlight=False, markup=False)
    title = f"{checks.made:,} made images beside {checks.training:,} of training and {checks.test:,} of test patients"
    table = Table("check", "made", "patients", "how to read it", title=title, box=SIMPLE_HEAD, show_edge=False)
    rows = (
        ("Fréchet distance", checks.frechet, checks.frechet_of_patients, "smaller is more alike"),
        (
            "coverage",
            checks.coverage,
            checks.coverage_of_patients,
            "of test patients' images, those with a made one near",
        ),
        ("density", checks.density, checks.density_of_patients, "how near made images are to patients'"),
    )
    for name, made, patients, reading in rows:
        table.add_row(name, f"{made:.3f}", f"{patients:.3f}", reading)
    console.print(table)
    console.print(
        f"‘patients’ are images of training patients in the place of made ones; {checks.compared:,} of each are "
        "compared, by fixed wavelet features.",
    )
    told = Table("does it tell who was trained on?", "figure", "95 % interval", box=SIMPLE_HEAD, show_edge=False)
    told.add_row("AUROC by the model's own bound", *_told(checks.membership))
    told.add_row("AUROC by the nearest made image", *_told(checks.membership_by_images))
    console.print(told)
    low, high = checks.nearer_by_chance
    console.print(
        f"0.5 is chance. Of the made images {checks.nearer_to_training:.0%} are nearer to a training patient than to a "
        f"test patient; by chance it would be {low:.0%} to {high:.0%}.",
    )
    first = checks.closest[0]
    console.print(
        f"The closest made image is number {first.number}: {first.ratio:.2f} of the distance between "
        "the training patient's image and the nearest one of another patient. Look at it: --out DIR draws such pairs.",
    )
    console.print("An attack that fails does not prove that every attack must: epsilon alone is a bound.")


def _told(estimate: Estimate) -> tuple[str, str]:
    between = estimate.reason if estimate.low is None else f"{estimate.low:.3f} to {estimate.high:.3f}"
    return "none" if estimate.value is None else f"{estimate.value:.3f}", between
