"""Whether the gradient of each image of a network is its own: what clipping by patient rests on, tried on noise.

DP-SGD bounds what a patient can change by clipping the gradient of that patient's images. Those gradients are computed
layer by layer (``bookkeeping``), and for layers of kinds without a rule there by Opacus: neither sees what a network
does between its layers. So every promise that the bound needs is tried, in double precision, on a few made images:

- a training pass changes nothing that the network keeps;
- what it says of an image does not depend on the other images;
- each trained weight has one gradient an image, which is that of the image alone; they add up to the batch's; and the
  sum of clipped gradients is that of these, in each way to compute it.

What is found is a fact about the network's code and not about data. A network that passes can still be wrong for other
shapes or other inputs: this is a test, and no proof.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from wardround_client.networks import seeded
from wardround_client.training.bookkeeping import BookKeeping, UnknownGradientError, Way, clipping_factors, named
from wardround_client.training.same_chance import SameChance

IMAGES = 3
CLASSES = 2
TOLERANCE = 1e-6
"""Of a gradient, relative to the weight's largest, in double precision."""
ROUNDING = 1e-9
"""Of what the network says, which is a number of about one."""
SINGLE = 1e3
"""How much more of both where a network computes in single precision whatever it is given."""
MOVED = 0.02
"""How far weights are moved off their start: behind a layer that begins at zero no gradient would show anything."""

Kind = Literal["precision", "state", "mixed", "chance", "unused", "refused", "missing", "rows", "wrong"]


@dataclass(frozen=True)
class Defect:
    """One reason why a network cannot be trained with privacy by patient."""

    kind: Kind
    what: str
    """A sentence that names the layer and says what it breaks."""
    do: str


def defects_of(
    network: nn.Module, channels: int, size: int | tuple[int, ...], classes: int = CLASSES, dims: int = 2
) -> tuple[Defect, ...]:
    """Look for what keeps a network from having a gradient of its own for each image; none is found in a sound one.

    ``network`` maps (images, channels, *size), where one number for ``size`` is that of each of ``dims`` sides, to
    logits (images, classes), or (images, classes, *size) where it draws outlines. It is copied: neither it nor torch's
    generator is changed.
    """
    generator = torch.Generator().manual_seed(0)
    space = size if isinstance(size, tuple) else (size,) * dims
    images = torch.rand(IMAGES, channels, *space, generator=generator, dtype=torch.float64)
    with seeded(0):
        if coarse := list(_coarse(network, images)):
            return tuple(coarse)
        subject = copy.deepcopy(network).cpu().double().train()
        if not _runs(subject, images):  # code that makes single precision of its own
            subject, images = copy.deepcopy(network).cpu().train(), images.float()
        _move(subject, generator)
        with SameChance(IMAGES) as chance:
            return tuple(_defects(subject, images, classes, chance))


def _runs(network: nn.Module, images: torch.Tensor) -> bool:
    try:
        copy.deepcopy(network)(images)
    except RuntimeError:
        return False
    return True


def _move(network: nn.Module, generator: torch.Generator) -> None:
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(MOVED * torch.randn(weight.shape, generator=generator, dtype=torch.float64))


def _coarse(network: nn.Module, images: torch.Tensor) -> Iterator[Defect]:
    """Look for numbers of less than single precision: a norm is then rounded by up to one per cent."""
    do = "Keep the network and its forward pass in float32."
    why = "norms are rounded too coarsely, and a clipped gradient can exceed its bound by one per cent"
    for name, weight in network.named_parameters():
        if weight.requires_grad and weight.dtype not in (torch.float32, torch.float64):
            yield Defect("precision", f"the weight {name} is {_dtype(weight.dtype)}: {why}", do)
            return
    with SameChance(IMAGES) as chance:
        copy.deepcopy(network).cpu().train()(images.float())
    for dtype in sorted(_dtype(dtype) for dtype in chance.seen & {torch.bfloat16, torch.float16}):
        yield Defect("precision", f"the forward pass computes in {dtype}: {why}", do)


