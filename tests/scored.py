"""What a model says of images, for tests that compare figures of sums with slow oracles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround_common.metrics import Estimate, PatientSums, ScoreSums, vector_length
from wardround_common.results import SiteMetrics, evaluate
from wardround_common.tasks.classification import Classification


@dataclass(frozen=True, eq=False)
class Scored:
    """``labels`` (images,), ``probabilities`` float32 (images, classes), ``patients`` (images,)."""

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    patients: NDArray[np.int64]

    @property
    def classes(self) -> int:
        return self.probabilities.shape[1]

    @property
    def section(self) -> Classification:
        return Classification(name="classification", classes=tuple(f"class {k}" for k in range(self.classes)))

    def sums(self, rows: NDArray[np.int64] | slice = slice(None)) -> ScoreSums:
        p = self.probabilities[rows].astype(np.float64)
        losses = -np.log(np.maximum(p[np.arange(len(p)), self.labels[rows]], 1e-30))
        return ScoreSums.of(self.labels[rows], self.probabilities[rows], losses)

    def by_patient(self) -> PatientSums:
        of = [np.flatnonzero(self.patients == patient) for patient in np.unique(self.patients)]
        return PatientSums.of((self.sums(rows).to_vector() for rows in of), vector_length(self.classes))

    def judged(
        self, point: float | None, resamples: int = 0, rng: np.random.Generator | None = None, *, detail: bool = True
    ) -> SiteMetrics:
        return evaluate(self.section, self.by_patient(), point, resamples=resamples, rng=rng, detail=detail)


def measure(scored: Scored, point: float | None, *, resamples: int, rng: np.random.Generator) -> dict[str, Estimate]:
    return scored.judged(point, resamples, rng).metrics
