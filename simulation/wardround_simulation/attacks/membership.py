"""Membership inference: does the released model reveal who was trained on?

The likelihood-ratio attack of Carlini et al., *Membership inference attacks from first principles* (IEEE S&P 2022): the
online attack with one variance for all, which suits few shadow models. Shadow federations train as the real one did, on
patients drawn again from the same hospitals; so it is known how sure of a patient the models are that were trained on
them, and those that were not. Members are the patients that the real model was trained on, the others those of
validation and test, whom it never saw.

The unit is the patient: a patient's score is the mean over their images. The attacker here has all the data and knows
the study, more than most would; with few shadow models the attack is weaker than it could be. An AUROC near 0.5
therefore says that this attack failed, not that every one must.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from wardround_client.hospital.answering import Hospital, join
from wardround_client.preparation.dataset import Dataset
from wardround_client.preparation.examples import Examples
from wardround_client.training.evaluation import probabilities_of
from wardround_client.training.threads import use_threads
from wardround_common.counting import count
from wardround_common.errors import PrivacyError, RoundError, WardroundError
from wardround_common.messages.parameters import Vector
from wardround_common.messages.rounds import Failure, Parts
from wardround_common.randomness import Stream, insecure_stream
from wardround_common.study.aggregation import Aggregation
from wardround_common.study.file import Study
from wardround_common.study.privacy import DpSgd, NoPrivacy
from wardround_server.rounds.course import run_study
from wardround_simulation.federation import Federation, open_hospital
from wardround_simulation.workers import Broke, Died, Job, Workers

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Watch = Callable[[int, int], None]

LEAST_SHADOWS = 4
RESAMPLES = 1000
FALSE_ALARMS = 0.01
LEAST_PROBABILITY = 1e-12


@dataclass(frozen=True)
class Rate:
    """A figure and its 95 % bootstrap interval over patients."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Membership:
    """How well the attack told members from others."""

    shadows: int
    members: int
    others: int
    auroc: Rate
    caught: Rate
    """Of the members, those found where 1 % of the others are taken for members (true positives at 1 % false ones)."""
    scores_of_members: Floats = field(repr=False)
    scores_of_others: Floats = field(repr=False)


@dataclass(frozen=True)
class Seen:
    """How sure one model is of each patient of all hospitals, and whom it was trained on: both (patients,)."""

    confidence: Floats = field(repr=False)
    trained: Flags = field(repr=False)


def attack(federation: Federation, model: Vector, shadows: int, workers: Workers, watch: Watch) -> Membership:
    """Attack a federation's released model with ``shadows`` shadow federations, trained by ``workers``.

    ``watch`` is told how many models are trained and how many there are.

    Raises:
        RoundError: there are too few shadow models, or one could not be trained.
    """
    if shadows < LEAST_SHADOWS:
        raise RoundError(
            f"too few for the attack: {count(shadows, 'shadow model')}", do=f"Use {LEAST_SHADOWS} or more."
        )
    for number in range(shadows):
        workers.submit(Job(train_shadow, (federation, number), f"shadow {number}"))
    seen: list[Seen] = []
    watch(0, shadows)
    while len(seen) < shadows:
        for _, result in workers.done():
            if isinstance(result, WardroundError):
                raise result
            if isinstance(result, Broke):
                result.reraise()
            if isinstance(result, Died):
                raise RoundError(f"a shadow model's process {result.how()}", do="Try with fewer --workers.")
            seen.append(result)
            watch(len(seen), shadows)
    use_threads(federation.study)
    target = _look(federation, _hospitals(federation), model)
    odds = likelihood_ratio(target.confidence, seen)
    return judge(odds[target.trained], odds[~target.trained], shadows, insecure_stream(0, "resamples"))


def train_shadow(federation: Federation, number: int) -> Seen:
    """Train one shadow federation and see how sure its model is of every patient."""
    use_threads(federation.study)
    study = without_masks(federation).study
    hospitals = {
        name: _shadow_of(hospital, study, insecure_stream(study.model.seed, "shadow", number, name))
        for name, hospital in _hospitals(federation).items()
    }
    start = federation.first_model()
    model = run_study(study, _InThisProcess(hospitals), lambda event: None, None, None, start=start).chosen.model
    return _look(federation, hospitals, model)


def without_masks(federation: Federation) -> Federation:
    """Return the federation without secure sums and roster: masks change no update by more than a rounding.

    Raises:
        PrivacyError: the study's noise is made for secure sums, so that without them this is another training; or its
            hospitals keep a part of the model for themselves.
    """
    if type(federation.study.privacy) not in (NoPrivacy, DpSgd):
        raise PrivacyError("the study shares its noise out over secure sums, which shadow models do not make")
    study = federation.study
    if study.training.measure:
        raise PrivacyError("each hospital keeps a part of the model for itself, which shadow models do not have")
    if study.training.variates:
        raise PrivacyError("each hospital keeps a control variate, which shadow models do not have")
    plain = Aggregation(min_hospitals=study.aggregation.min_hospitals, secure=False)
    return replace(federation, study=study.model_copy(update={"aggregation": plain, "roster": ()}), desks=None)


def likelihood_ratio(confidence: Floats, shadows: Sequence[Seen]) -> Floats:
    """Return each patient's log likelihood ratio of having been trained on (Carlini et al., algorithm 1): (patients,).

    Each patient has a mean among the shadow models with and one among those without them; the two spreads are those of
    all patients. Where a patient was in all or in none, the mean that is missing lies at the usual distance.
    """
    seen = np.stack([one.confidence for one in shadows])  # (shadows, patients)
    trained = np.stack([one.trained for one in shadows])
    inside, spread_inside = _mean_and_spread(seen, trained)
    outside, spread_outside = _mean_and_spread(seen, ~trained)
    gap = np.nanmean(inside - outside)
    inside, outside = (
        np.where(np.isnan(inside), outside + gap, inside),
        np.where(np.isnan(outside), inside - gap, outside),
    )
    ratio: Floats = _log_density(confidence, inside, spread_inside) - _log_density(confidence, outside, spread_outside)
    return ratio


