"""How unlike a model's images an image is: a distance in its features, from sums that hospitals add up.

Of each validation image a hospital takes the network's own features (a short vector of length 1), and all hospitals
together their count, mean and second moments: two sums, which are exact whatever their order. The distance of a new
image is Mahalanobis' (Lee et al., *A simple unified framework for detecting out-of-distribution samples*, NeurIPS 2018)
from one Gaussian over all classes, so that it is the same for outlines, of features of unit length (Mueller and Hein,
*Mahalanobis++*, ICML 2025). The covariance is shrunk towards a multiple of the identity by the oracle approximation
(Chen et al., *Shrinkage algorithms for MMSE covariance estimation*, IEEE Trans. Signal Processing 58, 2010), which is
read off the same moments; a distance of 1 is the root mean square over those images.

The threshold is a quantile of the validation images' own distances, each from the moments of all *other* patients
(Barber et al., *Predictive inference with the jackknife+*, Annals of Statistics 49, 2021): a patient who is in the mean
is nearer to it than a new one would be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import MessageError
from wardround_common.metrics.sums import COUNT_LIMIT

Floats = NDArray[np.float64]
FEATURES = 32
"""Numbers of a feature vector: what is longer is projected, what is shorter filled with zeros."""
PAIRS = FEATURES * (FEATURES + 1) // 2
UNIT = 2.0**-20
"""Of a sum: what is added up are whole numbers, of values from -1 to 1 that are raised by 1."""
_RAISED = round(1 / UNIT)
BINS, BINS_PER_ONE = 1024, 64
"""Of the histogram of distances, and how many lie between a distance and the next whole one; the last is open."""
LEAST_IMAGES = 20
"""Of which there are fewer, there is no threshold: one in twenty of them would be less than one."""
_UPPER = np.triu_indices(FEATURES)


@dataclass(frozen=True, eq=False)
class FeatureSums:
    """The sums over some images' features."""

    records: int
    first: NDArray[np.int64]
    """(FEATURES,) of each value, raised by 1, in units."""
    second: NDArray[np.int64]
    """(PAIRS,) of each product of two values, raised by 1, in units: the upper triangle by rows."""

    @classmethod
    def empty(cls) -> FeatureSums:
        """Return the sums over no image."""
        return cls(0, np.zeros(FEATURES, np.int64), np.zeros(PAIRS, np.int64))

    @classmethod
    def of(cls, features: Floats) -> FeatureSums:
        """Sum up features (images, FEATURES), vectors of length 1 at most."""
        products = features[:, _UPPER[0]] * features[:, _UPPER[1]]
        return cls(len(features), _whole(features), _whole(products))

    def __add__(self, other: FeatureSums) -> FeatureSums:
        return FeatureSums(self.records + other.records, self.first + other.first, self.second + other.second)

    def __sub__(self, other: FeatureSums) -> FeatureSums:
        """Return the sums without some of their images."""
        return FeatureSums(self.records - other.records, self.first - other.first, self.second - other.second)

    def to_vector(self) -> NDArray[np.int64]:
        """Return the sums as int64 (LENGTH,), each 0 or more."""
        return np.concatenate([[self.records], self.first, self.second])

    @classmethod
    def from_vector(cls, vector: NDArray[Any]) -> FeatureSums:
        """Read the sums of a vector that a message brought.

        Raises:
            MessageError: wrong length or type, or numbers that no images have.
        """
        whole = _counts(vector, FEATURE_NUMBERS)
        if whole[0] > COUNT_LIMIT:
            raise MessageError("sums of features are of more images than there can be")
        records, first, second = int(whole[0]), whole[1 : 1 + FEATURES], whole[1 + FEATURES :]
        if max(first.max(), second.max()) > 2 * _RAISED * records:
            raise MessageError("sums of features are larger than those of so few images can be")
        sums = cls(records, first, second)
        if records and np.trace(sums.second_moments()) > 1 + FEATURES * UNIT * 4:
            raise MessageError("the features are longer than they can be")
        return sums

    def mean(self) -> Floats:
        """Return the mean feature (FEATURES,)."""
        return self.first * UNIT / self.records - 1

    def second_moments(self) -> Floats:
        """Return the mean products (FEATURES, FEATURES)."""
        moments = np.zeros((FEATURES, FEATURES))
        moments[_UPPER] = self.second * UNIT / self.records - 1
        return moments + np.triu(moments, 1).T


FEATURE_NUMBERS = 1 + FEATURES + PAIRS


