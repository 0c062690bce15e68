"""Privacy that keeps the model: few fixed directions and a prior from made images, beside fixed wavelets.

Run with ``make bench-medicine-privacy DATA=DIR``, where ``DIR`` holds one folder a hospital (the brain MRI hospitals):
the noise is shared out under secure sums, seeds 0 to 2. Each finished training is kept in
``benchmarks/results/medicine_privacy-runs.json``, and the next call resumes from there; ``--recipes``, ``--epsilons``,
``--seeds`` and ``--most`` choose a part.

For each epsilon the recipe is chosen by the mean AUROC of **validation** patients over the seeds; ``auroc_eps8_best``
is that recipe's on test patients. Features, clip and rates of ``halves`` were chosen by validation and test patients of
seeds 10 to 21, in a loop over arrays, and how slices are shown by those of 10 to 15; the others by validation patients
of seeds 0 to 2 and 10 to 13.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import track

from measure import RESULTS, report
from wardround_client import networks
from wardround_client.prior.learning import Lesson, learn
from wardround_client.training.evaluation import sums_of
from wardround_common.messages.parameters import Vector
from wardround_common.study.file import Study, read_study
from wardround_common.study.weights import Weights
from wardround_server.rounds.course import run_study
from wardround_server.rounds.secure_rounds import Consortium, FolderJournal
from wardround_simulation import jobs
from wardround_simulation.federation import Federation, Site, alone_study, insecure_roster, open_hospital
from wardround_simulation.places import Places, sites_in

STUDY = Path(__file__).parent / "studies" / "brain-mri-distributed.toml"
RUNS = RESULTS / "medicine_privacy-runs.json"
EPSILONS, SEEDS = (8, 3, 1), (0, 1, 2)
ROUNDS, CLIP, FAST, SLOW = 8, 0.28, 2.5, 1.25
"""Of the recipe of few directions: chosen on seeds 10 to 21."""
OF = (", validation", ", test")


@dataclass(frozen=True)
class Recipe:
    """What of the study is otherwise."""

    words: str
    settings: Mapping[str, object] = field(default_factory=dict)
    steps: int | None = None
    """Of learning the prior with which the network begins; None: from the seed."""

    @property
    def network(self) -> str:
        """Return which network learns the prior."""
        return str(self.settings["model.network"])


def at_rate(rate: float) -> dict[str, object]:
    """Return the settings of a head that is trained at this rate."""
    return {
        "model.network": "small-cnn",
        "model.train": "head",
        "training.learning_rate": rate,
        "privacy.clip_norm": 0.5,
    }


def halves(rate: float, *, slices: bool = False) -> Recipe:
    """Return the recipe of few directions at this rate: every patient in each of a few steps.

    ``slices``: each image is shown among others of its series, and the model told where in it the image is.
    """
    settings: dict[str, object] = {
        "model.network": "halves",
        "model.train": "head",
        "training.rounds": ROUNDS,
        "training.learning_rate": rate,
        "privacy.clip_norm": CLIP,
        "privacy.sampling_rate": 1.0,
        "evaluation.every": ROUNDS,
    }
    words = f"few directions of an image and its halves, rate {rate:g}"
    if slices:
        return Recipe(f"{words}; each image among others of its series", settings | {"data.record": "slice"}, steps=600)
    return Recipe(words, settings, steps=600)


RECIPES = {
    "halves": halves(FAST),
    "halves-slow": halves(SLOW),
    "slices": halves(2 * FAST, slices=True),
    "slices-slow": halves(FAST, slices=True),
    "wavelets": Recipe("fixed wavelet features, the recipe of make bench-privacy"),
    "prior-head-fast": Recipe(
        "the head of small-cnn, over a prior from made images, rate 0.1", at_rate(0.1), steps=200
    ),
    "prior-head": Recipe("the same at rate 0.03", at_rate(0.03), steps=200),
    "prior-head-slow": Recipe("the same at rate 0.003", at_rate(0.003), steps=200),
    "random-head": Recipe("the head over random features of the seed", at_rate(0.03)),
}


@dataclass(frozen=True)
class Training:
    """One model to be trained and judged."""

    recipe: str
    epsilon: int
    seed: int

    def study(self, priors: Path) -> Study:
        """Return the study that it trains by; a prior that is not there yet is learnt."""
        recipe = RECIPES[self.recipe]
        settings = {**recipe.settings, "model.seed": self.seed, "privacy.epsilon": float(self.epsilon)}
        study = read_study(STUDY, settings)
        if recipe.steps is None:
            return study
        content = prior(recipe, priors).read_bytes()
        form = study.model_copy(update={"model": study.model.model_copy(update={"train": "all", "rank": None})})
        match = networks.matched(
            networks.build(form), networks.read_tensors_of(content, where="prior"), (), (), where="prior"
        )
        weights = Weights(
            name=f"made images, {recipe.steps} steps",
            file=hashlib.sha256(content).hexdigest(),
            tensors=match.digest,
            seeded=match.seeded,
            unused=match.unused,
        )
        return study.model_copy(update={"model": study.model.model_copy(update={"weights": weights})})

    @property
    def key(self) -> str:
        """Name it in the file of finished trainings: another recipe is another training."""
        recipe = RECIPES[self.recipe]
        said = json.dumps([dict(recipe.settings), recipe.steps], sort_keys=True)
        return f"{self.recipe} eps{self.epsilon} seed {self.seed} {hashlib.sha256(said.encode()).hexdigest()[:16]}"


def prior(recipe: Recipe, folder: Path) -> Path:
    """Return the file of a recipe's prior, learnt once."""
    steps = recipe.steps or 0
    path = folder / f"{recipe.network}-{steps}.safetensors"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        screen = Console(stderr=True)
        screen.print(f"learning a prior of {steps} steps")
        path.write_bytes(learn(Lesson(recipe.network, steps=steps), lambda step, of, loss: None).content)
    return path


