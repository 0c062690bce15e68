"""Clipped sums of per-owner gradients by one forward and one backward pass: book-keeping.

While it is on, weights are left out of the backward pass, which then computes gradients for layers' outputs only. Each
layer with weights keeps what it was given and the gradient at what it gave; from both follow, weight by weight, the
norm of each owner's gradient and, once all norms are known, the sum of the clipped gradients. No second backward pass
is made, and the gradients of all owners exist for few weights at a time (Bu et al., *Differentially private
optimization on large model at small cost*, arXiv:2210.00038; the choice by layer: Bu et al., *Scalable and efficient
training of large convolutional neural networks with differential privacy*, arXiv:2205.10683).

For whom: an owner has one record of the batch or several in a row, and the sum of their gradients is clipped as one.

It does not hold where a weight is used past its layer (by a function, or as a penalty), or where records influence one
another: nothing here can see that. It is tried before (``network_probe``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

import torch
from torch import nn

from wardround_client.networks import Bag, Slices
from wardround_client.training.gradient_forms import Made, Owners, Product
from wardround_client.training.layer_rules import (
    Call,
    Form,
    Moments,
    channel_norm_backward,
    is_channel_norm,
    moments_of,
    rule_of,
)
from wardround_common.errors import PrivacyError

MOST_QUOTED = 160
MOST_TRIED = 1e8
"""What Gram matrices may cost an owner where they are asked for."""
LEAST_ROOM = 8_000_000
"""How many numbers of made gradients may be kept until all norms are known, beyond what their layers' factors take:
this many, or as many as there are weights if those are more, since the sum will be as large."""
Way = Literal["make", "drop", "gram"]
"""How a norm is computed: make the gradients and keep them, make and drop them, or by Gram matrices."""
Back = Callable[[torch.Tensor], torch.Tensor]
"""From the gradient at what a layer gave to that at what it was given."""


class UnknownGradientError(PrivacyError):
    """The gradient of each record cannot be computed; ``why`` is one word for the kind of reason."""

    def __init__(self, why: Literal["missing", "rows", "refused"], what: str, do: str, layer: str = "") -> None:
        super().__init__(what, do=do)
        self.why, self.layer = why, layer


@dataclass(eq=False)
class _Seen:
    """One call of a layer in a forward pass."""

    name: str
    layer: nn.Module
    weights: list[nn.Parameter]
    given: torch.Tensor
    version: int
    """Of what was given: how often it had been written to."""
    moments: Moments | None


class BookKeeping:
    """A network whose backward passes make sums of clipped gradients while this is entered.

    The weights are those that require a gradient as it is made; sums come in their order. As it is left, the network
    is as before.
    """

    def __init__(self, network: nn.Module, way: Way | None = None) -> None:
        """Prepare; with ``way`` all norms are computed in the same way, which is for tests.

        Raises:
            UnknownGradientError: neither we nor Opacus can compute a layer's gradients.
        """
        self._network, self._way = network, way
        named = {weight: name for name, weight in network.named_parameters() if weight.requires_grad}
        self.weights, self._names = list(named), named
        bags = [module for module in network.modules() if isinstance(module, Bag | Slices)]
        self._bagged = {layer for bag in bags for layer in bag.encoder.modules()}  # given each record's images in a row
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self._prepared: list[nn.Module] = []
        self._forget()

    def _forget(self) -> None:
        self._owners: Owners | None = None
        self._of_images: dict[int, Owners] = {}
        self._waiting: Counter[nn.Parameter] = Counter()
        self._found: dict[nn.Parameter, list[Form]] = {}
        self._settled: dict[nn.Parameter, list[Form]] = {}
        self._squares: torch.Tensor | None = None
        self._room = max(LEAST_ROOM, sum(weight.numel() for weight in self.weights))

    def __enter__(self) -> BookKeeping:
        try:
            for name, layer, weights in list(_layers("", self._network, set())):
                if rule_of(layer) is None:
                    self._prepare(name, layer)
                hook = self._hook(name, layer, weights)
                self._handles.append(layer.register_forward_hook(hook, with_kwargs=True))
        except BaseException:
            self.__exit__(None, None, None)
            raise
        for weight in self.weights:
            weight.requires_grad_(False)
        return self

    def drop(self) -> None:
        """Forget a forward pass that broke off, or whose gradients nobody wants."""
        self._forget()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        for layer in self._prepared:
            del layer.ft_compute_sample_grad
        self._handles, self._prepared = [], []
        for weight in self.weights:
            weight.requires_grad_(True)
        self._forget()

    def clipped_sum(self, losses: torch.Tensor, counts: Sequence[int], clip_norm: float) -> list[torch.Tensor]:
        """Return the sum over owners of their gradients, each clipped to ``clip_norm``: for each weight (*shape).

        ``losses`` (records,) are of the forward pass just made, ``counts`` (owners,) how many records in a row each
        has, at least one. Norms are over all weights together, in float32 or more, and so is the sum.

        Raises:
            UnknownGradientError: a weight's gradients cannot be told from what its layers saw.
        """
        if not counts:
            return [torch.zeros_like(weight) for weight in self.weights]
        try:
            self._backward(losses, counts, clipping=True)
            norms = (self._squares if self._squares is not None else losses.new_zeros(len(counts))).sqrt()
            factors = clipping_factors(norms, clip_norm)
            with _exactly(losses.device):
                return [self._sum(weight, factors) for weight in self.weights]
        finally:
            self._forget()

    def each(self, losses: torch.Tensor, counts: Sequence[int]) -> Iterator[list[torch.Tensor]]:
        """Go through the owners and return the gradient of each, not clipped: for each weight (*shape).

        One at a time, so that never all of them are in memory. The arguments are those of :meth:`clipped_sum`.

        Raises:
            UnknownGradientError: as :meth:`clipped_sum`.
        """
        if not counts:
            return
        try:
            self._backward(losses, counts, clipping=False)
            for owner in range(len(counts)):
                with _exactly(losses.device):
                    one = slice(owner, owner + 1)
                    found = [_added(self._settled[weight], one)[0].to(weight.dtype) for weight in self.weights]
                yield found
        finally:
            self._forget()

    def _backward(self, losses: torch.Tensor, counts: Sequence[int], *, clipping: bool) -> None:
        self._owners, self._clipping = Owners.of(tuple(counts), losses.device), clipping
        if losses.shape != (self._owners.records,):
            raise UnknownGradientError("rows", f"{tuple(losses.shape)} losses for {self._owners.records} records", "")
        losses.sum().backward()  # type: ignore[no-untyped-call]
        with _exactly(losses.device):
            for weight in [weight for weight in self.weights if weight in self._found]:
                self._settle(weight)  # a call of its layer took no part in the loss
        if missing := [self._names[weight] for weight in self.weights if weight not in self._settled]:
            one, several = f"the weight {missing[0]} has", f"{len(missing)} weights, {missing[0]} first of all, have"
            raise UnknownGradientError(
                "missing",
                f"{one if len(missing) == 1 else several} no gradient for each record: the weight is used outside its "
                "own layer's forward pass, where nothing sees it, or not at all",
                "Call the layer itself, and freeze weights that are not used.",
            )

    def _hook(self, name: str, layer: nn.Module, weights: list[nn.Parameter]) -> Callable[..., torch.Tensor | None]:
        def note(_: nn.Module, args: tuple[Any, ...], named: dict[str, Any], output: Any) -> torch.Tensor | None:
            if not torch.is_grad_enabled():
                return None
            given = _only_tensor(name, layer, args, named)
            if not isinstance(output, torch.Tensor):
                raise _refused(name, layer, "returns several outputs", "Let a layer with weights return one tensor.")
            if again := [self._names[weight] for weight in weights if weight in self._settled]:
                what = f"is called again after {again[0]}'s gradient was complete"
                raise _refused(name, layer, what, "Call it once in each pass.")
            seen = _Seen(name, layer, weights, given.detach(), given._version, moments_of(layer, output))
            self._waiting.update(weights)
            if given.requires_grad and is_channel_norm(layer):
                return _behind(output.detach(), given, lambda gradient: self._through(seen, gradient))
            tapped = output if output.requires_grad else _begin(output)
            tapped.register_hook(lambda gradient: self._note(seen, gradient))  # type: ignore[no-untyped-call]
            return None if tapped is output else tapped

        return note

    def _through(self, seen: _Seen, gradient: torch.Tensor) -> torch.Tensor:
        """Return the gradient at what a normalisation was given, and take those of its weights from the same pass."""
        self._check_unwritten(seen)
        found, sums = channel_norm_backward(seen.layer, seen.given, gradient, seen.moments, given_too=True)
        self._note(seen, gradient, sums)
        return found

    def _note(self, seen: _Seen, gradient: torch.Tensor, sums: tuple[torch.Tensor, torch.Tensor] | None = None) -> None:
        """Take the gradient at what a layer gave, in the backward pass."""
        if self._owners is None:  # a backward pass that is not ours
            return
        owners, records = self._owners, self._owners.records
        images, rest = divmod(len(gradient), records)
        if seen.layer in self._bagged and images > 1 and not rest:
            if images not in self._of_images:  # an owner of records is that of all their images
                counts = tuple(count * images for count in owners.counts)
                self._of_images[images] = Owners.of(counts, gradient.device)
            owners, records = self._of_images[images], images * records
        if len(seen.given) != records or len(gradient) != records:
            raise UnknownGradientError(
                "rows",
                f"{named(seen.name, seen.layer)} has {len(gradient)} gradients for {records} records: something else "
                "than records is in the first dimension where the layer is called, such as slices or windows",
                "Keep records in the first dimension of every layer's input.",
                seen.name,
            )
        self._check_unwritten(seen)
        with torch.no_grad(), _exactly(gradient.device):
            call = Call(seen.layer, seen.given, gradient.detach(), owners, sums)
            for weight, form in self._forms(seen, call):
                if weight in self._names:
                    self._found.setdefault(weight, []).append(form)
            seen.given = gradient.new_empty(0)  # the graph, which is kept until the end, would keep it
            for weight in seen.weights:
                self._waiting[weight] -= 1
                if not self._waiting[weight]:
                    self._settle(weight)

    @staticmethod
    def _check_unwritten(seen: _Seen) -> None:
        if seen.given._version != seen.version:
            raise _refused(
                seen.name,
                seen.layer,
                "was given what an operation in place has overwritten since",
                "Set inplace=False, and write x = x + y in place of x += y.",
            )

    def _forms(self, seen: _Seen, call: Call) -> list[tuple[nn.Parameter, Form]]:
        if rule := rule_of(seen.layer):
            return list(rule(call))
        try:
            return list(_by_opacus(call))
        except (AttributeError, LookupError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
            said = " ".join(str(error).split())[:MOST_QUOTED]
            do = "Build it from layers for which there is a rule."
            raise _refused(
                seen.name, seen.layer, f"is of a kind that Opacus computes no gradients for ({said})", do
            ) from error

    def _settle(self, weight: nn.Parameter) -> None:
        """Compute the norms of a weight whose calls are all known, and keep no more than its sum will need."""
        forms = self._found.pop(weight, [])
        if not forms:  # none of its layers said anything of it
            return
        if self._clipping:
            alone = len(forms) == 1 and isinstance(forms[0], Made)  # nothing is left to do
            way = "make" if alone else self._way_of(forms)
            if way == "make" and not alone:
                forms = [Made(self._made(forms))]
            squares = forms[0].squares() if len(forms) == 1 and way != "drop" else self._squares_by_chunks(forms)
            if way != "make":  # what is added is computed anew, and rounded otherwise
                squares = squares + sum(form.rounding() for form in forms)
            self._squares = squares if self._squares is None else self._squares + squares
        self._settled[weight] = forms

    def _way_of(self, forms: list[Form]) -> Way:
        """Choose by shapes alone, so that a seed gives one model wherever and however often it is trained."""
        products = [form for form in forms if isinstance(form, Product)]
        if not products:
            return "make"
        owners, costs = len(self._all), [product.costs() for product in products]
        gram = len(forms) == 1 and products[0].device.type != "mps"  # which has no double precision
        if self._way is not None:
            absurd = costs[0].squares > max(4 * costs[0].made, MOST_TRIED)  # where it is never chosen
            return "drop" if self._way == "gram" and (absurd or not gram) else self._way
        made, total = sum(cost.made for cost in costs), sum(cost.total for cost in costs)
        size = owners * products[0].size
        spare = max(sum(product.kept for product in products), self._room)
        takes: dict[Way, float] = {"drop": made + total}
        if size <= spare:
            takes["make"] = made
        if gram:
            takes["gram"] = costs[0].squares + total
        way = min(takes, key=lambda each: takes[each])
        if way == "make" and size > sum(product.kept for product in products):
            self._room -= size
        return way

    def _made(self, forms: list[Form]) -> torch.Tensor:
        """Return the gradients of all owners, which are kept: (owners, *shape)."""
        chunks = list(self._chunks(forms))
        passing = max((form.size_made - form.size for form in forms if isinstance(form, Product)), default=0)
        if len(chunks) == 1 or len(list(self._all.chunks(4 * passing, self._all.owner.device))) == 1:
            return _added(forms, slice(0, len(self._all)))  # what is kept may be large: nothing else is
        first = _added(forms, chunks[0])
        rows = first.new_empty(len(self._all), *first.shape[1:])
        rows[chunks[0]] = first
        for some in chunks[1:]:
            rows[some] = _added(forms, some)
        return rows

    def _squares_by_chunks(self, forms: list[Form]) -> torch.Tensor:
        """Return the squared norms of gradients that are made and not kept: (owners,)."""
        return torch.cat([Made(_added(forms, some)).squares() for some in self._chunks(forms)])

    def _chunks(self, forms: list[Form]) -> Iterator[slice]:
        each = max((form.size_made for form in forms if isinstance(form, Product)), default=0)
        return self._all.chunks(4 * each, self._all.owner.device)

    def _sum(self, weight: nn.Parameter, factors: torch.Tensor) -> torch.Tensor:
        forms = self._settled.pop(weight)  # frees what was kept of it
        first, *others = (form.total(factors) for form in forms)
        for other in others:
            first = first + other
        return first.to(weight.dtype)

    @property
    def _all(self) -> Owners:
        if self._owners is None:
            raise RuntimeError("no backward pass is being made")
        return self._owners

    def _prepare(self, name: str, layer: nn.Module) -> None:
        """Prepare a layer for which Opacus computes the gradients of records."""
        from opacus import GradSampleModule
        from opacus.grad_sample.functorch import prepare_layer

        if type(layer) in GradSampleModule.GRAD_SAMPLERS and not isinstance(layer, nn.modules.batchnorm._NormBase):
            return
        try:
            prepare_layer(layer)
        except NotImplementedError as error:
            raise _refused(
                name,
                layer,
                f"keeps buffers beside weights that are trained ({error})",
                "Compute them again in each pass, or keep them in a layer without weights.",
            ) from error
        self._prepared.append(layer)


def clipping_factors(norms: torch.Tensor, clip_norm: float) -> torch.Tensor:
    """Return what each owner's gradient is multiplied with, so that its norm is at most ``clip_norm``: (owners,)."""
    return (clip_norm / (norms + 1e-6)).clamp(max=1.0)


