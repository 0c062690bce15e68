"""The demo: four synthetic hospitals, small enough for a laptop, hard enough that none does well alone."""

from __future__ import annotations

import shutil
from pathlib import Path

from rich.console import Console

from wardround_common.storage import no_room_is_said
from wardround_common.study import Study
from wardround_simulation.phantoms import CLASSES, make_hospitals

SEED = 0


def demo_study() -> Study:
    """Give the demo's study: differential privacy is on, at each hospital on its own."""
    return Study.model_validate(
        {
            "study": {"name": "demo", "task": "classification", "classes": list(CLASSES)},
            "data": {"modalities": ["MG", "CR"], "image_size": 48, "intensity": "percentile"},
            "model": {"network": "tiny-cnn"},
            "training": {
                "strategy": "fedavg",
                "rounds": 30,
                "local_epochs": 1.0,
                "batch_size": 60,
                "optimiser": "sgd",
                "learning_rate": 1.0,
                "schedule": "cosine",
                "momentum": 0.9,
            },
            "privacy": {"mechanism": "dp-sgd", "epsilon": 8.0, "delta": 1e-5, "clip_norm": 1.0},
            "aggregation": {"min_hospitals": 4},
            "evaluation": {"validation": 0.15, "test": 0.25},
        }
    )


def make_demo_hospitals(folder: Path, console: Console) -> Path:
    """Make the hospitals' folders unless they are there; a half-made folder is made anew."""
    if folder.exists():
        return folder
    making = folder.with_name(f".{folder.name}.making")
    with no_room_is_said(folder), console.status("Making four synthetic hospitals as DICOM"):
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        make_hospitals(making, seed=SEED)
        making.rename(folder)
    return folder
