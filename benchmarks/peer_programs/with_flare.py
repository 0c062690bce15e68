"""NVIDIA FLARE's simulator: its recipe for FedAvg, scripts in the simulator's processes, tensors as they are.

The first argument is the number of clients that are active at a time: the recipe's own default is all of them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from nvflare.app_opt.pt.recipes.fedavg import FedAvgRecipe
from nvflare.client.config import ExchangeFormat
from nvflare.recipe import SimEnv
from work import HOSPITALS, PLACE, ROUNDS, WORK, Network, keep


def main() -> None:
    """Do the rounds."""
    recipe = FedAvgRecipe(
        name="peers",
        model=Network(),
        initial_ckpt=str(WORK / "first.pt"),
        min_clients=HOSPITALS,
        num_rounds=ROUNDS,
        train_script=str(Path(__file__).with_name("flare_client.py")),
        server_expected_format=ExchangeFormat.PYTORCH,
    )
    threads = int(sys.argv[1])
    recipe.execute(SimEnv(num_clients=HOSPITALS, num_threads=threads, workspace_root=str(PLACE / "flare")))
    (kept,) = (PLACE / "flare").rglob("FL_global_model.pt")
    keep(torch.load(kept, weights_only=False)["model"])


if __name__ == "__main__":
    main()
