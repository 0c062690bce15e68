"""A saved classifier recalibrated where it is used: one slope and a bias for each class, on its log-probabilities.

Of two classes that is Platt's scaling (Platt 1999, *Probabilistic Outputs for Support Vector Machines*, section 2); of
more, temperature scaling with a bias for each class (Alexandari et al. 2020, *Maximum Likelihood with Bias-Corrected
Calibration is Hard-To-Beat at Label Shift Adaptation*, ICML, section 3). The ranking of two classes' images stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import DataError
from wardround_common.metrics.ranking import Floats

LEAST_PATIENTS = 5
"""Of each class, without which nothing is fitted: one for each of the folds."""
FEW_PATIENTS = 20
"""Of each class: ten for each number that is fitted (Peduzzi et al. 1996, J Clin Epidemiol 49(12))."""
FOLDS = 5
LEVELS = 32
"""In which hospitals count probabilities by their own recalibrations: two for each bin of the calibration error."""
_LEAST, _STEPS, _ENOUGH, _RIDGE = 1e-12, 100, 1e-10, 1e-9


@dataclass(frozen=True)
class Recalibration:
    """What log-probabilities are multiplied by and what is added to each class's; then they are brought to 1 again."""

    slope: float
    biases: tuple[float, ...]
    """The first one is 0: only differences count."""

    def apply(self, probabilities: NDArray[np.floating]) -> Floats:
        """Return recalibrated probabilities (..., classes) of a model's own."""
        return _softmax(self.slope * _logs(probabilities) + np.array(self.biases))


def fit(labels: NDArray[np.int64], probabilities: NDArray[np.floating]) -> Recalibration:
    """Fit to labels (images,) and a model's own probabilities (images, classes), by maximum likelihood.

    With Platt's softened targets, so that a few images that are all told apart do not make every probability 0 or 1.
    Newton's method; the likelihood is concave in what is fitted, and a step that would lower it is halved.

    Raises:
        DataError: a class does not occur, or the model's scores rank them the wrong way round.
    """
    logs = _logs(probabilities)  # (images, classes)
    classes = logs.shape[1]
    counts = np.bincount(labels, minlength=classes)
    if not counts.all():
        raise DataError("a class does not occur, so that nothing can be fitted to it")
    wanted = np.full(logs.shape, 1.0) + np.eye(classes)[labels] * counts[labels][:, None]
    wanted /= wanted.sum(axis=1, keepdims=True)  # (count + 1) / (count + classes) of the true class

    def loss(at: Floats) -> float:
        scores = at[0] * logs + np.concatenate([[0.0], at[1:]])
        peak = scores.max(axis=1, keepdims=True)
        logarithms = scores - peak - np.log(np.exp(scores - peak).sum(axis=1, keepdims=True))
        return float(-(wanted * logarithms).sum())

    at: Floats = np.zeros(classes)  # slope, then the biases of all classes but the first
    at[0] = 1.0
    for _ in range(_STEPS):
        said = _softmax(at[0] * logs + np.concatenate([[0.0], at[1:]]))
        gap = said - wanted
        gradient = np.concatenate([[(gap * logs).sum()], gap.sum(axis=0)[1:]])
        centred = logs - (said * logs).sum(axis=1, keepdims=True)
        weighted = said * centred
        curvature = np.zeros((classes, classes))
        curvature[0, 0] = (weighted * centred).sum()
        curvature[0, 1:] = curvature[1:, 0] = weighted.sum(axis=0)[1:]
        curvature[1:, 1:] = np.diag(said.sum(axis=0)[1:]) - said[:, 1:].T @ said[:, 1:]
        step = np.linalg.solve(curvature + _RIDGE * np.eye(classes), gradient)
        before = loss(at)
        while loss(at - step) > before and np.abs(step).max() > _ENOUGH:
            step = step / 2
        at = at - step
        if np.abs(step).max() <= _ENOUGH:
            break
    if at[0] <= 0:
        raise DataError(
            "the model's scores rank these images the wrong way round: no recalibration mends that",
            do="Check the labels, and the order of the classes.",
        )
    return Recalibration(float(at[0]), (0.0, *map(float, at[1:])))


def point_for(labels: NDArray[np.int64], probabilities: NDArray[np.floating], sensitivity: float) -> float:
    """Return the highest probability of the finding at which its sensitivity is reached; of two classes."""
    found = np.sort(probabilities[labels == 1, 1])[::-1]
    return float(found[int(np.ceil(sensitivity * len(found) - 1e-9)) - 1])


def folds_of(patients: NDArray[np.int64], strata: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return which of :data:`FOLDS` each image (images,) is in: patients whole, those of each stratum dealt out evenly.

    A patient's stratum is the highest of their images'.
    """
    rng = np.random.default_rng(seed)
    names, where = np.unique(patients, return_inverse=True)
    of_patient = np.zeros(len(names), np.int64)
    np.maximum.at(of_patient, where, strata)
    fold = np.zeros(len(names), np.int64)
    dealt = 0
    for stratum in np.unique(of_patient):
        those = rng.permutation(np.flatnonzero(of_patient == stratum))
        fold[those] = (np.arange(len(those)) + dealt) % FOLDS
        dealt += len(those)
    return fold[where]


def _logs(probabilities: NDArray[np.floating]) -> Floats:
    logs: Floats = np.log(np.clip(probabilities.astype(np.float64), _LEAST, 1.0))
    return logs


def _softmax(scores: Floats) -> Floats:
    raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
    total: Floats = raised / raised.sum(axis=-1, keepdims=True)
    return total
