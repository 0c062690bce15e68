"""Gradients by book-keeping are those of one record at a time, for every kind of layer; their sum keeps its bound."""

from __future__ import annotations

import contextlib
import copy
import gc
import warnings
import weakref
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from wardround_client import networks
from wardround_client.training import layer_rules
from wardround_client.training.bookkeeping import BookKeeping, UnknownGradientError, Way
from wardround_client.training.gradient_forms import Owners, Product
from wardround_client.training.layer_rules import Call, Convolution, _windows
from wardround_client.training.same_chance import SameChance
from wardround_common.study.networks import known_networks

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")  # torch, of even kernels: it copies
WAYS: tuple[Way | None, ...] = (None, "make", "drop", "gram")
CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
INSTANCE = {1: nn.InstanceNorm1d, 2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}


class Joined(nn.Module):
    """One layer after another, and the sine of what comes out, so that gradients differ from place to place."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return torch.sin(self.layers(given)).flatten(1)


def losses(network: nn.Module, records: torch.Tensor) -> torch.Tensor:
    """Return a number for each record that depends on every place of what comes out of it."""
    out = network(records).reshape(len(records), -1)
    return (out * torch.linspace(-1, 2, out.shape[1], dtype=out.dtype)).sum(1)


def one_by_one(network: nn.Module, records: torch.Tensor, counts: Sequence[int]) -> list[list[torch.Tensor]]:
    """Return each owner's gradients by one backward pass for each record."""
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    found, row = [], 0
    for count in counts:
        network.zero_grad()
        for place in range(row, row + count):
            losses(network, records[place : place + 1]).sum().backward()
        found.append([torch.zeros_like(w) if w.grad is None else w.grad.clone() for w in weights])
        row += count
    network.zero_grad()
    return found


def clipped(gradients: list[list[torch.Tensor]], clip: float) -> list[torch.Tensor]:
    """Return the sum of owners' gradients, each cut to ``clip`` over all weights."""
    total = [torch.zeros_like(part) for part in gradients[0]]
    for one in gradients:
        norm = float(torch.cat([part.flatten() for part in one]).norm())
        for place, part in enumerate(one):
            total[place] += part * min(1.0, clip / (norm + 1e-6))
    return total


def largest_error(one: list[torch.Tensor], other: list[torch.Tensor]) -> float:
    scale = max(float(part.abs().max()) for part in other) + 1e-12
    return max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True)) / scale


