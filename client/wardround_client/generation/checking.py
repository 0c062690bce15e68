"""Checks made images beside a hospital's own: do they look like patients', do they cover them, is one a copy of one?

Everything is computed where the images are, and nothing leaves. Images are compared by features that nobody trained
(fixed wavelets): a network that learnt from photographs would have to be fetched, and sees other things. What a figure
is between patients and other patients stands beside it, since with few images no distance is near zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from wardround_client.generation.drawing import drawn, network_of
from wardround_client.networks.wavelets import WaveletFeatures
from wardround_client.prediction.model import Model
from wardround_client.preparation.dataset import prepare, take_in
from wardround_client.preparation.examples import Examples
from wardround_client.preparation.source import Source
from wardround_client.tasks.registry import loss_of
from wardround_client.training.supply import supply_of
from wardround_client.training.threads import use_threads
from wardround_common.errors import DataError, ModelError
from wardround_common.metrics.intervals import with_interval
from wardround_common.metrics.shapes import Estimate

Floats = NDArray[np.float64]
NEIGHBOURS = 5
"""Of which the farthest gives the radius around an image of a patient (Naeem et al., ICML 2020, section 3)."""
SHORT = 16
"""Principal axes of the patients' features, on which distributions are compared."""
RESAMPLES = 1000
SAME = 0.1
"""Images of two patients that are nearer than this part of the median distance count as one picture, stored twice."""
LEAST = 10
"""Images of training patients, and of test patients, below which nothing is compared."""
LEAST_PATIENTS = 3
SHOWN = 8
TOGETHER = 64
Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class Closest:
    """A made image beside the training image that is nearest to it."""

    number: int
    """Of the made image, from 1."""
    distance: float
    usual: float
    """How far that training image is from the nearest one of another patient that is not the same picture."""

    @property
    def ratio(self) -> float:
        """The distance over the usual one, well below 1 of a copy; infinite beside a patient who looks like another."""
        if self.usual:
            return self.distance / self.usual
        return np.inf if self.distance else 0.0


@dataclass(frozen=True)
class Checks:
    """What made images are beside those of a hospital's patients."""

    made: int
    training: int
    """Images of training patients."""
    test: int
    compared: int
    """Of each, in what compares numbers of images that must be alike."""
    frechet: float
    """Between made images and those of test patients."""
    frechet_of_patients: float
    """The same between training and test patients: what good images would have."""
    coverage: float
    density: float
    coverage_of_patients: float
    """By training patients' images in the place of made ones; and so for density."""
    density_of_patients: float
    near_training: float
    """The median distance of a made image to the nearest one of a training patient."""
    near_test: float
    nearer_to_training: float
    """The part of made images that are nearer to a training patient than to any of as many test patients."""
    nearer_by_chance: tuple[float, float]
    """Between which it lies in 95 % of the ways to deal these patients into training and test."""
    membership: Estimate
    """AUROC by which the model's own bound tells training from test patients; 0.5 is chance."""
    membership_by_images: Estimate
    """The same by the distance to the nearest made image, which needs the images alone."""
    closest: tuple[Closest, ...]
    """Those nearest to a training patient by how far that patient's image is from others."""


@dataclass(frozen=True, eq=False)
class Checked:
    """The figures, and what a hospital's own people may look at."""

    checks: Checks
    pairs: tuple[tuple[Pixels, Pixels], ...] = field(repr=False)
    """Of the closest: the made image, and the training patient's, (channels, rows, columns) each."""


