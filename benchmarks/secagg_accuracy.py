"""What secure sums cost in accuracy: the MRI hospitals with and without them, the same study file and seeds.

``make bench-secagg DATA=DIR`` runs it with the rest; ``DIR`` is that of ``make bench-brain-mri``.

``make bench-secagg-chance DATA=DIR`` asks whether a difference is the rounding's doing or chance. A test replays a
secure run in the clear, byte for byte, so rounding is all that secure sums add. Here the same study, smaller, is
trained again and again: in the clear with changes that mean nothing, and with secure sums whose rounding differs. If
rounding did anything to a model, the second group would lie elsewhere or wider than the first.
"""

from __future__ import annotations

import math
import statistics
import sys
import tempfile
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from cohort import SEEDS, STUDIES, mean_over_hospitals, run
from measure import known, report
from wardround_common.results import FEDERATED
from wardround_common.study.file import Study, read_study
from wardround_simulation.places import Places, sites_in
from wardround_simulation.run.plan import Plan
from wardround_simulation.run.simulate import simulate
from wardround_simulation.workers import InThisProcess

PLAIN = {"aggregation": {"min_hospitals": 3, "secure": False}}
SUMS: dict[str, dict[str, dict[str, object]]] = {
    "plain": PLAIN,
    # What a change that means nothing makes of the same study: training magnifies it as it magnifies any rounding.
    "plain, a hair": PLAIN | {"training": {"server_learning_rate": 1.0000001}},
    "32 bits": {"aggregation": {"min_hospitals": 3, "secure": True}},
    # The largest hospital trains on some 560 images in 35 steps of AdamW, each of about the learning rate, 5e-4.
    "16 bits": {
        "aggregation": {
            "min_hospitals": 3,
            "secure": True,
            "ring_bits": 16,
            "update_clip": 0.02,
            "largest_weight": 600,
        }
    },
}
REPEATS = 7  # of each kind, one seed
SMALL = {"training": {"rounds": 30}, "data": {"image_size": 32}, "evaluation": {"every": 30}}
FIGURES = {
    "plain, a hair": "auroc_difference_of_a_hair",
    "32 bits": "auroc_difference",
    "16 bits": "auroc_difference_16_bit",
}
MEANINGS = {
    "auroc_difference": "brain_mri with secure sums (32 bits) against without: largest of 3 seeds",
    "auroc_difference_mean": "the same, of the means over the seeds; above 0: secure sums are better",
    "auroc_difference_16_bit": "as the first, 16-bit ring with update_clip 0.02 and largest_weight 600",
    "auroc_difference_16_bit_mean": "as the second, 16-bit ring",
    "auroc_difference_of_a_hair": "as the first, plain sums with a server_learning_rate of 1.0000001 for 1",
    "auroc_difference_of_a_hair_mean": "as the second, the same",
    "chance_sd_of_a_hair": "32 px, 30 rounds, seed 2: standard deviation of AUROC over changes of 1e-7",
    "chance_sd_of_rounding": "the same over secure sums that differ in their rounding",
    "chance_rounding_less_hair": "the same: mean of the second less that of the first",
    "chance_standard_error": "the same: standard error of that difference",
}


def accuracy_figures(data: Path) -> dict[str, float]:
    """Train with each kind of sums on the hospitals of a folder, with each seed; compare the test AUROC."""
    found: dict[str, list[float]] = {}
    clipped: dict[str, float] = {}
    tables = read_study(STUDIES / "brain-mri.toml").tables()
    with tempfile.TemporaryDirectory() as folder:
        for place, (name, changes) in enumerate(SUMS.items()):
            changed = {section: tables[section] | keys for section, keys in changes.items()}
            changed["study"] = tables["study"] | {"name": f"brain-mri-{place}"}
            of = Study.model_validate(tables | changed)
            results = [run(of, seed, data, Path(folder), baselines=False) for seed in SEEDS]
            found[name] = [mean_over_hospitals(result, FEDERATED) for result in results]
            clipped[name] = max(record.clipped or 0.0 for result in results for record in result.rounds)
    table = Table(title="brain-mri: test AUROC, averaged over the hospitals")
    for column in ("sums", *(f"seed {seed}" for seed in SEEDS), "mean", "clipped at most"):
        table.add_column(column, justify="right")
    for name, values in found.items():
        shown = (*values, statistics.mean(values), clipped[name])
        table.add_row(name, *(f"{value:.4f}" for value in shown))
    Console().print(table)
    figures: dict[str, float] = {}
    for name, key in FIGURES.items():
        differences = [mine - plain for mine, plain in zip(found[name], found["plain"], strict=True)]
        figures[key] = max(map(abs, differences))
        figures[f"{key}_mean"] = statistics.mean(differences)
    return figures


def chance_figures(data: Path) -> dict[str, float]:
    """Compare the spread of AUROC over meaningless changes with that over other roundings, on a smaller study."""
    torch.set_num_threads(1)
    tables = read_study(STUDIES / "brain-mri.toml").tables()
    found: dict[bool, list[float]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as folder:
        sites = sites_in(data, Places(None, None, frozenset(), Path(folder) / "state"))
        for repeat in range(REPEATS):
            for secure in (False, True):
                changed = {section: tables[section] | keys for section, keys in SMALL.items()}
                changed["study"] = tables["study"] | {"name": f"chance-{repeat}-{int(secure)}"}
                changed["model"] = tables["model"] | {"seed": 2}
                changed["aggregation"] = {"min_hospitals": 3, "secure": secure}
                if secure:  # other levels, and so another rounding of the same size
                    changed["aggregation"]["largest_weight"] = 2**16 + repeat
                else:
                    changed["training"]["server_learning_rate"] = 1.0 + repeat * 1e-7
                plan = Plan(
                    Study.model_validate(tables | changed),
                    sites,
                    Path(folder) / f"{repeat}-{int(secure)}",
                    resume=False,
                    baselines=False,
                )
                found[secure].append(
                    mean_over_hospitals(simulate(plan, InThisProcess(), lambda progress: None), FEDERATED)
                )
    return chance(found[False], found[True])


def chance(hairs: list[float], roundings: list[float]) -> dict[str, float]:
    """Compare two groups of AUROC: their spreads, and the difference of their means with its standard error."""
    spreads = [statistics.stdev(group) for group in (hairs, roundings)]
    return {
        "chance_sd_of_a_hair": spreads[0],
        "chance_sd_of_rounding": spreads[1],
        "chance_rounding_less_hair": statistics.mean(roundings) - statistics.mean(hairs),
        "chance_standard_error": math.sqrt(spreads[0] ** 2 / len(hairs) + spreads[1] ** 2 / len(roundings)),
    }


if __name__ == "__main__":
    measured = chance_figures if "--chance" in sys.argv else accuracy_figures
    report("secagg", known("secagg") | measured(Path(sys.argv[1])), MEANINGS)