def check(
    network: nn.Module,
    records: torch.Tensor,
    counts: Sequence[int] = (1, 2, 1),
    tolerance: float = 1e-9,
    ways: Sequence[Way | None] = WAYS,
) -> None:
    """Compare both results, in each way to have norms, with the loop over records."""
    expected = one_by_one(network, records, counts)
    norms = [float(torch.cat([part.flatten() for part in one]).norm()) for one in expected]
    clip = sorted(norms)[len(norms) // 2] + 1e-3  # some are cut, and some are not
    for way in ways:
        with BookKeeping(network, way) as books:
            total = books.clipped_sum(losses(network, records), counts, clip)
            assert largest_error(total, clipped(expected, clip)) < tolerance, way
    with BookKeeping(network) as books:
        for one, other in zip(books.each(losses(network, records), counts), expected, strict=True):
            assert largest_error(one, other) < tolerance


def made(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


few = st.integers(1, 3)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[nn.Module, torch.Tensor]:
    """Draw a convolution, transposed or not, with everything that it can be set to, and records that fit."""
    dims, groups = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    each = st.tuples(*[few] * dims)
    before, after = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    kernel, stride, dilation = draw(each), draw(each), draw(each)
    how: dict[str, Any] = {"stride": stride, "dilation": dilation, "groups": groups, "bias": draw(st.booleans())}
    if draw(st.booleans()):
        kind = TRANSPOSED[dims]
        how["output_padding"] = tuple(min(1, max(a, b) - 1) for a, b in zip(stride, dilation, strict=True))
        how["padding"] = tuple(min(1, step * (size - 1)) for size, step in zip(kernel, dilation, strict=True))
    else:
        kind = CONVOLUTIONS[dims]
        how["padding_mode"] = draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"]))
        how["padding"] = draw(st.sampled_from([0, 1, "same"]))
        if how["padding"] == "same":
            how["stride"] = 1
    torch.manual_seed(draw(st.integers(0, 99)))
    layer = kind(before, after, kernel, **how).double()
    sizes = [draw(st.integers(7, 9)) for _ in range(dims)]
    return Joined(layer), made(4, before, *sizes, seed=draw(st.integers(0, 99)))


@given(convolutions())
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_convolution_gives_each_record_its_own_gradient(case: tuple[nn.Module, torch.Tensor]) -> None:
    check(*case)


@pytest.mark.slow
@given(convolutions(), st.lists(few, min_size=1, max_size=4))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_convolution_gives_owners_of_any_numbers_of_records_theirs(
    case: tuple[nn.Module, torch.Tensor], counts: list[int]
) -> None:
    network, records = case
    check(network, records.repeat(3, *[1] * (records.ndim - 1))[: sum(counts)] * torch.pi, counts)


@st.composite
def pointwise(draw: st.DrawFn) -> tuple[nn.Module, torch.Tensor]:
    """Draw a linear layer or one of another kind that has weights, over any number of dimensions."""
    dims, features = draw(st.integers(0, 3)), 2 * draw(st.integers(2, 3))
    space = [draw(st.integers(2, 4)) for _ in range(dims)]
    kind = draw(st.sampled_from(["linear", "group", "instance", "layer", "rms", "prelu", "prelu of one"]))
    records = made(4, features, *space, seed=draw(st.integers(0, 99)))
    if kind == "linear":
        layer: nn.Module = nn.Linear(records.shape[-1], draw(few), bias=draw(st.booleans()))
    elif kind in ("group", "instance"):
        layer = nn.GroupNorm(2, features) if kind == "group" else INSTANCE[max(1, dims)](features, affine=True)
        if kind == "instance" and not dims:
            records = records.unsqueeze(2).repeat(1, 1, 3) * made(3, seed=1)
    elif kind in ("layer", "rms"):
        shape = list(records.shape[draw(st.integers(1, records.ndim - 1)) :])
        layer = nn.LayerNorm(shape, bias=draw(st.booleans())) if kind == "layer" else nn.RMSNorm(shape)
    else:
        layer = nn.PReLU(features if kind == "prelu" else 1)
    layer = layer.double()
    with torch.no_grad():
        for weight in layer.parameters():
            weight.add_(0.1 * made(*weight.shape, seed=2))
    behind = draw(st.booleans())  # what it is given follows from a weight, or from none
    return Joined(nn.PReLU().double(), layer) if behind else Joined(layer), records


@given(pointwise())
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_linear_layers_normalisations_and_prelu_give_each_record_its_own_gradient(
    case: tuple[nn.Module, torch.Tensor],
) -> None:
    check(*case, tolerance=1e-7)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 6, 3, padding=1, groups=2),
        nn.Conv2d(4, 6, (3, 2), dilation=2, padding=(4, 1)),
        nn.Conv2d(4, 6, 3, padding=2, padding_mode="circular"),
        nn.ConvTranspose2d(4, 6, 3, padding=1, groups=2),
        nn.Conv3d(4, 2, 2, padding=1),
    ],
    ids=["groups", "dilation", "circular", "transposed", "volumes"],
)
def test_windows_that_slide_have_the_gram_matrices_of_windows_laid_out(layer: Any) -> None:
    layer, counts = layer.double(), (1, 3, 2)
    records = made(6, 4, *(5, 4, 3)[: len(layer.kernel_size)])
    gradient = made(*layer(records).shape, seed=1)
    form = Convolution(Call(layer, records, gradient, Owners.of(counts, records.device)))
    assert form.slides
    for shifted, laid_out in zip(form.grams(slice(0, 3)), Product.grams(form, slice(0, 3)), strict=True):
        torch.testing.assert_close(shifted, laid_out, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
@given(pointwise(), st.permutations([1, 2, 3]))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_these_layers_give_owners_of_any_numbers_of_records_theirs(
    case: tuple[nn.Module, torch.Tensor], counts: list[int]
) -> None:
    network, records = case
    check(network, torch.cat([records, 2 * records])[:6], counts, tolerance=1e-7)


class Words(nn.Module):
    """Looks words up, and compares what it makes of them with the same table: one weight in two layers."""

    def __init__(self, tied: bool) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 3, padding_idx=1)
        self.back = nn.Linear(3, 5)
        if tied:
            self.back.weight = self.table.weight

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        return torch.sin(self.back(self.table(words))).mean(1)


