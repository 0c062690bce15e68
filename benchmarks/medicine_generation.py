"""Made images: whether they help a small hospital, and whether their generator tells who was trained on.

Run with ``python benchmarks/medicine.py DIR --only generation``, where ``DIR`` holds one folder a hospital with labels
(the brain MRI hospitals), or these as its folder ``brain_mri``. Hospitals train a generator together, without privacy
and with shared noise at epsilon 8. The smallest hospital then trains a classifier on its own images, and on these with
made ones, by the same number of steps; it is judged on the test patients of all hospitals. Finished generators are kept
under ``--out`` and not trained again; figures are written after each seed, and beside them of how many seeds they are.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from trained import Arguments, hospitals_in, over_seeds, run
from wardround_client import networks
from wardround_client.generation.checking import area, by_patient, losses_of
from wardround_client.generation.drawing import drawn
from wardround_client.prediction.model import Model
from wardround_client.preparation.dataset import Dataset, prepare, take_in
from wardround_client.preparation.examples import Examples
from wardround_client.training.evaluation import probabilities_of
from wardround_client.training.local_work import LocalRun, train
from wardround_common.randomness import insecure_stream
from wardround_common.results.model_folder import MODEL
from wardround_common.study.file import Study, parse_study
from wardround_common.study.template import study_text

CLASSES = ("none", "tumour")
SIZE, STEPS, BATCH, MADE = 32, 400, 16, 500
MEANINGS = {
    "generator_seeds": "how many seeds the figures of made images are the mean over",
    "auroc_small_alone": "classifier of the smallest hospital, mean over the hospitals' test patients and seeds",
    "auroc_small_with_made": f"the same with {MADE} made images beside its own, by as many steps",
    "auroc_small_with_made_eps8": "the same, of a generator with shared noise at epsilon 8",
    "auroc_made_only": "a classifier that saw no image but made ones",
    "auroc_made_only_eps8": "the same, of the generator at epsilon 8",
    "auroc_membership_generator": "training against test patients by the generator's bound, mean over hospitals, seeds",
    "auroc_membership_generator_eps8": "the same, of the generator at epsilon 8",
}


def generator_study(*, private: bool, changed: dict[str, dict[str, object]], sampler: str = "prior") -> Study:
    """Return the study of a generator, whose latent numbers are drawn by the sampler."""
    own: dict[str, dict[str, object]] = {
        "task": {"classes": list(CLASSES), "sampler": sampler},
        "data": {"modalities": ["MR"], "image_size": SIZE},
        "training": {"rounds": 60},
        "aggregation": {"min_hospitals": 3},
        "evaluation": {"validation": 0.15, "test": 0.25, "every": 20},
    }
    if private:
        own["privacy"] = {"delta": 1e-3, "colluders": 0}
    for section, values in changed.items():
        own[section] = own.get(section, {}) | values
    name = f"generator{'-eps8' if private else ''}"
    return parse_study(study_text(name, task="generation", dp=private, distributed=private, own=own))


def main(typed: Arguments) -> None:
    """Run what is missing, print the figures, and write after each seed those of the seeds that are done."""
    typed = replace(typed, data=hospitals_in(typed.data, "brain_mri"))
    over_seeds(typed, lambda seed: _seed(typed, seed), MEANINGS, "generator_seeds")


def _seed(typed: Arguments, seed: int) -> dict[str, float]:
    models = {}
    for words, private in (("", False), ("_eps8", True)):
        study = generator_study(private=private, changed=typed.changed)
        study = study.model_copy(update={"model": study.model.model_copy(update={"seed": seed})})
        run(study, seed, typed, baselines=False)
        folder = typed.out / f"{study.study.name}-{study.digest()[:8]}-{seed}"
        models[words] = opened(study, (folder / MODEL).read_bytes())
    sites = {site.name: site.sources[0] for site in typed.sites()}
    of = models[""].study
    data = {name: prepare(source, of, *take_in(source, of)) for name, source in sites.items()}
    small = min(data, key=lambda name: data[name].train.patient_count)
    own = _labelled(data[small].train)
    figures = {"auroc_small_alone": _judged([own], data, of, seed)}
    for words, model in models.items():
        made = _made(model, seed)
        figures[f"auroc_small_with_made{words}"] = _judged([own, made], data, of, seed)
        figures[f"auroc_made_only{words}"] = _judged([made], data, of, seed)
        figures[f"auroc_membership_generator{words}"] = _membership(model, data)
    print(f"seed {seed}:", {name: round(value, 3) for name, value in figures.items()}, f"smallest: {small}")
    return figures


def opened(study: Study, content: bytes) -> Model:
    """Return a generator from the weights that its run wrote."""
    network = networks.build(study)
    vector = networks.read_whole(content, study, network, where=MODEL)
    networks.write_vector(network, networks.layout_of(network), vector)
    return Model(study, None, network.eval())  # type: ignore[arg-type]  # no release: nothing is stated


Some = tuple[NDArray[np.float32], NDArray[np.int64]]


def _labelled(examples: Examples) -> Some:
    return examples.images(np.arange(len(examples))), examples.targets[:, 0].astype(np.int64)


def _made(model: Model, seed: int) -> Some:
    images = list(drawn(model, MADE, seed))
    return np.stack([one.pixels for one in images]), np.array([CLASSES.index(one.word) for one in images])


def _judged(parts: Sequence[Some], data: dict[str, Dataset], of: Study, seed: int) -> float:
    """Train a classifier on images, and return its AUROC on test patients, the mean over the hospitals."""
    images, labels = (np.concatenate(each) for each in zip(*parts, strict=True))
    examples = Examples(images, np.arange(len(images)), labels, np.arange(len(images)))
    tables = of.tables(nulls=False)
    study = Study.model_validate(
        tables
        | {
            "task": {"name": "classification", "classes": CLASSES},
            "model": {"network": "small-cnn", "seed": seed},
            "training": {
                "strategy": "fedavg",
                "rounds": 1,
                "local_epochs": STEPS * BATCH / len(images),
                "batch_size": BATCH,
                "optimiser": "adamw",
                "learning_rate": 1e-3,
                "weight_decay": 1e-4,
                "augmentations": ("flip", "shift", "rotate", "scale", "intensity"),
            },
        }
    )
    network = networks.build(study)
    layout = networks.layout_of(network)
    local = LocalRun(study, network, layout, examples, None, insecure_stream(seed, "classifier"))
    train(local, networks.read_vector(network), 1)
    found = []
    for one in data.values():
        targets = one.test.targets[:, 0].astype(np.int64)
        test = replace(one.test, targets=targets)
        scores = probabilities_of(network, test)[:, 1].astype(np.float64)
        found.append(area(scores[targets == 1], scores[targets == 0]))
    return statistics.mean(found)


def _membership(model: Model, data: dict[str, Dataset]) -> float:
    found = []
    for one in data.values():
        inside, outside = (by_patient(-losses_of(model, part), part.patients) for part in (one.train, one.test))
        found.append(area(inside, outside))
    return statistics.mean(found)
