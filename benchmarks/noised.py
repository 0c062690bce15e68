"""What noise in the sums over test patients costs in figures, how often their intervals hold, and what an attack gets.

Run with ``make bench-noised``. Test sets are drawn from made populations of two classes, of four grades, of risks at
three times, of outlines of one structure and of ages told, whose figures are known (as in ``intervals.py``), each
patient with one image. Counts get the noise of one sum at each epsilon (delta 1e-5), in all: under shared noise, or one
hospital's. ``moved``: how far AUROC, weighted kappa, the C-index, Dice or the mean absolute error lies from that of the
same patients without noise, on the mean and by its standard deviation.
``holds``: how often the interval of 95 % holds the population's. ``attack``: by one who made up a model for one image,
so that it is alone in its level, and knows all others: the chance that the count is higher where its patient is among
them than where not (AUROC), of 100,000 draws each; no attack does better than the same between two normal distributions
one apart (Dong, Roth and Su, *Gaussian differential privacy*, JRSS B 84(1), 2022, section 2).
"""

from __future__ import annotations

import numpy as np
from rich.progress import track
from scipy.stats import norm

from intervals import CASES, TWO, parts_that_hold, scores
from measure import report
from wardround_common.privacy.noisy_evaluation import noise_for
from wardround_common.results import evaluate
from wardround_common.tasks.registry import task_of

DELTA, EPSILONS, SIZES, SETS, DRAWS = 1e-5, (1.0, 2.0, 4.0), (300, 1000, 4000), 100, 100_000
HELD = ("auroc", "sensitivity", "brier")
PARTS = {
    "half": ("half with the finding", (TWO, scores(2, 0.5), 0.375, HELD)),
    "tenth": ("tenth with the finding", (TWO, scores(2, 0.1), 0.375, HELD)),
    "grades": ("four grades", CASES["grades"]),
    "risks": ("risks at three times", CASES["risk"]),
    "outlines": ("outlines", CASES["outline"]),
    "numbers": ("ages told", CASES["number"]),
}


def main() -> None:
    """Draw the test sets, add the noise, and count."""
    figures, meanings = {}, {}
    for epsilon in EPSILONS:
        noise, rng = noise_for(epsilon, DELTA, 1), np.random.default_rng(1)
        name, at = f"e{epsilon:g}", f"epsilon {epsilon:g}"
        figures[f"noise_{name}"], meanings[f"noise_{name}"] = (
            noise,
            f"deviation of the noise in a count, {at}, patients",
        )
        out, within = rng.normal(0, noise, DRAWS), rng.normal(1, noise, DRAWS)
        won = np.searchsorted(np.sort(out), within).mean() / DRAWS
        figures[f"attack_{name}"], meanings[f"attack_{name}"] = float(won), f"made-up model, one evaluation, {at}"
        most = float(norm.cdf(1 / noise / np.sqrt(2)))
        figures[f"attack_most_{name}"], meanings[f"attack_most_{name}"] = most, f"the most of any attack, {at}"
        for part, (of, (section, draw, point, held)) in PARTS.items():
            whole, task = evaluate(section, draw(np.random.default_rng(1), 200_000), point), task_of(section)
            noised, term = task.noised_sums(), task.first.term
            each = noise * np.sqrt(noised.blocks(section))
            truth = {metric: whole.value(metric) for metric in held}
            for size in SIZES:
                moved, judged = [], []
                for _ in track(range(SETS), f"{at}, {part}, {size}"):
                    sums = draw(rng, size)
                    counts = noised.told(sums)
                    read = noised.settled(counts + rng.normal(0, each, len(counts)), section)
                    judged.append(evaluate(section, read, point, noise=float(each)).metrics)
                    exact, value = task.first.value(sums, point), judged[-1][task.headline].value
                    moved.append(np.nan if value is None or exact is None else value - exact)
                key, words = f"{part}_{size}_{name}", f"{size} patients, {of}, {at}"
                figures |= {f"moved_{key}": float(np.nanmean(moved)), f"spread_{key}": float(np.nanstd(moved))}
                meanings |= {
                    f"moved_{key}": f"{term} moved by, {words}",
                    f"spread_{key}": f"and its deviation, {words}",
                }
                for metric, held_in in parts_that_hold(iter(judged), truth, held).items():
                    figures[f"holds_{metric}_{key}"] = held_in
                    meanings[f"holds_{metric}_{key}"] = f"interval of {metric} holds, {words}"
    report("noised", figures, meanings)


if __name__ == "__main__":
    main()
