"""The steps of a study's optimiser: torch's own, bit for bit, without torch's compiler."""

from __future__ import annotations

import sys

import pytest
import torch

from examples import study
from wardround_client.training.optimiser import optimiser_of

STEPS = 5


def weights() -> list[torch.nn.Parameter]:
    random = torch.Generator().manual_seed(3)
    shapes = [(7, 5), (5,), (4, 3, 2), (1,)]
    return [torch.nn.Parameter(torch.randn(*shape, generator=random)) for shape in shapes]


@pytest.mark.parametrize(
    "settings",
    [
        {"optimiser": "sgd", "momentum": 0.0},
        {"optimiser": "sgd", "momentum": 0.9, "weight_decay": 0.01},
        {"optimiser": "adamw", "weight_decay": 0.0},
        {"optimiser": "adamw", "weight_decay": 0.05},
    ],
)
def test_steps_are_bit_for_bit_those_of_the_classes_of_torch_also_where_a_weight_has_no_gradient_at_times(
    settings: dict[str, object],
) -> None:
    training = study(training=settings).training
    one, other = weights(), weights()
    ours = optimiser_of(training, one, 0.03)
    theirs: torch.optim.Optimizer = (
        torch.optim.AdamW(other, 0.03, betas=(0.9, 0.99), weight_decay=training.weight_decay)
        if training.optimiser == "adamw"
        else torch.optim.SGD(other, 0.03, momentum=training.momentum, weight_decay=training.weight_decay)
    )
    random = torch.Generator().manual_seed(4)
    for step in range(STEPS):
        ours.zero_grad()
        theirs.zero_grad()
        assert not any(weight.grad is not None for weight in one)
        for place, (mine, its) in enumerate(zip(one, other, strict=True)):
            if place and (place + step) % 3 == 0:
                continue  # the first step of this weight, or the next one, is then another's
            mine.grad = torch.randn(mine.shape, generator=random)
            its.grad = mine.grad.clone()
        ours.step()
        theirs.step()
        for mine, its in zip(one, other, strict=True):
            assert torch.equal(mine, its)
    assert all((mine - before).abs().max() > 0 for mine, before in zip(one, weights(), strict=True))


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_no_step_imports_the_compiler_of_torch(optimiser: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)  # whoever imports it now is refused
    (weight,) = of = weights()[:1]
    ours = optimiser_of(study(training={"optimiser": optimiser}).training, of, 0.1)
    ours.step()  # of no gradient at all
    weight.grad = torch.ones_like(weight)
    ours.step()
    with pytest.raises(ImportError):
        torch.optim.SGD(of, 0.1).step()
