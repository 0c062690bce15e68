"""Explanations on the screen and in a folder: progress, a line for each case, a page, and what they say together."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from wardround_client.commands.predict_screen import refusal
from wardround_client.explanation.capture import capture_of
from wardround_client.explanation.explaining import Asked, Explained, class_number, explain, stem
from wardround_client.explanation.overlay import png_of
from wardround_client.explanation.page import About, render
from wardround_client.explanation.summary import Summary, lesion_words, summary_of
from wardround_client.intake.record import check_allowed
from wardround_client.intake.scan_report import shown
from wardround_client.maps import sanity
from wardround_client.maps.lesions import Lesions, lesions_in
from wardround_client.maps.registry import find
from wardround_client.prediction.answers import accompanies, noted
from wardround_client.prediction.inputs import check_apart, files_of
from wardround_client.prediction.keeping import Kept, Line, Names, keeping
from wardround_client.prediction.model import Model, open_model
from wardround_client.prediction.predicting import NotDone, asking_of, name_of
from wardround_client.preparation.asking import image_cases
from wardround_client.tasks.contract import Case
from wardround_client.training.devices import choose
from wardround_client.volumes import Refused
from wardround_common.errors import DataError, ImageRefused, StudyError
from wardround_common.tasks.registry import task_of

EXPLANATIONS = Names(
    "explanations", "wardround explanations 1", "explain.json", "explanations.jsonl", "explanations.csv"
)
PAGE, SUMMARY = "explanations.html", "summary.json"
_COLUMNS = ("method", "explained", "similarity_to_untrained", "undecided_ml", "undecided_slice")
_SYNCED = 16
PASSED = "passed over"
Files = dict[str, bytes]
"""Content by what follows the name of a case."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for."""

    out: Path | None
    method: str | None
    of: str | None
    lesions: tuple[str, ...]
    dicom: bool
    allow: frozenset[str]
    device: str
    as_json: bool


def explain_and_show(folder: Path, inputs: Sequence[Path], wanted: Wanted) -> bool:
    """Explain a model's answers on all inputs; tell whether nothing was refused.

    Raises:
        StorageError: the model's folder is not whole, or the folder for the explanations cannot be used.
        StudyError: the method, or the class that is to be explained, is not for this model.
        DataError: an input is not there, or there is nothing to explain.
    """
    check_allowed(wanted.allow)
    model = open_model(folder, choose(wanted.device))
    asking = asking_of(model)
    name, method = find(wanted.method, task_of(model.study.task))
    of = class_number(model, wanted.of)
    if wanted.lesions and method.dense:
        raise StudyError(
            "this model outlines structures: its maps say where it is undecided, and lie in no lesion",
            do="Leave out --lesion.",
        )
    check_apart(inputs, wanted.out, "explanations")
    found = files_of(inputs, leave_out=wanted.out)
    settings = {"method": name, "of": wanted.of, "lesions": list(wanted.lesions)}
    with keeping(wanted.out, model.card, EXPLANATIONS, settings) if wanted.out else nullcontext(None) as kept:
        there = list((asking.cases or image_cases)([each.path for each in found], model.study, wanted.allow))
        if not there:
            raise DataError(
                "there is nothing here that the model can be asked about",
                where=str(inputs[0]),
                do=f"It was trained with {', '.join(model.study.data.modalities)}.",
            )
        todo = [case for case in there if kept is None or not kept.is_done(name_of(case))]
        if kept is not None:
            todo = [noted(case, kept) if isinstance(case, Case) else case for case in todo]
        asked = Asked(name, method, of, _lesions(inputs, wanted, dense=method.dense) if todo else Lesions())
        named = {str(each.path) for each in found if each.named}
        counts, lines = _all(model, asked, todo, named, wanted, kept)
        if kept is not None:
            kept.sync()
            kept.tabulate(_rows(asking.rows))
            lines = list(kept.lines.values())
        summary = summary_of(lines)
        if kept is not None and summary.images:
            about = About(model.card.name, name, method.reading, method.dense)
            page = render(lines, kept.folder, about, summary, made=datetime.now())
            kept.write(PAGE, page.encode())
            facts = {"model": model.card.name, "method": name} | summary.facts()
            kept.write(SUMMARY, json.dumps(facts, indent=1).encode())
    _say(counts, len(there) - len(todo), summary, asked.lesions, kept, wanted.lesions)
    if counts[PASSED] == len(there):
        raise DataError(
            f"none of {len(there):,} file{'' if len(there) == 1 else 's'} is an image that a model is asked about",
            where=str(inputs[0]),
            do="Name images, or folders of images; a file that you name itself is refused with its reason.",
        )
    return not any(count for reason, count in counts.items() if reason not in ("", PASSED))


def _lesions(inputs: Sequence[Path], wanted: Wanted, *, dense: bool) -> Lesions:
    folders = [path.resolve() for path in inputs if path.is_dir()]
    return Lesions() if dense or not folders else lesions_in(folders, wanted.lesions)


