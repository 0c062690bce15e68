"""What a run produced: frozen, strict, and the same after a trip through JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AwareDatetime, Field, ValidationError, model_validator

from wardround_common.errors import StorageError
from wardround_common.results.site import (
    Amount,
    Count,
    MapFigures,
    Name,
    Rate,
    Recalibrated,
    Record,
    SiteMetrics,
    Subgrouping,
    Withheld,
)
from wardround_common.study.file import Study
from wardround_common.tasks.contract import Metric
from wardround_common.tasks.registry import task_of

FORMAT: Final = "wardround results 1"
FEDERATED, POOLED, ALL = "federated", "pooled", "all"
SHARED: Final = "shared"
"""The model of the same study whose hospitals keep nothing of it for themselves, where they do."""
DEPLOYED: Final = "deployment"
"""The engine of a run whose hospitals are services, and not simulated."""
TRAINED, EXTERNAL = "hospitals that trained", "hospitals that did not train"
"""Sites of a study in which hospitals only evaluate: all test patients on either side."""


def alone(hospital: str) -> str:
    """Name the model that a hospital trained alone."""
    return f"alone: {hospital}"


def alone_hospital(model: str) -> str | None:
    """Return the hospital that trained this model alone, None for another model."""
    return model.removeprefix("alone: ") if model.startswith("alone: ") else None


def without(hospital: str) -> str:
    """Name the model that all hospitals but this one trained."""
    return f"without: {hospital}"


class SplitCounts(Record):
    """How many patients and images are in one part of a hospital's data, and of which classes."""

    patients: Count
    images: Count
    per_class: tuple[Count, ...]
    """Images of each class, in the study's order."""


class PrivacySpent(Record):
    """What a study cost the patients of one hospital, and from which noise it follows."""

    epsilon: Amount
    delta: Rate
    noise_multiplier: Amount
    sampling_rate: Rate
    """Chance of a patient to be in a step."""
    steps: Count
    noise_before: Amount | None = None
    """The noise multiplier of the one sum over all patients before the first round; None where there was none."""


class HospitalRecord(Record):
    """One hospital's part in the run; what the coordinator does not know is None or empty."""

    name: Name
    train: SplitCounts | None = None
    validation: SplitCounts | None = None
    test: SplitCounts | None = None
    scanners: tuple[Name, ...] = ()
    """Known to a researcher who simulates; a hospital's own report shows them to the hospital."""
    privacy: PrivacySpent | None = None


class Absence(Record):
    """A hospital that did not answer in a round; ``kind`` is the fixed word of ``WardroundError.kind`` or 'silent'."""

    hospital: Name
    kind: Annotated[str, Field(pattern=r"^[a-z][a-z-]{0,30}$")]


class Headline(Record):
    """The metric that stands first in the study's task, on the pooled validation patients of a round."""

    metric: Name
    value: float | None


class OwnFigures(Record):
    """One hospital's own figures of a round, as it told the coordinator; None where it told none, or of too few."""

    training_loss: float | None = None
    """Mean over its training images, nats."""
    validation_loss: float | None = None
    """Of the round's model on its validation patients, nats."""
    headline: float | None = None
    """The metric of the round's headline on its validation patients."""


