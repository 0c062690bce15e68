"""What helps under differential privacy: the default recipe, and variations of it one at a time, at the same epsilon.

Run with ``make bench-private-recipe DATA=DIR``, where ``DIR`` holds one folder a hospital (the brain MRI hospitals).

The recipe is ``studies/brain-mri-distributed.toml`` as it was before this chose another, as central DP-SGD on
everybody's patients. Its front end is fixed, so that the network is one linear layer, and a loop over arrays trains
it in a tenth of a second. Features, views, splits, accountant, and what is drawn are the project's own; on the first
seed the loop must end at the model that the project's training ends at, or the benchmark stops.

Each variation is trained at half to eight times the learning rate, with ``--draws`` draws of patients and noise a seed.
A draw is the same for all of them as far as they have the same rounds, so that gains are paired. Since the best of many
looks better than it is, those that seem to help are measured again on other seeds, at the rate that was chosen, and
there at epsilon 3 and 1 as well. So are those that could become the default, at the recipe's own rate.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from measure import known, report
from privacy import Training, trained
from wardround_client.networks.wavelets import WaveletFeatures
from wardround_client.preparation.examples import Examples
from wardround_client.training.augmentation import augment
from wardround_client.training.local_work import plan_privacy
from wardround_common.messages.parameters import Vector
from wardround_common.metrics.ranking import count_by_score, roc_area
from wardround_common.randomness import Stream, insecure_stream
from wardround_common.study.file import Study
from wardround_common.study.privacy import DistributedDpSgd
from wardround_common.study.schedule import learning_rate
from wardround_common.study.training import Augmentation
from wardround_simulation.federation import Federation, Site, alone_study, open_hospital
from wardround_simulation.places import Places, sites_in

Floats = NDArray[np.float64]
Reading = Literal["last", "half", "moving"]

SEEDS, OTHER_SEEDS = (10, 11, 12, 13), tuple(range(14, 22))
EPSILON, EPSILONS = 8, (8, 3, 1)
"""What a variation is chosen at; and where those that seem to help are measured again."""
KEPT_VIEWS = 16
"""Random views that are made of each image; a step draws among them, since each needs the front end once."""
DECAY = 0.9
"""Of the moving average: over ten rounds of sixty."""
RATES = {"x05": 0.5, "x1": 1.0, "x2": 2.0, "x4": 4.0, "x8": 8.0}
ALL: tuple[Augmentation, ...] = ("flip", "shift", "rotate", "scale", "intensity")
MILD: tuple[Augmentation, ...] = ("flip", "shift")
DEFAULT = "default"


@dataclass(frozen=True)
class Before(Training):
    """The recipe that is varied: the study's before this table chose a constant learning rate and all images."""

    def study(self) -> Study:
        """Return that study."""
        study = super().study()
        training = study.training.model_copy(update={"schedule": "cosine"})
        privacy = study.privacy.model_copy(update={"images_per_patient": 8})
        return study.model_copy(update={"training": training, "privacy": privacy})


@dataclass(frozen=True)
class Variation:
    """One change of the recipe."""

    meaning: str
    training: Mapping[str, object] = field(default_factory=dict)
    privacy: Mapping[str, object] = field(default_factory=dict)
    views: int = 0
    """Of each image, averaged before the clip with the patient's other images; 0: the image itself."""
    reading: Reading = "last"
    """Which model is given out: the last, the mean of the last half of the rounds, or a moving average."""

    def study(self, seed: int, factor: float, epsilon: int = EPSILON) -> Study:
        """Return the study that it trains by, at a multiple of the learning rate.

        With other rounds or with momentum the rate is scaled so that the steps are together as long as the recipe's.
        """
        study = Before("central", epsilon, seed).study()
        training = study.training.model_copy(update=dict(self.training))
        noise = study.privacy.model_copy(update=dict(self.privacy))
        scale = factor * study.training.rounds / training.rounds * (1 - training.values.get("server_momentum", 0.0))
        training = training.model_copy(update={"learning_rate": study.training.learning_rate * scale})
        return study.model_copy(update={"training": training, "privacy": noise})


