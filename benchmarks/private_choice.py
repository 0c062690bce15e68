"""Choose the recipe of ``halves`` under distributed noise, on splits that the figure is not of.

Run with ``make bench-private-choice DATA=DIR``, where ``DIR`` holds one folder a hospital (the brain MRI hospitals),
before ``make bench-medicine-privacy``, which trains on seeds 0 to 2 what was chosen here.

Every recipe is trained in a loop over arrays (``private_loop.py``) on everybody's training patients of seeds 10 to 33,
at epsilon 8, 3 and 1. Its figure is the AUROC of validation **and** test patients, averaged over the hospitals, the
draws of noise, the seeds and the three epsilons: one recipe for all of them. Of those within :data:`CLOSE` of the best,
which is about what draws of noise move, those with the fewest rounds are left, and of those the best is chosen: for an
image alone and for a slice among others, and of the two the better one. The 95 patients are the same in every seed,
dealt out otherwise: patients who are tested in seeds 0 to 2 were chosen by in others.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from measure import report
from private_features import Rows, padded
from private_loop import EPSILONS, STUDY, Floats, Steps, area, hospitals, models
from wardround_client.preparation.dataset import Dataset
from wardround_common.study.data import NEXT
from wardround_common.study.file import read_study
from wardround_simulation.federation import Federation, alone_study, open_hospital

Record = Literal["image", "slice"]
ROWS: Mapping[Record, str] = {"image": "directions_16", "slice": "slices"}
SEEDS, DRAWS = tuple(range(10, 34)), 4
RATES, ROUNDS, CLIPS = (1.25, 2.0, 2.5, 3.2, 4.0, 5.0), (4, 8, 16), (0.14, 0.28, 0.56)
"""Rates are for 8 rounds and a clip of 0.28; with others as much larger as all steps then are as long together."""
CLOSE = 1e-3


@dataclass(frozen=True)
class Recipe:
    """What is chosen among."""

    record: Record
    rate: float
    """Of :data:`RATES`."""
    rounds: int
    clip: float
    average: int
    """The model given out is the mean of those after this many last rounds."""

    @property
    def steps(self) -> Steps:
        """Return its steps."""
        return Steps(self.rate * 8 / self.rounds * 0.28 / self.clip, self.rounds, self.clip)

    @property
    def words(self) -> str:
        """Name it in the results."""
        clip = f"{self.clip:g}".replace(".", "")
        rate = f"{self.rate:g}".replace(".", "p")
        return f"{self.record}_rate{rate}_rounds{self.rounds}_clip{clip}_mean_of_last{self.average}"


def recipes(record: Record) -> Iterator[Recipe]:
    """List the recipes of one kind of record."""
    for rate, rounds, clip in itertools.product(RATES, ROUNDS, CLIPS):
        for average in sorted({1, rounds // 4}):
            yield Recipe(record, rate, rounds, clip, average)


def best(means: Mapping[Recipe, float]) -> Recipe:
    """Return the recipe that is chosen by these figures."""
    close = [one for one, mean in means.items() if mean > max(means.values()) - CLOSE]
    return min(close, key=lambda one: (one.rounds, -means[one]))


def measured(rows: Rows, seed: int, opened: Sequence[Dataset]) -> Iterator[tuple[Recipe, int, float]]:
    """Train every recipe on a seed's split, and yield its AUROC at each epsilon."""
    for record, row in ROWS.items():

        def of(images: NDArray[np.float32], row: str = row, record: Record = record) -> Floats:
            return rows.of(row, images if record == "slice" else images[:, :, NEXT.index(0)])

        train = padded(of, [each.train for each in opened])
        judged = [each for dataset in opened for each in (dataset.validation, dataset.test)]
        tested = [(of(each.images(slice(None))), each.targets) for each in judged]
        both = [(seen, classes) for seen, classes in tested if len(np.unique(classes)) == 2]
        draws = [(seed, draw) for draw in range(DRAWS)]
        for recipe, epsilon in itertools.product(recipes(record), EPSILONS):
            if recipe.average > 1:
                continue  # its models are those of the same recipe's last round and the rounds before
            after = models(*train, rows.starts[row], recipe.steps, epsilon, draws)
            for average in sorted({1, recipe.rounds // 4}):
                given = after[-average:].mean(0)
                areas = [area(model, *each) for model in given for each in both]
                yield replace(recipe, average=average), epsilon, statistics.mean(areas)


def main() -> None:
    """Measure every recipe, choose, and report."""
    parser = argparse.ArgumentParser(description="Choose a private recipe on splits that the figure is not of.")
    parser.add_argument("data", type=Path, help="a folder with one sub-folder a hospital")
    parser.add_argument("--state", type=Path, default=None, help="where prepared images are kept between calls")
    typed = parser.parse_args()
    found: dict[tuple[Recipe, int], list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        sites = hospitals(typed.data, typed.state or Path(scratch) / "state")
        rows = Rows()
        for seed in track(SEEDS, "seeds", console=Console(stderr=True)):
            study = alone_study(read_study(STUDY, {"model.seed": seed, "data.record": "slice"}))
            opened = [open_hospital(Federation(study, (site,)), site.name).dataset for site in sites]
            for recipe, epsilon, value in measured(rows, seed, opened):
                found.setdefault((recipe, epsilon), []).append(value)
    report("private_choice", figures(found), MEANINGS)


def figures(found: Mapping[tuple[Recipe, int], Sequence[float]]) -> dict[str, float]:
    """Return every recipe's figure, what is chosen, and what would be chosen for each epsilon by itself."""
    table = {key: statistics.mean(values) for key, values in found.items()}
    means = {one: statistics.mean(table[one, epsilon] for epsilon in EPSILONS) for one, _ in table}
    written: dict[str, float] = {}
    chosen = {}
    for record in get_args(Record):
        own = {one: mean for one, mean in means.items() if one.record == record}
        chosen[record] = recipe = best(own)
        written |= {f"chosen_{record}_rate": recipe.steps.rate, f"chosen_{record}_rounds": recipe.rounds}
        written |= {f"chosen_{record}_clip": recipe.clip, f"chosen_{record}_mean_of_last": recipe.average}
        written[f"chosen_{record}_auroc"] = own[recipe]
        for epsilon in EPSILONS:
            name = f"auroc_eps{epsilon}_chosen_{record}"
            written |= {name: table[recipe, epsilon], f"{name}_sd": statistics.stdev(found[recipe, epsilon])}
            alone = best({one: table[one, epsilon] for one in own})
            written[f"rate_eps{epsilon}_alone_{record}"] = alone.rate
            written[f"auroc_eps{epsilon}_alone_{record}"] = table[alone, epsilon]
    written["chosen_is_slice"] = float(means[chosen["slice"]] > means[chosen["image"]])
    return written | {f"auroc_{one.words}": mean for one, mean in means.items()}


MEANINGS = {
    "chosen_is_slice": "1: a slice among others of its series; 0: an image alone",
    "chosen_slice_auroc": "mean over epsilon 8, 3 and 1, as of each auroc_slice_… and auroc_image_…",
    "rate_eps8_alone_slice": "what would be chosen for this epsilon alone, as a rate for 8 rounds and clip 0.28",
}


if __name__ == "__main__":
    main()
