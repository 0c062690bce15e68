"""``scan`` as a function: a folder in, what was found out, and its local report; the command prints what it returns."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from wardround_client.intake import index as index_of_folder
from wardround_client.intake.instance import Index
from wardround_client.intake.labels import LABELS_FILE, Labels, find_labels
from wardround_client.intake.patients import check_confirmed
from wardround_client.intake.scan_report import render, shown
from wardround_client.intake.scan_summary import Summary, counts, identified, summarise
from wardround_client.state.state_folder import default_state
from wardround_common.arguments import checked
from wardround_common.errors import DataError, LabelError
from wardround_common.refusals import MEANINGS
from wardround_common.storage import write_atomically

Follow = Callable[[int, int], None]
"""Is called with how many files were read and how many there are."""


@dataclass(frozen=True, eq=False)
class Scan:
    """What a scan found in a hospital's folder. Everything here stays in the hospital."""

    summary: Summary
    """The counts."""
    index: Index = field(repr=False)
    """Each file: accepted, or refused with a reason."""
    report: Path
    """The report, one HTML file, to stay at the hospital."""
    error: DataError | None
    """Why the folder cannot be used as it is: nothing is accepted, or its labels do not fit; None if it can."""

    def counts(self) -> dict[str, object]:
        """Return the counts as plain values."""
        return counts(self.summary)

    def _repr_html_(self) -> str:
        """Return the counts as a notebook shows them."""
        from markupsafe import escape

        few = ("accepted", "patients", "studies", "series", "refused", "labels", "modalities")
        rows = "".join(f"<tr><td>{name}</td><td>{escape(str(getattr(self.summary, name)))}</td></tr>" for name in few)
        error = f"<p><b>{escape(str(self.error))}</b></p>" if self.error else ""
        return f"<table>{rows}</table>{error}"


@checked
def scan(
    folder: Path | str,
    *,
    labels: Path | str | None = None,
    label_attribute: str | None = None,
    classes: Collection[str] | None = None,
    state: Path | str | None = None,
    workers: int | None = None,
    allow: Collection[str] = (),
    confirm_patients: Collection[str] = (),
    report: Path | str | None = None,
    read_labels: bool = True,
    follow: Follow | None = None,
) -> Scan:
    """Scan a hospital's image folder: what is accepted, and what is refused and why; write the local report.

    What is wrong with the folder as a whole is in ``error``, so that the rest of what was found can be read.

    Args:
        folder: images in any layout.
        labels: table of labels; None for ``labels.csv`` in the folder, if there is one.
        label_attribute: DICOM keyword of the attribute that holds the label.
        classes: labels that are allowed; any other is an error.
        state: where the index is kept; None for the user's cache.
        workers: number of reading processes; None for up to four.
        allow: findings that do not refuse a file.
        confirm_patients: guesses of who is a patient that hold.
        report: where the report is written; None for beside the index.
        read_labels: whether labels are looked for.
        follow: is called while files are read.

    Raises:
        DataError: the folder cannot be read, or holds no files.
    """
    images, confirmed = Path(folder), frozenset(confirm_patients)
    check_confirmed(confirmed)
    place = default_state(images) if state is None else Path(state)
    count = workers or min(4, os.cpu_count() or 1)
    index = index_of_folder.scan(images, state=place, allow=frozenset(allow), workers=count, progress=follow)
    if not index.accepted and not index.refused:
        raise DataError("the folder holds no files", where=str(images), do="Name the folder that holds the images.")
    words = tuple(classes) if classes else None
    table = None if labels is None else Path(labels)
    found, error = _labels(images, index, words, table, label_attribute) if read_labels else (None, None)
    index, found = identified(index, found, words or (), confirmed)
    summary = summarise(index, found, confirmed, labels_wanted=read_labels)
    page = place / "scan-report.html" if report is None else Path(report)
    made = datetime.now().astimezone()
    write_atomically(page, render(images, index, found, summary, made=made).encode(), private=True)
    return Scan(summary, index, page, error if index.accepted else _all_refused(images, index, summary))


def _all_refused(folder: Path, index: Index, summary: Summary) -> DataError:
    reason = next(iter(summary.refused))
    return DataError(
        index.all_refused,
        where=shown(str(folder)),
        do=f"Most of them for {reason!r}: {MEANINGS[reason][1]}.",
    )


def _labels(
    folder: Path, index: Index, classes: tuple[str, ...] | None, csv: Path | None, attribute: str | None
) -> tuple[Labels | None, LabelError | None]:
    """Find the labels; what is wrong with them is kept until the rest of the scan has been said."""
    asked = csv or attribute or classes or (folder / LABELS_FILE).is_file()
    if not asked or not index.accepted:
        return None, None
    try:
        return find_labels(folder, index, classes, csv=csv, attribute=attribute), None
    except LabelError as error:
        return None, error
