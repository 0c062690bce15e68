"""What a model is asked of a person's files, one case after the other; an interrupted run into a folder is resumed.

The one road of whatever a model is asked for of each case: answers, and maps of what they hang on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wardround_client.images.kinds import KINDS
from wardround_client.images.sop_class import OTHER_REASONS
from wardround_client.intake.columns import read_columns
from wardround_client.intake.labels import CLINICAL_FILE
from wardround_client.intake.readers import try_in_a_process
from wardround_client.prediction.inputs import files_of
from wardround_client.prediction.keeping import PREDICTIONS, Kept, Line, Names, Rows, keeping, stamp_of
from wardround_client.prediction.model import Model
from wardround_client.prediction.predicting import NotDone, asking_of, name_of
from wardround_client.preparation.asking import cases_of
from wardround_client.preparation.variables import WHAT
from wardround_client.tasks.contract import Asked, Case
from wardround_client.volumes import Refused
from wardround_common.errors import DataError, ImageRefused, LabelError, StudyError
from wardround_common.study.file import Study

ASIDE = frozenset({"not-an-image", "no-image", *OTHER_REASONS, *KINDS.values()})
"""What accompanies images in a folder: it is passed over there, and refused where it is named itself."""
IMAGES_BY_NAME = (".dcm", ".dicom", ".ima", ".nii", ".nii.gz", ".png", ".jpg", ".jpeg", ".tif", ".tiff")
"""A file that is named so and is no image is a damaged one, which nobody wants to be passed over."""


@dataclass(frozen=True)
class Told:
    """What became of one case."""

    line: Line = field(repr=False)
    """``input``, and what its files say of it with the answer, or ``refused`` with ``why``."""
    do: str = ""
    """What to do about a refusal."""
    said: str = ""
    """The answer in a line for a person."""


@dataclass(frozen=True, eq=False)
class Way:
    """What is asked for of each case, and what is kept of it."""

    tell: Callable[[Sequence[Case | Refused], Kept | None], Iterable[Told | NotDone]]
    """From cases to what became of each, in their order; files are written to the folder if there is one."""
    rows: Rows
    """From a line to the rows of a table."""
    names: Names = PREDICTIONS
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What else decides on what is written."""
    synced: int = 64
    """After this many cases what was written outlives a power cut."""
    wanted: tuple[str, ...] = ()
    """The endings of the files that are written of each case and that an earlier run may not have been asked for."""
    end: Callable[[Kept], None] = lambda kept: None
    """What is written to the folder at the end."""


@dataclass(frozen=True, eq=False)
class Gone:
    """What became of all cases."""

    told: tuple[Told, ...] = field(repr=False)
    passed_over: int
    """Files that accompany images, and are none."""
    done_before: int
    """Cases that an earlier run had done in the same folder."""