@pytest.mark.parametrize("tied", [True, False])
def test_an_embedding_and_a_weight_of_two_layers_give_each_record_its_own_gradient(tied: bool) -> None:
    torch.manual_seed(0)
    check(Words(tied).double(), torch.randint(0, 5, (4, 6)))


class Twice(nn.Module):
    """Calls one layer at two sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.inner(nn.functional.max_pool2d(self.inner(maps), 2))


class Attention(nn.Module):
    """One head of self-attention, written from linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.asks, self.answers = nn.Linear(4, 8), nn.Linear(4, 4)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        query, key = self.asks(tokens).chunk(2, -1)
        return (query @ key.mT).softmax(-1) @ self.answers(tokens)


class Scaled(nn.Module):
    """A layer of a kind without a rule, with a layer inside."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.inner = nn.Parameter(torch.ones(2, 1, 1)), nn.Conv2d(2, 2, 1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.inner(maps) * self.scale


class Shifted(nn.Module):
    """Adds in place to what its layer gave."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(2, 2, 1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.inner(maps)
        out += maps
        return out.relu_()


JOINED = {
    "a layer called twice": lambda: Joined(nn.Conv2d(2, 2, 3), Twice()),
    "attention": lambda: Joined(nn.Linear(6, 4), nn.LayerNorm(4), nn.Flatten(1, 2), Attention()),
    "a kind that Opacus computes": lambda: Joined(nn.Conv2d(2, 2, 3), Scaled(), nn.GroupNorm(1, 2)),
    "operations in place": lambda: Joined(Shifted(), nn.Conv2d(2, 3, 3), nn.ReLU(inplace=True), nn.Conv2d(3, 2, 1)),
    "channels last": lambda: Joined(nn.Conv2d(2, 3, 3), nn.GroupNorm(3, 3), nn.Conv2d(3, 2, 1)).to(
        memory_format=torch.channels_last  # type: ignore[call-overload]  # torch has it
    ),
    "channels last, in other layers": lambda: Joined(
        nn.Conv2d(2, 4, 3, stride=2, groups=2, padding=1, padding_mode="reflect"),
        nn.PReLU(4),
        nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2),
        nn.GroupNorm(2, 6),
        nn.Conv2d(6, 2, 2, dilation=2),
    ).to(memory_format=torch.channels_last),  # type: ignore[call-overload]  # torch has it
    "volumes, channels last": lambda: Joined(
        nn.Unflatten(1, (1, 2)), nn.Conv3d(1, 4, (1, 3, 3)), nn.GroupNorm(2, 4), nn.ConvTranspose3d(4, 2, 2)
    ).to(memory_format=torch.channels_last_3d),  # type: ignore[call-overload]  # torch has it
    "in place behind normalisations": lambda: Joined(
        nn.Conv2d(2, 4, 3), nn.InstanceNorm2d(4, affine=True), nn.ReLU(inplace=True), nn.GroupNorm(2, 4), nn.SiLU(True)
    ),
    "frozen layers": lambda: Joined(nn.Conv2d(2, 3, 3).requires_grad_(False), nn.Conv2d(3, 2, 1), nn.PReLU()),
}


