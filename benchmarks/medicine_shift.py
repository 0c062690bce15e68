"""Hospitals whose scanners differ: what each measure gives inside, where hospitals trained, and outside.

Run with ``python benchmarks/medicine_shift.py [DATA]`` (``make bench-medicine`` does so, too): the four made hospitals,
which need no data of anybody, and those of ``DATA``, a folder with ``brain_mri`` and ``chest_xray``, each of which
holds one folder a hospital. *Inside*: each measure on the test patients of the hospitals that trained, beside plain
averaging and all images pooled. *Outside*: each hospital in turn only evaluates, and the measure is judged there. All
train by the same plain steps, as SCAFFOLD needs. Finished runs are kept under ``--out``, and the next call goes on.
``--hospitals``, ``--only``, ``--measures`` and ``--seeds`` choose a part. Figures are written after each
measure, with how many seeds they are of; those of fewer seeds than are on record are printed, and not kept.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from rich.console import Console
from rich.table import Table

from trained import SEEDS, Arguments, by_site, keep, run
from wardround_client.hospital import answering
from wardround_common.privacy.noisy_sum import LEAST_VARIANCE
from wardround_common.results import FEDERATED, POOLED, Results, alone
from wardround_common.study.file import Study, read_study
from wardround_simulation.phantoms import make_hospitals

STUDIES = Path(__file__).parent / "studies"
PATIENTS, PRIVATE_PATIENTS, DRAWN = 80, 200, 0
"""Patients of each made hospital, without privacy and with it, and the seed that they are drawn from."""
PLAIN, ALONE, EXACT = "plain", "alone", "brightness_exact"
INSIDE, OUTSIDE = "inside", "outside"
MEASURES: Mapping[str, Mapping[str, Mapping[str, object]]] = {
    PLAIN: {},
    "fedprox": {"training": {"strategy": "fedprox", "proximal_mu": 0.1}},
    "scaffold": {"training": {"strategy": "scaffold", "server_learning_rate": 1.0}},
    "norm": {"training": {"personal": "norm"}},
    "head": {"training": {"personal": "head"}},
    "ditto": {"training": {"personal": "ditto", "ditto_lambda": 0.1}},
    "brightness": {"data": {"normalisation": "federation"}},
    EXACT: {"data": {"normalisation": "federation"}},
    "batch": {"model": {"norm": "batch"}},
    "batch_norm": {"model": {"norm": "batch"}, "training": {"personal": "norm"}},
}
"""By name, what of the study is otherwise: the last two are batch normalisation shared, and local as in FedBN.

``brightness_exact`` is for a private study: its sums of intensities have next to no noise, which no study can ask for
and which protects nobody, while training has the noise that it has beside sums with noise.
"""
PART = 0.1
"""Of a private study's epsilon, what the sums of intensities cost by themselves."""
COMMON = (PLAIN, "fedprox", "scaffold", "norm", "head", "ditto")
ELSEWHERE = (PLAIN, "fedprox", "scaffold", "norm", "brightness", EXACT)
"""Of the others a hospital that did not train gets no complete model (head), or the one of plain averaging (ditto)."""


@dataclass(frozen=True)
class Ground:
    """Hospitals on which measures are judged."""

    study: str
    words: str
    """What its figures have in their names."""
    measures: tuple[str, ...]
    folder: str | None = None
    """Below DATA; None: they are made."""
    outside: bool = True
    """Whether enough hospitals are left where one only evaluates."""
    patients: int = PATIENTS
    """Of each hospital that is made."""
    baselines: bool = True
    """Whether all images are pooled, and each hospital trains alone, beside it."""