class RoundRecord(Record):
    """One completed round: what it took, who answered, and how the new model does on the pooled validation patients."""

    number: Annotated[int, Field(ge=1)]
    seconds: Amount
    bytes_to_hospitals: Count
    bytes_from_hospitals: Count
    training_loss: float | None
    """Mean over the hospitals' images, nats."""
    validation_loss: float | None
    headline: Headline
    """Of the pooled validation patients, from sums over the hospitals."""
    answered: tuple[Name, ...]
    """Empty if the round was given up: the model stayed that of the round before. Of a refused one: who was
    summed."""
    absent: tuple[Absence, ...] = ()
    epsilons: dict[Name, Amount] = Field(default_factory=dict)
    """Spent so far, by hospital; empty without differential privacy, and if sums are secure."""
    by_hospital: dict[Name, OwnFigures] = Field(default_factory=dict)
    """Each hospital's own, where the study tracks them (``[tracking] hospitals``); empty where it does not."""
    clipped: Rate | None = None
    """The fraction of the updates' numbers beyond ``update_clip``; None if sums are not secure."""
    refused: str = ""
    """Why what the hospitals sent was not used, in one sentence: the model stayed that of the round before."""
    against: tuple[Name, ...] = ()
    """Who voted against the round's next model, if the study has a vote; fewer than half of the votes accept it."""
    scores_refused: str = ""
    """Why the hospitals' sums on their validation patients were not used, in one sentence."""

    @property
    def counted(self) -> bool:
        """Whether the model is another one after this round: it was neither given up nor refused."""
        return bool(self.answered) and not self.refused

    @property
    def epsilon(self) -> float | None:
        """The most that any hospital has spent so far."""
        return max(self.epsilons.values(), default=None)


