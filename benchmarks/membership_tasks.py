"""What exact sums of the other tasks tell of one whose image and outcome somebody has: risk, numbers, grades, outlines.

A part of ``make bench-membership``, which says how patients are drawn; the sums are those that leave a hospital, whole.
For each patient their own contribution to every number is computed by each evaluated round's model. Counts: how many
are counted where the patient would be, over how many would be expected, multiplied over the numbers and the
evaluations. Amounts (losses, errors, sums of a value): the likelihood ratio of a Gaussian, over all evaluations
together, whose mean and covariance images of others tell. An attacker tries both, and their product, on those images:
the best of the three is told, as the chance that a patient who is among them gets more than one who is not. The same
of risks in levels (``[evaluation] levels``), and of the sums of features that ``unlike.json`` has (``[evaluation]
usual``), after the last round.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from robust import Hospitals, study
from wardround_client import networks
from wardround_client.hospital.answering import build
from wardround_client.preparation.examples import Examples
from wardround_client.tasks.outline_measures import Places
from wardround_client.tasks.registry import local_task
from wardround_client.training.evaluation import patient_sums
from wardround_client.training.features import features_of
from wardround_common.metrics.ranking import roc_area
from wardround_common.metrics.unlike import FeatureSums
from wardround_common.study.file import Study
from wardround_common.tasks.registry import task_of
from wardround_simulation.phantoms import make_hospitals

PATIENTS, ROUNDS, DRAWS = 1000, 30, 20
SIZES, EVALUATIONS = (80, 320), (1, 10)
LARGEST_COUNT = 2**12
"""A number that is never larger for one patient is a count; amounts are in units of 2^-20."""
SMALLEST_SHARE = 1e-9
"""Of the variance of a direction, before which it is that of rounding."""
UNET = {"network": "tiny-unet", "norm": "instance"}
TASKS: dict[str, dict[str, dict[str, Any]]] = {
    "risk": {"task": {"name": "risk", "times": [1.0, 2.0, 3.0, 5.0], "unit": "years"}},
    "numbers": {"task": {"name": "measurement", "quantity": "gland", "unit": "%", "low": 5.0, "high": 20.0}},
    "grades": {"task": {"name": "grades", "classes": ["0", "1", "2", "3"]}},
    "boxes": {"task": {"name": "detection", "classes": ["mass"]}, "model": UNET},
    "outlines": {"task": {"name": "segmentation", "classes": ["mass"]}, "model": UNET},
}
LEVELLED, FEATURES = "risk_levels", "features"
MEANINGS = {
    f"among_{task}_{size}_{count}": f"{task}: who is among {size} validation patients, evaluations: {count}"
    for task in (*TASKS, LEVELLED)
    for size in SIZES
    for count in EVALUATIONS
} | {f"among_{FEATURES}_{size}": f"who is among {size}, by the sums of features in unlike.json" for size in SIZES}
Numbers = NDArray[np.int64]


def figures() -> dict[str, float]:
    """Measure all tasks."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_hospitals(folder / "hospitals", seed=0, patients=PATIENTS)
        for task in TASKS:
            found |= of_task(task, folder)
    return found


def of_task(task: str, folder: Path) -> dict[str, float]:
    """Train the task's study on the hospitals in a folder, and return its figures."""
    found = {}
    for name, sums in summed(task, folder).items():
        for size in SIZES:
            if name == FEATURES:
                found[f"among_{name}_{size}"] = told(sums, size, np.random.default_rng(size))
                continue
            for count in EVALUATIONS:
                rng = np.random.default_rng([size, count])
                found[f"among_{name}_{size}_{count}"] = told(sums[-count:], size, rng)
    return found


def summed(task: str, folder: Path) -> dict[str, list[Numbers]]:
    """Return by what they are called and by evaluation what each patient adds (patients, numbers that are not all 0).

    Of risks also in levels; of grades also the sums of features, by the last round's model.
    """
    if task == "grades":
        _graded(folder / "hospitals")
    trained = {**TASKS, "outlines": TASKS["boxes"]}[task]
    tables = study(ROUNDS).but({"evaluation.validation": 0.4, "evaluation.test": 0.4, "evaluation.every": ROUNDS})
    of = Study.model_validate(tables.tables(nulls=False) | trained)
    hospitals = Hospitals(of, folder / "hospitals", folder / task)
    everywhere = list(hospitals.at.values())
    parts = [part for one in everywhere for part in (one.dataset.validation, one.dataset.test)]
    if task == "outlines":
        return {task: _outlined(of, [one.dataset.train for one in everywhere], parts)}
    hospitals.run()
    built, sums = everywhere[0].built, list[Numbers]()
    for at in np.linspace(ROUNDS / max(EVALUATIONS), ROUNDS, max(EVALUATIONS)).round().astype(int) - 1:
        networks.write_vector(built.network, built.layout, hospitals.states[at].parameters)
        vectors = [list(patient_sums(built.network, of, part).vectors()) for part in parts]
        sums.append(np.stack([one for some in vectors for one in some]))
    if task == "risk":
        return {task: [_moving(one) for one in sums], LEVELLED: [_moving(_in_levels(of, one)) for one in sums]}
    if task != "grades":
        return {task: [_moving(one) for one in sums]}
    features = np.concatenate([features_of(built.network, of, part)[0] for part in parts])
    moments = np.stack([FeatureSums.of(one[None]).to_vector()[1:] for one in features])
    return {task: [_moving(one) for one in sums], FEATURES: [moments]}


def _moving(sums: Numbers) -> Numbers:
    return sums[:, sums.any(axis=0)]


