"""Privacy that keeps the model: few fixed directions and a prior from made images, beside fixed wavelets.

Run with ``make bench-medicine-privacy DATA=DIR``, where ``DIR`` holds one folder a hospital (the brain MRI hospitals):
the noise is shared out under secure sums, seeds 0 to 2. Each finished training is kept in
``benchmarks/results/medicine_privacy-runs.json``, and the next call resumes from there; ``--recipes``, ``--epsilons``,
``--seeds`` and ``--most`` choose a part.

Rates, rounds, clip and averaging of ``halves`` and ``slices``, and which of the two is ``auroc_eps8_best``, are what
``make bench-private-choice`` chose on seeds 10 to 33: nothing here is chosen by seeds 0 to 2. The other rows are
there to compare with; their rates were chosen by validation patients of seeds 0 to 2 and 10 to 13.
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

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from measure import RESULTS, known, report
from private_loop import EPSILONS, STUDY, hospitals
from wardround_client import networks
from wardround_client.preparation.examples import Examples
from wardround_client.prior.learning import Lesson, learn
from wardround_client.training.evaluation import probabilities_of, sums_of
from wardround_common.messages.parameters import Vector
from wardround_common.metrics.ranking import count_by_score, roc_area
from wardround_common.study.file import Study, read_study
from wardround_common.study.weights import Weights
from wardround_server.rounds.course import run_study
from wardround_server.rounds.secure_rounds import Consortium, FolderJournal
from wardround_simulation import jobs
from wardround_simulation.federation import Federation, Site, alone_study, insecure_roster, open_hospital

RUNS = RESULTS / "medicine_privacy-runs.json"
SEEDS = (0, 1, 2)
CHOICE = known("private_choice")
VALIDATION, TEST, HALF = ", validation", ", test", ", half width"
"""Of a training: AUROC of validation and of test patients, and half the width of the latter's 95 % interval."""
RESAMPLES = 2000


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


def halves(record: str, words: str) -> Recipe:
    """Return the recipe of few directions that was chosen for this kind of record: every patient in each step."""
    rate, rounds, clip, average = (CHOICE[f"chosen_{record}_{of}"] for of in ("rate", "rounds", "clip", "mean_of_last"))
    settings: dict[str, object] = {
        "data.record": record,
        "model.network": "halves",
        "model.train": "head",
        "training.rounds": int(rounds),
        "training.learning_rate": rate,
        "privacy.clip_norm": clip,
        "privacy.sampling_rate": 1.0,
        "evaluation.every": int(rounds),
    }
    if average > 1:
        settings |= {"evaluation.keep": "mean-of-last", "evaluation.average": int(average)}
    return Recipe(words, settings, steps=600)


RECIPES = {
    "halves": halves("image", "few directions of an image and its halves"),
    "slices": halves("slice", "the same of each image among others of its series"),
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
    return run_study(study, exchange, lambda event: None, None, consortium).chosen.model


def judged(parameters: Vector, study: Study, sites: tuple[Site, ...], weights: Path | None) -> dict[str, float]:
    """Return the AUROC of validation and of test patients, each averaged over the hospitals, and how sure it is."""
    found: dict[str, list[float]] = {VALIDATION: [], TEST: []}
    drawn, rng = [], np.random.default_rng(0)
    for site in sites:
        hospital = open_hospital(Federation(alone_study(study), (site,), weights=weights), site.name)
        networks.write_vector(hospital.built.network, hospital.built.layout, parameters)
        for split, values in found.items():
            examples = hospital.dataset.validation if split == VALIDATION else hospital.dataset.test
            area = sums_of(hospital.built.network, study, examples).auroc()
            values.extend([] if area is None else [area])
        tested = hospital.dataset.test
        drawn.append(resampled(probabilities_of(hospital.built.network, tested)[:, 1], tested, rng))
    low, high = np.nanquantile(np.mean(drawn, axis=0), [0.025, 0.975])
    return {split: statistics.mean(values) for split, values in found.items()} | {HALF: float(high - low) / 2}


def resampled(scores: NDArray[np.float32], examples: Examples, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the AUROC of resamples of the patients, each with all images: (RESAMPLES,), NaN without both classes."""
    _, whose = np.unique(examples.patients, return_inverse=True)
    count = int(whose.max()) + 1
    often = rng.multinomial(count, [1 / count] * count, RESAMPLES)[:, whose]
    return roc_area(*count_by_score(scores, examples.targets == 1, often.astype(np.float64)))


def trainings(recipes: Sequence[str], epsilons: Sequence[int], seeds: Sequence[int]) -> Iterator[Training]:
    """List what is to be trained, seed by seed, so that a part of it has something of everything."""
    return (Training(recipe, epsilon, seed) for seed in seeds for epsilon in epsilons for recipe in recipes)


def kept() -> dict[str, dict[str, float]]:
    """Return what was trained before, by training."""
    flat: dict[str, float] = json.loads(RUNS.read_text()) if RUNS.exists() else {}
    found: dict[str, dict[str, float]] = {}
    for key, value in flat.items():
        training, comma, of = key.rpartition(", ")
        found.setdefault(training, {})[comma + of] = value
    return found


def keep(done: Mapping[str, Mapping[str, float]]) -> None:
    """Keep what is trained."""
    flat = {key + of: value for key, found in done.items() for of, value in found.items()}
    RUNS.write_text(json.dumps(flat, indent=1) + "\n")


def figures(done: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Average over the seeds that are there; the best is the recipe that was chosen before them."""
    found: dict[str, float] = {}
    for epsilon in EPSILONS:
        for recipe in RECIPES:
            values = [done[one.key] for one in trainings([recipe], [epsilon], SEEDS) if one.key in done]
            if not values:
                continue
            name, test = f"auroc_eps{epsilon}_{recipe.replace('-', '_')}", [value[TEST] for value in values]
            found |= {name: statistics.mean(test), f"{name}_seeds": len(values)}
            found[f"{name}_validation"] = statistics.mean(value[VALIDATION] for value in values)
            if len(values) > 1:
                found[f"{name}_sd"] = statistics.stdev(test)
            if all(HALF in value for value in values):
                found[f"{name}_half_width"] = statistics.mean(value[HALF] for value in values)
        best = f"auroc_eps{epsilon}_{'slices' if CHOICE['chosen_is_slice'] else 'halves'}"
        if found.get(f"{best}_seeds") == len(SEEDS):
            found[f"auroc_eps{epsilon}_best"] = found[best]
    return found


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
            values = judged(model, study, sites, weights)
            done[one.key] = {of: round(value, 5) for of, value in values.items()}
            print(one.recipe, one.epsilon, one.seed, done[one.key], flush=True)
            RESULTS.mkdir(exist_ok=True)
            keep(done)
    report("medicine_privacy", figures(done), MEANINGS)


MEANINGS = {
    "auroc_eps8_best": "the recipe that was chosen on other seeds, on test patients of seeds 0 to 2",
    "auroc_eps8_slices_half_width": "of the 95 % interval of one seed's test patients, resampled; mean over seeds",
}


if __name__ == "__main__":
    main()
