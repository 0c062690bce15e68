"""Hospitals whose scanners differ: what each measure gives inside, where hospitals trained, and outside.

Run with ``python benchmarks/medicine_shift.py`` (``make bench-medicine`` does so, too): the four made hospitals, which
need no data of anybody. *Inside*: each measure on the test patients of the hospitals that trained, beside plain
averaging and all images pooled. *Outside*: each hospital in turn only evaluates, and the measure is judged there. All
train by the same plain steps, as SCAFFOLD needs. Finished runs are kept under ``--out``, and the next call goes on.
``--only``, ``--measures`` and ``--seeds`` choose a part; figures of fewer seeds are printed, and not kept.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from measure import known, report
from trained import SEEDS, Arguments, by_site, run
from wardround_common.results import FEDERATED, POOLED, Results
from wardround_common.study.file import Study, read_study
from wardround_simulation.phantoms import make_hospitals

STUDY = Path(__file__).parent / "studies" / "made-shift.toml"
PATIENTS, DRAWN = 80, 0
"""Patients of each made hospital, and the seed that they are drawn from."""
PLAIN = "plain"
MEASURES: Mapping[str, Mapping[str, object]] = {
    PLAIN: {},
    "fedprox": {"strategy": "fedprox", "proximal_mu": 0.1},
    "scaffold": {"strategy": "scaffold", "server_learning_rate": 1.0},
    "norm": {"personal": "norm"},
    "head": {"personal": "head"},
    "ditto": {"personal": "ditto", "ditto_lambda": 0.1},
}
OUTSIDE = (PLAIN, "fedprox", "scaffold", "norm")
"""Of the others a hospital that did not train gets no complete model (head), or the one of plain averaging (ditto)."""
MEANINGS = {
    "auroc_shift_pooled": "all images of the four made hospitals in one place, mean over hospitals and seeds",
    "auroc_shift_plain": "plain averaging, on the test patients of the hospitals that trained",
    "auroc_shift_outside_plain": "plain averaging over three hospitals, at the one that is left out, mean of the four",
    "gap_closed_inside_scaffold": "part of the difference between plain averaging and pooling that SCAFFOLD closes",
    "gap_closed_outside_scaffold": "part of the difference between outside and inside that SCAFFOLD closes",
}


@dataclass(frozen=True)
class Trial:
    """One study to be simulated."""

    measure: str
    outside: str | None = None
    """Who only evaluates."""

    def study(self) -> Study:
        """Return the study of a measure."""
        tables = read_study(STUDY).tables(nulls=False)
        tables["training"] |= MEASURES[self.measure]
        name = f"made-{self.measure}" if self.outside is None else f"made-{self.measure}-without-{self.outside}"
        tables["study"]["name"] = name
        if self.outside is not None:
            tables["evaluation"]["external"] = [self.outside]
        return Study.model_validate(tables)

    def results(self, seed: int, typed: Arguments) -> Results:
        """Simulate it, or read what was simulated."""
        return run(self.study(), seed, typed, baselines=self == Trial(PLAIN))


def inside(typed: Arguments, measures: Sequence[str]) -> dict[str, float]:
    """Return the AUROC where hospitals trained, mean over them and the seeds, by measure, and of all images pooled."""
    table = Table("measure", "mean over hospitals", "each seed", title="AUROC where hospitals trained")
    found: dict[str, float] = {}
    for measure in (POOLED, *measures):
        runs = [Trial(PLAIN if measure == POOLED else measure).results(seed, typed) for seed in typed.seeds]
        model = POOLED if measure == POOLED else FEDERATED
        means = [statistics.mean(by_site(results, model, "auroc").values()) for results in runs]
        found[measure] = statistics.mean(means)
        sites = [by_site(results, model, "auroc") for results in runs]
        each = {name: statistics.mean(one[name] for one in sites) for name in sites[0]}
        print(measure, {name: round(value, 3) for name, value in each.items()})
        table.add_row(measure, f"{found[measure]:.3f}", ", ".join(f"{mean:.3f}" for mean in means))
    Console(width=120).print(table)
    return found


def outside(typed: Arguments, measures: Sequence[str]) -> dict[str, float]:
    """Return the AUROC where a hospital did not train, mean over hospitals and seeds, by measure."""
    names = [site.name for site in typed.sites()]
    table = Table("measure", *names, "mean", title="AUROC at the hospital that is left out, mean over seeds")
    found: dict[str, float] = {}
    for measure in (measure for measure in OUTSIDE if measure in measures):
        row = [
            statistics.mean(
                by_site(Trial(measure, name).results(seed, typed), FEDERATED, "auroc")[name] for seed in typed.seeds
            )
            for name in names
        ]
        found[measure] = statistics.mean(row)
        table.add_row(measure, *(f"{value:.3f}" for value in row), f"{found[measure]:.3f}")
    Console(width=120).print(table)
    return found


def closed(found: Mapping[str, float], whole: float, where: str) -> dict[str, float]:
    """Return the part of the difference between plain averaging and ``whole`` that each other measure closes."""
    plain = found[PLAIN]
    return {
        f"gap_closed_{where}_{measure}": (value - plain) / (whole - plain)
        for measure, value in found.items()
        if measure not in (PLAIN, POOLED)
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, print the tables, and write the figures if they are of all seeds."""
    parser = argparse.ArgumentParser(description="What measures against site shift give on the four made hospitals.")
    parser.add_argument("--out", type=Path, default=Path("runs") / "medicine_shift", help="where runs are kept")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--only", choices=("inside", "outside"), help="where hospitals trained, or where they did not")
    parser.add_argument("--measures", nargs="+", choices=MEASURES, default=list(MEASURES))
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args(arguments)
    made = given.out / "hospitals"
    if not made.exists():
        make_hospitals(made, seed=DRAWN, patients=PATIENTS)
    typed = Arguments(made, given.out, tuple(given.seeds), (), {}, given.workers)
    measures = [measure for measure in MEASURES if measure in (PLAIN, *given.measures)]
    figures: dict[str, float] = {}
    if given.only != "outside":
        found = inside(typed, measures)
        figures |= {f"auroc_shift_{measure}": value for measure, value in found.items()}
        figures |= closed(found, found[POOLED], "inside")
    if given.only != "inside":
        found = outside(typed, measures)
        figures |= {f"auroc_shift_outside_{measure}": value for measure, value in found.items()}
        figures |= closed(found, inside(typed, [PLAIN])[PLAIN], "outside")
    if typed.as_stated:
        report("medicine", known("medicine") | figures, MEANINGS)
    else:
        for name, value in figures.items():
            print(f"{name} {value:.4f}")


if __name__ == "__main__":
    main()
