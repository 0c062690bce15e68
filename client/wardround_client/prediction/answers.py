"""``predict`` as a function: a model and images in, a line for each image out; the command prints what this returns."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wardround_client.images.body_part import UNKNOWN
from wardround_client.intake.record import check_allowed
from wardround_client.prediction.case_by_case import Told as Told
from wardround_client.prediction.case_by_case import Way, case_by_case, clinical_table
from wardround_client.prediction.dicom_out import Kind
from wardround_client.prediction.inputs import check_apart
from wardround_client.prediction.keeping import Kept, Line
from wardround_client.prediction.model import Model, open_model
from wardround_client.prediction.predicting import NotDone, ask, asking_of
from wardround_client.prediction.sources import NOT_STATED, Equipment
from wardround_client.prediction.written import Objects, write_files
from wardround_client.tasks.contract import Case, cautions_of, is_unlike
from wardround_client.training.devices import choose
from wardround_client.volumes import Refused
from wardround_common.arguments import checked
from wardround_common.errors import DataError, ImageRefused
from wardround_common.results.frames import frame

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model said of the cases that it was asked about; it stays at the hospital."""

    told: tuple[Told, ...] = field(repr=False)
    passed_over: int
    """Files that accompany images, and are none."""
    done_before: int
    """Cases that an earlier run had answered in the same folder."""
    folder: Path | None
    _rows: Callable[[Any], list[dict[str, Any]]] = field(repr=False)
    told_of: tuple[str, ...] = ()
    """The inputs of the model that may be missing."""
    tabled: bool = False
    """Whether a table may say something of them."""
    clinical: Path | None = field(default=None, repr=False)
    """The table in which that stood; None where there was none."""

    @property
    def not_known(self) -> dict[str, int]:
        """Of how many of the answers each input was not known: the model was told that it is missing."""
        without = Counter(name for one in self.told for name in one.line.get("not_known", ()))
        return {name: without[name] for name in self.told_of}

    @property
    def refused(self) -> int:
        """How many cases were refused."""
        return sum("refused" in one.line for one in self.told)

    @property
    def without_body_part(self) -> int:
        """How many were answered although their files do not state a body part, and the study asks for one."""
        return sum(one.line.get("body_part") == UNKNOWN for one in self.told if "refused" not in one.line)

    @property
    def unlike(self) -> int:
        """How many were answered although they are unlike the images of the model's training."""
        return sum(is_unlike(one.line) for one in self.told)

    @property
    def lines(self) -> tuple[Line, ...]:
        """A line for each case."""
        return tuple(one.line for one in self.told)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of a table: one for each answer, or for each structure that is outlined."""
        for line in self.lines:
            if "refused" in line:
                yield {"input": line["input"], "refused": line["refused"]}
            else:
                for row in self._rows(line):
                    yield {"input": line["input"], **row}

    def to_frame(self) -> DataFrame:
        """Return the rows as a pandas DataFrame.

        Raises:
            StudyError: pandas is not installed.
        """
        return frame(self.rows())


@checked
def predict(
    model: Path | str,
    inputs: Path | str | Sequence[Path | str],
    *,
    out: Path | str | None = None,
    preview: bool = False,
    dicom: Kind | None = None,
    captures: bool = True,
    equipment: Equipment = NOT_STATED,
    allow: Collection[str] = (),
    batch: int = 64,
    device: str = "auto",
    calibration: Path | str | None = None,
    clinical: Path | str | None = None,
    begin: Callable[[int], None] = lambda total: None,
    tell: Callable[[Told | None], None] = lambda one: None,
) -> Predictions:
    """Ask a model about new images: what it sees, with probabilities, or outlines with volumes and diameters.

    No labels are needed. A file that cannot be used is refused with its reason, and the others go on.

    Args:
        model: folder of an exported model.
        inputs: images, series or folders of them; one, or several.
        out: folder for lines, table and masks; what another run has finished there is not done again.
        preview: also write a picture of each, as PNG.
        dicom: also write DICOM objects: ``BINARY`` or ``LABELMAP`` segmentations, and reports of numbers.
        captures: with ``dicom``: also pictures (Secondary Capture), for viewers that show nothing else.
        equipment: with ``dicom``: institution, department, station and maker that the objects state.
        allow: findings that do not refuse a file.
        batch: number of images that are given to the network at a time.
        device: auto, cpu, cuda, cuda:1 or mps.
        calibration: file of the hospital's own recalibration of this model.
        clinical: table of the study's variables; left out, the ``clinical.csv`` among the inputs. Only for a
            model that is told variables.
        begin: is called with the number of cases before the first is asked about.
        tell: is called with what became of each case; None for a file that accompanies images.

    Raises:
        StorageError: the model's folder is not whole, or the folder for the predictions cannot be used.
        MessageError: the list of the model's files is signed, and the signature is not valid.
        DataError: an input is not there, there is nothing to ask about, or ``out`` lies among the images.
        DeviceError: the device is not here.
    """
    named = [Path(one) for one in ([inputs] if isinstance(inputs, Path | str) else inputs)]
    if not named:
        raise DataError("there is nothing to ask the model about", do="Name images, series or folders of them.")
    allowed, place = frozenset(allow), None if out is None else Path(out)
    check_allowed(allowed)
    check_apart(named, place, "predictions")
    opened = open_model(Path(model), choose(device), None if calibration is None else Path(calibration))
    asking, own = asking_of(opened), opened.calibration
    coded = getattr(opened.study.task, "coded", {})  # not every task has classes
    objects = Objects(dicom, captures, coded, equipment) if dicom else None

    def answers(todo: Sequence[Case | Refused], kept: Kept | None) -> Iterator[Told | NotDone]:
        return _answers(opened, todo, kept, batch, preview=preview, objects=objects)

    settings = {} if own is None else {"calibration": own.digest}
    table = clinical_table(opened.study, named, None if clinical is None else Path(clinical))
    if table is not None:
        settings["clinical"] = _digest(table)
    if dicom == "LABELMAP":  # a folder has segmentations of one kind
        settings["segmentations"] = dicom
    wanted = [".png"] * preview + ([] if objects is None else [".report.dcm", *[".picture-01.dcm"] * captures])
    way = Way(answers, asking.rows, settings=settings, synced=batch, wanted=tuple(wanted) if place else ())
    gone = case_by_case(opened, named, place, way, allowed, begin, tell, table)
    told, tabled = opened.study.data.told, bool(opened.study.data.variables)
    return Predictions(gone.told, gone.passed_over, gone.done_before, place, asking.rows, told, tabled, table)


def _digest(table: Path) -> str:
    """Return the SHA-256 of a table, or nothing where it cannot be read, which is said when it is."""
    try:
        return hashlib.sha256(table.read_bytes()).hexdigest()
    except OSError:
        return ""


def _answers(
    model: Model,
    todo: Sequence[Case | Refused],
    kept: Kept | None,
    batch: int,
    *,
    preview: bool,
    objects: Objects | None,
) -> Iterator[Told | NotDone]:
    """Yield the answer to each case, its files written to the folder if there is one."""
    said = asking_of(model).said
    for one in ask(model, todo, batch):
        if isinstance(one, NotDone):
            yield one
            continue
        line = {"input": one.case.name, **one.asked.about, **one.answer.facts}
        if kept is not None:
            try:
                line["files"] = write_files(one, kept, model.card, preview=preview, objects=objects)
            except ImageRefused as refused:
                yield NotDone(one.case.name, refused.reason, refused.what, refused.do)  # no answer
                continue
        yield Told(line, said="; ".join([said(line), *cautions_of(line)]))
