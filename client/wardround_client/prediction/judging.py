"""How a saved model does on one hospital's own images: the figures of a run, by the same sums and the same code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from wardround_client.prediction.model import Model
from wardround_client.preparation.dataset import Intake, prepare, take_in
from wardround_client.preparation.source import Source
from wardround_client.training.evaluation import patient_sums
from wardround_client.training.threads import use_threads
from wardround_client.training.withheld import withheld_by_patient
from wardround_common.results import SiteMetrics, Withheld, evaluate
from wardround_common.results.withheld import figures_of_withheld

RESAMPLES = 1000
"""Of the patients, for an interval: as many as a run takes."""
Part = Literal["all", "train", "validation", "test"]


@dataclass(frozen=True)
class JudgedHere:
    """What the patients of one hospital say of a model."""

    site: SiteMetrics
    intake: Intake
    """What became of the hospital's files."""
    withheld: tuple[Withheld, ...] = ()
    """What each input of the model is worth there, told as missing; empty where it has none that may be missing."""


def judge(model: Model, source: Source, part: Part = "all") -> JudgedHere:
    """Judge a model at its operating point on all patients of a folder, or on those that the run put into a ``part``.

    The patients of a part are those of the run if folder, labels and switches are, so that the figures of the test
    patients are the run's own. Intervals are drawn anew.

    Raises:
        DataError: the folder cannot be read, nothing of it can be used, or it has too few patients for a split.
        ModelError: an output is not a finite number.
    """
    study = model.study
    use_threads(study)
    data = prepare(source, study, *take_in(source, study), trains=part != "all")
    examples = {"all": data.test, "train": data.train, "validation": data.validation, "test": data.test}[part]
    sums = patient_sums(model.network, study, examples)
    rng, point = np.random.default_rng(study.model.seed), model.card.point
    site = evaluate(study.task, sums, point, resamples=RESAMPLES, rng=rng)
    if not study.data.told:
        return JudgedHere(site, data.intake)
    without = withheld_by_patient(model.network, study, examples)
    return JudgedHere(site, data.intake, figures_of_withheld(study, sums, without, point, resamples=RESAMPLES))