def _defects(network: nn.Module, images: torch.Tensor, classes: int, chance: SameChance) -> Iterator[Defect]:
    kept = {name: value.clone() for name, value in _kept(network)}
    together = network(images).detach()  # (images, classes)
    slack = SINGLE if torch.float32 in chance.seen else 1.0
    changed = [name for name, value in _kept(network) if not torch.equal(value, kept[name])]
    if changed:
        yield _state(network, changed)
    if not changed and _differ(network(images).detach(), together, slack):
        yield Defect(
            "chance",
            "the same images give other outputs in a second pass: the network draws chance that torch does not know, "
            "or keeps something of the images outside its buffers, where nothing clips it or adds noise",
            "Draw with torch only, and keep nothing between passes.",
        )
        return
    try:
        alone = torch.cat([network(images[row : row + 1]).detach() for row in range(len(images))])
    except (RuntimeError, ValueError):  # batch normalisation wants more than one number for each channel
        alone = torch.full_like(together, torch.nan)
    if _differ(together, alone, slack):
        yield _mixed(network)
    elif not changed:
        yield from _gradients(network, images, _labels(together, classes), slack * TOLERANCE)


def _labels(logits: torch.Tensor, classes: int) -> torch.Tensor:
    """Return one class for each image, or for each place of its outlines: all classes in turn."""
    places = logits[:, 0]  # (images, *size)
    return torch.arange(places.numel()).view(places.shape) % max(classes, 2)