def judge(members: Floats, others: Floats, shadows: int, stream: Stream) -> Membership:
    """Say how well scores tell members from others, with intervals from drawing both again and again."""
    rng = np.random.default_rng(stream.below(2**63))
    drawn = [
        (members[rng.integers(0, len(members), len(members))], others[rng.integers(0, len(others), len(others))])
        for _ in range(RESAMPLES)
    ]
    return Membership(
        shadows, len(members), len(others),
        _rate(auroc(members, others), [auroc(*pair) for pair in drawn]),
        _rate(caught_at(members, others), [caught_at(*pair) for pair in drawn]),
        members, others,
    )  # fmt: skip


def auroc(members: Floats, others: Floats) -> float:
    """Return the chance that a member scores higher than another patient; ties count half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, members, "left") + np.searchsorted(ordered, members, "right")
    return float(below.mean() / (2 * len(others)))


def caught_at(members: Floats, others: Floats, false_alarms: float = FALSE_ALARMS) -> float:
    """Return the fraction of members above a threshold that at most ``false_alarms`` of the others exceed."""
    allowed = int(false_alarms * len(others))
    threshold = np.sort(others)[-1 - allowed]
    return float((members > threshold).mean())


def _rate(value: float, drawn: list[float]) -> Rate:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Rate(value, float(low), float(high))


def _mean_and_spread(seen: Floats, chosen: Flags) -> tuple[Floats, float]:
    """Return each patient's mean over the chosen models, NaN if none, and the spread around these means: one number."""
    count = chosen.sum(0)
    with np.errstate(invalid="ignore"):
        mean = np.where(chosen, seen, 0).sum(0) / np.where(count, count, np.nan)
    squares = np.where(chosen, np.square(seen - mean), 0).sum()
    free = np.maximum(count - 1, 0).sum()
    return mean, max(float(np.sqrt(squares / max(free, 1))), 1e-6)


def _log_density(at: Floats, mean: Floats, spread: float) -> Floats:
    density: Floats = -np.square((at - mean) / spread) / 2 - np.log(spread)
    return density


def _hospitals(federation: Federation) -> dict[str, Hospital]:
    """Open those that train: patients of another hospital would be told apart by where they come from."""
    plain = without_masks(federation)
    return {site.name: open_hospital(plain, site.name) for site in plain.sites if plain.study.trains(site.name)}


def _shadow_of(hospital: Hospital, study: Study, stream: Stream) -> Hospital:
    """Return the hospital with as many training patients as before, drawn again from all that it has."""
    data = hospital.dataset
    everybody = _everybody(data)
    codes = np.unique(everybody.patients)
    drawn = codes[stream.child("members").permutation(len(codes))[: data.train.patient_count]]
    inside = np.flatnonzero(np.isin(everybody.patients, drawn))
    train = Examples(everybody.kept, everybody.rows[inside], everybody.targets[inside], everybody.patients[inside])
    return join(study, replace(data, train=train), stream.child("training"), hospital.built)


def _everybody(data: Dataset) -> Examples:
    """Put the three splits of a hospital together."""
    parts = (data.train, data.validation, data.test)
    rows, targets, patients = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "targets", "patients")
    )
    return Examples(data.train.kept, rows, targets, patients)


def _look(federation: Federation, hospitals: Mapping[str, Hospital], model: Vector) -> Seen:
    """See how sure the model is of all patients of the real hospitals, whichever of them ``hospitals`` trained on."""
    confidence, trained = [], []
    for name, real in _hospitals(federation).items():
        hospital, everybody = hospitals[name], _everybody(real.dataset)
        hospital.show(model)
        codes, mean = _by_patient(everybody, probabilities_of(hospital.built.network, everybody))
        confidence.append(mean)
        trained.append(np.isin(codes, hospital.dataset.train.patients))
    return Seen(np.concatenate(confidence), np.concatenate(trained))


def _by_patient(examples: Examples, scores: NDArray[np.float32]) -> tuple[NDArray[np.int64], Floats]:
    """Return the patients' codes and, for each, the mean logit of the true class' probability over their images."""
    probabilities = scores.astype(np.float64)
    images = np.arange(len(examples))
    classes = examples.targets[:]
    true = probabilities[images, classes]
    rest = probabilities.copy()
    rest[images, classes] = 0
    logits = np.log(np.maximum(true, LEAST_PROBABILITY)) - np.log(np.maximum(rest.sum(1), LEAST_PROBABILITY))
    codes, place = np.unique(examples.patients, return_inverse=True)
    return codes, np.bincount(place, logits) / np.bincount(place)


class _InThisProcess:
    """The exchange of a coordinator with hospitals that answer in this process, one after the other."""

    def __init__(self, hospitals: Mapping[str, Hospital]) -> None:
        self._hospitals = hospitals

    def hospitals(self) -> Sequence[str]:
        return list(self._hospitals)

    def ask(self, kind: str, questions: Mapping[str, Parts]) -> Iterator[tuple[str, Parts | Failure]]:
        for name, question in questions.items():
            try:
                yield name, self._hospitals[name].answer(kind, question).parts()
            except WardroundError as error:
                yield name, Failure(error.kind)
