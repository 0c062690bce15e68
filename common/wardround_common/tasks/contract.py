"""What a task is: a value, with functions over its section of the study and its sums.

A task is two files, one on each side of the wall between coordinator and hospital: ``wardround_common.tasks.NAME`` says
what a study states, what hospitals add up and what is read off the sums; ``wardround_client.tasks.NAME`` says what a
network is trained towards. Nothing else names a task. The laws that every task keeps are in
``tests/client/test_task_laws.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Generic, Literal, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, ConfigDict, Field, model_validator

from wardround_common.errors import ModelError
from wardround_common.metrics.ranking import Floats
from wardround_common.metrics.shapes import Curve, Estimate, GroupFigures, HorizonFigures, Point, ReliabilityBins
from wardround_common.plugins.loading import admit, loaded, part
from wardround_common.plugins.names import Named
from wardround_common.section import Section


class TaskSection(Section):
    """``[task]``: the keys of one task, told apart by ``name``.

    A key's docstring is its line in a new study file, and its ``Field(examples=[…])`` its value there.
    """

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str
    """The task; a hospital takes part only in tasks that it installed."""

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Let another process read the section again, where a plug-in's is not imported until it was compared."""
        if (named := loaded(self.name)) is None:
            return super().__reduce__()
        return _again, (named, self.name, self.model_dump(mode="json"))


def _again(named: Named, name: str, written: dict[str, Any]) -> TaskSection:
    admit(named)
    section: TaskSection = part("task", name).section.model_validate(written)
    return section


def _coded(text: str) -> str:
    scheme, value, meaning = ([*text.split(" ", 2), "", ""])[:3]
    fits = 1 <= len(scheme) <= _SHORT and 1 <= len(value) <= _SHORT and 1 <= len(meaning) <= _LONG
    if text and not (fits and text.isprintable() and meaning == meaning.strip() and "\\" not in text):
        raise ValueError(
            "a code is its scheme (16 characters at most), its value (16) and its meaning (64), such as "
            "'SCT 108369006 Neoplasm', or empty"
        )
    return text


_SHORT, _LONG = 16, 64  # characters of a code's scheme and value (SH), and of its meaning (LO): DICOM PS3.5 6.2


class ClassesSection(TaskSection):
    """A task whose classes can be coded, so that what is told of them means the same everywhere."""

    LATER: ClassVar[tuple[str, ...]] = ("codes",)

    codes: Annotated[tuple[Annotated[str, AfterValidator(_coded)], ...], Field(strict=False, examples=[[]])] = ()
    """A code for each class in their order, such as 'SCT 108369006 Neoplasm' or '' for none; [] for no codes at all."""

    @model_validator(mode="after")
    def _a_code_for_each_class(self) -> Self:
        classes: tuple[str, ...] = getattr(self, "classes", ())
        if self.codes and len(self.codes) != len(classes):
            raise ValueError(f"'codes' has {len(self.codes)} entries for {len(classes)} classes: write one for each")
        return self

    @property
    def coded(self) -> dict[str, tuple[str, str, str]]:
        """Return scheme, value and meaning by class, of those that have a code."""
        classes: tuple[str, ...] = getattr(self, "classes", ())
        split = {word: code.split(" ", 2) for word, code in zip(classes, self.codes, strict=False) if code}
        return {word: (scheme, value, meaning) for word, (scheme, value, meaning) in split.items()}


class Sums(Protocol):
    """What hospitals add up of a model's outputs on their patients: whole numbers, so that adding is exact.

    A frozen dataclass whose arrays' sizes follow from the task's section alone.
    """

    @property
    def records(self) -> int:
        """How many records (images, volumes) were summed."""
        ...

    def __add__(self, other: Self, /) -> Self:
        """Add the sums over two groups of records.

        Raises:
            MessageError: they are of models with different outputs.
        """
        ...

    def to_vector(self) -> NDArray[np.int64]:
        """Return the sums as int64 (n,), each of 0 or more: what travels in a message."""
        ...

    def mean_loss(self) -> float | None:
        """Return the mean loss of a record in nats; None over no record."""
        ...


S = TypeVar("S", bound=Sums)
T = TypeVar("T", bound=TaskSection)


