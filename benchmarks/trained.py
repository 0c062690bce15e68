"""What the benchmarks that train whole studies share: their command line, resumed runs, and figures by hospital."""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from measure import known, report
from wardround_client.training.devices import CPU, choose
from wardround_common.results import ALL, Results
from wardround_common.study.file import Study
from wardround_simulation.display import Display
from wardround_simulation.federation import Site, forget_hospitals
from wardround_simulation.places import Places, sites_in
from wardround_simulation.run.plan import Plan
from wardround_simulation.run.simulate import simulate
from wardround_simulation.sweep import finished_results
from wardround_simulation.workers import start_workers

SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Arguments:
    """What a person typed."""

    data: Path
    out: Path
    seeds: tuple[int, ...]
    only: tuple[str, ...]
    changed: dict[str, dict[str, object]]
    workers: int
    device: str = "cpu"

    @property
    def as_stated(self) -> bool:
        """Whether what is measured are the studies' own numbers, on all seeds: only such figures are kept."""
        return not self.changed and self.seeds == SEEDS

    def sites(self) -> tuple[Site, ...]:
        """Return the hospitals, whose state is kept beside the runs."""
        return sites_in(self.data, Places(None, None, frozenset(), self.out / "state"))


def arguments(what: str, out: str, parts: tuple[str, ...], of_the_device: str = "") -> Arguments:
    """Read the command line of the benchmark that ``what`` describes, whose runs are kept in ``runs/OUT``."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("data", type=Path, help="a folder with one sub-folder a hospital")
    parser.add_argument("--out", type=Path, default=Path("runs") / out, help="where runs are kept")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    parser.add_argument("--size", type=int, help="pixels, in the place of the study's")
    parser.add_argument("--passes", type=int, help="rounds of one pass, in the place of the study's")
    parser.add_argument("--network", help="in the place of the study's")
    parser.add_argument("--rate", type=float, help="the learning rate, in the place of the study's")
    parser.add_argument("--device", default="auto", help=f"auto, cpu, cuda, cuda:N or mps{of_the_device}")
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


def hospitals_in(data: Path, name: str) -> Path:
    """Return the folder of hospitals ``name`` below ``data``, or ``data`` itself where it holds the hospitals."""
    return data / name if (data / name).is_dir() else data


def run(study: Study, seed: int, typed: Arguments, *, baselines: bool = True, leave_one_out: bool = False) -> Results:
    """Simulate the study with that seed, resume it where it was stopped, or read its results."""
    seeded = study.model_copy(update={"model": study.model.model_copy(update={"seed": seed})})
    folder = typed.out / f"{study.study.name}-{study.digest()[:8]}-{seed}"
    if (finished := finished_results(folder)) is not None:
        return finished
    begun = (folder / "run.json").exists()
    plan = Plan(
        seeded, typed.sites(), folder, begun, baselines=baselines, leave_one_out=leave_one_out, device=typed.device
    )
    return simulated(plan, typed.workers)


def simulated(plan: Plan, count: int) -> Results:
    """Simulate by that number of workers, and show how far it is."""
    workers = start_workers(count)
    console = Console(stderr=True)
    console.print(f"{plan.study.study.name}, seed {plan.study.model.seed}")
    try:
        with Display(console) as display:
            return simulate(plan, workers, display)
    finally:
        workers.close()
        forget_hospitals()


def by_site(results: Results, model: str, metric: str) -> dict[str, float]:
    """Return a metric of a model at each hospital."""
    sites = results.evaluation[model]
    values = {name: sites[name].metrics[metric].value for name in sites if name != ALL}
    return {name: value for name, value in values.items() if value is not None}


def mean_of(runs: Iterable[Results], model: str, metric: str) -> float:
    """Average a metric over the hospitals, and then over the runs."""
    return statistics.mean(statistics.mean(by_site(results, model, metric).values()) for results in runs)


def show_by_site(title: str, runs: list[Results], metric: str) -> None:
    """Print a metric of each model at each hospital, the mean over the runs."""
    names = [hospital.name for hospital in runs[0].hospitals]
    table = Table("model", *names, "mean", title=f"{title} of test patients by hospital, mean over seeds")
    for model in runs[0].evaluation:
        found = [by_site(results, model, metric) for results in runs]
        row = [statistics.mean(one[name] for one in found if name in one) for name in names]
        table.add_row(model, *(f"{value:.3f}" for value in row), f"{statistics.mean(row):.3f}")
    Console(width=120).print(table)


def keep(figures: Mapping[str, float], meanings: Mapping[str, str], *, seeds: tuple[int, ...], count: str) -> None:
    """Write figures of medicine, unless they are of fewer seeds than those on record, or of others.

    ``count`` names the figure that says of how many seeds they are.
    """
    before = known("medicine")
    recorded = before.get(count, 0)
    if seeds == SEEDS[: len(seeds)] and len(seeds) >= recorded:
        report("medicine", figures, meanings, before)
        return
    show(figures)
    print(f"Not written: these are of seeds {', '.join(map(str, seeds))}, and {recorded:.0f} are on record.")


def over_seeds(
    typed: Arguments, of_seed: Callable[[int], dict[str, float]], meanings: Mapping[str, str], count: str
) -> None:
    """Find the figures of each seed, and write after each their means over those that are done, and their spread."""
    rows: list[dict[str, float]] = []
    for seed in typed.seeds:
        rows.append(of_seed(seed))
        figures = {name: statistics.mean(row[name] for row in rows) for name in rows[0]}
        figures |= {f"{name}_spread": max(r[name] for r in rows) - min(r[name] for r in rows) for name in rows[0]}
        figures[count] = float(len(rows))
        if typed.changed:
            show(figures)
        else:
            keep(figures, meanings, seeds=typed.seeds[: len(rows)], count=count)


def show(figures: Mapping[str, float]) -> None:
    """Print figures that are not those of the study, and are not kept."""
    for name, value in figures.items():
        print(f"{name} {value:.4f}")