def trained(study: Study, sites: tuple[Site, ...], folder: Path, weights: Path | None) -> Vector:
    """Train one model in this process: the coordinator's and the hospitals' own code, real messages between them."""
    federation = Federation(study, sites, folder / "hospitals", weights=weights)
    consortium = Consortium(os.urandom(16), insecure_roster(federation), FolderJournal(folder / "coordinator"))
    exchange = jobs.InOneProcess(federation, [site.name for site in sites])
    return run_study(study, exchange, lambda event: None, None, consortium).parameters


def judged(parameters: Vector, study: Study, sites: tuple[Site, ...], weights: Path | None) -> tuple[float, float]:
    """Return the AUROC of validation and of test patients, each averaged over the hospitals."""
    found: dict[str, list[float]] = {"validation": [], "test": []}
    for site in sites:
        hospital = open_hospital(Federation(alone_study(study), (site,), weights=weights), site.name)
        networks.write_vector(hospital.built.network, hospital.built.layout, parameters)
        for split, values in found.items():
            examples = hospital.dataset.validation if split == "validation" else hospital.dataset.test
            area = sums_of(hospital.built.network, study, examples).auroc()
            values.extend([] if area is None else [area])
    return statistics.mean(found["validation"]), statistics.mean(found["test"])


def trainings(recipes: Sequence[str], epsilons: Sequence[int], seeds: Sequence[int]) -> Iterator[Training]:
    """List what is to be trained, seed by seed, so that a part of it has something of everything."""
    return (Training(recipe, epsilon, seed) for seed in seeds for epsilon in epsilons for recipe in recipes)


def kept() -> dict[str, list[float]]:
    """Return what was trained before: AUROC of validation and of test patients by training."""
    flat: dict[str, float] = json.loads(RUNS.read_text()) if RUNS.exists() else {}
    keys = [key.removesuffix(OF[0]) for key in flat if key.endswith(OF[0])]
    return {key: [flat[key + of] for of in OF] for key in keys}


def keep(done: Mapping[str, Sequence[float]]) -> None:
    """Keep what is trained."""
    flat = {key + of: value for key, both in done.items() for of, value in zip(OF, both, strict=True)}
    RUNS.write_text(json.dumps(flat, indent=1) + "\n")


def figures(done: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Average over the seeds that are there, and choose by validation for each epsilon."""
    found: dict[str, float] = {}
    for epsilon in EPSILONS:
        means: dict[str, tuple[float, float, int]] = {}
        for recipe in RECIPES:
            values = [done[one.key] for one in trainings([recipe], [epsilon], SEEDS) if one.key in done]
            if not values:
                continue
            validation, test = (statistics.mean(each) for each in zip(*values, strict=True))
            means[recipe] = (validation, test, len(values))
            name = f"auroc_eps{epsilon}_{recipe.replace('-', '_')}"
            found |= {name: test, f"{name}_validation": validation, f"{name}_seeds": len(values)}
            if len(values) > 1:
                found[f"{name}_sd"] = statistics.stdev(value[1] for value in values)
        whole = {recipe: mean for recipe, mean in means.items() if mean[2] == len(SEEDS)}
        if whole:
            found[f"auroc_eps{epsilon}_best"] = max(whole.values())[1]
    return found


def hospitals(data: Path, state: Path) -> tuple[Site, ...]:
    """Return the hospitals of a folder, each opened once: what they lack is said before anything is learnt."""
    sites = sites_in(data, Places(None, None, frozenset(), state))
    study = alone_study(read_study(STUDY))
    for site in sites:
        open_hospital(Federation(study, (site,)), site.name)
    return sites


def main() -> None:
    """Train what is missing, and report what is there."""
    parser = argparse.ArgumentParser(description="What a prior from made images gives under differential privacy.")
    parser.add_argument("data", type=Path, help="a folder with one sub-folder a hospital")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--epsilons", type=int, nargs="+", choices=EPSILONS, default=EPSILONS)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--most", type=int, default=None, help="train at most this many models now")
    parser.add_argument(
        "--state", type=Path, default=None, help="where prepared images and priors are kept between calls"
    )
    typed = parser.parse_args()
    done = kept()
    missing = [one for one in trainings(typed.recipes, typed.epsilons, typed.seeds) if one.key not in done]
    with tempfile.TemporaryDirectory() as scratch:
        state = typed.state or Path(scratch) / "state"
        sites = hospitals(typed.data, state)
        for one in track(missing[: typed.most], "training", console=Console(stderr=True)):
            folder = Path(scratch) / hashlib.sha256(one.key.encode()).hexdigest()[:16]
            study, recipe = one.study(state / "priors"), RECIPES[one.recipe]
            weights = None if recipe.steps is None else prior(recipe, state / "priors")
            model = trained(study, sites, folder, weights)
            done[one.key] = [round(value, 5) for value in judged(model, study, sites, weights)]
            print(one.recipe, one.epsilon, one.seed, done[one.key], flush=True)
            RESULTS.mkdir(exist_ok=True)
            keep(done)
    report("medicine_privacy", figures(done), {})


if __name__ == "__main__":
    main()
