"""What the archive answers, on the screen; studies are shown where they were asked for, and stand in no log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import date
from functools import partial
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Column, Table
from rich.text import Text

from wardround_client.intake.scan_report import shown
from wardround_client.pacs.archive import Archive, Query, Study, checked
from wardround_client.pacs.commitment import commit
from wardround_client.pacs.dimse import DimseArchive
from wardround_client.pacs.doctor import examine
from wardround_client.pacs.fetching import REPORT, Report, fetch
from wardround_client.pacs.settings import PacsSettings, read_pacs
from wardround_client.pacs.storing import Sent, files_in, store
from wardround_client.pacs.web import WebArchive
from wardround_client.pacs.worklist import read_worklist
from wardround_client.state.state_folder import default_state
from wardround_common.counting import count
from wardround_common.errors import DataError, PacsError
from wardround_common.shell.stopping import stopped_with

_LISTED = 20
"""Lines of a work list, or files, whose problem the screen shows; the report has all of them."""
STORING = "What was stored stays in the archive. Run the same command again to store what is not there yet."
"""What Ctrl-C says while results are stored."""


def archive_of(settings: PacsSettings, *, web: bool) -> Archive:
    """Return the archive as the settings name it: by DICOM, or by DICOMweb where that is asked for or all there is."""
    return WebArchive(settings) if web or settings.host is None else DimseArchive(settings)


def days(text: str) -> tuple[date | None, date | None]:
    """Read a day or days, such as ``2026-01-01..2026-01-31``.

    Raises:
        typer.BadParameter: it is neither.
    """
    first, dots, last = text.partition("..")
    try:
        found = tuple(date.fromisoformat(each.strip()) if each.strip() else None for each in (first, last))
    except ValueError:
        raise typer.BadParameter("write a day as 2026-01-31", param_hint="--date") from None
    return (found[0], found[1]) if dots else (found[0], found[0])


def show_echo(pacs: Path | None, state: Path | None, *, web: bool, as_json: bool) -> None:
    """Say that the archive answers.

    Raises:
        PacsError: it does not.
    """
    archive = archive_of(read_pacs(pacs, state), web=web)
    archive.echo()
    typer.echo(json.dumps({"answers": True, "archive": archive.where}) if as_json else f"{archive.where} answers.")


def show_doctor(pacs: Path | None, state: Path | None, *, as_json: bool) -> None:
    """Say of each step to the archive and back whether it works.

    Raises:
        PacsError: one does not.
    """
    console, checks = Console(), []
    for check in examine(read_pacs(pacs, state)):
        checks.append(check)
        if not as_json:
            mark = {True: "ok", False: "WRONG", None: "not tried"}[check.fine]
            console.print(
                Text(f"{check.what}: {mark}{', ' if check.words else ''}{shown(check.words)}"), soft_wrap=True
            )
            if check.do and check.fine is False:
                console.print(Text(f"  → {check.do}"), soft_wrap=True)
    if as_json:
        told = [{"what": each.what, "fine": each.fine, "words": each.words, "do": each.do} for each in checks]
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
    if wrong := [each for each in checks if each.fine is False]:
        raise PacsError(f"{wrong[0].what}: {wrong[0].words}", do="" if not as_json else wrong[0].do)


def show_found(pacs: Path | None, state: Path | None, query: Query, limit: int, *, web: bool, as_json: bool) -> None:
    """List the studies that the archive has for a query.

    Raises:
        PacsError: it cannot be asked.
    """
    archive = archive_of(read_pacs(pacs, state), web=web)
    answers = archive.find(query, limit + 1)
    studies = checked(answers, query)
    more, studies = len(answers) > limit, studies[:limit]
    if as_json:
        typer.echo(json.dumps({"studies": [_told(each) for each in studies], "more": more}, indent=2))
        return
    console = Console()
    table = Table(*_SHOWN[:-1], Column(_SHOWN[-1], overflow="fold"), box=None, pad_edge=False)
    for each in studies:
        cells = _told(each)
        row = (str(cells[key] if cells[key] is not None else "") for key in _SHOWN)
        table.add_row(*(shown(cell) for cell in row))
    if studies:
        console.print(table)
    rest = "; there are more: raise --limit, or ask for fewer" if more else ""
    console.print(f"{count(len(studies), 'study', 'studies')}{rest}")


_SHOWN = ("patient", "accession", "date", "modalities", "instances", "description", "study")


def _told(study: Study) -> dict[str, object]:
    return {
        "study": study.uid,
        "patient": study.patient,
        "accession": study.accession,
        "date": study.date,
        "modalities": " ".join(study.modalities),
        "description": study.description,
        "instances": study.instances,
    }


def fetch_and_show(
    pacs: Path | None,
    state: Path | None,
    worklist: Path,
    into: Path,
    *,
    label: str,
    labels: Path | None,
    web: bool,
    as_json: bool,
) -> None:
    """Fetch a work list and say what came, against what the archive counts.

    Raises:
        LabelError: the work list or the table of labels cannot be used.
        PacsError: the archive is away.
        DataError: not everything came, or not everything that came is an image.
    """
    settings = read_pacs(pacs, state)
    lines, columns = read_worklist(worklist)
    if label != "label" and label.casefold() not in columns:
        raise DataError(f"the work list has no column {label!r}", where=str(worklist), do="Name one that it has.")
    bars = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("studies"))
    with Progress(*bars, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("fetching", total=len(lines))
        told = lambda report: progress.advance(task)  # noqa: E731
        archive = archive_of(settings, web=web)

        def stopped() -> str:
            done = f"{int(progress.tasks[task].completed):,} of {count(len(lines), 'line')} are done"
            return f"{done}, and what came is in {into}. Run the same command again to continue."

        with stopped_with(stopped):
            report = fetch(archive, lines, columns, into, label=label.casefold(), labels=labels, told=told)
    if as_json:
        typer.echo(json.dumps(_counts(report, into), indent=2, ensure_ascii=False))
    else:
        _show_fetched(report, into, has_labels=label.casefold() in columns)
    if not report.complete:
        raise DataError("not everything on the work list is here", do="Read why above; run it again to continue.")


def _counts(report: Report, into: Path) -> dict[str, object]:
    return {
        "lines": report.lines,
        "studies": len(report.studies),
        "instances": report.counts(),
        "problems": [{"line": line, "problem": problem} for line, problem in _problems(report)],
        "not tried": report.not_tried,
        "labels": report.labels,
        "report": str(default_state(into) / "fetch" / REPORT),
    }


def _problems(report: Report) -> list[tuple[int, str]]:
    found = [(each.line, each.problem) for each in report.studies if each.problem]
    return sorted([*found, *report.failed.items()])


def _show_fetched(report: Report, into: Path, *, has_labels: bool) -> None:
    console = Console()
    counts = report.counts()
    console.print(
        f"{count(len(report.studies), 'study', 'studies')} for {count(report.lines, 'line')}. "
        f"Of {count(counts['counted'], 'instance')} that the "
        f"archive counts: {counts['accepted']:,} accepted, {counts['there']:,} there before, "
        f"{counts['left in the archive']:,} left in the archive (neither image nor outline), {counts['refused']:,} "
        f"refused, {counts['missing']:,} missing.",
        soft_wrap=True,
    )
    problems = _problems(report)
    for line, problem in problems[:_LISTED]:
        console.print(Text(f"line {line}: {problem}"), soft_wrap=True)
    if len(problems) > _LISTED:
        console.print(f"and {count(len(problems) - _LISTED, 'more line')}")
    if report.not_tried:
        console.print(
            f"{count(report.not_tried, 'line was', 'lines were')} not tried, since the archive brings nothing"
        )
    if report.contradicted:
        console.print(
            f"{count(report.contradicted, 'study has', 'studies have')} no label: two lines say different ones"
        )
    if report.labels:
        console.print(Text(f"Labels: {shown(report.labels)}"), soft_wrap=True)
    elif not has_labels:
        console.print("The work list has no column of labels, so no table of labels was written.")
    console.print(
        Text(f"What became of each instance that is not here: {default_state(into) / 'fetch' / REPORT}"), soft_wrap=True
    )


def store_and_show(
    pacs: Path | None, state: Path | None, paths: Sequence[Path], *, anything: bool, web: bool, as_json: bool
) -> None:
    """Store files and say of each what became of it.

    Raises:
        PacsError: the archive is away.
        DataError: not all of them are in the archive.
    """
    settings = read_pacs(pacs, state)
    archive = archive_of(settings, web=web)
    committing = partial(commit, settings) if isinstance(archive, DimseArchive) else None
    files, passed = files_in(paths)
    with stopped_with(lambda: STORING):
        sent = store(archive, files, anything=anything, commit=committing)
    if as_json:
        typer.echo(json.dumps([_said(each) for each in sent], indent=2, ensure_ascii=False))
    else:
        _show_sent(sent, Console())
        if passed:
            typer.echo(f"{count(passed, 'file')} in these folders passed over: no DICOM.")
    _check_sent(sent)


def store_predictions(settings: PacsSettings, folder: Path) -> None:
    """Store the objects that a folder of predictions holds, and say on standard error what became of them.

    Raises:
        PacsError: the archive is away.
        DataError: not all of them are in the archive.
    """
    if not (objects := sorted(folder.rglob("*.dcm"))):
        return
    archive = archive_of(settings, web=False)
    committing = partial(commit, settings) if isinstance(archive, DimseArchive) else None
    with stopped_with(lambda: STORING):
        sent = store(archive, objects, commit=committing)
    _show_sent(sent, Console(stderr=True))
    _check_sent(sent)


def _check_sent(sent: Sequence[Sent]) -> None:
    if left := [each for each in sent if each.outcome not in ("stored", "there")]:
        raise DataError(f"not in the archive: {len(left):,} of {count(len(sent), 'file')}", do="Read why above.")


def _said(sent: Sent) -> dict[str, object]:
    return {"file": sent.file, "outcome": sent.outcome, "reason": sent.reason, "committed": sent.committed}


def _show_sent(sent: Sequence[Sent], console: Console) -> None:
    for each in [each for each in sent if each.reason][:_LISTED]:
        console.print(Text(f"{shown(each.file)}: {each.outcome}, {each.reason}"), soft_wrap=True)
    counts = Counter(each.outcome for each in sent)
    console.print(
        f"{counts['stored']:,} stored, {counts['there']:,} there before, {counts['refused']:,} not sent, "
        f"{counts['failed']:,} failed."
    )
    if any(each.committed for each in sent):
        console.print(f"The archive committed itself to {sum(each.committed is True for each in sent):,} of them.")
    elif counts["stored"]:
        console.print("The archive lists them; it made no storage commitment.")