def check(model: Model, source: Source, count: int, seed: int) -> Checked:
    """Compare images that are drawn from a model with those of this hospital, whose patients are split as in the run.

    Raises:
        StudyError: the model makes no images.
        DataError: the folder cannot be read, nothing of it can be used, or it has too few patients.
        ModelError: an image or a loss is not finite.
    """
    network_of(model)
    use_threads(model.study)
    data = prepare(source, model.study, *take_in(source, model.study))
    train, test = data.train, data.test
    if min(len(train), len(test), count) < LEAST:
        raise DataError(
            f"{count} made images, {len(train)} of training patients and {len(test)} of test patients are too few",
            where=str(source.folder),
            do=f"Compare {LEAST} or more of each.",
        )
    if min(train.patient_count, test.patient_count) < LEAST_PATIENTS:
        raise DataError(
            "one patient cannot be told from others",
            where=str(source.folder),
            do=f"Compare {LEAST_PATIENTS} training and test patients or more.",
        )
    images = np.stack([one.pixels for one in drawn(model, count, seed)])
    made, theirs, others = (features_of(pixels) for pixels in (images, _images(train), _images(test)))
    rng = np.random.default_rng(seed)
    bounds = [by_patient(-losses_of(model, part), part.patients) for part in (train, test)]
    near = [by_patient(-cdist(own, made).min(axis=1), part.patients) for own, part in ((theirs, train), (others, test))]
    places, closest = closest_of(made, theirs, train.patients)
    some = min(count, len(train), len(test))
    rows = [np.sort(rng.permutation(len(each))[:some]) for each in (made, theirs, others)]
    one, two, three = (each[chosen] for each, chosen in zip((made, theirs, others), rows, strict=True))
    axes = principal(np.concatenate([theirs, others]))
    covered, dense = coverage_and_density(three, one)
    of_patients = coverage_and_density(three, two)
    to_train, to_test = cdist(made, two).min(axis=1), cdist(made, three).min(axis=1)
    nearer, by_chance = nearer_to(made, two, train.patients[rows[1]], three, test.patients[rows[2]], rng)
    checks = Checks(
        made=count,
        training=len(train),
        test=len(test),
        compared=some,
        frechet=frechet(one @ axes, three @ axes),
        frechet_of_patients=frechet(two @ axes, three @ axes),
        coverage=covered,
        density=dense,
        coverage_of_patients=of_patients[0],
        density_of_patients=of_patients[1],
        near_training=float(np.median(to_train)),
        near_test=float(np.median(to_test)),
        nearer_to_training=nearer,
        nearer_by_chance=by_chance,
        membership=auroc(bounds[0], bounds[1], rng),
        membership_by_images=auroc(near[0], near[1], rng),
        closest=closest,
    )
    pairs = tuple(
        (images[one.number - 1], train.images(np.array([at]))[0]) for one, at in zip(closest, places, strict=True)
    )
    return Checked(checks, pairs)


def features_of(images: Pixels) -> Floats:
    """Return the fixed features (images, features) of images (images, channels, rows, columns)."""
    network = WaveletFeatures(images.shape[1]).eval()
    found: Floats = network(torch.from_numpy(np.ascontiguousarray(images))).double().numpy()
    return found


def frechet(one: Floats, other: Floats) -> float:
    """Return the squared Fréchet distance of two normal distributions (Heusel et al., NeurIPS 2017): rows are images.

    By eigenvalues, which stay real where there are fewer images than features, as the root of a product does not.
    """
    apart = one.mean(axis=0) - other.mean(axis=0)
    covariances = [np.atleast_2d(np.cov(each, rowvar=False)) for each in (one, other)]
    values, vectors = np.linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ covariances[1] @ root).clip(min=0)).sum()
    return max(0.0, float(apart @ apart + sum(np.trace(each) for each in covariances) - 2 * shared))


def coverage_and_density(patients: Floats, made: Floats) -> tuple[float, float]:
    """Return how many patients' images have a made one near, and how many a made one has near, relative to patients'.

    Naeem et al., *Reliable fidelity and diversity metrics for generative models*, ICML 2020, equations 8 and 9: near is
    within the distance to an image's fifth neighbour among patients. Density can exceed 1.
    """
    between = np.sort(cdist(patients, patients), axis=1)
    radius = between[:, min(NEIGHBOURS, len(patients) - 1)]  # the first is the image itself
    within = cdist(patients, made) < radius[:, None]
    return float(within.any(axis=1).mean()), float(within.sum() / (NEIGHBOURS * len(made)))


