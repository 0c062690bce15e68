"""How a network calls its layers, which Opacus' rules do not look at: it explains gradients that are wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn


@dataclass
class Calls:
    """How layers were called in an ordinary pass: what Opacus' rules do not look at."""

    scattered: set[str] = field(default_factory=set)
    """Layers of which an input was not laid out row by row."""
    several: set[str] = field(default_factory=set)
    """Layers that were given several tensors, or one by keyword."""
    plural: set[str] = field(default_factory=set)
    """Layers that gave something else than one tensor."""
    handles: list[torch.utils.hooks.RemovableHandle] = field(default_factory=list)

    def stop(self) -> None:
        """Look no longer."""
        for handle in self.handles:
            handle.remove()

    def cause(self, network: nn.Module, owners: list[str], *, shape: bool = True) -> tuple[str, str]:
        """Say why these layers' gradients are wrong, as far as it can be told, and what to do.

        ``shape``: whether it may be how inputs lie in memory, which is never why a gradient cannot be computed.
        """
        layers = dict(network.named_modules())
        names: dict[int, list[str]] = {}
        for name, layer in network.named_modules(remove_duplicate=False):
            names.setdefault(id(layer), []).append(name)
        for owner in owners:
            layer = layers.get(owner)
            if layer is None:
                continue
            others = [name for name in names[id(layer)] if name != owner]
            if others and owner and any(True for _ in layer.parameters()):
                return (
                    f": {named(owner, layer)} is also registered as {others[0]}, so that Opacus counts it twice",
                    "Register each layer under one name.",
                )
            if getattr(layer, "padding_mode", "zeros") != "zeros":
                return (
                    f": {named(owner, layer)} pads with padding_mode = '{layer.padding_mode}', and Opacus' rule "
                    "for it pads with zeros",
                    "Pad with zeros, or in a layer of its own before the convolution.",
                )
            if owner in self.several:
                return (
                    f": {named(owner, layer)} is given several inputs, or one by keyword, and Opacus looks at the "
                    "first of those by position",
                    "Give a layer with weights one input, by position.",
                )
            if owner in self.plural:
                return (
                    f": {named(owner, layer)} gives several outputs, and Opacus follows one",
                    "Let a layer with weights of its own give one tensor.",
                )
        for owner in owners if shape else []:
            for name in (owner, *(name for name in self.scattered if owner and name.startswith(f"{owner}."))):
                if name in self.scattered:
                    return (
                        f": {named(name, layers[name])} is given an input that is permuted or channels_last in "
                        "memory, and Opacus' rule reads it as if it were in order",
                        "Call .contiguous() on what goes into that layer, and keep weights in torch's usual format.",
                    )
        return "", "Compare the layer with those for which Opacus has a rule of its own."


@contextmanager
def watched(network: nn.Module) -> Iterator[Calls]:
    """Look at how each layer with weights of its own is called."""
    calls = Calls()

    def watch(name: str) -> None:
        def look(layer: nn.Module, args: tuple[object, ...], named: dict[str, object]) -> None:
            tensors = [arg for arg in args if isinstance(arg, torch.Tensor)]
            by_name = [arg for arg in named.values() if isinstance(arg, torch.Tensor)]
            if len(tensors) > 1 or by_name:
                calls.several.add(name)
            if any(not tensor.is_contiguous() for tensor in (*tensors, *by_name)):
                calls.scattered.add(name)

        def look_after(layer: nn.Module, args: tuple[object, ...], given: object) -> None:
            if not isinstance(given, torch.Tensor):
                calls.plural.add(name)

        layer = network.get_submodule(name)
        calls.handles.append(layer.register_forward_pre_hook(look, with_kwargs=True))
        calls.handles.append(layer.register_forward_hook(look_after))

    for name, layer in network.named_modules():
        if any(True for _ in layer.parameters(recurse=False)):
            watch(name)
    try:
        yield calls
    finally:
        calls.stop()


def named(name: str, layer: nn.Module) -> str:
    """Name a layer and its kind."""
    return f"layer {name} ({type(layer).__name__})" if name else f"the network itself ({type(layer).__name__})"
