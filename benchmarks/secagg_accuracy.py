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
from wardround_common.study import Aggregation, read_study

SUMS = {
    "plain": Aggregation(min_hospitals=3, secure=False),
    "32 bits": Aggregation(min_hospitals=3, secure=True),
    # The largest hospital trains on some 560 images in 35 steps of AdamW, each of about the learning rate, 5e-4.
    "16 bits": Aggregation(min_hospitals=3, secure=True, ring_bits=16, update_clip=0.02, largest_weight=600),
}
MEANINGS = {
    "auroc_difference": "brain_mri with secure sums (32 bits) against without: largest of 3 seeds",
    "auroc_difference_mean": "the same, of the means over the seeds; above 0: secure sums are better",
    "auroc_difference_16_bit": "as the first, 16-bit ring with update_clip 0.02 and largest_weight 600",
    "auroc_difference_16_bit_mean": "as the second, 16-bit ring",
}


def accuracy_figures(data: Path) -> dict[str, float]:
    """Train with each kind of sums on the hospitals of a folder, with each seed; compare the test AUROC."""
    found: dict[str, list[float]] = {}
    clipped: dict[str, float] = {}
    study = read_study(STUDIES / "brain-mri.toml")
    with tempfile.TemporaryDirectory() as folder:
        for name, aggregation in SUMS.items():
            about = study.study.model_copy(update={"name": f"brain-mri-{name.replace(' ', '-')}"})
            of = study.model_copy(update={"aggregation": aggregation, "study": about})
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
    for name, key in (("32 bits", "auroc_difference"), ("16 bits", "auroc_difference_16_bit")):
        differences = [mine - plain for mine, plain in zip(found[name], found["plain"], strict=True)]
        figures[key] = max(map(abs, differences))
        figures[f"{key}_mean"] = statistics.mean(differences)
    return figures


if __name__ == "__main__":
    report("secagg", known("secagg") | accuracy_figures(Path(sys.argv[1])), MEANINGS)
