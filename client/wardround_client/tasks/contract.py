"""What a task is to a hospital: the targets its network is trained on, its loss, and what is summed over its outputs.

The other half is ``wardround_common.tasks.contract``. The laws that every task keeps are in
``tests/client/test_task_laws.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from wardround_client.images.hanging import NOT_SAID, Hanging
from wardround_client.intake.instance import Index, Instance
from wardround_client.preparation.source import Source
from wardround_common.metrics.recalibration import Recalibration
from wardround_common.metrics.shapes import Point
from wardround_common.study.data import Data
from wardround_common.study.file import Study
from wardround_common.study.steps import Area
from wardround_common.study.training import Training
from wardround_common.tasks.contract import Sums, Task, TaskSection

if TYPE_CHECKING:
    from wardround_client.preparation.bags import KeptBags
    from wardround_client.preparation.kept_volumes import KeptVolumes
    from wardround_client.preparation.variables import Readings
    from wardround_client.tasks.outline_measures import Places
    from wardround_client.volumes import Refused, Series

S = TypeVar("S", bound=Sums)
T = TypeVar("T", bound=TaskSection)
Outputs = torch.Tensor | Sequence[torch.Tensor]
"""Of some records: a tensor with the record as first axis, or one tensor for each where they differ in extent."""


class Targets(Protocol):
    """What records are trained towards: an array, or what reads it when asked.

    With the record as first axis: (records,) int64 for classes, (records, *space) uint8 for masks,
    (records, most, 5) float32 for boxes.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, places: Any, /) -> Any:
        """Return those of the records at these places."""

    @property
    def nbytes(self) -> int:
        """How many bytes they take in memory."""


Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From outputs (records, outputs, *space) and targets to one number per record: (records,), so that a patient can be
clipped."""


@dataclass(frozen=True)
class Found:
    """What a hospital says of its files for one task; a file without a word has no target and is left out."""

    words: dict[str, str] = field(repr=False)
    """File to a word that is the same for two files of which the same is said: a class, the digest of a mask."""
    patients: dict[str, str] = field(default_factory=dict, repr=False)
    """File to patient, where something next to the image names one (``identification.identify``)."""
    left_out: dict[str, str] = field(default_factory=dict, repr=False)
    """File to the reason why it has no target; where there is none, 'no-label'."""
    aside: frozenset[str] = field(default=frozenset(), repr=False)
    """Files that say something of images and are none: masks."""
    unmet: dict[str, int] = field(default_factory=dict)
    """What says something of images that are not here, counted by reason."""
    unmet_of: str = "mask"
    """What that is, before the reason where it is counted: 'mask-unknown-class'."""
    centres: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict, repr=False)
    """File to the middles of what is marked in its image, row and column: an image that is cut must keep them."""
    areas: Mapping[str, Area] = field(default_factory=dict, repr=False)
    """File to the part of its image that the study's steps leave, where one cuts."""
    more: Any = field(default=None, repr=False)
    """Whatever else the task needs to make targets."""


@dataclass(frozen=True, eq=False)
class Records:
    """What a network is trained and judged on, of the files that a study uses: images with their targets."""

    stamp: bytes = field(repr=False)
    """Differs where images or targets do."""
    images: NDArray[np.float32] | KeptBags | KeptVolumes = field(repr=False)
    """(kept, channels, *space), 0 to 1, usually a memory map; several of them as one record; or volumes that differ in
    extent."""
    rows: NDArray[np.int64] = field(repr=False)
    """(records,) where ``images`` holds them."""
    targets: Targets = field(repr=False)
    """(records, …)."""
    files: tuple[Instance, ...] = field(repr=False)
    """The files that they are of; of one file there may be several records, and of several files one."""
    patients: tuple[str, ...] = field(repr=False)
    """(records,): whose they are."""
    left_out: dict[str, str] = field(default_factory=dict, repr=False)
    """File to the reason why there is no record of it."""
    places: Places | None = None
    """Where they lie in their patients; None where that is not known."""
    variables: Readings = field(default_factory=dict)
    """Of how many of them each variable of the study is known; empty where it has none."""
    areas: Mapping[str, Area] = field(default_factory=dict, repr=False)
    """File to the part of its image that the network sees, where a step cuts images."""