def _all(
    model: Model,
    asked: Asked,
    todo: Sequence[Case | Refused],
    named: set[str],
    wanted: Wanted,
    kept: Kept | None,
) -> tuple[Counter[str], list[Line]]:
    counts: Counter[str] = Counter()
    lines: list[Line] = []
    console = Console(stderr=True)
    progress = Progress(
        TextColumn("Explaining"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    with progress:
        bar = progress.add_task("", total=len(todo))
        for number, case in enumerate(todo, 1):
            one, made = _made(model, asked, case, wanted)
            progress.update(bar, completed=number)
            if isinstance(one, NotDone):
                if accompanies(one) and one.name not in named:
                    counts[PASSED] += 1
                    continue
                counts[one.reason] += 1
                line: Line = {"input": one.name, "refused": one.reason, "why": one.why}
                console.print(refusal(one.name, one.why, one.reason, one.do), soft_wrap=True)
            else:
                counts[""] += 1
                done = one.done
                line = {"input": done.case.name, **done.asked.about, **done.answer.facts, **one.facts}
                if kept is not None:
                    line["files"] = [kept.write(f"{stem(one)}{end}", content) for end, content in made.items()]
            lines.append(line)
            if kept is not None:
                kept.add(line)
                if number % _SYNCED == 0:
                    kept.sync()
            if wanted.as_json:
                print(json.dumps(line, ensure_ascii=False), flush=True)  # noqa: T201  # one object a line, for a program
            elif kept is None and not isinstance(one, NotDone):
                said = asking_of(model).said(line)
                Console().print(Text(f"{shown(one.done.case.name)}: {said}; {_map_in_words(line)}"), soft_wrap=True)
    return counts, lines


def _made(model: Model, asked: Asked, case: Case | Refused, wanted: Wanted) -> tuple[Explained | NotDone, Files]:
    """Explain a case and make its files, all of them before one is written: what is refused leaves nothing behind."""
    one = explain(model, asked, case)
    if isinstance(one, NotDone) or wanted.out is None:
        return one, {}
    try:
        objects = {".map.dcm": capture_of(one, model.card)} if wanted.dicom else {}
    except ImageRefused as refused:
        return NotDone(one.done.case.name, refused.reason, refused.what, refused.do), {}
    return one, {".png": png_of(one.picture)} | one.more | objects


def _map_in_words(line: Mapping[str, Any]) -> str:
    alike = line["similarity_to_untrained"]
    checked = "" if alike is None else f", similarity to a network with random weights {alike:.2f}"
    if "undecided_ml" in line:
        return f"{line['undecided_ml']:.2f} mL undecided, most in slice {line['undecided_slice']}{checked}"
    if line["peak"] is None:
        return f"nothing speaks for {line['explained']}{checked}"
    row, column = line["peak"]["row"], line["peak"]["column"]
    return f"what speaks most for {line['explained']} is at row {row}, column {column} (pixels, from 0){checked}"


def _rows(
    answer: Callable[[Mapping[str, Any]], list[dict[str, Any]]],
) -> Callable[[Mapping[str, Any]], list[dict[str, Any]]]:
    def rows(line: Mapping[str, Any]) -> list[dict[str, Any]]:
        of_map = {name: line[name] for name in _COLUMNS if name in line} | (line.get("peak") or {})
        return [{**row, **of_map, **line.get("lesion", {})} for row in answer(line)]

    return rows


def _none_outlined(words: tuple[str, ...], lesions: Lesions) -> str:
    """Say why the lesions that --lesion names are in no figure."""
    named = " or ".join(f"'{word}'" for word in words)
    if lesions.places:
        why = f"none of the {len(lesions.places):,} images with masks has such a structure (--lesion)"
    elif lesions.unmet:
        why = "no mask outlines one of these images"
    else:
        why = "there are no masks beside them; masks are looked for in folders that you name"
    return f"How much of the maps lies in {named} is not known: {why}."


def _say(
    counts: Counter[str],
    before: int,
    summary: Summary,
    lesions: Lesions,
    kept: Kept | None,
    words: tuple[str, ...],
) -> None:
    """Say what came of it, on standard error: standard output is for answers."""
    refused = sum(count for reason, count in counts.items() if reason not in ("", PASSED))
    parts = [f"{counts['']:,} explained", f"{before:,} done before" if before else "", f"{refused:,} refused"]
    if counts[PASSED]:
        parts.append(f"{counts[PASSED]:,} that accompany images passed over")
    console = Console(stderr=True)
    console.print(", ".join(filter(None, parts)), highlight=False)
    if not summary.images:
        return
    style = "yellow" if summary.is_alike else ""
    console.print(Text(sanity.said(summary.similarity), style=style), soft_wrap=True)
    if said := lesion_words(summary):
        console.print(Text(said), soft_wrap=True)
    elif words:
        console.print(Text(_none_outlined(words, lesions), style="yellow"), soft_wrap=True)
    if lesions.unmet:
        why = ", ".join(f"{count:,} {reason}" for reason, count in lesions.unmet.items())
        console.print(Text(f"Masks that outline nothing here: {why}."), soft_wrap=True)
    if kept is not None:
        files = f"{EXPLANATIONS.lines}, {EXPLANATIONS.table}, {PAGE}, {SUMMARY}"
        console.print(Text(f"Written to {shown(str(kept.folder))}: {files}. It stays at the hospital."), soft_wrap=True)