def _layers(name: str, layer: nn.Module, known: set[nn.Module]) -> Iterator[tuple[str, nn.Module, list[nn.Parameter]]]:
    """Go through the layers with trained weights of their own; what Opacus computes, it computes with all inside."""
    if layer in known:
        return
    known.add(layer)
    if any(weight.requires_grad for weight in layer.parameters(recurse=False)):
        ruled = rule_of(layer) is not None
        yield name, layer, [one for one in layer.parameters(recurse=not ruled) if one.requires_grad]
        if not ruled:
            return
    for inner, child in layer.named_children():
        yield from _layers(f"{name}.{inner}" if name else inner, child, known)


def _by_opacus(call: Call) -> Iterator[tuple[nn.Parameter, Form]]:
    """Compute a layer's gradients by Opacus: its rule for the kind, or its way by ``torch.func`` for any other."""
    from opacus import GradSampleModule
    from opacus.grad_sample.functorch import ft_compute_per_sample_gradient

    rule = ft_compute_per_sample_gradient
    if not hasattr(call.layer, "ft_compute_sample_grad"):
        rule = GradSampleModule.GRAD_SAMPLERS[type(call.layer)]
    exact = next(call.layer.parameters()).dtype
    given = call.given.to(exact) if call.given.is_floating_point() else call.given
    with torch.enable_grad():
        found = rule(call.layer, [given.contiguous()], call.gradient.to(exact).contiguous())
    for weight, rows in found.items():
        yield weight, Made(call.owners.add(rows.detach()))


