"""What privacy costs: no noise, enough noise at each hospital, noise shared out under secure sums, and pooled images.

Run with ``make bench-privacy DATA=DIR``, where ``DIR`` holds one folder a hospital (the brain MRI hospitals). It is
long: each finished training is kept in ``benchmarks/results/privacy-runs.json``, and the next call resumes from there;
``--seeds``, ``--kinds`` and ``--epsilons`` choose a part. ``benchmarks/results/privacy.json`` has what is there so far.

*central* is DP-SGD on everybody's patients in one place, with the rate, steps and budget of *distributed*.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track

from measure import RESULTS, report
from wardround_client import networks
from wardround_client.training.evaluation import sums_of
from wardround_common.messages.parameters import Vector
from wardround_common.study.file import Study, read_study
from wardround_common.study.privacy import DpSgd
from wardround_server.rounds.course import run_study
from wardround_server.rounds.secure_rounds import Consortium, FolderJournal
from wardround_simulation import jobs
from wardround_simulation.federation import Federation, Site, alone_study, insecure_roster, open_hospital
from wardround_simulation.places import Places, sites_in

STUDIES = Path(__file__).parent / "studies"
STUDY_OF = {
    "none": "brain-mri.toml",
    "local": "brain-mri-local.toml",
    "distributed": "brain-mri-distributed.toml",
    "central": "brain-mri-distributed.toml",
}
EPSILONS = (1, 3, 8)
SEEDS = (0, 1, 2, 3, 4)
RUNS = RESULTS / "privacy-runs.json"


@dataclass(frozen=True)
class Training:
    """One model to be trained and judged."""

    kind: str
    epsilon: int | None
    seed: int

    @property
    def figure(self) -> str:
        """Name the figure that this is one seed of."""
        return f"auroc_{self.kind}" if self.epsilon is None else f"auroc_{self.kind}_eps{self.epsilon}"

    def study(self) -> Study:
        """Return the study that it trains by."""
        study = read_study(STUDIES / STUDY_OF[self.kind])
        changes: dict[str, object] = {"model": study.model.model_copy(update={"seed": self.seed})}
        if self.epsilon is not None and isinstance(study.privacy, DpSgd):
            changes["privacy"] = study.privacy.model_copy(update={"epsilon": float(self.epsilon)})
        return study.model_copy(update=changes)

    @property
    def key(self) -> str:
        """Name it in the file of finished trainings: another recipe is another training."""
        return f"{self.figure} seed {self.seed} {self.study().digest()[:16]}"


def trainings(kinds: list[str], epsilons: list[int], seeds: list[int]) -> Iterator[Training]:
    """List what is to be trained, seed by seed, so that a part of it has something of everything."""
    for seed in seeds:
        for epsilon in sorted(epsilons, reverse=True):
            yield from (Training(kind, epsilon, seed) for kind in kinds if kind != "none")
        if "none" in kinds:
            yield Training("none", None, seed)


def trained(wanted: Training, sites: tuple[Site, ...], folder: Path) -> Vector:
    """Train one model in this process: the coordinator's and the hospitals' own code, real messages between them."""
    study = wanted.study()
    if wanted.kind == "central":
        everybody = Site("pooled", tuple(source for site in sites for source in site.sources))
        pooled = jobs.train_baseline(Federation(study, (everybody,)), "pooled", folder / "checkpoint")
        if pooled is None:
            raise RuntimeError("the central training diverged")
        return pooled
    federation = Federation(study, sites, folder / "hospitals")
    consortium = None
    if study.aggregation.secure:
        consortium = Consortium(os.urandom(16), insecure_roster(federation), FolderJournal(folder / "coordinator"))
    exchange = jobs.InOneProcess(federation, [site.name for site in sites])
    return run_study(study, exchange, lambda event: None, None, consortium).parameters


def judged(parameters: Vector, study: Study, sites: tuple[Site, ...]) -> float:
    """Return the test AUROC of a model, averaged over the hospitals."""
    found = []
    for site in sites:
        hospital = open_hospital(Federation(alone_study(study), (site,)), site.name)
        networks.write_vector(hospital.built.network, hospital.built.layout, parameters)
        found.append(sums_of(hospital.built.network, study, hospital.dataset.test).auroc())
    return statistics.mean(value for value in found if value is not None)


def figures(done: Mapping[str, float], kinds: list[str], epsilons: list[int], seeds: list[int]) -> dict[str, float]:
    """Average over the seeds that are there: means, standard deviations, and how many seeds."""
    values: dict[str, list[float]] = {}
    for one in trainings(kinds, epsilons, seeds):
        if one.key in done:
            values.setdefault(one.figure, []).append(done[one.key])
    found: dict[str, float] = {}
    for name, each in sorted(values.items()):
        found |= {name: statistics.mean(each), f"{name}_seeds": len(each)}
        if len(each) > 1:
            found[f"{name}_sd"] = statistics.stdev(each)
    return found


def main() -> None:
    """Train what is missing, and report what is there."""
    parser = argparse.ArgumentParser(description="What privacy costs in AUROC, for each trust model.")
    parser.add_argument("data", type=Path, help="a folder with one sub-folder a hospital")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--kinds", nargs="+", choices=STUDY_OF, default=list(STUDY_OF))
    parser.add_argument("--epsilons", type=int, nargs="+", choices=EPSILONS, default=EPSILONS)
    parser.add_argument("--most", type=int, default=None, help="train at most this many models now")
    parser.add_argument("--state", type=Path, default=None, help="where prepared images are kept between calls")
    typed = parser.parse_args()
    done: dict[str, float] = json.loads(RUNS.read_text()) if RUNS.exists() else {}
    missing = [one for one in trainings(typed.kinds, typed.epsilons, typed.seeds) if one.key not in done]
    with tempfile.TemporaryDirectory() as scratch:
        places = Places(None, None, frozenset(), typed.state or Path(scratch) / "state")
        sites = sites_in(typed.data, places)
        for one in track(missing[: typed.most], "training", console=Console(stderr=True)):
            folder = Path(scratch) / hashlib.sha256(one.key.encode()).hexdigest()[:16]
            done[one.key] = round(judged(trained(one, sites, folder), one.study(), sites), 5)
            print(one.figure, one.seed, done[one.key], flush=True)
            RESULTS.mkdir(exist_ok=True)
            RUNS.write_text(json.dumps(done, indent=1) + "\n")
    everything = (list(STUDY_OF), list(EPSILONS), list(SEEDS))
    report("privacy", figures(done, *everything), {"auroc_none": "no differential privacy, the best recipe for it"})


if __name__ == "__main__":
    main()