class Results(Record):
    """Everything that a run produced, except the model itself.

    ``evaluation``: model name → site → how it does on the site's test patients. Models are ``FEDERATED``, ``SHARED``,
    ``POOLED``, ``alone(hospital)`` and ``without(hospital)``; sites are the hospitals and ``ALL``, the test patients of
    all together, which are also told apart by whether the hospital trained: ``TRAINED``, ``EXTERNAL``. Any may be
    missing.

    Raises:
        pydantic.ValidationError: the parts do not fit each other. ``from_json`` raises StorageError instead.
    """

    format: Literal["wardround results 1"] = FORMAT
    run: Name
    study: Study
    study_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    seed: Count
    versions: dict[Name, Name]
    """Of wardround, flwr, torch, opacus, monai and whatever else shaped the numbers."""
    devices: tuple[Name, ...]
    engine: Name
    started: AwareDatetime
    finished: AwareDatetime
    hospitals: tuple[HospitalRecord, ...]
    rounds: tuple[RoundRecord, ...]
    kept_rounds: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """The round whose model was kept, or those whose models it is the mean of; empty if it is not on record."""
    evaluation: dict[Name, dict[Name, SiteMetrics]] = Field(default_factory=dict)
    subgroups: tuple[Subgrouping, ...] = ()
    """The federated model on subgroups of the test patients of all hospitals together; empty where the study names
    none, or the model was not judged."""
    maps: MapFigures | None = None
    """How much of the federated model's maps lies in lesions; None where the study does not ask, or nothing is known.
    """
    recalibrated: dict[Name, Recalibrated] = Field(default_factory=dict)
    """By site: the federated model by each hospital's own recalibration; empty where nobody asked."""
    withheld: dict[Name, tuple[Withheld, ...]] = Field(default_factory=dict)
    """By site: the federated model without each input; empty where it has none to withhold, or nobody asked."""
    waiting: tuple[Name, ...] = ()
    """Which models are still to be trained: 'baselines', 'leaving-one-out'; none if the run is finished."""
    notes: tuple[str, ...] = ()
    """What a reader must know, one sentence each; the report shows them first."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        names = [hospital.name for hospital in self.hospitals]
        classes, task = len(self.study.groups), task_of(self.study.task)
        metrics = {metric.name for metric in task.metrics}
        if self.study_digest != self.study.digest():
            raise ValueError("the study digest is not that of the study")
        if len(set(names)) != len(names) or set(names) & {ALL, TRAINED, EXTERNAL}:
            raise ValueError(f"hospitals need different names, none of them {ALL!r}, {TRAINED!r} or {EXTERNAL!r}")
        if [r.number for r in self.rounds] != list(range(1, len(self.rounds) + 1)):
            raise ValueError("rounds are numbered 1, 2, 3 and so on")
        if any(number > len(self.rounds) for number in self.kept_rounds):
            raise ValueError("the model that was kept is of a round that the run did not have")
        known = {FEDERATED, POOLED, SHARED, *map(alone, names), *map(without, names)}
        _refuse_others("a model", self.evaluation, known)
        for sites in self.evaluation.values():
            _refuse_others("a site", sites, {ALL, TRAINED, EXTERNAL, *names})
            if any(set(site.metrics) != metrics for site in sites.values()):
                raise ValueError(f"the metrics are not {', '.join(metric.name for metric in task.metrics)}")
            if any(len(site.confusion) not in (0, classes) for site in sites.values()):
                raise ValueError(f"a confusion matrix is not of the study's {classes} classes")
            if any(len(site.by_group) not in (0, classes) for site in sites.values()):
                raise ValueError(f"the figures of a site are not of the study's {classes} classes")
        named = {one.name: set(one.cells) for one in self.study.evaluation.subgroups}
        for subgrouping in self.subgroups:
            _refuse_others("a way to tell subgroups apart", [subgrouping.name], set(named))
            _refuse_others("a subgroup", [cell.value for cell in subgrouping.cells], named[subgrouping.name])
            if any(set(cell.metrics) != metrics for cell in subgrouping.cells):
                raise ValueError(
                    f"the metrics of a subgroup are not {', '.join(metric.name for metric in task.metrics)}"
                )
        for r in self.rounds:
            if r.headline.metric != task.headline:
                raise ValueError(f"a round has {r.headline.metric!r} for a headline, and the task {task.headline!r}")
            absent = [absence.hospital for absence in r.absent]
            _refuse_others("a hospital", [*r.answered, *absent, *r.epsilons, *r.against], set(names))
        for h in self.hospitals:
            if any(len(s.per_class) != classes for s in (h.train, h.validation, h.test) if s):
                raise ValueError(f"counts of a hospital are not of the study's {classes} classes")
        return self

    @property
    def trainers(self) -> tuple[str, ...]:
        """The hospitals that trained."""
        return tuple(hospital.name for hospital in self.hospitals if self.study.trains(hospital.name))

    @property
    def external(self) -> tuple[str, ...]:
        """The hospitals that only evaluated."""
        return tuple(hospital.name for hospital in self.hospitals if not self.study.trains(hospital.name))

    @property
    def headline(self) -> Metric[Any]:
        """The metric that stands first, in the study's unit."""
        task = task_of(self.study.task)
        return replace(task.first, unit=task.unit_of(task.first, self.study.task))

    @property
    def headed(self) -> str:
        """The label of the metric that stands first, with its unit, as it heads a column."""
        task = task_of(self.study.task)
        return task.headed(task.first, self.study.task)

    @property
    def noised(self) -> bool:
        """Whether the counts by which its models are judged have noise: a simulation knows its test patients."""
        return self.study.noised and self.engine == DEPLOYED

    def to_json(self) -> str:
        """Return the one JSON form, on one line; keys in the order of this file, no NaN."""
        return self.model_dump_json() + "\n"

    @classmethod
    def from_json(cls, text: str, *, where: str = "results") -> Results:
        """Read results; ``where`` names them in errors.

        Raises:
            StorageError: this is not JSON, another format or version, or its parts do not fit each other.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            if _format_of(text) not in (FORMAT, None):
                raise StorageError(
                    f"these results are of the format {_format_of(text)!r}, not {FORMAT!r}",
                    where=where,
                    do="Read them with the version of Wardround that wrote them.",
                ) from None
            fault = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in fault["loc"])
            raise StorageError(f"these are no results: {place or 'all'}: {fault['msg']}", where=where) from None


def _refuse_others(what: str, names: Iterable[str], known: set[str]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{what} is named {name!r}, which the run does not have")


def _format_of(text: str) -> str | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    found = value.get("format") if isinstance(value, dict) else None
    return found if isinstance(found, str) else None