def _added(forms: list[Form], some: slice) -> torch.Tensor:
    """Return the gradients of some owners, of all calls together: (owners, *shape)."""
    first, *others = (form.made(some) for form in forms)
    for other in others:
        first = first + other
    return first


class _Begin(torch.autograd.Function):
    """Let the backward pass begin at a tensor that follows from no weight: it stays the tensor that it is."""

    @staticmethod
    def forward(ctx: Any, output: torch.Tensor, anchor: torch.Tensor) -> torch.Tensor:
        ctx.mark_dirty(output)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[None, None]:
        return None, None


def _begin(output: torch.Tensor) -> torch.Tensor:
    whole = output.clone() if output._is_view() else output
    return _Begin.apply(whole, whole.new_zeros((), requires_grad=True))  # type: ignore[no-any-return, no-untyped-call]


class _Behind(torch.autograd.Function):
    """Let another backward pass stand in for a layer's own: its output stays the tensor that it is."""

    @staticmethod
    def forward(ctx: Any, output: torch.Tensor, given: torch.Tensor, back: Back) -> torch.Tensor:
        ctx.back = back
        ctx.mark_dirty(output)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[None, torch.Tensor, None]:
        return None, ctx.back(gradients[0]), None


def _behind(output: torch.Tensor, given: torch.Tensor, back: Back) -> torch.Tensor:
    return _Behind.apply(output, given, back)  # type: ignore[no-any-return, no-untyped-call]