@dataclass(frozen=True)
class Metric(Generic[S]):
    """One figure that is read off sums."""

    name: str
    """As in ``results.json``: lower-case letters and underscores."""
    label: str
    """As in a report: 'AUROC'."""
    value: Callable[[S, Any], float | None]
    """From the sums and the operating point (``Point``); None where the sums do not define it."""
    unit: str = ""
    """Empty for a fraction."""
    better: Literal["higher", "lower", "nearer 0"] = "higher"
    reading: str = ""
    """How to read it, in a few words: '1 is perfect, 0.5 is chance'."""
    chance: float | None = None
    """The value of a model that guesses, where there is one."""
    within: str = ""
    """The label inside a sentence, where that is another: 'mean absolute error'."""
    measured: bool = False
    """Whether it is counted in the unit that the study states, if its task has one."""
    counts: bool = False
    """Whether it is a fraction of a group's records, or of those that are decided for it, or made of such fractions:
    where they are few, it tells of how many, and a model card does not have it."""

    @property
    def term(self) -> str:
        """The label inside a sentence."""
        return self.within or self.label

    def goodness(self, value: float) -> float:
        """Return a number that is higher the better the value is."""
        return value if self.better == "higher" else -abs(value) if self.better == "nearer 0" else -value


class _Figured(Protocol):
    def figures(self, point: Any, /) -> Mapping[str, float | None]: ...


def figure(
    name: str,
    label: str,
    better: Literal["higher", "lower", "nearer 0"] = "higher",
    reading: str = "",
    chance: float | None = None,
    within: str = "",
    *,
    unit: str = "",
    measured: bool = False,
    counts: bool = False,
) -> Metric[Any]:
    """Return a metric that is read off sums which give every figure at an operating point by its name."""

    def value(sums: _Figured, point: Any) -> float | None:
        return sums.figures(point)[name]

    return Metric(
        name,
        label,
        value,
        unit=unit,
        better=better,
        reading=reading,
        chance=chance,
        within=within,
        measured=measured,
        counts=counts,
    )


@dataclass(frozen=True)
class Detail:
    """What a task has to show besides its metrics, of one model on one group of patients; what it has not is empty."""

    confusion: tuple[tuple[int, ...], ...] = ()
    """Rows are the true groups, columns the decided ones."""
    roc: Curve | None = None
    precision_recall: Curve | None = None
    reliability: ReliabilityBins | None = None
    by_group: tuple[GroupFigures, ...] = ()
    """Of each of the task's groups, in their order."""
    horizons: tuple[HorizonFigures, ...] = ()
    """Of each time at which a risk is told."""


@dataclass(frozen=True)
class Words:
    """What a study says of its task to those who approve it."""

    purpose: str
    """What the network is trained to do, after 'to': "tell 'none' from 'finding'"."""
    caution: str
    """One sentence on what the sums tell of a patient where few are summed."""


def _records(sums: Sums) -> int:
    return sums.records


