"""How often does an interval of 95 % hold the truth? Many small test sets of a made population of known figures.

Run with ``make bench-intervals``. Each test set is drawn anew, its figures and intervals are those of a report: from
sums, as between hospitals, and over patients, as in a simulation. The truth is the figure of a large set. Scores are of
a model that is fairly good (AUROC about 0.93); each patient has one image.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from rich.progress import track

from measure import report
from wardround_common.metrics import Estimate, PatientSums
from wardround_common.metrics.boxes import LOWEST, BoxSums
from wardround_common.metrics.grades import GradeSums
from wardround_common.metrics.measurements import MeasurementSums
from wardround_common.metrics.outlines import Outlines, OutlineSums
from wardround_common.metrics.sums import ScoreSums
from wardround_common.metrics.survival import RiskSums
from wardround_common.results import evaluate
from wardround_common.tasks.classification import Classification
from wardround_common.tasks.contract import Sums, TaskSection
from wardround_common.tasks.detection import Detection
from wardround_common.tasks.grades import Grades
from wardround_common.tasks.measurement import Measurement
from wardround_common.tasks.risk import Risk
from wardround_common.tasks.segmentation import Segmentation

SETS, LARGE, SIZES = 500, 200_000, (30, 100, 400)
BY_PATIENT_AT = 100
Draw = Callable[[np.random.Generator, int], Sums]


def scores(classes: int, found: float) -> Draw:
    """Return how sums over images of some classes are drawn; ``found``: the part of the last class."""

    def draw(rng: np.random.Generator, count: int) -> ScoreSums:
        labels = rng.choice(classes, count, p=[(1 - found) / (classes - 1)] * (classes - 1) + [found])
        odds = rng.normal(size=(count, classes))
        odds[np.arange(count), labels] += 1.5
        p = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
        return ScoreSums.of(labels, p.astype(np.float32), np.zeros(count))

    return draw


def grades(rng: np.random.Generator, count: int) -> GradeSums:
    """Draw grades of which half are decided rightly, or next to it."""
    true = rng.integers(0, 4, count)
    decided = np.clip(true + rng.choice([-1, 0, 0, 1], count), 0, 3)
    return GradeSums.of(true, decided, np.zeros(count), 4)


def numbers(rng: np.random.Generator, count: int) -> MeasurementSums:
    """Draw ages that are told with an error of about four years, with long tails."""
    true = rng.uniform(20, 80, count)
    return MeasurementSums.of(true, true + rng.laplace(1, 4, count), np.zeros(count), 0.0, 100.0)


def risks(rng: np.random.Generator, count: int) -> RiskSums:
    """Draw times to an event, of which a third are not seen."""
    risk = np.sort(rng.uniform(0, 1, (count, 3)), axis=1)
    survived = np.minimum(rng.geometric(0.1 + 0.6 * risk[:, -1]) - 1, 3)
    event = ((rng.uniform(size=count) < 0.7) & (survived < 3)).astype(np.int64)
    return RiskSums.of(survived, event, risk, np.zeros(count))


def outlines(rng: np.random.Generator, count: int) -> OutlineSums:
    """Draw patients with a structure, whose Dice lies about 0.8 and is 0 in one of twenty."""
    size = rng.integers(500, 5000, (count, 1))
    share = rng.beta(8, 2, (count, 1)) * (rng.uniform(size=(count, 1)) < 0.95)
    overlap = (size * share).astype(np.int64)
    drawn = np.where(overlap > 0, size, 0)
    distance = np.where(drawn > 0, rng.gamma(3, 2, (count, 1)), np.nan)
    one, hit = np.ones((count, 1), np.int64), (drawn > 0).astype(np.int64)
    made = Outlines(size, drawn, overlap, np.full(count, 0.01), distance * 2, distance, one, hit, 0 * one)
    return OutlineSums.of(made, np.zeros(count))


def boxes(rng: np.random.Generator, count: int) -> BoxSums:
    """Draw images with one lesion on average, of which four in five are found, and 1.5 boxes beside."""
    lesions, wrong = int(rng.poisson(count)), int(rng.poisson(1.5 * count))
    right = int(rng.binomial(lesions, 0.8))
    log_odds = np.concatenate([rng.normal(0.5, 1.5, right), rng.normal(-1.5, 1.2, wrong)]).clip(LOWEST)
    finds = np.zeros((right + wrong, 2), np.bool_)
    finds[:right, 0], finds[:right, 1] = True, rng.uniform(size=right) < 0.6
    return BoxSums.of(np.zeros(count), np.array([lesions]), log_odds, np.zeros(right + wrong, np.int64), finds)


TWO = Classification(name="classification", classes=("rest", "finding"))
FOUR = Classification(name="classification", classes=("a", "b", "c", "d"))
CASES: Mapping[str, tuple[TaskSection, Draw, float | None, tuple[str, ...]]] = {
    "half": (TWO, scores(2, 0.5), 0.4, ("auroc", "auprc", "brier", "sensitivity", "f1", "balanced_accuracy")),
    "tenth": (TWO, scores(2, 0.1), 0.4, ("auroc", "auprc", "brier", "sensitivity")),
    "four_classes": (FOUR, scores(4, 0.25), None, ("auroc", "auprc", "brier", "sensitivity", "accuracy")),
    "grades": (Grades(name="grades", classes=("0", "1", "2", "3")), grades, None, ("kappa", "mae")),
    "number": (
        Measurement(name="measurement", quantity="age", unit="a", low=0.0, high=100.0),
        numbers,
        None,
        ("mae", "bias"),
    ),
    "risk": (Risk(name="risk", unit="years", times=(1.0, 2.0, 3.0)), risks, None, ("c_index", "excess_risk")),
    "boxes": (
        Detection(name="detection", classes=("lesion",)),
        boxes,
        0.4,
        ("ap_iou10", "ap_iou50", "froc", "sensitivity_1fp", "false_positives"),
    ),
    "outline": (Segmentation(name="segmentation", classes=("a",)), outlines, None, ("dice", "hausdorff", "missed")),
}


def patients(draw: Draw, rng: np.random.Generator, count: int) -> PatientSums:
    """Draw patients of one image each."""
    vectors = [draw(rng, 1).to_vector() for _ in range(count)]
    return PatientSums.of(vectors, len(vectors[0]))


def parts_that_hold(
    metrics: Iterator[Mapping[str, Estimate]], truth: Mapping[str, float | None], names: tuple[str, ...]
) -> dict[str, float]:
    """Return in which part of the test sets each figure's interval holds the truth; a figure without one does not."""
    held, sets = Counter[str](), 0
    for found in metrics:
        sets += 1
        for name in names:
            low, high, true = found[name].low, found[name].high, truth[name]
            held[name] += low is not None and high is not None and true is not None and low <= true <= high
    return {name: held[name] / sets for name in names}


