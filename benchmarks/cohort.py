"""Federated, pooled and alone on real hospitals: the same study file, the same code, the same number of passes."""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from measure import report
from trained import simulated
from wardround_common.results import ALL, FEDERATED, POOLED, Results, alone_hospital
from wardround_common.study.file import Study, read_study
from wardround_simulation.places import Places, sites_in
from wardround_simulation.run.plan import Plan

STUDIES = Path(__file__).parent / "studies"
SEEDS = (0, 1, 2)
MEANINGS = {
    "auroc_federated": "averaged over the hospitals' test patients, mean over seeds",
    "auroc_pooled": "all training patients in one place, the same passes over each hospital's",
    "auroc_alone_best": "the best single hospital's own model, on the same test patients",
    "auroc_federated_eps8": "differential privacy at each hospital: epsilon 8, delta 1e-5, for each patient",
}


@dataclass(frozen=True)
class Arguments:
    """What a person typed."""

    data: Path
    seeds: tuple[int, ...]
    study: Path
    private: Path


def arguments(name: str) -> Arguments:
    """Read the command line of the benchmark of that name."""
    parser = argparse.ArgumentParser(description=f"Federated, pooled and alone: {name}.")
    parser.add_argument("data", type=Path, help="a folder with one sub-folder a hospital")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--study", type=Path, default=STUDIES / f"{name}.toml")
    parser.add_argument("--private-study", type=Path, default=STUDIES / f"{name}-eps8.toml")
    typed = parser.parse_args()
    return Arguments(typed.data, tuple(typed.seeds), typed.study, typed.private_study)


def measure(name: str, typed: Arguments) -> None:
    """Run the study and its private form for each seed, print the tables, write the figures."""
    with tempfile.TemporaryDirectory() as folder:
        plain = [run(read_study(typed.study), seed, typed.data, Path(folder), baselines=True) for seed in typed.seeds]
        private = [
            run(read_study(typed.private), seed, typed.data, Path(folder), baselines=False) for seed in typed.seeds
        ]
    means = {model: [mean_over_hospitals(results, model) for results in plain] for model in plain[0].evaluation}
    means["federated, epsilon 8"] = [mean_over_hospitals(results, FEDERATED) for results in private]
    _print_by_seed(name, typed.seeds, means)
    _print_by_site(plain)
    alone = {model: statistics.mean(values) for model, values in means.items() if alone_hospital(model)}
    figures = {
        "auroc_federated": statistics.mean(means[FEDERATED]),
        "auroc_pooled": statistics.mean(means[POOLED]),
        "auroc_alone_best": max(alone.values()),
        "auroc_federated_eps8": statistics.mean(means["federated, epsilon 8"]),
    }
    figures |= {f"auroc_alone_{(alone_hospital(model) or '').lower()}": value for model, value in alone.items()}
    report(name.replace("-", "_"), figures, MEANINGS)


def run(study: Study, seed: int, hospitals: Path, folder: Path, *, baselines: bool) -> Results:
    """Simulate the study with that seed on the hospitals of a folder; ``folder`` is for what it leaves."""
    seeded = study.model_copy(update={"model": study.model.model_copy(update={"seed": seed})})
    sites = sites_in(hospitals, Places(None, None, frozenset(), folder / "state"))
    plan = Plan(seeded, sites, folder / f"{study.study.name}-{seed}", resume=False, baselines=baselines)
    return simulated(plan, len(os.sched_getaffinity(0)))


def mean_over_hospitals(results: Results, model: str) -> float:
    """Average the model's AUROC over the hospitals' test patients."""
    sites = results.evaluation[model]
    values = [sites[name].metrics["auroc"].value for name in sites if name != ALL]
    return statistics.mean(value for value in values if value is not None)


def _print_by_seed(name: str, seeds: tuple[int, ...], means: Mapping[str, list[float]]) -> None:
    table = Table(title=f"{name}: test AUROC, averaged over the hospitals")
    table.add_column("model")
    for seed in seeds:
        table.add_column(f"seed {seed}", justify="right")
    table.add_column("mean", justify="right")
    for model, values in means.items():
        table.add_row(model, *(f"{value:.4f}" for value in values), f"{statistics.mean(values):.4f}")
    Console().print(table)


def _print_by_site(runs: list[Results]) -> None:
    table = Table(title="test AUROC by hospital (columns), mean over seeds")
    table.add_column("model")
    names = [hospital.name for hospital in runs[0].hospitals]
    for site in names:
        table.add_column(site, justify="right")
    for model in runs[0].evaluation:
        row = []
        for site in names:
            values = [results.evaluation[model][site].metrics["auroc"].value for results in runs]
            row.append(f"{statistics.mean(value for value in values if value is not None):.4f}")
        table.add_row(model, *row)
    Console().print(table)
