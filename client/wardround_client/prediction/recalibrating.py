"""A released model recalibrated on a hospital's own patients: what that changes, on patients whom the fit did not see.

Nothing of it leaves the hospital. Figures are cross-fitted: the patients are cut into parts, and what is said of each
part comes from a fit on the others (Hastie et al. 2009, The Elements of Statistical Learning, section 7.10). The
file is fitted on all of them.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround_client.prediction.judging import RESAMPLES, Part
from wardround_client.prediction.model import Model
from wardround_client.preparation.dataset import Intake, prepare, take_in
from wardround_client.preparation.examples import Examples
from wardround_client.preparation.source import Source
from wardround_client.training.evaluation import probabilities_of
from wardround_client.training.threads import use_threads
from wardround_common.counting import count
from wardround_common.errors import DataError, ModelError, StudyError
from wardround_common.metrics import PatientSums
from wardround_common.metrics.calibration import at_temperature
from wardround_common.metrics.decisions import DECISION_METRICS
from wardround_common.metrics.recalibration import FEW_PATIENTS, FOLDS, LEAST_PATIENTS, fit, folds_of, point_for
from wardround_common.metrics.shapes import Estimate
from wardround_common.metrics.sums import ScoreSums, vector_length
from wardround_common.results import evaluate
from wardround_common.results.calibration_file import Calibration
from wardround_common.results.model_folder import MODEL
from wardround_common.tasks.classification import Classification

Figures = dict[str, Estimate]
Probabilities = NDArray[np.floating]


@dataclass(frozen=True)
class Recalibrated:
    """A hospital's calibration, and how the model does there without it and with it."""

    calibration: Calibration
    before: Figures
    """By metric, as the release says and decides it."""
    after: Figures
    """The same, recalibrated, each patient by a fit without that patient."""
    patients: int
    images: int
    intake: Intake
    """What became of the hospital's files."""

    def alarms(self) -> Iterator[str]:
        """Say what must be known before the file is used."""
        few = [
            f"{count} of '{word}'"
            for word, count in zip(self.calibration.classes, self.calibration.patients, strict=True)
            if count < FEW_PATIENTS
        ]
        if few:
            yield (
                f"There are only {' and '.join(few)}. With fewer than {FEW_PATIENTS} patients of each class a "
                "recalibration is mostly chance: do not rely on it."
            )
        was, now = (figures["brier"].value for figures in (self.before, self.after))
        if was is not None and now is not None and now >= was:
            yield (
                f"It does not help here: the Brier score is {was:.3f} without it and {now:.3f} with it, and lower is "
                "better. Use the model as it was released."
            )

    def cost(self) -> Iterator[str]:
        """Say what it cost and what it rests on, for the hospital's people."""
        counts = ", ".join(
            f"{count} of '{word}'"
            for word, count in zip(self.calibration.classes, self.calibration.patients, strict=True)
        )
        yield (
            f"It took {count(self.patients, 'labelled patient')} ({counts}). The figures with it are cross-fitted in "
            f"{FOLDS} parts: each patient's come from a fit without that patient. The file is fitted on all of them."
        )
        yield (
            "It stays at this hospital: nothing was released and no epsilon was spent. It was made from these patients "
            "without noise, so that no epsilon would cover them if it were published."
        )


