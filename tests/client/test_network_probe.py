"""Each defect is found in a small network that has that one only, and is named; what is only Opacus' own is none."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from examples import DP, study
from wardround_client import networks
from wardround_client.training.network_probe import defects_of
from wardround_client.training.rehearsal import rehearse
from wardround_common.study.file import Study
from wardround_common.study.networks import known_networks

SIZE = 9


class Net(nn.Module):
    """Layers, the mean over the last map, and one linear layer."""

    def __init__(self, *layers: nn.Module, maps: int = 6, outputs: int = 2) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.classify = nn.Linear(maps, outputs)

    def forward(self, images: torch.Tensor) -> Any:
        return self.classify(self.layers(images).mean((2, 3)))


def conv(before: int = 1, after: int = 6, **how: Any) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, **how)


def registered_twice() -> nn.Module:
    net = Net(conv(), nn.ReLU())
    net.also = nn.ModuleDict({"head": net.classify})
    return net


def frozen_batch_norm() -> nn.Module:
    norm = nn.BatchNorm2d(6, track_running_stats=False)
    norm.requires_grad_(False)
    return Net(conv(), norm)


class Rolled(nn.Module):
    """Adds each image's neighbour in the batch."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps + maps.roll(1, 0)


class Stopped(nn.Module):
    """Lets no gradient through."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return 0 * maps


class Codebook(nn.Module):
    """Keeps a running mean of what it sees and uses none of it, as a codebook does before its first use."""

    mean: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(6))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        self.mean = 0.9 * self.mean + 0.1 * maps.detach().mean((0, 2, 3))
        return maps


class Counting(nn.Module):
    """Keeps what it saw in a plain attribute, where no state of a network shows it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0.0

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        before, self.seen = self.seen, self.seen + float(maps[0].detach().abs().sum())
        return maps + before


class Scaled(nn.Module):
    """A layer of its own with a second input that may be left out."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(6, 1, 1))

    def forward(self, maps: torch.Tensor, gate: torch.Tensor | None = None) -> torch.Tensor:
        return maps * self.weight if gate is None else maps * self.weight * gate


class Gated(nn.Module):
    def __init__(self, by_keyword: bool) -> None:
        super().__init__()
        self.scaled, self.by_keyword = Scaled(), by_keyword

    def forward(self, maps: torch.Tensor) -> Any:
        return self.scaled(maps, gate=maps.sigmoid()) if self.by_keyword else self.scaled(maps, maps.sigmoid())


class Borrowed(nn.Module):
    """Uses a layer's weight by a function, past the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = conv(6, 6)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return nn.functional.conv2d(maps, self.inner.weight, self.inner.bias)


class Penalised(nn.Module):
    """Calls its layer, and uses its weight once more past it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = conv(6, 6)

    def forward(self, maps: torch.Tensor) -> Any:
        return self.inner(maps) + self.inner.weight.square().sum()


class Folded(nn.Module):
    """Folds rows of the image into the batch, as 2.5-D networks fold slices."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(7, 7)

    def forward(self, maps: torch.Tensor) -> Any:
        return self.inner(maps.flatten(0, 2)).view(maps.shape)


