"""Does federation reach what pooling reaches, and does it beat every hospital alone? On real MRI of three hospitals.

Run with ``make bench-brain-mri DATA=DIR``, where ``DIR`` holds one folder a hospital with DICOM and ``labels.csv``.
Federated, pooled and alone models train by the same study file and the same code, and each makes the same number of
passes over each hospital's data. Scores are of test patients whom no model saw, averaged over the hospitals.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from measure import report
from wardround_common.results import ALL, FEDERATED, POOLED, Results, alone_hospital
from wardround_common.study import Study, read_study
from wardround_simulation.display import Display
from wardround_simulation.places import Places, sites_in
from wardround_simulation.run import Plan, simulate
from wardround_simulation.workers import start_workers

STUDIES = Path(__file__).parent / "studies"
SEEDS = (0, 1, 2)
console = Console(stderr=True)


def mean_over_hospitals(results: Results, model: str) -> float:
    """Give a model's AUROC on test patients, averaged over the hospitals."""
    sites = results.evaluation[model]
    values = [sites[name].metrics["auroc"].value for name in sites if name != ALL]
    return statistics.mean(value for value in values if value is not None)


def run(study: Study, seed: int, hospitals: Path, folder: Path, *, baselines: bool) -> Results:
    """Simulate the study with a seed."""
    seeded = study.model_copy(update={"model": study.model.model_copy(update={"seed": seed})})
    sites = sites_in(hospitals, Places(None, None, frozenset(), folder / "state"))
    workers = start_workers(len(os.sched_getaffinity(0)))
    try:
        out = folder / f"{study.study.name}-{seed}"
        shutil.rmtree(out, ignore_errors=True)
        with Display(console) as show:
            return simulate(Plan(seeded, sites, out, resume=False, baselines=baselines), workers, show)
    finally:
        workers.close()


def main() -> None:
    """Measure, print the table, write the figures."""
    parser = argparse.ArgumentParser(description="Federated, pooled and alone on hospitals' MRI.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--study", type=Path, default=STUDIES / "brain-mri.toml")
    parser.add_argument("--private-study", type=Path, default=STUDIES / "brain-mri-eps8.toml")
    chosen = parser.parse_args()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain = [run(read_study(chosen.study), seed, chosen.data, folder, baselines=True) for seed in chosen.seeds]
        private = [
            run(read_study(chosen.private_study), seed, chosen.data, folder, baselines=False) for seed in chosen.seeds
        ]
    models = list(plain[0].evaluation)
    means = {model: [mean_over_hospitals(results, model) for results in plain] for model in models}
    for model, values in means.items():
        console.print(f"{model:<24} " + "  ".join(f"{value:.4f}" for value in values), soft_wrap=True)
    alone = {model: statistics.mean(means[model]) for model in models if alone_hospital(model)}
    figures["auroc_federated"] = statistics.mean(means[FEDERATED])
    figures["auroc_pooled"] = statistics.mean(means[POOLED])
    figures["auroc_alone_best"] = max(alone.values())
    figures |= {f"auroc_alone_{(alone_hospital(model) or '').lower()}": value for model, value in alone.items()}
    figures["auroc_federated_eps8"] = statistics.mean(mean_over_hospitals(results, FEDERATED) for results in private)
    report(
        "brain_mri",
        figures,
        {
            "auroc_federated": f"mean of {len(chosen.seeds)} seeds, averaged over the hospitals' test patients",
            "auroc_pooled": "all training patients in one place, the same passes",
            "auroc_alone_best": "the best single hospital's own model, on the same test patients",
            "auroc_federated_eps8": "differential privacy at each hospital: epsilon 8, delta 1e-5, a patient",
        },
    )


if __name__ == "__main__":
    sys.exit(main())