GROUNDS = {
    "made": Ground("made-shift", "", (*COMMON, "brightness")),
    "made-private": Ground(
        "made-shift-private", "private_", (PLAIN, "brightness", EXACT), patients=PRIVATE_PATIENTS, baselines=False
    ),
    "brain-mri": Ground("brain-mri-shift", "brain_", (*COMMON, "brightness"), "brain_mri"),
    "chest-xray": Ground(
        "chest-xray-shift", "chest_", (*COMMON, "brightness", "batch", "batch_norm"), "chest_xray", outside=False
    ),
}
MEANINGS = {
    "auroc_shift_pooled": "all images of the four made hospitals in one place, mean over hospitals and seeds",
    "auroc_shift_plain": "plain averaging, on the test patients of the hospitals that trained",
    "auroc_shift_outside_plain": "plain averaging over three hospitals, at the one that is left out, mean of the four",
    "auroc_shift_brightness": "images standardised by the mean and deviation over all hospitals, as measured inside",
    "gap_closed_inside_scaffold": "part of the difference between plain averaging and pooling that SCAFFOLD closes",
    "gap_closed_outside_scaffold": "part of the difference between outside and inside that SCAFFOLD closes",
    "gap_shift_outside": "plain averaging inside less outside: the difference of which gap_closed_outside_* are parts",
    "auroc_shift_private_plain": "as auroc_shift_plain, of 200 patients each, at epsilon 8 under shared noise",
    "auroc_shift_private_brightness": "the same, a tenth of epsilon for one mean and deviation for all hospitals",
    "auroc_shift_private_brightness_exact": "the same, its sums as good as without noise: what no study may ask for",
    "gap_closed_brain_outside_norm": "the same on brain MRI: local normalisation, untrained at the hospital outside",
    "gap_closed_chest_inside_norm": "chest X-ray pair: of the difference between plain averaging and pooling",
    "auroc_shift_chest_batch_norm": "chest X-ray pair, batch normalisation that stays at each hospital (FedBN)",
}
By = Mapping[str, float]
Row = dict[tuple[str, str], By]
"""Of one seed: where and which measure, to the AUROC at each hospital."""


@dataclass(frozen=True)
class Trial:
    """One study to be simulated."""

    ground: Ground
    measure: str
    outside: str | None = None
    """Who only evaluates."""

    def study(self) -> Study:
        """Return the study of a measure."""
        tables = read_study(STUDIES / f"{self.ground.study}.toml").tables(nulls=False)
        for section, values in MEASURES[self.measure].items():
            tables[section] |= values
        if "normalisation" in tables["data"] and "epsilon" in tables["privacy"]:
            tables["privacy"]["normalisation_epsilon"] = PART * tables["privacy"]["epsilon"]
        name = f"{self.ground.study.removesuffix('-shift')}-{self.measure.replace('_', '-')}"
        tables["study"]["name"] = name if self.outside is None else f"{name}-without-{self.outside.lower()}"
        if self.outside is not None:
            tables["evaluation"]["external"] = [self.outside]
        return Study.model_validate(tables)

    def results(self, seed: int, typed: Arguments) -> Results:
        """Simulate it, or read what was simulated."""
        with _without_noise() if self.measure == EXACT else nullcontext():
            return run(self.study(), seed, typed, baselines=self.ground.baselines and self == Trial(self.ground, PLAIN))


def _without_noise() -> AbstractContextManager[object]:
    """Let hospitals of this process add the least noise that is drawn to sums of intensities: 64 of 2^20 units."""
    return patch.object(answering, "noise_in_intensities", lambda *_: LEAST_VARIANCE)


def areas(ground: Ground, where: str, measure: str, seed: int, typed: Arguments) -> By:
    """Run what is missing, and return the AUROC at each hospital."""
    names = [site.name for site in typed.sites()]
    if where == OUTSIDE:
        trials = {name: Trial(ground, measure, name).results(seed, typed) for name in names}
        return {name: by_site(of, FEDERATED, "auroc")[name] for name, of in trials.items()}
    results = Trial(ground, PLAIN if measure in (POOLED, ALONE) else measure).results(seed, typed)
    if measure == ALONE:
        return {name: by_site(results, alone(name), "auroc")[name] for name in names}
    return by_site(results, POOLED if measure == POOLED else FEDERATED, "auroc")


def mean_of(rows: Sequence[Row], where: str, measure: str) -> float:
    """Return the mean over hospitals and seeds."""
    return statistics.mean(statistics.mean(row[where, measure].values()) for row in rows)


def figures_of(ground: Ground, where: str, measure: str, rows: Sequence[Row]) -> dict[str, float]:
    """Return the AUROC of a measure, of how many seeds, and the part that it closes of a difference.

    The difference is that to all images pooled (inside), or to plain averaging where the hospital trained (outside).
    """
    words = ground.words + (f"{OUTSIDE}_" if where == OUTSIDE else "")
    value, plain = mean_of(rows, where, measure), mean_of(rows, where, PLAIN)
    figures = {f"auroc_shift_{words}{measure}": value, seeds_key(words, measure): float(len(rows))}
    if where == INSIDE and not ground.baselines:
        return figures
    best = mean_of(rows, INSIDE, PLAIN if where == OUTSIDE else POOLED)
    if measure == PLAIN:
        figures[f"gap_shift_{ground.words}{where}"] = best - plain
    elif measure not in (POOLED, ALONE):
        figures[f"gap_closed_{ground.words}{where}_{measure}"] = (value - plain) / (best - plain)
    return figures