def _rates_and_steps() -> Iterator[tuple[str, Variation]]:
    for rate, numbers in ((0.25, (60, 120, 240)), (0.5, (30, 120)), (1.0, (30, 60))):
        for rounds in numbers:
            one = Variation(f"rate {rate:g}, {rounds} steps", {"rounds": rounds}, {"sampling_rate": rate})
            yield f"rate{100 * rate:.0f}_steps{rounds}", one


VARIATIONS = {
    DEFAULT: Variation("the recipe: rate 0.5, 60 steps, 8 images"),
    "mean_of_half": Variation("mean of the last half", reading="half"),
    "moving_average": Variation("moving average", reading="moving"),
    "constant": Variation("constant learning rate", {"schedule": "constant"}),
    "constant_mean_of_half": Variation("constant, mean of the last half", {"schedule": "constant"}, reading="half"),
    "constant_moving_average": Variation("constant, moving average", {"schedule": "constant"}, reading="moving"),
    "momentum": Variation("momentum 0.9 at the coordinator", {"strategy": "fedavgm", "server_momentum": 0.9}),
    "views1": Variation("1 random view an image", {"augmentations": ALL}, views=1),
    "views2": Variation("2 views", {"augmentations": ALL}, views=2),
    "views8": Variation("8 views", {"augmentations": ALL}, views=8),
    "mild_views8": Variation("8 views, flip and shift only", {"augmentations": MILD}, views=8),
    "images1000": Variation("all images of a patient", {}, {"images_per_patient": 1000}),
    **dict(_rates_and_steps()),
}

CANDIDATES = {
    "constant": VARIATIONS["constant"],
    "images1000": VARIATIONS["images1000"],
    "constant_images1000": Variation("both", {"schedule": "constant"}, {"images_per_patient": 1000}),
}
"""What could become the default as it is: at the recipe's own learning rate, on the other seeds."""


class FrontEnd:
    """The study's fixed features, of each image and of each view once, whichever split an image is in."""

    def __init__(self, channels: int) -> None:
        self._features = WaveletFeatures(channels)
        self._views: dict[tuple[tuple[str, ...], bytes], NDArray[np.float32]] = {}

    def of(self, images: NDArray[np.float32]) -> Floats:
        """Return (images, count + 1): the features, and a one for the bias."""
        found = self._features(torch.from_numpy(images)).numpy().astype(np.float64)
        return np.hstack([found, np.ones((len(found), 1))])

    def views(self, images: NDArray[np.float32], augmentations: tuple[Augmentation, ...]) -> NDArray[np.float32]:
        """Return (images, KEPT_VIEWS, count + 1) of random views; an image has the same ones in each split."""
        found = []
        for image in images:
            name = augmentations, hashlib.sha256(image.tobytes()).digest()
            if name not in self._views:
                copies = torch.from_numpy(np.repeat(image[None], KEPT_VIEWS, axis=0))
                nothing = torch.zeros(KEPT_VIEWS)
                seen, _ = augment(copies, nothing, augmentations, insecure_stream(0, "views", name[1].hex()))
                self._views[name] = self.of(seen.numpy()).astype(np.float32)
            found.append(self._views[name])
        return np.stack(found)


