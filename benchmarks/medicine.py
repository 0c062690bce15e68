"""Tasks beside classification and outlines: what federation gives each.

Run with ``python benchmarks/medicine.py DIR --only detection``, where ``DIR`` holds one folder a hospital with series
and masks: boxes around the parts of outlines, by ``benchmarks/studies/brain-mri-boxes.toml``. Runs are kept under
``--out`` and resumed when you start the benchmark again. ``--size``, ``--passes``, ``--seeds`` and ``--network`` make
it smaller: what was measured with other numbers than the study's is no figure of it, and such runs print, and write
nothing.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from measure import known, report
from wardround_client.training.devices import CPU, choose
from wardround_common.results import ALL, FEDERATED, POOLED, Results, alone_hospital
from wardround_common.study.file import Study, read_study
from wardround_simulation.display import Display
from wardround_simulation.places import Places, sites_in
from wardround_simulation.run import Plan, simulate
from wardround_simulation.sweep import finished_results
from wardround_simulation.workers import start_workers

BOXES = Path(__file__).parent / "studies" / "brain-mri-boxes.toml"
SEEDS = (0, 1, 2)
PARTS = ("detection",)
MEANINGS = {
    "ap_federated": "AP at IoU 0.1 of boxes in the test patients' slices, averaged over the hospitals, mean over seeds",
    "ap_pooled": "all training patients in one place, the same passes over each hospital's",
    "ap_alone_best": "the best single hospital's own model, on the same test patients",
    "ap_iou50_federated": "AP at IoU 0.5, as ap_federated",
    "sensitivity_1fp": "federated, at 1 false positive a slice",
    "froc_federated": "federated, mean sensitivity at 1/8 to 8 false positives a slice",
}


@dataclass(frozen=True)
class Arguments:
    """What a person typed."""

    data: Path
    out: Path
    seeds: tuple[int, ...]
    only: tuple[str, ...]
    changed: dict[str, dict[str, object]]
    workers: int
    device: str


def main(typed: Arguments) -> None:
    """Run what is missing, print the tables, and write the figures if they are those of the study."""
    tables = read_study(BOXES).tables(nulls=False)
    for section, values in typed.changed.items():
        tables[section] |= values
    runs = [run(Study.model_validate(tables), seed, typed) for seed in typed.seeds]
    show_by_site(runs)
    figures = figures_of(runs)
    if typed.changed or typed.seeds != SEEDS:
        for name, value in figures.items():
            print(f"{name} {value:.4f}")
        return
    report("medicine", known("medicine") | figures, MEANINGS)


def run(study: Study, seed: int, typed: Arguments) -> Results:
    """Simulate the study with that seed, go on with it where it was stopped, or read what it gave."""
    seeded = study.model_copy(update={"model": study.model.model_copy(update={"seed": seed})})
    folder = typed.out / f"{study.study.name}-{study.digest()[:8]}-{seed}"
    if (finished := finished_results(folder)) is not None:
        return finished
    sites = sites_in(typed.data, Places(None, None, frozenset(), typed.out / "state"))
    workers = start_workers(typed.workers)
    begun = (folder / "run.json").exists()
    plan = Plan(seeded, sites, folder, begun, baselines=True, device=typed.device)
    console = Console(stderr=True)
    console.print(f"{study.study.name}, seed {seed}")
    try:
        with Display(console) as display:
            return simulate(plan, workers, display)
    finally:
        workers.close()


def by_site(results: Results, model: str, metric: str) -> dict[str, float]:
    """Return a metric of a model at each hospital."""
    sites = results.evaluation[model]
    values = {name: sites[name].metrics[metric].value for name in sites if name != ALL}
    return {name: value for name, value in values.items() if value is not None}


def mean_of(runs: Iterable[Results], model: str, metric: str = "ap_iou10") -> float:
    """Average a metric over the hospitals, and then over the runs."""
    return statistics.mean(statistics.mean(by_site(results, model, metric).values()) for results in runs)


def figures_of(runs: list[Results]) -> dict[str, float]:
    """Return the figures of boxes."""
    alone = [mean_of(runs, model) for model in runs[0].evaluation if alone_hospital(model)]
    return {
        "ap_federated": mean_of(runs, FEDERATED),
        "ap_pooled": mean_of(runs, POOLED),
        "ap_alone_best": max(alone),
        "ap_iou50_federated": mean_of(runs, FEDERATED, "ap_iou50"),
        "sensitivity_1fp": mean_of(runs, FEDERATED, "sensitivity_1fp"),
        "froc_federated": mean_of(runs, FEDERATED, "froc"),
    }


def show_by_site(runs: list[Results]) -> None:
    """Print the headline of each model at each hospital."""
    names = [hospital.name for hospital in runs[0].hospitals]
    table = Table("model", *names, "mean", title="AP at IoU 0.1 of test patients by hospital, mean over seeds")
    for model in runs[0].evaluation:
        found = [by_site(results, model, "ap_iou10") for results in runs]
        row = [statistics.mean(one[name] for one in found if name in one) for name in names]
        table.add_row(model, *(f"{value:.3f}" for value in row), f"{statistics.mean(row):.3f}")
    Console(width=120).print(table)


def arguments() -> Arguments:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Federated, pooled and alone: boxes around lesions.")
    parser.add_argument("data", type=Path, help="a folder with one sub-folder a hospital")
    parser.add_argument("--out", type=Path, default=Path("runs") / "medicine", help="where runs are kept")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--size", type=int, help="pixels, in the place of the study's")
    parser.add_argument("--passes", type=int, help="rounds of one pass, in the place of the study's")
    parser.add_argument("--network", help="in the place of the study's")
    parser.add_argument("--rate", type=float, help="the learning rate, in the place of the study's")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--workers", type=int, help="by default one per core, or one in all on a card")
    typed = parser.parse_args()
    changed: dict[str, dict[str, object]] = {}
    for section, key, value in (
        ("data", "image_size", typed.size),
        ("training", "rounds", typed.passes),
        ("training", "learning_rate", typed.rate),
        ("model", "network", typed.network),
    ):
        if value is not None:
            changed.setdefault(section, {})[key] = value
    device = choose(typed.device)
    workers = typed.workers or (len(os.sched_getaffinity(0)) if device == CPU else 1)
    return Arguments(typed.data, typed.out, tuple(typed.seeds), tuple(typed.only), changed, workers, device)


if __name__ == "__main__":
    main(arguments())