@pytest.mark.parametrize("name", JOINED)
def test_layers_together_give_each_record_its_own_gradient(name: str) -> None:
    torch.manual_seed(0)
    network, records = JOINED[name]().double(), made(4, 2, 6, 6)
    if name.startswith("channels last"):
        records = records.contiguous(memory_format=torch.channels_last)
    check(network, records)


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("norm", [nn.GroupNorm(2, 4), nn.InstanceNorm2d(4, affine=True)])
@pytest.mark.parametrize("most", [layer_rules.MOST_GROUPS, 9])
def test_a_normalisation_hands_on_the_gradient_that_torch_does(
    norm: nn.Module, order: torch.memory_format, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer_rules, "MOST_GROUPS", most)  # 9: some records at a time
    network = nn.Sequential(nn.PReLU(), norm, nn.ReLU()).double()
    found = []
    for entered, form in ((False, torch.contiguous_format), (True, order)):
        records = made(3, 4, 5, 5).contiguous(memory_format=form).requires_grad_()
        with BookKeeping(network) if entered else contextlib.nullcontext():
            losses(network, records).sum().backward()
        found.append([records.grad])
    check(network, made(4, 4, 5, 5))
    assert largest_error(*found) < 1e-12  # type: ignore[arg-type]  # records have gradients