@dataclass(frozen=True, eq=False)
class Data:
    """One seed's split: everybody's training images as features, and each hospital's test images."""

    front_end: FrontEnd
    train: Examples
    tests: tuple[Examples, ...]
    stream: Stream = field(repr=False)
    """The pooled hospital's own, from the study's seed."""

    @cached_property
    def places(self) -> list[NDArray[np.int64]]:
        """Where each patient's images are."""
        return self.train.places_by_patient()

    @cached_property
    def features(self) -> Floats:
        """Return (images, count + 1) of the training images."""
        return self.front_end.of(self.train.images(slice(None)))

    @cached_property
    def tested(self) -> list[tuple[Floats, NDArray[np.bool_]]]:
        """Return each hospital's test features, and which images show a tumour."""
        return [(self.front_end.of(test.images(slice(None))), test.targets == 1) for test in self.tests]

    @lru_cache(maxsize=2)  # noqa: B019 (a seed's data go when the seed is done)
    def views(self, augmentations: tuple[Augmentation, ...]) -> NDArray[np.float32]:
        """Return (images, KEPT_VIEWS, count + 1) of the training images."""
        return self.front_end.views(self.train.images(slice(None)), augmentations)


def open_data(seed: int, sites: tuple[Site, ...], front_end: FrontEnd) -> Data:
    """Split the hospitals' patients as the study with that seed does."""
    study = VARIATIONS[DEFAULT].study(seed, 1.0)
    alone = alone_study(study)
    everybody = Site("pooled", tuple(source for site in sites for source in site.sources))
    tests = tuple(open_hospital(Federation(alone, (site,)), site.name).dataset.test for site in sites)
    train = open_hospital(Federation(alone, (everybody,)), everybody.name).dataset.train
    return Data(front_end, train, tests, insecure_stream(seed, "hospital", everybody.name))


def models(variation: Variation, study: Study, data: Data, stream: Stream) -> Floats:
    """Train, and give the model after each round: (rounds, classes, count + 1), the bias last."""
    plan = plan_privacy(study, len(data.places))
    if plan is None or not isinstance(study.privacy, DistributedDpSgd):
        raise TypeError("the recipe is a private one")
    noise, expected = plan.noise_multiplier * study.privacy.clip_norm, plan.sampling_rate * len(data.places)
    weights = np.zeros((len(study.groups), data.features.shape[1]))
    velocity, found = np.zeros_like(weights), []
    for number in range(1, study.training.rounds + 1):
        total = _clipped_sum(variation, study, study.privacy, data, weights, stream, number)
        drawn = np.random.default_rng(stream.child("noise", number, 0).below(2**63))  # nobody is protected here
        total += drawn.normal(0.0, noise, total.shape)
        step = learning_rate(study.training, number) / expected * total
        velocity = study.training.values.get("server_momentum", 0.0) * velocity - step
        weights = weights + velocity
        found.append(weights)
    return np.stack(found)


def _clipped_sum(
    variation: Variation,
    study: Study,
    private: DistributedDpSgd,
    data: Data,
    weights: Floats,
    stream: Stream,
    number: int,
) -> Floats:
    """Draw patients, and add up the clipped mean gradients of their images."""
    draw = stream.child("patients", number, 0)
    drawn = [places for places in data.places if draw.uniform(1)[0] < private.sampling_rate]
    chosen = [places[draw.permutation(len(places))[: private.images_per_patient]] for places in drawn]
    if not chosen:
        return np.zeros_like(weights)
    rows, counts = np.concatenate(chosen), np.array([len(places) for places in chosen])
    features, labels = data.features[rows], data.train.targets[rows]
    if variation.views:
        order = stream.child("views", number, 0).uniform(len(rows) * KEPT_VIEWS).reshape(len(rows), KEPT_VIEWS)
        which = np.argsort(order, axis=1)[:, : variation.views]
        seen = data.views(tuple(study.training.augmentations))[rows[:, None], which]  # (images, views, count + 1)
        features = seen.reshape(-1, seen.shape[2]).astype(np.float64)
        labels, counts = np.repeat(labels, variation.views), counts * variation.views
    logits = features @ weights.T  # (views, classes)
    wrong = np.exp(logits - logits.max(axis=1, keepdims=True))
    wrong /= wrong.sum(axis=1, keepdims=True)
    wrong[np.arange(len(labels)), labels] -= 1.0
    ends = np.cumsum(counts)
    means = np.stack(
        [wrong[end - n : end].T @ features[end - n : end] / n for end, n in zip(ends, counts, strict=True)]
    )  # (patients, classes, count + 1)
    norms = np.sqrt(np.square(means).sum(axis=(1, 2)))
    total: Floats = np.einsum("p,pcf->cf", np.minimum(1.0, private.clip_norm / (norms + 1e-6)), means)
    return total


