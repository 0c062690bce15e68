"""What secure sums cost in accuracy: the MRI hospitals with and without them, the same study file and seeds.

``make bench-secagg DATA=DIR`` runs it with the rest; ``DIR`` is that of ``make bench-brain-mri``.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cohort import SEEDS, STUDIES, mean_over_hospitals, run
from measure import known, report
from wardround_common.results import FEDERATED
from wardround_common.study import Study, read_study

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


if __name__ == "__main__":
    report("secagg", known("secagg") | accuracy_figures(Path(sys.argv[1])), MEANINGS)