def seeds_key(words: str, measure: str) -> str:
    """Name the figure of how many seeds a measure's are."""
    return f"auroc_shift_{words}{measure}_seeds"


def show(name: str, rows: Sequence[Row]) -> None:
    """Print who gains and who loses."""
    ground = GROUNDS[name]
    for place in dict.fromkeys(where for where, _ in rows[0]):
        sites = list(rows[0][place, PLAIN])
        title = f"{name}, {place}: AUROC by hospital, mean over seeds"
        table = Table("measure", *sites, "mean", "each seed", "gap closed", title=title)
        for measure in (measure for where, measure in rows[0] if where == place):
            each = [statistics.mean(row[place, measure].values()) for row in rows]
            by = [statistics.mean(row[place, measure][site] for row in rows) for site in sites]
            part = figures_of(ground, place, measure, rows).get(f"gap_closed_{ground.words}{place}_{measure}")
            table.add_row(
                measure,
                *(f"{value:.3f}" for value in [*by, statistics.mean(each)]),
                ", ".join(f"{value:.3f}" for value in each),
                "" if part is None else f"{part:.0%}",
            )
        Console(width=140).print(table)


def measure_on(name: str, given: argparse.Namespace) -> None:
    """Run what is missing on some hospitals, seed by seed, and write what there is after each measure."""
    ground = GROUNDS[name]
    if ground.folder is None:
        hospitals = given.out / ("hospitals" if ground.patients == PATIENTS else f"hospitals-{ground.patients}")
        if not hospitals.exists():
            make_hospitals(hospitals, seed=DRAWN, patients=ground.patients)
    else:
        hospitals = given.data / ground.folder
    typed = Arguments(hospitals, given.out, tuple(given.seeds), (), {}, given.workers)
    measures = [measure for measure in ground.measures if measure in (PLAIN, *given.measures)]
    wanted = [(INSIDE, measure) for measure in ((POOLED, PLAIN, ALONE) if ground.baselines else (PLAIN,))]
    if INSIDE in given.only:
        wanted += [(INSIDE, measure) for measure in measures if measure != PLAIN]
    if OUTSIDE in given.only and ground.outside:
        wanted += [(OUTSIDE, measure) for measure in ELSEWHERE if measure in measures]
    rows: list[Row] = []
    for seed in typed.seeds:
        rows.append({})
        for where, measure in wanted:
            rows[-1][where, measure] = areas(ground, where, measure, seed, typed)
            if (INSIDE, PLAIN) not in rows[-1]:
                continue
            for done in (POOLED, PLAIN) if (where, measure) == (INSIDE, PLAIN) and ground.baselines else (measure,):
                figures = figures_of(ground, where, done, rows)
                count = next(key for key in figures if key.endswith("_seeds"))
                keep(figures, MEANINGS, seeds=typed.seeds[: len(rows)], count=count)
        show(name, rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, print the tables, and write the figures."""
    parser = argparse.ArgumentParser(description="What measures against site shift give.")
    parser.add_argument("data", type=Path, nargs="?", help="a folder with brain_mri and chest_xray")
    parser.add_argument("--out", type=Path, default=Path("runs") / "medicine_shift", help="where runs are kept")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--hospitals", nargs="+", choices=GROUNDS, help="by default all that are there")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=(INSIDE, OUTSIDE),
        default=(INSIDE, OUTSIDE),
        help="where hospitals trained, or where they did not",
    )
    parser.add_argument("--measures", nargs="+", choices=MEASURES, default=list(MEASURES))
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args(arguments)
    real = [name for name, ground in GROUNDS.items() if ground.folder is not None]
    chosen = given.hospitals or [name for name in GROUNDS if given.data is not None or name not in real]
    if any(EXACT in GROUNDS[name].measures for name in chosen) and EXACT in given.measures and given.workers > 1:
        parser.error(f"{EXACT} is measured in this process alone: leave out --workers, or {EXACT} of --measures")
    if given.data is None and (asked := [name for name in chosen if name in real]):
        parser.error(f"{', '.join(asked)}: name the folder DATA that has these hospitals")
    for name in chosen:  # before any of them takes its hour
        folder = GROUNDS[name].folder
        if folder is not None and not (given.data / folder).is_dir():
            parser.error(f"there is no folder {given.data / folder}, which holds the hospitals of {name}")
    for name in chosen:
        measure_on(name, given)


if __name__ == "__main__":
    main()