def read(reading: Reading, after: Floats) -> Floats:
    """Return the model that is given out, of those after each round: noise is the same, so privacy is too."""
    if reading == "half":
        mean: Floats = after[len(after) // 2 :].mean(axis=0)
        return mean
    if reading == "moving":
        ages = np.arange(len(after))[::-1]
        average: Floats = np.average(after, axis=0, weights=DECAY**ages)
        return average
    last: Floats = after[-1]
    return last


def judged(model: Floats, data: Data) -> float:
    """Return the test AUROC, averaged over the hospitals."""
    found = []
    for features, tumour in data.tested:
        scores = features @ (model[1] - model[0])
        found.append(float(roc_area(*count_by_score(scores, tumour, np.ones((1, len(scores)))))[0]))
    return statistics.mean(found)


def measured(name: str, factor: float, seed: int, data: Data, draws: int, epsilon: int = EPSILON) -> list[float]:
    """Train and judge one variation on one seed, with each draw of patients and noise."""
    variation = (CANDIDATES | VARIATIONS)[name]
    study = variation.study(seed, factor, epsilon)
    streams = [data.stream, *(data.stream.child("again", draw) for draw in range(1, draws))]
    return [judged(read(variation.reading, models(variation, study, data, stream)), data) for stream in streams]


def check(seed: int, data: Data, sites: tuple[Site, ...]) -> None:
    """Stop unless the loop ends where the project's training ends, from the same draws."""
    variation = VARIATIONS[DEFAULT]
    ours = models(variation, variation.study(seed, 1.0), data, data.stream)[-1]
    with tempfile.TemporaryDirectory() as folder:
        theirs: Vector = trained(Before("central", EPSILON, seed), sites, Path(folder))
    ours = np.concatenate([ours[:, :-1].ravel(), ours[:, -1]])
    if not np.allclose(ours, theirs, rtol=1e-3, atol=1e-3 * float(np.abs(theirs).max())):
        raise RuntimeError(f"the loop is not the project's training: {np.abs(ours - theirs).max():.3g} apart")


def gain(values: Sequence[Sequence[float]], against: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Return the mean difference over seeds, each a mean over its draws, and its standard error."""
    each = [statistics.mean(one) - statistics.mean(other) for one, other in zip(values, against, strict=True)]
    return statistics.mean(each), statistics.stdev(each) / math.sqrt(len(each))


def at_its_rate(sites: tuple[Site, ...], front_end: FrontEnd, draws: int, screen: Console) -> dict[str, float]:
    """Return what the candidates gain on the other seeds without another learning rate, at each epsilon."""
    found: dict[tuple[str, int], list[list[float]]] = {
        (name, epsilon): [] for name in (DEFAULT, *CANDIDATES) for epsilon in EPSILONS
    }
    for seed in track(OTHER_SEEDS, "candidates", console=screen):
        data = open_data(seed, sites, front_end)
        for (name, epsilon), values in found.items():
            values.append(measured(name, 1.0, seed, data, draws, epsilon))
    figures: dict[str, float] = {}
    for name in CANDIDATES:
        for epsilon in EPSILONS:
            mean, error = gain(found[name, epsilon], found[DEFAULT, epsilon])
            key = f"own_rate_gain_{name}_eps{epsilon}"
            figures |= {key: mean, f"{key}_se": error}
    return figures


def main() -> None:
    """Measure every variation, again on other seeds those that seem to help, and report."""
    parser = argparse.ArgumentParser(description="Variations of the private recipe, at the same epsilon.")
    parser.add_argument("data", type=Path, help="a folder with one sub-folder a hospital")
    parser.add_argument("--draws", type=int, default=5, help="draws of patients and noise a seed")
    parser.add_argument("--state", type=Path, default=None, help="where prepared images are kept between calls")
    parser.add_argument("--candidates-only", action="store_true", help="keep the other figures as they are")
    typed = parser.parse_args()
    screen = Console(stderr=True)
    with tempfile.TemporaryDirectory() as scratch:
        sites = sites_in(typed.data, Places(None, None, frozenset(), typed.state or Path(scratch) / "state"))
        front_end = FrontEnd(VARIATIONS[DEFAULT].study(SEEDS[0], 1.0).data.channels)
        if typed.candidates_only:
            report("private_recipe", known("private_recipe") | at_its_rate(sites, front_end, typed.draws, screen), {})
            return

        first: dict[tuple[str, str], list[list[float]]] = {(name, rate): [] for name in VARIATIONS for rate in RATES}
        for seed in SEEDS:
            data = open_data(seed, sites, front_end)
            if seed == SEEDS[0]:
                check(seed, data, sites)
            for name, rate in track(first, f"seed {seed}", console=screen):
                first[name, rate].append(measured(name, RATES[rate], seed, data, typed.draws))

        best = {name: max(RATES, key=lambda rate: np.mean(first[name, rate])) for name in VARIATIONS}
        gains = {name: gain(first[name, best[name]], first[DEFAULT, "x1"]) for name in VARIATIONS}
        helped = [name for name, (mean, error) in gains.items() if mean > 2 * error]
        compared = [(name, RATES[best[name]]) for name in helped] + [(DEFAULT, 1.0)] * bool(helped)
        again: dict[tuple[str, float, int], list[list[float]]] = {
            (*one, epsilon): [] for epsilon in EPSILONS for one in compared
        }
        for seed in track(OTHER_SEEDS if helped else (), "other seeds", console=screen):
            data = open_data(seed, sites, front_end)
            for (name, factor, epsilon), values in again.items():
                values.append(measured(name, factor, seed, data, typed.draws, epsilon))
        figures = at_its_rate(sites, front_end, typed.draws, screen)

    table = Table(title=f"test AUROC at epsilon {EPSILON} by learning rate; gains, also on other seeds")
    for title in ("variation", *RATES, "sd", "gain", *(f"other, {epsilon}" for epsilon in EPSILONS)):
        table.add_column(title, justify="left" if title == "variation" else "right")
    for name, variation in VARIATIONS.items():
        means = {rate: float(np.mean(first[name, rate])) for rate in RATES}
        spread = float(np.std(first[name, best[name]], ddof=1))
        figures |= {f"auroc_{name}_{rate}": mean for rate, mean in means.items()}
        figures |= {f"auroc_{name}_sd": spread, f"gain_{name}": gains[name][0], f"gain_{name}_se": gains[name][1]}
        shown = ["{:+.4f} ± {:.4f}".format(*gains[name])]
        for epsilon in EPSILONS if name in helped else ():
            mean, error = gain(again[name, RATES[best[name]], epsilon], again[DEFAULT, 1.0, epsilon])
            figures |= {f"other_gain_{name}_eps{epsilon}": mean, f"other_gain_{name}_eps{epsilon}_se": error}
            shown.append(f"{mean:+.4f} ± {error:.4f}")
        table.add_row(variation.meaning, *(f"{mean:.4f}" for mean in means.values()), f"{spread:.4f}", *shown)
    if helped:
        figures |= {f"other_auroc_as_it_is_eps{e}": float(np.mean(again[DEFAULT, 1.0, e])) for e in EPSILONS}
    Console(width=180).print(table)
    report("private_recipe", figures, {"gain_default": "of the best learning rate over the recipe's own"})


if __name__ == "__main__":
    main()
