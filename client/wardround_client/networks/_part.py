"""Training a part of a network: the head alone, or with low-rank adapters beside layers that stay as they are.

An adapter adds to a layer's output what two small layers make of its input, the second of which is zero at first: the
network begins as the one without (Hu et al., *LoRA: low-rank adaptation of large language models*, ICLR 2022). Of a
convolution the first of them has its kernel and stride, and the second is 1 × 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from wardround_client.networks._layers import CONVOLUTION
from wardround_common.errors import StudyError
from wardround_common.study.model import Model

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
"""May be the last layer; there is no adapter for them."""
_NAMES = "wardround_fixed_names"


class Adapted(nn.Module):
    """A layer that stays as it is, and an adapter of it."""

    def __init__(self, layer: nn.Module, down: nn.Module, up: nn.Module) -> None:
        super().__init__()
        self.layer, self.down, self.up = layer, down, up

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """Return the layer's output and the adapter's, added up."""
        return self.layer(given) + self.up(self.down(given))  # type: ignore[no-any-return]


def partly_trained(network: nn.Module, body: nn.Module, model: Model, outputs: int) -> nn.Module:
    """Fix what the study does not train of a network's ``body``, and put adapters into it, whose values torch draws.

    ``body``: what says something of an image, which is the network itself, or the part of it that a bag of images has
    in common; ``outputs`` are those of the body.

    Raises:
        StudyError: it has no last layer with as many outputs as the study, or no layer that an adapter could be for.
    """
    if model.train == "all":
        return network
    where = f"[model] train = '{model.train}'"
    head = head_of(body)
    if head is None or _outputs(body.get_submodule(head)) != outputs:
        raise StudyError(
            f"{where}: {model.network} has no last layer that gives the outputs", do="Write train = 'all'."
        )
    for weight in body.parameters():
        weight.requires_grad_(False)
    body.get_submodule(head).requires_grad_(True)
    if model.train == "adapters":
        places = [place for place in _adaptable(body) if place != head]
        count = 0
        for place in places:
            layer = body.get_submodule(place)
            if (pair := _adapter(layer, model.rank or 1)) is not None:
                body.set_submodule(place, Adapted(layer, *pair))
                count += 1
        if not count:
            raise StudyError(
                f"{where}: {model.network} has no layer besides the last one for which an adapter of rank {model.rank} "
                "has fewer numbers than the layer",
                do="Lower the rank, or write train = 'head'.",
            )
    trained = {name for name, weight in network.named_parameters() if weight.requires_grad}
    state = network.state_dict()
    setattr(network, _NAMES, frozenset(n for n, t in state.items() if t.is_floating_point() and n not in trained))
    return network


def fixed_names(network: nn.Module) -> frozenset[str] | None:
    """Return the names of the tensors that stay as they are; None where everything is trained."""
    found: frozenset[str] | None = getattr(network, _NAMES, None)
    return found


def head_of(network: nn.Module) -> str | None:
    """Return the place of the last layer with weights, a linear one or a convolution; None if there is none."""
    *_, last = (None, *_places(network, (nn.Linear, *CONVOLUTION, *TRANSPOSED)))
    return last


def _adaptable(network: nn.Module) -> Iterator[str]:
    return _places(network, (nn.Linear, *CONVOLUTION))


def _places(network: nn.Module, kinds: tuple[type[nn.Module], ...]) -> Iterator[str]:
    return (name for name, module in network.named_modules() if isinstance(module, kinds) and name)


def _outputs(layer: nn.Module) -> int:
    return layer.out_features if isinstance(layer, nn.Linear) else int(layer.out_channels)  # type: ignore[arg-type]


def _adapter(layer: Any, rank: int) -> tuple[nn.Module, nn.Module] | None:
    """Return the two small layers of an adapter; None where they would have no fewer numbers than the layer."""
    down: Any
    up: Any
    if isinstance(layer, nn.Linear):
        down = nn.Linear(layer.in_features, rank, bias=False)
        up = nn.Linear(rank, layer.out_features, bias=False)
    elif layer.groups > 1:
        return None
    else:
        kind, form = type(layer), (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
        down = kind(layer.in_channels, rank, *form, bias=False, padding_mode=layer.padding_mode)
        up = kind(rank, layer.out_channels, 1, bias=False)
    if _numbers(down) + _numbers(up) >= _numbers(layer):
        return None
    nn.init.zeros_(up.weight)
    return down, up


def _numbers(layer: nn.Module) -> int:
    return sum(math.prod(weight.shape) for weight in layer.parameters())
