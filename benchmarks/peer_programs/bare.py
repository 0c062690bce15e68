"""The bare loop: no federation, all hospitals' arrays in one process, the mean added up as they come.

Afterwards, and not measured, the same rounds with the mean added up in double precision: how far rounding alone leads
two models apart, which is what the others' models are judged by.
"""

from __future__ import annotations

import torch
from work import HOSPITALS, PLACE, ROUNDS, Arrays, Network, first_model, mark, train


def rounds(hospitals: list[Arrays], kind: torch.dtype, *, marked: bool) -> list[dict[str, torch.Tensor]]:
    """Return the model after each round."""
    network, model, after = Network(), first_model(), []
    if marked:
        mark(0)
    for past in range(ROUNDS):
        total = {name: torch.zeros_like(value, dtype=kind) for name, value in model.items()}
        images = 0
        for arrays in hospitals:
            network.load_state_dict(model)
            count = train(network, arrays, past)
            images += count
            for name, value in network.state_dict().items():
                total[name].add_(value, alpha=count)
        model = {name: (value / images).float() for name, value in total.items()}
        if marked:
            mark(past + 1)
        after.append(model)
    return after


def main() -> None:
    """Do the rounds, and do them again."""
    hospitals = [Arrays(number) for number in range(HOSPITALS)]
    torch.save(rounds(hospitals, torch.float32, marked=True), PLACE / "after.pt")
    torch.save(rounds(hospitals, torch.float64, marked=False), PLACE / "rounded.pt")


if __name__ == "__main__":
    main()