def test_a_sum_through_instance_normalisation_is_the_same_with_channels_last() -> None:
    """By batches, since torch's own gradient of one record at a time is another one there (torch 2.13)."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.InstanceNorm2d(3, affine=True), nn.Conv2d(3, 2, 1)).double()
    records, sums = made(4, 2, 6, 6), []
    for order in (torch.contiguous_format, torch.channels_last):
        network = network.to(memory_format=order)  # type: ignore[call-overload]  # torch has it
        with BookKeeping(network) as books:
            found = losses(network, records.contiguous(memory_format=order))
            sums.append(books.clipped_sum(found, (1, 2, 1), 1.0))
    assert largest_error(*sums) < 1e-9


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [1e3, 1e9, 1e15])
def test_an_owner_whose_products_cancel_moves_the_sum_no_more_than_the_clip_norm(way: Way | None, size: float) -> None:
    """What is left of such a sum is rounding, which grows with the products: a norm from Gram matrices is near 0."""
    generator = torch.Generator().manual_seed(0)
    at = size * torch.randn(1, 8, 128, generator=generator)
    at = torch.cat([at, -at], 2)[:, :, torch.randperm(256, generator=generator)]  # at the layer's output
    given = torch.full((1, 8, 256), 1 / 3)
    for layer, records, gradient in (
        (nn.Conv2d(8, 8, 1, bias=False), given.view(1, 8, 16, 16), at.view(1, 8, 16, 16)),
        (nn.Conv1d(8, 8, 3, bias=False), torch.full((1, 8, 258), 1 / 3), at),
        (nn.Linear(8, 8, bias=False), given.mT.contiguous(), at.mT.contiguous()),
        (nn.Embedding(3, 8), torch.ones(1, 256, dtype=torch.int64), at.mT.contiguous()),
    ):
        with BookKeeping(layer, way) as books:
            out = layer(records)
            (found,) = books.clipped_sum((out * gradient).flatten(1).sum(1), [1], 1.0)
        assert float(found.double().norm()) < 1.001, layer


def test_an_owner_moves_the_sum_no_more_than_the_clip_norm_in_float32_and_under_bfloat16() -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(4, 8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.PReLU(8)]
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * 6 * 6, 2))
    records, clip = 10 + torch.randn(3, 3, 8, 8), 1e-2  # far from zero: much cancels in Gram matrices
    for coarse in (False, True):
        for way in WAYS:
            with BookKeeping(network, way) as books:
                with torch.autocast("cpu", torch.bfloat16, enabled=coarse):
                    found = nn.functional.cross_entropy(network(records), torch.tensor([0, 1, 0]), reduction="none")
                total = books.clipped_sum(1e3 * found.float(), [3], clip)
            assert {part.dtype for part in total} == {torch.float32}
            norm = float(torch.cat([part.flatten() for part in total]).double().norm())
            assert clip * (1 - 1e-3) < norm <= clip * (1 + 1e-5), (coarse, way, clip, norm)


def test_under_bfloat16_each_record_has_its_own_gradient_to_that_precision() -> None:
    class Coarse(Joined):
        def forward(self, given: torch.Tensor) -> torch.Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return super().forward(given).float()

    torch.manual_seed(0)
    maps = [nn.Conv2d(2, 8, 3), nn.GroupNorm(2, 8), nn.PReLU(8), nn.ConvTranspose2d(8, 8, 2), nn.ReLU(inplace=True)]
    rows = [nn.InstanceNorm2d(8, affine=True), nn.Flatten(2), nn.LayerNorm(25), nn.Linear(25, 4)]
    check(Coarse(*maps, *rows), made(4, 2, 6, 6).float(), tolerance=4 * torch.finfo(torch.bfloat16).eps)


def test_a_step_makes_nothing_on_another_device_than_its_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """On ``meta``, which stands for a card: torch refuses to compute with tensors of two devices."""
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)  # it knows nothing of this one
    maps = [nn.Conv2d(1, 8, 3), nn.GroupNorm(2, 8), nn.Conv2d(8, 4, 3), nn.InstanceNorm2d(4, affine=True), nn.PReLU()]
    network = nn.Sequential(*maps, nn.ConvTranspose2d(4, 2, 2), nn.Flatten(2), nn.Linear(25, 3), nn.LayerNorm(3))
    records = torch.empty(4, 1, 8, 8, device="meta")
    for way in WAYS:
        with BookKeeping(network.to("meta"), way) as books:
            total = books.clipped_sum(network(records).sum((1, 2)), [1, 2, 1], 1.0)
            assert [part.shape for part in total] == [weight.shape for weight in books.weights]
            assert len(list(books.each(network(records).sum((1, 2)), [1, 2, 1]))) == 3


def test_the_way_to_a_norm_follows_from_shapes_alone() -> None:
    torch.manual_seed(0)
    network, sums = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 14 * 14, 300)), set()
    for _ in range(3):
        with BookKeeping(network) as books:
            total = books.clipped_sum(losses(network, made(8, 1, 16, 16).float()), [1] * 8, 1.0)
        sums.add(b"".join(part.numpy().tobytes() for part in total))
    assert len(sums) == 1


class Mark:
    """Lives as long as the graph that it is hooked to."""


@pytest.mark.parametrize("name", JOINED)
def test_a_pass_keeps_nothing_of_the_one_before(name: str) -> None:
    """A tensor that holds the graph it is noted in lives for ever: no collector sees through the graph."""
    network, records = JOINED[name](), made(4, 2, 6, 6).float()
    marks: list[weakref.ref[Mark]] = []

    def mark(layer: nn.Module, given: Any, output: torch.Tensor) -> None:
        if output.requires_grad:
            one = Mark()
            marks.append(weakref.ref(one))
            output.register_hook(lambda gradient, one=one: None)  # type: ignore[no-untyped-call]

    with BookKeeping(network) as books:
        for layer in network.modules():
            layer.register_forward_hook(mark)
        books.clipped_sum(losses(network, records), [1] * len(records), 1.0)
        gc.collect()
        assert marks
        assert not any(one() is not None for one in marks)


def test_what_nobody_is_drawn_for_is_zero_and_a_network_is_left_as_it_was() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3).requires_grad_(False))
    before = [weight.requires_grad for weight in network.parameters()]
    with BookKeeping(network) as books:
        assert not any(part.any() for part in books.clipped_sum(torch.zeros(0), [], 1.0))
        assert list(books.each(torch.zeros(0), [])) == []
    assert [weight.requires_grad for weight in network.parameters()] == before
    assert not any(module._forward_hooks for module in network.modules())


def test_a_weight_that_no_layer_used_is_refused_and_not_taken_for_zero() -> None:
    network = nn.Sequential(nn.Linear(3, 3))
    network.spare = nn.Linear(3, 3)
    with BookKeeping(network) as books, pytest.raises(UnknownGradientError, match="4 weights, 0\\.weight first of all"):
        books.clipped_sum(
            nn.functional.linear(torch.rand(2, 3), torch.rand(1, 3, requires_grad=True))[:, 0], [1, 1], 1.0
        )


@pytest.mark.parametrize("layer", [nn.Conv2d(1, 1, 1), nn.GroupNorm(1, 1)])
def test_what_was_overwritten_since_a_layer_saw_it_is_refused(layer: nn.Module) -> None:
    network, records = nn.Sequential(layer), torch.rand(2, 1, 3, 3, requires_grad=True)
    with BookKeeping(network) as books:
        maps = 2 * records
        found = losses(network, maps)
        maps.detach().mul_(2)
        with pytest.raises(UnknownGradientError, match="an operation in place has overwritten"):
            books.clipped_sum(found, [1, 1], 1.0)


@pytest.mark.parametrize("kernel", [(3, 2), (1, 1)])
@pytest.mark.parametrize("padding", [0, 1])
def test_what_each_position_sees_is_what_torch_unfolds(kernel: tuple[int, int], padding: int) -> None:
    maps, stride, dilation = made(2, 3, 8, 7), (2, 1), (2, 1)
    expected = nn.functional.unfold(maps, kernel, dilation, padding, stride)
    sizes = nn.functional.conv2d(maps, made(1, 3, *kernel), None, stride, padding, dilation).shape[2:]
    flat = (*kernel, 1), (*stride, 1), (*dilation, 1), [padding, padding, 0]  # as volumes of one slice
    assert torch.equal(_windows(maps, kernel, stride, dilation, [padding] * 2, sizes), expected)
    assert torch.equal(_windows(maps.unsqueeze(-1), *flat, torch.Size([*sizes, 1])), expected)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5))
@settings(max_examples=20, deadline=None)
def test_records_stand_in_their_owners_line_and_add_up_there(counts: list[int]) -> None:
    owners, rows = Owners.of(tuple(counts), torch.device("cpu")), made(sum(counts), 2)
    expected = torch.stack([part.sum(0) for part in rows.split(counts)])
    assert torch.allclose(owners.add(rows), expected)
    for some in (slice(0, len(counts)), slice(len(counts) - 1, len(counts))):
        assert torch.allclose(owners.table(rows[owners.records_of(some)], some).sum(1), expected[some])


@pytest.mark.slow
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", known_networks())
def test_every_network_of_the_registry_gives_each_record_its_own_gradient(name: str, dims: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI's import speaks of its optional parts
        if dims not in networks.find(name).dims:
            pytest.skip(f"{name} is not for {dims} dimensions")
        network = networks.construct(name, 1, 3, "group", seed=0, dims=dims).double().train()
    sizes = (32, 64) if dims == 2 else (16, 32)
    for size in sizes:
        records = made(3, 1, *[size] * dims)
        try:
            with torch.no_grad():
                copy.deepcopy(network)(records)
            break
        except (RuntimeError, ValueError):
            continue
    with SameChance(3):
        # By the way that is chosen: the Gram matrix of 32 x 32 x 32 places would alone take 8 GB.
        check(network, records, (1, 2), tolerance=1e-6, ways=[None])