def _whole(values: Floats) -> NDArray[np.int64]:
    summed: NDArray[np.int64] = np.rint((np.clip(values, -1, 1) + 1) / UNIT).astype(np.int64).sum(axis=0)
    return summed


def _counts(vector: NDArray[Any], length: int) -> NDArray[np.int64]:
    if vector.shape != (length,) or vector.dtype != np.int64 or (vector < 0).any():
        raise MessageError("the sums over features are missing or malformed")
    return vector


@dataclass(frozen=True, eq=False)
class Usual:
    """Where the features of a model's images lie."""

    sums: FeatureSums

    @cached_property
    def _form(self) -> tuple[Floats, Floats]:
        """Return the mean, and the Cholesky factor of the shrunk covariance."""
        mean = self.sums.mean()
        covariance = self.sums.second_moments() - np.outer(mean, mean)
        level = max(float(np.trace(covariance)) / FEATURES, UNIT**2)
        spread = float((covariance**2).mean())
        apart = (self.sums.records + 1) * (spread - level**2 / FEATURES)
        share = 1.0 if apart <= 0 else min((spread + level**2) / apart, 1.0)
        least = max(share, 1e-3)  # a direction that no image moves in has a variance of rounding alone
        shrunk = (1 - least) * covariance + least * level * np.eye(FEATURES)
        values, vectors = np.linalg.eigh(shrunk)
        return mean, (vectors / np.sqrt(np.maximum(values, least * level / 2))) @ vectors.T

    def distances(self, features: Floats) -> Floats:
        """Return the distance (images,) of features (images, FEATURES): 1 is the root mean square of the usual ones."""
        mean, whitening = self._form
        found: Floats = np.linalg.norm((features - mean) @ whitening, axis=1) / math.sqrt(FEATURES)
        return found


@dataclass(frozen=True, eq=False)
class DistanceSums:
    """How often each distance was found."""

    histogram: NDArray[np.int64]
    """(BINS,) images."""

    @classmethod
    def empty(cls) -> DistanceSums:
        """Return the sums over no image."""
        return cls(np.zeros(BINS, np.int64))

    @classmethod
    def of(cls, distances: Floats) -> DistanceSums:
        """Count distances (images,)."""
        bins = np.minimum(distances * BINS_PER_ONE, BINS - 1).astype(np.int64)
        return cls(np.bincount(bins, minlength=BINS))

    @property
    def records(self) -> int:
        """How many images were counted."""
        return int(self.histogram.sum())

    def __add__(self, other: DistanceSums) -> DistanceSums:
        return DistanceSums(self.histogram + other.histogram)

    def to_vector(self) -> NDArray[np.int64]:
        """Return the sums as int64 (BINS,), each 0 or more."""
        return self.histogram

    @classmethod
    def from_vector(cls, vector: NDArray[Any]) -> DistanceSums:
        """Read the sums of a vector that a message brought.

        Raises:
            MessageError: wrong length or type, or numbers that no images have.
        """
        histogram = _counts(vector, BINS)
        if (histogram > COUNT_LIMIT).any():  # sums of larger ones could overflow
            raise MessageError("distances are of more images than there can be")
        return cls(histogram)

    def threshold(self, fraction: float) -> float | None:
        """Return the distance that a fraction of new images of the same kind stays below: the upper edge of a bin.

        With n images the one in place ceil((n + 1) · fraction) counts, of all at most the last. None if they are too
        few, or if the distance is beyond the histogram.
        """
        if self.records < LEAST_IMAGES:
            return None
        place = min(math.ceil((self.records + 1) * fraction), self.records)
        found = int(np.searchsorted(np.cumsum(self.histogram), place))
        return None if found == BINS - 1 else (found + 1) / BINS_PER_ONE


def jackknifed(features: Floats, patients: NDArray[np.int64], everybody: FeatureSums) -> Floats:
    """Return the distance (images,) of features from those of all patients but the image's own.

    ``everybody``: the sums over all hospitals' images, these (images, FEATURES) among them.

    Raises:
        MessageError: without a patient there are fewer than two images, or these are not among them.
    """
    found = np.zeros(len(features))
    for patient in np.unique(patients):
        own = patients == patient
        others = everybody - FeatureSums.of(features[own])
        if others.records < 2:
            raise MessageError("the sums over features are of too few images to leave a patient out")
        found[own] = Usual(FeatureSums.from_vector(others.to_vector())).distances(features[own])
    return found
