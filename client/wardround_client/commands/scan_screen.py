"""What a hospital's folder holds, on the screen and in a report that stays there."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from wardround_client.intake.instance import Index
from wardround_client.intake.labels import LABELS_FILE
from wardround_client.intake.patients import check_confirmed, guessed, said_of_doubts, said_of_patients
from wardround_client.intake.scan_report import shown
from wardround_client.intake.scan_summary import Summary
from wardround_client.intake.scanned import scan
from wardround_client.preparation.source import Source
from wardround_client.preparation.variables import Readings, said_of_readings
from wardround_client.state.state_folder import default_state
from wardround_common.counting import count
from wardround_common.errors import LabelError, StudyError
from wardround_common.refusals import MEANINGS
from wardround_common.shell.stopping import stopped_with
from wardround_common.storage import write_atomically
from wardround_common.study.file import Study, read_study

_LISTED = 5
"""Words that the screen shows of each count; the report has all of them."""


def scan_and_show(
    folder: Path,
    *,
    labels: Path | None,
    label_attribute: str | None,
    classes: str | None,
    state: Path | None,
    workers: int | None,
    allow: frozenset[str],
    confirmed: frozenset[str],
    report: Path | None,
    study: Path | None = None,
    preview: Path | None = None,
    out: Path | None = None,
    as_json: bool = False,
) -> None:
    """Scan a folder, say on the screen what was found, and write the local report.

    With a ``study`` whose task has something to show of what is said of the images, that is a page beside the report;
    what a study to ``preview`` makes of some images is one too, or ``out``.

    Raises:
        StudyError: the study file is wrong, or its task has nothing to show.
        DataError: the folder cannot be read or holds nothing that is accepted, or its labels do not fit. All that was
            found has been said before.
    """
    check_confirmed(confirmed)
    of_study = _study(study) if study else None
    previewed = read_study(preview) if preview else None
    console = Console()
    place = state or default_state(folder)
    columns = (TextColumn("Reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    again = "What was read is remembered. Run the same command again to continue."
    with stopped_with(lambda: again), Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        found = scan(
            folder,
            labels=labels,
            label_attribute=label_attribute,
            classes=[word.strip() for word in classes.split(",") if word.strip()] if classes else None,
            state=place,
            workers=workers,
            allow=allow,
            confirm_patients=confirmed,
            report=report,
            read_labels=of_study is None and previewed is None,
            follow=lambda done, total: bar.update(task, completed=done, total=total),
        )
    fault = found.error if isinstance(found.error, LabelError) else None
    source = Source(folder, place, labels, label_attribute, allow, confirmed)
    told = _variables(of_study, source) if of_study and of_study.data.told and not found.error else {}
    without = _without_order(of_study, source) if of_study and of_study.ordered and not found.error else None
    if as_json:
        more = ({"variables": told} if told else {}) | ({} if without is None else {"without_order": without})
        console.print_json(json.dumps(found.counts() | more | {"report": str(found.report)}))
    else:
        console.print(_screen(found.summary, fault))
        console.print(
            Text("Report, to stay at the hospital: ").append(shown(str(found.report)), style="bold"), soft_wrap=True
        )
    if found.error:
        raise found.error
    if told and of_study and not as_json:
        for line in said_of_readings(told, "patients" if of_study.data.record == "patient" else "series"):
            console.print(Text(f"{'Input':12}").append(line), soft_wrap=True)
    if without is not None and of_study and not as_json:
        console.print(Text(f"{'Order':12}").append(_said_of_order(without, of_study)), soft_wrap=True)
    if of_study:
        _show_outlines(of_study, source, None if as_json else console)
    if previewed:
        _show_preview(previewed, source, found.index, out, None if as_json else console)


def _study(path: Path) -> Study:
    from wardround_client.tasks.registry import local_task  # with torch, for which other scans need not wait

    found = read_study(path)
    if local_task(found.task).shown is None and not found.data.told and not found.ordered:
        raise StudyError(
            f"the study's task is {found.task.name}, which has no outlines or boxes to show, it has no variables, and "
            "reads no images in order",
            where=str(path),
            do="Leave out --study: labels are in the scan's own report.",
        )
    return found


def _variables(study: Study, source: Source) -> Readings:
    from wardround_client.preparation.dataset import variables_of

    return variables_of(source, study)


def _without_order(study: Study, source: Source) -> dict[str, int]:
    from wardround_client.preparation.dataset import without_order

    return without_order(source, study)


def _said_of_order(without: dict[str, int], study: Study) -> str:
    from wardround_client.preparation.order import MEANINGS

    one, several = ("patient", "patients") if study.data.record == "patient" else ("series", "series")
    if not without:
        return f"stated of all {several} that the study takes"
    return "; ".join(
        f"{count(number, one, several)} left out ({reason}: {MEANINGS[reason]})" for reason, number in without.items()
    )


def _show_outlines(study: Study, source: Source, console: Console | None) -> None:
    """Write the page that shows what is outlined, and say it on the screen."""
    from wardround_client.preparation.dataset import take_in
    from wardround_client.tasks.registry import local_task

    if local_task(study.task).shown is None:
        return
    _, found = take_in(source, study)
    task = local_task(study.task)
    if task.shown is None:
        return
    said, text = task.shown(found, study, datetime.now().astimezone())
    page = source.state / f"{task.shown_as.lower()}.html"
    write_atomically(page, text.encode(), private=True)
    if console is None:
        return
    console.print(Text(f"{task.shown_as:12}").append(said), soft_wrap=True)
    console.print(
        Text(f"{task.shown_as}, to stay at the hospital: ").append(shown(str(page)), style="bold"), soft_wrap=True
    )


def _show_preview(study: Study, source: Source, index: Index, out: Path | None, console: Console | None) -> None:
    """Write the page that shows what a study makes of some images, and say so on the screen."""
    from wardround_client.preview.make import preview  # with torch, for which other scans need not wait

    made = preview(source, index, study, datetime.now().astimezone())
    page = out or source.state / "preview.html"
    write_atomically(page, made.page.encode(), private=True)
    if console is None:
        return
    of = count(made.fitting, "examination", "examinations") if made.series else count(made.fitting, "image", "images")
    console.print(Text("Preview     ").append(f"{made.examples} of {of} that the study takes"), soft_wrap=True)
    console.print(Text("Preview, to stay at the hospital: ").append(shown(str(page)), style="bold"), soft_wrap=True)


def _screen(summary: Summary, fault: LabelError | None) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")

    def row(name: str, text: str | Text) -> None:
        table.add_row(name, text)

    images = count(summary.accepted, "image", "images")
    row("Accepted", f"{images} of {count(summary.patients, 'patient', 'patients')}, {_studies(summary)}")
    if summary.accepted:
        row("Patients", _patients(summary))
    row("Read", f"{count(summary.reread, 'file', 'files')} in this scan; the others had not changed")
    left_out = summary.left_out
    if left_out:
        row("Left out", f"{sum(left_out.values()):,} that are not the images of their studies")
    for reason, number in left_out.items():
        means, do = MEANINGS[reason]
        row("", Text(f"{number:>7,}  ").append(reason, style="yellow").append(f"  {means} ({do})"))
    refused = {reason: number for reason, number in summary.refused.items() if reason not in left_out}
    row("Refused", f"{sum(refused.values()):,}")
    for reason, number in refused.items():
        row("", Text(f"{number:>7,}  ").append(reason, style="yellow").append("  {} ({})".format(*MEANINGS[reason])))
    if any("--allow" in MEANINGS[reason][1] for reason in summary.refused):
        row("", "--allow is for 'scan' and 'simulate'; for a hospital service, set allow = [...] in its hospital.toml")
    if summary.relaxed:
        row("Allowed", Text(", ".join(summary.relaxed) + " (the de-identification check was relaxed)", style="yellow"))
    if summary.taken_in:
        row("Taken in", Text(", ".join(summary.taken_in) + " (by the hospital's switch)", style="yellow"))
    row("Labels", _labels_said(summary, fault))
    if summary.accepted:
        row("Scanners", _listed(summary.scanners))
        row("Modalities", _listed(summary.modalities))
        row("Sizes", _listed(summary.sizes))
        row("Bits", _listed(summary.bits))
        row("Transfer", _listed(summary.transfer_syntaxes))
        row("Spacing", _spacing(summary))
        pairs, between = len(summary.duplicates), len(summary.duplicates_between_patients)
        said = f"{count(pairs, 'suspected pair', 'suspected pairs')}, {between:,} between patients"
        row("Duplicates", said)
        if summary.contradictions:
            row("", Text(f"labels disagree in {len(summary.contradictions):,} of them; see the report", style="yellow"))
    return table


def _patients(summary: Summary) -> Text:
    """Say how patients were identified, and what contradicts itself about it."""
    said = said_of_patients(summary.patients_by, summary.confirmed)
    unsure = guessed(summary.patients_by).keys() - set(summary.confirmed)
    text = Text(f"identified: {said}" if not unsure else said, style="yellow" if unsure else "")
    if unsure:
        text.append("; with differential privacy a guess is refused unless it is confirmed")
    for doubt in said_of_doubts(summary.doubts):
        text.append(f"\n{doubt}", style="yellow")
    return text


def _studies(summary: Summary) -> str:
    return f"{count(summary.studies, 'study', 'studies')}, {summary.series:,} series"


def _listed(counts: dict[str, int]) -> str:
    first = [f"{shown(word)} {count:,}" for word, count in list(counts.items())[:_LISTED]]
    return " · ".join(first) + (f" · {len(counts) - _LISTED} more" if len(counts) > _LISTED else "")


def _labels_said(summary: Summary, fault: LabelError | None) -> str | Text:
    """Say which labels were read; that there are none is said too, and where a table of them may lie."""
    if summary.labels is not None:
        said = _listed(summary.labels) + _label_faults(summary)
        return Text(f"{said}; one class only", style="yellow") if len(summary.labels) == 1 else said
    if fault:
        return Text("none could be used; the reason is below", style="yellow")
    if not summary.labels_wanted:
        return "not looked for: this scan shows what a study sees; leave out --study and --preview to read them"
    said = "none were read"
    if summary.other_tables:
        first, more = summary.other_tables[0], len(summary.other_tables) - 1
        said += (
            f": {shown(first)}{f' and {more:,} more' if more else ''} may hold them; name it with --labels, or scan "
        )
        said += "the folder that it is in"
    else:
        said += f": there is no {LABELS_FILE} here; name a table with --labels, an attribute with --label-attribute, "
        said += "or, if folders are named after classes, the classes with --classes"
    return Text(said, style="yellow")


def _label_faults(summary: Summary) -> str:
    faults = {
        "images without": summary.without_label,
        "labelled files refused": summary.listed_but_refused,
        "labels without a file": summary.listed_but_missing,
    }
    said = [f"{count:,} {what}" for what, count in faults.items() if count]
    return f" ({', '.join(said)})" if said else ""


def _spacing(summary: Summary) -> str:
    if summary.spacing_mm is None:
        return "not stated"
    low, high = f"{summary.spacing_mm[0]:.3g}", f"{summary.spacing_mm[1]:.3g}"
    said = f"{low} mm" if low == high else f"{low} to {high} mm"
    return said + (f", not stated in {summary.without_spacing:,}" if summary.without_spacing else "")