class Permuted(nn.Module):
    """Turns tokens back into a map by a permutation, which leaves them as they lie in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = conv(6, 6, padding=1)

    def forward(self, maps: torch.Tensor) -> Any:
        tokens = maps.flatten(2).transpose(1, 2).contiguous()
        return self.inner(tokens.transpose(1, 2).unflatten(2, maps.shape[2:]))


class ComputedAgain(nn.Module):
    def __init__(self, inner: nn.Module | None = None) -> None:
        super().__init__()
        self.inner = inner or conv(6, 6)

    def forward(self, maps: torch.Tensor) -> Any:
        return checkpoint(lambda given: self.inner(given).relu(), maps, use_reentrant=False)


class Autocast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = conv()

    def forward(self, images: torch.Tensor) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return self.inner(images).float()


class AddedInPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = conv(6, 6, padding=1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.inner(maps)
        out += maps
        return out


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(6, 1, 1))

    def forward(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return maps * self.weight, maps


class Paired(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Two()

    def forward(self, maps: torch.Tensor) -> Any:
        one, other = self.inner(maps)
        return one + other


class Biased(nn.Module):
    """Adds a fixed bias, which it keeps as a buffer, to a weight that is trained."""

    bias: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(6, 1, 1))
        self.register_buffer("bias", torch.ones(6, 1, 1))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps * self.weight + self.bias


def unused() -> nn.Module:
    net = Net(conv())
    net.spare = nn.Linear(3, 3)
    return net


DEFECTS: dict[str, tuple[Callable[[], nn.Module], str, str]] = {
    "a weight in bfloat16": (lambda: Net(conv()).bfloat16(), "precision", "layers.0.weight is bfloat16"),
    "a pass in bfloat16": (lambda: Net(Autocast()), "precision", "computes in bfloat16"),
    "batch normalisation": (lambda: Net(conv(), nn.BatchNorm2d(6)), "state", "layers.1 (BatchNorm2d) keeps"),
    "a codebook that follows images": (
        lambda: Net(conv(), Codebook()),
        "state",
        "layers.1 (Codebook) keeps (mean)",
    ),
    "frozen batch normalisation": (frozen_batch_norm, "mixed", "layers.1 (BatchNorm2d), with nothing to train,"),
    "batch normalisation without parameters": (
        lambda: Net(conv(), nn.BatchNorm2d(6, affine=False, track_running_stats=False)),
        "mixed",
        "layers.1 (BatchNorm2d), with nothing to train,",
    ),
    "images that are added up": (lambda: Net(conv(), Rolled()), "mixed", "depends on the other images"),
    "a memory that no state shows": (lambda: Net(conv(), Counting()), "chance", "keeps something of the images"),
    "a second input": (
        lambda: Net(conv(), Gated(False)),
        "refused",
        "layers.1.scaled (Scaled) is given several inputs",
    ),
    "a second input by keyword": (lambda: Net(conv(), Gated(True)), "refused", "or one by keyword"),
    "a weight used twice, once past its layer": (lambda: Net(conv(), Penalised()), "wrong", "layers.1.inner.weight"),
    "a weight used past its layer": (lambda: Net(conv(), Borrowed()), "missing", "2 weights, layers.1.inner.weight"),
    "rows folded into the batch": (
        lambda: Net(conv(), Folded()),
        "rows",
        "inner (Linear) has 126 gradients for 3 records",
    ),
    "a weight that nothing uses": (unused, "unused", "spare.weight first of all, have no part in the output"),
    "several outputs": (lambda: Net(conv(), Paired()), "refused", "layers.1.inner (Two) returns several outputs"),
    "a buffer beside weights": (lambda: Net(conv(), Biased()), "refused", "keeps buffers beside weights"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_network_with_this_defect_cannot_be_private(name: str) -> None:
    make, kind, words = DEFECTS[name]
    torch.manual_seed(0)
    found = defects_of(make(), 1, SIZE)
    assert kind in {defect.kind for defect in found}, found
    assert any(words in defect.what for defect in found), found
    assert all(defect.do.endswith(".") for defect in found)


WRONG_IN_OPACUS: dict[str, Callable[[], nn.Module]] = {
    "reflected padding": lambda: Net(conv(padding=1, padding_mode="reflect")),
    "replicated padding": lambda: Net(conv(padding=1, padding_mode="replicate")),
    "circular padding": lambda: Net(conv(padding=1, padding_mode="circular")),
    "weights in channels_last": lambda: Net(conv(), nn.ReLU(), conv(6, 6)).to(memory_format=torch.channels_last),
    "a permuted input": lambda: Net(conv(), Permuted()),
    "a layer under two names": registered_twice,
}
REFUSED_BY_OPACUS: dict[str, Callable[[], nn.Module]] = {
    "a pass computed again": lambda: Net(conv(), ComputedAgain()),
    "a group normalisation computed again": lambda: Net(conv(), ComputedAgain(nn.GroupNorm(2, 6))),
    "an instance normalisation computed again": lambda: Net(conv(), ComputedAgain(nn.InstanceNorm2d(6, affine=True))),
    "in place behind an instance normalisation": lambda: Net(
        conv(), nn.InstanceNorm2d(6, affine=True), nn.ReLU(inplace=True)
    ),
    "an operation in place": lambda: Net(conv(), AddedInPlace(), nn.ReLU(inplace=True)),
    "layer normalisation without a bias": lambda: Net(conv(), nn.LayerNorm(7, bias=False)),
}


@pytest.mark.parametrize("name", [*WRONG_IN_OPACUS, *REFUSED_BY_OPACUS])
def test_a_network_that_opacus_alone_computes_wrongly_or_refuses_is_sound(name: str) -> None:
    torch.manual_seed(0)
    assert defects_of((WRONG_IN_OPACUS | REFUSED_BY_OPACUS)[name](), 1, SIZE) == ()


@pytest.mark.parametrize("name", WRONG_IN_OPACUS)
def test_opacus_accepts_these_networks_and_is_wrong_without_a_word(name: str) -> None:
    from opacus import GradSampleModule
    from opacus.validators import ModuleValidator

    torch.manual_seed(0)
    network = WRONG_IN_OPACUS[name]().double()
    images = torch.rand(3, 1, SIZE, SIZE, dtype=torch.float64)
    assert not ModuleValidator.validate(network, strict=False)
    network(images).square().sum().backward()
    right = [weight.grad.clone() for weight in network.parameters() if weight.grad is not None]
    sampled = GradSampleModule(network, loss_reduction="sum")
    sampled(images).square().sum().backward()
    theirs = [weight.grad_sample.sum(0) for weight in network.parameters()]  # type: ignore[attr-defined]
    assert any(not torch.allclose(one, other) for one, other in zip(theirs, right, strict=True))


@pytest.mark.parametrize(
    "layers",
    [
        (conv(), nn.GroupNorm(2, 6), nn.ReLU()),
        (conv(), nn.InstanceNorm2d(6, affine=True), nn.PReLU(6)),
        (conv(), nn.Dropout(0.5), conv(6, 6), nn.Dropout2d(0.5)),
        (conv(), nn.ConvTranspose2d(6, 6, 3)),
        (conv(padding="same"), conv(6, 6, groups=3, stride=2)),
        (conv(), nn.LayerNorm(7), nn.Sigmoid()),
    ],
    ids=["group", "instance", "dropout", "transposed", "grouped", "layer"],
)
def test_a_sound_network_has_no_defect(layers: tuple[nn.Module, ...]) -> None:
    assert defects_of(Net(*layers), 1, SIZE) == ()


def test_one_layer_called_twice_is_sound() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = conv(6, 6, padding=1)

        def forward(self, maps: torch.Tensor) -> Any:
            return self.inner(self.inner(maps))

    assert defects_of(Net(conv(), Twice()), 1, SIZE) == ()


def test_a_network_that_drops_at_random_is_compared_with_itself() -> None:
    class Depth(nn.Module):
        """Leaves a layer out for some images, as stochastic depth does."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = conv(6, 6, padding=1)

        def forward(self, maps: torch.Tensor) -> Any:
            kept = torch.floor(0.8 + torch.rand([len(maps), 1, 1, 1], dtype=maps.dtype))
            return maps + self.inner(maps) * kept

    assert defects_of(Net(conv(), Depth()), 1, SIZE) == ()


