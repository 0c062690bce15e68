"""What all programs of the comparison do alike: the images, the network, one hospital's round, the marks.

Read by each peer's own environment, which has torch, NumPy and the peer, and nothing of Wardround.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tree import processor_s

PLACE = Path(os.environ["PEERS_PLACE"])
"""Folder of this run: the marks and the final model are written here."""
WORK = Path(os.environ["PEERS_WORK"])
"""Folder of what is to be done: ``work.json``, the hospitals' arrays, the first model."""
SAID = json.loads((WORK / "work.json").read_text())
HOSPITALS, BATCH, RATE = SAID["hospitals"], SAID["batch"], SAID["rate"]
ROUNDS = int(os.environ["PEERS_ROUNDS"])

torch.set_num_threads(1)


class Network(nn.Module):
    """Wardround's small CNN as a researcher would write it for a peer; the first model fits it by its names."""

    def __init__(self) -> None:
        """Build it for images of one channel and two classes."""
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(1, 16, 5, 2, padding=2, bias=False), nn.GroupNorm(4, 16), nn.ReLU()),
            *(nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.GroupNorm(8, 32), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 3, padding=1, bias=False), nn.GroupNorm(8, 64), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(64, 128, 3, padding=1, bias=False), nn.GroupNorm(8, 128), nn.ReLU()),
        )
        self.classify = nn.Linear(256, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (images, 2)."""
        maps = self.features(images)
        return self.classify(torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1))  # type: ignore[no-any-return]


class Arrays:
    """One hospital's training images and labels, and in which order each round takes them."""

    def __init__(self, number: int) -> None:
        """Read them into this process."""
        with np.load(WORK / f"{number}.npz") as kept:
            self.images, self.labels = torch.from_numpy(kept["images"]), torch.from_numpy(kept["labels"])
            self.orders = torch.from_numpy(kept["orders"])  # (rounds, images)

    def in_order(self, past: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images and labels as the round takes them that comes after ``past`` rounds."""
        rows = self.orders[past]
        return self.images[rows], self.labels[rows]


def first_model() -> dict[str, torch.Tensor]:
    """Read the model that all begin with."""
    return torch.load(WORK / "first.pt", weights_only=True)  # type: ignore[no-any-return]


def train(network: nn.Module, arrays: Arrays, past: int) -> int:
    """Do a hospital's round on the network, one epoch; return how many images it has."""
    network.train()
    optimiser = torch.optim.SGD(network.parameters(), RATE)
    for rows in arrays.orders[past].split(BATCH):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(arrays.images[rows]), arrays.labels[rows]).backward()
        optimiser.step()
    return len(arrays.labels)


def mark(past: int) -> None:
    """Note that ``past`` rounds are over, if nobody has yet: the time, and the processor time of the run so far."""
    place = PLACE / f"mark-{past}"
    try:
        os.close(os.open(place, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    now = time.time()
    said = {"wall": now, "processor": processor_s(f"PEERS_PLACE={PLACE}")}
    place.with_suffix(".part").write_text(json.dumps(said))
    place.with_suffix(".part").replace(place)


def keep(model: dict[str, torch.Tensor]) -> None:
    """Write the final model."""
    torch.save({name: torch.as_tensor(value) for name, value in model.items()}, PLACE / "final.pt")