def recalibrate(model: Model, source: Source, part: Part = "all") -> Recalibrated:
    """Fit a calibration of a classifier to a hospital's patients, and judge the model without it and with it.

    Raises:
        StudyError: the model does not tell classes of an image.
        DataError: the folder cannot be used, a class has too few patients, or scores rank the wrong way round.
        ModelError: an output is not a finite number.
    """
    study, card = model.study, model.card
    if not isinstance(study.task, Classification):
        raise StudyError(
            f"a model of the task '{study.task.name}' has no class probabilities to recalibrate",
            do="Leave out --recalibrate.",
        )
    use_threads(study)
    data = prepare(source, study, *take_in(source, study), trains=part != "all")
    examples = {"all": data.test, "train": data.train, "validation": data.validation, "test": data.test}[part]
    labels, patients = np.asarray(examples.targets[:], np.int64), examples.patients
    counts = _patients_of(examples, labels, len(card.classes))
    if short := [word for word, count in zip(card.classes, counts, strict=True) if count < LEAST_PATIENTS]:
        raise DataError(
            f"fewer than {LEAST_PATIENTS} patients are labelled {' or '.join(map(repr, short))}: there is nothing to "
            "fit to",
            do="Label more patients of this class, or use the model as it was released.",
        )
    own: Probabilities = probabilities_of(model.network, examples)
    if not np.isfinite(own).all():
        raise ModelError("the model's scores are not finite", do="Its training diverged: do not use it.")
    two, sensitivity = len(card.classes) == 2, study.evaluation.sensitivity
    crossed, decided = np.zeros(own.shape), np.zeros(len(labels), np.int64)
    fold = folds_of(patients, labels, study.model.seed)
    for number in range(FOLDS):
        apart = fold == number
        fitted = fit(labels[~apart], own[~apart])
        crossed[apart] = fitted.apply(own[apart])
        at = point_for(labels[~apart], fitted.apply(own[~apart]), sensitivity) if two else None
        decided[apart] = _decide(crossed[apart], at)
    whole = fit(labels, own)
    released = own.astype(np.float64) if card.temperature is None else at_temperature(own, card.temperature)
    calibration = Calibration(
        model=card.files[MODEL],
        name=card.name,
        wardround=importlib.metadata.version("wardround"),
        classes=card.classes,
        slope=whole.slope,
        biases=whole.biases,
        point=point_for(labels, whole.apply(own), sensitivity) if two else None,
        patients=counts,
    )
    as_released = card.point if two and isinstance(card.point, float) else None
    before = _figures(model, labels, patients, released, _decide(own, as_released))
    after = _figures(model, labels, patients, crossed, decided)
    return Recalibrated(calibration, before, after, examples.patient_count, len(labels), data.intake)


def _patients_of(examples: Examples, labels: NDArray[np.int64], classes: int) -> tuple[int, ...]:
    return tuple(len(np.unique(examples.patients[labels == number])) for number in range(classes))


def _decide(probabilities: Probabilities, point: float | None) -> NDArray[np.int64]:
    decided: NDArray[np.int64] = probabilities.argmax(axis=1)
    return decided if point is None else (probabilities[:, 1] >= point).astype(np.int64)


def _figures(
    model: Model,
    labels: NDArray[np.int64],
    patients: NDArray[np.int64],
    probabilities: Probabilities,
    decided: NDArray[np.int64],
) -> Figures:
    """Return every metric of the study with its interval: what is said by probabilities, what is decided as decided."""
    classes = probabilities.shape[1]
    said = _by_patient(labels, patients, probabilities)
    acted = _by_patient(labels, patients, np.eye(classes)[decided])
    found: Figures = {}
    for sums, names in ((said, None), (acted, DECISION_METRICS)):
        rng = np.random.default_rng(model.study.model.seed)
        metrics = evaluate(model.study.task, sums, None, resamples=RESAMPLES, rng=rng, detail=False).metrics
        found |= {name: metrics[name] for name in names or metrics}
    return found


def _by_patient(labels: NDArray[np.int64], patients: NDArray[np.int64], probabilities: Probabilities) -> PatientSums:
    shares = probabilities.astype(np.float32)
    losses = -np.log(np.maximum(shares[np.arange(len(labels)), labels].astype(np.float64), 1e-12))
    sums = (
        ScoreSums.of(labels[rows], shares[rows], losses[rows]).to_vector()
        for rows in (np.flatnonzero(patients == patient) for patient in np.unique(patients))
    )
    return PatientSums.of(sums, vector_length(probabilities.shape[1]))