def case_by_case(
    model: Model,
    inputs: Sequence[Path],
    out: Path | None,
    way: Way,
    allow: Collection[str] = (),
    begin: Callable[[int], None] = lambda total: None,
    tell: Callable[[Told | None], None] = lambda one: None,
    clinical: Path | None = None,
) -> Gone:
    """Ask for each case below some inputs; ``out``: where it is kept, so that an interrupted run can be resumed.

    ``clinical``: the table of the study's variables, if it has any and there is one.
    ``begin`` is called with the number of cases before the first is asked about, ``tell`` with what became of each;
    with None for a file that accompanies images.

    Raises:
        StorageError: the folder cannot be used.
        DataError: an input is not there, or there is nothing to ask about.
    """
    asking, found = asking_of(model), files_of(inputs, leave_out=out)
    with keeping(out, model.card, way.names, way.settings) if out else nullcontext(None) as kept:
        paths = [each.path for each in found]
        if asking.cases is None:
            there: list[Case | Refused] = [*cases_of(paths, model.study, frozenset(allow), clinical)]
        else:
            there = [*asking.cases(paths, model.study, frozenset(allow))]
        if not there:
            raise DataError(
                "there is nothing here that the model can be asked about",
                where=str(inputs[0]),
                do=f"It was trained with {', '.join(model.study.data.modalities)}.",
            )
        todo = [case for case in there if kept is None or not kept.is_done(name_of(case), case.files, way.wanted)]
        stamps = {
            name_of(case): stamp_of(case.files) for case in todo if kept is not None
        }  # as they are when it begins
        if kept is not None:
            todo = [noted(case, kept) if isinstance(case, Case) else case for case in todo]
        begin(len(todo))
        named = frozenset(str(each.path) for each in found if each.named)
        told: list[Told] = []
        for one in _each(way, todo, named, kept, stamps):
            tell(one)
            if one is not None:
                told.append(one)
        if kept is not None:
            kept.sync()
            kept.tabulate(way.rows)
            way.end(kept)
    passed = len(todo) - len(told)
    if passed == len(there):
        raise DataError(
            f"none of {len(there):,} file{'s' if len(there) > 1 else ''} is an image that a model is asked about",
            where=str(inputs[0]),
            do="Name images, or folders of images; a file that you name itself is refused with its reason.",
        )
    return Gone(tuple(told), passed, len(there) - len(todo))


def clinical_table(study: Study, inputs: Sequence[Path], named: Path | None) -> Path | None:
    """Return the table of the study's variables: the named one, or else the ``clinical.csv`` among the inputs.

    Raises:
        StudyError: one is named, and the study has no variables.
        LabelError: the named one cannot be read, or has none of them.
        DataError: none is named, and there are several; or an input is not there.
    """
    if not study.data.variables:
        if named is not None:
            raise StudyError(
                f"the study '{study.study.name}' is told no variables besides images, and a table of them was given",
                do="Leave it out.",
            )
        return None
    if named is not None:
        columns = {one.written_in: None for one in study.data.variables}
        if read_columns(named.parent, named, columns, keyed=True, what=WHAT) is None:
            raise LabelError(
                "none of its columns is a variable of the study",
                where=str(named),
                do=f"The study's: {', '.join(columns)}.",
            )
        return named
    found = sorted({each.path for each in files_of(inputs) if each.path.name == CLINICAL_FILE})
    if len(found) > 1:
        raise DataError(
            f"there are {len(found)} tables '{CLINICAL_FILE}' among what the model is asked about",
            where=str(found[0].parent),
            do="Name one with --clinical.",
        )
    return found[0] if found else None


def _each(
    way: Way, todo: Sequence[Case | Refused], named: frozenset[str], kept: Kept | None, stamps: Mapping[str, str]
) -> Iterator[Told | None]:
    for number, one in enumerate(way.tell(todo, kept), 1):
        if isinstance(one, NotDone):
            if accompanies(one) and one.name not in named:
                yield None
                continue
            one = Told({"input": one.name, "refused": one.reason, "why": one.why}, one.do)
        if kept is not None:
            kept.add(one.line if "refused" in one.line else one.line | {"stamp": stamps[one.line["input"]]})
            if number % way.synced == 0:
                kept.sync()
        yield one


def noted(case: Case, kept: Kept) -> Case:
    """Let the folder know that a case is being read; one at which a run ended is first read in another process."""

    def prepare() -> Asked:
        if kept.is_suspect(case.name):
            kept.check(case.name, case.files)
            try:
                try_in_a_process(case.files)
            except ImageRefused as refused:
                kept.remember(case.name, case.files, refused)
                raise
        with kept.reading(case.name):
            return case.prepare()

    return replace(case, prepare=prepare)


def accompanies(one: NotDone) -> bool:
    """Tell whether a file is one that accompanies images, and no damaged one."""
    damaged = one.reason == "not-an-image" and one.name.lower().endswith(IMAGES_BY_NAME)
    return one.reason in ASIDE and not damaged
