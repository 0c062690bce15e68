"""Predictions on the screen and in a folder: progress, a line for each case, and a count of what was refused."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from wardround_client.images.body_part import UNKNOWN
from wardround_client.images.kinds import KINDS
from wardround_client.images.sop_class import OTHER_REASONS
from wardround_client.intake.readers import try_in_a_process
from wardround_client.intake.record import check_allowed
from wardround_client.intake.scan_report import shown
from wardround_client.prediction.dicom_out import Kind
from wardround_client.prediction.inputs import Input, files_of
from wardround_client.prediction.keeping import LINES, TABLE, Kept, Line, keeping
from wardround_client.prediction.model import Model, open_model
from wardround_client.prediction.predicting import Done, NotDone, ask, asking_of, name_of
from wardround_client.prediction.written import write_files
from wardround_client.preparation.asking import image_cases
from wardround_client.tasks.contract import Asked, Case
from wardround_client.training.devices import choose
from wardround_client.volumes import Refused
from wardround_common.errors import DataError, ImageRefused
from wardround_common.results.model_folder import Card

ASIDE = frozenset({"not-an-image", "no-image", *OTHER_REASONS, *KINDS.values()})
"""What accompanies images in a folder: it is passed over there, and refused where it is named itself."""
IMAGES_BY_NAME = (".dcm", ".dicom", ".ima", ".nii", ".nii.gz", ".png", ".jpg", ".jpeg", ".tif", ".tiff")
"""A file that is named so and is no image is a damaged one, which nobody wants to be passed over."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for besides the answers."""

    out: Path | None
    preview: bool
    dicom: Kind | None
    captures: bool
    allow: frozenset[str]
    batch: int
    device: str
    as_json: bool


def predict_and_show(folder: Path, inputs: Sequence[Path], wanted: Wanted) -> bool:
    """Ask a model about all inputs; tell whether nothing was refused, again where an earlier run refused it.

    Raises:
        StorageError: the model's folder is not whole, or the folder for the predictions cannot be used.
        DataError: an input is not there, or there is nothing to ask about.
    """
    check_allowed(wanted.allow)
    model = open_model(folder, choose(wanted.device))
    asking = asking_of(model)
    found = files_of(inputs, leave_out=wanted.out)
    with keeping(wanted.out, model.card) if wanted.out else nullcontext(None) as kept:
        cases = asking.cases or image_cases
        there = list(cases([each.path for each in found], model.study, wanted.allow))
        if not there:
            raise DataError(
                "there is nothing here that the model can be asked about",
                where=str(inputs[0]),
                do=f"It was trained with {', '.join(model.study.data.modalities)}.",
            )
        todo = [case for case in there if kept is None or not kept.is_done(name_of(case))]
        if kept is not None:
            todo = [_noted(case, kept) if isinstance(case, Case) else case for case in todo]
        counts = _all(model, todo, found, wanted, kept, asking.said)
        if kept is not None:
            kept.sync()
            kept.tabulate(asking.rows)
    _say(counts, len(there) - len(todo), kept)
    if counts[_PASSED] == len(there):
        raise DataError(
            f"none of {len(there):,} file{'s' if len(there) > 1 else ''} is an image that a model is asked about",
            where=str(inputs[0]),
            do="Name images, or folders of images; a file that you name itself is refused with its reason.",
        )
    return not _refused(counts)


def _refused(counts: Counter[str]) -> int:
    return sum(count for reason, count in counts.items() if reason not in _NOT_REFUSED)


def _noted(case: Case, kept: Kept) -> Case:
    """Let the folder know that a case is being read; one at which a run ended is first read in another process."""

    def prepare() -> Asked:
        if kept.is_suspect(case.name):
            try_in_a_process(case.files)
        with kept.reading(case.name):
            return case.prepare()

    return replace(case, prepare=prepare)


_PASSED, _NO_PART = "passed over", "no body part"
_NOT_REFUSED = ("", _PASSED, _NO_PART)


def _all(
    model: Model,
    todo: Sequence[Case | Refused],
    found: Sequence[Input],
    wanted: Wanted,
    kept: Kept | None,
    said: Callable[[Mapping[str, Any]], str],
) -> Counter[str]:
    named = {str(each.path) for each in found if each.named}
    counts: Counter[str] = Counter()
    console = Console(stderr=True)
    progress = Progress(
        TextColumn("Predicting"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    with progress:
        bar = progress.add_task("", total=len(todo))
        for number, one in enumerate(ask(model, todo, wanted.batch), 1):
            progress.update(bar, completed=number)
            files: list[str] = []
            if isinstance(one, Done) and kept is not None:
                try:
                    files = _written(one, kept, model.card, wanted)
                except ImageRefused as refused:
                    one = NotDone(one.case.name, refused.reason, refused.what, refused.do)  # no answer
            if isinstance(one, NotDone):
                if _accompanies(one) and one.name not in named:
                    counts[_PASSED] += 1
                    continue
                counts[one.reason] += 1
                line: Line = {"input": one.name, "refused": one.reason, "why": one.why}
                do = f"\n  → {one.do}" if one.do else ""
                console.print(Text(f"Refused: {shown(one.name)}: {one.why} ({one.reason}){do}"), soft_wrap=True)
            else:
                counts[""] += 1
                counts[_NO_PART] += one.asked.about.get("body_part") == UNKNOWN
                line = {"input": one.case.name, **one.asked.about, **one.answer.facts}
                line |= {} if kept is None else {"files": files}
            if kept is not None:
                kept.add(line)
                if number % wanted.batch == 0:
                    kept.sync()
            if wanted.as_json:
                print(json.dumps(line, ensure_ascii=False), flush=True)  # noqa: T201  # one object a line, for a program
            elif kept is None and isinstance(one, Done):
                Console().print(Text(f"{shown(one.case.name)}: {said(line)}"), soft_wrap=True)
    return counts


def _written(done: Done, kept: Kept, card: Card, wanted: Wanted) -> list[str]:
    return write_files(done, kept, card, preview=wanted.preview, dicom=wanted.dicom, captures=wanted.captures)


def _accompanies(one: NotDone) -> bool:
    damaged = one.reason == "not-an-image" and one.name.lower().endswith(IMAGES_BY_NAME)
    return one.reason in ASIDE and not damaged


def _say(counts: Counter[str], before: int, kept: Kept | None) -> None:
    """Say what came of it, on standard error: standard output is for answers."""
    parts = [f"{counts['']:,} predicted", f"{before:,} done before" if before else "", f"{_refused(counts):,} refused"]
    if counts[_PASSED]:
        parts.append(f"{counts[_PASSED]:,} that accompany images passed over")
    if counts[_NO_PART]:
        parts.append(f"{counts[_NO_PART]:,} predicted whose body part is not stated")
    console = Console(stderr=True)
    console.print(", ".join(filter(None, parts)), highlight=False)
    if kept is not None:
        console.print(
            Text(f"Written to {shown(str(kept.folder))}: {LINES}, {TABLE}. It stays at the hospital."), soft_wrap=True
        )
