"""Wardround: the whole command's work by its Python door, on its own engine or on Flower's (Ray)."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.numpy import load_file
from work import HOSPITALS, PLACE, ROUNDS, SAID, WORK, keep, mark

import wardround
from wardround_simulation.run.plan import Progress


def show(progress: Progress) -> None:
    """Mark the end of each round."""
    if progress.phase == "training":
        mark(progress.done)


def main() -> None:
    """Do the rounds."""
    wardround.simulate(
        wardround.Study.model_validate(SAID["study"]),
        wardround.pool(Path(SAID["pool"]), split=HOSPITALS),
        out=PLACE / "run",
        workers=1,
        device="cpu",
        baselines=False,
        engine="flower" if sys.argv[1:] == ["flower"] else "in-process",
        state=Path(SAID["state"]),
        progress=show,
    )
    first = torch.load(WORK / "first.pt", weights_only=True)
    model = load_file(PLACE / "run" / "model.safetensors")
    keep({name: torch.from_numpy(model[name]) for name in first})
    if not (PLACE / f"mark-{ROUNDS}").exists():
        raise SystemExit("a round was not marked")


if __name__ == "__main__":
    main()