def nearer_to(
    made: Floats,
    train: Floats,
    of_train: NDArray[np.int64],
    test: Floats,
    of_test: NDArray[np.int64],
    rng: np.random.Generator,
) -> tuple[float, tuple[float, float]]:
    """Return how many made images are nearer to a training patient's image than to a test patient's, ties as half.

    Beside it, between which it lies in 95 % of the ways to deal the patients, ``of_train`` and ``of_test``, into two:
    one blurred image may be nearest to all, and a part far from a half is then no sign of a copy.
    """
    far, patients = cdist(made, np.concatenate([train, test])), np.concatenate([of_train, of_test])
    names, inside = np.unique(patients), len(np.unique(of_train))

    def part(here: NDArray[np.bool_]) -> float:
        to_train, to_test = far[:, here].min(axis=1), far[:, ~here].min(axis=1)
        return float(((to_train < to_test) + 0.5 * (to_train == to_test)).mean())

    dealt = [part(np.isin(patients, rng.permutation(names)[:inside])) for _ in range(RESAMPLES)]
    low, high = np.quantile(dealt, [0.025, 0.975])
    return part(np.isin(patients, of_train)), (float(low), float(high))


def area(one: Floats, other: Floats) -> float:
    """Return the chance that one of the first scores is higher than one of the others, ties as half."""
    ordered = np.sort(other)
    below = np.searchsorted(ordered, one, "left") + np.searchsorted(ordered, one, "right")
    return float(below.mean() / (2 * len(other)))


def auroc(members: Floats, others: Floats, rng: np.random.Generator) -> Estimate:
    """Return the chance that a member scores higher than another patient, ties as half, with its interval."""

    def again(scores: Floats) -> Floats:
        drawn_again: Floats = scores[rng.integers(0, len(scores), len(scores))]
        return drawn_again

    resampled = np.array([area(again(members), again(others)) for _ in range(RESAMPLES)])
    return with_interval(area(members, others), resampled)


def by_patient(scores: Floats, patients: NDArray[np.int64]) -> Floats:
    """Return the mean of each patient's scores."""
    _, place = np.unique(patients, return_inverse=True)
    means: Floats = np.bincount(place, scores) / np.bincount(place)
    return means


def principal(features: Floats) -> Floats:
    """Return the axes along which features vary most, (features, SHORT)."""
    _, _, axes = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)
    found: Floats = axes[:SHORT].T
    return found


def closest_of(made: Floats, train: Floats, patients: NDArray[np.int64]) -> tuple[list[int], tuple[Closest, ...]]:
    """Return where the training images are that made ones are closest to, and how close, the closest first.

    Close is a distance that is small beside that of the training image to the nearest one of another patient.
    """
    between = cdist(train, train)
    between[patients[:, None] == patients[None, :]] = np.inf
    usual, far = _to_others(between), cdist(made, train)
    nearest = (far / np.maximum(usual, 1e-12)).argmin(axis=1)
    rows = np.arange(len(made))
    order = np.argsort(far[rows, nearest] / np.maximum(usual[nearest], 1e-12), kind="stable")[:SHOWN]
    found = [Closest(int(row) + 1, float(far[row, nearest[row]]), float(usual[nearest[row]])) for row in order]
    return [int(nearest[row]) for row in order], tuple(found)


def _to_others(between: Floats) -> Floats:
    """Return how far each image is from the nearest one of another patient, of distances of which others are infinite.

    A picture that is stored under two identifiers is no other patient's, and is what a model remembers best.
    """
    pictures = np.where(between > SAME * np.median(between[np.isfinite(between)]), between, np.inf).min(axis=1)
    found: Floats = np.where(np.isfinite(pictures), pictures, between.min(axis=1))
    return found


def _images(examples: Examples) -> Pixels:
    return examples.images(np.arange(len(examples)))


@torch.no_grad()
def losses_of(model: Model, examples: Examples) -> Floats:
    """Return the bound of each image in nats, by latent numbers that are their mean."""
    network, device = model.network.eval(), next(model.network.parameters()).device
    loss = loss_of(model.study, device)
    places = np.arange(len(examples))
    chunks = [places[start : start + TOGETHER] for start in range(0, len(places), TOGETHER)]
    found = [loss(network(images), targets).cpu() for images, targets in supply_of(examples, device).batches(chunks)]
    losses: Floats = torch.cat(found).double().numpy()
    if not np.isfinite(losses).all():
        raise ModelError("a loss is not finite", do="The model's training diverged: do not use it.")
    return losses