@dataclass(frozen=True)
class Chosen:
    """What was chosen for a model on validation patients; None where nothing was."""

    point: Point | None
    """The operating point, or one for each finding, on the model's own probabilities, or on the recalibrated ones."""
    temperature: float | None
    """By which log-odds are divided for a calibrated probability."""
    recalibration: Recalibration | None = None
    """The hospital's own, in the place of the temperature."""


@dataclass(frozen=True, eq=False)
class Asked:
    """A case in the form that the network sees."""

    images: NDArray[np.float32] = field(repr=False)
    """(records, channels, *space), 0 to 1."""
    about: dict[str, Any] = field(default_factory=dict, repr=False)
    """What its files say of it: whose it is, of which study and series. It stays at the hospital."""
    back: Callable[[torch.Tensor], NDArray[np.uint8]] | None = None
    """From outputs (records, outputs, *space) to classes (slices, rows, columns) on the grid of its first series."""
    lay: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None
    """From a number from 0 to 1 for each place, (records, *space), to (slices, rows, columns) on the same grid."""
    members: tuple[str, ...] = field(default=(), repr=False)
    """The files of a record that is several images, in their order."""
    places: tuple[int, ...] = ()
    """In which place of the record each of them is; empty where they follow one another."""
    area: Area | None = None
    """Which part of the stored image, or of each slice of the first series, the network sees: all of it, mostly."""
    hanging: Hanging = NOT_SAID
    """How the stored image, or each slice of the first series, hangs: which way round, and how far its pixels are
    apart."""
    window: tuple[int, ...] | None = None
    """What the network was trained on, where images have another size: they are looked at window by window."""


@dataclass(frozen=True, eq=False)
class Case:
    """What a model is asked about by itself: an image, or the series of an examination."""

    name: str = field(repr=False)
    """The path of its file, or the UID of its first series."""
    files: tuple[Path, ...] = field(repr=False)
    prepare: Callable[[], Asked]
    """Read it.

    Raises:
        ImageRefused: it cannot be read, or is not what the study takes.
    """
    series: tuple[Series, ...] = field(default=(), repr=False)
    """In the order of the study's roles; empty for an image."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What a model says of a case."""

    facts: dict[str, Any]
    """As JSON: numbers and words."""
    outline: NDArray[np.uint8] | None = field(default=None, repr=False)
    """(slices, rows, columns) on the grid of the case's first series: 0 is background, s is structure s."""


def kind_of(facts: Mapping[str, Any]) -> str:
    """Say before a probability of an answer whether this hospital calibrated it, or nobody did; nothing: all did."""
    if facts.get("recalibrated"):
        return "recalibrated "
    return "" if facts["calibrated"] else "uncalibrated "


def numbers_of(facts: Mapping[str, Any]) -> tuple[str, dict[str, float]]:
    """Return the finding of an answer without an outline in a word, and its numbers by their names."""
    kind = kind_of(facts)
    if "risk" in facts:
        return "risk", {f"{kind}risk by {by}": p for by, p in facts["risk"].items()}
    if "measurement" in facts:
        return facts["measurement"], {f"{facts['measurement']} in {facts['unit']}": facts["value"]}
    if "findings" in facts:
        found = facts["findings"].items()
        return "findings", {f"{kind}probability of {word}": one["probability"] for word, one in found}
    return facts["class"], {f"{kind}probability of {word}": p for word, p in facts["probabilities"].items()}


def thresholds_of(facts: Mapping[str, Any]) -> dict[str, float]:
    """Return from which probability on a finding is decided, by its word: of two classes, of findings, and of boxes.

    It stands wherever the probability does: 0.47 may be a finding, and 0.99 none.
    """
    if "findings" in facts:
        points = {word: one.get("operating_point") for word, one in facts["findings"].items()}
        return {word: point for word, point in points.items() if point is not None}
    if "boxes" in facts:
        return {} if facts.get("operating_point") is None else {"a box": facts["operating_point"]}
    point, words = facts.get("operating_point"), list(facts.get("probabilities", ()))
    return {words[1]: point} if point is not None and len(words) > 1 else {}


