"""What exact sums over validation patients tell of one whose image somebody has: are they among them, with which label?

Run with ``make bench-membership``. A network is trained by four synthetic hospitals for 30 rounds: one that is ``sure``
on labels as they are, one that is ``unsure`` on labels of which three of ten are turned round. Of the patients that it
is not trained on some are drawn as validation patients, anew in each of 40 draws; the coordinator knows each
evaluated round's model and the histograms of its scores by class over all of them. For the image of a patient and a
label it multiplies, over the evaluations, how many validation patients of the label have a score in the image's bin by
how many would be expected, which images of others tell. ``among``: the chance that a patient who is among them gets a
higher product than one who is not, each with their label (AUROC). ``label``: the chance that the product of a patient
among them is higher with their label than with the other, where the network hardly tells it. 0.5 is a guess, 1 is
certainty. ``--only`` takes one of the parts: ``classes``, which is this, or ``tasks``, the same question to the sums of
the other tasks (``membership_tasks.py``).
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import membership_tasks
from measure import known, report
from robust import Hospitals, study
from wardround_client import networks
from wardround_client.training.evaluation import probabilities_of
from wardround_common.metrics.ranking import roc_area
from wardround_common.metrics.score_bins import BINS, LEVEL_EDGES, LEVELS, bins_of
from wardround_simulation.phantoms import CLASSES, make_hospitals

PATIENTS, ROUNDS, DRAWS = 1000, 30, 40
SIZES = (80, 320, 1000)
EVALUATIONS = (1, 3, 10, 30)
NEXT_TO_NOTHING = 1e-3  # in the place of no patient, whose product would hide all other evaluations
Scores = NDArray[np.float32]
TURNED = {"sure": 0.0, "unsure": 0.3}
"""Of the labels, by network."""
SAID = {
    ("sure", "among"): "who is among",
    ("unsure", "among"): "the same, an unsure network:",
    ("unsure", "label"): "the label of one among",
}
MEANINGS = {
    f"{what}_{network}_{size}_{form}_{count}": f"{said} {size} validation patients, {words}, evaluations: {count}"
    for (network, what), said in SAID.items()
    for form, words in (("bins", f"{BINS:,} bins"), ("levels", f"{LEVELS} levels"))
    for size in SIZES
    for count in EVALUATIONS
}


def scored(folder: Path, turned: float) -> tuple[Scores, NDArray[np.int64]]:
    """Train; return each round's probabilities (rounds, patients) and the labels of all who are not trained on."""
    make_hospitals(folder / "hospitals", seed=0, patients=PATIENTS)
    rng = np.random.default_rng(0)
    for file in sorted((folder / "hospitals").glob("*/labels.csv")):
        head, *rows = csv.reader(file.read_text().splitlines())
        for row in rows:
            if rng.random() < turned:
                row[head.index("label")] = CLASSES[1 - CLASSES.index(row[head.index("label")])]
        file.write_text("".join(f"{','.join(row)}\n" for row in (head, *rows)))
    of = study(ROUNDS).but({"evaluation.validation": 0.4, "evaluation.test": 0.4, "evaluation.every": ROUNDS})
    hospitals = Hospitals(of, folder / "hospitals", folder / "state")
    hospitals.run()
    parts = [part for one in hospitals.at.values() for part in (one.dataset.validation, one.dataset.test)]
    built = next(iter(hospitals.at.values())).built
    rounds = []
    for state in hospitals.states:
        networks.write_vector(built.network, built.layout, state.parameters)
        rounds.append(np.concatenate([probabilities_of(built.network, part)[:, 1] for part in parts]))
    return np.stack(rounds), np.concatenate([part.targets[:] for part in parts])


def told(
    places: NDArray[np.int64], count: int, labels: NDArray[np.int64], size: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Return how well ``places`` (evaluations, patients) tell who is among ``size`` drawn ones, and their labels."""
    order = rng.permutation(len(labels))
    inside, others = order[:size], order[size:]
    outside, known = others[:size], others[size:]  # images of nobody there, and those that tell what to expect
    products = np.zeros((2, len(labels)))
    for place in places:
        for label in (0, 1):
            there, expected = (
                np.bincount(place[of][labels[of] == label], minlength=count).astype(np.float64)
                for of in (inside, known)
            )
            share = (expected + 0.5) / (expected + 0.5).sum()
            products[label] += np.log((there + NEXT_TO_NOTHING) / (there.sum() * share))[place]
    own = products[labels, np.arange(len(labels))]
    ahead = own[inside] - products[1 - labels, np.arange(len(labels))][inside]
    ranks = np.unique(own, return_inverse=True)[1]
    among, not_among = (np.bincount(ranks[of], minlength=len(labels)) for of in (inside, outside))
    return float(roc_area(not_among, among)), float(np.mean(ahead > 0) + np.mean(ahead == 0) / 2)


def main() -> None:
    """Measure, print the table, write the figures."""
    parser = argparse.ArgumentParser(description="What exact sums over validation patients tell of one of them.")
    parser.add_argument("--only", nargs="+", choices=("classes", "tasks"), default=("classes", "tasks"))
    only = parser.parse_args().only
    torch.set_num_threads(2)
    figures = of_classes() if "classes" in only else {}
    if "tasks" in only:
        figures |= membership_tasks.figures()
    meanings = MEANINGS | membership_tasks.MEANINGS
    report("membership", {name: figures[name] for name in meanings if name in figures}, meanings, known("membership"))


def of_classes() -> dict[str, float]:
    """Measure what the sums of a classification tell."""
    figures = {}
    for network, turned in TURNED.items():
        with tempfile.TemporaryDirectory() as name:
            scores, labels = scored(Path(name), turned)
        levels = np.searchsorted(LEVEL_EDGES, scores.astype(np.float64), side="right") - 1
        forms = {"bins": (bins_of(scores), BINS), "levels": (np.minimum(levels, LEVELS - 1), LEVELS)}
        for form, (places, count) in forms.items():
            for size in SIZES:
                for evaluations in EVALUATIONS:
                    rng = np.random.default_rng([size, evaluations])
                    which = places[np.linspace(ROUNDS / evaluations, ROUNDS, evaluations).round().astype(int) - 1]
                    drawn = np.mean([told(which, count, labels, size, rng) for _ in range(DRAWS)], axis=0)
                    for what, figure in zip(("among", "label"), drawn, strict=True):
                        figures[f"{what}_{network}_{size}_{form}_{evaluations}"] = float(figure)
    return figures


if __name__ == "__main__":
    main()
