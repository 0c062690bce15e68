"""Explanations on the screen and in a folder: progress, a line for each case, a page, and what they say together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from wardround_client.commands.predict_screen import as_they_come
from wardround_client.explanation.capture import capture_of
from wardround_client.explanation.explaining import Asked, Explained, class_number, explain, stem
from wardround_client.explanation.page import About, render
from wardround_client.explanation.summary import Summary, lesion_words, summary_of
from wardround_client.images.picture import png_of
from wardround_client.intake.record import check_allowed
from wardround_client.intake.scan_report import shown
from wardround_client.maps import sanity
from wardround_client.maps.lesions import Lesions, lesions_in
from wardround_client.maps.registry import find
from wardround_client.prediction.case_by_case import Gone, Told, Way, case_by_case
from wardround_client.prediction.inputs import check_apart
from wardround_client.prediction.keeping import Kept, Names, Rows
from wardround_client.prediction.model import Model, open_model
from wardround_client.prediction.predicting import NotDone, asking_of
from wardround_client.prediction.sources import Equipment
from wardround_client.tasks.contract import Case, cautions_of
from wardround_client.training.devices import choose
from wardround_client.volumes import Refused
from wardround_common.counting import count
from wardround_common.errors import ImageRefused, StudyError
from wardround_common.tasks.registry import task_of

EXPLANATIONS = Names(
    "explanations", "wardround explanations 1", "explain.json", "explanations.jsonl", "explanations.csv"
)
PAGE, SUMMARY = "explanations.html", "summary.json"
_COLUMNS = ("method", "explained", "similarity_to_untrained", "undecided_ml", "undecided_slice")
_SYNCED = 16
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
    equipment: Equipment
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
    lesions = Lesions()

    def maps(todo: Sequence[Case | Refused], kept: Kept | None) -> Iterator[Told | NotDone]:
        nonlocal lesions
        if todo:
            lesions = _lesions(inputs, wanted, dense=method.dense)
        return _maps(model, Asked(name, method, of, lesions), todo, kept, wanted)

    def end(kept: Kept) -> None:
        lines = list(kept.lines.values())
        summary = summary_of(lines)
        if summary.images:
            about = About(model.card.name, name, method.reading, method.dense)
            kept.write(PAGE, render(lines, kept.folder, about, summary, made=datetime.now()).encode())
            facts = {"model": model.card.name, "method": name} | summary.facts()
            kept.write(SUMMARY, json.dumps(facts, indent=1).encode())
        summaries.append(summary)

    summaries: list[Summary] = []
    settings = {"method": name, "of": wanted.of, "lesions": list(wanted.lesions)}
    ending = (".map.dcm",) if wanted.dicom else ()
    way = Way(maps, _rows(asking.rows), EXPLANATIONS, settings, _SYNCED, ending, end)
    gone = _shown_as_it_goes(model, inputs, wanted, way)
    summary = summaries[0] if summaries else summary_of(one.line for one in gone.told)
    _say(gone, summary, lesions, wanted)
    return not any("refused" in one.line for one in gone.told)


def _lesions(inputs: Sequence[Path], wanted: Wanted, *, dense: bool) -> Lesions:
    folders = [path.resolve() for path in inputs if path.is_dir()]
    return Lesions() if dense or not folders else lesions_in(folders, wanted.lesions)


def _shown_as_it_goes(model: Model, inputs: Sequence[Path], wanted: Wanted, way: Way) -> Gone:
    with as_they_come("Explaining", as_json=wanted.as_json, out=wanted.out) as (begin, tell):
        return case_by_case(model, inputs, wanted.out, way, wanted.allow, begin, tell)


def _maps(
    model: Model, asked: Asked, todo: Sequence[Case | Refused], kept: Kept | None, wanted: Wanted
) -> Iterator[Told | NotDone]:
    """Yield the map of each case, its files written to the folder if there is one."""
    said = asking_of(model).said
    for case in todo:
        one, made = _made(model, asked, case, wanted)
        if isinstance(one, NotDone):
            yield one
            continue
        done = one.done
        line = {"input": done.case.name, **done.asked.about, **done.answer.facts, **one.facts}
        if kept is not None:
            line["files"] = [kept.write(f"{stem(one)}{end}", content) for end, content in made.items()]
        yield Told(line, said="; ".join([said(line), *cautions_of(line), _map_in_words(line)]))


def _made(model: Model, asked: Asked, case: Case | Refused, wanted: Wanted) -> tuple[Explained | NotDone, Files]:
    """Explain a case and make its files, all of them before one is written: what is refused leaves nothing behind."""
    one = explain(model, asked, case)
    if isinstance(one, NotDone) or wanted.out is None:
        return one, {}
    try:
        objects = {".map.dcm": capture_of(one, model.card, wanted.equipment)} if wanted.dicom else {}
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


def _rows(answer: Rows) -> Rows:
    def rows(line: Mapping[str, Any]) -> list[dict[str, Any]]:
        of_map = {name: line[name] for name in _COLUMNS if name in line} | (line.get("peak") or {})
        return [{**row, **of_map, **line.get("lesion", {})} for row in answer(line)]

    return rows


def _none_outlined(words: tuple[str, ...], lesions: Lesions) -> str:
    """Say why the lesions that --lesion names are in no figure."""
    named = " or ".join(f"'{word}'" for word in words)
    if lesions.places:
        why = f"none of {count(len(lesions.places), 'image')} with masks has such a structure (--lesion)"
    elif lesions.unmet:
        why = "no mask outlines one of these images"
    else:
        why = "there are no masks beside them; masks are looked for in folders that you name"
    return f"How much of the maps lies in {named} is not known: {why}."


def _say(gone: Gone, summary: Summary, lesions: Lesions, wanted: Wanted) -> None:
    """Say what came of it, on standard error: standard output is for answers."""
    refused = sum("refused" in one.line for one in gone.told)
    before = f"{gone.done_before:,} done before" if gone.done_before else ""
    parts = [f"{len(gone.told) - refused:,} explained", before, f"{refused:,} refused"]
    if gone.passed_over:
        parts.append(f"{gone.passed_over:,} that accompany images passed over")
    console = Console(stderr=True)
    console.print(", ".join(filter(None, parts)), highlight=False)
    if not summary.images:
        return
    style = "yellow" if summary.is_alike else ""
    console.print(Text(sanity.said(summary.similarity), style=style), soft_wrap=True)
    if said := lesion_words(summary):
        console.print(Text(said), soft_wrap=True)
    elif wanted.lesions:
        console.print(Text(_none_outlined(wanted.lesions, lesions), style="yellow"), soft_wrap=True)
    if lesions.unmet:
        why = ", ".join(f"{count:,} {reason}" for reason, count in lesions.unmet.items())
        console.print(Text(f"Masks that outline nothing here: {why}."), soft_wrap=True)
    if wanted.out is not None:
        files = f"{EXPLANATIONS.lines}, {EXPLANATIONS.table}, {PAGE}, {SUMMARY}"
        console.print(Text(f"Written to {shown(str(wanted.out))}: {files}. It stays at the hospital."), soft_wrap=True)