def main() -> None:
    """Draw the test sets, and count."""
    figures, meanings = {}, {}
    for case, (section, draw, point, names) in CASES.items():
        whole = evaluate(section, draw(np.random.default_rng(1), LARGE), point)
        truth = {name: whole.value(name) for name in names}
        for size in SIZES:
            rng = np.random.default_rng(size)
            sets = track(range(SETS), f"{case}, {size}")
            found = parts_that_hold((evaluate(section, draw(rng, size), point).metrics for _ in sets), truth, names)
            for name, part in found.items():
                figures[f"sums_{case}_{name}_of_{size}"] = part
                meanings[f"sums_{case}_{name}_of_{size}"] = f"{name} from sums over {size} held {truth[name]:.3f}"
        if case in ("half", "tenth"):
            rng = np.random.default_rng(2)
            sets = track(range(SETS), f"{case}, over patients")
            judged = (
                evaluate(section, patients(draw, rng, BY_PATIENT_AT), point, resamples=1000, rng=rng).metrics
                for _ in sets
            )
            for name, part in parts_that_hold(judged, truth, names).items():
                figures[f"patients_{case}_{name}_of_{BY_PATIENT_AT}"] = part
                meanings[f"patients_{case}_{name}_of_{BY_PATIENT_AT}"] = f"{name} over patients held {truth[name]:.3f}"
    report("intervals", figures, meanings)


if __name__ == "__main__":
    main()
