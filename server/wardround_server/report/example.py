"""Invented results of a run that never was: to look at the report without training anything.

``python -m wardround_server.report FOLDER`` writes one. The scores are drawn from normal distributions whose
distance says how good a model is; the metrics, intervals and curves are then computed as those of a real run.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from wardround_common.metrics import PatientSums, ScoreSums, vector_length
from wardround_common.results import (
    ALL,
    FEDERATED,
    POOLED,
    Absence,
    Headline,
    HospitalRecord,
    PrivacySpent,
    Results,
    RoundRecord,
    SiteMetrics,
    SplitCounts,
    alone,
    evaluate,
)
from wardround_common.study.file import Study, parse_study

NAMES = ("Northfield General", "St Anselm", "Harbour Clinic", "University Hospital East", "Lakeside", "Old Mill")
SCANNERS = ("Aquila CR-200", "Borealis DX", "Cetus Digital", "Draco 1.5T", "Equuleus", "Fornax")
NOTES = (
    "These numbers are invented: no model was trained and no patient exists.",
    "The noise was made from a seed, so that the run can be repeated: this model must not be released as private.",
)


def example_study(*, classes: int = 2, private: bool = True, rounds: int = 30) -> Study:
    """Return the study that the invented run followed."""
    words = ("normal", "opacity") if classes == 2 else tuple(f"class {k}" for k in range(1, classes + 1))
    privacy = 'mechanism = "dp-sgd"\nepsilon = 8.0\ndelta = 1e-5\nclip_norm = 1.0' if private else 'mechanism = "none"'
    return parse_study(
        f"""
        [study]
        name = "chest-opacity"
        [task]
        name = "classification"
        classes = {list(words)}
        [data]
        modalities = ["CR", "DX"]
        image_size = 64
        intensity = "percentile"
        [model]
        network = "small-cnn"
        [training]
        strategy = "fedavg"
        rounds = {rounds}
        local_epochs = 1
        batch_size = 32
        optimiser = "sgd"
        learning_rate = 0.1
        [privacy]
        {privacy}
        [aggregation]
        min_hospitals = 2
        secure = false
        [evaluation]
        validation = 0.15
        test = 0.25
        """
    )


def example(
    *, classes: int = 2, hospitals: int = 4, private: bool = True, baselines: bool = True, one_class: bool = False
) -> Results:
    """Invent the results of a run; ``one_class`` leaves the last hospital without the finding."""
    study = example_study(classes=classes, private=private)
    names = [NAMES[k] if k < len(NAMES) else f"Hospital {k + 1}" for k in range(hospitals)]
    started = datetime(2025, 3, 4, 9, 30, tzinfo=UTC)
    return Results(
        run="chest-opacity-example",
        study=study,
        study_digest=study.digest(),
        seed=1,
        versions={"wardround": "0.1.0", "flwr": "1.42.0", "torch": "2.13.0", "opacus": "1.6.0", "monai": "1.6.1"},
        devices=("CPU, 2 threads",),
        engine="in process",
        started=started,
        finished=started + timedelta(seconds=171),
        hospitals=tuple(_hospital(k, name, classes, private) for k, name in enumerate(names)),
        rounds=tuple(_round(n, names, private) for n in range(1, study.training.rounds + 1)),
        evaluation=_evaluation(names, classes, baselines, one_class),
        notes=NOTES if private else NOTES[:1],
    )


def _hospital(k: int, name: str, classes: int, private: bool) -> HospitalRecord:
    patients = 420 - 70 * (k % 5)
    sizes = (round(patients * 0.6), round(patients * 0.15), patients // 4)
    parts = [SplitCounts(patients=n, images=n * 2, per_class=_shares(n * 2, classes, k)) for n in sizes]
    steps = 30 * (sizes[0] // 32)
    spent = PrivacySpent(
        epsilon=8.0 - 0.6 * (k % 4), delta=1e-5, noise_multiplier=0.9, sampling_rate=32 / sizes[0], steps=steps
    )
    return HospitalRecord(
        name=name,
        train=parts[0],
        validation=parts[1],
        test=parts[2],
        scanners=(SCANNERS[k % len(SCANNERS)],),
        privacy=spent if private else None,
    )


def _shares(images: int, classes: int, k: int) -> tuple[int, ...]:
    weights = np.random.default_rng(k).dirichlet(np.full(classes, 6.0))
    counts = np.floor(weights * images).astype(int)
    counts[0] += images - counts.sum()
    return tuple(counts.tolist())


def _round(number: int, names: list[str], private: bool) -> RoundRecord:
    rng = np.random.default_rng(1000 + number)
    away = names[-1:] if number in (7, 8, 19) and len(names) > 2 else []
    learnt = 1 - np.exp(-number / 8)
    return RoundRecord(
        number=number,
        seconds=float(3.8 + rng.gamma(2, 0.25) + (4 if number == 1 else 0)),
        bytes_to_hospitals=412_000 * len(names),
        bytes_from_hospitals=428_400 * (len(names) - len(away)),
        training_loss=float(0.7 - 0.33 * learnt + rng.normal(0, 0.012)),
        validation_loss=float(0.7 - 0.27 * learnt + rng.normal(0, 0.008)),
        headline=Headline(metric="auroc", value=float(min(0.52 + 0.37 * learnt + rng.normal(0, 0.006), 1))),
        answered=tuple(name for name in names if name not in away),
        absent=tuple(Absence(hospital=name, kind="silent") for name in away),
        epsilons={name: (8.0 - 0.6 * (k % 4)) * (number / 30) ** 0.6 for k, name in enumerate(names)}
        if private
        else {},
    )


def _evaluation(names: list[str], classes: int, baselines: bool, one_class: bool) -> dict[str, dict[str, SiteMetrics]]:
    skills = {FEDERATED: np.full(len(names), 1.35)}
    if baselines:
        for k, name in enumerate(names):
            skills[alone(name)] = 0.8 - 0.08 * (k % 3) + 0.3 * (np.arange(len(names)) == k)
        skills[POOLED] = np.full(len(names), 1.42)
    evaluation, section = {}, example_study(classes=classes).task
    for row, (model, skill) in enumerate(skills.items()):
        rng = np.random.default_rng(row)
        validation = _sums(400, classes, float(skill.mean()), 0, False, rng).total()
        threshold = ScoreSums.from_vector(validation, classes).operating_threshold(0.9)
        groups = [
            _sums(
                2 * ((420 - 70 * (k % 5)) // 4),
                classes,
                float(s),
                0.25 * (k % 3 - 1),
                one_class and name == names[-1],
                rng,
            )
            for k, (name, s) in enumerate(zip(names, skill, strict=True))
        ]
        whole = groups[0]
        for group in groups[1:]:
            whole = whole + group
        evaluation[model] = {
            site: evaluate(section, sums, threshold, resamples=400, rng=rng)
            for site, sums in zip([*names, ALL], [*groups, whole], strict=True)
        }
    return evaluation


def _sums(
    images: int, classes: int, skill: float, shift: float, one_class: bool, rng: np.random.Generator
) -> PatientSums:
    patients = np.arange(images) // 2
    labels = np.zeros(images, np.int64) if one_class else rng.integers(0, classes, images // 2 + 1)[patients]
    logits = rng.normal(size=(images, classes)) * 1.1
    logits[np.arange(images), labels] += skill
    logits[:, -1] += shift
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    losses = -np.log(p[np.arange(images), labels])
    of = (np.flatnonzero(patients == patient) for patient in range(int(patients.max()) + 1))
    vectors = (ScoreSums.of(labels[rows], p[rows].astype(np.float32), losses[rows]).to_vector() for rows in of)
    return PatientSums.of(vectors, vector_length(classes))