def _only_tensor(name: str, layer: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> torch.Tensor:
    """Return the one tensor that a layer was given."""
    known = rule_of(layer) is not None
    given = [*args, *named.values()]
    tensors = [one for one in given if isinstance(one, torch.Tensor)]
    alone = len(tensors) == 1 and (known or (not named and len(args) == 1))
    if not alone:
        raise _refused(
            name,
            layer,
            "is given several inputs, or one by keyword, and one by position is what its gradient is computed from",
            "Give a layer with weights one input, by position.",
        )
    return tensors[0]


def _refused(name: str, layer: nn.Module, what: str, do: str) -> UnknownGradientError:
    return UnknownGradientError("refused", f"{named(name, layer)} {what}", do, name)


def named(name: str, layer: nn.Module) -> str:
    """Name a layer and its kind."""
    return f"layer {name} ({type(layer).__name__})" if name else f"the network itself ({type(layer).__name__})"


@contextmanager
def _exactly(device: torch.device) -> Iterator[None]:
    """Compute float32 as float32, under autocast and on GPUs that would round products to fewer digits.

    A norm and the sum that it bounds are computed by different operations: rounded differently, the sum would exceed
    its bound.
    """
    places: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn) if device.type == "cuda" else ()
    before = [place.allow_tf32 for place in places]
    try:
        for place in places:
            place.allow_tf32 = False
        coarse = torch.is_autocast_enabled(device.type)  # leaving it takes as long as a small layer
        with torch.no_grad(), torch.autocast(device.type, enabled=False) if coarse else nullcontext():
            yield
    finally:
        for place, allowed in zip(places, before, strict=True):
            place.allow_tf32 = allowed