def cautions_of(facts: Mapping[str, Any]) -> list[str]:
    """Return what must be known of an answer besides it, each in a few words; none of most answers.

    It stands wherever the answer does: on the screen, below pictures, and in reports for the archive.
    """
    cautions = []
    if not facts.get("within_range", True):
        cautions.append("outside the range that the model was trained on")
    if without := facts.get("images_refused"):
        cautions.append(f"without {without} of its files, {'which was' if without == 1 else 'which were'} refused")
    if names := facts.get("not_known"):
        cautions.append(f"without {', '.join(names)}, not known")
    if is_unlike(facts):
        cautions.append(f"unlike the training: {facts['unlike']['words']}")
    return cautions


def is_unlike(facts: Mapping[str, Any]) -> bool:
    """Tell whether a case was found to be unlike the images of the model's training."""
    return bool(facts.get("unlike", {}).get("unlike"))


def probability_of(facts: Mapping[str, Any], word: str) -> float:
    """Return how likely a class or a finding is by an answer."""
    return float(facts["findings"][word]["probability"] if "findings" in facts else facts["probabilities"][word])


@dataclass(frozen=True)
class Asking(Generic[T]):
    """How a task is asked about images that nobody labelled."""

    answer: Callable[[T, torch.Tensor, Asked, Case, Chosen], Answer]
    """From the outputs of a case's images, on the CPU, to an answer.

    Raises:
        ModelError: an output is not a finite number.
    """
    rows: Callable[[Mapping[str, Any]], list[dict[str, Any]]]
    """From an answer's facts to the rows of a table: plain values under the names of columns."""
    said: Callable[[Mapping[str, Any]], str]
    """From an answer's facts to a line for a person."""
    cases: Callable[[Sequence[Path], Study, frozenset[str]], Iterator[Case | Refused]] | None = None
    """What there is among these files, given the kinds that are allowed; None where each file is an image."""


@dataclass(frozen=True)
class LocalTask(Generic[T, S]):
    """One task as a hospital knows it."""

    task: Task[T, S]
    find: Callable[[Source, Index, Study], Found]
    """What is said of each accepted file.

    Raises:
        DataError: nothing is, or what is said contradicts itself.
    """
    strata: Callable[[T, Targets], NDArray[np.int64]]
    """A number for each record, (records,): patients are dealt into the splits in proportion to their highest."""
    members: Callable[[T, Targets], NDArray[np.bool_]]
    """Whether each record counts under each of the task's groups: (records, groups)."""
    loss: Callable[[T, Training, torch.device], Loss]
    """What training makes small."""
    sums: Callable[[T, Outputs, Outputs, NDArray[np.int64], Places | None], S]
    """The sums over some records, from outputs and targets on the CPU, the records' patients, (records,), and where
    they lie in them.

    Raises:
        ModelError: an output is not a finite number (the training diverged).
    """
    noise: Callable[[T, int, tuple[int, ...]], torch.Tensor]
    """Plausible targets for a number of records of these sizes, without any patient: for a rehearsal."""
    targets: Callable[[Source, Data, T, Sequence[Instance], Found], NDArray[Any]] | None = None
    """The targets of these files, in the form that the network sees, (files, …): where each file is a record."""
    records: Callable[[Source, Study, Sequence[Instance], Found], Records] | None = None
    """The records of these files: where a file is not a record, such as that of a series. One of the two is given; of
    both, this one is for a study that takes series."""
    moved: Callable[[torch.Tensor, torch.Tensor, tuple[int, ...]], torch.Tensor] | None = None
    """The targets of views, from targets, matrices (records, 2, 3) from places (x, y, -1 to 1) of the view to those of
    the image, and the image's space; None where targets are pixels, or stay as they are."""
    shown: Callable[[Found, Study, datetime], tuple[str, str]] | None = None
    """What the hospital's own people are shown of what is said of its images: a line for the screen, and a page that
    stays at the hospital."""
    shown_as: str = "Outlines"
    """What is shown there, in a word, which the page's file has as its name."""
    trained: Callable[[Study, Targets, NDArray[np.int64]], NDArray[np.int64]] | None = None
    """Which of the training records a pass is over, their places (n,), from their targets and patients; None for all.
    A record may stand there more than once. What is said of a patient's records depends on that patient alone."""
    asking: Asking[T] | None = None
    """How a saved model is asked about new images; None where it cannot be."""
    whole_patients: bool = False
    """Whether ``sums`` needs all records of a patient at once, such as the slices of a volume."""
