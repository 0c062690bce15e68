"""Which of a hospital's images and examinations are shown: of each scanner and size some, and of different patients."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TypeVar

from wardround_client.intake.boxes import Boxes
from wardround_client.intake.instance import Index, Instance
from wardround_client.intake.labels import ROLES_FILE
from wardround_client.preparation.examinations import choose_examinations
from wardround_client.preparation.outlined import ANY
from wardround_client.preparation.source import Source
from wardround_client.preview.stages import Shown
from wardround_client.tasks.contract import Case
from wardround_client.tasks.registry import local_task
from wardround_common.study.file import Study

T = TypeVar("T")


def images(taken: Sequence[Instance], boxes: Boxes | None) -> Iterator[Instance]:
    """Yield single images, those of each scanner and size in turn, with boxes before those without."""
    marked = {file for file, found in boxes.of.items() if found} if boxes else set[str]()
    first = sorted(taken, key=lambda one: (one.file not in marked, one.file))
    yield from _in_turn(
        first, lambda one: (one.manufacturer, one.scanner, one.rows, one.columns), lambda one: one.patient
    )


def examinations(source: Source, index: Index, taken: Sequence[Instance], study: Study) -> list[Shown]:
    """Return examinations of series, those of each scanner and extent in turn: with masks, or all if none has one.

    Raises:
        LabelError: a table of the hospital's cannot be read, or contradicts itself or the study.
    """
    files, wanted = [one.file for one in taken], study.data.series or (ANY,)
    outlined = choose_examinations(source, index, files, wanted, study.groups).taken
    found = [Shown(one.channels, one.reference, one.mask) for one in outlined]
    asking = local_task(study.task).asking
    if not found and asking is not None and asking.cases is not None:
        beside = [path for path in (source.folder / ROLES_FILE,) if path.is_file()]
        paths = [*(source.folder / file for file in files), *beside]
        cases = [case for case in asking.cases(paths, study, frozenset()) if isinstance(case, Case) and case.series]
        found = [Shown(case.series, case.series[0], None) for case in cases]
    return [*_in_turn(found, lambda one: (*one.made_by(index), one.reference.geometry.shape), lambda one: one.patient)]


def _in_turn(things: Sequence[T], kind: Callable[[T], Hashable], patient: Callable[[T], str]) -> Iterator[T]:
    """Yield one of each kind, then a second of each, and so on: from the middle of a kind, other patients first."""
    kinds: dict[Hashable, list[T]] = defaultdict(list)
    for one in things:
        kinds[kind(one)].append(one)
    waiting = sorted(kinds.values(), key=len, reverse=True)
    seen = set[str]()
    while waiting:
        for several in waiting:
            fresh = [one for one in several if patient(one) not in seen] or several
            one = fresh[len(fresh) // 2]
            several.remove(one)
            seen.add(patient(one))
            yield one
        waiting = [several for several in waiting if several]