def built(network: str, norm: str) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI's import speaks of its optional parts
        return networks.build(study(model={"network": network, "norm": norm}, data={"image_size": 64}))


@pytest.mark.parametrize("network", ["tiny-cnn", "small-cnn", "wavelets"])
@pytest.mark.parametrize("norm", ["group", "instance"])
def test_the_small_networks_of_the_registry_can_be_private(network: str, norm: str) -> None:
    assert defects_of(built(network, norm), 1, 16) == ()


@pytest.mark.slow
@pytest.mark.parametrize(("norm", "dims"), [("group", 2), ("instance", 2), ("group", 3)])
@pytest.mark.parametrize("network", known_networks())
def test_every_network_that_a_study_can_name_can_be_private(network: str, norm: str, dims: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dims not in networks.find(network).dims:
            pytest.skip(f"{network} is not for images of {dims} dimensions")
        if network == "seresnet50" and norm == "instance":
            pytest.skip("needs 64 pixels and half a minute; `make private-networks` probes it")
        made = networks.construct(network, 1, 3, norm, seed=0, dims=dims)
        size = next(size for size in (16, 32, 64) if runs(made, size, dims))
    assert defects_of(made, 1, size, dims=dims) == ()


def runs(network: nn.Module, size: int, dims: int) -> bool:
    """Whether it makes a pass of two images of this size, which the last maps of a deep network need."""
    try:
        copy.deepcopy(network).train()(torch.rand([2, 1] + [size] * dims))
    except (ValueError, RuntimeError):  # a norm over one value; a map that is smaller than the kernel
        return False
    return True


@pytest.mark.parametrize("norm", ["group", "instance"])
def test_the_small_network_for_outlines_can_be_private(norm: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = networks.construct("tiny-unet", 1, 2, norm, seed=0)
    assert defects_of(network, 1, 16) == ()


def test_the_outlines_of_one_image_in_a_batch_are_those_of_the_image_alone_or_the_probe_says_so() -> None:
    class Matched(nn.Module):
        """Draws outlines of each image from its neighbour's too."""

        def __init__(self) -> None:
            super().__init__()
            self.outline = conv(1, 2, padding=1)

        def forward(self, images: torch.Tensor) -> Any:
            return self.outline(images + images.roll(1, 0))

    assert [defect.kind for defect in defects_of(Matched(), 1, SIZE)] == ["mixed"]
    assert defects_of(AddedTwice(), 1, 4, dims=3) == ()


class AddedTwice(nn.Module):
    """Outlines in volumes, with its layer under two names, as DynUNet is shipped."""

    def __init__(self) -> None:
        super().__init__()
        self.outline = nn.Conv3d(1, 2, 3, padding=1)
        self.also = nn.ModuleDict({"head": self.outline})

    def forward(self, images: torch.Tensor) -> Any:
        return self.outline(images)


def test_nothing_is_hidden_behind_a_draw_that_drops() -> None:
    """A mask that drops every channel would leave no gradient that could be wrong."""
    for drop in (nn.Dropout(0.9), nn.Dropout2d(0.9)):
        torch.manual_seed(0)
        assert [d.kind for d in defects_of(Net(conv(), Penalised(), drop), 1, SIZE)] == ["wrong"]


def test_a_probe_changes_neither_the_network_nor_what_torch_draws_next() -> None:
    network = built("tiny-cnn", "group")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(4)
    torch.manual_seed(5)
    assert defects_of(network, 1, 16) == ()
    assert torch.equal(torch.rand(4), expected)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(weight.grad is None and weight.requires_grad for weight in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


def test_a_probe_says_the_same_each_time() -> None:
    make = DEFECTS["a weight used twice, once past its layer"][0]
    torch.manual_seed(0)
    network = make()
    assert defects_of(network, 1, SIZE) == defects_of(network, 1, SIZE)


def test_a_network_of_one_output_is_probed_as_well() -> None:
    assert defects_of(Net(conv(), nn.ReLU(), outputs=1), 1, SIZE, classes=1) == ()
    (wrong,) = defects_of(Net(conv(), Borrowed(), outputs=1), 1, SIZE, classes=1)
    assert wrong.kind in ("wrong", "missing")
    (dead,) = defects_of(nn.Sequential(Net(conv(), outputs=1), Stopped()), 1, SIZE, classes=1)
    assert dead.kind == "unused"


@pytest.mark.slow
@pytest.mark.parametrize(
    "task",
    [
        {"name": "measurement", "quantity": "width", "unit": "mm", "low": 0.0, "high": 9.0},
        {"name": "findings", "classes": ("mass",)},
        {"name": "risk", "times": (1.0,), "unit": "years"},
    ],
)
def test_a_task_of_one_output_can_be_private(task: dict[str, object]) -> None:
    of = study().model_dump() | {
        "task": task,
        "privacy": DP,
        "model": study().model.model_dump() | {"network": "wavelets"},
    }
    assert rehearse(Study.model_validate(of)).endswith("the gradient of each image is its own")