def _in_levels(of: Study, sums: Numbers) -> Numbers:
    task = task_of(of.task)
    return np.stack([task.read(one, of.task).in_levels().to_vector() for one in sums])


def _graded(folder: Path) -> None:
    """Label each image by the quarter of the hospital's patients in which its glandular tissue lies."""
    for file in folder.glob("*/labels.csv"):
        rows = list(csv.DictReader(file.read_text().splitlines()))
        gland = np.array([float(row["gland"]) for row in rows])
        grades = np.searchsorted(np.quantile(gland, (0.25, 0.5, 0.75)), gland)
        lines = [f"{row['file']},{row['patient']},{grade}" for row, grade in zip(rows, grades, strict=True)]
        file.write_text("\n".join(["file,patient,label", *lines]) + "\n")


def _outlined(of: Study, train: list[Examples], parts: list[Examples]) -> list[Numbers]:
    """Return by evaluation what each patient adds to sums over outlines: of the ellipse in each box, of one slice."""
    tables = {**of.tables(nulls=False), **TASKS["outlines"]}
    tables["data"] = {**tables["data"], "series": [{"role": "made", "description": ["*"]}]}
    outlining = Study.model_validate(tables)
    local, network = local_task(outlining.task), build(outlining).network
    images, masks = _pairs(train)
    loss = local.loss(outlining.task, outlining.training, torch.device("cpu"))
    steps = torch.optim.Adam(network.parameters(), 1e-3)
    torch.manual_seed(0)
    judged, sums = _pairs(parts), []
    for number in range(1, ROUNDS + 1):
        network.train()
        for some in torch.randperm(len(images)).split(16):
            steps.zero_grad()
            loss(network(images[some]), masks[some]).mean().backward()
            steps.step()
        if number % (ROUNDS // max(EVALUATIONS)) == 0:
            sums.append(_moving(np.stack(list(_of_each(outlining, network, *judged)))))
    return sums


def _pairs(parts: list[Examples]) -> tuple[torch.Tensor, torch.Tensor]:
    images = np.concatenate([part.images(np.arange(len(part))) for part in parts])
    boxes = np.concatenate([part.targets[:][:, 0] for part in parts])  # of each image the only one, or none
    down, across = np.mgrid[: images.shape[2], : images.shape[3]] + 0.5
    top, left, bottom, right, _ = np.moveaxis(boxes[:, :, None, None], 1, 0)
    height, width = np.maximum(bottom - top, 1e-6), np.maximum(right - left, 1e-6)
    inside = ((2 * down - top - bottom) / height) ** 2 + ((2 * across - left - right) / width) ** 2 <= 1
    return torch.from_numpy(images), torch.from_numpy(inside.astype(np.uint8))


@torch.no_grad()
def _of_each(of: Study, network: torch.nn.Module, images: torch.Tensor, masks: torch.Tensor) -> Iterator[Numbers]:
    network.eval()
    outputs = torch.cat([network(some) for some in images.split(256)])
    alone = Places(np.zeros(1, np.int64), np.zeros(1), np.ones((1, 3)))
    for at in range(len(images)):
        one = slice(at, at + 1)
        yield local_task(of.task).sums(of.task, outputs[one], masks[one], np.zeros(1, np.int64), alone).to_vector()


def told(sums: list[Numbers], size: int, rng: np.random.Generator) -> float:
    """Return how well sums tell who is among ``size`` drawn patients: the best of three attacks, mean over draws."""
    counts, amounts = [], []
    for one in sums:
        counted = one.max(axis=0) <= LARGEST_COUNT
        counts.append(csr_array(one[:, counted].astype(np.float64)))
        amounts.append(one[:, ~counted].astype(np.float64))
    together = np.concatenate(amounts, axis=1)
    return float(np.mean([_draw(counts, together, size, rng) for _ in range(DRAWS)], axis=0).max())


def _draw(counts: list[csr_array], amounts: NDArray[np.float64], size: int, rng: np.random.Generator) -> list[float]:
    order = rng.permutation(len(amounts))
    inside, asked, known = order[:size], order[: 2 * size], order[2 * size :]
    product = np.zeros(2 * size)
    for one in counts:
        there, expected = one[inside].sum(axis=0), (one[known].sum(axis=0) + 0.5) * size / len(known)
        product += one[asked] @ np.log((there + 1e-3) / expected)
    likely = _likely(amounts, inside, asked, known)
    return [_area(each[:size], each[size:]) for each in (product, likely, product + likely)]


def _likely(amounts: NDArray[np.float64], inside: Numbers, asked: Numbers, known: Numbers) -> NDArray[np.float64]:
    """Return the logarithm of how much likelier the sums over ``inside`` are with each of ``asked`` (asked,)."""
    mean, spread = amounts[known].mean(axis=0), amounts[known].std(axis=0)
    moving = spread > 0
    if not moving.any():
        return np.zeros(len(asked))
    values = (amounts[:, moving] - mean[moving]) / spread[moving]
    variances, directions = np.linalg.eigh(np.atleast_2d(np.cov(values[known].T)))
    kept = variances > SMALLEST_SHARE * variances[-1]
    values = values @ (directions[:, kept] / np.sqrt(variances[kept]))
    of_all, own = values[inside].sum(axis=0), values[asked]
    n = len(inside)
    likely: NDArray[np.float64] = of_all @ of_all / (2 * n) - ((of_all - own) ** 2).sum(axis=1) / (2 * (n - 1))
    return likely


def _area(among: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    ranks = np.unique(np.concatenate([others, among]), return_inverse=True)[1]
    most = len(ranks)
    return float(roc_area(*(np.bincount(some, minlength=most) for some in np.split(ranks, [len(others)]))))
