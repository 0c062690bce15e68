"""What a hospital's own recalibration of the kept model would change there: fitted on validation, judged on test."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import nn

from wardround_client.preparation.dataset import Dataset
from wardround_client.preparation.examples import Examples
from wardround_client.training.evaluation import probabilities_of, sums_of
from wardround_common.errors import DataError, ModelError
from wardround_common.metrics.recalibration import LEAST_PATIENTS, LEVELS, Recalibration, fit
from wardround_common.metrics.sums import ScoreSums
from wardround_common.study.file import Study
from wardround_common.tasks.classification import Classification
from wardround_common.tasks.contract import Sums


def fitted(network: nn.Module, study: Study, validation: Examples) -> Recalibration | None:
    """Fit slope and biases to a hospital's validation patients, as ``wardround evaluate --recalibrate`` does.

    None where a class has fewer than :data:`LEAST_PATIENTS` of them, scores rank them the wrong way round, or the
    task tells no classes.
    """
    if not isinstance(study.task, Classification) or not len(validation):
        return None
    labels = np.asarray(validation.targets[:], np.int64)
    counts = [len(np.unique(validation.patients[labels == number])) for number in range(len(study.task.classes))]
    if min(counts) < LEAST_PATIENTS:
        return None
    own = probabilities_of(network, validation)
    if not np.isfinite(own).all():
        raise ModelError("the model's scores are not finite", do="Its training diverged: lower the learning rate.")
    try:
        return fit(labels, own)
    except DataError:
        return None


def recalibrated_sums(network: nn.Module, study: Study, dataset: Dataset) -> tuple[Sums, bool]:
    """Return the sums over the test patients by the hospital's own recalibration, and whether there is one.

    Where there is none they are those of the network itself: both sums are over the same patients. Where all hospitals
    but one have none, the difference of two secure sums is what that one's recalibration changes.

    Raises:
        ModelError: an output is not a finite number.
    """
    found = fitted(network, study, dataset.validation)
    if not isinstance(study.task, Classification) or not len(dataset.test):
        plain: Sums = sums_of(network, study, dataset.test)
        return plain, False
    shares = probabilities_of(network, dataset.test)
    if found is not None:
        shares = found.apply(shares).astype(np.float32)
    return _in_levels(np.asarray(dataset.test.targets[:], np.int64), shares), found is not None


def _in_levels(labels: NDArray[np.int64], shares: NDArray[np.floating]) -> ScoreSums:
    """Sum up probabilities (images, classes), counted by level; there is no loss in them, which nobody asks for.

    In bins as fine as those of the model's own scores the two histograms of a secure sum tell each hospital's slope and
    bias: few others bring the one's occupied bins onto the other's (ADR 0114).
    """
    exact = ScoreSums.of(labels, shares.astype(np.float32), np.zeros(len(labels)))
    middles = (np.minimum(np.floor(shares * LEVELS), LEVELS - 1) + 0.5) / LEVELS
    counted = ScoreSums.of(labels, middles.astype(np.float32), np.zeros(len(labels)))
    return replace(exact, histograms=counted.histograms)
