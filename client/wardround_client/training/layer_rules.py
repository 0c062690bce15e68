"""What the gradient of each layer's weights is, by the layer's kind: rules for a single-backward private step.

A rule is given one call of a layer, what went in and the gradient at what came out, and says the gradient of each of
the layer's own weights by owner, made or as factors (``gradient_forms``). Memory layout, strides, dilation, groups and
padding of any mode are torch's own: a rule only asks torch for the gradient of its own operation, or reshapes with
operations that know how a tensor lies. What has no rule here is computed by Opacus for that layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  # as torch's documentation calls it
from torch import nn

from wardround_client.training.gradient_forms import SHIFTED, UNFOLDED, WRITTEN, Costs, Made, Owners, Product

GROUPED_POSITIONS = 64
"""On a CPU, gradients of a convolution over more positions than this are made by one convolution with a group for each
record; over fewer, and on a GPU, by one product of unfolded inputs. Which is faster was measured, and is not measured
again: how numbers are rounded must not depend on what else a machine does."""

MOST_GROUPS = 65_535
"""How many groups a card normalises in one call: it starts a block for each, in a dimension that has no more."""


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer, in which records are the first dimension of all."""

    layer: Any
    given: torch.Tensor
    """(records, …), as the layer was given it."""
    gradient: torch.Tensor
    """(records, …), of the sum of all records' losses at the layer's output."""
    owners: Owners
    sums: tuple[torch.Tensor, torch.Tensor] | None = None
    """Of a normalisation's weight and bias, (records, channels), where its own backward pass has added them up."""

    def exact(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a tensor in the weights' precision, and at least in float32: norms are never computed in less."""
        return tensor.to(_at_least_single(self.layer.weight.dtype))


Form = Made | Product
Rule = Callable[[Call], Iterator[tuple[nn.Parameter, Form]]]


def _at_least_single(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _convolution(call: Call) -> Iterator[tuple[nn.Parameter, Form]]:
    yield call.layer.weight, Convolution(call)
    if call.layer.bias is not None:
        yield call.layer.bias, _bias(call)


def _bias(call: Call) -> Made:
    """Of a bias for each channel, which is the second dimension: (owners, channels)."""
    return Made(call.owners.add(_by_channel(call.exact(call.gradient)).sum(2)))


def _by_channel(rows: torch.Tensor) -> torch.Tensor:
    """Join all dimensions after the channels: (records, channels, positions)."""
    return rows.reshape(*rows.shape[:2], -1)


class Convolution(Product):
    """The weight of a convolution, or of a transposed one, in 1 to 3 dimensions."""

    def __init__(self, call: Call) -> None:
        layer = call.layer
        self.call, self.owners, self.shape = call, call.owners, layer.weight.shape
        self.dtype, self.device = _at_least_single(layer.weight.dtype), call.gradient.device
        self.transposed: bool = layer.transposed
        self.kept = call.given.numel() + call.gradient.numel()
        window = math.prod(layer.kernel_size)
        unfolded, plain = (call.gradient, call.given) if self.transposed else (call.given, call.gradient)
        self.positions = math.prod(plain.shape[2:])
        self.left, self.right = plain.shape[1], unfolded.shape[1] * window
        explicit = layer.padding_mode != "zeros" or isinstance(layer.padding, str)
        self.around: list[int] | None = layer._reversed_padding_repeated_twice if explicit else None
        self.padding = [0] * len(layer.kernel_size) if explicit else list(layer.padding)
        around = self.around or [0] * (2 * len(layer.kernel_size))
        sides = zip(unfolded.shape[2:], around[-2::-2], around[-1::-2], strict=True)
        self.places = math.prod(size if self.transposed else size + one + other for size, one, other in sides)
        self.channels = unfolded.shape[1]
        self.window, self.slides = window, set(layer.stride) == {1} and window > 1
        self.grouped = self.device.type == "cpu" and self.positions > GROUPED_POSITIONS

    def costs(self) -> Costs:
        """Return what the ways to its norm take of an owner."""
        costs, most = super().costs(), self.owners.most
        length, places = self.positions * most, self.places * most
        windows = WRITTEN * length * self.right if self.window > 1 else 0  # to lay them out
        made = costs.made + (0 if self.grouped else windows)
        if not self.slides:
            return replace(costs, made=made, squares=costs.squares + windows)
        products = 2 * (length**2 * self.left + places**2 * self.channels)
        shifts = SHIFTED * places**2 * sum(self.call.layer.kernel_size)
        squares = products + UNFOLDED * (length * self.left + places * self.channels) + shifts
        return replace(costs, made=made, squares=squares)

    @property
    def size_grams(self) -> int:
        """How many numbers it takes at most to have the norm of one owner from Gram matrices."""
        if not self.slides:
            return super().size_grams
        length, places = self.positions * self.owners.most, self.places * self.owners.most
        return 2 * max(length, places) ** 2 + length * (length + self.left) + places * self.channels

    def grams(self, some: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the Gram matrices of channels and of windows: (owners, groups, positions, positions) float64.

        Where windows slide by one place, theirs is that of the places, shifted and added up once for each place of a
        window: never the windows themselves are laid out, which are as many times as large.
        """
        if not self.slides:
            return super().grams(some)
        given, gradient = self._given(some), self._gradient(some)
        maps, plain = (gradient, given) if self.transposed else (given, gradient)
        left, places = (self._side(rows.flatten(2), some).double() for rows in (plain, maps))
        sums = (places.mT @ places).view(-1, *(self.owners.most, *maps.shape[2:]) * 2)
        layer, dims = self.call.layer, maps.ndim - 2
        each = zip(layer.kernel_size, layer.dilation, self.padding, maps.shape[2:], plain.shape[2:], strict=True)
        for dim, (size, apart, around, before, after) in enumerate(each, 2):
            axes, shifts = (dim, dim + dims + 1), list(range(-around, size * apart - around, apart))
            whole = [shift for shift in shifts if 0 <= shift <= before - after]  # each place has one there
            if whole:  # to begin with it is sooner than with zeros
                shifts.remove(whole[0])
                added = _narrow(sums, axes, whole[0], after).clone()
            else:
                added = sums.new_zeros([after if axis in axes else n for axis, n in enumerate(sums.shape)])
            for shift in shifts:
                begin, count = max(0, -shift), min(after, before - shift) - max(0, -shift)
                if count > 0:
                    into = _narrow(added, axes, begin, count)
                    into += _narrow(sums, axes, begin + shift, count)
            sums = added
        return left.mT @ left, sums.view(*left.shape[:2], left.shape[3], left.shape[3])

    def _given(self, some: slice) -> torch.Tensor:
        given = self.call.given[self.owners.records_of(some)].to(self.dtype)
        if self.around is None:
            return given
        mode = self.call.layer.padding_mode
        return F.pad(given, self.around, "constant" if mode == "zeros" else mode)

    def _gradient(self, some: slice) -> torch.Tensor:
        return self.call.gradient[self.owners.records_of(some)].to(self.dtype)

    def factors(self, some: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Return channels on one side, and windows of channels on the other."""
        layer, given, gradient = self.call.layer, self._given(some), self._gradient(some)
        unfolded, plain = (gradient, given) if self.transposed else (given, gradient)
        windows = _windows(unfolded, layer.kernel_size, layer.stride, layer.dilation, self.padding, plain.shape[2:])
        return self._side(plain.flatten(2), some), self._side(windows, some)

    def sides(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the squared norms of channels, and of as many windows as a number may be in."""
        everybody = slice(0, len(self.owners))
        return self.squares_of(self._gradient(everybody)), self.window * self.squares_of(self._given(everybody))

    def _side(self, rows: torch.Tensor, some: slice) -> torch.Tensor:
        # (records, groups, size, positions)
        grouped = rows.reshape(len(rows), self.call.layer.groups, -1, rows.shape[-1])
        if self.owners.most == 1:
            return grouped
        return self.owners.table(grouped, some).permute(0, 2, 3, 1, 4).flatten(3)  # positions of all records

    def made(self, some: slice) -> torch.Tensor:
        """Return the gradients of some owners: (owners, *shape)."""
        if some.stop - some.start == 1:
            return self._sum(self._given(some), self._gradient(some)).unsqueeze(0)
        if not self.grouped:
            return super().made(some)
        given, gradient = self._given(some), self._gradient(some)
        records = len(given)
        given, gradient = (rows.reshape(1, -1, *rows.shape[2:]) for rows in (given, gradient))
        rows = self._sum(given, gradient, records).view(records, *self.shape)
        return rows if self.owners.most == 1 else self.owners.table(rows, some).sum(1)

    def total(self, factors: torch.Tensor) -> torch.Tensor:
        """Return the sum over owners, each multiplied with a factor."""
        everybody = slice(0, len(self.owners))
        given, gradient = self._given(everybody), self._gradient(everybody)
        each = factors.to(self.dtype)[self.owners.owner].view(-1, *[1] * (gradient.ndim - 1))
        if given.numel() < gradient.numel():  # either may be multiplied, and the smaller one is sooner
            return self._sum(given * each, gradient)
        return self._sum(given, gradient * each)

    def _sum(self, given: torch.Tensor, gradient: torch.Tensor, records: int = 1) -> torch.Tensor:
        """Return the gradient of all records together, or of ``records`` that stand beside each other as groups."""
        layer = self.call.layer
        unread = given.new_empty(records * self.shape[0], *self.shape[1:])  # torch asks for the weight's size only
        beyond = [0] * len(layer.kernel_size)
        if self.transposed:  # it follows from the sizes, also where the caller chose one
            sizes = zip(given.shape[2:], layer.stride, layer.kernel_size, layer.dilation, self.padding, strict=True)
            least = [(n - 1) * step + apart * (size - 1) + 1 - 2 * around for n, step, size, apart, around in sizes]
            beyond = [after - size for after, size in zip(gradient.shape[2:], least, strict=True)]
        _, found, _ = torch.ops.aten.convolution_backward(
            gradient,
            given,
            unread,
            None,
            list(layer.stride),
            self.padding,
            list(layer.dilation),
            self.transposed,
            beyond,
            records * layer.groups,
            [False, True, False],
        )
        return found  # type: ignore[no-any-return]


def _narrow(table: torch.Tensor, axes: tuple[int, int], start: int, count: int) -> torch.Tensor:
    """Return the part of a table that lies in the same places of two dimensions."""
    return table.narrow(axes[0], start, count).narrow(axes[1], start, count)


def _windows(
    maps: torch.Tensor,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    padding: list[int],
    positions: torch.Size,
) -> torch.Tensor:
    """Lay out what each position of a convolution sees: (records, channels * window, positions)."""
    if set(kernel) == {1} and not any(padding):
        for dim, (step, length) in enumerate(zip(stride, positions, strict=True), 2):
            maps = maps[(slice(None),) * dim + (slice(None, (length - 1) * step + 1, step),)]
        return maps.flatten(2)
    spans = [step * (size - 1) + 1 for size, step in zip(kernel, dilation, strict=True)]
    sizes = zip(maps.shape[2:], padding, spans, stride, strict=True)
    fits = [(size + 2 * around - span) // step + 1 for size, around, span, step in sizes]
    if len(kernel) == 2 and maps.device.type == "cpu":  # on a GPU it is one kernel for each record
        found = F.unfold(maps, kernel, dilation, tuple(padding), stride)
        if tuple(fits) == tuple(positions):
            return found
        cut = (slice(None), slice(None), *(slice(0, length) for length in positions))
        return found.reshape(*found.shape[:2], *fits)[cut].flatten(2)
    maps = F.pad(maps, [around for around in reversed(padding) for _ in range(2)])
    for dim, (span, step) in enumerate(zip(spans, stride, strict=True), 2):
        maps = maps.unfold(dim, span, step)
    inside = (slice(None, None, step) for step in dilation)
    maps = maps[(slice(None), slice(None), *(slice(0, length) for length in positions), *inside)]
    count = len(kernel)  # (records, channels, *positions, *kernel)
    order = (0, 1, *range(2 + count, 2 + 2 * count), *range(2, 2 + count))
    return maps.permute(order).flatten(1, 1 + count).flatten(2)


def _linear(call: Call) -> Iterator[tuple[nn.Parameter, Form]]:
    yield call.layer.weight, Linear(call)
    if call.layer.bias is not None:
        sums = call.exact(call.gradient).flatten(1, -2).sum(1) if call.gradient.ndim > 2 else call.exact(call.gradient)
        yield call.layer.bias, Made(call.owners.add(sums))


class Linear(Product):
    """The weight of a linear layer, over any number of dimensions between record and features."""

    def __init__(self, call: Call) -> None:
        weight = call.layer.weight
        self.call, self.owners, self.shape = call, call.owners, weight.shape
        self.dtype, self.device = _at_least_single(weight.dtype), call.gradient.device
        self.left, self.right = weight.shape
        self.positions = math.prod(call.given.shape[1:-1])
        self.kept = call.given.numel() + call.gradient.numel()

    def factors(self, some: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Return outputs' gradients and inputs."""
        return self._side(self.call.gradient, some), self._side(self.call.given, some)

    def sides(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the squared norms of outputs' gradients and of inputs."""
        return self.squares_of(self.call.gradient), self.squares_of(self.call.given)

    def _side(self, rows: torch.Tensor, some: slice) -> torch.Tensor:
        lines = rows[self.owners.records_of(some)].to(self.dtype)
        lines = lines.reshape(len(lines), self.positions, rows.shape[-1])
        return self.owners.table(lines, some).flatten(1, 2).mT.unsqueeze(1)

    def total(self, factors: torch.Tensor) -> torch.Tensor:
        """Return the sum over owners, each multiplied with a factor."""
        gradient = self.call.gradient.to(self.dtype)
        each = factors.to(self.dtype)[self.owners.owner].view(-1, *[1] * (gradient.ndim - 1))
        return (gradient * each).reshape(-1, self.left).mT @ self.call.given.to(self.dtype).reshape(-1, self.right)


def _embedding(call: Call) -> Iterator[tuple[nn.Parameter, Form]]:
    yield call.layer.weight, Embedding(call)


class Embedding(Product):
    """The table of an embedding: a linear layer of which all inputs are zero but one."""

    def __init__(self, call: Call) -> None:
        weight = call.layer.weight
        self.owners, self.shape = call.owners, weight.shape
        self.dtype, self.device = _at_least_single(weight.dtype), call.gradient.device
        self.entries = call.given.reshape(len(call.given), -1)  # (records, positions)
        gradient = call.gradient.reshape(*self.entries.shape, -1)  # (records, positions, features)
        if call.layer.padding_idx is not None:
            gradient = gradient * (self.entries != call.layer.padding_idx).unsqueeze(2)
        self.gradient = gradient.to(self.dtype)
        self.positions = self.entries.shape[1]
        self.left, self.right = weight.shape
        self.kept = self.gradient.numel() + self.entries.numel()

    def factors(self, some: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Return which entry each position names, one by one, and outputs' gradients."""
        records = self.owners.records_of(some)
        chosen = F.one_hot(self.entries[records], self.shape[0]).to(self.dtype)
        sides = (self.owners.table(rows, some).flatten(1, 2) for rows in (chosen, self.gradient[records]))
        left, right = (side.mT.unsqueeze(1) for side in sides)
        return left, right

    def sides(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return how many entries are named, and the squared norm of their gradients."""
        return self.owners.add(torch.full_like(self.gradient[:, 0, 0], self.positions)), self.squares_of(self.gradient)

    def costs(self) -> Costs:
        """Return what the ways to its norm take of an owner."""
        length = self.positions * self.owners.most
        return Costs(length * self.right + WRITTEN * self.size, 2 * length**2 * self.right, length * self.right)

    def squares(self) -> torch.Tensor:
        """Return the squared norm of each owner's gradient: (owners,)."""
        length = self.positions * self.owners.most
        found = []
        for some in self.owners.chunks(8 * length * (2 * length + self.right), self.device):
            records = self.owners.records_of(some)
            entries = self.owners.table(self.entries[records], some).flatten(1)  # zeros behind have no gradient
            gradient = self.owners.table(self.gradient[records], some).flatten(1, 2).double()
            same = entries.unsqueeze(1) == entries.unsqueeze(2)
            found.append(((gradient @ gradient.mT) * same).sum((1, 2)))
        return torch.cat(found).clamp_(min=0).to(self.dtype)

    def made(self, some: slice) -> torch.Tensor:
        """Return the gradients of some owners: (owners, *shape)."""
        records, count = self.owners.records_of(some), some.stop - some.start
        line = (self.owners.owner[records] - some.start).unsqueeze(1) * self.shape[0] + self.entries[records]
        rows = self.gradient.new_zeros(count * self.shape[0], self.shape[1])
        return rows.index_add_(0, line.flatten(), self.gradient[records].flatten(0, 1)).view(count, *self.shape)

    def total(self, factors: torch.Tensor) -> torch.Tensor:
        """Return the sum over owners, each multiplied with a factor."""
        each = self.gradient * factors.to(self.dtype)[self.owners.owner].view(-1, 1, 1)
        return self.gradient.new_zeros(self.shape).index_add_(0, self.entries.flatten(), each.flatten(0, 1))


def _channel_norm(call: Call) -> Iterator[tuple[nn.Parameter, Form]]:
    """Of a normalisation over each channel, or over groups of channels, of one record."""
    products, sums = call.sums or channel_norm_backward(call.layer, call.given, call.gradient, None, given_too=False)[1]
    yield call.layer.weight, Made(call.owners.add(products))
    if call.layer.bias is not None:
        yield call.layer.bias, Made(call.owners.add(sums))


Moments = tuple[torch.Tensor, torch.Tensor]


def channel_norm_backward(
    layer: Any, given: torch.Tensor, gradient: torch.Tensor, moments: Moments | None, *, given_too: bool
) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
    """Return the gradient at what a group or instance normalisation was given, and by record those of its weights.

    One pass over both tensors makes all, as it makes the gradients of all records together: here for one record that
    has the channels of all. ``moments`` are mean and reciprocal deviation of each group, where they are known. Without
    ``given_too`` the first has no meaning.
    """
    groups = layer.num_groups if isinstance(layer, nn.GroupNorm) else given.shape[1]
    if len(given) > (most := max(1, MOST_GROUPS // groups)):
        parts = []
        for start in range(0, len(given), most):
            some = slice(start, start + most)
            known = moments and (moments[0][some], moments[1][some])
            parts.append(channel_norm_backward(layer, given[some], gradient[some], known, given_too=given_too))
        found, products, sums = (torch.cat(rows) for rows in zip(*((one, *both) for one, both in parts), strict=True))
        return found, (products, sums)
    exact = _at_least_single(layer.weight.dtype)
    maps, moved = (_by_channel(rows.to(exact)).contiguous() for rows in (given, gradient))
    records, channels, places = maps.shape
    mean, scale = moments or _moments(maps, groups, layer.eps)
    found, products, sums = torch.ops.aten.native_group_norm_backward(
        moved,
        maps,
        mean.to(exact).reshape(1, -1),
        scale.to(exact).reshape(1, -1),
        layer.weight.detach().to(exact).repeat(records),
        1,
        records * channels,
        places,
        records * groups,
        [given_too, True, True],
    )
    found = found.view(given.shape).to(given.dtype) if given_too else given
    return found, (products.view(records, channels), sums.view(records, channels))


def _moments(given: torch.Tensor, groups: int, eps: float) -> Moments:
    records, channels, places = given.shape
    found = torch.native_group_norm(given, None, None, records, channels, places, groups, eps)  # beats var_mean
    return found[1], found[2]


def _layer_norm(call: Call) -> Iterator[tuple[nn.Parameter, Form]]:
    shape = call.layer.normalized_shape
    whitened = F.layer_norm(call.exact(call.given), shape, None, None, call.layer.eps)
    return _scaled(call, whitened, len(shape))


def _rms_norm(call: Call) -> Iterator[tuple[nn.Parameter, Form]]:
    shape = call.layer.normalized_shape
    whitened = F.rms_norm(call.exact(call.given), shape, None, call.layer.eps)
    return _scaled(call, whitened, len(shape))


def _scaled(call: Call, whitened: torch.Tensor, dims: int) -> Iterator[tuple[nn.Parameter, Form]]:
    """Of a weight and a bias for each place of the last ``dims`` dimensions."""
    gradient = call.exact(call.gradient)
    between = tuple(range(1, gradient.ndim - dims))

    def summed(rows: torch.Tensor) -> Made:
        return Made(call.owners.add(rows.sum(between) if between else rows))

    yield call.layer.weight, summed(gradient * whitened)
    if getattr(call.layer, "bias", None) is not None:
        yield call.layer.bias, summed(gradient)


def _prelu(call: Call) -> Iterator[tuple[nn.Parameter, Form]]:
    products = call.exact(call.given).clamp(max=0) * call.exact(call.gradient)  # (records, channels, …)
    shared = call.layer.num_parameters == 1
    rows = products.flatten(1).sum(1, keepdim=True) if shared else _by_channel(products).sum(2)
    yield call.layer.weight, Made(call.owners.add(rows))


RULES: dict[type[nn.Module], Rule] = {
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    nn.Conv3d: _convolution,
    nn.ConvTranspose1d: _convolution,
    nn.ConvTranspose2d: _convolution,
    nn.ConvTranspose3d: _convolution,
    nn.Linear: _linear,
    nn.Embedding: _embedding,
    nn.GroupNorm: _channel_norm,
    nn.InstanceNorm1d: _channel_norm,
    nn.InstanceNorm2d: _channel_norm,
    nn.InstanceNorm3d: _channel_norm,
    nn.LayerNorm: _layer_norm,
    nn.RMSNorm: _rms_norm,
    nn.PReLU: _prelu,
}
"""By exact class: a subclass may compute something else."""


def rule_of(layer: nn.Module) -> Rule | None:
    """Return the rule for a layer, where there is one for the way it is set."""
    if isinstance(layer, nn.Embedding) and (layer.max_norm is not None or layer.scale_grad_by_freq):
        return None  # one rewrites the table in the forward pass, the other counts over the batch
    if isinstance(layer, nn.modules.instancenorm._InstanceNorm) and layer.track_running_stats:
        return None
    return RULES.get(type(layer))


def is_channel_norm(layer: nn.Module) -> bool:
    """Return whether a layer is a normalisation by channel whose backward pass we make."""
    return rule_of(layer) is _channel_norm


def moments_of(layer: nn.Module, output: torch.Tensor) -> Moments | None:
    """Return the mean and the reciprocal deviation that group normalisation has kept for its own backward pass.

    They are cut off from its graph, of which they are outputs: with them a note of the call would keep the whole pass.
    """
    kept = output.grad_fn
    if type(layer) is not nn.GroupNorm or kept is None or kept.name() != "NativeGroupNormBackward0":
        return None
    mean, deviation = kept._saved_result1, kept._saved_result2  # type: ignore[attr-defined]  # torch documents them
    return mean.detach(), deviation.detach()