def _kept(network: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from network.named_parameters()
    yield from network.named_buffers()


def _state(network: nn.Module, changed: list[str]) -> Defect:
    owner = changed[0].rpartition(".")[0]
    layer = network.get_submodule(owner)
    norm = isinstance(layer, nn.modules.batchnorm._BatchNorm)
    what = ", ".join(sorted(_last(name) for name in changed if name.rpartition(".")[0] == owner))
    others = len({name.rpartition(".")[0] for name in changed}) - 1
    more = f" and {others} more layers keep" if others > 1 else " and another layer keep" if others else " keeps"
    return Defect(
        "state",
        f"a training pass changes what {named(owner, layer)}{more} ({what}): it "
        "is computed from the patients' images, outside any gradient, and would leave with neither clipping nor noise",
        GROUP_NORM if norm else "Leave that layer out: only what a gradient moves can be made private.",
    )


GROUP_NORM = "Choose a normalisation within one image, such as group normalisation."


def _mixed(network: nn.Module) -> Defect:
    for name, layer in network.named_modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            frozen = "" if any(weight.requires_grad for weight in layer.parameters()) else ", with nothing to train,"
            return Defect(
                "mixed",
                "what the network says of one image depends on the other images of the batch, since "
                f"{named(name, layer)}{frozen} takes its mean and variance over all of them: the gradient of a "
                "patient would hold other patients, and clipping it would bound nobody",
                GROUP_NORM,
            )
    return Defect(
        "mixed",
        "what the network says of one image depends on the other images of the batch: the gradient of a patient would "
        "hold other patients, and clipping it would bound nobody",
        "Compute each image by itself: no statistics, attention or matching across the batch.",
    )


def _gradients(network: nn.Module, images: torch.Tensor, labels: torch.Tensor, tolerance: float) -> Iterator[Defect]:
    weights = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
    _losses(network, images, labels).sum().backward()  # type: ignore[no-untyped-call]
    batch = {name: weight.grad for name, weight in weights.items()}
    network.zero_grad()
    if unused := [name for name, grad in batch.items() if grad is None]:
        yield Defect(
            "unused",
            f"{_some(unused)} no part in the output, so that no image has a gradient for it",
            "Remove such layers, or freeze them with requires_grad_(False).",
        )
        return
    if not any(map(_most, (grad for grad in batch.values() if grad is not None))):
        yield Defect("unused", "no image has a gradient for any weight", "Let the output depend on the weights.")
        return
    try:
        with BookKeeping(network) as books:
            each = list(books.each(_losses(network, images, labels), [1] * len(images)))
    except UnknownGradientError as error:
        yield Defect(error.why, error.what, error.do)
        return
    rows = {name: torch.stack([one[place] for one in each]) for place, name in enumerate(weights)}
    wrong = _errors(network, images, labels, rows, {name: grad for name, grad in batch.items() if grad is not None})
    if bad := sorted((name for name in wrong if not wrong[name] < tolerance), key=lambda name: -wrong[name]):
        has = "has gradients of single images that are" if len(bad) == 1 else "have gradients of single images that are"
        which = f"the weight {bad[0]}" if len(bad) == 1 else f"{len(bad)} weights, {bad[0]} first of all,"
        yield Defect(
            "wrong",
            f"{which} {has} up to {wrong[bad[0]]:.0%} off what the image alone gives",
            "Use each weight in its own layer's forward pass only, and draw nothing inside a layer with weights.",
        )
        return
    for way in WAYS:
        off = _sum_error(network, images, labels, rows, way)
        if not off < tolerance:
            yield Defect(
                "wrong",
                f"the sum of clipped gradients is up to {off:.0%} off those of the images alone (norms: {way})",
                "Keep to layers for which there is a rule.",
            )
            return


WAYS: tuple[Way, ...] = ("make", "drop", "gram")


def _losses(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return one number for each image: (images,)."""
    logits = network(images)
    if logits.shape[1] == 1:  # of one class alone nothing could be learnt: no gradient would show anything
        logits = torch.cat([logits, torch.zeros_like(logits)], dim=1)
    losses = nn.functional.cross_entropy(logits, labels, reduction="none")
    return losses.reshape(len(images), -1).sum(1)


def _errors(
    network: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    rows: dict[str, torch.Tensor],
    batch: dict[str, torch.Tensor],
) -> dict[str, float]:
    """Return how far each weight's gradients are off, relative to the largest number of what they should be."""
    weights = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
    largest = {name: _most(grad) for name, grad in batch.items()}
    floor = 1e-6 * max(largest.values())  # a bias before a normalisation has no gradient but rounding
    wrong = {name: _most(rows[name].sum(0) - grad) / (largest[name] + floor) for name, grad in batch.items()}
    for number in range(len(images)):
        network.zero_grad()
        one = slice(number, number + 1)
        _losses(network, images[one], labels[one]).sum().backward()  # type: ignore[no-untyped-call]
        for name, weight in weights.items():
            grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
            wrong[name] = max(wrong[name], _most(rows[name][number] - grad) / (_most(grad) + floor))
    network.zero_grad()
    return wrong


def _sum_error(
    network: nn.Module, images: torch.Tensor, labels: torch.Tensor, rows: dict[str, torch.Tensor], way: Way
) -> float:
    """Return how far the clipped sum is off, of a patient of all images but the last and of one of that."""
    counts = [len(images) - 1, 1]
    patients = [torch.stack([row[:-1].sum(0), row[-1]]) for row in rows.values()]
    norms = torch.stack([row.flatten(1).norm(dim=1) for row in patients]).norm(dim=0)  # (patients,)
    clip_norm = float(norms.min()) / 2
    factors = clipping_factors(norms, clip_norm)
    with BookKeeping(network, way) as books:
        found = books.clipped_sum(_losses(network, images, labels), counts, clip_norm)
    expected = [torch.einsum("p,p...->...", factors, row) for row in patients]
    floor = 1e-6 * max(map(_most, expected)) + 1e-12
    return max(_most(one - other) / (_most(other) + floor) for one, other in zip(found, expected, strict=True))


def _most(values: torch.Tensor) -> float:
    return float(values.detach().abs().max()) if values.numel() else 0.0


def _differ(one: torch.Tensor, other: torch.Tensor, slack: float) -> bool:
    """Say whether two outputs differ by more than rounding; what is not a number differs from all."""
    return not _most(one - other) <= slack * ROUNDING * (1 + _most(one))


def _some(names: list[str]) -> str:
    return f"the weight {names[0]} has" if len(names) == 1 else f"{len(names)} weights, {names[0]} first of all, have"


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