@dataclass(frozen=True)
class NoisedSums(Generic[S, T]):
    """How a task's sums are told as counts with noise, and read from them (``metrics.noised``)."""

    cells: Callable[[T], int]
    """How many counts there are."""
    blocks: Callable[[T], int]
    """In how many blocks of them what is counted is counted: at most once in each."""
    told: Callable[[S], NDArray[np.number]]
    """The counts (cells,) over some of what is counted."""
    words: Callable[[T], str]
    """By what patients are counted, as a study says that it leaves a hospital."""
    effect: str
    """What noise does to the figures, as the beginning of a sentence."""
    settled: Callable[[Floats, T], S]
    """The possible sums that are nearest to noised counts of patients (cells,)."""
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Between which a metric lies, by name, where that is not 0 and 1: an interval ends there."""
    counted: Callable[[S], int] = _records
    """How many are counted, of whom each adds at most one to a block: records, or patients."""


def _none(section: Any) -> tuple[str, ...]:
    return ()


def _no_unit(section: Any) -> str:
    return ""


def _label(section: Any) -> tuple[str, ...]:
    return ("label",)


def _never(section: Any) -> bool:
    return False


def _of_sensitivity(section: Any, sensitivity: float) -> str:
    return f"sensitivity {sensitivity:g}"


def _flat(section: Any) -> int:
    return 2


def _why_undefined(sums: Sums, metric: str) -> str:
    return "it is not defined for these patients" if sums.records else "no patients"


def _no_detail(sums: Any, point: Point | None) -> Detail:
    return Detail()


def _no_terms(section: Any) -> tuple[tuple[str, str], ...]:
    return ()


def _no_point(sums: Any, sensitivity: float) -> float | None:
    return None


def _no_intervals(sums: Any, point: Point | None, metrics: Mapping[str, Estimate]) -> dict[str, Estimate]:
    return {}


def _no_temperature(sums: Any) -> float | None:
    return None


def _exact(sums: Any) -> float | None:
    return None


@dataclass(frozen=True)
class Task(Generic[T, S]):
    """One task as coordinator and hospitals both know it."""

    name: str
    section: type[T]
    outputs: Callable[[T], int]
    """How many channels the network puts out."""
    dense: bool
    """Whether outputs are of each pixel, (records, outputs, *space), or of the record, (records, outputs)."""
    groups: Callable[[T], tuple[str, ...]]
    """By which words the records of a split are counted in a report: classes, structures."""
    empty: Callable[[T], S]
    """The sums over no record."""
    read: Callable[[NDArray[np.int64] | NDArray[np.float64], T], S]
    """The sums of a vector that a message brought.

    Raises:
        MessageError: wrong length or type, a number that is negative or not whole, or numbers that contradict one
            another.
    """
    summed: Mapping[str, str]
    """For each field of the sums, the words by which a study says that it leaves a hospital."""
    metrics: tuple[Metric[S], ...]
    headline: str
    """The name of the headline metric."""
    words: Callable[[T], Words]
    point: Callable[[S, float], Point | None] = _no_point
    """The operating point at which a sensitivity is reached on validation sums, or one for each group; None where the
    task has none."""
    said_of_point: Callable[[T, float], str] = _of_sensitivity
    """What the operating point is chosen for, in words, from the sensitivity that the study asks for."""
    temperature: Callable[[S], float | None] = _no_temperature
    """The temperature that calibrates a model's probabilities, from validation sums; None where none can be fitted."""
    dims: Callable[[T], int] = _flat
    """Spatial dimensions of a record: 2 for images and slices, 3 for volumes."""
    weighted: Callable[[T], tuple[str, ...]] = _none
    """The classes for which ``[training] class_weights`` states a weight each; empty if the loss has none."""
    usual: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """What a new study of the task has in other sections, where that is not what other studies have: by section and
    key; a section with ``series`` states those in the place of channels."""
    usual_private: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """The same of a new study with differential privacy, over those."""
    takes_series: Callable[[T], bool] = _never
    """Whether it learns from series (``[[data.series]]``), and not from single images."""
    undefined: Callable[[S, str], str] = _why_undefined
    """Why a metric has no value."""
    figures: Callable[[NDArray[np.number], T, Any, S], dict[str, Floats]] | None = None
    """Every metric of many vectors of sums at once, (rows, n) to (rows,) each, NaN where undefined: for intervals. The
    last argument are the sums of which the rows are resamples: they decide over which groups means are taken. A task
    without it has its metrics computed row by row."""
    detail: Callable[[S, Any], Detail] = _no_detail
    """What there is to show besides the metrics at an operating point."""
    intervals: Callable[[S, Any, Mapping[str, Estimate]], dict[str, Estimate]] = _no_intervals
    """Those of the metrics at an operating point for which the sums alone give an interval, with it."""
    margin: Callable[[S], float | None] = _exact
    """The most by which the headline can differ from that of the scores themselves, where sums take some for ties."""
    fractions: Callable[[T], tuple[str, ...]] = _none
    """The metrics that are a fraction of records, lesions or patients in a study, and no mean over groups."""
    terms: Callable[[T], tuple[tuple[str, str], ...]] = _no_terms
    """What a report explains: a word, and what it means in a sentence or two."""
    horizons: Callable[[T], tuple[str, ...]] = _none
    """The times at which a risk is told, in words: '5 years'."""
    decisions: tuple[str, ...] = ()
    """The metrics at the operating point that a clinician acts on."""
    verdict: tuple[str, str] = ("decides for", "records of")
    """How it is said that the model decides on a group, and what is counted: 'decides for', 'test images of'."""
    compared: tuple[str, ...] = ()
    """The metrics in which models are compared besides the headline; those of a hospital's row are all of them."""
    bends: bool = True
    """Whether what is learnt of an image can follow it where it is bent, as boxes cannot."""
    apart: bool = False
    """Whether each output stands by itself, such as the log-odds of one finding of several; else, as of classes, only
    the differences between outputs mean something."""
    decides: str = "It decides for the most probable class."
    """How it decides where there is no operating point, as a sentence above its confusion matrix."""
    numeric: bool = False
    """Whether it tells a number, and no class, finding or outline."""
    group_words: tuple[str, str] = ("class", "classes")
    """What one of its groups is, and several."""
    unit: Callable[[T], str] = _no_unit
    """The unit that the study states, of the metrics that are ``measured``; empty where it states none."""
    answers: Callable[[T], tuple[str, ...]] = _label
    """The columns of a hospital's table that say what the model is to tell: it is told none of them."""
    generates: bool = False
    """Whether it makes images and judges none: its networks are of another kind, and no image is asked about."""
    unfit: Mapping[str, str] = field(default_factory=dict)
    """The keys of other sections that mean nothing to it, such as ``training.personal``, with the reason and what to
    do: a study that sets one is refused."""
    in_levels: Callable[[S], S] | None = None
    """The sums with scores or risks counted in few levels, where a study asks for it; None for a task
    whose sums have no histograms of scores."""
    coarse: bool = False
    """Whether its sums are so few numbers that they tell of one patient about as much as levels do
    (``benchmarks/membership_tasks.py`` measures it)."""
    told: str = "what is true of them"
    """What exact sums tell of a patient whose image somebody has, besides that they are summed: 'with which label'."""
    marked: str = ""
    """What is done to an image to say what is true of it ('outlined'), where somebody who has the image has to know
    that too to find the patient in the sums; else empty."""
    noised: NoisedSums[S, T] | None = None
    """How its sums get noise where a study asks for it; None for a task whose sums have none."""
    fewest_groups: int = 3
    """Of how many groups on a table by group says more than the metrics."""

    def noised_sums(self) -> NoisedSums[S, T]:
        """Return how its sums get noise.

        Raises:
            ModelError: they get none.
        """
        if self.noised is None:
            raise ModelError(f"the task '{self.name}' has no sums with noise")
        return self.noised

    def length(self, section: T) -> int:
        """Return how many numbers the sums are."""
        return len(self.empty(section).to_vector())

    def values(self, vectors: NDArray[np.number], section: T, point: Point | None, whole: S) -> dict[str, Floats]:
        """Return every metric (rows,) of vectors of sums (rows, n) at an operating point; NaN where it is undefined.

        ``whole``: the sums themselves, or those of which the rows are resamples.
        """
        if self.figures is not None:
            return self.figures(vectors, section, point, whole)
        sums = [self.read(np.asarray(vector, np.float64), section) for vector in vectors]
        return {
            metric.name: np.array([np.nan if (v := metric.value(one, point)) is None else v for one in sums])
            for metric in self.metrics
        }

    @property
    def first(self) -> Metric[S]:
        """The headline metric."""
        return self.metric(self.headline)

    def metric(self, name: str) -> Metric[S]:
        """Return the metric of that name."""
        return next(metric for metric in self.metrics if metric.name == name)

    def unit_of(self, metric: Metric[S], section: T) -> str:
        """Return the unit of a metric in a study; empty for a fraction."""
        return self.unit(section) if metric.measured else metric.unit

    def headed(self, metric: Metric[S], section: T) -> str:
        """Return what a column or a row of a metric is headed: its label, with its unit where it has one."""
        unit = self.unit_of(metric, section)
        return f"{metric.label} ({unit})" if unit else metric.label

    @property
    def calibrates(self) -> bool:
        """Whether validation patients choose a temperature, so that a probability is told calibrated or as it is."""
        return self.temperature is not _no_temperature

    @property
    def has_point(self) -> bool:
        """Whether validation patients choose an operating point."""
        return self.point is not _no_point

    def leaves(self) -> str:
        """Return what the sums are of, in the words that a study uses: 'counts, losses and histograms'."""
        *first, last = dict.fromkeys(self.summed.values())
        return f"{', '.join(first)} and {last}" if first else last
