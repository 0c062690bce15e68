"""Small valid things that many tests start from."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Any

import numpy as np

from wardround_client.preparation.dataset import Dataset, Intake
from wardround_client.preparation.examples import Examples
from wardround_common.randomness import insecure_stream
from wardround_common.study.file import Study

STUDY: dict[str, dict[str, Any]] = {
    "study": {"name": "test"},
    "task": {"name": "classification", "classes": ["none", "finding"]},
    "data": {"modalities": ["DX"], "image_size": 16, "intensity": "range"},
    "model": {"network": "small-cnn"},
    "training": {
        "strategy": "fedavg",
        "rounds": 3,
        "local_epochs": 1.0,
        "batch_size": 8,
        "optimiser": "sgd",
        "learning_rate": 0.05,
    },
    "privacy": {"mechanism": "none"},
    "aggregation": {"min_hospitals": 2, "secure": False},
    "evaluation": {"validation": 0.2, "test": 0.2},
}
DP = {"mechanism": "dp-sgd", "epsilon": 8.0, "delta": 1e-3, "clip_norm": 1.0}


def study(**sections: dict[str, Any]) -> Study:
    """Return the small study with some keys of some sections set otherwise; privacy is replaced whole."""
    tables = {
        name: (sections[name] if name == "privacy" else table | sections[name]) if name in sections else table
        for name, table in STUDY.items()
    } | {name: table for name, table in sections.items() if name not in STUDY}
    return Study.model_validate(tables)


def dataset(seed: int = 0, patients: int = 20, images_per_patient: int = 1, size: int = 16) -> Dataset:
    """Make noise images with a bright spot for the finding: a fifth each for validation and test."""
    stream = insecure_stream(seed, "test data")
    count = patients * images_per_patient
    images = (0.3 * stream.uniform(count * size * size)).astype(np.float32).reshape(count, 1, size, size)
    patient_of = np.repeat(np.arange(patients), images_per_patient)
    labels = patient_of % 2
    images[labels == 1, :, 4:9, 4:9] += 0.5
    fifth = max(1, patients // 5)
    part = np.where(patient_of < fifth, 2, np.where(patient_of < 2 * fifth, 1, 0))

    def examples(number: int) -> Examples:
        rows = np.flatnonzero(part == number)
        return Examples(images, rows, labels[rows], patient_of[rows])

    names = tuple(f"patient {number}" for number in range(patients))
    intake = Intake({}, {}, (), 0, ())
    return Dataset(examples(0), examples(1), examples(2), intake, f"made from seed {seed}", names)


def untrained(seed: int = 0, patients: int = 20) -> Dataset:
    """Make the same for a hospital that only evaluates: all patients test."""
    data = dataset(seed, patients)
    parts = (data.train, data.validation, data.test)
    rows, targets, of = (np.concatenate([getattr(p, name) for p in parts]) for name in ("rows", "targets", "patients"))
    nobody = Examples(data.train.kept, rows[:0], targets[:0], of[:0])
    everybody = Examples(data.train.kept, rows, targets, of)
    return replace(data, train=nobody, validation=nobody, test=everybody, trains=False)


def hear_interrupts() -> None:
    """Let a new process hear Ctrl-C, also where the tests run in the background of a shell, which turns it off."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
