"""``wardround pacs``. Imports are deferred until a command runs, so help appears immediately."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wardround_client.commands.audit_cli import State
from wardround_common.shell.command_options import AsJson
from wardround_common.shell.commands import Commands

app = Commands("Fetch images from the hospital's own archive (PACS), and store results in it.")

Pacs = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Settings of the archive; by default pacs.toml in the hospital's folder.",
        show_default=False,
    ),
]
Web = Annotated[bool, typer.Option("--web", help="Use DICOMweb where the settings name both it and DICOM.")]


@app.command()
def echo(pacs: Pacs = None, state: State = None, web: Web = False, as_json: AsJson = False) -> None:
    """Ask whether the archive answers."""
    from wardround_client.commands.pacs_screen import show_echo

    show_echo(pacs, state, web=web, as_json=as_json)


@app.command()
def doctor(pacs: Pacs = None, state: State = None, as_json: AsJson = False) -> None:
    """Find out which setting is wrong: host, port, AE title of either side, TLS, or the archive's way back."""
    from wardround_client.commands.pacs_screen import show_doctor

    show_doctor(pacs, state, as_json=as_json)


@app.command()
def find(
    patient: Annotated[
        str, typer.Option(metavar="ID", help="PatientID; * and ? stand for other characters.", show_default=False)
    ] = "",
    accession: Annotated[
        str, typer.Option(metavar="NUMBER", help="Accession number; * and ? as above.", show_default=False)
    ] = "",
    study: Annotated[str, typer.Option(metavar="UID", help="StudyInstanceUID.", show_default=False)] = "",
    date: Annotated[
        str,
        typer.Option(
            metavar="DAY",
            help="Day of the study, such as 2026-01-31, or days: 2026-01-01..2026-01-31, 2026-01-01.., ..2026-01-31.",
            show_default=False,
        ),
    ] = "",
    modality: Annotated[str, typer.Option(metavar="CODE", help="Modality, such as MR.", show_default=False)] = "",
    description: Annotated[
        str, typer.Option(metavar="TEXT", help="Text within the study's description.", show_default=False)
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, metavar="N", help="Number of studies to show.")] = 100,
    pacs: Pacs = None,
    state: State = None,
    web: Web = False,
    as_json: AsJson = False,
) -> None:
    """List studies of the archive: on this screen only, nothing of them is logged or kept."""
    from wardround_client.commands.pacs_screen import days, show_found
    from wardround_client.pacs.archive import Query

    query = Query(patient, accession, study, days(date), modality, description)
    show_found(pacs, state, query, limit, web=web, as_json=as_json)


@app.command()
def fetch(
    worklist: Annotated[
        Path,
        typer.Argument(
            metavar="WORKLIST.csv",
            help="Table with a column accession, patient or study, and the labels in further columns.",
            show_default=False,
        ),
    ],
    into: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of images to fetch into.", show_default=False)],
    label: Annotated[str, typer.Option(metavar="COLUMN", help="Column of the label.")] = "label",
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the table of labels here instead of labels.csv in the folder.",
            show_default=False,
        ),
    ] = None,
    pacs: Pacs = None,
    state: State = None,
    web: Web = False,
    as_json: AsJson = False,
) -> None:
    """Fetch the studies of a work list, and write the table of their labels; run it again to continue."""
    from wardround_client.commands.pacs_screen import fetch_and_show

    fetch_and_show(pacs, state, worklist, into, label=label, labels=labels, web=web, as_json=as_json)


@app.command()
def store(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="DICOM files, or folders of them.", show_default=False)
    ],
    anything: Annotated[
        bool,
        typer.Option(
            "--any",
            help="Send also what is no segmentation, report, presentation state or secondary capture, and to studies "
            "that the archive does not have.",
        ),
    ] = False,
    pacs: Pacs = None,
    state: State = None,
    web: Web = False,
    as_json: AsJson = False,
) -> None:
    """Store results in the archive, and check that it has them; run it again to continue."""
    from wardround_client.commands.pacs_screen import store_and_show

    store_and_show(pacs, state, files, anything=anything, web=web, as_json=as_json)
