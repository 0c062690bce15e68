"""Options that several commands share, with the same names on both sides."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

MetricsPort = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=65535,
        metavar="PORT",
        help="Serve metrics for Prometheus at http://127.0.0.1:PORT/metrics, on this machine only.",
        show_default=False,
    ),
]
ShowPages = Annotated[
    bool, typer.Option("--page", help="Show pages in a browser on this machine; 'page' prints their address.")
]
PagePort = Annotated[
    int,
    typer.Option(
        min=0, max=65535, metavar="PORT", help="Port of the pages at 127.0.0.1; 0 takes a free one.", show_default="0"
    ),
]
PageReadOnly = Annotated[bool, typer.Option("--page-read-only", help="Show pages on which nothing can be decided.")]
LogJson = Annotated[bool, typer.Option("--log-json", help="Write the log as one JSON object per line.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
LinesAsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]
LogsAsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object per log.")]
Compared = Annotated[bool, typer.Option("--yes", help="Do not ask: the fingerprints have already been compared.")]
Last = Annotated[int, typer.Option(min=1, metavar="N", help="Number of entries to show.")]
Follow = Annotated[bool, typer.Option("--follow", help="Keep printing new entries until Ctrl-C.")]
Heads = Annotated[
    list[str] | None,
    typer.Option(
        metavar="HEAD",
        help="Check against a head that was given out earlier; repeatable.",
        show_default=False,
    ),
]
TheirHeads = Annotated[
    list[str] | None,
    typer.Option(
        metavar="HEAD",
        help="Check the other log against a head that its owner gave out earlier; repeatable.",
        show_default=False,
    ),
]
StudyFile = Annotated[Path, typer.Argument(metavar="STUDY.toml", help="Study file.", show_default=False)]

Device = Annotated[
    str,
    typer.Option(
        metavar="WHAT", help="Device to compute on: cpu, cuda, cuda:N, mps, or auto (a CUDA card, else the CPU)."
    ),
]
ModelPath = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        help="Folder of the model, as 'wardround export RUN' or 'wardround coordinator export DIR RUN' writes it.",
        show_default=False,
    ),
]

# Where a hospital's images and labels are: the same words in every command that reads them.
ImageFolder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Folder of images; nothing is written there.", show_default=False)
]
Labels = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="CSV table with the column label and one of file, uid, patient; by default labels.csv there.",
        show_default=False,
    ),
]
LabelsInEach = Annotated[
    str, typer.Option("--labels", metavar="FILE", help="Name of the label table in each folder.", show_default=False)
]
LabelAttribute = Annotated[
    str | None,
    typer.Option(
        metavar="KEYWORD",
        help="DICOM attribute that holds the label, by its keyword, instead of a table.",
        show_default=False,
    ),
]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        metavar="WORD",
        help="Accept files with this finding of the de-identification check (identity, private-tags, burnt-in) or of "
        "this kind (localizers, screens, derived, captures, for-processing, parametric-maps, synthetic); repeatable.",
        show_default=False,
    ),
]
ConfirmPatients = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GUESS",
        help="Confirm how patients are guessed where files name none: subject, study, folder or file; repeatable.",
        show_default=False,
    ),
]
ImageState = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="DIR",
        help="Folder for the index and prepared images; by default in this user's cache.",
        show_default=False,
    ),
]
CardWordsFile = Annotated[
    Path | None,
    typer.Option(
        "--words",
        metavar="FILE",
        help="File of what only people can say, for the model's card; by default card.toml in the run's folder.",
        show_default=False,
    ),
]
PublicRelease = Annotated[
    bool,
    typer.Option(
        "--public", help="Leave out report, results, unlike.json, and statements that tell small numbers of patients."
    ),
]
